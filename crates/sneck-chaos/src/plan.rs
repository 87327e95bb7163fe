//! What is going to be done to whom: all of it follows from a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use crate::fault::{Befalls, Kind};

/// A fault that is going to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Of which kind.
    pub kind: Kind,
    /// Which of those that it can befall at that time, counted round.
    pub pick: usize,
    /// How long it lasts, where that is not in its nature.
    pub length: Duration,
}

/// Faults that begin together, and what comes before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How long nothing is done before.
    pub rest: Duration,
    /// One fault of the store at most, and none two of one client.
    pub faults: Vec<Fault>,
}

/// Everything that is going to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One after the other.
    pub steps: Vec<Step>,
}

/// What a plan is made for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Which kinds there may be. Each comes as often as any other, but for one time.
    pub kinds: Vec<Kind>,
    /// How many seats of clients there are.
    pub seats: usize,
    /// The session timeout.
    pub session: Duration,
    /// How much is to be done.
    pub amount: Amount,
}

/// How much is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many faults, with short rests.
    Faults(usize),
    /// What takes about so long, with a rest now and then in which everything has to come right.
    Length(Duration),
}

/// After how many steps of a long plan there is a rest that is longer than every bound.
const CALM_EVERY: usize = 12;

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64, wish: &Wish) -> Plan {
        let mut maker = Maker { random: Rng::with_seed(seed), wish, deck: Vec::new() };
        let mut steps = Vec::new();
        let (mut faults, mut length) = (0, Duration::ZERO);
        let is_enough = |faults: usize, length: Duration| match wish.amount {
            Amount::Faults(least) => faults >= least,
            Amount::Length(least) => length >= least,
        };
        while !wish.kinds.is_empty() && !is_enough(faults, length) {
            let is_calm = steps.len() % CALM_EVERY == CALM_EVERY - 1;
            let step = maker.step(is_calm && matches!(wish.amount, Amount::Length(_)));
            faults += step.faults.len();
            length += step.length();
            steps.push(step);
        }
        Plan { steps }
    }

    /// One client after the other is stopped for so long, every so often, so many times.
    pub fn pauses(seed: u64, seats: usize, every: Duration, length: Duration, times: u64) -> Plan {
        let mut random = Rng::with_seed(seed);
        let mut step = || {
            let fault =
                Fault { kind: Kind::LongPause, pick: random.usize(0..seats.max(1)), length };
            Step { rest: every.saturating_sub(length), faults: vec![fault] }
        };
        Plan { steps: (0..times).map(|_| step()).collect() }
    }

    /// How many faults of each kind there are.
    pub fn kinds(&self) -> BTreeMap<Kind, u64> {
        let mut kinds = BTreeMap::new();
        for fault in self.steps.iter().flat_map(|step| &step.faults) {
            *kinds.entry(fault.kind).or_default() += 1;
        }
        kinds
    }

    /// How many faults there are.
    pub fn faults(&self) -> usize {
        self.steps.iter().map(|step| step.faults.len()).sum()
    }
}

impl Step {
    /// About how long it takes.
    fn length(&self) -> Duration {
        let longest = self.faults.iter().map(|fault| fault.length + after(fault.kind)).max();
        self.rest + longest.unwrap_or_default()
    }
}

/// What it takes until a server that was ended serves again, for the estimate only.
fn after(kind: Kind) -> Duration {
    match kind {
        Kind::RollingRestart => Duration::from_secs(9),
        Kind::AllKilled => Duration::from_secs(5),
        _ if kind.befalls() == Befalls::Store => Duration::from_secs(3),
        _ => Duration::from_millis(500),
    }
}

struct Maker<'a> {
    random: Rng,
    wish: &'a Wish,
    /// The kinds that are still to come before any comes again, in a random order.
    deck: Vec<Kind>,
}

