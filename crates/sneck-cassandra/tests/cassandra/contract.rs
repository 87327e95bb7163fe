//! The contract suite.

use crate::support::{Store, cql, operator};
use async_trait::async_trait;
use scylla::client::session::Session;
use scylla::statement::Consistency;
use sneck_core::{Backend, Clock, Name, SystemClock};
use sneck_testkit::contract::{self, Subject};
use sneck_testkit::{cassandra, or_skip, within};
use std::sync::Arc;

/// The servers are one, so that the difference of their clocks is none.
const OPTIONS: &str = "ttl=8s&skew=0s&poll=100ms&connect-timeout=60s";
const OPTIONS_MORTAL: &str = "ttl=4s&skew=0s&poll=100ms&connect-timeout=60s";

/// One node; each case has a namespace of its own.
struct Node {
    store: Store,
    operator: Session,
}

#[async_trait]
impl Subject for Node {
    async fn client(&self, case: &'static str) -> Arc<dyn Backend> {
        Arc::new(self.store.connect(&format!("{OPTIONS}&namespace={case}")).await)
    }

    async fn mortal(&self, case: &'static str) -> Arc<dyn Backend> {
        Arc::new(self.store.connect(&format!("{OPTIONS_MORTAL}&namespace={case}")).await)
    }

    async fn clear(&self, case: &'static str, name: &Name) {
        let Store { keyspace, .. } = &self.store;
        let statement =
            format!("DELETE FROM {keyspace}.sneck_locks WHERE ns = '{case}' AND name = '{name}'");
        within("an operator", cql(&self.operator, Consistency::Quorum, &statement)).await;
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cassandra_keeps_the_contract() {
    let node = or_skip!(cassandra::shared().await);
    let operator = operator(node.addr(0)).await;
    contract::run_all(Arc::new(Node { store: Store::on_node(node).await, operator })).await;
}
