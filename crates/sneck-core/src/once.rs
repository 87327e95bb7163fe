//! Whether a job is due, by what its record says and by the store's clock. Pure: no clock is read here.
//!
//! An interval is counted from the start of the last run. Nothing is decided by the clock of a client:
//! the start is the time of the write that recorded it, and "now" is the time of another write, both
//! told by the store.
//!
//! That clock may step all the same. When it steps forward, one run may come early; its start is
//! recorded by the clock that stepped, so the next one is a whole interval later. When it steps back, the
//! next run comes late, never early. Lest it come years late, a start that lies more than an interval in
//! the future is counted from the moment this is noticed.

use crate::caller::Caller;
use crate::fields::Fields;
use crate::record::Record;
use crate::token::Token;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last run of a job, as its record tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// When it began, by the store's clock.
    pub started: SystemTime,
    /// Who ran it.
    pub by: Option<Caller>,
    /// The token it ran under.
    pub token: Option<Token>,
    /// How it ended, and when by the store's clock; `None` while it runs, and for ever if its process
    /// died.
    pub ended: Option<(SystemTime, End)>,
    /// What the next interval is counted from.
    base: SystemTime,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It did what it was for.
    Done,
    /// It failed.
    Failed,
}

/// Whether a job is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is.
    Due,
    /// Not before this time of the store's clock.
    NotBefore(SystemTime),
    /// The store's clock has stepped back by more than an interval since the last run. The interval is
    /// to be counted from now on, by [`LastRun::rebased`].
    SteppedBack,
}

impl LastRun {
    /// Reads a record.
    pub fn of(record: &Record) -> Self {
        let fields = Fields::parse(&record.data);
        let started = time(&fields, "started").unwrap_or(record.written);
        let end = match fields.get("state") {
            Some("done") => Some(End::Done),
            Some("failed") => Some(End::Failed),
            _ => None,
        };
        let ended = time(&fields, "ended").unwrap_or(record.written);
        LastRun {
            started,
            by: fields.get("caller").and_then(Caller::parse),
            token: fields.get("token").and_then(|token| Token::new(token.parse().ok()?)),
            ended: end.map(|end| (ended, end)),
            base: match fields.get("base") {
                // The write that rebased it cannot know its own time.
                Some("now") => record.written,
                Some(_) => time(&fields, "base").unwrap_or(record.written),
                None => started,
            },
        }
    }

    /// Whether a job that is to run `every` so often is due.
    pub fn judge(last: Option<&LastRun>, now: SystemTime, every: Duration) -> Judgement {
        let Some(last) = last else { return Judgement::Due };
        let Some(due) = last.base.checked_add(every) else {
            return Judgement::NotBefore(last.base);
        };
        if now >= due {
            return Judgement::Due;
        }
        match last.base.duration_since(now) {
            Ok(ahead) if ahead > every => Judgement::SteppedBack,
            _ => Judgement::NotBefore(due),
        }
    }

    /// When the next run is due if the job is to run `every` so often.
    pub fn next(&self, every: Duration) -> Option<SystemTime> {
        self.base.checked_add(every)
    }

    /// Whether the run came to a good end. One that did not may still go on.
    pub fn is_done(&self) -> bool {
        matches!(self.ended, Some((_, End::Done)))
    }

    /// The text of a run that begins. When it does is what the store says about this write.
    pub fn begun(caller: &Caller, token: Token) -> String {
        let mut fields = Fields::new();
        fields.put("state", "started");
        fields.put("caller", caller);
        fields.put("token", token);
        fields.to_string()
    }

    /// The text of this run after its end.
    pub fn over(&self, end: End) -> String {
        let state = match end {
            End::Done => "done",
            End::Failed => "failed",
        };
        let mut fields = self.fields(state);
        fields.put("base", millis(self.base));
        fields.to_string()
    }

    /// The text of this run with the next interval counted from when it is written.
    pub fn rebased(&self) -> String {
        let mut fields = self.fields(match self.ended {
            None => "started",
            Some((_, End::Done)) => "done",
            Some((_, End::Failed)) => "failed",
        });
        if let Some((at, _)) = self.ended {
            fields.put("ended", millis(at));
        }
        fields.put("base", "now");
        fields.to_string()
    }

    fn fields(&self, state: &str) -> Fields {
        let mut fields = Fields::new();
        fields.put("state", state);
        if let Some(caller) = &self.by {
            fields.put("caller", caller);
        }
        if let Some(token) = self.token {
            fields.put("token", token);
        }
        fields.put("started", millis(self.started));
        fields
    }
}

