//! P4: answers about a lock, and refusals of it, fit one order of all that happened.
//!
//! Linearizability is NP-complete in general. Here every grant has a token of its own and tokens give
//! the order of grants, so that (as with registers whose values are unique: Gibbons and Korach 1997)
//! each answer can be judged by itself, in O(log n):
//!
//! * *Token t holds* fits if the question was not over before t can have been granted: it was asked
//!   for, and the holds before it were over; nor asked after t was certainly over: its release had
//!   returned, or a later token was granted.
//! * *Nobody holds* does not fit inside one hold that is certain from before the question until after
//!   the answer. A hold is certain from its grant, or from an earlier answer that names it.
//! * *Refused*, of an attempt that does not wait, fits if anybody else may have been in line; of attempts
//!   for several locks, which are had together or not at all, in one of their lines.
//!
//! Grants that contradict each other are P2's and P3's. Only locks that are taken exclusively are
//! judged by answers: of a shared one, there is no one holder.

use std::collections::{BTreeMap, HashMap};

use super::{Checker, who};
use crate::report::{Property, Report};
use crate::story::{Attempt, End, Moment, Story};
use crate::{Entry, Event, Mode};

#[derive(Debug, Default)]
pub(super) struct Answers {
    open: HashMap<u64, (usize, Moment)>,
    answers: BTreeMap<usize, Vec<Answer>>,
}

/// An answer to the question who holds a lock.
#[derive(Debug, Clone, Copy)]
struct Answer {
    asked: Moment,
    told: Moment,
    token: Option<u64>,
}

/// A hold as far as it is certain, and as far as it is possible.
#[derive(Debug, Clone, Copy)]
struct Span {
    token: u64,
    possible: (Moment, Moment),
    certain: (Moment, Moment),
}

impl Checker for Answers {
    fn see(&mut self, entry: &Entry, story: &Story, _report: &mut Report) {
        match &entry.event {
            Event::Ask { question, lock } => {
                self.open.insert(*question, (story.lock(lock), story.end));
            }
            Event::Answer { question, token } => {
                if let Some((lock, asked)) = self.open.remove(question) {
                    let answer = Answer { asked, told: story.end, token: *token };
                    self.answers.entry(lock).or_default().push(answer);
                }
            }
            _ => {}
        }
    }

    fn conclude(&mut self, story: &Story, report: &mut Report) {
        let mut locks: BTreeMap<usize, Vec<&Attempt>> = BTreeMap::new();
        for attempt in &story.attempts {
            locks.entry(attempt.lock).or_default().push(attempt);
        }
        let mut unexplained = Vec::new();
        for (lock, attempts) in &locks {
            if !story.header.shared.contains(story.name(*lock)) {
                unexplained.extend(refusals(attempts));
            }
            if let Some(answers) = self.answers.get(lock)
                && attempts.iter().all(|attempt| attempt.mode == Mode::Exclusive)
            {
                judge(*lock, attempts, answers, story, report);
            }
        }
        refuse_to_believe(&unexplained, story, report);
        for (lock, answers) in self.answers.iter().filter(|(lock, _)| !locks.contains_key(lock)) {
            judge(*lock, &[], answers, story, report);
        }
    }
}

/// Judges the answers about one lock: first by what clients told of their holds, then by what the
/// answers that fit say as well. So a wrong answer does not make others wrong.
fn judge(
    lock: usize,
    attempts: &[&Attempt],
    answers: &[Answer],
    story: &Story,
    report: &mut Report,
) {
    let known = Known::new(attempts, &[], story);
    let (wrong, fitting): (Vec<Answer>, Vec<Answer>) =
        answers.iter().partition(|answer| known.fault_in(answer).is_some());
    let better = Known::new(attempts, &fitting, story);
    let faults = wrong.iter().filter_map(|answer| Some((answer, known.fault_in(answer)?)));
    let more = fitting.iter().filter_map(|answer| Some((answer, better.fault_in(answer)?)));
    for (answer, fault) in faults.chain(more) {
        let (seqs, name) = ([answer.asked.seq, answer.told.seq], story.name(lock));
        let sentence = format!("the answer to who holds {name:?} was {fault}");
        report.violate(Property::TrueAnswers, &seqs, sentence);
    }
}

/// What is known of the holds of a lock.
struct Known {
    /// By token.
    spans: Vec<Span>,
    /// By the beginning of what is certain; and the latest end of what is certain up to there.
    certain: Vec<(Moment, Span)>,
    /// When the first asked who was never told of a grant, and may hold under a token unknown.
    secret: Moment,
}

impl Known {
    fn new(attempts: &[&Attempt], answers: &[Answer], story: &Story) -> Known {
        let spans = spans(attempts, answers, story);
        let mut ordered = spans.clone();
        ordered.sort_by_key(|span| span.certain.0);
        let mut certain: Vec<(Moment, Span)> = Vec::with_capacity(ordered.len());
        for span in ordered {
            let before = certain.last().map(|(_, latest)| *latest);
            let latest = before.filter(|before| before.certain.1 >= span.certain.1);
            certain.push((span.certain.0, latest.unwrap_or(span)));
        }
        let silent = attempts.iter().filter(|attempt| attempt.granted.is_none());
        let secret = silent.map(|attempt| attempt.asked).min().unwrap_or(Moment::NEVER);
        Known { spans, certain, secret }
    }

