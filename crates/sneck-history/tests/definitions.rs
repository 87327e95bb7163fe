//! The checkers against the definitions of their properties, on thousands of small random histories.
//!
//! The definitions look at every pair, and for P4 at every order; they share nothing with the
//! checkers. Most histories are bad in some way, and for each property both outcomes have to occur.

use std::collections::{BTreeMap, HashSet};

use fastrand::Rng;
use sneck_history::{Entry, Event, Header, Judge, Mode, Property, Store};

/// How many histories of each kind.
const ROUNDS: u64 = 4000;
/// The permits of the semaphore.
const OF: u32 = 3;
const NEVER: usize = usize::MAX;

/// Whether a history breaks a property.
type Definition = fn(&History) -> bool;

/// One attempt, as the numbers of the entries that tell of it.
#[derive(Debug, Clone, Default)]
struct Plan {
    id: u64,
    mode: Option<Mode>,
    token: u64,
    asked: Option<usize>,
    queued: Option<usize>,
    granted: Option<usize>,
    /// The deadline, in the same numbers: it is over when that entry is.
    until: Option<usize>,
    release: Option<usize>,
    released: Option<usize>,
}

impl Plan {
    /// What is certainly held: from one entry to another.
    fn hold(&self) -> Option<(usize, usize)> {
        let end = self.release.unwrap_or(NEVER).min(self.until.unwrap_or(NEVER));
        self.granted.filter(|granted| *granted < end).map(|granted| (granted, end))
    }

    fn mode(&self) -> Mode {
        self.mode.unwrap_or(Mode::Exclusive)
    }
}

/// A question, its answer, and their entries.
#[derive(Debug, Clone, Default)]
struct Question {
    asked: Option<usize>,
    told: Option<usize>,
    token: Option<u64>,
}

/// A history as it was planned, and as it is written down.
#[derive(Debug, Default)]
struct History {
    plans: Vec<Plan>,
    questions: Vec<Question>,
    entries: Vec<Entry>,
}

impl History {
    /// One lock, a few attempts with these modes, and a few questions, in some order.
    fn random(random: &mut Rng, modes: fn(&mut Rng) -> Mode, questions: usize) -> History {
        let count = random.usize(2..5);
        let mut history = History::default();
        for id in 1..=count as u64 {
            let (mode, token) = (Some(modes(random)), random.u64(1..=count as u64 + 2));
            history.plans.push(Plan { id, mode, token, ..Plan::default() });
        }
        history.questions = vec![Question::default(); questions];
        let steps = random.usize(count * 3..count * 6 + questions * 3);
        for _ in 0..steps {
            match random.usize(0..count + questions) {
                actor if actor < count => history.step(actor, random),
                actor => history.ask(actor - count, random),
            }
        }
        history
    }

    /// Lets an attempt go on to its next event.
    fn step(&mut self, index: usize, random: &mut Rng) {
        let seq = self.entries.len() + 1;
        let plan = &mut self.plans[index];
        let (attempt, mode) = (plan.id, plan.mode());
        let event = if plan.asked.is_none() {
            plan.asked = Some(seq);
            Event::Acquire {
                attempt,
                lock: "a".into(),
                mode,
                session: None,
                no_wait: false,
                together: None,
            }
        } else if plan.granted.is_none() && plan.queued.is_none() && random.bool() {
            plan.queued = Some(seq);
            Event::Queued { attempt }
        } else if plan.granted.is_none() {
            plan.granted = Some(seq);
            plan.until = random.bool().then(|| seq + random.usize(1..12));
            // Each entry is at its number, so that a deadline lies right before an entry.
            let until_ns = plan.until.map(|until| until as u64);
            Event::Granted { attempt, token: plan.token, session: None, until_ns }
        } else if plan.release.is_none() {
            plan.release = Some(seq);
            Event::Release { attempt }
        } else if plan.released.is_none() {
            plan.released = Some(seq);
            Event::Released { attempt }
        } else {
            return;
        };
        self.push(attempt as u32, event);
    }

