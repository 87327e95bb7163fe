//! Asking until there is an answer.

use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Outcome};
use std::future::Future;
use std::time::Duration;

/// Calls `attempt` until its answer is not a [transient](Error::is_transient) error, for as long as
/// `limit`. That is how a lost answer of [`Records`](crate::Records) is settled: each attempt has the
/// same arguments, and is applied once at most. `seed` is that of the pauses between them.
///
/// # Errors
/// What the last attempt said. If one of them may have been applied and that is not known in the end,
/// the outcome is unknown.
///
/// # Cancel safety
/// What was asked for may then happen or not.
pub(crate) async fn settle<T, A: Future<Output = Result<T, Error>>>(
    limit: Duration,
    seed: u64,
    mut attempt: impl FnMut() -> A,
) -> Result<T, Error> {
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1), seed);
    let mut last: Option<Error> = None;
    let mut began = false;
    let asking = async {
        loop {
            began = true;
            match attempt().await {
                Err(error) if error.is_transient() => {
                    let doubtful =
                        last.take().is_some_and(|last| last.outcome() == Outcome::Unknown);
                    last = Some(if doubtful { error.with_unknown_outcome() } else { error });
                    tokio::time::sleep(backoff.pause()).await;
                }
                done => return done,
            }
        }
    };
    match tokio::time::timeout(limit, asking).await {
        Ok(done) => done,
        Err(_) => Err(last.unwrap_or_else(|| {
            let text = format!("no answer within {limit:?}");
            let error = Error::new(ErrorKind::Unavailable, text);
            if began { error.with_unknown_outcome() } else { error }
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> Error {
        Error::new(ErrorKind::Unavailable, "no")
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_been_applied_stays_in_doubt_until_there_is_an_answer() {
        let mut errors = vec![unavailable(), unavailable().with_unknown_outcome(), unavailable()];
        let limit = Duration::from_secs(5);
        let error = settle(limit, 1, || {
            let error = errors.pop().unwrap_or_else(unavailable);
            async { Err::<(), _>(error) }
        });
        assert_eq!(error.await.unwrap_err().outcome(), Outcome::Unknown);
        let mut errors = vec![unavailable().with_unknown_outcome()];
        let answer = settle(limit, 1, || {
            let answer = errors.pop().map_or(Ok(7), Err);
            async { answer }
        });
        assert_eq!(answer.await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_at_the_limit() {
        let silent = settle(Duration::from_secs(5), 1, std::future::pending::<Result<(), Error>>);
        let error = silent.await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_never_work_is_not_asked_twice() {
        let mut times = 0;
        let refused = settle(Duration::from_secs(5), 1, || {
            times += 1;
            async { Err::<(), _>(Error::new(ErrorKind::Denied, "no")) }
        });
        assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::Denied);
        assert_eq!(times, 1);
    }
}
