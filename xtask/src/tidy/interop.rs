//! The table of what is shown with other libraries names tests that exist, and all of them.

use std::collections::BTreeSet;

use crate::workspace::root;

const TABLE: &str = "docs/proof/interop.md";
const TESTS: &str = "crates/sneck-e2e/tests/e2e/interop";

/// Says each row without a test, and each test without a row.
pub(super) fn check() -> Result<Vec<String>, String> {
    let table = std::fs::read_to_string(root().join(TABLE)).map_err(|e| format!("{TABLE}: {e}"))?;
    Ok(offences(&table, &super::sources::text_of(TESTS)?))
}

fn offences(table: &str, sources: &str) -> Vec<String> {
    let (named, tests) = (named(table), tests(sources));
    let gone = named.difference(&tests).map(|name| format!("{TABLE}: no test is called {name}"));
    let lonely = tests.difference(&named).map(|test| format!("{TABLE}: {test} has no row"));
    gone.chain(lonely).collect()
}

/// The tests in the last cells of the table.
fn named(table: &str) -> BTreeSet<&str> {
    let cells = table.lines().filter_map(|row| row.strip_suffix('|')?.rsplit('|').next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// The functions that are tests on each kind of server.
fn tests(sources: &str) -> BTreeSet<&str> {
    let functions = sources.split("async fn ").skip(1);
    functions.filter_map(|rest| Some(rest.split_once("(kind: Kind)")?.0)).filter(is_name).collect()
}

fn is_name(text: &&str) -> bool {
    text.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: &str = "async fn a(kind: Kind) { b().await }\nasync fn b(x: u8) {}\n\
                           async fn c(kind: Kind) {}";

    #[test]
    fn a_table_with_every_test_is_fine() {
        let table = "| what | test |\n|---|---|\n| of `x` | `a` |\n| more | `c` |\n";
        assert_eq!(offences(table, SOURCES), [""; 0]);
    }

    #[test]
    fn each_rule_has_a_case() {
        let found = offences("| what | `a`, `b` |\n", SOURCES);
        let expected = ["no test is called b", "c has no row"];
        assert_eq!(found, expected.map(|text| format!("{TABLE}: {text}")));
    }
}
