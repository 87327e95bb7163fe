//! How many statements a node has run for its clients, by its own count.

use std::error::Error;
use std::net::SocketAddr;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

/// A connection that asks for nothing else.
pub(crate) struct Statements(Session);

impl Statements {
    pub(crate) async fn of(node: SocketAddr) -> Result<Statements, Box<dyn Error>> {
        Ok(Statements(SessionBuilder::new().known_node_addr(node).build().await?))
    }

    /// Those that were prepared before, as all of sneck's are; a batch is one.
    pub(crate) async fn executed(&self) -> Result<u64, Box<dyn Error>> {
        let read = "SELECT value FROM system_views.cql_metrics WHERE name = 'prepared_statements_executed'";
        let rows = self.0.query_unpaged(read, ()).await?.into_rows_result()?;
        let (count,) = rows.single_row::<(f64,)>()?;
        Ok(count as u64)
    }
}
