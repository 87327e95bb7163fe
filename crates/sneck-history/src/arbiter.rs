//! The arbiter: whoever numbers and stamps what happens, and is the resource that locks protect.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Entry, Event};

/// How many resources there may be.
pub const RESOURCES_MAX: usize = 65_536;
/// How long the name of a lock, a session, a server or a kind of fault may be, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// What is told to the arbiter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Which client says so, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u32>,
    /// When it happened, by the clock of the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_ns: Option<u64>,
    /// What it is.
    pub say: Say,
}

/// Something that happened, or something that is wanted of the resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Say {
    /// Something happened.
    Event(Event),
    /// Read what a lock protects.
    Read {
        /// The lock.
        lock: String,
        /// By which attempt.
        attempt: u64,
        /// Under which token; none leaves the fence out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
    },
    /// Write what a lock protects.
    Write {
        /// The lock.
        lock: String,
        /// By which attempt.
        attempt: u64,
        /// Under which token; none leaves the fence out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
        /// The version that was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<u64>,
    },
}

/// What the arbiter answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// It is written down.
    Stamped {
        /// As which entry.
        seq: u64,
        /// When.
        at_ns: u64,
        /// Whether the fence let a read or a write pass.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        admitted: Option<bool>,
        /// The newest version, after a read or a write.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    },
    /// It is not.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Numbers and stamps what it is told, and decides on reads and writes by their tokens.
///
/// It is pure: it is told what time it is, and what it returns is for somebody else to write down.
///
/// ```
/// use sneck_history::{Arbiter, Message, Reply, Say};
///
/// let mut arbiter = Arbiter::default();
/// let mut write = |token| {
///     let say = Say::Write { lock: "a".into(), attempt: 1, token: Some(token), base: None };
///     let message = Message { client: Some(1), own_ns: None, say };
///     match arbiter.take(message, 5).expect("it is in order").1 {
///         Reply::Stamped { admitted, .. } => admitted,
///         Reply::Refused { .. } => None,
///     }
/// };
/// assert_eq!([7, 7, 6, 8].map(&mut write), [Some(true), Some(true), Some(false), Some(true)]);
/// ```
#[derive(Debug, Default)]
pub struct Arbiter {
    seq: u64,
    at_ns: u64,
    resources: BTreeMap<String, Resource>,
}

/// What a lock protects: a number that only its writers change.
#[derive(Debug, Default, Clone, Copy)]
struct Resource {
    /// The largest token that was shown with a read or a write.
    token_max: u64,
    /// The entry of the last write.
    version: u64,
}

impl Arbiter {
    /// Takes a message, at a time that does not go back, and makes an entry of it.
    ///
    /// # Errors
    /// When the message cannot be part of a history. Then nothing has changed.
    pub fn take(&mut self, message: Message, now_ns: u64) -> Result<(Entry, Reply), Refusal> {
        let Message { client, own_ns, say } = message;
        let at_ns = now_ns.max(self.at_ns);
        if own_ns.is_some_and(|own_ns| own_ns > at_ns) {
            return Err(Refusal::TwoClocks);
        }
        let of_a_client = match &say {
            Say::Event(event) => event.is_of_a_client(),
            Say::Read { .. } | Say::Write { .. } => true,
        };
        if of_a_client != client.is_some() {
            return Err(Refusal::Nobody);
        }
        let seq = self.seq + 1;
        let (event, admitted, version) = match say {
            Say::Event(Event::Read { .. } | Event::Write { .. }) => return Err(Refusal::NotYours),
            Say::Event(event) => (event, None, None),
            Say::Read { lock, attempt, token } => {
                let (admitted, resource) = self.pass(&lock, token)?;
                let version = resource.version;
                let event = Event::Read { lock, attempt, token, admitted, version };
                (event, Some(admitted), Some(version))
            }
            Say::Write { lock, attempt, token, base } => {
                let (admitted, resource) = self.pass(&lock, token)?;
                if admitted {
                    resource.version = seq;
                }
                let version = resource.version;
                let event = Event::Write { lock, attempt, token, base, admitted };
                (event, Some(admitted), Some(version))
            }
        };
        if names(&event).any(|name| name.len() > NAME_BYTES_MAX) {
            return Err(Refusal::LongName);
        }
        (self.seq, self.at_ns) = (seq, at_ns);
        let reply = Reply::Stamped { seq, at_ns, admitted, version };
        Ok((Entry { seq, at_ns, client, own_ns, event }, reply))
    }

    /// How many entries there are.
    pub fn entries(&self) -> u64 {
        self.seq
    }

    /// Whether the fence lets somebody pass; a token that passes raises it.
    fn pass(&mut self, lock: &str, token: Option<u64>) -> Result<(bool, &mut Resource), Refusal> {
        if lock.len() > NAME_BYTES_MAX {
            return Err(Refusal::LongName);
        }
        if !self.resources.contains_key(lock) && self.resources.len() >= RESOURCES_MAX {
            return Err(Refusal::TooManyResources);
        }
        let resource = self.resources.entry(lock.to_owned()).or_default();
        let admitted = token.is_none_or(|token| token >= resource.token_max);
        if let (true, Some(token)) = (admitted, token) {
            resource.token_max = token;
        }
        Ok((admitted, resource))
    }
}

fn names(event: &Event) -> impl Iterator<Item = &String> {
    let (one, other) = match event {
        Event::Acquire { lock, session, .. } | Event::Placed { lock, session, .. } => {
            (Some(lock), session.as_ref())
        }
        Event::Ask { lock, .. } | Event::Permits { lock, .. } => (Some(lock), None),
        Event::Expired { session: name, .. }
        | Event::Leader { server: name }
        | Event::Fault { kind: name, .. } => (Some(name), None),
        _ => (None, None),
    };
    one.into_iter().chain(other)
}

/// Why a message cannot be part of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// What the client read is after what the arbiter reads.
    TwoClocks,
    /// Reads and writes are the arbiter's to tell.
    NotYours,
    /// A client's event without a client, or the other way round.
    Nobody,
    /// A name is longer than [`NAME_BYTES_MAX`].
    LongName,
    /// There are [`RESOURCES_MAX`] already.
    TooManyResources,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::TwoClocks => "the client's own time is after the arbiter's",
            Refusal::NotYours => "reads and writes are asked for, not told",
            Refusal::Nobody => "clients' events name a client, and others do not",
            Refusal::LongName => "a name is too long",
            Refusal::TooManyResources => "there are too many resources",
        })
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(client: Option<u32>, event: Event) -> Message {
        Message { client, own_ns: None, say: Say::Event(event) }
    }

    fn read(attempt: u64, token: Option<u64>) -> Message {
        let say = Say::Read { lock: "a".into(), attempt, token };
        Message { client: Some(1), own_ns: None, say }
    }

    fn write(attempt: u64, token: Option<u64>) -> Message {
        let say = Say::Write { lock: "a".into(), attempt, token, base: None };
        Message { client: Some(1), own_ns: None, say }
    }

    fn answer(arbiter: &mut Arbiter, message: Message) -> (bool, u64) {
        match arbiter.take(message, 0).unwrap().1 {
            Reply::Stamped { admitted: Some(admitted), version: Some(version), .. } => {
                (admitted, version)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn time_never_goes_back_and_numbers_have_no_gap() {
        let mut arbiter = Arbiter::default();
        let mut at = |now| arbiter.take(event(None, Event::Quiet), now).unwrap().0;
        let entries = [7, 5, 9].map(&mut at);
        assert_eq!(
            entries.each_ref().map(|entry| (entry.seq, entry.at_ns)),
            [(1, 7), (2, 7), (3, 9)]
        );
    }

    #[test]
    fn a_read_raises_the_fence() {
        let mut arbiter = Arbiter::default();
        assert_eq!(answer(&mut arbiter, write(1, Some(5))), (true, 1));
        assert_eq!(answer(&mut arbiter, read(2, Some(6))), (true, 1));
        assert_eq!(answer(&mut arbiter, write(1, Some(5))), (false, 1), "its update would be lost");
        assert_eq!(answer(&mut arbiter, write(2, Some(6))), (true, 4));
        assert_eq!(answer(&mut arbiter, write(3, None)), (true, 5), "the fence is left out");
    }

    #[test]
    fn what_cannot_be_part_of_a_history_changes_nothing() {
        let mut arbiter = Arbiter::default();
        let mut refusal = |message| arbiter.take(message, 10).unwrap_err();
        assert_eq!(refusal(event(Some(1), Event::Quiet)), Refusal::Nobody);
        assert_eq!(refusal(event(None, Event::Lost { attempt: 1 })), Refusal::Nobody);
        let early = Message { own_ns: Some(11), ..event(Some(1), Event::Lost { attempt: 1 }) };
        assert_eq!(refusal(early), Refusal::TwoClocks);
        let forged =
            Event::Read { lock: "a".into(), attempt: 1, token: None, admitted: true, version: 0 };
        assert_eq!(refusal(event(Some(1), forged)), Refusal::NotYours);
        let long = Event::Leader { server: "x".repeat(NAME_BYTES_MAX + 1) };
        assert_eq!(refusal(event(None, long)), Refusal::LongName);
        assert_eq!(arbiter.entries(), 0);
    }

    #[test]
    fn resources_are_bounded() {
        let mut arbiter = Arbiter::default();
        let mut read = |name: String| {
            let say = Say::Read { lock: name, attempt: 1, token: None };
            arbiter.take(Message { client: Some(1), own_ns: None, say }, 0).err()
        };
        assert!((0..RESOURCES_MAX).all(|number| read(number.to_string()).is_none()));
        assert_eq!(read("one more".into()), Some(Refusal::TooManyResources));
        assert_eq!(read("0".into()), None);
    }
}