    /// What is wrong with an answer.
    fn fault_in(&self, answer: &Answer) -> Option<String> {
        let Some(token) = answer.token else {
            let before = self.certain.partition_point(|(from, _)| *from < answer.asked);
            let (_, span) = self.certain.get(before.checked_sub(1)?)?;
            let held = answer.told < span.certain.1;
            return held.then(|| format!("nobody, and token {} did throughout", span.token));
        };
        match self.spans.binary_search_by_key(&token, |span| span.token) {
            Ok(found) if answer.told < self.spans[found].possible.0 => {
                Some(format!("token {token}, before that can have been"))
            }
            Ok(found) if self.spans[found].possible.1 < answer.asked => {
                Some(format!("token {token}, when that was over"))
            }
            Err(_) if answer.told < self.secret => {
                Some(format!("token {token}, which was granted to nobody"))
            }
            _ => None,
        }
    }
}

/// The holds of a lock, by token.
fn spans(attempts: &[&Attempt], answers: &[Answer], story: &Story) -> Vec<Span> {
    let mut named: HashMap<u64, (Moment, Moment)> = HashMap::new();
    for answer in answers {
        if let Some(token) = answer.token {
            let (first, last) = named.entry(token).or_insert((answer.told, answer.asked));
            (*first, *last) = ((*first).min(answer.told), (*last).max(answer.asked));
        }
    }
    let granted = attempts.iter().filter_map(|attempt| {
        let (at, token) = attempt.granted?;
        let end = story.hold_end(attempt);
        // Where a fault explains that the holder was wrong, nothing is certain after the grant.
        let excused = super::excuses(attempt, at.ns, end.ns, story);
        let end = if excused { at } else { end };
        let (first, last) = named.get(&token).copied().unwrap_or((at, end));
        let over = attempt.released.unwrap_or(Moment::NEVER);
        let (possible, certain) = ((attempt.asked, over), (at.min(first), end.max(last)));
        Some(Span { token, possible, certain })
    });
    let mut spans: Vec<Span> = granted.collect();
    spans.sort_by_key(|span| span.token);
    // A hold is over when a later one is certain, and none begins before the earlier ones ended.
    let mut next = Moment::NEVER;
    for span in spans.iter_mut().rev() {
        span.possible.1 = span.possible.1.min(next);
        next = next.min(span.certain.0);
    }
    let mut before = Moment::own(0);
    for span in &mut spans {
        span.possible.0 = span.possible.0.max(before);
        before = before.max(span.certain.1);
    }
    spans
}

/// Those who would not wait and were refused, when, although nobody else can have been in that line.
fn refusals<'a>(attempts: &[&'a Attempt]) -> Vec<(&'a Attempt, Moment)> {
    // In the order of asking, the two that may have been in line for longest up to there.
    let mut longest: Vec<[Option<(Moment, u64)>; 2]> = Vec::with_capacity(attempts.len());
    let mut top = [None, None];
    for attempt in attempts {
        let new = Some((line_end(attempt), attempt.id));
        if new > top[0] {
            top = [new, top[0]];
        } else if new > top[1] {
            top[1] = new;
        }
        longest.push(top);
    }
    let refused = attempts.iter().filter_map(|attempt| Some((*attempt, refused(attempt)?)));
    let unexplained = refused.filter(|(attempt, told)| {
        let before = attempts.partition_point(|other| other.asked < *told);
        let others = before.checked_sub(1).map_or([None, None], |last| longest[last]);
        let other = others.into_iter().flatten().find(|(_, id)| *id != attempt.id);
        other.is_none_or(|(end, _)| end < attempt.asked)
    });
    unexplained.collect()
}

/// When one who would not wait was refused.
fn refused(attempt: &Attempt) -> Option<Moment> {
    match attempt.end {
        Some((told, End::Refused)) if attempt.no_wait && attempt.granted.is_none() => Some(told),
        _ => None,
    }
}

/// Tells of refusals that nothing explains. One for several locks is explained by somebody in any of
/// their lines, and so counts only if it is here for each of them.
fn refuse_to_believe(unexplained: &[(&Attempt, Moment)], story: &Story, report: &mut Report) {
    let mut missing: HashMap<(u32, u64), usize> = HashMap::new();
    for attempt in &story.attempts {
        if let Some(together) = attempt.together {
            *missing.entry((attempt.client, together)).or_default() += 1;
        }
    }
    for (attempt, told) in unexplained {
        if let Some(together) = attempt.together {
            let left = missing.entry((attempt.client, together)).or_default();
            *left = left.saturating_sub(1);
            if *left > 0 {
                continue;
            }
        }
        let sentence = format!(
            "{} was refused {:?}, for which nobody else can have been in line",
            who(attempt),
            story.name(attempt.lock)
        );
        report.violate(Property::TrueAnswers, &[attempt.asked.seq, told.seq], sentence);
    }
}

/// Until when an attempt may have had a place.
fn line_end(attempt: &Attempt) -> Moment {
    match attempt.end {
        Some((at, End::Refused)) => at,
        _ => attempt.released.unwrap_or(Moment::NEVER),
    }
}
