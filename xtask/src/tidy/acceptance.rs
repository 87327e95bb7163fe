//! The table of acceptance lines names tests that exist, and all of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::root;

const TABLE: &str = "docs/proof/acceptance.md";
const TESTS: &str = "crates/sneck-e2e/tests/acceptance";
const LINES: u32 = 30;

/// Says each row without a test, each test without a row, and each line that has neither.
pub(super) fn check() -> Result<Vec<String>, String> {
    let table = root().join(TABLE);
    let table = std::fs::read_to_string(&table).map_err(|e| format!("{TABLE}: {e}"))?;
    Ok(offences(&table, &super::sources::text_of(TESTS)?))
}

fn offences(table: &str, sources: &str) -> Vec<String> {
    let (rows, tests) = (rows(table), tests(sources));
    let named: BTreeSet<&str> = rows.values().flatten().copied().collect();
    let mut offences = Vec::new();
    for line in (1..=LINES).filter(|line| !rows.contains_key(line)) {
        offences.push(format!("{TABLE}: line {line} has no test"));
    }
    for (line, names) in &rows {
        for name in names {
            if !tests.contains(name) {
                offences.push(format!("{TABLE}: no test is called {name}"));
            }
            if !name.starts_with(&format!("l{line:02}_")) {
                offences.push(format!("{TABLE}: {name} is not about line {line}"));
            }
        }
    }
    for test in tests.difference(&named) {
        offences.push(format!("{TABLE}: {test} has no row"));
    }
    offences
}

/// The tests of each line that the table names.
fn rows(table: &str) -> BTreeMap<u32, Vec<&str>> {
    let mut rows: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for row in table.lines() {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let Some(Ok(line)) = cells.next().map(str::parse) else { continue };
        let names = cells.nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
        rows.entry(line).or_default().extend(names);
    }
    rows
}

/// The functions whose names say a line.
fn tests(sources: &str) -> BTreeSet<&str> {
    let functions = sources.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
    let says_a_line = |name: &&str| match name.as_bytes() {
        [b'l', tens, ones, b'_', ..] => tens.is_ascii_digit() && ones.is_ascii_digit(),
        _ => false,
    };
    functions.filter(says_a_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(but: u32, instead: &str) -> String {
        let row = |line| format!("| {line} | it holds | `l{line:02}_a` | both |\n");
        (1..=LINES).map(|line| if line == but { instead.to_owned() } else { row(line) }).collect()
    }

    fn sources(also: &str) -> String {
        let test = |line| format!("async fn l{line:02}_a(kind: Kind) {{}}\n");
        (1..=LINES).map(test).collect::<String>() + also
    }

    #[test]
    fn a_whole_table_is_fine() {
        let head = "# Lines\n\n| line | what | test | servers |\n|---|---|---|---|\n";
        let found = offences(&(head.to_owned() + &table(0, "")), &sources("fn line_of() {}\n"));
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn each_rule_has_a_case() {
        let only = |table: String, also: &str| offences(&table, &sources(also)).join("\n");
        let gone = only(table(7, "| 7 | it holds | `l07_a`, `l07_b` | both |\n"), "");
        assert_eq!(gone, format!("{TABLE}: no test is called l07_b"));
        let lonely = only(table(0, ""), "async fn l30_b(kind: Kind) {}");
        assert_eq!(lonely, format!("{TABLE}: l30_b has no row"));
        let missing = only(table(9, ""), "");
        assert!(missing.contains("line 9 has no test"), "{missing}");
        let astray = only(table(9, "| 9 | it holds | `l09_a`, `l08_a` | both |\n"), "");
        assert_eq!(astray, format!("{TABLE}: l08_a is not about line 9"));
    }
}
