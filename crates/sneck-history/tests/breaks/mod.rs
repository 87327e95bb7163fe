//! Ways to break a good history, each against one property.

use std::collections::HashMap;

use fastrand::Rng;
use sneck_history::{Claims, Entry, Event, Header, Mode, Property, Sample, Store};

/// A history that is being broken.
pub(crate) struct Broken {
    pub(crate) header: Header,
    pub(crate) entries: Vec<Entry>,
    /// For each attempt the lock and the mode.
    asked: HashMap<u64, (String, Mode)>,
}

impl From<Sample> for Broken {
    fn from(Sample { header, entries }: Sample) -> Broken {
        let asked = entries.iter().filter_map(|entry| match &entry.event {
            Event::Acquire { attempt, lock, mode, .. } => Some((*attempt, (lock.clone(), *mode))),
            _ => None,
        });
        Broken { asked: asked.collect(), header, entries }
    }
}

/// A way to break a history.
pub(crate) struct Break {
    /// What is done to it.
    pub(crate) name: &'static str,
    /// The property that does not allow it.
    pub(crate) property: Property,
    /// Does it somewhere, and says where; none if there is no place for it.
    pub(crate) apply: fn(&mut Broken, &mut Rng) -> Option<String>,
}

const fn way(
    property: Property,
    name: &'static str,
    apply: fn(&mut Broken, &mut Rng) -> Option<String>,
) -> Break {
    Break { name, property, apply }
}

/// All of them.
pub(crate) const BREAKS: &[Break] = &[
    way(Property::FencedExclusion, "a refused write is admitted", admit_refused_write),
    way(Property::FencedExclusion, "a write replaces an older version", replace_older_version),
    way(Property::FencedExclusion, "a write shows another's token", write_with_another_token),
    way(Property::AdvisoryExclusion, "a hold does not end before the next", stretch_hold),
    way(Property::RisingTokens, "a token is smaller than those before it", lower_token),
    way(Property::RisingTokens, "a token is granted twice", repeat_token),
    way(Property::TrueAnswers, "the answer is a holder of long ago", answer_with_former),
    way(Property::TrueAnswers, "the answer is a token of nobody", answer_with_unheard_token),
    way(Property::NoLostWakeup, "a call never returns", forget_return),
    way(Property::NoLostWakeup, "a place is never removed", forget_vacated),
    way(Property::NoLostWakeup, "all that follows on a place comes late", delay_wakeup),
    way(Property::Takeover, "all that follows on a death comes late", delay_takeover),
    way(Property::Order, "a grant goes to somebody who came later", swap_grants),
    way(Property::ReadersAndWriters, "a writer calls itself a reader", writer_among_readers),
    way(Property::PermitCount, "a grant takes more permits than it did", take_more),
    way(Property::PermitCount, "the last one does not get all permits", refuse_probe),
    way(Property::EarlyNotice, "a deadline is after the end of the session", late_deadline),
    way(Property::OneLife, "an attempt is granted twice", grant_twice),
    way(Property::OneLife, "a place dies with another session", place_of_another_session),
    way(Property::CleanCancel, "who gave up writes", write_after_cancel),
    way(Property::CleanCancel, "the place of who gave up stays", place_stays_after_cancel),
    way(Property::Floors, "more is demanded than there is", raise_floor),
    way(Property::HonestClaims, "the store cannot keep what is claimed", weaker_store),
    way(Property::HonestClaims, "a client was promised more", promise_more),
];

/// The index of some entry that fits.
fn pick(sample: &Broken, random: &mut Rng, fits: impl Fn(&Entry) -> bool) -> Option<usize> {
    let all = sample.entries.iter().enumerate();
    let fitting: Vec<usize> =
        all.filter(|(_, entry)| fits(entry)).map(|(index, _)| index).collect();
    random.choice(fitting)
}

fn find(sample: &Broken, from: usize, fits: impl Fn(&Event) -> bool) -> Option<usize> {
    let rest = sample.entries.iter().enumerate().skip(from);
    rest.filter(|(_, entry)| fits(&entry.event)).map(|(index, _)| index).next()
}

/// Numbers the entries anew, with the versions that are such numbers, and says where something was
/// done.
fn done(sample: &mut Broken, index: usize) -> Option<String> {
    let mut numbers = HashMap::new();
    for (seq, entry) in (1..).zip(&mut sample.entries) {
        numbers.insert(entry.seq, seq);
        entry.seq = seq;
        if let Event::Read { version, .. } | Event::Write { base: Some(version), .. } =
            &mut entry.event
        {
            // A version that is not the newest may be none at all.
            *version = numbers.get(version).copied().unwrap_or(*version);
        }
    }
    Some(format!("entry {}", index + 1))
}

