//! P11: an attempt goes one way, and has one place.
//!
//! A finite automaton for each attempt: waiting, held, leaving, gone; never back. And in the line of
//! the store at most one place at a time is an attempt's, made under its own session: a second one is
//! a ghost that nobody will remove, and one of another session dies with that. O(n).

use std::collections::HashMap;

use super::Checker;
use crate::report::{Property, Report};
use crate::story::Story;
use crate::{Entry, Event};

#[derive(Debug, Default)]
pub(super) struct Life {
    lives: HashMap<u64, One>,
    /// Whose place it is.
    places: HashMap<u64, u64>,
}

#[derive(Debug)]
struct One {
    stage: Stage,
    client: Option<u32>,
    /// The entry of the last step.
    seq: u64,
    place: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Held,
    /// The release was called.
    Leaving,
    /// The guard was told of its loss. A release may still follow.
    Lost,
    /// Dropped while it waited: P12 judges what follows.
    Cancelled,
    Over,
}

impl Checker for Life {
    fn see(&mut self, entry: &Entry, story: &Story, report: &mut Report) {
        match &entry.event {
            Event::Placed { attempt, place, session, .. } => {
                self.place(*attempt, *place, session.as_deref(), entry.seq, story, report);
            }
            Event::Vacated { place } => {
                let owner = self.places.remove(place).and_then(|id| self.lives.get_mut(&id));
                if let Some(owner) =
                    owner.filter(|owner| owner.place.is_some_and(|(p, _)| p == *place))
                {
                    owner.place = None;
                }
            }
            Event::Read { .. } | Event::Write { .. } => {}
            event => {
                if let Some(attempt) = event.attempt() {
                    self.step(attempt, entry, report);
                }
            }
        }
    }
}

impl Life {
    fn step(&mut self, id: u64, entry: &Entry, report: &mut Report) {
        let begins = matches!(entry.event, Event::Acquire { .. });
        let fault = match self.lives.get_mut(&id) {
            None if begins => {
                let (seq, client) = (entry.seq, entry.client);
                self.lives.insert(id, One { stage: Stage::Waiting, client, seq, place: None });
                return;
            }
            None => (0, format!("attempt {id} {} before it began", did(&entry.event))),
            Some(one) if one.client != entry.client => {
                let (owner, other) = (shown(one.client), shown(entry.client));
                (
                    one.seq,
                    format!("attempt {id} is client {owner}'s, and client {other} tells of it"),
                )
            }
            Some(one) => match next(one.stage, &entry.event) {
                Some(stage) => {
                    (one.stage, one.seq) = (stage, entry.seq);
                    return;
                }
                None => {
                    let stage = one.stage.words();
                    (one.seq, format!("attempt {id} {} when it {stage}", did(&entry.event)))
                }
            },
        };
        report.violate(Property::OneLife, &[fault.0, entry.seq], fault.1);
    }

    fn place(
        &mut self,
        id: u64,
        place: u64,
        session: Option<&str>,
        seq: u64,
        story: &Story,
        report: &mut Report,
    ) {
        self.places.insert(place, id);
        let Some(one) = self.lives.get_mut(&id) else { return };
        if let Some((other, since)) = one.place.replace((place, seq)) {
            let sentence =
                format!("attempt {id} has the places {other} and {place} at the same time");
            report.violate(Property::OneLife, &[since, seq], sentence);
        }
        let own = story.attempt(id).and_then(|attempt| attempt.session);
        let of = session.and_then(|session| story.session(session));
        if let (Some(own), Some(of)) = (own, of)
            && own != of
        {
            let session = session.unwrap_or_default();
            let sentence = format!(
                "place {place} of attempt {id} dies with session {session:?}, which is not its own"
            );
            report.violate(Property::OneLife, &[seq], sentence);
        }
    }
}

/// Where an event leads; none if it cannot happen there.
fn next(stage: Stage, event: &Event) -> Option<Stage> {
    use Stage::{Cancelled, Held, Leaving, Lost, Over, Waiting};
    Some(match (stage, event) {
        (Cancelled, event) if !matches!(event, Event::Acquire { .. }) => Cancelled,
        (Waiting, Event::Queued { .. }) => Waiting,
        (Waiting, Event::Granted { .. }) => Held,
        (Waiting, Event::Refused { .. } | Event::Unsure { .. }) => Over,
        (Waiting, Event::Cancel { .. }) => Cancelled,
        (
            Held | Leaving,
            Event::Extended { .. }
            | Event::Check { held: true, .. }
            | Event::Convert { .. }
            | Event::Converted { .. },
        ) => stage,
        (Held | Leaving | Lost, Event::Check { held: false, .. } | Event::Lost { .. }) => Lost,
        (Held | Leaving, Event::Release { .. }) => Leaving,
        // To give back what is lost is polite, and changes nothing.
        (Lost, Event::Release { .. } | Event::Released { .. } | Event::Unsure { .. }) => Lost,
        (Leaving, Event::Released { .. } | Event::Unsure { .. }) => Over,
        // So is to give back twice.
        (
            Over,
            Event::Release { .. } | Event::Released { .. } | Event::Check { held: false, .. },
        ) => Over,
        _ => return None,
    })
}

impl Stage {
    fn words(self) -> &'static str {
        match self {
            Stage::Waiting => "waited",
            Stage::Held => "held",
            Stage::Leaving => "was being released",
            Stage::Lost => "had been told of its loss",
            Stage::Cancelled => "had given up",
            Stage::Over => "was over",
        }
    }
}

fn did(event: &Event) -> &'static str {
    match event {
        Event::Acquire { .. } => "began",
        Event::Queued { .. } => "was put in line",
        Event::Granted { .. } => "was granted",
        Event::Extended { .. } => "was extended",
        Event::Refused { .. } => "was refused",
        Event::Unsure { .. } => "failed",
        Event::Cancel { .. } => "gave up",
        Event::Check { held: true, .. } => "was said to hold",
        Event::Check { .. } => "was said not to hold",
        Event::Convert { .. } | Event::Converted { .. } => "changed its mode",
        Event::Release { .. } | Event::Released { .. } => "was released",
        _ => "was lost",
    }
}

fn shown(client: Option<u32>) -> String {
    client.map_or("?".to_owned(), |client| client.to_string())
}
