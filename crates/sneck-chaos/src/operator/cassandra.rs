//! What an operator does to the table of locks of a Cassandra.

use std::net::SocketAddr;

use scylla::client::session_builder::SessionBuilder;

use super::ANSWER_MAX;

/// Deletes all that is kept of a lock, also what its fencing tokens go on from.
///
/// # Errors
/// When the node does not do as it is told in time.
pub async fn remove(addr: SocketAddr, lock: &str) -> Result<(), String> {
    let removing = async {
        let session = SessionBuilder::new().known_node_addr(addr).build().await;
        let session = session.map_err(|error| error.to_string())?;
        let delete = format!("DELETE FROM chaos.sneck_locks WHERE ns = '' AND name = '{lock}'");
        session.query_unpaged(delete, ()).await.map(drop).map_err(|error| error.to_string())
    };
    let late = || Err(format!("no answer in {ANSWER_MAX:?}"));
    tokio::time::timeout(ANSWER_MAX, removing).await.unwrap_or_else(|_| late())
}