/// Lets everything from an entry on happen later.
fn delay(sample: &mut Broken, from: usize, by_ns: u64) {
    for entry in &mut sample.entries[from..] {
        entry.at_ns += by_ns;
        entry.own_ns = entry.own_ns.map(|own| own + by_ns);
        match &mut entry.event {
            Event::Granted { until_ns: Some(ns), .. }
            | Event::Extended { until_ns: ns, .. }
            | Event::Expired { when_ns: ns, .. } => *ns += by_ns,
            _ => {}
        }
    }
}

/// How an attempt was asked for.
fn asked(sample: &Broken, of: u64) -> Option<(&str, Mode)> {
    sample.asked.get(&of).map(|(lock, mode)| (lock.as_str(), *mode))
}

fn is_mutex(sample: &Broken, attempt: u64) -> bool {
    asked(sample, attempt).is_some_and(|(lock, _)| lock.starts_with("mutex"))
}

fn admit_refused_write(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let index =
        pick(sample, random, |entry| matches!(entry.event, Event::Write { admitted: false, .. }))?;
    if let Event::Write { admitted, .. } = &mut sample.entries[index].event {
        *admitted = true;
    }
    done(sample, index)
}

fn replace_older_version(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let index = pick(sample, random, |entry| {
        matches!(entry.event, Event::Write { admitted: true, base: Some(1..), .. })
    })?;
    if let Event::Write { base: Some(base), .. } = &mut sample.entries[index].event {
        *base -= 1;
    }
    done(sample, index)
}

fn write_with_another_token(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let index =
        pick(sample, random, |entry| matches!(entry.event, Event::Write { admitted: true, .. }))?;
    if let Event::Write { token: Some(token), .. } = &mut sample.entries[index].event {
        *token += 1;
    }
    done(sample, index)
}

fn stretch_hold(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let index = pick(sample, random, |entry| {
        entry.event.attempt().is_some_and(|attempt| is_mutex(sample, attempt))
            && matches!(entry.event, Event::Release { .. })
    })?;
    let of = sample.entries[index].event.attempt()?;
    let lock = asked(sample, of)?.0.to_owned();
    let same = |event: &Event| {
        matches!(event, Event::Granted { .. })
            && event
                .attempt()
                .and_then(|attempt| asked(sample, attempt))
                .is_some_and(|(name, _)| name == lock)
    };
    let next = find(sample, index, same)?;
    let moved = sample.entries.remove(index);
    let (at_ns, own_ns) = (sample.entries[next - 1].at_ns, moved.own_ns);
    sample.entries.insert(next, Entry { at_ns, own_ns, ..moved });
    // What came of the release is of no matter here.
    sample.entries.retain(|entry| {
        !(matches!(entry.event, Event::Released { .. }) && entry.event.attempt() == Some(of))
    });
    let deadline = sample.entries[index.saturating_sub(1)].at_ns + 60_000_000_000;
    for entry in &mut sample.entries {
        if entry.event.attempt() == Some(of)
            && let Event::Granted { until_ns: Some(until_ns), .. }
            | Event::Extended { until_ns, .. } = &mut entry.event
        {
            *until_ns = (*until_ns).max(deadline);
        }
    }
    done(sample, next)
}

fn lower_token(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let half = sample.entries.len() as u64 / 2;
    let index = pick(sample, random, |entry| {
        entry.seq > half && matches!(entry.event, Event::Granted { .. })
    })?;
    if let Event::Granted { token, .. } = &mut sample.entries[index].event {
        *token = 0;
    }
    done(sample, index)
}

fn repeat_token(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let index = pick(sample, random, |entry| matches!(entry.event, Event::Granted { .. }))?;
    let (attempt, Event::Granted { token: old, .. }) =
        (sample.entries[index].event.attempt()?, &sample.entries[index].event)
    else {
        return None;
    };
    let (old, lock) = (*old, asked(sample, attempt)?.0.to_owned());
    let same = |event: &Event| {
        matches!(event, Event::Granted { .. })
            && event
                .attempt()
                .and_then(|attempt| asked(sample, attempt))
                .is_some_and(|(name, _)| name == lock)
    };
    let next = find(sample, index + 1, same)?;
    if let Event::Granted { token, .. } = &mut sample.entries[next].event {
        *token = old;
    }
    done(sample, next)
}

