//! Single flight: of many who want a value, one computes it.

use crate::locks::Locks;
use crate::work_error::WorkError;
use sneck_core::{Error, Name, Observer, Progress, Token};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::Notify;

impl Locks {
    /// Reads a value that many want and that is dear to compute, such as an entry of a cache. If it is
    /// not there, one of all the callers on all machines computes it; the others wait and read.
    ///
    /// `read` looks for the value, `Ok(None)` when it is not there or too old; it is called again each
    /// time the one that computes has come to an end, and must not mind being dropped in between.
    /// `compute` computes the value *and puts it where `read` finds it*, under the token it is given, so
    /// that a late write of a process that was stopped can be refused. It runs under the mutex `key`,
    /// and is dropped where it stands when that is lost.
    ///
    /// When computing fails, or its process dies, the next in line looks again and tries; the others go
    /// on waiting. So there is never more than one at it, whatever happens to it.
    ///
    /// # Errors
    /// [`WorkError::Work`] with what this caller's own `read` or `compute` said;
    /// [`WorkError::Lock`] as for [`Mutex::lock`](crate::Mutex::lock), and when the lock was lost while
    /// the value was computed.
    ///
    /// # Cancel safety
    /// When the future is dropped, the computation is dropped where it stands and the next in line has
    /// its turn.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Mutex;
    /// let locks = sneck::connect("memory:").await?;
    /// let cache = Mutex::new(None);
    /// let read = || async { Ok::<_, std::io::Error>(*cache.lock().unwrap()) };
    /// let compute = |_token| async {
    ///     let value = 6 * 7;
    ///     *cache.lock().unwrap() = Some(value);
    ///     Ok(value)
    /// };
    /// assert_eq!(locks.refresh("answer", read, compute).await?, 42);
    /// # Ok(()) }
    /// ```
    pub async fn refresh<T, E, R, C>(
        &self,
        key: impl AsRef<str>,
        read: impl Fn() -> R,
        compute: impl FnOnce(Token) -> C,
    ) -> Result<T, WorkError<E>>
    where
        R: Future<Output = Result<Option<T>, E>>,
        C: Future<Output = Result<T, E>>,
    {
        let name = Name::new(key.as_ref())?;
        if let Some(value) = read().await.map_err(WorkError::Work)? {
            return Ok(value);
        }
        let waiting = Arc::new(Notify::new());
        let told = waiting.clone();
        let mutex = self.mutex(name.as_str()).on_progress(move |progress| {
            if let Progress::Waiting(_) = progress {
                told.notify_one();
            }
        });
        let guard = {
            let mut turn = pin!(mutex.lock());
            let mut found = pin!(async {
                // Nobody looks on before it is known that somebody else is at it.
                waiting.notified().await;
                let observer = Observer::new(self.locker().clone(), name.clone());
                found_by_others(observer, &read).await
            });
            tokio::select! {
                biased;
                guard = &mut turn => guard?,
                // Leaving the line is done behind us: all who read at once leave it at once.
                found = &mut found => return found.map_err(WorkError::Work),
            }
        };
        let work = async {
            // Somebody may have been quicker, and those ahead in line may have done it.
            match read().await? {
                Some(value) => Ok(value),
                None => compute(guard.token()).await,
            }
        };
        let done = guard.protect(work).await?;
        // What was computed is there whether or not the release is confirmed; that goes on by itself.
        let released: Result<(), Error> = guard.unlock().await;
        drop(released);
        done.map_err(WorkError::Work)
    }
}

/// The value, as soon as one who computed has come to an end and left it behind.
async fn found_by_others<T, E, R: Future<Output = Result<Option<T>, E>>>(
    mut observer: Observer,
    read: &impl Fn() -> R,
) -> Result<T, E> {
    loop {
        if observer.next().await.is_err() {
            // The line is told what is wrong, or lets us in.
            std::future::pending::<()>().await;
        }
        if let Some(value) = read().await? {
            return Ok(value);
        }
    }
}
