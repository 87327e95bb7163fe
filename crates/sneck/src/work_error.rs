//! Why work under a lock did not come to its end.

use sneck_core::Error;
use std::fmt;

/// Why work that is done under a lock did not come to its end: the lock's failure, or the work's own.
#[derive(Debug)]
pub enum WorkError<E> {
    /// The lock was not had, or was lost while the work went on, which was dropped where it stood.
    Lock(Error),
    /// The work failed by itself.
    Work(E),
}

impl<E> WorkError<E> {
    /// The lock's failure, if it was that.
    ///
    /// ```
    /// use sneck::{Error, ErrorKind, WorkError};
    /// let lost: WorkError<std::io::Error> = Error::new(ErrorKind::Lost, "the lock is gone").into();
    /// assert_eq!(lost.lock().map(Error::kind), Some(ErrorKind::Lost));
    /// ```
    pub fn lock(&self) -> Option<&Error> {
        match self {
            WorkError::Lock(error) => Some(error),
            WorkError::Work(_) => None,
        }
    }

    /// The work's own failure, if it was that.
    ///
    /// ```
    /// use sneck::WorkError;
    /// assert_eq!(WorkError::Work("no such file").into_work(), Some("no such file"));
    /// ```
    pub fn into_work(self) -> Option<E> {
        match self {
            WorkError::Lock(_) => None,
            WorkError::Work(error) => Some(error),
        }
    }
}

impl<E> From<Error> for WorkError<E> {
    fn from(error: Error) -> Self {
        WorkError::Lock(error)
    }
}

impl<E: fmt::Display> fmt::Display for WorkError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkError::Lock(error) => error.fmt(f),
            WorkError::Work(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for WorkError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WorkError::Lock(error) => error.source(),
            WorkError::Work(error) => error.source(),
        }
    }
}