fn answer_with_former(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let half = sample.entries.len() as u64 / 2;
    let index = pick(sample, random, |entry| {
        entry.seq > half && matches!(entry.event, Event::Answer { .. })
    })?;
    let Event::Answer { question, .. } = sample.entries[index].event else { return None };
    let ask =
        find(sample, 0, |event| matches!(event, Event::Ask { question: q, .. } if *q == question))?;
    let Event::Ask { lock, .. } = &sample.entries[ask].event else { return None };
    let released = sample.entries[..ask].iter().find_map(|entry| match entry.event {
        Event::Released { attempt } if asked(sample, attempt)?.0 == lock => Some(attempt),
        _ => None,
    })?;
    let grant = find(
        sample,
        0,
        |event| matches!(event, Event::Granted { attempt, .. } if *attempt == released),
    )?;
    let Event::Granted { token: former, .. } = sample.entries[grant].event else { return None };
    if let Event::Answer { token, .. } = &mut sample.entries[index].event {
        *token = Some(former);
    }
    done(sample, index)
}

fn answer_with_unheard_token(sample: &mut Broken, _: &mut Rng) -> Option<String> {
    // Later on somebody may be in line who was not told of its grant.
    let index = find(sample, 0, |event| matches!(event, Event::Answer { token: None, .. }))?;
    let Event::Answer { question, .. } = sample.entries[index].event else { return None };
    let ask =
        find(sample, 0, |event| matches!(event, Event::Ask { question: q, .. } if *q == question))?;
    let Event::Ask { lock, .. } = sample.entries[ask].event.clone() else { return None };
    let is_asked_for =
        |entry: &Entry| matches!(&entry.event, Event::Acquire { lock: l, .. } if *l == lock);
    if sample.entries[..index].iter().any(is_asked_for) {
        // Only a lock that nobody asked for yet is sure to have no secret holder; make one.
        if let Event::Ask { lock, .. } = &mut sample.entries[ask].event {
            *lock = "mutex/nobody".into();
        }
    }
    if let Event::Answer { token, .. } = &mut sample.entries[index].event {
        *token = Some(u64::MAX);
    }
    done(sample, index)
}

/// The clients that die at some time.
fn crashed(sample: &Broken) -> Vec<u32> {
    let crashes = sample.entries.iter().filter_map(|entry| match &entry.event {
        Event::Fault { kind, client, .. } if kind == sneck_history::CRASH => *client,
        _ => None,
    });
    crashes.collect()
}

fn forget_return(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let crashed = crashed(sample);
    // Whoever dies later on need not return.
    let index = pick(sample, random, |entry| {
        entry.client.is_some_and(|client| !crashed.contains(&client))
            && matches!(
                entry.event,
                Event::Released { .. } | Event::Refused { .. } | Event::Answer { .. }
            )
    })?;
    let quiet = find(sample, 0, |event| *event == Event::Quiet)?;
    if index > quiet {
        return None;
    }
    sample.entries.remove(index);
    done(sample, index)
}

fn forget_vacated(sample: &mut Broken, _: &mut Rng) -> Option<String> {
    let quiet = find(sample, 0, |event| *event == Event::Quiet)?;
    let cancelled: Vec<u64> = sample
        .entries
        .iter()
        .filter_map(|entry| match entry.event {
            Event::Cancel { attempt } => Some(attempt),
            _ => None,
        })
        .collect();
    let owner = |place: u64| {
        sample.entries.iter().find_map(|entry| match entry.event {
            Event::Placed { attempt, place: p, .. } if p == place => Some(attempt),
            _ => None,
        })
    };
    let index = sample.entries[..quiet].iter().rposition(|entry| match entry.event {
        Event::Vacated { place } => owner(place).is_some_and(|owner| !cancelled.contains(&owner)),
        _ => false,
    })?;
    sample.entries.remove(index);
    done(sample, index)
}

fn delay_wakeup(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    // Who is granted a mutex is the first in its line, and stays that for longer.
    let index = pick(sample, random, |entry| {
        matches!(entry.event, Event::Granted { .. })
            && entry.event.attempt().is_some_and(|attempt| is_mutex(sample, attempt))
            && !is_ill_at(sample, entry)
    })?;
    let bounds = sample.header.bounds;
    delay(sample, index, 2 * (bounds.grant_ns + bounds.session_ns));
    done(sample, index)
}

/// Whether a fault of the store, or of the client, had begun before an entry and was not over.
fn is_ill_at(sample: &Broken, at: &Entry) -> bool {
    let before = &sample.entries[..at.seq as usize - 1];
    let began = before.iter().filter_map(|entry| match entry.event {
        Event::Fault { fault, client, .. } if client.is_none() || client == at.client => {
            Some(fault)
        }
        _ => None,
    });
    let is_over = |fault: u64| before.iter().any(|entry| entry.event == Event::Healed { fault });
    began.into_iter().any(|fault| !is_over(fault))
}

