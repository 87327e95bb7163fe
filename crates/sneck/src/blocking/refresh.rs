//! Single flight: of many who want a value, one computes it.

use super::locks::Locks;
use crate::WorkError;
use sneck_core::Token;
use tokio::sync::oneshot;

/// What is done on the thread that waits, and where to say what came of it.
enum Errand<T, E> {
    Read(oneshot::Sender<Result<Option<T>, E>>),
    Compute(Token, oneshot::Sender<Result<T, E>>),
}

impl Locks {
    /// Reads a value that many want and that is dear to compute: one of all the callers on all machines
    /// computes it, the others wait and read; as [`sneck::Locks::refresh`](crate::Locks::refresh).
    ///
    /// `read` and `compute` are called on this thread, and are not stopped when the lock is lost.
    ///
    /// # Errors
    /// As for [`sneck::Locks::refresh`](crate::Locks::refresh).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::cell::Cell;
    /// let cache = Cell::new(None);
    /// let read = || Ok::<_, std::io::Error>(cache.get());
    /// let compute = |_token| {
    ///     cache.set(Some(42));
    ///     Ok(42)
    /// };
    /// assert_eq!(locks.refresh("answer", read, compute)?, 42);
    /// assert_eq!(locks.refresh("answer", read, |_| panic!("it is there"))?, 42);
    /// # Ok(()) }
    /// ```
    pub fn refresh<T: Send + 'static, E: Send + 'static>(
        &self,
        key: impl AsRef<str>,
        read: impl Fn() -> Result<Option<T>, E>,
        compute: impl FnOnce(Token) -> Result<T, E>,
    ) -> Result<T, WorkError<E>> {
        let (locks, key) = (self.inner().clone(), key.as_ref().to_owned());
        let mut compute = Some(compute);
        self.driver().serve(
            |desk| async move {
                let read = || desk.ask(Errand::Read);
                let compute = |token| desk.ask(move |reply| Errand::Compute(token, reply));
                locks.refresh(key, read, compute).await
            },
            |errand| match errand {
                // Nobody waits any more for what was asked just before the line moved on.
                Errand::Read(reply) if reply.is_closed() => {}
                Errand::Read(reply) => drop(reply.send(read())),
                Errand::Compute(token, reply) => {
                    if let Some(compute) = compute.take_if(|_| !reply.is_closed()) {
                        let _ = reply.send(compute(token));
                    }
                }
            },
        )
    }
}
