//! What a server says about itself when it is sent `srvr`, and what to know about its version.

use super::check::{Check, Verdict};

/// What a server says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Srvr {
    product: Option<Product>,
    mode: Option<String>,
    /// It is ZooKeeper, and has been told not to answer.
    withheld: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Product {
    Apache {
        version: (u32, u32, u32),
        text: String,
    },
    ClickHouse {
        text: String,
    },
    /// What `sneck serve` runs. It announces the version of ZooKeeper that it behaves as.
    Embedded {
        version: String,
        behaves_as: String,
    },
}

impl Srvr {
    /// Reads the answer.
    pub(crate) fn parse(answer: &str) -> Self {
        let value = |key: &str| {
            answer.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim())
        };
        let first = |text: &str| text.split([',', ' ']).next().unwrap_or_default().to_owned();
        let zookeeper = value("Zookeeper version:").map(first).and_then(zookeeper);
        let clickhouse = value("ClickHouse Keeper version:")
            .map(|text| Product::ClickHouse { text: first(text) });
        Srvr {
            // Keeper may also imitate Apache's line.
            product: clickhouse.or(zookeeper),
            mode: value("Mode:").map(str::to_owned),
            withheld: answer.contains("is not executed because it is not in the whitelist"),
        }
    }

    /// What there is to know.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let mut checks = match &self.product {
            Some(Product::Apache { version, text }) => apache(*version, text),
            Some(Product::ClickHouse { text }) => vec![clickhouse(text)],
            Some(Product::Embedded { version, behaves_as }) => {
                let says = format!(
                    "sneck's embedded server {version}, which behaves as ZooKeeper {behaves_as}"
                );
                vec![Check::new("version", Verdict::Ok, says)]
            }
            None if self.withheld => vec![
                Check::new("version", Verdict::Unknown, "the server withholds it")
                    .with_hint("add srvr to 4lw.commands.whitelist in its configuration"),
            ],
            None => vec![Check::new("version", Verdict::Unknown, "the server does not tell")],
        };
        checks.extend(self.mode.as_deref().map(mode));
        checks
    }
}

/// Whose server announces this version of ZooKeeper.
fn zookeeper(text: String) -> Option<Product> {
    let version = numbers(&text)?;
    Some(match text.split_once("-sneck-") {
        Some((behaves_as, version)) => {
            Product::Embedded { version: version.to_owned(), behaves_as: behaves_as.to_owned() }
        }
        None => Product::Apache { version, text },
    })
}

fn apache(version: (u32, u32, u32), text: &str) -> Vec<Check> {
    let says = format!("Apache ZooKeeper {text}");
    let mut checks = Vec::new();
    if version < (3, 5, 0) {
        let says = format!("{says} knows no containers and no create2; sneck needs 3.5 or later");
        let check = Check::new("version", Verdict::Failure, says);
        return vec![check.with_hint("upgrade the servers")];
    }
    if version < (3, 6, 0) {
        let says = format!("{says} knows no persistent watches, which sneck's locks do not need");
        checks.push(Check::new("version", Verdict::Warning, says));
    }
    // ZOOKEEPER-4026, fixed in 3.7.2, 3.8.2 and 3.9.0.
    let without_stat = version < (3, 7, 2) || ((3, 8, 0)..(3, 8, 2)).contains(&version);
    if without_stat {
        let says = format!(
            "{says} answers create2 inside a transaction without the node's metadata \
             (ZOOKEEPER-4026); sneck does not rely on it, other clients may"
        );
        checks.push(
            Check::new("version", Verdict::Warning, says).with_hint("upgrade to 3.8.2 or later"),
        );
    }
    if checks.is_empty() {
        checks.push(Check::new("version", Verdict::Ok, says));
    }
    checks
}

fn clickhouse(text: &str) -> Check {
    let says = format!(
        "ClickHouse Keeper {text} does not resume a session on a new connection, so every broken \
         connection loses all locks"
    );
    Check::new("version", Verdict::Warning, says).with_hint("use Apache ZooKeeper for locks")
}

fn mode(mode: &str) -> Check {
    match mode {
        "read-only" => Check::new("mode", Verdict::Failure, "read-only: cut off from the quorum")
            .with_hint("no lock can be taken through this server until it has rejoined"),
        "standalone" => Check::new("mode", Verdict::Ok, "standalone: locks are away while it is"),
        mode => Check::new("mode", Verdict::Ok, mode),
    }
}

/// The first three numbers of a version.
fn numbers(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split(['.', '-']).map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(answer: &str) -> Vec<(Verdict, String)> {
        let checks = Srvr::parse(answer).checks();
        checks
            .iter()
            .map(|check| (check.verdict, serde_json::to_value(check).unwrap()["says"].to_string()))
            .collect()
    }

    #[test]
    fn a_sound_server() {
        let answer = "Zookeeper version: 3.9.5-2ef2a1b, built on 2026-01-01 10:00 UTC\n\
                      Latency min/avg/max: 0/0.0/0\nMode: follower\nNode count: 5\n";
        let told = verdicts(answer);
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].0, Verdict::Ok);
        assert!(told[0].1.contains("3.9.5") && told[1].1.contains("follower"), "{told:?}");
    }

    #[test]
    fn an_embedded_server_is_not_taken_for_apaches() {
        let answer = "Zookeeper version: 3.9.5-sneck-0.1.0, built on unknown\nMode: standalone\n";
        let told = verdicts(answer);
        assert_eq!((told.len(), told[0].0), (2, Verdict::Ok));
        let says = "sneck's embedded server 0.1.0, which behaves as ZooKeeper 3.9.5";
        assert_eq!(told[0].1, format!("\"{says}\""));
    }

    #[test]
    fn version_traps() {
        for (version, verdict, says) in [
            ("3.4.14-abc", Verdict::Failure, "3.5 or later"),
            ("3.5.9-abc", Verdict::Warning, "persistent watches"),
            ("3.6.3", Verdict::Warning, "ZOOKEEPER-4026"),
            ("3.7.1-abc", Verdict::Warning, "ZOOKEEPER-4026"),
            ("3.7.2-abc", Verdict::Ok, "3.7.2"),
            ("3.8.0-abc", Verdict::Warning, "ZOOKEEPER-4026"),
            ("3.8.1", Verdict::Warning, "ZOOKEEPER-4026"),
            ("3.8.2", Verdict::Ok, "3.8.2"),
            ("3.10.0-SNAPSHOT", Verdict::Ok, "3.10.0"),
        ] {
            let told = verdicts(&format!("Zookeeper version: {version}, built on x\n"));
            assert_eq!(told[0].0, verdict, "{version}");
            assert!(told[0].1.contains(says), "{version}: {told:?}");
        }
        let told = verdicts("ClickHouse Keeper version: v26.1.2, built on x\nMode: leader\n");
        assert!(told[0].0 == Verdict::Warning && told[0].1.contains("resume"), "{told:?}");
    }

    #[test]
    fn what_is_not_told_is_unknown() {
        let withheld = "srvr is not executed because it is not in the whitelist.\n";
        for answer in ["", withheld, "HTTP/1.1 400 Bad Request", "Zookeeper version: new"] {
            let told = verdicts(answer);
            assert_eq!((told.len(), told[0].0), (1, Verdict::Unknown), "{answer}");
        }
        assert_eq!(verdicts("Mode: read-only\n")[1].0, Verdict::Failure);
    }
}
