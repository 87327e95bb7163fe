//! The contract suite on stores that break a rule of readers and writers, of permits, or of several locks
//! at once: it must see what is wrong with each of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use async_trait::async_trait;
use sneck_core::{
    Backend, Capacity, Claim, Clock, Contender, Error, Grant, Instant, Lease, Memory, Mode, Name,
    Permits, Promises, Records, Request, Standing, Survey, Term, Ties, Token, TokioClock,
};
use sneck_testkit::contract::{self, Subject};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// One store for each case, seen through a defect.
struct Stores {
    defect: Defect,
    clock: TokioClock,
    memories: Mutex<HashMap<&'static str, Memory>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    /// A reader never waits.
    LetsReadersIn,
    /// A writer does not wait for readers.
    LetsWritersIn,
    /// Who wants one permit never waits.
    GrantsOneTooMany,
    /// Everybody has the number of permits he believes in.
    AgreesToAnyNumber,
    /// A waiter that leaves keeps its permits.
    KeepsPermits,
    /// A writer that is downgraded still keeps readers out.
    DowngradesInName,
    /// A downgrade makes room for everybody.
    DowngradesToNothing,
    /// Of several locks only the first is taken.
    TakesTheFirstOfSeveral,
    /// The holder is not told that somebody asks.
    AsksNobody,
    /// Everybody in line is shown as a holder.
    ShowsOnlyHolders,
    /// What a claim says it holds is forgotten.
    ForgetsTies,
}

struct Broken {
    memory: Memory,
    defect: Defect,
}

#[async_trait]
impl Subject for Stores {
    async fn client(&self, case: &'static str) -> Arc<dyn Backend> {
        Arc::new(Broken { memory: self.memory(case), defect: self.defect })
    }

    async fn clear(&self, case: &'static str, name: &Name) {
        self.memory(case).clear(name);
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock)
    }
}

impl Stores {
    fn new(defect: Defect) -> Arc<Self> {
        Arc::new(Stores { defect, clock: TokioClock::new(), memories: Mutex::default() })
    }

    fn memory(&self, case: &'static str) -> Memory {
        self.memories.lock().unwrap().entry(case).or_default().clone()
    }
}

/// Runs the suite on a store with this defect; these cases, and maybe others, must see it.
#[tokio::test(start_paused = true)]
async fn without_a_defect_nothing_is_seen() {
    contract::run_all(Stores::new(Defect::None)).await;
}

macro_rules! defects {
    ($($test:ident: $defect:ident => [$($case:literal),*],)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            contract::run_broken(Stores::new(Defect::$defect), &[$($case),*]).await;
        }
    )*};
}

defects! {
    readers_who_never_wait_are_seen: LetsReadersIn => [
        "no_later_reader_passes_a_waiting_writer",
        "no_reader_is_ever_beside_a_writer"
    ],
    writers_beside_readers_are_seen: LetsWritersIn => [
        "readers_share_and_a_writer_is_alone",
        "no_reader_is_ever_beside_a_writer"
    ],
    a_permit_too_many_is_seen: GrantsOneTooMany => [
        "as_many_come_in_as_there_are_permits",
        "a_large_request_is_not_starved_by_small_ones"
    ],
    a_number_that_nobody_compares_is_seen: AgreesToAnyNumber => [
        "who_believes_in_another_number_is_told_both"
    ],
    permits_that_are_kept_are_seen: KeepsPermits => ["a_waiter_that_gives_up_keeps_no_permit"],
    a_downgrade_that_lets_nobody_in_is_seen: DowngradesInName => [
        "a_downgrade_keeps_later_writers_out",
        "a_guard_that_is_downgraded_goes_on"
    ],
    a_downgrade_that_gives_everything_up_is_seen: DowngradesToNothing => [
        "a_downgrade_keeps_later_writers_out"
    ],
    one_of_several_is_seen: TakesTheFirstOfSeveral => ["all_locks_are_had_or_none"],
    a_request_that_reaches_nobody_is_seen: AsksNobody => [
        "a_holder_that_is_asked_to_let_go_is_told"
    ],
    waiters_shown_as_holders_are_seen: ShowsOnlyHolders => [
        "the_line_shows_who_is_in_it",
        "readers_who_hold_are_told_from_a_writer_who_waits",
        "permits_that_are_held_are_told_from_those_waited_for"
    ],
    forgotten_ties_are_seen: ForgetsTies => [
        "waiting_in_a_circle_is_seen_with_every_edge",
        "of_a_circle_exactly_one_gives_up"
    ],
}

