//! Who holds a lock, as its partition says; and whether one more fits in.

use sneck_core::{Admission, ClaimId, Contender, Entry, Mode, Permits, Token, Waiting, admit};
use std::num::NonZeroU32;
use std::time::Duration;

/// The holders that one lock has at the same time, at most. Each is a row that every look reads.
pub(crate) const SEATS_MAX: i32 = 1_000;

/// The words in the column `mode`.
const EXCLUSIVE: &str = "exclusive";
const SHARED: &str = "shared";
const WRITE: &str = "write";
const PERMITS: &str = "permits";

/// The partition of one lock at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The number of the last grant, or of one that was burnt.
    pub(crate) fence: i64,
    /// The token of the first of those who hold together; `None` before the first grant.
    pub(crate) epoch: Option<i64>,
    /// How many permits there are; `None` before the first use as a semaphore.
    pub(crate) permits: Option<NonZeroU32>,
    /// Who holds, in the order of their seats.
    pub(crate) holders: Vec<Holder>,
}

/// One who holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) seat: i32,
    pub(crate) owner: ClaimId,
    pub(crate) token: i64,
    pub(crate) mode: HolderMode,
    pub(crate) meta: String,
    /// What is left of its TTL, in whole seconds of the servers.
    pub(crate) left: Duration,
}

/// How a holder excludes others, as far as what it wrote can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HolderMode {
    Exclusive,
    Shared,
    Write,
    Permits {
        take: NonZeroU32,
    },
    /// Written by a version that knows more than this one. It excludes everybody.
    Strange,
}

impl HolderMode {
    pub(crate) fn of(mode: Mode) -> HolderMode {
        match mode {
            Mode::Exclusive => HolderMode::Exclusive,
            Mode::Shared => HolderMode::Shared,
            Mode::Write => HolderMode::Write,
            Mode::Permits(permits) => HolderMode::Permits { take: permits.take() },
            _ => HolderMode::Strange,
        }
    }

    pub(crate) fn read(mode: &str, take: i32) -> HolderMode {
        let take = u32::try_from(take).ok().and_then(NonZeroU32::new);
        match (mode, take) {
            (EXCLUSIVE, _) => HolderMode::Exclusive,
            (SHARED, _) => HolderMode::Shared,
            (WRITE, _) => HolderMode::Write,
            (PERMITS, Some(take)) => HolderMode::Permits { take },
            _ => HolderMode::Strange,
        }
    }

    /// The word and the number of permits that are written.
    pub(crate) fn written(self) -> (&'static str, i32) {
        match self {
            HolderMode::Exclusive => (EXCLUSIVE, 1),
            HolderMode::Shared => (SHARED, 1),
            HolderMode::Write => (WRITE, 1),
            HolderMode::Permits { take } => {
                (PERMITS, i32::try_from(take.get()).unwrap_or(i32::MAX))
            }
            HolderMode::Strange => ("", 1),
        }
    }

    /// As it is told to others, as far as it can be understood.
    fn told(self, of: Option<NonZeroU32>) -> Option<Mode> {
        match self {
            HolderMode::Exclusive => Some(Mode::Exclusive),
            HolderMode::Shared => Some(Mode::Shared),
            HolderMode::Write => Some(Mode::Write),
            HolderMode::Permits { take } => {
                let all = Permits::new(take.get(), take.get()).ok()?;
                Some(Mode::Permits(all.resized(of?)))
            }
            HolderMode::Strange => None,
        }
    }

    /// For the admission rule; `of` are the permits that there are.
    fn entry(self, of: NonZeroU32) -> Entry {
        let mode = match self {
            HolderMode::Exclusive | HolderMode::Strange => Mode::Exclusive,
            HolderMode::Shared => Mode::Shared,
            HolderMode::Write => Mode::Write,
            HolderMode::Permits { take } => {
                let one = Permits::new(1, of.get().max(take.get()));
                let all = Permits::new(take.get(), of.get().max(take.get()));
                all.or(one).map_or(Mode::Exclusive, |permits| Mode::Permits(permits.resized(of)))
            }
        };
        Entry { mode, held: true }
    }
}

/// Where somebody would sit who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) number: i32,
    pub(crate) token: i64,
    pub(crate) epoch: i64,
}

impl Line {
    /// The seat of one more, if the rule lets it in beside those who hold.
    ///
    /// Nobody waits in this line, so that the rule, which is fair over a line of arrivals, is fair here
    /// to nobody: whoever asks while it is free has it.
    pub(crate) fn admit(&self, mode: Mode) -> Option<Seat> {
        let of = match mode {
            Mode::Permits(permits) => permits.of(),
            _ => NonZeroU32::MIN,
        };
        let mut entries: Vec<Entry> =
            self.holders.iter().map(|holder| holder.mode.entry(of)).collect();
        entries.push(Entry::new(mode));
        if admit(&entries, self.holders.len()) != Admission::Granted {
            return None;
        }
        let number = self.free_seat()?;
        let token = self.fence.checked_add(1)?;
        // Who sits down beside others belongs to them; who begins anew shuts out all from before.
        let epoch = if self.holders.is_empty() { token } else { self.epoch.unwrap_or(token) };
        Some(Seat { number, token, epoch })
    }

