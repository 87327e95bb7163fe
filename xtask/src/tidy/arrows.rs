//! Which crate may use which: the shape of the workspace, written down once.

use serde_json::Value;

use crate::workspace::cargo;

/// For each crate, those it may use. A crate that is not named here may not be in the workspace.
const ALLOWED: &[(&str, &[&str])] = &[
    ("sneck-core", &[]),
    ("sneck-wire", &[]),
    ("sneck-zookeeper", &["sneck-core", "sneck-wire"]),
    ("sneck-redis", &["sneck-core"]),
    ("sneck-cassandra", &["sneck-core"]),
    ("sneck-server", &["sneck-wire"]),
    ("sneck", &["sneck-core", "sneck-cassandra", "sneck-zookeeper", "sneck-server", "sneck-redis"]),
    ("sneck-cli", &["sneck", "sneck-server"]),
    // A client to hold the contract suite against everything that speaks ZooKeeper's protocol.
    ("sneck-testkit", &["sneck-core", "sneck-wire", "sneck-zookeeper"]),
    // The server only for a process that tests kill: `sneck serve` presets no counters.
    (
        "sneck-e2e",
        &["sneck", "sneck-zookeeper", "sneck-server", "sneck-testkit", "sneck-wire", "sneck-core"],
    ),
    (
        "sneck-bench",
        &["sneck", "sneck-zookeeper", "sneck-server", "sneck-testkit", "sneck-wire", "sneck-core"],
    ),
    // It judges the others, and so it shares nothing with them.
    ("sneck-history", &[]),
    // The server is one under test there, and the wire is for what an operator and no client says.
    ("sneck-chaos", &["sneck", "sneck-history", "sneck-server", "sneck-testkit", "sneck-wire"]),
    // The shipped state machines, in a world of its own.
    (
        "sneck-sim",
        &["sneck", "sneck-core", "sneck-history", "sneck-server", "sneck-wire", "sneck-zookeeper"],
    ),
    // The shipped state machines, in every order of events.
    ("sneck-model", &["sneck-core", "sneck-server", "sneck-wire", "sneck-zookeeper"]),
    // The source of the core, on another tokio.
    ("sneck-races-tokio", &[]),
    ("sneck-races", &["sneck-races-tokio"]),
    (
        "sneck-fuzz",
        &[
            "sneck-cassandra",
            "sneck-core",
            "sneck-history",
            "sneck-redis",
            "sneck-server",
            "sneck-wire",
            "sneck-zookeeper",
        ],
    ),
    ("xtask", &["sneck-testkit"]),
];

/// What tests of a crate may use besides: the server is tried with the client it is for.
const ALLOWED_IN_TESTS: [(&str, &str); 3] = [
    ("sneck-server", "sneck"),
    ("sneck-server", "sneck-core"),
    ("sneck-server", "sneck-zookeeper"),
];

/// Tests of every crate may use this one, but for itself.
const TESTKIT: &str = "sneck-testkit";

/// A use of one crate by another.
#[derive(Debug, PartialEq, Eq)]
struct Arrow {
    from: String,
    to: String,
    in_tests_only: bool,
}

/// Says each arrow that is not allowed.
pub(super) fn check() -> Result<Vec<String>, String> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata says what is no JSON: {error}"))?;
    Ok(offences_in(&metadata))
}

fn offences_in(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = |name: &str| ALLOWED.iter().any(|(known, _)| *known == name);
    let unknown = packages
        .iter()
        .map(|package| text(&package["name"]))
        .filter(|name| !named(name))
        .map(|name| format!("{name}: a crate that no rule of `xtask tidy` names"));
    let forbidden = packages.iter().flat_map(arrows).filter(|arrow| !is_allowed(arrow));
    let forbidden = forbidden.map(|Arrow { from, to, .. }| format!("{from} may not use {to}"));
    unknown.chain(forbidden).collect()
}

/// The arrows of one package to crates of this workspace, which it names by path.
fn arrows(package: &Value) -> Vec<Arrow> {
    let from = text(&package["name"]);
    let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    dependencies
        .iter()
        .filter(|dependency| dependency["path"].is_string())
        .map(|dependency| Arrow {
            from: from.clone(),
            to: text(&dependency["name"]),
            in_tests_only: dependency["kind"] == "dev",
        })
        .collect()
}

fn is_allowed(Arrow { from, to, in_tests_only }: &Arrow) -> bool {
    let targets = ALLOWED.iter().find(|(name, _)| name == from).map(|(_, targets)| *targets);
    // Of a crate without a rule it is enough to say that it has none.
    let listed = targets.is_none_or(|targets| targets.contains(&to.as_str()));
    let listed_for_tests = ALLOWED_IN_TESTS.contains(&(from.as_str(), to.as_str()));
    listed || (*in_tests_only && (listed_for_tests || (to == TESTKIT && from != TESTKIT)))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn offences(from: &str, to: &str, kind: &str) -> Vec<String> {
        let dependency = json!({"name": to, "path": "/somewhere", "kind": kind});
        offences_in(&json!({"packages": [{"name": from, "dependencies": [dependency]}]}))
    }

    #[test]
    fn arrows_run_one_way() {
        assert!(offences("sneck-zookeeper", "sneck-core", "normal").is_empty());
        assert_eq!(
            offences("sneck-core", "sneck-zookeeper", "normal"),
            ["sneck-core may not use sneck-zookeeper"]
        );
        assert_eq!(offences("sneck-cli", "sneck-core", "dev").len(), 1);
    }

    #[test]
    fn tests_may_use_the_testkit() {
        assert!(offences("sneck-core", "sneck-testkit", "dev").is_empty());
        assert_eq!(offences("sneck-core", "sneck-testkit", "normal").len(), 1);
        assert_eq!(offences("sneck-testkit", "sneck-testkit", "dev").len(), 1);
    }

    #[test]
    fn a_new_crate_needs_a_rule() {
        assert_eq!(offences("sneck-new", "sneck-core", "normal").len(), 1);
    }

    #[test]
    fn crates_from_elsewhere_are_no_arrows() {
        let dependency = json!({"name": "tokio", "kind": null});
        let package = json!({"name": "sneck-core", "dependencies": [dependency]});
        assert!(offences_in(&json!({"packages": [package]})).is_empty());
    }
}
