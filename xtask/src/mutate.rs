//! `cargo xtask mutate`: breaks one place of a script of Redis or of a statement of Cassandra after the
//! other, and sees that the test which guards it fails.
//!
//! Nothing is built for a breakage. The servers that tests start stand behind a line on which the text
//! is changed; see `sneck_testkit::mutation`.

mod breakages;

use std::process::Command;

use clap::Args;
use sneck_testkit::contract::ONLY;
use sneck_testkit::mutation::{FROM, SPOILT, STORE, TO};
use sneck_testkit::skip::NO_SERVER;

use crate::talk::{answer, say};
use crate::workspace::{cargo, root};
use breakages::{BREAKAGES, Breakage, LINE};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only breakages of files whose path contains this, such as `redis` or `leave.lua`.
    filter: Option<String>,
}

/// Whether the tests that guard a place pass as it is, and fail once it is broken. The table of what was
/// caught by what goes to standard output.
pub(crate) fn run(arguments: &Arguments) -> bool {
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let chosen: Vec<&Breakage> =
        BREAKAGES.iter().filter(|breakage| breakage.file.contains(filter)).collect();
    let mut well = !chosen.is_empty();
    answer("| file | what is broken | the test that fails |\n|---|---|---|");
    for breakage in chosen {
        match tried(breakage) {
            Ok(()) => answer(breakage),
            Err(what) => {
                say(format_args!("{}: {}: {what}", breakage.file, breakage.what));
                well = false;
            }
        }
    }
    well
}

fn tried(breakage: &Breakage) -> Result<(), String> {
    breakage.applies()?;
    if !passes(breakage, false)? {
        return Err(format!("{} fails without it", breakage.test));
    }
    match passes(breakage, true)? {
        true => Err(format!("{} does not notice", breakage.test)),
        false => Ok(()),
    }
}

/// Runs the test that guards a place, with the place broken or not.
fn passes(breakage: &Breakage, broken: bool) -> Result<bool, String> {
    let mut test = test(breakage);
    if broken {
        test.env(STORE, breakage.store()).env(FROM, breakage.from).env(TO, breakage.to);
    }
    let output = test.output().map_err(|error| format!("cargo: {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout);
    // A test that does not run, and one that was skipped, prove nothing.
    if !told.contains(&format!("{} ... ", breakage.test)) {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("no test ran that is called {}\n{why}", breakage.test));
    }
    let told = [told, String::from_utf8_lossy(&output.stderr)];
    for nothing in [SPOILT, NO_SERVER] {
        if told.iter().any(|text| text.contains(nothing)) {
            return Err(format!("{:?} instead: {nothing}", breakage.to));
        }
    }
    Ok(output.status.success())
}

fn test(breakage: &Breakage) -> Command {
    let store = breakage.store();
    let mut test = cargo();
    test.args(["test", "--quiet", "--package", &format!("sneck-{store}"), "--all-features"]);
    test.args(["--", "--format=pretty", "--test-threads=1", breakage.test]);
    test.env(ONLY, breakage.case).env("SNECK_REQUIRE", store);
    test
}

impl Breakage {
    /// The crate's folder is named after the store.
    fn store(&self) -> &'static str {
        if self.file.contains("redis") { "redis" } else { "cassandra" }
    }

    /// Whether the place is there, and only once, so that it is known what is broken: also not in the text that
    /// all scripts begin with.
    fn applies(&self) -> Result<(), String> {
        let read = |file| std::fs::read_to_string(root().join(file)).map_err(|e| e.to_string());
        let mut text = read(self.file)?;
        if self.store() == "redis" && self.file != LINE {
            text += &read(LINE)?;
        }
        match text.matches(self.from).count() {
            1 => Ok(()),
            count => Err(format!("{:?} is there {count} times", self.from)),
        }
    }
}

impl std::fmt::Display for Breakage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = self.file.rsplit('/').next().unwrap_or(self.file);
        write!(f, "| `{file}` | {} | `{}`", self.what, self.test)?;
        if !self.case.is_empty() {
            write!(f, ", case `{}`", self.case)?;
        }
        write!(f, " |")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_breakage_has_its_place() {
        let mut offences = Vec::new();
        for breakage in BREAKAGES {
            let told = breakage.applies();
            offences.extend(told.err().map(|what| format!("{}: {what}", breakage.file)));
        }
        assert!(offences.is_empty(), "{}", offences.join("\n"));
    }
}
