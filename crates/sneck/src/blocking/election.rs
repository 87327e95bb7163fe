//! Electing a leader.

use super::alarm::Alarm;
use super::driver::Driver;
use super::queued::Queued;
use crate::Leader;
use sneck_core::{Error, ErrorKind, Loss, Token};
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// An election, without `async`; as [`sneck::Election`](crate::Election).
///
/// ```
/// # fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::blocking::connect("memory:")?;
/// let election = locks.election("scheduler");
/// let mut leaders = election.observe();
/// assert!(leaders.next().expect("it goes on")?.is_none(), "nobody leads");
///
/// let leadership = election.campaign("http://10.0.0.7:8080")?;
/// let leader = leaders.next().expect("it goes on")?.expect("somebody leads");
/// assert_eq!(leader.data, "http://10.0.0.7:8080");
/// assert_eq!(leader.token, Some(leadership.token()));
/// leadership.resign()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Election {
    inner: crate::Election,
    driver: Driver,
}

impl Election {
    /// The most data a candidate may have, in bytes.
    pub const DATA_MAX: usize = crate::Election::DATA_MAX;

    pub(super) fn new(driver: &Driver, inner: crate::Election) -> Self {
        Election { inner, driver: driver.clone() }
    }

    /// Stands for election and waits until it is won, for ever if need be.
    ///
    /// # Errors
    /// As for [`sneck::Election::campaign`](crate::Election::campaign).
    pub fn campaign(&self, data: &str) -> Result<Leadership, Error> {
        let data = data.to_owned();
        let won = self.ask(|election| async move { election.campaign(&data).await })?;
        Ok(Leadership::new(&self.driver, won))
    }

    /// Stands for election for at most `timeout`.
    ///
    /// # Errors
    /// As for [`campaign`](Election::campaign), and [`ErrorKind::Timeout`], whose
    /// [`holder`](Error::holder) is the leader if it could be learnt.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    ///
    /// let election = locks.election("scheduler");
    /// let _leadership = election.campaign("a")?;
    /// let error = election.campaign_timeout("b", Duration::from_millis(5)).unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub fn campaign_timeout(&self, data: &str, timeout: Duration) -> Result<Leadership, Error> {
        let data = data.to_owned();
        let ask = |election: crate::Election| async move {
            election.campaign_timeout(&data, timeout).await
        };
        Ok(Leadership::new(&self.driver, self.ask(ask)?))
    }

    /// Leads if nobody does: `Ok(None)` when somebody does.
    ///
    /// # Errors
    /// As for [`campaign`](Election::campaign), and [`ErrorKind::Unavailable`] when the store cannot be
    /// reached.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let election = locks.election("scheduler");
    /// let leadership = election.try_campaign("a")?;
    /// assert!(leadership.is_some() && election.try_campaign("b")?.is_none());
    /// # Ok(()) }
    /// ```
    pub fn try_campaign(&self, data: &str) -> Result<Option<Leadership>, Error> {
        let data = data.to_owned();
        let won = self.ask(|election| async move { election.try_campaign(&data).await })?;
        Ok(won.map(|won| Leadership::new(&self.driver, won)))
    }

    /// Stands for election as [`campaign`](Election::campaign) does, and tells meanwhile how many would
    /// lead before, and who leads.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let queued = locks.election("scheduler").campaign_queued("http://10.0.0.7:8080");
    /// queued.guard()?.resign()?;
    /// # Ok(()) }
    /// ```
    pub fn campaign_queued(&self, data: &str) -> Queued<Leadership> {
        let driver = self.driver.clone();
        let queued = self.inner.campaign_queued(data);
        Queued::new(&self.driver, queued.map(move |inner| Leadership::new(&driver, inner)))
    }

    /// Who leads; `None` when nobody does.
    ///
    /// # Errors
    /// As for [`sneck::Election::leader`](crate::Election::leader).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let election = locks.election("scheduler");
    /// assert!(election.leader()?.is_none());
    /// let _leadership = election.campaign("http://10.0.0.7:8080")?;
    /// assert_eq!(election.leader()?.expect("somebody leads").data, "http://10.0.0.7:8080");
    /// # Ok(()) }
    /// ```
    pub fn leader(&self) -> Result<Option<Leader>, Error> {
        self.ask(|election| async move { election.leader().await })
    }

    /// The leader, and behind it those who stand for election, in order.
    ///
    /// # Errors
    /// As for [`sneck::Election::candidates`](crate::Election::candidates).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let election = locks.election("scheduler");
    /// let _leadership = election.campaign("a")?;
    /// let in_line: Vec<String> = election.candidates()?.into_iter().map(|one| one.data).collect();
    /// assert_eq!(in_line, ["a"]);
    /// # Ok(()) }
    /// ```
    pub fn candidates(&self) -> Result<Vec<Leader>, Error> {
        self.ask(|election| async move { election.candidates().await })
    }

    /// Who leads now, and every change of that: an iterator that waits for each.
    pub fn observe(&self) -> Leaders {
        let inner = Arc::new(Mutex::new(self.inner.observe()));
        Leaders { inner, driver: self.driver.clone(), over: false }
    }

    fn ask<F>(&self, question: impl FnOnce(crate::Election) -> F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.driver.drive(question(self.inner.clone()))
    }
}

