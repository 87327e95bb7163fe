//! Stores that are trees of ZooKeeper's, be the server Apache's or sneck's own.

use super::Subject;
use async_trait::async_trait;
use sneck_core::{Backend, Clock, Name, SystemClock};
use sneck_zookeeper::wire::ErrorCode;
use sneck_zookeeper::{RequestError, ZooKeeper};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Far longer than a busy machine makes anything wait.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The clients that die are missed after this time.
const TIMEOUT_MORTAL: Duration = Duration::from_secs(2);

/// A way to servers.
pub trait Way: Send + Sync + 'static {
    /// A new client of the store of this case, whose session ends after this timeout. Cases share
    /// nothing: each has a root of its own, or a server.
    fn connect(
        &self,
        case: &'static str,
        timeout: Duration,
    ) -> impl Future<Output = ZooKeeper> + Send;
}

/// The store at the end of a way, to be held to the contract.
#[derive(Debug)]
pub struct OnZooKeeper<W>(pub W);

#[async_trait]
impl<W: Way> Subject for OnZooKeeper<W> {
    async fn client(&self, case: &'static str) -> Arc<dyn Backend> {
        Arc::new(self.0.connect(case, TIMEOUT).await)
    }

    async fn mortal(&self, case: &'static str) -> Arc<dyn Backend> {
        Arc::new(self.0.connect(case, TIMEOUT_MORTAL).await)
    }

    async fn clear(&self, case: &'static str, name: &Name) {
        let operator = self.0.connect(case, TIMEOUT).await;
        let path = operator.path(name).expect("the path of a lock");
        let session = operator.session().await.expect("a session");
        let mut children = session.get_children(&path).await.expect("there is a line");
        // From the front, so that each deletion makes somebody believe that it is his turn.
        children.sort_by_key(|child| child[child.len() - 10..].to_owned());
        for child in children {
            session.delete(&format!("{path}/{child}"), None).await.expect("it is in line");
        }
        // The counter of its places begins anew with it.
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
