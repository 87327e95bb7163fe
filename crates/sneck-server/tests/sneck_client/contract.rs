//! The contract of a lock backend, kept on this server over each way in.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sneck_core::{Backend, Clock, Name, SystemClock};
use sneck_testkit::contract::{self, Subject};
use sneck_zookeeper::wire::ErrorCode;
use sneck_zookeeper::{RequestError, ZooKeeper};

use crate::{Way, World};

const TIMEOUT: Duration = Duration::from_secs(20);
/// The clients that die are missed after this time.
const TIMEOUT_MORTAL: Duration = Duration::from_secs(2);

struct Embedded {
    world: World,
    way: Way,
}

impl Embedded {
    /// A client whose locks are below a root of the case.
    async fn connect(&self, case: &str, timeout: Duration) -> ZooKeeper {
        self.world.backend_below(&format!("/{case}"), &self.way, timeout).await
    }
}

#[async_trait]
impl Subject for Embedded {
    async fn client(&self, case: &'static str) -> Arc<dyn Backend> {
        Arc::new(self.connect(case, TIMEOUT).await)
    }

    async fn mortal(&self, case: &'static str) -> Arc<dyn Backend> {
        Arc::new(self.connect(case, TIMEOUT_MORTAL).await)
    }

    async fn clear(&self, case: &'static str, name: &Name) {
        let operator = self.connect(case, TIMEOUT).await;
        let path = operator.path(name).expect("a name");
        let session = operator.session().await.expect("a session");
        let mut children = session.get_children(&path).await.expect("the line");
        // From the front, so that each deletion makes somebody believe that it is his turn.
        children.sort_by_key(|child| child[child.len() - 10..].to_owned());
        for child in children {
            session.delete(&format!("{path}/{child}"), None).await.expect("it is there");
        }
        match session.delete(&path, None).await {
            Ok(()) | Err(RequestError::Refused(ErrorCode::NOT_EMPTY)) => {}
            Err(error) => panic!("{error}"),
        }
        operator.close().await;
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}

async fn keeps_the_contract(number: usize) {
    let world = World::start().await;
    let way = world.ways()[number].clone();
    contract::run_all(Arc::new(Embedded { world, way })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp() {
    keeps_the_contract(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_socket() {
    keeps_the_contract(1).await;
}

// Without other threads a task that never yields would stop everything, and be seen.
#[tokio::test]
async fn within_the_process() {
    keeps_the_contract(2).await;
}