    fn free_seat(&self) -> Option<i32> {
        (0..SEATS_MAX).find(|number| self.holders.iter().all(|holder| holder.seat != *number))
    }

    /// The row of this claim with this token.
    pub(crate) fn find(&self, owner: ClaimId, token: i64) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.owner == owner && holder.token == token)
    }

    /// What is told to somebody who is not let in, and when the first of those ahead may be gone.
    pub(crate) fn waiting(&self) -> (Waiting, Option<Duration>) {
        let holder = self.holders.iter().min_by_key(|holder| holder.token);
        let left = self.holders.iter().map(|holder| holder.left).min();
        (Waiting { ahead: None, holder: holder.map(|holder| holder.contender(self.permits)) }, left)
    }
}

impl Holder {
    /// As it is shown to people; `permits` are those that there are.
    pub(crate) fn contender(&self, permits: Option<NonZeroU32>) -> Contender {
        Contender {
            claim: Some(self.owner),
            mode: self.mode.told(permits),
            held: true,
            token: u64::try_from(self.token).ok().and_then(Token::new),
            ..Contender::new(self.owner.to_string(), self.meta.as_bytes())
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn holder(seat: i32, token: i64, mode: Mode) -> Holder {
        Holder {
            seat,
            owner: ClaimId::from_u128(token.unsigned_abs().into()),
            token,
            mode: HolderMode::of(mode),
            meta: String::new(),
            left: Duration::from_secs(9),
        }
    }

    pub(crate) fn line(fence: i64, epoch: i64, holders: Vec<Holder>) -> Line {
        Line { fence, epoch: Some(epoch), permits: NonZeroU32::new(3), holders }
    }

    fn of_three(take: u32) -> Mode {
        Mode::Permits(Permits::new(take, 3).unwrap())
    }

    #[test]
    fn an_empty_line_begins_a_new_epoch() {
        let seat = line(7, 5, vec![]).admit(Mode::Exclusive);
        assert_eq!(seat, Some(Seat { number: 0, token: 8, epoch: 8 }));
    }

    #[test]
    fn readers_sit_together_in_the_lowest_free_seats() {
        let line = line(9, 7, vec![holder(0, 7, Mode::Shared), holder(2, 9, Mode::Shared)]);
        let seat = line.admit(Mode::Shared);
        assert_eq!(seat, Some(Seat { number: 1, token: 10, epoch: 7 }));
        assert_eq!(line.admit(Mode::Write), None);
        assert_eq!(line.admit(Mode::Exclusive), None);
        assert_eq!(line.admit(of_three(1)), None);
    }

    #[test]
    fn permits_are_counted() {
        let line = line(9, 7, vec![holder(0, 7, of_three(1)), holder(1, 8, of_three(1))]);
        assert_eq!(line.admit(of_three(1)), Some(Seat { number: 2, token: 10, epoch: 7 }));
        assert_eq!(line.admit(of_three(2)), None);
        assert_eq!(line.admit(Mode::Shared), None);
    }

    /// Somebody made the semaphore smaller than what is held.
    #[test]
    fn permits_that_are_too_many_stay_held_and_keep_others_out() {
        let line = line(9, 7, vec![holder(0, 7, of_three(3)), holder(1, 8, of_three(2))]);
        let mine = Permits::new(1, 4).unwrap();
        assert_eq!(line.admit(Mode::Permits(mine)), None);
        let enough = Permits::new(1, 6).unwrap();
        assert!(line.admit(Mode::Permits(enough)).is_some());
    }

    #[test]
    fn what_is_not_understood_excludes_everybody() {
        let mut strange = holder(0, 7, Mode::Shared);
        strange.mode = HolderMode::read("intent", 1);
        for mode in [Mode::Exclusive, Mode::Shared, Mode::Write, of_three(1)] {
            assert_eq!(line(9, 7, vec![strange.clone()]).admit(mode), None);
        }
    }

    #[test]
    fn modes_survive_being_written() {
        for mode in [Mode::Exclusive, Mode::Shared, Mode::Write, of_three(2)] {
            let mode = HolderMode::of(mode);
            let (word, take) = mode.written();
            assert_eq!(HolderMode::read(word, take), mode);
        }
    }

    #[test]
    fn there_are_only_so_many_seats() {
        let taken = (0..SEATS_MAX).map(|seat| holder(seat, 7 + i64::from(seat), Mode::Shared));
        let line = line(9_000, 7, taken.collect());
        assert_eq!(line.admit(Mode::Shared), None);
    }
}
