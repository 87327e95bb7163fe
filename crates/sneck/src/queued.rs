//! An attempt that tells its place in line while it waits.

use futures_core::Stream;
use sneck_core::{ClaimId, Contender, Error, Locker, Name, Waiting};
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The least time between two looks at one line: whoever shows a place in line to somebody needs no
/// more, and a long line that moves fast would otherwise be read by all who wait in it at every move.
const LOOK_MIN: Duration = Duration::from_millis(250);

/// An attempt to get a lock that tells its place in line, and who holds the lock, while it waits.
///
/// Made by [`Mutex::lock_queued`](crate::Mutex::lock_queued) and its like. As a [`Stream`] it yields a
/// [`Waiting`] at first and then whenever the place in line or the holder is another one, and ends when
/// the lock was had or the attempt has failed; [`guard`](Queued::guard) says which, and waits if need
/// be.
///
/// * Nothing is sent before it is polled, and the attempt goes on only while [`next`](Queued::next) or
///   `guard` is awaited. A lock that comes in between two calls is held, but nobody knows; so do not
///   tarry.
/// * Of changes that follow each other faster than every 250 ms, or than they are asked for, only the
///   last is told. Each costs one look at the line, on top of what waiting costs; a store that
///   [wakes nobody](crate::Wake) is looked at as often as [`Limits::recheck`](crate::Limits) says.
/// * Of several locks, the place is that in the line of the first that has to be waited for.
/// * While the store cannot be reached nothing is told; `on_progress` of the lock tells that, too.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::connect("memory:").await?;
/// let first = locks.mutex("build").with_note("nightly").lock().await?;
/// let mut queued = locks.mutex("build").lock_queued();
/// let waiting = queued.next().await.expect("somebody is ahead");
/// assert_eq!(waiting.ahead, Some(1));
/// let holder = waiting.holder.and_then(|holder| holder.caller).expect("it is one of us");
/// assert_eq!(holder.note, "nightly");
///
/// drop(first);
/// while let Some(waiting) = queued.next().await {
///     println!("{:?} ahead", waiting.ahead);
/// }
/// let guard = queued.guard().await?;
/// # guard.unlock().await?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is sent before it is polled"]
pub struct Queued<G> {
    attempt: Pin<Box<dyn Future<Output = Result<G, Error>> + Send>>,
    outcome: Option<Result<G, Error>>,
    news: News,
    place: Arc<Place>,
    /// What the attempt was told last.
    heard: Option<Waiting>,
    looking: Looking,
    /// What was told last.
    told: Option<Waiting>,
}

/// What an attempt has heard and nobody has taken note of; only the last of it is kept.
#[derive(Clone, Default)]
pub(crate) struct News(Arc<Mutex<Option<Waiting>>>);

/// Where somebody stands, of several locks in each of their lines.
struct Place {
    locker: Locker,
    claims: Vec<(Name, ClaimId)>,
}

/// What a look at the lines has shown.
struct View {
    waiting: Waiting,
    /// Whose turn it is in the line that is waited in.
    front: Option<(Name, Contender)>,
}

