//! The judge, and the checkers it asks: one file for each property.

mod answers;
mod bypass;
mod cancel;
mod claims;
mod exclusion;
mod fence;
mod floors;
mod life;
mod notice;
mod permits;
mod quiescence;
mod readers;
mod takeover;
mod tally;
mod tokens;
mod wakeup;

use std::io::BufRead;

use crate::report::{Count, Milliseconds, Report};
use crate::story::{Attempt, Hold, Moment, Story};
use crate::{Entry, Header, HistoryReader, Mode, ReadError};

/// Judges a whole history, without keeping its entries.
///
/// # Errors
/// When it is no history; what was read up to there is not judged.
pub fn judge<R: BufRead>(reader: HistoryReader<R>) -> Result<Report, ReadError> {
    let mut judge = Judge::new(reader.header().clone());
    for entry in reader {
        judge.see(&entry?);
    }
    Ok(judge.conclude())
}

/// Judges a history while it happens: entry by entry, and at the end.
///
/// It keeps a few hundred bytes for each attempt, and nothing for each entry. The entries have to be
/// such as [`HistoryReader`] lets pass.
///
/// ```
/// use sneck_history::{Entry, Event, Header, Judge, Mode, Store};
///
/// let mut judge = Judge::new(Header::new(Store::Memory));
/// let mut seq = 0;
/// let mut happens = |client, event| {
///     seq += 1;
///     judge.see(&Entry { seq, at_ns: seq, client: Some(client), own_ns: None, event });
/// };
/// for client in [1, 2] {
///     let (attempt, lock) = (u64::from(client), "a".to_owned());
///     happens(client, Event::Acquire { attempt, lock, mode: Mode::Exclusive, session: None, no_wait: false, together: None });
/// }
/// happens(1, Event::Granted { attempt: 1, token: 10, session: None, until_ns: None });
/// happens(2, Event::Granted { attempt: 2, token: 11, session: None, until_ns: None });
///
/// let report = judge.conclude();
/// assert!(report.violations[0].to_string().starts_with("P2: "), "two hold the lock");
/// ```
#[derive(Debug)]
pub struct Judge {
    story: Story,
    checkers: Vec<Box<dyn Checker>>,
    report: Report,
}

impl Judge {
    /// Begins with the header of the history.
    pub fn new(header: Header) -> Judge {
        // Floors are compared with what the others counted, so they come last.
        let checkers: Vec<Box<dyn Checker>> = vec![
            Box::<tally::Tally>::default(),
            Box::<fence::Fence>::default(),
            Box::new(exclusion::Exclusion),
            Box::<tokens::Tokens>::default(),
            Box::<answers::Answers>::default(),
            Box::<wakeup::Wakeup>::default(),
            Box::<quiescence::Quiescence>::default(),
            Box::<takeover::Takeover>::default(),
            Box::<bypass::Bypass>::default(),
            Box::new(readers::Readers),
            Box::<permits::Permits>::default(),
            Box::new(notice::Notice),
            Box::<life::Life>::default(),
            Box::<cancel::Cancel>::default(),
            Box::<claims::HonestClaims>::default(),
            Box::new(floors::Floors),
        ];
        Judge { story: Story::new(header), checkers, report: Report::default() }
    }

    /// Takes the next entry in.
    pub fn see(&mut self, entry: &Entry) {
        self.story.see(entry);
        for checker in &mut self.checkers {
            checker.see(entry, &self.story, &mut self.report);
        }
    }

    /// The history is over: judges what can only be known now.
    pub fn conclude(mut self) -> Report {
        for checker in &mut self.checkers {
            checker.conclude(&self.story, &mut self.report);
        }
        self.report.close();
        self.report
    }
}

/// Judges one property.
trait Checker: std::fmt::Debug {
    /// Takes in an entry, which the story has taken in already.
    fn see(&mut self, _entry: &Entry, _story: &Story, _report: &mut Report) {}

    /// Judges what needs the whole history.
    fn conclude(&mut self, _story: &Story, _report: &mut Report) {}
}

/// What becomes of an overlap of two holds.
enum Overlap {
    Violation,
    Counted(Count),
}

/// Judges an overlap: the first hold still lasted when the second began.
fn weigh(first: &Hold<'_>, second: &Hold<'_>, story: &Story) -> Overlap {
    // Whoever changes its mode goes on in a belief that is as old as its grant.
    let (old, new) =
        if believed(first) <= believed(second) { (first, second) } else { (second, first) };
    let (from, to) = (believed(old), believed(new));
    if is_wrong_about_time(old.attempt, from.ns, to.ns, story)
        || story.health.was_misled(new.attempt.client, from.ns, to.ns)
        || removal_explains((old.attempt, from), (new.attempt, to), story)
    {
        Overlap::Counted(Count::ExplainedOverlaps)
    } else if story.header.claims.exclusion {
        Overlap::Violation
    } else {
        Overlap::Counted(Count::UnclaimedOverlaps)
    }
}

/// Since when the client of a hold believes in it.
fn believed(hold: &Hold<'_>) -> Moment {
    hold.attempt.granted.map_or(hold.from, |(granted, _)| granted.min(hold.from))
}

/// Whether a fault explains that a holder believed for too long.
fn excuses(holder: &Attempt, from_ns: u64, to_ns: u64, story: &Story) -> bool {
    is_wrong_about_time(holder, from_ns, to_ns, story)
        || story.health.was_robbed(holder.client, from_ns, to_ns)
}

/// Whether a fault explains that a holder believed for longer than it may.
///
/// A wrong clock does. A pause does if the client does not say until when it believes: one that said so
/// has promised to stop by itself.
fn is_wrong_about_time(holder: &Attempt, from_ns: u64, to_ns: u64, story: &Story) -> bool {
    let (health, client) = (&story.health, holder.client);
    health.was_misled(client, from_ns, to_ns)
        || (holder.until_ns.is_none() && health.was_paused(client, from_ns, to_ns))
}

/// Whether an operator explains an overlap: the one whose place was ahead has lost it as a holder does.
///
/// Of the two, the store let in first whose place was ahead, whoever told of it first. The place has to have
/// been taken before the other one was in, and after all that was ahead of it can have been gone. Before
/// that it only waited, and must not be told that it holds.
fn removal_explains(
    (old, from): (&Attempt, Moment),
    (new, to): (&Attempt, Moment),
    story: &Story,
) -> bool {
    if matches!(new.mode, Mode::Permits { .. }) {
        // Several hold permits at a time, so that their tokens do not say who had to be gone.
        return story.health.was_robbed(old.client, from.ns, to.ns);
    }
    let (first, others) = if new.is_ahead_of(old) { (new, from) } else { (old, to) };
    let removal = story.health.last_removal(first.client, others);
    removal.is_some_and(|removal| story.way_is_free(first) <= removal)
}

/// What is said of an overlap.
fn overlap_sentence(first: &Hold<'_>, second: &Hold<'_>, story: &Story) -> String {
    format!(
        "{} of {:?} began while {} had not ended",
        holder(second),
        story.name(second.attempt.lock),
        holder(first)
    )
}

fn holder(hold: &Hold<'_>) -> String {
    let token = hold.attempt.token().unwrap_or_default();
    format!("the hold by {} under token {token}", who(hold.attempt))
}

fn who(attempt: &Attempt) -> String {
    format!("attempt {} of client {}", attempt.id, attempt.client)
}

fn ms(ns: u64) -> Milliseconds {
    Milliseconds(ns)
}