impl Maker<'_> {
    fn step(&mut self, is_calm: bool) -> Step {
        let rest = match is_calm {
            true => self.wish.session * 4 + Duration::from_secs(12),
            false => Duration::from_millis(self.random.u64(200..1_500)),
        };
        let wanted = self.random.usize(1..=3);
        let mut faults: Vec<Fault> = Vec::new();
        while faults.len() < wanted {
            let kind = self.draw();
            let is_store = |kind: Kind| kind.befalls() == Befalls::Store;
            let clash = faults.iter().any(|fault| {
                // Who is looked for in a line is to have a store and a seat that are well.
                let in_line = |kind: Kind| kind.befalls() == Befalls::Line;
                (is_store(kind) && is_store(fault.kind)) || in_line(kind) || in_line(fault.kind)
            });
            if clash {
                self.deck.push(kind);
                break;
            }
            let fault = self.fault(kind, &faults);
            faults.push(fault);
        }
        Step { rest, faults }
    }

    fn draw(&mut self) -> Kind {
        if self.deck.is_empty() {
            self.deck.clone_from(&self.wish.kinds);
            self.random.shuffle(&mut self.deck);
        }
        self.deck.pop().unwrap_or(Kind::Cut)
    }

    fn fault(&mut self, kind: Kind, others: &[Fault]) -> Fault {
        let seats = self.wish.seats.max(1);
        let mut pick = self.random.usize(0..seats);
        if kind.befalls() == Befalls::Client {
            let taken = |pick: usize| {
                let of_a_client = |fault: &&Fault| fault.kind.befalls() == Befalls::Client;
                others.iter().filter(of_a_client).any(|fault| fault.pick == pick)
            };
            // There are at most three of one step, and more seats than that.
            for _ in 0..seats {
                if taken(pick) {
                    pick = (pick + 1) % seats;
                }
            }
        }
        let length = self.length(kind);
        Fault { kind, pick, length }
    }

    fn length(&mut self, kind: Kind) -> Duration {
        let session = self.wish.session;
        let mut between =
            |least: f64, most: f64| session.mul_f64(least + (most - least) * self.random.f64());
        match kind {
            Kind::ShortPause => between(0.1, 0.6),
            Kind::LongPause | Kind::HolderPaused => between(1.4, 3.0),
            // As often shorter than a session as longer.
            Kind::Partition | Kind::RequestsLost | Kind::RepliesLost | Kind::Refused => {
                between(0.2, 1.8)
            }
            Kind::EventsLate | Kind::Slow | Kind::Bytewise => between(0.3, 1.0),
            Kind::ClockFast | Kind::ClockSlow => between(0.5, 1.5),
            Kind::FollowerStopped | Kind::LeaderStopped | Kind::CommandsHeldUp => between(0.3, 1.5),
            Kind::FollowerCutOff | Kind::LeaderCutOff | Kind::SlowDisk => between(0.5, 1.5),
            Kind::FollowerKilled | Kind::LeaderKilled | Kind::AllKilled => between(0.0, 0.5),
            Kind::Storm => between(0.2, 0.5),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(amount: Amount) -> Wish {
        let kinds = Kind::ALL.to_vec();
        Wish { kinds, seats: 6, session: Duration::from_secs(4), amount }
    }

    #[test]
    fn a_seed_makes_one_plan_and_another_seed_another() {
        let wish = wish(Amount::Length(Duration::from_secs(600)));
        assert_eq!(Plan::new(7, &wish), Plan::new(7, &wish));
        assert_ne!(Plan::new(7, &wish), Plan::new(8, &wish));
    }

    #[test]
    fn every_kind_comes_as_often_as_any_other() {
        for seed in 0..50 {
            let plan = Plan::new(seed, &wish(Amount::Faults(Kind::ALL.len() * 3)));
            let kinds = plan.kinds();
            let (least, most) = (kinds.values().min().unwrap(), kinds.values().max().unwrap());
            assert!(kinds.len() == Kind::ALL.len() && most - least <= 1, "{seed}: {kinds:?}");
        }
    }

    #[test]
    fn the_store_has_one_fault_at_a_time_and_so_has_a_client() {
        for seed in 0..50 {
            for step in Plan::new(seed, &wish(Amount::Faults(200))).steps {
                let of = |befalls| {
                    step.faults.iter().filter(move |fault| fault.kind.befalls() == befalls)
                };
                assert!(of(Befalls::Store).count() <= 1, "{step:?}");
                assert!(of(Befalls::Line).count() == 0 || step.faults.len() == 1, "{step:?}");
                let mut picks: Vec<usize> = of(Befalls::Client).map(|fault| fault.pick).collect();
                let clients = picks.len();
                picks.sort_unstable();
                picks.dedup();
                assert_eq!(picks.len(), clients, "{step:?}");
            }
        }
    }

    #[test]
    fn a_long_plan_is_as_long_as_wished_and_has_calms_that_outlast_the_bounds() {
        let plan = Plan::new(3, &wish(Amount::Length(Duration::from_secs(1_200))));
        let length: Duration = plan.steps.iter().map(Step::length).sum();
        assert!((1_200..1_260).contains(&length.as_secs()), "{length:?}");
        let calms = plan.steps.iter().filter(|step| step.rest > Duration::from_secs(25)).count();
        assert_eq!(calms, plan.steps.len() / CALM_EVERY);
    }
}
