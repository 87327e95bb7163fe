//! Electing a leader.

use crate::attempt::Attempt;
use crate::locks::Locks;
use crate::mutex::Mutex;
use crate::queued::Queued;
use sneck_core::{Caller, Contender, Error, ErrorKind, Guard, Loss, Name, Observer, Token};
use std::fmt;
use std::future::Future;
use std::time::{Duration, SystemTime};

/// An election: candidates stand in line, and whoever is first leads until it resigns or is lost.
///
/// A leader is told that it leads no more *before* another can: leadership is a lock, and its guard's
/// deadline is the leadership's. On ZooKeeper, candidates share a line with the leader latch of Apache
/// Curator. The name must not be that of a lock besides.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
/// let locks = sneck::connect("memory:").await?;
/// let election = locks.election("scheduler");
/// let mut observer = election.observe();
/// assert!(observer.next().await?.is_none(), "nobody leads");
///
/// let leadership = election.campaign("http://10.0.0.7:8080").await?;
/// let leader = observer.next().await?.expect("somebody leads");
/// assert_eq!(leader.data, "http://10.0.0.7:8080");
/// assert_eq!(leader.token, Some(leadership.token()));
///
/// leadership.resign().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Election {
    locks: Locks,
    name: Result<Name, Error>,
}

impl Election {
    /// The most data a candidate may have, in bytes: enough to say where it can be reached. What is
    /// larger belongs into a store of its own.
    pub const DATA_MAX: usize = 200;

    pub(crate) fn new(locks: &Locks, name: Result<Name, Error>) -> Self {
        let backend = locks.locker().backend();
        let locks = match backend.elections() {
            Some(elections) => locks.on_backend(elections),
            // What a candidate says is beside its own place.
            None => locks.without_sharing(),
        };
        Election { locks, name }
    }

    /// Stands for election and waits until it is won, for ever if need be. `data` is shown to everybody
    /// who looks at the election, for instance where the candidate can be reached.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name, and for data that is longer than
    /// [`DATA_MAX`](Election::DATA_MAX) or has control characters; nothing is sent then. Otherwise as
    /// for [`Mutex::lock`].
    ///
    /// # Cancel safety
    /// When the future is dropped, the candidate withdraws in the background.
    pub async fn campaign(&self, data: &str) -> Result<Leadership, Error> {
        Ok(Leadership { guard: self.candidate(data)?.lock().await? })
    }

    /// Stands for election for at most `timeout`.
    ///
    /// # Errors
    /// As for [`campaign`](Election::campaign), and [`ErrorKind::Timeout`], whose
    /// [`holder`](Error::holder) is the leader if it could be learnt.
    ///
    /// # Cancel safety
    /// When the future is dropped, the candidate withdraws in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// let election = locks.election("scheduler");
    /// let _leadership = election.campaign("a").await?;
    /// let error = election.campaign_timeout("b", Duration::from_millis(5)).await.unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub async fn campaign_timeout(
        &self,
        data: &str,
        timeout: Duration,
    ) -> Result<Leadership, Error> {
        Ok(Leadership { guard: self.candidate(data)?.lock_timeout(timeout).await? })
    }

    /// Leads if nobody does: `Ok(None)` when somebody does.
    ///
    /// # Errors
    /// As for [`campaign`](Election::campaign), and [`ErrorKind::Unavailable`] when the store cannot be
    /// reached.
    ///
    /// # Cancel safety
    /// When the future is dropped, the candidate withdraws in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let election = locks.election("scheduler");
    /// let leadership = election.try_campaign("a").await?;
    /// assert!(leadership.is_some() && election.try_campaign("b").await?.is_none());
    /// # Ok(()) }
    /// ```
    pub async fn try_campaign(&self, data: &str) -> Result<Option<Leadership>, Error> {
        Ok(self.candidate(data)?.try_lock().await?.map(|guard| Leadership { guard }))
    }

    /// Stands for election as [`campaign`](Election::campaign) does, and tells meanwhile how many would
    /// lead before, and who leads. What it fails with is told by [`Queued::guard`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let mut queued = locks.election("scheduler").campaign_queued("http://10.0.0.7:8080");
    /// while let Some(waiting) = queued.next().await {
    ///     println!("{:?} would lead before", waiting.ahead);
    /// }
    /// let leadership = queued.guard().await?;
    /// # leadership.resign().await?;
    /// # Ok(()) }
    /// ```
    pub fn campaign_queued(&self, data: &str) -> Queued<Leadership> {
        let queued = match self.candidate(data) {
            Ok(mutex) => mutex.lock_queued(),
            Err(error) => Attempt::new(self.locks.clone()).queued(Err(error)),
        };
        queued.map(|guard| Leadership { guard })
    }

    /// Who leads; `None` when nobody does. What is told may be over by the time it is read: only a
    /// resource that checks the token knows.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name, and what the store reports.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let election = locks.election("scheduler");
    /// assert!(election.leader().await?.is_none());
    /// let _leadership = election.campaign("http://10.0.0.7:8080").await?;
    /// assert_eq!(election.leader().await?.expect("somebody leads").data, "http://10.0.0.7:8080");
    /// # Ok(()) }
    /// ```
    pub async fn leader(&self) -> Result<Option<Leader>, Error> {
        Ok(self.candidates().await?.into_iter().next())
    }

    /// The leader, and behind it those who stand for election, in the order in which they would lead.
    ///
    /// # Errors
    /// As for [`leader`](Election::leader).
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let election = locks.election("scheduler");
    /// let _leadership = election.campaign("a").await?;
    /// let in_line: Vec<String> = election.candidates().await?.into_iter().map(|one| one.data).collect();
    /// assert_eq!(in_line, ["a"]);
    /// # Ok(()) }
    /// ```
    pub async fn candidates(&self) -> Result<Vec<Leader>, Error> {
        let line = self.locks.line(self.name.clone()?.as_str()).await?;
        Ok(line.into_iter().map(Leader::of).collect())
    }

    /// Who leads now, and every change of that.
    pub fn observe(&self) -> Leaders {
        let locker = self.locks.locker();
        Leaders(self.name.clone().map(|name| Observer::new(locker.clone(), name)))
    }

    /// The mutex behind it, for a candidate with this data.
    fn candidate(&self, data: &str) -> Result<Mutex, Error> {
        let name = self.name.clone()?;
        if let Some(fault) = fault(data) {
            let text = format!("the candidate's data {fault}");
            let error = Error::new(ErrorKind::Invalid, text).with_lock(&name);
            return Err(error.with_hint("keep to an address, and store the rest elsewhere"));
        }
        Ok(self.locks.mutex(name.as_str()).with_note(data))
    }
}

