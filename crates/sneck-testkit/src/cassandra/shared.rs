//! Clusters that many tests of one process use at once, so that a cheap test costs no JVM.
//!
//! A test on a shared cluster keeps to keyspaces of its own, and neither kills nor pauses a node of the
//! one that is meant to be left in peace.

use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::{Builder, Cluster, JARS};
use crate::skip::{REQUIRE, StartError, Unavailable, is_required};

/// What tests on [three nodes](shared_cluster) are called where they are asked for.
const NODES: &str = "cassandra-cluster";

/// The single node, with [authentication](Builder::authentication), that this test process shares.
///
/// # Errors
///
/// As [`Builder::start`].
pub async fn shared() -> Result<&'static Cluster, StartError> {
    static NODE: OnceCell<Cluster> = OnceCell::const_new();
    NODE.get_or_try_init(|| Builder::new().authentication().start()).await
}

/// The three nodes that this test process shares, for one test at a time: it may pause and kill, and
/// whoever comes next finds all nodes serving.
///
/// Only where `SNECK_REQUIRE` names `cassandra-cluster`: three JVMs that start take half a minute of two
/// processors, and where others want these, too, they do not answer within the time-outs of servers.
///
/// # Errors
///
/// As [`Builder::start`]; unavailable when it is not asked for.
pub async fn shared_cluster() -> Result<MutexGuard<'static, Cluster>, StartError> {
    if !is_required(NODES) {
        let reason = format!("three nodes need a quiet machine; {REQUIRE}={NODES} asks for them");
        return Err(Unavailable { backend: NODES, reason }.into());
    }
    static CLUSTER: OnceCell<Mutex<Cluster>> = OnceCell::const_new();
    let start = async || Builder::new().nodes(3).start().await.map(Mutex::new);
    let cluster = CLUSTER.get_or_try_init(start).await?.lock().await;
    // What a test that failed has left behind is none of the next one's business.
    cluster.heal().await;
    Ok(cluster)
}

/// Fetches what is needed, so that the first test need not.
///
/// # Errors
///
/// As [`Builder::start`].
pub fn prepare() -> Result<(), StartError> {
    JARS.obtain().map(drop)
}