fn delay_takeover(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let index = pick(sample, random, |entry| match &entry.event {
        Event::Fault { kind, .. } => kind == sneck_history::CRASH,
        _ => false,
    })?;
    // The grant that follows on the dead one's: its lock is that of what expires next.
    let client = match sample.entries[index].event {
        Event::Fault { client, .. } => client?,
        _ => return None,
    };
    let last = sample.entries[..index].iter().rev().find(|entry| {
        entry.client == Some(client) && matches!(entry.event, Event::Granted { .. })
    })?;
    let dead = last.event.attempt()?;
    let (lock, mode) = asked(sample, dead)?;
    (mode == Mode::Exclusive && lock.starts_with("mutex")).then_some(())?;
    let next = find(sample, index, |event| match event {
        Event::Granted { attempt, .. } => {
            asked(sample, *attempt).is_some_and(|(name, _)| name == lock)
        }
        _ => false,
    })?;
    delay(sample, next, 100 * sample.header.bounds.session_ns);
    // Faults that nobody healed meanwhile would excuse it.
    let healed = sample.entries[next].at_ns - 99 * sample.header.bounds.session_ns;
    let open: Vec<usize> = (next..sample.entries.len())
        .filter(|index| matches!(sample.entries[*index].event, Event::Healed { .. }))
        .collect();
    let moved: Vec<Entry> = open.iter().rev().map(|index| sample.entries.remove(*index)).collect();
    for entry in moved {
        sample.entries.insert(next, Entry { at_ns: healed, ..entry });
    }
    let later = sample.entries.split_off(next + open.len());
    let no_faults = later.into_iter().filter(|entry| !matches!(entry.event, Event::Fault { .. }));
    sample.entries.extend(no_faults);
    done(sample, next)
}

fn swap_grants(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    // Of two in one line the second is granted when the first was, and the other way round.
    let queued = pick(sample, random, |entry| {
        matches!(entry.event, Event::Queued { .. })
            && entry.event.attempt().is_some_and(|attempt| is_mutex(sample, attempt))
    })?;
    let first = sample.entries[queued].event.attempt()?;
    let lock = asked(sample, first)?.0.to_owned();
    let grant_of = |of: u64| {
        find(sample, 0, |event| matches!(event, Event::Granted { attempt, .. } if *attempt == of))
    };
    let first_grant = grant_of(first)?;
    let second =
        sample.entries[queued..first_grant].iter().find_map(|entry| match &entry.event {
            Event::Acquire { attempt, lock: l, .. }
                if *l == lock && grant_of(*attempt).is_some() =>
            {
                Some(*attempt)
            }
            _ => None,
        })?;
    let second_grant = grant_of(second)?;
    if second_grant < first_grant {
        return None;
    }
    let (one, other) = (sample.entries[first_grant].clone(), sample.entries[second_grant].clone());
    sample.entries[first_grant] = Entry { at_ns: one.at_ns, own_ns: None, ..other.clone() };
    sample.entries[second_grant] = Entry { at_ns: other.at_ns, own_ns: None, ..one };
    done(sample, first_grant)
}

fn writer_among_readers(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    // Of two readers that are together one was a writer all the time.
    let mut held: Vec<u64> = Vec::new();
    let mut pairs = Vec::new();
    for entry in &sample.entries {
        match entry.event {
            Event::Granted { attempt, .. } if asked(sample, attempt)?.1 == Mode::Shared => {
                let lock = asked(sample, attempt)?.0;
                let beside = |other: &&u64| asked(sample, **other).is_some_and(|(l, _)| l == lock);
                if held.iter().any(|other| beside(&other)) {
                    pairs.push(attempt);
                }
                held.push(attempt);
            }
            // Who was stopped or killed is not reliably beside anybody.
            Event::Fault { client: Some(_), .. } => held.clear(),
            Event::Release { attempt } | Event::Lost { attempt } => held.retain(|a| *a != attempt),
            _ => {}
        }
    }
    let chosen = random.choice(pairs)?;
    let index = find(
        sample,
        0,
        |event| matches!(event, Event::Acquire { attempt, .. } if *attempt == chosen),
    )?;
    if let Event::Acquire { mode, .. } = &mut sample.entries[index].event {
        *mode = Mode::Exclusive;
    }
    done(sample, index)
}

