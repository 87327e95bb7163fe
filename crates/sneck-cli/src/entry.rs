//! A place in a line as it is shown, to people and to programs.

use crate::visible::visible;
use serde::Serialize;
use sneck::{Contender, Mode};
use std::time::{Duration, SystemTime};

/// A place in a line. The fields are those of the JSON, and keep their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// In line, from 1: holders come first.
    pub(crate) place: usize,
    pub(crate) role: Role,
    /// In one word, where it can be seen.
    pub(crate) mode: Option<&'static str>,
    /// How many of how many, such as 1/3.
    pub(crate) permits: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) command: Option<String>,
    pub(crate) note: Option<String>,
    /// In RFC 3339, by the store's clock.
    pub(crate) since: Option<String>,
    pub(crate) age_seconds: Option<u64>,
    pub(crate) token: Option<u64>,
    /// What the store calls the place.
    pub(crate) node: String,
    /// What a client other than sneck wrote beside it.
    pub(crate) text: Option<String>,
}

/// Holding or waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Alone or, as readers and holders of permits do, together with others.
    Holder,
    /// Behind somebody.
    Waiter,
}

impl Entry {
    /// The line at the moment `now`, the holder first.
    pub(crate) fn line(contenders: &[Contender], now: SystemTime) -> Vec<Self> {
        let numbered = contenders.iter().enumerate();
        let entry = |(index, contender): (usize, &Contender)| {
            let role = if contender.held { Role::Holder } else { Role::Waiter };
            Entry::new(index + 1, role, contender, now)
        };
        numbered.map(entry).collect()
    }

    /// Somebody who holds.
    pub(crate) fn holder(contender: &Contender, now: SystemTime) -> Self {
        Entry::new(1, Role::Holder, contender, now)
    }

    /// Somebody who waits, whoever is ahead.
    pub(crate) fn waiter(contender: &Contender, now: SystemTime) -> Self {
        Entry::new(2, Role::Waiter, contender, now)
    }

    fn new(place: usize, role: Role, contender: &Contender, now: SystemTime) -> Self {
        let told = |text: &str| (!text.is_empty()).then(|| visible(text));
        let caller = contender.caller.as_ref();
        Entry {
            place,
            role,
            mode: contender.mode.and_then(word),
            permits: match contender.mode {
                Some(Mode::Permits(permits)) => {
                    Some(format!("{}/{}", permits.take(), permits.of()))
                }
                _ => None,
            },
            user: caller.and_then(|caller| told(&caller.user)),
            host: caller.and_then(|caller| told(&caller.host)),
            pid: caller.map(|caller| caller.pid).filter(|pid| *pid != 0),
            command: caller.and_then(|caller| told(&caller.command)),
            note: caller.and_then(|caller| told(&caller.note)),
            since: contender
                .since
                .map(|since| humantime::format_rfc3339_seconds(since).to_string()),
            // The clocks of the store and of this machine may differ: no age is below zero.
            age_seconds: contender
                .since
                .map(|since| now.duration_since(since).unwrap_or_default().as_secs()),
            token: contender.token.map(|token| token.get()),
            node: visible(&contender.place),
            text: if caller.is_none() { told(&contender.text) } else { None },
        }
    }

    /// The user, or what there is to tell by.
    pub(crate) fn who(&self) -> &str {
        self.user.as_deref().or(self.text.as_deref()).unwrap_or(&self.node)
    }

    /// Machine and process.
    pub(crate) fn at(&self) -> String {
        match (&self.host, self.pid) {
            (Some(host), Some(pid)) => format!("{host} pid {pid}"),
            (Some(host), None) => host.clone(),
            (None, Some(pid)) => format!("pid {pid}"),
            (None, None) => String::new(),
        }
    }

    /// How long it has been there.
    pub(crate) fn age(&self) -> Option<String> {
        self.age_seconds.map(|age| humantime::format_duration(Duration::from_secs(age)).to_string())
    }

    /// As what it asks or holds, in short.
    pub(crate) fn kind(&self) -> String {
        let permits = self.permits.as_ref().map(|permits| format!("{permits} permits"));
        permits.or(self.mode.map(str::to_owned)).unwrap_or_default()
    }

    /// Who it is and where, as a part of a sentence.
    pub(crate) fn person(&self) -> String {
        match self.at() {
            at if at.is_empty() => self.who().to_owned(),
            at => format!("{} at {at}", self.who()),
        }
    }

    /// Everything, as a part of a sentence.
    pub(crate) fn sentence(&self) -> String {
        let mut text = self.person();
        if let Some(command) = &self.command {
            text += &format!(", running {command},");
        }
        if let (Some(since), Some(age)) = (&self.since, self.age()) {
            text += &format!(" since {since} ({age})");
        }
        if let Some(note) = &self.note {
            text += &format!(", saying {note:?}");
        }
        text.trim_end_matches(',').to_owned()
    }
}

/// The words of `SNECK_MODE`.
fn word(mode: Mode) -> Option<&'static str> {
    match mode {
        Mode::Exclusive => Some("exclusive"),
        Mode::Shared => Some("shared"),
        Mode::Write => Some("write"),
        Mode::Permits(_) => Some("permits"),
        // What a later version of the library may add.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sneck::{Caller, Permits, Token};

    fn contender() -> Contender {
        let caller = Caller {
            host: "web-3".into(),
            pid: 42,
            user: "alice".into(),
            command: "job.sh".into(),
            note: "why".into(),
            ..Caller::anonymous()
        };
        let mut contender = Contender::new("lock-1", caller.to_string().as_bytes());
        contender.since = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
        contender.token = Token::new(7);
        contender
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_130)
    }

    #[test]
    fn the_holder_in_a_sentence() {
        assert_eq!(
            Entry::holder(&contender(), now()).sentence(),
            "alice at web-3 pid 42, running job.sh, since 1970-01-01T00:16:40Z (2m 10s), \
             saying \"why\""
        );
        let stranger = Entry::holder(&Contender::new("lock-1\x1b", b"10.0.0.1\n"), now());
        assert_eq!(stranger.sentence(), "10.0.0.1\u{fffd}");
        assert_eq!(stranger.node, "lock-1\u{fffd}");
        assert_eq!(Entry::holder(&Contender::new("lock-1", b""), now()).sentence(), "lock-1");
    }

    #[test]
    fn the_json_has_every_key() {
        let permits = Some(Mode::Permits(Permits::new(1, 3).unwrap()));
        let holder = Contender { held: true, mode: permits, ..contender() };
        let line = Entry::line(&[holder, Contender::new("lock-2", b"")], now());
        assert_eq!(
            serde_json::to_value(&line).unwrap(),
            serde_json::json!([
                {"place": 1, "role": "holder", "mode": "permits", "permits": "1/3", "user": "alice", "host": "web-3", "pid": 42,
                 "command": "job.sh", "note": "why", "since": "1970-01-01T00:16:40Z",
                 "age_seconds": 130, "token": 7, "node": "lock-1", "text": null},
                {"place": 2, "role": "waiter", "mode": null, "permits": null, "user": null, "host": null, "pid": null,
                 "command": null, "note": null, "since": null, "age_seconds": null,
                 "token": null, "node": "lock-2", "text": null},
            ])
        );
    }

    #[test]
    fn a_clock_that_is_behind_makes_no_negative_age() {
        let entry = Entry::holder(&contender(), SystemTime::UNIX_EPOCH);
        assert_eq!(entry.age_seconds, Some(0));
    }
}
