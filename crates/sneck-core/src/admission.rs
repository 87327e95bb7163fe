//! The admission rule: who in a line holds the lock, and whom everybody else waits for.

use crate::claim::Mode;

/// One place in a line, for the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How the place excludes others.
    pub mode: Mode,
}

/// What the rule says about one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The place holds the lock.
    Granted,
    /// The place waits; nothing that happens before the entry at this index leaves can admit it.
    Behind(usize),
}

/// Judges the place at index `me` of `line`, which is in the order of arrival.
///
/// Fair: a place never waits for a later one. Each place waits for one entry ahead of it only, so
/// that a release wakes one exclusive waiter, or the readers that stand together, and no herd. This is
/// the rule of the fair queue lock of Hunt, Konar, Junqueira and Reed, "ZooKeeper: wait-free
/// coordination for internet-scale systems" (2010), section 2.4, where a reader waits for the last
/// writer ahead of it.
///
/// ```
/// use sneck_core::{Admission, Entry, Mode, admit};
/// let line = [Mode::Shared, Mode::Shared, Mode::Exclusive, Mode::Shared].map(|mode| Entry { mode });
/// assert_eq!(admit(&line, 1), Admission::Granted);
/// assert_eq!(admit(&line, 2), Admission::Behind(1));
/// assert_eq!(admit(&line, 3), Admission::Behind(2));
/// ```
///
/// # Panics
/// When `me` is not in the line.
pub fn admit(line: &[Entry], me: usize) -> Admission {
    let ahead = &line[..me];
    let behind = match line[me].mode {
        Mode::Exclusive => me.checked_sub(1),
        Mode::Shared => ahead.iter().rposition(|entry| entry.mode != Mode::Shared),
    };
    behind.map_or(Admission::Granted, Admission::Behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line of up to eight places: the granted ones never exclude each other, whoever waits
    /// waits for an earlier one, and when that chain is followed it ends at a holder.
    #[test]
    fn the_rule_holds_for_every_short_line() {
        for length in 1..=8_usize {
            for bits in 0..(1_u32 << length) {
                let line: Vec<Entry> = (0..length)
                    .map(|at| Entry {
                        mode: if bits >> at & 1 == 0 { Mode::Exclusive } else { Mode::Shared },
                    })
                    .collect();
                check(&line);
            }
        }
    }

    fn check(line: &[Entry]) {
        let granted: Vec<usize> =
            (0..line.len()).filter(|me| admit(line, *me) == Admission::Granted).collect();
        let exclusive = granted.iter().filter(|me| line[**me].mode == Mode::Exclusive).count();
        assert!(granted.contains(&0), "{line:?}: the first always holds");
        assert!(exclusive == 0 || granted.len() == 1, "{line:?}: a writer holds alone");
        for me in 0..line.len() {
            let mut at = me;
            while let Admission::Behind(ahead) = admit(line, at) {
                assert!(ahead < at, "{line:?}");
                at = ahead;
            }
        }
    }
}