/// The leadership of an election, until it is resigned, dropped or lost; as
/// [`sneck::Leadership`](crate::Leadership).
#[derive(Debug)]
#[must_use = "a leadership that is dropped is resigned at once"]
pub struct Leadership {
    inner: crate::Leadership,
    alarm: Alarm,
}

impl Leadership {
    fn new(driver: &Driver, inner: crate::Leadership) -> Self {
        Leadership { inner, alarm: Alarm::new(driver) }
    }

    /// The fencing token: larger than that of every earlier leader.
    pub fn token(&self) -> Token {
        self.inner.token()
    }

    /// Whether the leadership is certainly still held; nothing is sent.
    pub fn is_held(&self) -> bool {
        self.inner.is_held()
    }

    /// [`is_held`](Leadership::is_held) as an error, to be asked before every order that is given.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when it is not certainly held any more, with the reason.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let leadership = locks.election("scheduler").campaign("a")?;
    /// for job in ["backup", "report"] {
    ///     leadership.check()?;
    ///     println!("ordering {job} with token {}", leadership.token());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        self.inner.check()
    }

    /// How long the leadership may still be believed in if the store never answers again.
    pub fn remaining(&self) -> Duration {
        self.inner.remaining()
    }

    /// Waits until the leadership is lost, for ever if need be, and says why.
    pub fn wait_lost(&self) -> Loss {
        self.alarm.wait(self.inner.lost())
    }

    /// Waits until the leadership is lost, for at most `timeout`; `None` when it was not by then.
    pub fn wait_lost_timeout(&self, timeout: Duration) -> Option<Loss> {
        self.alarm.wait_timeout(self.inner.lost(), timeout)
    }

    /// Calls back once when the leadership is lost; see [`Guard::on_lost`](super::Guard::on_lost).
    pub fn on_lost(&self, callback: impl FnOnce(Loss) + Send + 'static) {
        self.alarm.set(self.inner.lost(), callback);
    }

    /// Leads, and says afterwards whether the leadership was held all the time. The work is not stopped;
    /// see [`Guard::protect`](super::Guard::protect).
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when it was lost before the work began, or by the time it was done.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let leadership = locks.election("scheduler").campaign("a")?;
    /// let orders = leadership.protect(|_| 3)?;
    /// assert_eq!(orders, 3);
    /// # Ok(()) }
    /// ```
    pub fn protect<T>(&self, work: impl FnOnce(&Self) -> T) -> Result<T, Error> {
        self.check()?;
        let done = work(self);
        self.check().map(|()| done)
    }

    /// Lets the next candidate lead, and waits until the store has confirmed that.
    ///
    /// # Errors
    /// As for [`Guard::unlock`](super::Guard::unlock).
    pub fn resign(self) -> Result<(), Error> {
        let Leadership { inner, alarm } = self;
        alarm.driver().drive(inner.resign())
    }
}

/// Every change of leader, made by [`Election::observe`]; see [`sneck::Leaders`](crate::Leaders).
///
/// As an iterator it waits for each change, for ever if need be, and ends after an error.
#[derive(Debug)]
pub struct Leaders {
    inner: Arc<Mutex<crate::Leaders>>,
    driver: Driver,
    over: bool,
}

impl Leaders {
    /// The next change, waited for for at most `timeout`. What was not told is told by the next call.
    ///
    /// # Errors
    /// As for [`sneck::Leaders::next`](crate::Leaders::next), and [`ErrorKind::Timeout`] when nothing
    /// changed.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    /// let mut leaders = locks.election("scheduler").observe();
    /// assert!(leaders.next_timeout(Duration::from_secs(60))?.is_none(), "nobody leads");
    /// let error = leaders.next_timeout(Duration::from_millis(5)).unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Leader>, Error> {
        let inner = self.inner.clone();
        self.driver.drive(async move {
            let mut leaders = inner.lock().await;
            tokio::time::timeout(timeout, leaders.next()).await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Timeout, "the leader did not change in the time allowed"))
            })
        })
    }
}

impl Iterator for Leaders {
    type Item = Result<Option<Leader>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let inner = self.inner.clone();
        let next = self.driver.drive(async move { inner.lock().await.next().await });
        self.over = next.is_err();
        Some(next)
    }
}

impl FusedIterator for Leaders {}