enum Looking {
    /// The attempt has not heard yet that it waits.
    NotYet,
    Now(Pin<Box<dyn Future<Output = Option<View>> + Send>>),
    /// Until it is worth while.
    Later(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl<G> Queued<G> {
    /// An attempt with these claims, which tells `news` how its waiting goes.
    pub(crate) fn new(
        attempt: impl Future<Output = Result<G, Error>> + Send + 'static,
        news: News,
        locker: Locker,
        claims: Vec<(Name, ClaimId)>,
    ) -> Self {
        Queued {
            attempt: Box::pin(attempt),
            outcome: None,
            news,
            place: Arc::new(Place { locker, claims }),
            heard: None,
            looking: Looking::NotYet,
            told: None,
        }
    }

    /// The same attempt for what can be made of its guard.
    pub(crate) fn map<H>(self, make: impl FnOnce(G) -> H + Send + 'static) -> Queued<H>
    where
        G: Send + 'static,
    {
        let Queued { attempt, news, place, .. } = self;
        let attempt = async move { attempt.await.map(make) };
        let (locker, claims) = (place.locker.clone(), place.claims.clone());
        Queued::new(attempt, news, locker, claims)
    }

    /// The place in line, as soon as it is another than was told last; `None` when there is nothing
    /// more to wait for.
    ///
    /// # Cancel safety
    /// Cancel safe: what was not told is told by the next call, and the place in line is kept. It is
    /// given up in the background when the `Queued` itself is dropped.
    pub async fn next(&mut self) -> Option<Waiting> {
        poll_fn(|context| self.poll(context)).await
    }

    /// The lock, when it is had.
    ///
    /// # Errors
    /// As for the method that waits without telling, such as [`Mutex::lock`](crate::Mutex::lock).
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let guard = locks.mutex("build").lock_queued().guard().await?;
    /// assert!(guard.is_held());
    /// # Ok(()) }
    /// ```
    pub async fn guard(self) -> Result<G, Error> {
        match self.outcome {
            Some(outcome) => outcome,
            None => self.attempt.await,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Waiting>> {
        if self.outcome.is_some() {
            return Poll::Ready(None);
        }
        // It is told of by its own task: whatever there is to be heard is there after this.
        if let Poll::Ready(outcome) = self.attempt.as_mut().poll(context) {
            (self.outcome, self.looking) = (Some(outcome), Looking::NotYet);
            return Poll::Ready(None);
        }
        if let Some(heard) = self.news.take() {
            // A look that is under way goes on, lest one that is slow never come to an end.
            let is_looking = matches!(self.looking, Looking::Now(_));
            if !is_looking && self.heard.as_ref() != Some(&heard) {
                self.looking = self.look();
            }
            self.heard = Some(heard);
        }
        loop {
            match &mut self.looking {
                Looking::NotYet => return Poll::Pending,
                Looking::Later(later) => match later.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => self.looking = self.look(),
                },
                Looking::Now(look) => match look.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(view) => {
                        if let Some(news) = self.take_note(view) {
                            return Poll::Ready(Some(news));
                        }
                    }
                },
            }
        }
    }

    fn look(&self) -> Looking {
        let place = self.place.clone();
        Looking::Now(Box::pin(async move { place.look().await }))
    }

    /// What there is to be told of what was seen.
    fn take_note(&mut self, view: Option<View>) -> Option<Waiting> {
        let place = self.place.clone();
        let (waiting, front) = match view {
            Some(View { waiting, front }) => (waiting, front),
            None => (self.heard.clone().unwrap_or_default(), None),
        };
        self.looking = Looking::Later(Box::pin(async move { place.worth_a_look(front).await }));
        if self.told.as_ref() == Some(&waiting) {
            return None;
        }
        self.told = Some(waiting.clone());
        Some(waiting)
    }
}

impl<G> Unpin for Queued<G> {}

impl<G> Stream for Queued<G> {
    type Item = Waiting;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Waiting>> {
        self.poll(context)
    }
}

impl<G> fmt::Debug for Queued<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queued")
            .field("claims", &self.place.claims)
            .field("told", &self.told)
            .field("done", &self.outcome.is_some())
            .finish_non_exhaustive()
    }
}

impl News {
    pub(crate) fn put(&self, waiting: &Waiting) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(waiting.clone());
    }

    fn take(&self) -> Option<Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Place {
    /// Where we stand in the first line in which anybody is ahead. `None` when that cannot be seen: what
    /// the attempt has heard is all there is then.
    async fn look(&self) -> Option<View> {
        let survey = self.locker.backend().survey()?;
        let look = async {
            for (name, claim) in &self.claims {
                let line = survey.line(name).await.ok()?;
                let me = line.iter().position(|place| place.claim == Some(*claim));
                match (me, line.into_iter().next()) {
                    (Some(me), Some(front)) if me > 0 => {
                        let ahead = Some(u32::try_from(me).unwrap_or(u32::MAX));
                        let waiting = Waiting { ahead, holder: Some(front.clone()) };
                        return Some(View { waiting, front: Some((name.clone(), front)) });
                    }
                    _ => {}
                }
            }
            None
        };
        timeout(self.locker.limits().answer, look).await.ok()?
    }

    /// Resolves when a look may show something new.
    async fn worth_a_look(&self, front: Option<(Name, Contender)>) {
        sleep(LOOK_MIN).await;
        let backend = self.locker.backend();
        let changed = async {
            let (Some(survey), Some((name, holder))) = (backend.survey(), front) else {
                return pending().await;
            };
            if survey.holder_changed(&name, Some(&holder)).await.is_err() {
                pending().await
            }
        };
        // What was missed, and what goes on behind the holder's back, is seen some time later.
        let _ = timeout(self.locker.limits().recheck, changed).await;
    }
}
