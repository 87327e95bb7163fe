//! How many permits of a semaphore are asked for, and how many there are.

use crate::error::{Error, ErrorKind};
use std::num::NonZeroU32;

/// Some of the permits of a semaphore.
///
/// Neither number is zero, and at first no more are asked for than there are: a request that could
/// never be granted is an error before anything is sent.
///
/// ```
/// use sneck_core::{ErrorKind, Permits};
/// assert_eq!(Permits::new(2, 3)?.take().get(), 2);
/// assert_eq!(Permits::new(4, 3).unwrap_err().kind(), ErrorKind::Invalid);
/// assert_eq!(Permits::new(0, 3).unwrap_err().kind(), ErrorKind::Invalid);
/// # Ok::<(), sneck_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permits {
    take: NonZeroU32,
    of: NonZeroU32,
}

impl Permits {
    /// `take` of the `of` permits that there are, as far as the caller knows.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when either is zero, or when more are asked for than there are.
    pub fn new(take: u32, of: u32) -> Result<Self, Error> {
        let invalid = |text: String| Error::new(ErrorKind::Invalid, text);
        let Some(of) = NonZeroU32::new(of) else {
            return Err(invalid("a semaphore has at least one permit".to_owned()));
        };
        let Some(take) = NonZeroU32::new(take) else {
            return Err(invalid("at least one permit has to be asked for".to_owned()));
        };
        if take > of {
            let text = format!("{take} permits are asked for and there are {of}");
            return Err(invalid(text)
                .with_hint("ask for fewer, or give the semaphore more with set_permits"));
        }
        Ok(Permits { take, of })
    }

    /// How many are asked for.
    pub const fn take(self) -> NonZeroU32 {
        self.take
    }

    /// How many there are in all.
    pub const fn of(self) -> NonZeroU32 {
        self.of
    }

    /// The same request once there are `of` permits: the number may have been changed while it waited.
    /// More may then be asked for than there are, which is not admitted before the number grows.
    #[must_use]
    pub const fn resized(self, of: NonZeroU32) -> Self {
        Permits { take: self.take, of }
    }

    /// The error for a caller who believes in another number than the store has.
    pub fn disagree(self, stored: NonZeroU32) -> Error {
        let text = format!(
            "the semaphore has {stored} permits, and it was asked for as one of {}",
            self.of
        );
        Error::new(ErrorKind::Disagreement, text)
            .with_hint("name the same number everywhere, or change it with set_permits")
    }

    /// The error for a waiter that asks for more than there are by now.
    pub fn too_many(self, stored: NonZeroU32) -> Error {
        let text = format!("{} permits are asked for and by now there are {stored}", self.take);
        Error::new(ErrorKind::Disagreement, text)
            .with_hint("somebody made the semaphore smaller; ask for fewer")
    }
}
