//! One place in a line, as seen by everybody.

use crate::caller::Caller;
use crate::token::Token;
use std::fmt;
use std::time::SystemTime;

/// One place in a line: the holder, or somebody who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// How the store names the place; on ZooKeeper the name of the node.
    pub place: String,
    /// Who it is, when sneck wrote it.
    pub caller: Option<Caller>,
    /// What is written beside the place, with control characters replaced. Written by the contender
    /// itself, so information only.
    pub text: String,
    /// When the place was taken, by the store's clock.
    pub since: Option<SystemTime>,
    /// The fencing token of the place: what its guard has, or will have once it is granted.
    pub token: Option<Token>,
}

impl Contender {
    /// A contender from what it wrote beside its place.
    pub fn new(place: impl Into<String>, data: &[u8]) -> Self {
        let text: String = String::from_utf8_lossy(data)
            .chars()
            .take(Caller::TEXT_MAX)
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        Contender {
            place: place.into(),
            caller: Caller::parse(&text),
            text,
            since: None,
            token: None,
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.caller {
            Some(caller) => {
                let or =
                    |text: &str| if text.is_empty() { "?".to_owned() } else { text.to_owned() };
                write!(f, "{}@{} pid {}", or(&caller.user), or(&caller.host), caller.pid)?;
                if !caller.command.is_empty() {
                    write!(f, " ({})", caller.command)?;
                }
            }
            None if self.text.is_empty() => write!(f, "{}", self.place)?,
            None => write!(f, "{} ({})", self.place, self.text)?,
        }
        if let Some(since) = self.since {
            let seconds = since.elapsed().unwrap_or_default().as_secs();
            write!(f, " for {seconds} s")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_is_shown_but_cannot_forge() {
        let contender = Contender::new("lock-1", b"127.0.0.1\x1b[2J\n");
        assert_eq!(contender.caller, None);
        assert_eq!(contender.to_string(), "lock-1 (127.0.0.1\u{fffd}[2J\u{fffd})");
    }
}
