//! One user of a stranger's: it takes a mutex, does something under it, gives it back, and so on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use sneck_history::{Event, Mode, Teller, monotonic_ns};
use tokio::sync::{mpsc, watch};

use super::{Posting, Program};
use crate::library::Promises;
use crate::orders::Work;
use crate::owners::{Owners, Standing};

/// How often it is looked what became of a place while its owner waits.
const POLL: Duration = Duration::from_millis(50);
/// The same after it has stood still: what its program was about to say comes before what has become of its place.
const AFTER_PAUSE: Duration = Duration::from_millis(500);
/// After a call that failed, so that an outage is no busy loop.
const FAILED_PAUSE: Duration = Duration::from_millis(200);
/// Of so many holds one lasts for longer than a session, so that sessions end under holders, too.
const LONG_HOLD_EVERY: u32 = 60;

/// A line that is about a lock.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) line: String,
    /// How often the session had been in doubt before it came.
    pub(super) doubts: u64,
}

/// What reaches a user.
#[derive(Debug)]
pub(super) struct Ears {
    pub(super) heard: mpsc::UnboundedReceiver<Heard>,
    pub(super) doubted: watch::Receiver<u64>,
    /// Whether its program is stopped.
    pub(super) moving: watch::Receiver<bool>,
}

pub(super) struct Lane {
    client: u32,
    promises: Promises,
    lock: &'static str,
    path: String,
    work: Work,
    session: Duration,
    random: Rng,
    program: Program,
    teller: Teller,
    attempts: Arc<AtomicU64>,
    owners: Owners,
    ears: Ears,
    /// The session that the last attempt was made under, where that is known.
    asked_under: Option<String>,
}

/// What a library answered to a call for a lock.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It is held, perhaps with a token, and perhaps with a time until which that is so.
    Held {
        token: Option<u64>,
        until_ns: Option<u64>,
    },
    /// Somebody else has it.
    Busy,
    /// It is given back.
    Free,
    Error,
}

/// A grant: what a user knows of its lock.
#[derive(Debug, Clone, Copy)]
struct Grant {
    attempt: u64,
    /// The token to show.
    shown: Option<u64>,
    /// How often the session had been in doubt before.
    doubts: u64,
}

impl Lane {
    pub(super) fn new(
        posting: &Posting,
        lock: &'static str,
        path: String,
        (program, teller, attempts): (Program, Teller, Arc<AtomicU64>),
        ears: Ears,
    ) -> Lane {
        let salt = lock.bytes().fold(0, |salt, byte| salt << 8 | u64::from(byte));
        Lane {
            client: posting.client,
            promises: posting.library.promises(),
            lock,
            path,
            work: posting.work,
            session: posting.session,
            random: Rng::with_seed(posting.seed ^ salt),
            program,
            teller,
            attempts,
            owners: posting.owners.clone(),
            ears,
            asked_under: None,
        }
    }

    /// Takes the lock until it is told to come to an end. A call that never returns stays open in the
    /// history, where the judge finds it.
    pub(super) async fn run(mut self, draining: watch::Receiver<bool>) -> io::Result<()> {
        while !*draining.borrow() {
            let tries = self.promises.tries && self.is_mixed() && self.random.u32(0..8) == 0;
            let mut attempt = self.begin(tries)?;
            self.say(&format!("{}lock {}", if tries { "try-" } else { "" }, self.path));
            let answered = match tries {
                true => self.answer().await,
                false => self.answer_in_line(&mut attempt).await?,
            };
            // Whoever started it has killed it, or it died of its own.
            let Some((answer, doubts)) = answered else { return Ok(()) };
            let is_settled = !matches!(answer, Answer::Free | Answer::Error);
            match answer {
                Answer::Held { token, until_ns } => {
                    self.tell_of_grant(attempt, token, until_ns)?;
                    self.hold(Grant { attempt, shown: token, doubts }).await?;
                }
                Answer::Busy => self.tell(Event::Refused { attempt })?,
                Answer::Free | Answer::Error => {
                    self.tell(Event::Unsure { attempt })?;
                    tokio::time::sleep(FAILED_PAUSE).await;
                }
            }
            self.owners.end(attempt, is_settled);
        }
        Ok(())
    }

    fn is_mixed(&self) -> bool {
        self.work == Work::Mixed
    }

    /// Tells of a new attempt, with the session that it is made under.
    fn begin(&mut self, no_wait: bool) -> io::Result<u64> {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        let (lock, mode, together) = (self.lock.to_owned(), Mode::Exclusive, None);
        let session = self.known_session();
        self.asked_under = session.clone();
        self.tell(Event::Acquire { attempt, lock, mode, session, no_wait, together })?;
        self.owners.begin(self.client, self.lock, attempt);
        Ok(attempt)
    }

    /// The session, of those who promise to tell of its end: of others it is not judged what they knew.
    fn known_session(&self) -> Option<String> {
        self.promises.notice.then(|| self.owners.session(self.client)).flatten()
    }

    /// The next answer, and how often the session had been in doubt before; none if the program is gone. A
    /// call that is dropped takes no answer away.
    async fn answer(&mut self) -> Option<(Answer, u64)> {
        loop {
            // What is said of the loss of an earlier hold comes too late.
            let Heard { line, doubts } = self.ears.heard.recv().await?;
            if let Some(answer) = answer(&line) {
                self.moves().await;
                return Some((answer, doubts));
            }
        }
    }

