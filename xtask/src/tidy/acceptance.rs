//! The tables of what is proven name tests that exist, and all that are about a line of theirs.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::text_of;
use crate::workspace::root;

/// One table: rows of a line, what has to hold, and tests in the cells after that.
struct Table {
    file: &'static str,
    /// The folders of the tests that it names.
    tests: &'static [&'static str],
    /// What the first cell of a row may be. Each has a row at least.
    lines: fn() -> Vec<String>,
    /// The lines that a test says by its name that it is about.
    told: fn(&str) -> Vec<String>,
}

const TABLES: [Table; 2] = [
    Table {
        file: "docs/proof/acceptance.md",
        tests: &["crates/sneck-e2e/tests/acceptance"],
        lines: || (1..=30).map(|line| line.to_string()).collect(),
        told: |name| numbers(name, 'l'),
    },
    Table {
        file: "docs/proof/redis-and-cassandra.md",
        tests: &[
            "crates/sneck-cassandra/src",
            "crates/sneck-cassandra/tests",
            "crates/sneck-cli/tests",
            "crates/sneck-redis/src",
            "crates/sneck-redis/tests",
        ],
        lines: || {
            let numbers = (1..=10).chain([13, 16]).map(|line| format!("A{line}"));
            let words = ["Redis", "Cassandra", "Bad input", "Command line"];
            numbers.chain(words.map(str::to_owned)).collect()
        },
        told: |name| numbers(name, 'a').into_iter().map(|line| format!("A{line}")).collect(),
    },
];

/// Says each row without a test, each test without a row, and each line that has neither.
pub(super) fn check() -> Result<Vec<String>, String> {
    let mut offences = Vec::new();
    for table in &TABLES {
        let text = std::fs::read_to_string(root().join(table.file));
        let text = text.map_err(|error| format!("{}: {error}", table.file))?;
        let mut sources = String::new();
        for folder in table.tests {
            sources += &text_of(folder)?;
        }
        offences.extend(table.offences(&text, &sources));
    }
    Ok(offences)
}

impl Table {
    fn offences(&self, text: &str, sources: &str) -> Vec<String> {
        let (file, lines) = (self.file, (self.lines)());
        let (rows, tests) = (rows(text, &lines), functions(sources));
        let named: BTreeSet<&str> = rows.values().flatten().copied().collect();
        let mut offences = Vec::new();
        for line in lines.iter().filter(|line| !rows.contains_key(line.as_str())) {
            offences.push(format!("{file}: line {line} has no test"));
        }
        for (line, names) in &rows {
            for name in names {
                if !tests.contains(name) {
                    offences.push(format!("{file}: no test is called {name}"));
                }
                let told = (self.told)(name);
                if !told.is_empty() && !told.iter().any(|told| told == line) {
                    offences.push(format!("{file}: {name} is not about line {line}"));
                }
            }
        }
        for test in tests.difference(&named).filter(|test| !(self.told)(test).is_empty()) {
            offences.push(format!("{file}: {test} has no row"));
        }
        offences
    }
}

/// The tests of each line that a table names.
fn rows<'a>(text: &'a str, lines: &[String]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut rows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in text.lines() {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let Some(line) = cells.next().filter(|cell| lines.iter().any(|line| line == cell)) else {
            continue;
        };
        let names = cells.skip(1).flat_map(|cell| cell.split('`').skip(1).step_by(2));
        rows.entry(line).or_default().extend(names);
    }
    rows
}

/// The names of all functions.
fn functions(sources: &str) -> BTreeSet<&str> {
    sources.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next()).collect()
}

/// The numbers that a name begins with: 4 and 8 in `a4_a8_a_holder`.
fn numbers(name: &str, letter: char) -> Vec<String> {
    let number = |word: &str| word.strip_prefix(letter)?.parse::<u32>().ok();
    name.split('_').map_while(number).map(|number| number.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = TABLES[0].file;

    fn table(but: u32, instead: &str) -> String {
        let row = |line| format!("| {line} | it holds | `l{line:02}_a` | both |\n");
        (1..=30).map(|line| if line == but { instead.to_owned() } else { row(line) }).collect()
    }

    fn sources(also: &str) -> String {
        let test = |line| format!("async fn l{line:02}_a(kind: Kind) {{}}\n");
        (1..=30).map(test).collect::<String>() + also
    }

    #[test]
    fn a_whole_table_is_fine() {
        let head = "# Lines\n\n| line | what | test | servers |\n|---|---|---|---|\n";
        let text = head.to_owned() + &table(0, "");
        let found = TABLES[0].offences(&text, &sources("fn line_of() {}\n"));
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn each_rule_has_a_case() {
        let only = |text: String, also: &str| TABLES[0].offences(&text, &sources(also)).join("\n");
        let gone = only(table(7, "| 7 | it holds | `l07_a`, `l07_b` | both |\n"), "");
        assert_eq!(gone, format!("{FILE}: no test is called l07_b"));
        let lonely = only(table(0, ""), "async fn l30_b(kind: Kind) {}");
        assert_eq!(lonely, format!("{FILE}: l30_b has no row"));
        let missing = only(table(9, ""), "");
        assert!(missing.contains("line 9 has no test"), "{missing}");
        let astray = only(table(9, "| 9 | it holds | `l09_a`, `l08_a` | both |\n"), "");
        assert_eq!(astray, format!("{FILE}: l08_a is not about line 9"));
    }

    #[test]
    fn a_name_may_say_several_lines() {
        assert_eq!((TABLES[1].told)("a4_a8_a_holder_is_told"), ["A4", "A8"]);
        assert_eq!((TABLES[1].told)("a_renewal_is_none"), [""; 0]);
        assert_eq!((TABLES[0].told)("l07_a"), ["7"]);
    }
}
