//! What has to be in the cluster before a lock can be.

use crate::failure::{Failure, text};
use crate::fields::Fields;
use crate::options::{CassandraOptions, Create};
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;
use sneck_core::{Error, ErrorKind};

/// The releases of all nodes that the one we are connected to knows of; none on ScyllaDB, whose nodes
/// name the release of Cassandra that they once resembled.
pub(crate) async fn releases(session: &Session) -> Result<Vec<String>, Error> {
    if is_scylla(session) {
        return Ok(Vec::new());
    }
    let mut releases = Vec::new();
    for table in ["system.local", "system.peers"] {
        let doing = "asking for the release of the nodes";
        let rows = query(session, &format!("SELECT release_version FROM {table}"), doing).await?;
        releases
            .extend(rows.iter().filter_map(|row| Some(row.text("release_version")?.to_owned())));
    }
    Ok(releases)
}

fn is_scylla(session: &Session) -> bool {
    session.get_cluster_state().get_nodes_info().iter().any(|node| node.sharder().is_some())
}

/// Makes what is asked for, and checks that the rest is there.
pub(crate) async fn make(session: &Session, options: &CassandraOptions) -> Result<(), Error> {
    let CassandraOptions { keyspace, table, create, .. } = options;
    if !exists(session, "keyspaces", "", keyspace).await? {
        let Create::Keyspace { replicas } = create else {
            let text = format!("there is no keyspace {keyspace:?}");
            return Err(Error::new(ErrorKind::Invalid, text)
                .with_hint("create it, or let sneck do that with create=keyspace"));
        };
        let cql = match is_scylla(session) {
            true => include_str!("../cql/create_keyspace_scylla.cql"),
            false => include_str!("../cql/create_keyspace.cql"),
        };
        let cql = cql.replace("{keyspace}", &format!("\"{keyspace}\""));
        let cql = cql.replace("{replication}", &replicas.to_string());
        query(session, &cql, "creating the keyspace").await?;
    }
    let of_keyspace = format!("keyspace_name = '{keyspace}' AND ");
    if exists(session, "tables", &of_keyspace, table).await? {
        return Ok(());
    }
    if *create == Create::Nothing {
        let text = format!("there is no table {table:?} in the keyspace {keyspace:?}");
        return Err(Error::new(ErrorKind::Invalid, text)
            .with_hint("create it, or let sneck do that with create=table"));
    }
    let cql = include_str!("../cql/create_table.cql");
    let cql = cql.replace("{table}", &format!("\"{keyspace}\".\"{table}\""));
    query(session, &cql, "creating the table").await?;
    // So that the driver knows which nodes have a partition of it.
    let refreshed = session.refresh_metadata().await;
    refreshed.map_err(|error| Error::new(ErrorKind::Unavailable, text(&error)))
}

/// Whether the schema has an entry; all names are plain identifiers.
async fn exists(session: &Session, kind: &str, keys: &str, name: &str) -> Result<bool, Error> {
    let column = kind.trim_end_matches('s');
    let cql = format!(
        "SELECT {column}_name FROM system_schema.{kind} WHERE {keys}{column}_name = '{name}'"
    );
    Ok(!query(session, &cql, "reading the schema").await?.is_empty())
}

async fn query(session: &Session, cql: &str, doing: &str) -> Result<Vec<Fields>, Error> {
    let mut statement = Statement::new(cql);
    // What nodes keep about themselves and the schema is not replicated like data.
    statement.set_consistency(Consistency::One);
    let result = session.query_unpaged(statement, ()).await;
    let result = result.map_err(|error: ExecutionError| Failure::of(&error, doing).error)?;
    // A change of the schema has no rows.
    Ok(Fields::of(result).unwrap_or_default())
}