fn take_more(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let granted = pick(sample, random, |entry| {
        let mode = entry.event.attempt().and_then(|attempt| asked(sample, attempt));
        matches!(entry.event, Event::Granted { .. })
            && matches!(mode, Some((_, Mode::Permits { .. })))
    })?;
    let of = sample.entries[granted].event.attempt()?;
    let index = find(sample, 0, |event| event.attempt() == Some(of))?;
    if let Event::Acquire { mode: Mode::Permits { take, .. }, .. } =
        &mut sample.entries[index].event
    {
        *take = 99;
    }
    done(sample, index)
}

fn refuse_probe(sample: &mut Broken, _: &mut Rng) -> Option<String> {
    let quiet = find(sample, 0, |event| *event == Event::Quiet)?;
    let index = find(sample, quiet, |event| matches!(event, Event::Granted { .. }))?;
    let attempt = sample.entries[index].event.attempt()?;
    sample.entries[index].event = Event::Refused { attempt };
    done(sample, index)
}

fn late_deadline(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let lost: Vec<u64> = sample
        .entries
        .iter()
        .filter_map(|entry| match entry.event {
            Event::Lost { attempt } => Some(attempt),
            _ => None,
        })
        .collect();
    let index = pick(sample, random, |entry| match entry.event {
        Event::Granted { attempt, .. } => lost.contains(&attempt),
        _ => false,
    })?;
    let of = sample.entries[index].event.attempt();
    // Renewals have deadlines of their own.
    sample.entries.retain(|entry| {
        !(matches!(entry.event, Event::Extended { .. }) && entry.event.attempt() == of)
    });
    let index =
        find(sample, 0, |event| matches!(event, Event::Granted { .. }) && event.attempt() == of)?;
    if let Event::Granted { until_ns, .. } = &mut sample.entries[index].event {
        *until_ns = Some(u64::MAX);
    }
    done(sample, index)
}

fn grant_twice(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let index = pick(sample, random, |entry| matches!(entry.event, Event::Granted { .. }))?;
    let again = sample.entries[index].clone();
    sample.entries.insert(index, again);
    done(sample, index)
}

fn place_of_another_session(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let index = pick(sample, random, |entry| matches!(entry.event, Event::Placed { .. }))?;
    if let Event::Placed { session, .. } = &mut sample.entries[index].event {
        *session = Some("another".into());
    }
    done(sample, index)
}

fn write_after_cancel(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let index = pick(sample, random, |entry| matches!(entry.event, Event::Cancel { .. }))?;
    let cancel = sample.entries[index].clone();
    let attempt = cancel.event.attempt()?;
    let lock = asked(sample, attempt)?.0.to_owned();
    let event = Event::Write { lock, attempt, token: Some(u64::MAX), base: None, admitted: true };
    sample.entries.insert(index + 1, Entry { event, ..cancel });
    done(sample, index + 1)
}

fn place_stays_after_cancel(sample: &mut Broken, _: &mut Rng) -> Option<String> {
    let vacated = |place: u64| {
        find(sample, 0, |event| matches!(event, Event::Vacated { place: p } if *p == place))
    };
    let crashed = crashed(sample);
    let early = &sample.entries[..sample.entries.len() / 2];
    let index = early.iter().find_map(|entry| match entry.event {
        // The place of somebody who died as well is a left-over of P5.
        Event::Cancel { .. } if entry.client.is_some_and(|client| crashed.contains(&client)) => {
            None
        }
        Event::Cancel { attempt: cancelled } => early.iter().find_map(|entry| match entry.event {
            Event::Placed { attempt, place, .. } if attempt == cancelled => vacated(place),
            _ => None,
        }),
        _ => None,
    })?;
    sample.entries.remove(index);
    // As long as it takes for anybody to notice.
    let last = sample.entries.len() - 1;
    delay(sample, last, 1000 * sample.header.bounds.cancel_ns);
    done(sample, index)
}

fn raise_floor(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    let floors = &mut sample.header.floors;
    match random.u32(0..3) {
        0 => floors.grants = u64::MAX,
        1 => floors.expiries = u64::MAX,
        _ => {
            floors.faults.insert("fire".into(), 1);
        }
    }
    Some("the header".into())
}

fn weaker_store(sample: &mut Broken, random: &mut Rng) -> Option<String> {
    sample.header.store = random.choice([Store::Redis, Store::Redlock, Store::Cassandra])?;
    Some("the header".into())
}

fn promise_more(sample: &mut Broken, _: &mut Rng) -> Option<String> {
    sample.header.claims = Claims { exclusion: true, fifo: false };
    let promised = Claims { exclusion: true, fifo: true };
    let (at_ns, own_ns) = (sample.entries[0].at_ns, None);
    let event = Event::Joined { promised };
    sample.entries.insert(0, Entry { seq: 1, at_ns, client: Some(1), own_ns, event });
    done(sample, 0)
}