    fn ask(&mut self, index: usize, random: &mut Rng) {
        let seq = self.entries.len() + 1;
        let tokens: Vec<u64> = self.plans.iter().map(|plan| plan.token).collect();
        let number = index as u64;
        let question = &mut self.questions[index];
        let event = if question.asked.is_none() {
            question.asked = Some(seq);
            Event::Ask { question: number, lock: "a".into() }
        } else if question.told.is_none() {
            question.told = Some(seq);
            question.token = if random.bool() { random.choice(tokens) } else { None };
            Event::Answer { question: number, token: question.token }
        } else {
            return;
        };
        self.push(100 + index as u32, event);
    }

    fn push(&mut self, client: u32, event: Event) {
        let seq = self.entries.len() as u64 + 1;
        self.entries.push(Entry { seq, at_ns: seq, client: Some(client), own_ns: None, event });
    }

    fn violated(&self) -> HashSet<Property> {
        let mut judge = Judge::new(Header::new(Store::Memory));
        for entry in &self.entries {
            judge.see(entry);
        }
        judge.conclude().totals.keys().copied().collect()
    }

    /// Whether two different attempts are in a relation.
    fn some_pair(&self, related: impl Fn(&Plan, &Plan) -> bool) -> bool {
        self.plans
            .iter()
            .any(|one| self.plans.iter().any(|other| one.id != other.id && related(one, other)))
    }
}

fn overlap(one: &Plan, other: &Plan) -> bool {
    match (one.hold(), other.hold()) {
        (Some((from, to)), Some((others_from, others_to))) => from < others_to && others_from < to,
        _ => false,
    }
}

fn are(one: &Plan, other: &Plan, mode: Mode, others: Mode) -> bool {
    one.mode() == mode && other.mode() == others
}

/// Whether the other one came later and was granted before.
fn is_passed(one: &Plan, other: &Plan) -> bool {
    let (Some(queued), Some(asked)) = (one.queued, other.asked) else { return false };
    let (Some(granted), Some(others)) = (one.granted, other.granted) else { return false };
    one.mode().conflicts_with(other.mode()) && queued < asked && others < granted
}

fn breaks_p2(history: &History) -> bool {
    let both = |one: &Plan, other: &Plan| are(one, other, Mode::Exclusive, Mode::Exclusive);
    history.some_pair(|one, other| both(one, other) && overlap(one, other))
}

fn breaks_p3(history: &History) -> bool {
    history.some_pair(|one, other| {
        let (Some(granted), Some(_), Some(asked)) = (one.granted, other.granted, other.asked)
        else {
            return false;
        };
        one.token == other.token || (granted < asked && one.token > other.token)
    })
}

fn breaks_p7(history: &History) -> bool {
    let of_p8 = |one: &Plan, other: &Plan| are(one, other, Mode::Exclusive, Mode::Shared);
    history.some_pair(|one, other| is_passed(one, other) && !of_p8(one, other))
}

fn breaks_p8(history: &History) -> bool {
    history.some_pair(|one, other| {
        are(one, other, Mode::Exclusive, Mode::Shared)
            && (overlap(one, other) || is_passed(one, other))
    })
}

fn breaks_p9(history: &History) -> bool {
    history.plans.iter().filter_map(Plan::hold).any(|(at, _)| {
        let held = history
            .plans
            .iter()
            .filter(|plan| plan.hold().is_some_and(|(from, to)| from <= at && at < to));
        let taken: u32 = held
            .map(|plan| match plan.mode() {
                Mode::Permits { take, .. } => take,
                _ => 0,
            })
            .sum();
        taken > OF
    })
}

