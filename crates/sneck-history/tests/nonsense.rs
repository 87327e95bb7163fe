//! Whatever a reader lets pass can be judged: events in any order, about anything.

use fastrand::Rng;
use sneck_history::{
    CLOCK, CRASH, Claims, Entry, Event, Header, Judge, Mode, PAUSE, REMOVAL, Store,
};

/// Any number that may be in a history, and mostly one that occurs elsewhere in it.
fn number(random: &mut Rng) -> u64 {
    if random.u32(0..20) == 0 { u64::MAX } else { random.u64(0..4) }
}

fn name(random: &mut Rng) -> String {
    random.choice(["", "a", "b"]).unwrap_or_default().to_owned()
}

fn maybe<T>(random: &mut Rng, some: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    random.bool().then(|| some(random))
}

fn mode(random: &mut Rng) -> Mode {
    match random.u32(0..3) {
        0 => Mode::Exclusive,
        1 => Mode::Shared,
        _ => Mode::Permits { take: number(random) as u32, of: number(random) as u32 },
    }
}

fn of_a_client(random: &mut Rng) -> Event {
    let attempt = number(random);
    match random.u32(0..18) {
        0 => Event::Queued { attempt },
        1 | 2 => Event::Granted {
            attempt,
            token: number(random),
            session: None,
            until_ns: maybe(random, number),
        },
        3 => Event::Extended { attempt, until_ns: number(random) },
        4 => Event::Refused { attempt },
        5 => Event::Unsure { attempt },
        6 => Event::Cancel { attempt },
        7 => Event::Check { attempt, held: random.bool() },
        8 => Event::Convert { attempt, to: mode(random) },
        9 => Event::Converted { attempt, to: mode(random) },
        10 => Event::Release { attempt },
        11 => Event::Released { attempt },
        12 => Event::Lost { attempt },
        13 => Event::Ask { question: attempt, lock: name(random) },
        14 => Event::Answer { question: attempt, token: maybe(random, number) },
        15 => {
            let (lock, token, base) = (name(random), maybe(random, number), maybe(random, number));
            Event::Write { lock, attempt, token, base, admitted: random.bool() }
        }
        16 => Event::Joined { promised: Claims { exclusion: random.bool(), fifo: random.bool() } },
        _ => Event::Acquire {
            attempt,
            lock: name(random),
            mode: mode(random),
            session: maybe(random, name),
            no_wait: random.bool(),
            together: random.bool().then(|| random.u64(0..3)),
        },
    }
}

fn of_others(random: &mut Rng) -> Event {
    match random.u32(0..8) {
        0 => Event::Vacated { place: number(random) },
        1 => Event::Expired { session: name(random), when_ns: number(random) },
        2 => Event::Leader { server: name(random) },
        3 => Event::Permits { lock: name(random), of: number(random) as u32 },
        4 => {
            let kind = random.choice([PAUSE, CLOCK, CRASH, REMOVAL, "fire"]).unwrap_or_default();
            let client = maybe(random, |random| number(random) as u32);
            Event::Fault { fault: number(random), kind: kind.to_owned(), client }
        }
        5 => Event::Healed { fault: number(random) },
        6 => Event::Quiet,
        _ => {
            let (lock, session) = (name(random), maybe(random, name));
            Event::Placed { lock, attempt: number(random), place: number(random), session }
        }
    }
}

#[test]
fn nonsense_is_judged() {
    let mut violated = std::collections::BTreeSet::new();
    for seed in 0..3000 {
        let mut random = Rng::with_seed(seed);
        let mut judge = Judge::new(Header::new(Store::Memory));
        let mut at_ns = 0;
        for seq in 1..=random.u64(1..40) {
            at_ns += random.u64(0..2) * random.u64(0..20_000_000_000);
            let client = maybe(&mut random, |random| number(random) as u32);
            let own_ns = client.and_then(|_| maybe(&mut random, |random| random.u64(0..=at_ns)));
            let event = match client {
                Some(_) => of_a_client(&mut random),
                None => of_others(&mut random),
            };
            judge.see(&Entry { seq, at_ns, client, own_ns, event });
        }
        let report = judge.conclude();
        assert!(report.to_string().ends_with('\n'));
        violated.extend(report.totals.keys().copied());
    }
    // Nonsense that violated little would have been too tame.
    assert!(violated.len() > 8, "{violated:?}");
}
