//! Rows read by the names of their columns.
//!
//! By name, because what a conditional statement answers with differs: Cassandra adds columns only
//! when the condition did not hold, ScyllaDB always.

use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row};
use std::sync::Arc;
use uuid::Uuid;

/// One row.
#[derive(Debug)]
pub(crate) struct Fields {
    names: Arc<[String]>,
    values: Vec<Option<CqlValue>>,
}

impl Fields {
    /// All rows of an answer; `None` for one that has none or cannot be read.
    pub(crate) fn of(result: QueryResult) -> Option<Vec<Fields>> {
        let result = result.into_rows_result().ok()?;
        let names: Arc<[String]> =
            result.column_specs().iter().map(|spec| spec.name().to_owned()).collect();
        let rows = result.rows::<Row>().ok()?;
        rows.map(|row| Some(Fields { names: names.clone(), values: row.ok()?.columns })).collect()
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        self.value(name)?.as_boolean()
    }

    pub(crate) fn int(&self, name: &str) -> Option<i32> {
        self.value(name)?.as_int()
    }

    pub(crate) fn bigint(&self, name: &str) -> Option<i64> {
        self.value(name)?.as_bigint()
    }

    /// A moment, in milliseconds since 1970 by the clock of whoever wrote it.
    pub(crate) fn timestamp(&self, name: &str) -> Option<i64> {
        self.value(name)?.as_cql_timestamp().map(|at| at.0)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_text().map(String::as_str)
    }

    pub(crate) fn uuid(&self, name: &str) -> Option<Uuid> {
        self.value(name)?.as_uuid()
    }

    fn value(&self, name: &str) -> Option<&CqlValue> {
        let at = self.names.iter().position(|known| known == name)?;
        self.values.get(at)?.as_ref()
    }
}
