//! `sneck doctor` on servers that are well and on some that are not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::time::Duration;

use serde_json::Value;
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{self, Builder, Version};
use stage::{Done, done, sneck};

const V: Version = Version::V3_9;

fn report(done: &Done) -> Value {
    let report: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"));
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["checks", "ok", "server"]);
    for check in report["checks"].as_array().unwrap() {
        let keys: Vec<&String> = check.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["check", "hint", "says", "server", "verdict"]);
    }
    report
}

/// The checks of this name, as verdict and text.
fn found(report: &Value, name: &str) -> Vec<(String, String)> {
    let checks = report["checks"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    checks
        .filter(|check| check["check"] == name)
        .map(|check| (text(&check["verdict"]), text(&check["says"])))
        .collect()
}

#[tokio::test]
async fn a_sound_server_passes() {
    for version in Version::ALL {
        let server = or_skip!(zookeeper::shared(version).await);
        let url = format!("zk://u:hunter2-s@{}/x?timeout=4s", server.connect_string());
        let examined = done(sneck(&url, ["doctor", "--json"]));
        assert_eq!((examined.code, examined.stderr.as_str()), (Some(0), ""), "{examined:?}");
        assert!(!examined.stdout.contains("hunter2"));
        let report = report(&examined);
        assert_eq!(report["ok"], true);
        for (check, verdict, says) in [
            ("name", "ok", "127.0.0.1"),
            ("connection", "ok", "reached in"),
            ("protocol", "ok", "round trip"),
            ("version", "ok", version.release()),
            ("mode", "ok", "standalone"),
            ("session", "ok", "timeout 4s asked for, 4s given"),
            ("quorum", "ok", "proves the session"),
            ("containers", "ok", "tidied"),
            ("identity", "ok", "digest:u"),
            ("access", "warning", "everybody"),
            ("transport", "warning", "in the clear"),
        ] {
            let found = found(&report, check);
            assert_eq!(found.len(), 1, "{check}: {found:?}");
            assert_eq!(found[0].0, verdict, "{check}: {found:?}");
            assert!(found[0].1.contains(says), "{check}: {found:?}");
        }
        let people = done(sneck(&url, ["doctor"]));
        assert_eq!(people.code, Some(0));
        assert!(people.stdout.starts_with(&format!("server {}\n", server.connect_string())));
        assert!(people.stdout.contains("\nensemble\n") && people.stdout.contains("hint: "));
    }
}

#[tokio::test]
async fn an_ensemble_with_a_server_down_works_and_says_which() {
    let ensemble = or_skip!(
        Builder::new(V).nodes(3).session_timeout_max(Duration::from_secs(6)).start().await
    );
    let down = ensemble.followers().await[0];
    ensemble.kill(down).await;
    ensemble.wait_until_serving().await;
    let url = format!("zk://{}?timeout=40s", ensemble.connect_string());
    let examined = done(sneck(&url, ["doctor", "--json"]));
    assert_eq!(examined.code, Some(0), "{examined:?}");
    let report = report(&examined);
    let connections: Vec<String> =
        found(&report, "connection").into_iter().map(|(verdict, _)| verdict).collect();
    assert_eq!(connections.iter().filter(|verdict| *verdict == "failure").count(), 1);
    assert_eq!(connections[down], "failure");
    let modes: Vec<String> = found(&report, "mode").into_iter().map(|(_, says)| says).collect();
    assert!(modes.contains(&"leader".to_owned()) && modes.contains(&"follower".to_owned()));
    let session = &found(&report, "session")[0];
    assert!(session.0 == "warning" && session.1.contains("40s asked for, 6s given"), "{session:?}");

    // Without a majority there is no session, and the doctor says so.
    ensemble.kill(ensemble.followers().await[0]).await;
    let url = format!("{url}&connect-timeout=2s");
    let examined = done(sneck(&url, ["doctor", "--json"]));
    assert_eq!(examined.code, Some(69), "{examined:?}");
    assert!(examined.stderr.contains("no session is possible"));
    assert_eq!(self::report(&examined)["ok"], false);
}