fn millis(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

fn time(fields: &Fields, key: &str) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(fields.get(key)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::ClaimId;
    use proptest::prelude::*;

    const EVERY: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn last(text: &str, written: SystemTime) -> LastRun {
        let (id, stamp) = (ClaimId::from_u128(1), Token::new(1).unwrap());
        LastRun::of(&Record { id, data: text.as_bytes().into(), stamp, written })
    }

    fn begun(written: SystemTime) -> LastRun {
        let caller = Caller { host: "h".into(), ..Caller::anonymous() };
        last(&LastRun::begun(&caller, Token::new(9).unwrap()), written)
    }

    #[test]
    fn an_interval_is_counted_from_the_start_whatever_the_run_took() {
        let run = begun(at(10_000));
        assert_eq!((run.started, run.ended, run.token), (at(10_000), None, Token::new(9)));
        let over = last(&run.over(End::Done), at(11_000));
        assert_eq!(over.ended, Some((at(11_000), End::Done)));
        assert_eq!((over.started, &over.by), (at(10_000), &run.by));
        for run in [run, over] {
            let judge = |now| LastRun::judge(Some(&run), now, EVERY);
            assert_eq!(judge(at(13_599)), Judgement::NotBefore(at(13_600)));
            assert_eq!(judge(at(13_600)), Judgement::Due);
        }
        assert_eq!(LastRun::judge(None, at(0), EVERY), Judgement::Due);
    }

    #[test]
    fn a_clock_that_steps_back_delays_by_an_interval_and_no_more() {
        let run = last(&begun(at(1_000_000)).over(End::Failed), at(1_000_001));
        // Back by less than an interval: nothing is sure but that it must not be early.
        let judged = LastRun::judge(Some(&run), at(999_000), EVERY);
        assert_eq!(judged, Judgement::NotBefore(at(1_003_600)));
        assert_eq!(LastRun::judge(Some(&run), at(500), EVERY), Judgement::SteppedBack);
        let rebased = last(&run.rebased(), at(500));
        assert_eq!((rebased.started, rebased.ended), (run.started, run.ended));
        let judge = |now| LastRun::judge(Some(&rebased), now, EVERY);
        assert_eq!(judge(at(501)), Judgement::NotBefore(at(4_100)));
        assert_eq!(judge(at(4_100)), Judgement::Due);
        // The end of a run that was rebased while it ran does not bring the old time back.
        let ended = last(&last(&begun(at(1_000_000)).rebased(), at(500)).over(End::Done), at(600));
        assert_eq!(ended.next(EVERY), Some(at(4_100)));
    }

    #[test]
    fn what_strangers_wrote_counts_as_a_run_that_never_ended() {
        let run = last("hello", at(100));
        assert_eq!((run.started, run.is_done(), run.by.is_none()), (at(100), false, true));
        assert_eq!(LastRun::judge(Some(&run), at(100), EVERY), Judgement::NotBefore(at(3_700)));
        let absurd = last("started=18446744073709551615\nbase=now", at(100));
        assert_eq!(absurd.next(EVERY), Some(at(3_700)));
    }

    proptest! {
        /// Over any steps of the clock, two runs are an interval apart by the clock that dates them,
        /// except across a step back that was counted anew, and then they are truly so.
        #[test]
        fn no_two_runs_come_early(steps in prop::collection::vec((0_u64..4000, -9000_i64..9000), 1..200)) {
            let (mut truth, mut offset) = (1_000_000_u64, 0_i64);
            let mut run: Option<LastRun> = None;
            // True times of the last start and of the last step forward.
            let mut started_truly: Option<u64> = None;
            let mut forward = false;
            for (wait, step) in steps {
                truth += wait;
                if wait % 7 == 0 {
                    offset += step;
                    forward |= step > 0;
                }
                let now = at(truth.saturating_add_signed(offset));
                match LastRun::judge(run.as_ref(), now, EVERY) {
                    Judgement::Due => {
                        if let Some(before) = started_truly {
                            prop_assert!(forward || truth - before >= EVERY.as_secs());
                        }
                        (run, started_truly, forward) = (Some(begun(now)), Some(truth), false);
                    }
                    Judgement::SteppedBack => {
                        let text = run.as_ref().map(LastRun::rebased).unwrap_or_default();
                        run = Some(last(&text, now));
                    }
                    Judgement::NotBefore(due) => {
                        let late = due.duration_since(now).unwrap_or_default();
                        prop_assert!(late <= 2 * EVERY, "{late:?}");
                    }
                }
            }
        }
    }
}