fn fault(data: &str) -> Option<String> {
    if data.len() > Election::DATA_MAX {
        return Some(format!("is {} bytes long; at most {} fit", data.len(), Election::DATA_MAX));
    }
    // Others read it from a line of text, where it must not break the line; so it comes back as it is,
    // or not at all.
    let caller = Caller { note: data.to_owned(), ..Caller::anonymous() };
    let read = Caller::parse(&caller.to_string());
    (read.is_none_or(|read| read.note != data)).then(|| "cannot be shown as text".to_owned())
}

/// The leadership of an election, until it is resigned, dropped or lost.
///
/// Dropping it resigns in the background.
#[derive(Debug)]
#[must_use = "a leadership that is dropped is resigned at once"]
pub struct Leadership {
    guard: Guard,
}

impl Leadership {
    /// The fencing token: larger than that of every earlier leader. To be sent along with everything a
    /// leader orders, so that late orders of a deposed one can be refused.
    pub fn token(&self) -> Token {
        self.guard.token()
    }

    /// The lock that is the leadership, for those who look after the work themselves.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Whether the leadership is certainly still held; nothing is sent. Once it has said `false` it never
    /// says `true` again.
    pub fn is_held(&self) -> bool {
        self.guard.is_held()
    }

    /// [`is_held`](Leadership::is_held) as an error, for work that goes on step by step.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when it is not certainly held any more, with the reason.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let leadership = locks.election("scheduler").campaign("a").await?;
    /// for job in ["backup", "report"] {
    ///     leadership.check()?;
    ///     println!("ordering {job} with token {}", leadership.token());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        self.guard.check()
    }

    /// How long the leadership may still be believed in if the store never answers again.
    pub fn remaining(&self) -> Duration {
        self.guard.remaining()
    }

    /// Resolves when the leadership is lost, and says why: before another candidate can lead, as long as
    /// this process runs. The future is independent and may be moved to another task.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub fn lost(&self) -> impl Future<Output = Loss> + Send + use<> {
        self.guard.lost()
    }

    /// Leads: runs `work` while the leadership is held. When it is lost, `work` is dropped where it
    /// stands.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the leadership was lost before `work` was done, or by the time it was.
    ///
    /// # Cancel safety
    /// As cancel safe as `work`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let leadership = locks.election("scheduler").campaign("a").await?;
    /// let orders = leadership.protect(async { 3 }).await?;
    /// assert_eq!(orders, 3);
    /// # Ok(()) }
    /// ```
    pub async fn protect<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        self.guard.protect(work).await
    }

    /// Lets the next candidate lead, and waits until the store has confirmed that.
    ///
    /// # Errors
    /// As for [`Guard::unlock`].
    ///
    /// # Cancel safety
    /// When the future is dropped, resigning goes on in the background.
    pub async fn resign(self) -> Result<(), Error> {
        self.guard.unlock().await
    }
}

/// Who leads, as seen by everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The fencing token of the leadership.
    pub token: Option<Token>,
    /// What the candidate said about itself. A candidate of another client has its id here.
    pub data: String,
    /// The process, when it is one of sneck.
    pub caller: Option<Caller>,
    /// When it came to stand for election, by the store's clock.
    pub since: Option<SystemTime>,
}

impl Leader {
    fn of(contender: Contender) -> Self {
        let Contender { caller, text, since, token, .. } = contender;
        let data = caller.as_ref().map_or(text, |caller| caller.note.clone());
        Leader { token, data, caller, since }
    }
}

impl fmt::Display for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.data)
    }
}

/// Every change of leader, made by [`Election::observe`].
#[derive(Debug)]
pub struct Leaders(Result<Observer, Error>);

impl Leaders {
    /// At first who leads, then each time somebody else does; `None` when nobody leads. Tokens only
    /// rise. Changes that follow each other faster than the store can be asked are told as one. While
    /// the store cannot be reached, waits.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name, and what the store reports.
    ///
    /// # Cancel safety
    /// Cancel safe: what was not told is told by the next call.
    pub async fn next(&mut self) -> Result<Option<Leader>, Error> {
        match &mut self.0 {
            Ok(observer) => Ok(observer.next().await?.map(Leader::of)),
            Err(error) => Err(error.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_back_as_it_is_or_not_at_all() {
        let long = "x".repeat(Election::DATA_MAX);
        let quotes = "\"".repeat(Election::DATA_MAX / 2);
        for data in ["", "http://h:1/a b?c=\"d\"", "Größe", &long, &quotes] {
            assert_eq!(fault(data), None, "{data:?}");
        }
        let longer = "x".repeat(Election::DATA_MAX + 1);
        for data in ["a\nb", "\0", &longer, &"\"".repeat(Election::DATA_MAX)] {
            assert!(fault(data).is_some(), "{data:?}");
        }
    }
}