    /// The same of a call that waits in line, with what becomes of its place meanwhile. One whose place has
    /// vanished stands in line anew as far as order goes: it goes on as another attempt.
    async fn answer_in_line(&mut self, attempt: &mut u64) -> io::Result<Option<(Answer, u64)>> {
        let (mut is_queued, mut patience) = (false, POLL);
        loop {
            let heard = tokio::time::timeout(patience, self.ears.heard.recv()).await;
            patience = if self.moves().await { AFTER_PAUSE } else { POLL };
            match heard {
                Ok(None) => return Ok(None),
                Ok(Some(Heard { line, doubts })) => {
                    if let Some(answer) = answer(&line) {
                        return Ok(Some((answer, doubts)));
                    }
                }
                Err(_) if patience == AFTER_PAUSE => {}
                Err(_) => self.look(attempt, &mut is_queued)?,
            }
        }
    }

    fn look(&mut self, attempt: &mut u64, is_queued: &mut bool) -> io::Result<()> {
        match self.owners.standing(*attempt) {
            Some(Standing::There) if !*is_queued => {
                *is_queued = true;
                self.tell(Event::Queued { attempt: *attempt })
            }
            Some(Standing::Gone) => {
                self.tell(Event::Unsure { attempt: *attempt })?;
                self.owners.end(*attempt, true);
                (*attempt, *is_queued) = (self.begin(false)?, false);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn tell_of_grant(
        &mut self,
        attempt: u64,
        token: Option<u64>,
        until_ns: Option<u64>,
    ) -> io::Result<()> {
        // Of libraries without a token; nobody is shown this one: it counts grants.
        static COUNTED: AtomicU64 = AtomicU64::new(1);
        let counted = || COUNTED.fetch_add(1, Ordering::Relaxed);
        let session = self.known_session().filter(|now| self.asked_under.as_ref() != Some(now));
        let token = token.unwrap_or_else(counted);
        self.tell(Event::Granted { attempt, token, session, until_ns })
    }

    /// Reads, waits, writes and gives the lock back.
    async fn hold(&mut self, grant: Grant) -> io::Result<()> {
        let Grant { attempt, shown, .. } = grant;
        self.owners.hold(attempt, self.lock);
        let read = self.teller.read(self.lock, attempt, shown)?;
        let is_lost = self.linger(grant).await?;
        self.moves().await;
        if is_lost {
            self.tell_of_loss(attempt)?;
        }
        if read.admitted && !is_lost {
            self.teller.write(self.lock, attempt, shown, Some(read.version))?;
        }
        self.owners.let_go(attempt);
        self.tell(Event::Release { attempt })?;
        self.say(&format!("release {}", self.path));
        match self.answer().await {
            None => Ok(()),
            Some((Answer::Free, _)) => self.tell(Event::Released { attempt }),
            Some(_) => self.tell(Event::Unsure { attempt }),
        }
    }

    /// Holds for a while. Says whether the lock was said to be lost or in doubt meanwhile, to those to whom
    /// that is promised and who listen.
    async fn linger(&mut self, grant: Grant) -> io::Result<bool> {
        let length = match self.work {
            Work::Set { sleep_ms, .. } => {
                tokio::time::sleep(Duration::from_millis(sleep_ms)).await;
                return Ok(false);
            }
            Work::Mixed if self.random.u32(0..LONG_HOLD_EVERY) == 0 => self.session.mul_f64(1.5),
            Work::Mixed if self.random.u32(0..10) == 0 => {
                Duration::from_millis(self.random.u64(50..400))
            }
            Work::Mixed => Duration::from_millis(self.random.u64(0..20)),
        };
        let listens = self.promises.notice;
        let over = tokio::time::sleep(length);
        tokio::pin!(over);
        loop {
            let heard = tokio::select! {
                biased;
                Ok(_) = self.ears.doubted.wait_for(|doubts| *doubts > grant.doubts), if listens => {
                    return Ok(true);
                }
                heard = self.ears.heard.recv() => heard,
                () = &mut over => return Ok(false),
            };
            let Some(Heard { line, .. }) = heard else { return Ok(false) };
            self.moves().await;
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["lost", _] => return Ok(true),
                ["until", _, until_ns] => {
                    let until_ns = until_ns.parse().unwrap_or_default();
                    self.tell(Event::Extended { attempt: grant.attempt, until_ns })?;
                }
                _ => {}
            }
        }
    }

    fn tell_of_loss(&mut self, attempt: u64) -> io::Result<()> {
        self.teller.tell_of(monotonic_ns(), Event::Lost { attempt }).map(drop)
    }

    fn tell(&mut self, event: Event) -> io::Result<()> {
        self.teller.tell(event).map(drop)
    }

    fn say(&self, line: &str) {
        // A program that has ended answers nothing, which is seen where the answer is waited for.
        let _ = self.program.lock().say(line);
    }

    /// Returns when its program is not stopped, and whether it was.
    async fn moves(&mut self) -> bool {
        let was_stopped = *self.ears.moving.borrow();
        let _ = self.ears.moving.wait_for(|is_stopped| !*is_stopped).await;
        was_stopped
    }
}

/// What a line says, if it is an answer.
fn answer(line: &str) -> Option<Answer> {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| words.get(at)?.parse().ok();
    Some(match words[0] {
        "held" => Answer::Held { token: number(2), until_ns: number(3) },
        "busy" => Answer::Busy,
        "free" => Answer::Free,
        "error" => Answer::Error,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_what_is_said_unasked() {
        let held = |token, until_ns| Some(Answer::Held { token, until_ns });
        assert_eq!(answer("held /a/b"), held(None, None));
        assert_eq!(answer("held b 77 99"), held(Some(77), Some(99)));
        assert_eq!(answer("error /a/b no node"), Some(Answer::Error));
        assert_eq!(
            [answer("busy /a"), answer("free /a")],
            [Some(Answer::Busy), Some(Answer::Free)]
        );
        assert_eq!(answer("lost b"), None);
    }
}
