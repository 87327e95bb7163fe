//! Every public function of the library is called in an example, or is too plain for one.
//!
//! Plain is what does not wait, cannot fail, and has a body of two lines at most: a getter, or a setter
//! of the builder kind. All others are called in some example of the docs of their own file, which
//! `cargo test --doc` runs.

use std::collections::BTreeSet;
use std::path::Path;

use crate::workspace::root;

const LIBRARY: &str = "crates/sneck/src";
/// The most lines that the body of a plain function has.
const PLAIN_MAX: usize = 2;

/// Says each public function without an example.
pub(super) fn check() -> Result<Vec<String>, String> {
    let mut offences = Vec::new();
    visit(&root().join(LIBRARY), &mut |path, source| {
        let shown = path.strip_prefix(root()).unwrap_or(path).display();
        let told = missing(source).into_iter();
        offences.extend(told.map(|name| format!("{shown}: no example calls {name}")));
    })?;
    Ok(offences)
}

fn visit(folder: &Path, file: &mut dyn FnMut(&Path, &str)) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.is_dir() {
            visit(&path, file)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            file(&path, &std::fs::read_to_string(&path).map_err(told)?);
        }
    }
    Ok(())
}

/// The public functions of a file that are not plain, and that no example of its docs calls.
fn missing(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let called = called(code);
    let lines: Vec<&str> = code.lines().collect();
    let names = lines.iter().enumerate().filter_map(|(at, line)| {
        let name = public_function(line)?;
        let is_shown = called.contains(name) || is_plain(&lines[at..]);
        (!is_shown).then_some(name)
    });
    names.collect()
}

/// The name of the public function whose signature begins on this line.
fn public_function(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let rest = rest.strip_prefix("const ").unwrap_or(rest);
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    let rest = rest.strip_prefix("fn ")?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// What is called in the examples of docs: each name before a parenthesis or a turbofish.
fn called(code: &str) -> BTreeSet<&str> {
    let docs = code.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))
    });
    let mut is_example = false;
    let mut names = BTreeSet::new();
    for line in docs {
        if line.trim_start().starts_with("```") {
            is_example = !is_example;
        } else if is_example {
            let calls = line.match_indices('(').chain(line.match_indices("::<"));
            let calls = calls.map(|(at, _)| &line[..at]);
            names.extend(calls.filter_map(|before| {
                before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()
            }));
        }
    }
    names
}

/// Whether the function at the beginning of these lines neither waits nor fails, and does little.
fn is_plain(lines: &[&str]) -> bool {
    let Some(opens) = lines.iter().position(|line| line.ends_with('{')) else { return true };
    let signature = lines[..=opens].concat();
    let indent = lines[0].len() - lines[0].trim_start().len();
    let is_end = |line: &&str| line.len() == indent + 1 && line.trim_start() == "}";
    let body = lines[opens + 1..].iter().position(is_end).unwrap_or(usize::MAX);
    !signature.contains("async fn") && !signature.contains("Result<") && body <= PLAIN_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "impl A {\n    pub fn plain(&self) -> u32 {\n        self.0\n    }\n}\n";

    fn with(docs: &str, signature: &str) -> String {
        format!("impl A {{\n{docs}    pub {signature} {{\n        todo()\n    }}\n}}\n")
    }

    #[test]
    fn what_is_plain_needs_none() {
        assert_eq!(missing(PLAIN), Vec::<&str>::new());
        let long = PLAIN.replace("self.0", "a();\n        b();\n        self.0");
        assert_eq!(missing(&long), ["plain"]);
    }

    #[test]
    fn what_waits_or_fails_is_called_in_an_example() {
        let shown = "    /// ```\n    /// a.f();\n    /// ```\n";
        for signature in ["async fn f(&self)", "fn f(&self) -> Result<(), Error>"] {
            assert_eq!(missing(&with("", signature)), ["f"]);
            assert_eq!(missing(&with("    /// Calls a.f() elsewhere.\n", signature)), ["f"]);
            assert_eq!(missing(&with(shown, signature)), Vec::<&str>::new());
        }
        let turbofish = "    /// ```\n    /// a.f::<u8>();\n    /// ```\n";
        assert_eq!(missing(&with(turbofish, "async fn f(&self)")), Vec::<&str>::new());
    }

    #[test]
    fn what_is_not_public_or_a_test_is_let_be() {
        let inner = with("", "(crate) async fn f(&self)").replace("pub (crate)", "pub(crate)");
        assert_eq!(missing(&inner), Vec::<&str>::new());
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", with("", "async fn f(&self)"));
        assert_eq!(missing(&tests), Vec::<&str>::new());
    }
}
