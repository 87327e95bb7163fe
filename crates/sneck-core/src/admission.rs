//! The admission rule: who in a line holds the lock, and whom everybody else waits for.

use crate::claim::Mode;
use crate::mutant;
use crate::permits::Permits;

/// One place in a line, for the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How the place excludes others.
    pub mode: Mode,
    /// Whether the place is known to have been granted already. It matters for permits only, whose
    /// number may have been lowered since: what was granted stays granted.
    pub held: bool,
}

impl Entry {
    /// A place of which nothing but its mode is known.
    pub const fn new(mode: Mode) -> Self {
        Entry { mode, held: false }
    }
}

/// What the rule says about one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The place holds the lock.
    Granted,
    /// The place waits; nothing that happens before the entry at this index leaves, or is granted
    /// where that can be before it leaves, can admit it.
    Behind(usize),
    /// The place is the first that waits for permits, and so many are missing. Any holder ahead may
    /// be the one who gives them back.
    Short(u64),
}

/// Judges the place at index `me` of `line`, which is in the order of arrival.
///
/// One rule for every kind of lock: a place is granted once it is compatible with all that are ahead of
/// it, waiting or not. So it is fair, and those granted are always a prefix of the line: a large
/// request for permits is not starved by small ones, nor a writer by readers. Each place waits for one
/// entry ahead of it only, so that a release wakes one exclusive waiter, or the readers that stand
/// together, and no herd; of those that wait for permits only the first has to look at the holders.
/// This is the rule of the fair queue lock of Hunt, Konar, Junqueira and Reed, "ZooKeeper: wait-free
/// coordination for internet-scale systems" (2010), section 2.4, where a reader waits for the last
/// writer ahead of it, with weights added.
///
/// Kinds of locks that meet in one line exclude each other.
///
/// ```
/// use sneck_core::{Admission, Entry, Mode, Permits, admit};
/// let line = [Mode::Shared, Mode::Shared, Mode::Write, Mode::Shared].map(Entry::new);
/// assert_eq!(admit(&line, 1), Admission::Granted);
/// assert_eq!(admit(&line, 2), Admission::Behind(1));
/// assert_eq!(admit(&line, 3), Admission::Behind(2));
///
/// let of_three = |take| Ok::<_, sneck_core::Error>(Entry::new(Mode::Permits(Permits::new(take, 3)?)));
/// let line = [of_three(2)?, of_three(2)?, of_three(1)?];
/// assert_eq!(admit(&line, 1), Admission::Short(1));
/// assert_eq!(admit(&line, 2), Admission::Behind(1));
/// # Ok::<(), sneck_core::Error>(())
/// ```
///
/// # Panics
/// When `me` is not in the line.
pub fn admit(line: &[Entry], me: usize) -> Admission {
    let ahead = &line[..me];
    let behind = match line[me].mode {
        _ if line[me].held => None,
        Mode::Write if mutant!("a-writer-joins-readers") => {
            ahead.iter().rposition(|entry| entry.mode != Mode::Shared)
        }
        Mode::Shared if mutant!("a-reader-passes-writers") => {
            ahead.first().filter(|entry| entry.mode != Mode::Shared).map(|_| 0)
        }
        Mode::Exclusive | Mode::Write => me.checked_sub(1),
        Mode::Shared => ahead.iter().rposition(|entry| entry.mode != Mode::Shared),
        Mode::Permits(permits) => return admit_permits(ahead, permits),
    };
    behind.map_or(Admission::Granted, Admission::Behind)
}

