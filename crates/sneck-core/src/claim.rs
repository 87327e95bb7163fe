//! A claim on a place in line: what a store has to offer for sneck to build locks on it.

use crate::caller::Caller;
use crate::contender::Contender;
use crate::error::{Error, ErrorKind};
use crate::lease::{Lease, Loss};
use crate::name::Name;
use crate::permits::Permits;
use crate::ties::Ties;
use crate::token::Token;
use async_trait::async_trait;
use std::fmt::{self, Write};
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The identity of one claim: random, chosen before anything is written.
///
/// An identity per claim, not per host, process, session or thread, is what lets a claim find itself
/// again after an answer was lost, and what keeps two claims of one process apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId(Uuid);

impl ClaimId {
    /// A fresh identity from the operating system's random source.
    pub fn random() -> Self {
        ClaimId(Uuid::new_v4())
    }

    /// The identity with these bits; for simulators, which bring their own randomness.
    pub const fn from_u128(bits: u128) -> Self {
        ClaimId(Uuid::from_u128(bits))
    }

    /// Another identity, which follows from this one: for the place that comes after that of this claim.
    pub(crate) const fn numbered(self, number: u32) -> Self {
        ClaimId::from_u128(self.as_u128() ^ (number as u128) << 96)
    }

    /// The bits, for instance to seed jitter.
    pub const fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

impl FromStr for ClaimId {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Error> {
        let id = Uuid::try_parse(text).ok().filter(|_| text.len() == Hyphenated::LENGTH);
        id.map(ClaimId).ok_or_else(|| {
            let shown: String = text.chars().take(40).filter(|c| !c.is_control()).collect();
            let text = format!("{shown:?} is no id: those have 32 hex digits in five groups");
            Error::new(ErrorKind::Invalid, text)
        })
    }
}

impl fmt::Display for ClaimId {
    /// In the usual form of a UUID: 36 characters, lower case, with dashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClaimId({self})")
    }
}

/// How a place excludes others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Alone, in a line where everybody is: a mutex.
    Exclusive,
    /// Together with every other `Shared`: the readers of a read-write lock.
    Shared,
    /// Alone, in a line with readers: the writers of a read-write lock.
    ///
    /// Not the same as `Exclusive`, because stores that sneck shares with other clients keep a mutex
    /// and a read-write lock in lines that do not exclude each other.
    Write,
    /// Together with others for as long as there are permits: a semaphore. All that are asked for are
    /// granted at once, or none.
    Permits(Permits),
}

impl Mode {
    /// Whether places of both modes may stand in one line.
    pub const fn is_akin(self, other: Mode) -> bool {
        matches!(
            (self, other),
            (Mode::Exclusive, Mode::Exclusive)
                | (Mode::Shared | Mode::Write, Mode::Shared | Mode::Write)
                | (Mode::Permits(_), Mode::Permits(_))
        )
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Exclusive => f.write_str("a mutex"),
            Mode::Shared => f.write_str("a reader"),
            Mode::Write => f.write_str("a writer"),
            Mode::Permits(permits) => {
                write!(f, "{} of {} permits", permits.take(), permits.of())
            }
        }
    }
}

/// What is asked for: which lock, how, under which identity, and by whom.
#[derive(Clone, Debug)]
pub struct Request {
    /// The lock.
    pub name: Name,
    /// How it excludes others.
    pub mode: Mode,
    /// The identity of the claim.
    pub id: ClaimId,
    /// Who asks.
    pub caller: Caller,
    /// What is held while it waits.
    pub ties: Ties,
}

impl Request {
    /// The largest length of a [description](Request::description), in bytes.
    pub const DESCRIPTION_MAX: usize = 2 * Caller::TEXT_MAX;

    /// A request under a fresh random identity, which is tied to nothing.
    pub fn new(name: Name, mode: Mode, caller: Caller) -> Self {
        Request { name, mode, id: ClaimId::random(), caller, ties: Ties::default() }
    }