// ----- stores that are broken on purpose -----

impl Broken {
    fn distorted(&self, inner: Box<dyn Claim>, request: Request) -> Box<dyn Claim> {
        let (mode, defect) = (request.mode, self.defect);
        Box::new(Distorted {
            inner,
            mode,
            defect,
            held: false,
            memory: self.memory.clone(),
            request,
        })
    }
}

#[async_trait]
impl Backend for Broken {
    fn claim(&self, mut request: Request) -> Box<dyn Claim> {
        if self.defect == Defect::ForgetsTies {
            request.ties = Ties { yields: request.ties.yields, ..Ties::default() };
        }
        self.distorted(self.memory.claim(request.clone()), request)
    }

    fn claim_all(&self, mut requests: Vec<Request>) -> Box<dyn Claim> {
        if self.defect == Defect::TakesTheFirstOfSeveral {
            requests.truncate(1);
        }
        self.memory.claim_all(requests)
    }

    async fn revoke(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        match self.defect {
            Defect::AsksNobody => self.memory.line(name).await,
            _ => self.memory.revoke(name).await,
        }
    }

    fn promises(&self) -> Promises {
        self.memory.promises()
    }

    fn label(&self) -> Arc<str> {
        Arc::from(format!("{:?}", self.defect))
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
        self.memory.records()
    }

    async fn close(&self) {
        self.memory.close().await;
    }
}

#[async_trait]
impl Survey for Broken {
    async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let mut line = self.memory.line(name).await?;
        if self.defect == Defect::ShowsOnlyHolders {
            line.iter_mut().for_each(|place| place.held = true);
        }
        Ok(line)
    }

    async fn names(&self) -> Result<Vec<Name>, Error> {
        Survey::names(&self.memory).await
    }
}

struct Distorted {
    inner: Box<dyn Claim>,
    memory: Memory,
    request: Request,
    mode: Mode,
    defect: Defect,
    held: bool,
}

#[async_trait]
impl Claim for Distorted {
    async fn ask(&mut self) -> Result<Standing, Error> {
        if let (Defect::AgreesToAnyNumber, Mode::Permits(permits)) = (self.defect, self.mode) {
            let stored = self.memory.permits(&self.request.name).await?;
            let stored = stored.unwrap_or(permits.of());
            let take = permits.take().min(stored).get();
            let mode = Mode::Permits(Permits::new(take, stored.get())?);
            if mode != self.request.mode {
                self.request.mode = mode;
                self.inner = self.memory.claim(self.request.clone());
            }
        }
        let standing = self.inner.ask().await?;
        tokio::task::yield_now().await;
        self.held |= matches!(standing, Standing::Held(_));
        let waits = matches!(standing, Standing::Waiting(_));
        let is_let_in = match (self.defect, self.mode) {
            (Defect::LetsReadersIn, Mode::Shared) | (Defect::LetsWritersIn, Mode::Write) => true,
            (Defect::GrantsOneTooMany, Mode::Permits(permits)) => permits.take().get() == 1,
            _ => false,
        };
        if waits && is_let_in {
            let term = Term::Session(Lease::new(Instant::FAR));
            return Ok(Standing::Held(Grant::new(Token::new(1 << 40).unwrap(), term)));
        }
        Ok(standing)
    }

    async fn changed(&mut self) {
        self.inner.changed().await;
    }

    async fn leave(&mut self) -> Result<(), Error> {
        let permits = matches!(self.mode, Mode::Permits(_));
        if self.defect == Defect::KeepsPermits && permits && !self.held {
            return Ok(());
        }
        self.inner.leave().await
    }

    async fn downgrade(&mut self) -> Result<(), Error> {
        match self.defect {
            Defect::DowngradesInName => Ok(()),
            Defect::DowngradesToNothing => {
                self.inner.downgrade().await?;
                self.memory.claim(self.request.clone()).leave().await
            }
            _ => self.inner.downgrade().await,
        }
    }
}
