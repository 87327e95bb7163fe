//! Holding one lock in several places of one program.

use super::guard::Guard;
use sneck_core::Error;
use std::ops::Deref;
use std::sync::Arc;

/// A lock that is held in several places of one program, and released by the last of them; as
/// [`sneck::Reentrant`](crate::Reentrant). A handle may be moved to another thread.
///
/// ```
/// use sneck::blocking::Reentrant;
/// # fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::blocking::connect("memory:")?;
/// let books = Reentrant::new(locks.mutex("books").lock()?);
/// let again = books.enter();
/// assert!(!books.unlock()?, "there is another handle");
/// assert!(again.is_held());
/// assert!(again.unlock()?, "that was the last");
/// # Ok(()) }
/// ```
#[must_use = "a lock is released when its last handle is dropped"]
#[derive(Debug)]
pub struct Reentrant(Arc<Guard>);

impl Reentrant {
    /// The first handle to a lock that is held.
    pub fn new(guard: Guard) -> Self {
        Reentrant(Arc::new(guard))
    }

    /// One more handle to the same hold. The lock is released when all are gone.
    pub fn enter(&self) -> Self {
        Reentrant(self.0.clone())
    }

    /// How many handles there are just now.
    pub fn depth(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Gives this handle back, and with the last of them the lock: then it waits until the store has
    /// confirmed that, and answers `true`.
    ///
    /// # Errors
    /// As for [`Guard::unlock`], for the last handle.
    pub fn unlock(self) -> Result<bool, Error> {
        match Arc::into_inner(self.0) {
            Some(guard) => guard.unlock().map(|()| true),
            None => Ok(false),
        }
    }
}

impl From<Guard> for Reentrant {
    fn from(guard: Guard) -> Self {
        Reentrant::new(guard)
    }
}

impl Deref for Reentrant {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        &self.0
    }
}
