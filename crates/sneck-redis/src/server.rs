//! What a server says about itself.

use sneck_core::{Error, ErrorKind};
use std::time::Duration;

/// The oldest server that has every command and flag in use here.
const VERSION_MIN: (u32, u32) = (6, 2);
/// The first with channels that stay in their slot.
const SHARDED_MIN: (u32, u32) = (7, 0);

/// What a server said about itself when it was connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerFacts {
    /// Its version, such as `7.0.15`.
    pub version: String,
    /// `master` for a server that takes writes.
    pub role: String,
    /// How long it has been running.
    pub uptime: Duration,
    /// What it throws away when its memory is full, such as `noeviction`.
    pub eviction: String,
    /// How much memory it may use, in bytes; 0 for as much as there is.
    pub memory_max: u64,
    /// Whether it writes what it is told to an append-only file, so that a restart forgets little.
    pub appends: bool,
    /// How many replicas it has, which know what it knows a moment later.
    pub replicas: u32,
    /// Another one after each start of the server.
    pub(crate) run_id: String,
}

impl ServerFacts {
    /// Reads the answer to `INFO`.
    pub(crate) fn parse(info: &str) -> Self {
        let mut facts = ServerFacts::default();
        for (key, value) in info.lines().filter_map(|line| line.trim_end().split_once(':')) {
            match key {
                "redis_version" => facts.version = value.to_owned(),
                "run_id" => facts.run_id = value.to_owned(),
                "uptime_in_seconds" => {
                    facts.uptime = Duration::from_secs(value.parse().unwrap_or(0));
                }
                "role" => facts.role = value.to_owned(),
                "maxmemory" => facts.memory_max = value.parse().unwrap_or(0),
                "maxmemory_policy" => facts.eviction = value.to_owned(),
                "aof_enabled" => facts.appends = value == "1",
                "connected_slaves" => facts.replicas = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        facts
    }

    /// Whether locks can live there.
    pub(crate) fn check(&self, in_cluster: bool) -> Result<(), Error> {
        let min = if in_cluster { SHARDED_MIN } else { VERSION_MIN };
        match self.number() {
            None => {
                let text = "the peer does not say which version of Redis it is";
                return Err(Error::new(ErrorKind::Protocol, text));
            }
            Some(version) if version < min => {
                let text = format!("the server is Redis {}, which is too old", self.version);
                let hint = format!("sneck needs Redis {}.{} or later here", min.0, min.1);
                return Err(Error::new(ErrorKind::Protocol, text).with_hint(hint));
            }
            Some(_) => {}
        }
        if self.role != "master" {
            let text =
                format!("the server is a read-only {}", self.role.replace("slave", "replica"));
            return Err(Error::new(ErrorKind::Unavailable, text)
                .with_hint("name the primary, or use redis+sentinel://"));
        }
        Ok(())
    }

    /// Whether it may throw locks away while they are held.
    pub fn may_evict(&self) -> bool {
        self.memory_max > 0 && self.eviction != "noeviction"
    }

    /// What an operator should know before locks are entrusted to this server.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.may_evict() {
            warnings.push(format!(
                "maxmemory-policy is {}: the server may evict locks while they are held; \
                 set it to noeviction",
                self.eviction
            ));
        }
        if !self.appends {
            warnings.push(
                "appendonly is off: a restart forgets who holds what; set appendonly to yes"
                    .to_owned(),
            );
        }
        if self.replicas > 0 {
            warnings.push(
                "replication is asynchronous: a failover may forget the last grants, and give a lock \
                 to a second holder; a resource that checks tokens refuses the first one"
                    .to_owned(),
            );
        }
        warnings
    }

    fn number(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n# Memory\r\nmaxmemory:0\r\n\
                        maxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:master\r\n";

    #[test]
    fn a_good_server_is_taken_without_a_word() {
        let facts = ServerFacts::parse(INFO);
        assert_eq!(facts.run_id, "abc");
        assert!(facts.check(true).is_ok());
        assert_eq!(facts.warnings(), [""; 0]);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (from, to, kind, says) in [
            ("7.0.15", "5.0.14", ErrorKind::Protocol, "too old"),
            ("7.0.15", "6.2.1", ErrorKind::Protocol, "too old"),
            ("redis_version:7.0.15", "server:nginx", ErrorKind::Protocol, "does not say"),
            ("role:master", "role:slave", ErrorKind::Unavailable, "read-only replica"),
        ] {
            let error = ServerFacts::parse(&INFO.replace(from, to)).check(true).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(says), "{error}");
        }
        assert!(ServerFacts::parse(&INFO.replace("7.0.15", "6.2.1")).check(false).is_ok());
    }

    #[test]
    fn what_puts_locks_at_risk_is_said() {
        let risky = INFO
            .replace("maxmemory:0", "maxmemory:1000")
            .replace("noeviction", "volatile-lru")
            .replace("aof_enabled:1", "aof_enabled:0\r\nconnected_slaves:1");
        let warnings = ServerFacts::parse(&risky).warnings().join("\n");
        for word in ["volatile-lru", "appendonly", "asynchronous"] {
            assert!(warnings.contains(word), "{warnings}");
        }
    }
}
