//! Holding one lock in several places of one program.

use sneck_core::{Error, Guard};
use std::ops::Deref;
use std::sync::Arc;

/// A lock that is held in several places of one program, and released by the last of them.
///
/// Code that may be called with or without a lock takes a `&Reentrant` and [enters](Reentrant::enter) it
/// again. That is all there is to it: the lock belongs to whoever has a handle, and not to a thread or a
/// task, which in async code is one this moment and another the next.
///
/// ```
/// use sneck::Reentrant;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::connect("memory:").await?;
/// async fn post(books: &Reentrant) -> Result<(), sneck::Error> {
///     let books = books.enter();
///     println!("post with token {}", books.token());
///     assert!(!books.unlock().await?, "the caller still holds it");
///     Ok(())
/// }
///
/// let books = Reentrant::new(locks.mutex("books").lock().await?);
/// post(&books).await?;
/// post(&books).await?;
/// assert!(books.is_held());
/// assert!(books.unlock().await?, "that was the last");
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
    ///
    /// # Cancel safety
    /// When the future is dropped, the handle is given back all the same.
    pub async fn unlock(self) -> Result<bool, Error> {
        match Arc::into_inner(self.0) {
            Some(guard) => guard.unlock().await.map(|()| true),
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
