//! One place in a line, as seen by everybody.

use crate::caller::{Caller, Pairs};
use crate::claim::{ClaimId, Mode, Request};
use crate::permits::Permits;
use crate::ties::Ties;
use crate::token::Token;
use std::fmt;
use std::time::SystemTime;

/// One place in a line: a holder, or somebody who waits.
///
/// What is not the store's own knowledge was written by the contender itself, and is information only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// How the store names the place; on ZooKeeper the name of the node.
    pub place: String,
    /// The identity of the claim, where the place shows it.
    pub claim: Option<ClaimId>,
    /// How the place excludes others, as far as that can be seen.
    pub mode: Option<Mode>,
    /// Whether the lock is held from this place. More than one place may, for readers and for permits.
    pub held: bool,
    /// Who it is, when sneck wrote it.
    pub caller: Option<Caller>,
    /// What is written beside the place, with control characters replaced.
    pub text: String,
    /// When the place was taken, by the store's clock.
    pub since: Option<SystemTime>,
    /// The fencing token of the place: what its guard has, or will have once it is granted.
    pub token: Option<Token>,
    /// What else is held while it waits, when sneck wrote it.
    pub ties: Ties,
}

impl Contender {
    /// A contender that waits, from what it wrote beside its place.
    pub fn new(place: impl Into<String>, data: &[u8]) -> Self {
        let text: String = String::from_utf8_lossy(data)
            .chars()
            .take(Request::DESCRIPTION_MAX)
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        let caller = Caller::parse(&text);
        let (mut mode, mut ties) = (None, Ties::default());
        if caller.is_some() {
            for (key, value) in Pairs(&text) {
                match key {
                    "permits" => mode = permits(&value),
                    key => ties.read(key, &value),
                }
            }
        }
        Contender {
            place: place.into(),
            claim: None,
            mode,
            held: false,
            caller,
            text,
            since: None,
            token: None,
            ties,
        }
    }

    /// Why it wants or holds the lock, in its own words; empty when it does not say.
    pub fn reason(&self) -> &str {
        self.caller.as_ref().map_or("", |caller| &caller.note)
    }
}

fn permits(text: &str) -> Option<Mode> {
    let (take, of) = text.split_once('/')?;
    Permits::new(take.parse().ok()?, of.parse().ok()?).ok().map(Mode::Permits)
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
        if !self.reason().is_empty() {
            write!(f, ", saying {:?}", self.reason())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    #[test]
    fn what_a_stranger_wrote_is_shown_but_cannot_forge() {
        let contender = Contender::new("lock-1", b"127.0.0.1\x1b[2J\n");
        assert_eq!(contender.caller, None);
        assert_eq!(contender.to_string(), "lock-1 (127.0.0.1\u{fffd}[2J\u{fffd})");
    }

    #[test]
    fn what_a_claim_says_of_itself_is_read_back() {
        let note = "\"".repeat(5_000);
        let caller = Caller { pid: 7, note, ..Caller::anonymous() };
        let mode = Mode::Permits(Permits::new(2, 3).unwrap());
        let mut request = Request::new(Name::new("a").unwrap(), mode, caller);
        request.ties = Ties {
            holds: (0..20).map(ClaimId::from_u128).collect(),
            group: Some(ClaimId::from_u128(99)),
            yields: true,
        };
        let text = request.description();
        assert!(text.len() <= Request::DESCRIPTION_MAX);
        let read = Contender::new("p", text.as_bytes());
        assert_eq!((read.mode, read.caller.as_ref().unwrap().pid), (Some(mode), 7));
        assert_eq!(read.ties, Ties { holds: request.ties.holds[4..].to_vec(), ..request.ties });
        assert!(read.reason().starts_with('"') && read.to_string().contains("saying"));
    }

    #[test]
    fn what_a_stranger_wrote_ties_nothing() {
        let holds = format!("holds={} yields=yes permits=1/1", ClaimId::from_u128(1));
        let stranger = Contender::new("lock-1", holds.as_bytes());
        assert!(stranger.ties.is_none() && stranger.mode.is_none());
        let odd = Contender::new("p", b"by=sneck holds=x,,y group= yields=no permits=3/2");
        assert!(odd.ties.is_none() && odd.mode.is_none());
    }
}