fn admit_permits(ahead: &[Entry], mine: Permits) -> Admission {
    let of = u64::from(mine.of().get());
    let mut taken = 0;
    let mut other_kind = None;
    let mut somebody_waits = false;
    for (at, entry) in ahead.iter().enumerate() {
        match entry.mode {
            Mode::Permits(permits) => taken += u64::from(permits.take().get()),
            _ => other_kind = Some(at),
        }
        somebody_waits |= !entry.held && taken > of;
    }
    let of = if mutant!("a-permit-too-many") { of + 1 } else { of };
    let missing = (taken + u64::from(mine.take().get())).saturating_sub(of);
    match other_kind {
        Some(at) => Admission::Behind(at),
        None if somebody_waits => Admission::Behind(ahead.len() - 1),
        None if missing > 0 => Admission::Short(missing),
        None => Admission::Granted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    /// Every line of up to `length` places of these modes.
    fn lines(modes: &[Mode], length: usize) -> impl Iterator<Item = Vec<Entry>> {
        (1..=length).flat_map(move |length| {
            (0..modes.len().pow(u32::try_from(length).unwrap())).map(move |mut code| {
                let entry = |_| {
                    let mode = modes[code % modes.len()];
                    code /= modes.len();
                    Entry::new(mode)
                };
                (0..length).map(entry).collect()
            })
        })
    }

    fn of(take: u32, of: u32) -> Mode {
        Mode::Permits(Permits::new(take, of).unwrap())
    }

    #[test]
    fn the_rule_holds_for_every_short_line() {
        let all = [Mode::Exclusive, Mode::Shared, Mode::Write, of(1, 3), of(2, 3), of(3, 3)];
        lines(&[Mode::Exclusive, Mode::Shared], 8).for_each(|line| check(&line));
        lines(&[of(1, 4), of(2, 4), of(3, 4), of(4, 4)], 6).for_each(|line| check(&line));
        lines(&all, 5).for_each(|line| check(&line));
    }

    fn check(line: &[Entry]) {
        let granted = |me: &usize| admit(line, *me) == Admission::Granted;
        let held: Vec<Entry> = (0..line.len()).filter(granted).map(|me| line[me]).collect();
        assert!(granted(&0), "{line:?}: the first always holds");
        assert!((0..line.len()).is_sorted_by_key(|me| !granted(&me)), "{line:?}: nobody overtakes");
        let alone = |entry: &Entry| matches!(entry.mode, Mode::Exclusive | Mode::Write);
        assert!(held.len() == 1 || !held.iter().any(alone), "{line:?}: a writer holds alone");
        let shared = held.iter().filter(|entry| entry.mode == Mode::Shared).count();
        assert!(shared == 0 || shared == held.len(), "{line:?}: kinds do not mix");
        let taken: u32 = held.iter().filter_map(|entry| take(entry.mode)).sum();
        assert!(taken <= 4, "{line:?}");
        for me in 0..line.len() {
            check_wait(line, me);
        }
        check_first_waiter(line, held.len());
    }

    fn take(mode: Mode) -> Option<u32> {
        match mode {
            Mode::Permits(permits) => Some(permits.take().get()),
            _ => None,
        }
    }

    /// Whom somebody waits for is ahead, and the chain of those ends at a holder.
    fn check_wait(line: &[Entry], me: usize) {
        let mut at = me;
        loop {
            match admit(line, at) {
                Admission::Granted => return,
                Admission::Behind(ahead) => {
                    assert!(ahead < at, "{line:?}");
                    for gone in (0..me).filter(|gone| *gone != ahead && at == me) {
                        check_others_leaving(line, me, ahead, gone);
                    }
                    at = ahead;
                }
                Admission::Short(_) => {
                    let ahead = (0..at).all(|ahead| admit(line, ahead) == Admission::Granted);
                    return assert!(ahead && at > 0, "{line:?}: the first waiter looks at holders");
                }
            }
        }
    }

    /// The leaving of anybody but the one waited for admits nobody, unless it admits that one first.
    fn check_others_leaving(line: &[Entry], me: usize, ahead: usize, gone: usize) {
        let mut left = line.to_vec();
        left.remove(gone);
        let ahead = ahead - usize::from(gone < ahead);
        let passed_on = take(line[me].mode).is_some() && admit(&left, ahead) == Admission::Granted;
        assert!(passed_on || admit(&left, me - 1) != Admission::Granted, "{line:?}: {me}, {gone}");
    }

    /// Once all holders have left, the first that waited holds: no wake-up is needed from anybody else.
    fn check_first_waiter(line: &[Entry], holders: usize) {
        if holders < line.len() {
            assert_eq!(admit(&line[holders..], 0), Admission::Granted, "{line:?}");
        }
    }

    #[test]
    fn permits_that_were_granted_stay_granted_when_there_are_fewer() {
        let two = NonZeroU32::new(2).unwrap();
        let entry = |take, held| {
            let permits = Permits::new(take, 4).unwrap().resized(two);
            Entry { mode: Mode::Permits(permits), held }
        };
        let line =
            [entry(1, true), entry(2, true), entry(1, true), entry(1, false), entry(1, false)];
        assert!((0..3).all(|me| admit(&line, me) == Admission::Granted));
        assert_eq!(admit(&line, 3), Admission::Short(3));
        assert_eq!(admit(&line, 4), Admission::Behind(3));
        // Any of the holders may be the one whose leaving counts.
        assert_eq!(admit(&line[2..], 1), Admission::Granted);
        assert_eq!(admit(&[line[1], line[3]], 1), Admission::Short(1));
    }

    #[test]
    fn a_request_for_more_than_there_are_by_now_is_never_granted() {
        let permits = Permits::new(3, 3).unwrap().resized(NonZeroU32::MIN);
        assert_eq!(admit(&[Entry::new(Mode::Permits(permits))], 0), Admission::Short(2));
    }
}
