//! P10: a holder knows of its loss before the store gives its lock away.
//!
//! Joined on the session: when the store ends it, no guard of that session may still be believed in.
//! A guard that says until when it is believed in has to have said a time before that, also if its
//! process was stopped. A client that was well has to have told its user, with the slack of a busy
//! machine; and whoever asks a guard after that time must hear that it is lost. A client whose clock
//! was wrong is excused. This property is from no other test: none found looks at the client's side
//! of a session's end. O(n).

use super::{Checker, ms, who};
use crate::report::{Property, Report};
use crate::story::{Attempt, Moment, Story};

#[derive(Debug)]
pub(super) struct Notice;

impl Checker for Notice {
    fn conclude(&mut self, story: &Story, report: &mut Report) {
        for attempt in &story.attempts {
            let ended = attempt.session.and_then(|session| story.expired.get(&session));
            if let (Some(ended), Some((granted, _))) = (ended, attempt.granted)
                && let Some((seqs, what)) = fault(attempt, granted, *ended, story)
            {
                let (who, name) = (who(attempt), story.name(attempt.lock));
                let sentence = format!(
                    "the store ended the session at {} ms, and {who} on {name:?} {what}",
                    ms(ended.ns)
                );
                report.violate(Property::EarlyNotice, &seqs, sentence);
            }
        }
    }
}

/// What the holder believed when its session was over.
fn fault(
    attempt: &Attempt,
    granted: Moment,
    ended: Moment,
    story: &Story,
) -> Option<([u64; 2], String)> {
    let client = attempt.client;
    if story.health.was_misled(client, granted.ns, ended.ns) {
        return None;
    }
    if let Some(held) = attempt.held.filter(|held| *held > ended) {
        let what = format!("was told at {} ms that it holds", ms(held.ns));
        return Some(([granted.seq, 0], what));
    }
    let believed = story.hold_end(attempt);
    if let Some(until) = attempt.until_ns.filter(|_| believed > ended) {
        let what = format!("was believed in until {} ms", ms(until));
        return Some(([granted.seq, believed.seq], what));
    }
    let crashed = story.health.crash_of(client).is_some_and(|crash| crash <= ended);
    let released = attempt.release.is_some_and(|release| release <= ended);
    let told_by = ended.ns.saturating_add(story.header.bounds.slack_ns);
    let told = attempt.lost.is_some_and(|lost| lost.ns <= told_by);
    let well = !story.health.was_ill(client, granted.ns.max(believed.ns.min(ended.ns)), told_by);
    let is_due = story.end.ns > told_by;
    if !crashed && !released && !told && well && is_due && granted <= ended {
        let what = "was not told of its loss".to_owned();
        return Some(([granted.seq, attempt.lost.map_or(0, |lost| lost.seq)], what));
    }
    None
}