/// Compares the checkers with definitions, and demands that both outcomes occur.
fn compare(modes: fn(&mut Rng) -> Mode, defined: &[(Property, Definition)]) {
    let mut outcomes: BTreeMap<(Property, bool), u32> = BTreeMap::new();
    for seed in 0..ROUNDS {
        let history = History::random(&mut Rng::with_seed(seed), modes, 0);
        let violated = history.violated();
        for (property, breaks) in defined {
            let expected = breaks(&history);
            let found = violated.contains(property);
            assert_eq!(found, expected, "{property}, seed {seed}: {history:#?}");
            *outcomes.entry((*property, expected)).or_default() += 1;
        }
    }
    for (property, _) in defined {
        for outcome in [false, true] {
            let count = outcomes.get(&(*property, outcome)).copied().unwrap_or_default();
            assert!(count > 100, "{property} {outcome}: {count}");
        }
    }
}

#[test]
fn mutexes_as_defined() {
    let defined: &[(Property, Definition)] = &[
        (Property::AdvisoryExclusion, breaks_p2),
        (Property::RisingTokens, breaks_p3),
        (Property::Order, breaks_p7),
    ];
    compare(|_| Mode::Exclusive, defined);
}

#[test]
fn read_write_locks_as_defined() {
    let defined: &[(Property, Definition)] = &[
        (Property::AdvisoryExclusion, breaks_p2),
        (Property::RisingTokens, breaks_p3),
        (Property::Order, breaks_p7),
        (Property::ReadersAndWriters, breaks_p8),
    ];
    compare(|random| if random.bool() { Mode::Exclusive } else { Mode::Shared }, defined);
}

#[test]
fn semaphores_as_defined() {
    let defined: &[(Property, Definition)] = &[
        (Property::RisingTokens, breaks_p3),
        (Property::Order, breaks_p7),
        (Property::PermitCount, breaks_p9),
    ];
    compare(|random| Mode::Permits { take: random.u32(1..=OF), of: OF }, defined);
}

/// An operation on a lock, for the search over all orders.
#[derive(Debug, Clone, Copy)]
struct Operation {
    from: usize,
    /// [`NEVER`] if it may also not have happened at all.
    to: usize,
    does: Does,
}

#[derive(Debug, Clone, Copy)]
enum Does {
    Take(u64),
    Leave(u64),
    Answer(Option<u64>),
}

impl Does {
    /// The lock afterwards, as its holder and the largest token; none if it cannot happen.
    fn apply(self, (holder, largest): (Option<u64>, u64)) -> Option<(Option<u64>, u64)> {
        match self {
            Does::Take(token) => {
                (holder.is_none() && token > largest).then_some((Some(token), token))
            }
            Does::Leave(token) => (holder == Some(token)).then_some((None, largest)),
            Does::Answer(token) => (holder == token).then_some((holder, largest)),
        }
    }
}

/// Whether the operations fit an order that agrees with real time: the search of Wing and Gong.
fn fits(
    operations: &[Operation],
    done: u32,
    state: (Option<u64>, u64),
    failed: &mut HashSet<(u32, Option<u64>)>,
) -> bool {
    let open = || operations.iter().enumerate().filter(|(index, _)| done & (1 << index) == 0);
    let Some(first_end) = open().map(|(_, operation)| operation.to).min() else { return true };
    // What may also not have happened needs no place in the order.
    if first_end == NEVER {
        return true;
    }
    if !failed.insert((done, state.0)) {
        return false;
    }
    open().filter(|(_, operation)| operation.from <= first_end).any(|(index, operation)| {
        let next = operation.does.apply(state);
        next.is_some_and(|next| fits(operations, done | 1 << index, next, failed))
    })
}

