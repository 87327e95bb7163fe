//! A store in which everything takes its time, and questions and answers get lost.

use async_trait::async_trait;
use sneck::{
    Backend, ClaimId, Contender, Error, ErrorKind, Memory, Mode, Name, Promises, Token, Waiting,
};
use sneck_core::{
    Capacity, Change, Claim, Grant, Instant, Lease, Record, RecordKey, RecordKind, Records,
    Request, Standing, Survey, Term,
};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

/// One client of the store.
pub(crate) struct Shaky {
    memory: Memory,
    dice: Arc<Dice>,
    defect: Defect,
}

/// A rule that the store breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    /// Who is next in line holds the lock, too.
    GrantsTheNext,
    /// A reader never waits.
    LetsReadersIn,
    /// One permit is never missed.
    GrantsOneTooMany,
    /// Nobody is woken.
    WakesNobody,
    /// A place whose lock was never had is not left.
    ForgetsToLeave,
    /// The token is always the same.
    RepeatsTokens,
}

/// What befalls one question.
struct Fate {
    before: Duration,
    after: Duration,
    is_heard: bool,
    is_answered: bool,
}

/// SplitMix64 (Steele, Lea, Flood, 2014), so that a seed says all.
struct Dice(Mutex<u64>);

impl Dice {
    fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn fate(&self) -> Fate {
        let delay = || match self.below(4) {
            0 => Duration::ZERO,
            _ => Duration::from_millis(self.below(40)),
        };
        Fate {
            before: delay(),
            after: delay(),
            is_heard: self.below(100) >= 6,
            is_answered: self.below(100) >= 6,
        }
    }

    /// Asks under a fate of its own.
    async fn meet<T>(&self, question: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let lost = || Error::new(ErrorKind::Unavailable, "the connection broke");
        let fate = self.fate();
        sleep(fate.before).await;
        if !fate.is_heard {
            return Err(lost());
        }
        let answer = question.await;
        sleep(fate.after).await;
        if fate.is_answered { answer } else { Err(lost().with_unknown_outcome()) }
    }
}

impl Shaky {
    pub(crate) fn new(memory: &Memory, seed: u64, defect: Defect) -> Self {
        Shaky { memory: memory.clone(), dice: Arc::new(Dice(Mutex::new(seed))), defect }
    }

    fn shaken(&self, inner: Box<dyn Claim>, mode: Mode) -> Box<dyn Claim> {
        let (dice, defect) = (self.dice.clone(), self.defect);
        Box::new(ShakyClaim { inner, mode, dice, defect, was_held: false })
    }

    fn kept(&self) -> &dyn Records {
        self.memory.records().unwrap()
    }
}

#[async_trait]
impl Backend for Shaky {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        let mode = request.mode;
        self.shaken(self.memory.claim(request), mode)
    }

    fn claim_all(&self, requests: Vec<Request>) -> Box<dyn Claim> {
        self.shaken(self.memory.claim_all(requests), Mode::Exclusive)
    }

    fn promises(&self) -> Promises {
        self.memory.promises()
    }

    fn label(&self) -> Arc<str> {
        Arc::from("a shaky store")
    }

    fn supports(&self, mode: Mode) -> bool {
        self.memory.supports(mode)
    }

    fn capacity(&self) -> Option<&dyn Capacity> {
        self.memory.capacity()
    }

    fn survey(&self) -> Option<&dyn Survey> {
        Some(self)
    }

    fn records(&self) -> Option<&dyn Records> {
        Some(self)
    }

    async fn close(&self) {}
}

#[async_trait]
impl Survey for Shaky {
    async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        self.dice.meet(self.memory.line(name)).await
    }

    async fn names(&self) -> Result<Vec<Name>, Error> {
        self.dice.meet(Survey::names(&self.memory)).await
    }

    async fn holder_changed(&self, name: &Name, seen: Option<&Contender>) -> Result<(), Error> {
        self.dice.meet(self.memory.holder_changed(name, seen)).await
    }

    async fn contended(&self, name: &Name) -> Result<(), Error> {
        self.dice.meet(self.memory.contended(name)).await
    }
}

#[async_trait]
impl Records for Shaky {
    async fn read(&self, key: &RecordKey) -> Result<Option<Record>, Error> {
        self.dice.meet(self.kept().read(key)).await
    }

    async fn write(
        &self,
        key: &RecordKey,
        expected: Option<ClaimId>,
        id: ClaimId,
        data: &[u8],
    ) -> Result<Change<Record>, Error> {
        self.dice.meet(self.kept().write(key, expected, id, data)).await
    }

    async fn delete(&self, key: &RecordKey, expected: ClaimId) -> Result<Change<()>, Error> {
        self.dice.meet(self.kept().delete(key, expected)).await
    }

    async fn changed(&self, key: &RecordKey, seen: Option<ClaimId>) -> Result<(), Error> {
        self.dice.meet(self.kept().changed(key, seen)).await
    }

    async fn now(&self) -> Result<SystemTime, Error> {
        self.dice.meet(self.kept().now()).await
    }

    async fn names(&self, kind: RecordKind) -> Result<Vec<Name>, Error> {
        self.dice.meet(self.kept().names(kind)).await
    }
}

struct ShakyClaim {
    inner: Box<dyn Claim>,
    mode: Mode,
    dice: Arc<Dice>,
    defect: Defect,
    was_held: bool,
}

impl ShakyClaim {
    fn distort(&mut self, standing: Standing) -> Standing {
        let lasting = || Term::Session(Lease::new(Instant::FAR));
        // Larger than any that is there, so that only what the defect is about is wrong.
        let grant = || Standing::Held(Grant::new(Token::new(1 << 40).unwrap(), lasting()));
        match (self.defect, self.mode, standing) {
            (Defect::GrantsTheNext, _, Standing::Waiting(Waiting { ahead: Some(1), .. }))
            | (Defect::LetsReadersIn, Mode::Shared, Standing::Waiting(_)) => grant(),
            (Defect::GrantsOneTooMany, Mode::Permits(permits), Standing::Waiting(_))
                if permits.take().get() == 1 =>
            {
                grant()
            }
            (Defect::RepeatsTokens, _, Standing::Held(granted)) => {
                Standing::Held(Grant::new(Token::new(7).unwrap(), granted.term))
            }
            (_, _, standing) => standing,
        }
    }
}

#[async_trait]
impl Claim for ShakyClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        let dice = self.dice.clone();
        let standing = dice.meet(self.inner.ask()).await?;
        self.was_held |= matches!(standing, Standing::Held(_));
        Ok(self.distort(standing))
    }

    async fn changed(&mut self) {
        if self.defect == Defect::WakesNobody {
            return std::future::pending().await;
        }
        match self.dice.below(8) {
            // Early, for no reason.
            0 => {
                let early = Duration::from_millis(self.dice.below(60));
                let _ = tokio::time::timeout(early, self.inner.changed()).await;
            }
            _ => self.inner.changed().await,
        }
        sleep(self.dice.fate().before).await;
    }

    async fn leave(&mut self) -> Result<(), Error> {
        if self.defect == Defect::ForgetsToLeave && !self.was_held {
            return Ok(());
        }
        let dice = self.dice.clone();
        dice.meet(self.inner.leave()).await
    }

    async fn downgrade(&mut self) -> Result<(), Error> {
        let dice = self.dice.clone();
        dice.meet(self.inner.downgrade()).await
    }
}
