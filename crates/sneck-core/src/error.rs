//! What went wrong, for which lock, on which store, and whether anything may have been applied.

use crate::contender::Contender;
use crate::deadlock::Deadlock;
use crate::name::Name;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// Why a lock operation failed.
///
/// That somebody else holds a lock is no error: see `try_lock`. The text names the lock and the store;
/// [`kind`](Error::kind) is what a caller branches on, and [`outcome`](Error::outcome) says whether
/// the store may have applied something all the same. No error ever contains a password.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    message: String,
    lock: Option<Name>,
    backend: Option<Arc<str>>,
    hint: Option<String>,
    holder: Option<Contender>,
    deadlock: Option<Arc<Deadlock>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kinds of failure a caller would treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name, URL or option that can never work. Nothing was sent.
    Invalid,
    /// The store refused the credentials, or its access rules forbid this. Asking again does not help.
    Denied,
    /// The store cannot be reached or does not serve writes just now. Asking again may help.
    Unavailable,
    /// The lock was not had in the time allowed; [`Error::holder`] may say who has it.
    Timeout,
    /// The lock, or the place in line for it, was lost: the session ended, the deadline passed, or
    /// the place was removed by somebody else.
    Lost,
    /// The lock was not waited for any longer: the wait was one of a circle, which nobody else was going to
    /// break; [`Error::deadlock`] is the circle. Who gives back what it holds, and asks again, gets on.
    Deadlock,
    /// The line for this lock cannot be trusted to exclude, so nobody is let in: somebody queues
    /// there under other rules, or the store's counter is used up. The hint names the remedy.
    Refused,
    /// The semaphore has another number of permits than the caller believes; the text says both.
    /// Nobody is let in under a number that others do not share.
    Disagreement,
    /// The peer does not speak the store's protocol, or broke it.
    Protocol,
    /// A defect of sneck itself.
    Internal,
}

/// Whether the store may have applied a request whose answer never came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing of this attempt stays in the store.
    Known,
    /// Something may have been applied; sneck goes on cleaning up in the background.
    Unknown,
}

impl Error {
    /// An error whose outcome is known. `message` is lower case without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            outcome: Outcome::Known,
            message: message.into(),
            lock: None,
            backend: None,
            hint: None,
            holder: None,
            deadlock: None,
            source: None,
        }))
    }

    /// Names the lock the error is about, unless it names one already.
    #[must_use]
    pub fn with_lock(mut self, lock: &Name) -> Self {
        self.0.lock.get_or_insert_with(|| lock.clone());
        self
    }

    /// Names the store, by a label without secrets, unless it names one already.
    #[must_use]
    pub fn with_backend(mut self, backend: &Arc<str>) -> Self {
        self.0.backend.get_or_insert_with(|| backend.clone());
        self
    }

    /// Says what the reader could do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says who holds the lock that was not had.
    #[must_use]
    pub fn with_holder(mut self, holder: Option<Contender>) -> Self {
        self.0.holder = holder;
        self
    }

    /// Names the circle of waiting that was broken.
    #[must_use]
    pub fn with_deadlock(mut self, deadlock: Deadlock) -> Self {
        self.0.deadlock = Some(Arc::new(deadlock));
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Marks that the store may have applied something.
    #[must_use]
    pub fn with_unknown_outcome(mut self) -> Self {
        self.0.outcome = Outcome::Unknown;
        self
    }

    /// Says what is known in the end, after cleaning up.
    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// What a caller branches on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the store may have applied something.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The lock concerned.
    pub fn lock(&self) -> Option<&Name> {
        self.0.lock.as_ref()
    }

    /// The store concerned, without secrets.
    pub fn backend(&self) -> Option<&str> {
        self.0.backend.as_deref()
    }

    /// What to do about it, if there is something to be done.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Who holds the lock that was not had, if it is known.
    pub fn holder(&self) -> Option<&Contender> {
        self.0.holder.as_ref()
    }

    /// The circle of waiting that was broken by not waiting any longer.
    pub fn deadlock(&self) -> Option<&Deadlock> {
        self.0.deadlock.as_deref()
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        self.0.kind == ErrorKind::Unavailable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(lock) = &self.0.lock {
            write!(f, "lock {:?}", lock.as_str())?;
            if let Some(backend) = &self.0.backend {
                write!(f, " on {backend}")?;
            }
            f.write_str(": ")?;
        } else if let Some(backend) = &self.0.backend {
            write!(f, "{backend}: ")?;
        }
        f.write_str(&self.0.message)?;
        if let Some(holder) = &self.0.holder {
            write!(f, "; held by {holder}")?;
        }
        if self.0.outcome == Outcome::Unknown {
            f.write_str(" (the outcome is unknown)")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self}", self.0.kind)?;
        if let Some(hint) = &self.0.hint {
            write!(f, "; hint: {hint}")?;
        }
        f.write_str(")")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_whether() {
        let error = Error::new(ErrorKind::Unavailable, "the connection broke")
            .with_lock(&Name::new("a/b").unwrap())
            .with_backend(&Arc::from("zk://h1,h2"))
            .with_unknown_outcome();
        assert_eq!(
            error.to_string(),
            "lock \"a/b\" on zk://h1,h2: the connection broke (the outcome is unknown)"
        );
        assert!(error.is_transient());
        assert!(size_of::<Error>() <= size_of::<usize>(), "errors travel in every result");
    }
}