#[test]
fn answers_fit_an_order_exactly_if_the_search_finds_one() {
    let mut outcomes = [0, 0];
    for seed in 0..ROUNDS * 10 {
        let history = History::random(&mut Rng::with_seed(seed), |_| Mode::Exclusive, 3);
        let granted: Vec<&Plan> =
            history.plans.iter().filter(|plan| plan.granted.is_some()).collect();
        let mut operations = Vec::new();
        for plan in &granted {
            let (Some(from), Some(to)) = (plan.asked, plan.granted) else { continue };
            operations.push(Operation { from, to, does: Does::Take(plan.token) });
            let end = plan.release.unwrap_or(NEVER).min(plan.until.unwrap_or(NEVER));
            if end != NEVER {
                let (from, to) = (end, plan.released.unwrap_or(NEVER));
                operations.push(Operation { from, to, does: Does::Leave(plan.token) });
            }
        }
        // Holds that contradict each other are no question of answers.
        if !fits(&operations, 0, (None, 0), &mut HashSet::new()) {
            continue;
        }
        // A token that was not told to anybody may be a secret holder's.
        let known = |token: Option<u64>| {
            token.is_none_or(|token| granted.iter().any(|plan| plan.token == token))
        };
        let answered = history.questions.iter().filter(|question| question.told.is_some());
        let answered: Vec<&Question> = answered.collect();
        if !answered.iter().all(|question| known(question.token)) {
            continue;
        }
        for question in answered {
            let (Some(from), Some(to)) = (question.asked, question.told) else { continue };
            operations.push(Operation { from, to, does: Does::Answer(question.token) });
        }
        let expected = !fits(&operations, 0, (None, 0), &mut HashSet::new());
        let found = history.violated().contains(&Property::TrueAnswers);
        assert_eq!(found, expected, "seed {seed}: {history:#?}");
        outcomes[usize::from(expected)] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 100), "{outcomes:?}");
}

#[test]
fn fenced_accesses_as_defined() {
    let mut outcomes = [0, 0];
    for seed in 0..ROUNDS {
        let mut random = Rng::with_seed(seed);
        let mut history = History::default();
        for attempt in 1..=3 {
            let (lock, mode) = ("a".to_owned(), Mode::Exclusive);
            let acquire = Event::Acquire {
                attempt,
                lock,
                mode,
                session: None,
                no_wait: false,
                together: None,
            };
            history.push(1, acquire);
            history
                .push(1, Event::Granted { attempt, token: attempt, session: None, until_ns: None });
        }
        let mut accesses: Vec<Write> = Vec::new();
        for _ in 0..random.usize(1..6) {
            let attempt = random.u64(1..=3);
            let token = if random.u32(0..8) == 0 { random.u64(1..=3) } else { attempt };
            let max = accesses.iter().filter(|w| w.admitted).map(|w| w.token).max();
            let admitted = (Some(token) >= max) != (random.u32(0..10) == 0);
            let newest = accesses.iter().rev().find(|w| w.admitted).map_or(0, |w| w.seq);
            let base = if random.u32(0..10) == 0 { newest / 2 } else { newest };
            let seq = history.entries.len() as u64 + 1;
            accesses.push(Write { seq, attempt, token, base, admitted });
            let (lock, token, base) = ("a".to_owned(), Some(token), Some(base));
            history.push(1, Event::Write { lock, attempt, token, base, admitted });
        }
        let expected = breaks_p1(&accesses);
        let found = history.violated().contains(&Property::FencedExclusion);
        assert_eq!(found, expected, "seed {seed}: {accesses:#?}");
        outcomes[usize::from(expected)] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 100), "{outcomes:?}");
}

#[derive(Debug)]
struct Write {
    seq: u64,
    attempt: u64,
    token: u64,
    base: u64,
    admitted: bool,
}

/// The token of an attempt is its own number there.
fn breaks_p1(writes: &[Write]) -> bool {
    writes.iter().any(|write| {
        let earlier = || writes.iter().filter(|other| other.admitted && other.seq < write.seq);
        let is_late = earlier().any(|other| other.token > write.token);
        let newest = earlier().map(|other| other.seq).max().unwrap_or_default();
        is_late == write.admitted
            || (write.admitted && (write.token != write.attempt || write.base != newest))
    })
}