    /// What a store keeps beside the claim, for everybody else to see: one line of text, which
    /// [`Contender::new`] reads.
    pub fn description(&self) -> String {
        let mut text = self.caller.to_string();
        if let Mode::Permits(permits) = self.mode {
            let _ = write!(text, " permits={}/{}", permits.take(), permits.of());
        }
        self.ties.put(&mut text);
        text
    }
}

/// Where a claim stands. A life goes one way: waiting, held, gone.
#[derive(Clone, Debug)]
pub enum Standing {
    /// The lock is held.
    Held(Grant),
    /// The claim has a place in line behind others.
    Waiting(Waiting),
    /// The place is lost and does not come back.
    Gone(Loss),
}

/// A lock that is held.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Grant {
    /// Fixed for the claim's life, and larger than that of every earlier grant of this lock.
    pub token: Token,
    /// How long the hold may be believed in.
    pub term: Term,
    /// Whether somebody has asked the holder to let go.
    pub revoked: bool,
    /// The token of each lock, where the claim is on several; otherwise empty.
    pub tokens: Vec<(Name, Token)>,
}

impl Grant {
    /// A grant of one lock that nobody has asked back.
    pub fn new(token: Token, term: Term) -> Self {
        Grant { token, term, revoked: false, tokens: Vec::new() }
    }
}

/// How long a hold may be believed in.
#[derive(Clone, Debug)]
pub enum Term {
    /// From the instant before [`ask`](Claim::ask) was called, for this long; asking again extends it.
    Fixed(Duration),
    /// As long as this lease, which the backend extends by itself.
    Session(Lease),
}

/// A place in line that is not at the front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many are ahead, if the store told.
    pub ahead: Option<u32>,
    /// Who holds the lock, if the store told without being asked.
    pub holder: Option<Contender>,
}

/// A place in line, held or waited in, or not taken yet.
///
/// Contract, checked for every backend by the contract suite:
///
/// * Every future may be dropped at any await point, and any verb may be called after that.
/// * An answer that got lost is settled by asking again under the claim's identity, never by assuming.
/// * The first `ask` takes the place. A claim that is dropped without [`leave`](Claim::leave) may leave
///   its place behind; the core always calls it.
#[async_trait]
pub trait Claim: Send {
    /// Makes sure the claim is in line and says where it stands. Idempotent. For a hold with a
    /// [fixed](Term::Fixed) term, asking extends it.
    ///
    /// # Errors
    /// A [transient](Error::is_transient) error invites asking again. After any other the core leaves.
    async fn ask(&mut self) -> Result<Standing, Error>;

    /// Resolves when asking again is worthwhile, for anything that happened since the last `ask`
    /// began. It may resolve early, and may never resolve at all: the core asks again in any case.
    async fn changed(&mut self);

    /// Gives up the place or the lock, or makes sure that it is given up. Idempotent; once it has
    /// returned `Ok`, nothing of this claim stays in the store.
    ///
    /// # Errors
    /// A transient error invites calling it again.
    async fn leave(&mut self) -> Result<(), Error>;

    /// Begins to [`leave`](Claim::leave) a hold, without waiting: sends at once what can be sent without an
    /// answer, from any thread, also outside a runtime. Whether all that `leave` has left to do, unless
    /// something goes wrong, is to wait for an answer: then it is called some milliseconds later, when the
    /// answer is likely there, and otherwise at once.
    fn let_go(&mut self) -> bool {
        false
    }

    /// Makes a [`Shared`](Mode::Shared) hold of a [`Write`](Mode::Write) hold, in the same place: the
    /// readers behind come in, and no writer gets between. The token stays. Never waits for others.
    /// Idempotent.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when the claim holds nothing that could be shared; the hold stays as it
    /// is. A transient error invites calling it again.
    async fn downgrade(&mut self) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Refused, "this lock cannot be shared with readers"))
    }
}
