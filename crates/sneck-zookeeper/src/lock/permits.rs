//! Permits of a semaphore on ZooKeeper, as a pure state machine over requests and their answers.
//!
//! A mutex line of those who wait, and one node for each permit that is held, in the layout of
//! [`Dialect::rooms`]. Whoever is first in the line waits for permits, and takes all it wants together
//! with giving up its place, in one transaction:
//!
//! ```text
//!  Outside --> InLine --> First --Take sent--> Taking --> Held --> Gone
//!                           ^                     |
//!                           +---- not applied ----+
//! ```
//!
//! So nobody holds some permits while waiting for more, which is how two clients that each want two of
//! two wait for ever. The transaction deletes the place in line, so it can be applied once at most, and
//! never after the place was given up otherwise. While our place is there and first, nobody adds to the
//! permits that are held: an old count can only be too high.
//!
//! The number of permits is decimal text in the semaphore's own node. The transaction depends on the
//! version in which it was read, and writes it where there is none yet.

use super::dialect::{Dialect, ForeignPolicy, Rooms};
use super::failure;
use super::seat::{self, Seat};
use super::step::{Answer, Next, Spot, Step, Take};
use crate::error::RequestError;
use crate::session::Node;
use sneck_core::{
    Admission, ClaimId, Entry, Error, ErrorKind, Loss, Mode, Permits, Token, Waiting, admit,
};
use sneck_wire::{ErrorCode, MultiResult};
use std::num::NonZeroU32;

/// Permits that are waited for or held. See the module's text.
#[derive(Clone, Debug, Hash)]
pub(crate) struct PermitSeat {
    /// The semaphore's node.
    dir: String,
    /// The node above the permits: below the semaphore's own, or that itself.
    leases: String,
    mark: String,
    dialect: Dialect,
    id: ClaimId,
    permits: Permits,
    foreign: ForeignPolicy,
    place: Seat,
    phase: Phase,
    /// What was seen of the number when we came, if we have looked.
    looked: Option<Looked>,
    /// Whether the node above the permits is missing.
    leases_missing: bool,
    /// Permits of ours to be given back, while leaving or when others are lost.
    ghosts: Vec<String>,
    leaving: bool,
    revoked: bool,
}

#[derive(Clone, Copy, Debug, Hash)]
enum Looked {
    /// It is the one that we believe in.
    Same,
    /// Nobody had said any, as far as our server knew, in this version of the node.
    None { version: i32 },
}

#[derive(Clone, Debug, Hash)]
enum Phase {
    /// The place in line is not taken or not first.
    Waiting,
    /// Our place is first. `ready` when there are enough permits, by a number in this version.
    First {
        ready: Option<Ready>,
    },
    /// Whether the permits have been taken has still to be seen.
    Taking,
    /// The permits are there; of which session, and since when, has still to be read.
    Found(Vec<String>),
    Held {
        leases: Vec<String>,
        token: Token,
    },
    /// Left, or lost; `swept` once no permit of ours can be there.
    Gone {
        loss: Loss,
        swept: bool,
    },
}

#[derive(Clone, Debug, Hash)]
struct Ready {
    version: i32,
    /// The number to write, where there is none.
    number: Option<NonZeroU32>,
}

impl PermitSeat {
    /// Permits of the semaphore whose node is `dir`, not waited for yet.
    pub(crate) fn new(
        dir: String,
        id: ClaimId,
        permits: Permits,
        dialect: Dialect,
        foreign: ForeignPolicy,
    ) -> Self {
        let Rooms { line, permits: leases } = dialect.rooms(&dir);
        PermitSeat {
            mark: dialect.mark(id),
            leases,
            dialect,
            id,
            place: Seat::new(line, id, Mode::Exclusive, dialect, foreign),
            dir,
            permits,
            foreign,
            phase: Phase::Waiting,
            looked: None,
            leases_missing: false,
            ghosts: Vec::new(),
            leaving: false,
            revoked: false,
        }
    }

    pub(crate) fn is_nowhere(&self) -> bool {
        matches!(self.phase, Phase::Waiting) && self.place.is_nowhere()
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// The paths of our permits, once they are held.
    pub(crate) fn held_paths(&self) -> Vec<String> {
        match &self.phase {
            Phase::Held { leases, .. } => self.paths(leases),
            _ => Vec::new(),
        }
    }

    /// Whether there are permits for us, to be taken next.
    #[cfg(test)]
    fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::First { ready: Some(_) })
    }

    /// The node whose children are the line.
    pub(crate) fn line(&self) -> &str {
        self.place.dir()
    }

    fn paths(&self, leases: &[String]) -> Vec<String> {
        leases.iter().map(|lease| format!("{}/{lease}", self.leases)).collect()
    }

    /// This node was deleted.
    pub(crate) fn deleted(&mut self, path: &str) {
        // The place is given up for permits, in a transaction that fails when it is not there.
        self.place.deleted(path, true);
    }

    /// What is ours may have been deleted by somebody else.
    pub(crate) fn own_doubtful(&mut self) {
        self.place.own_doubtful();
    }

    // ----- leaving -----

    /// The next step towards having left; `None` once nothing of ours is there.
    pub(crate) fn next_leaving(&mut self) -> Option<Step> {
        self.leaving = true;
        if !self.ghosts.is_empty() {
            return Some(Step::Return(self.paths(&self.ghosts)));
        }
        match &mut self.phase {
            Phase::Waiting | Phase::First { .. } => {
                let step = self.place.next_leaving();
                if step.is_none() {
                    self.phase = Phase::Gone { loss: Loss::Removed, swept: true };
                }
                step
            }
            // The place first: once that is gone, permits cannot be taken any more.
            Phase::Taking => Some(
                self.place.next_leaving().unwrap_or_else(|| Step::FindLeases(self.leases.clone())),
            ),
            Phase::Found(leases) | Phase::Held { leases, .. } => {
                self.ghosts = std::mem::take(leases);
                self.phase = Phase::Gone { loss: Loss::Removed, swept: true };
                Some(Step::Return(self.paths(&self.ghosts)))
            }
            Phase::Gone { swept: false, .. } => Some(Step::FindLeases(self.leases.clone())),
            // The node of a place that was lost may have a twin.
            Phase::Gone { .. } => self.place.next_leaving(),
        }
    }

    // ----- asking -----

    /// The next step towards knowing where we stand.
    pub(crate) fn next(&mut self) -> Next {
        if self.leaving || !self.ghosts.is_empty() {
            let leaving = std::mem::replace(&mut self.leaving, true);
            let step = self.next_leaving();
            self.leaving = leaving;
            return match (step, &self.phase) {
                (Some(step), _) => Next::Do(step),
                (None, Phase::Gone { loss, .. }) => Next::Done(Spot::Gone(*loss)),
                (None, _) => Next::Done(Spot::Gone(Loss::Removed)),
            };
        }
        match &self.phase {
            Phase::Waiting if self.looked.is_none() => Next::Do(Step::Look(self.dir.clone())),
            Phase::Waiting => self.next_in_line(),
            Phase::First { .. } => self.next_first(),
            Phase::Taking => Next::Do(Step::FindLeases(self.leases.clone())),
            Phase::Found(leases) => {
                let first = leases.first().map(String::as_str).unwrap_or_default();
                Next::Do(Step::Adopt(format!("{}/{first}", self.leases)))
            }
            Phase::Held { leases, .. } => Next::Do(Step::OwnLeases(self.paths(leases))),
            Phase::Gone { loss, .. } => Next::Done(Spot::Gone(*loss)),
        }
    }

    fn next_first(&mut self) -> Next {
        if self.leases_missing {
            return Next::Do(match self.leases == self.dir {
                true => Step::MakeKept(self.dir.clone()),
                false => Step::MakeParent(self.leases.clone()),
            });
        }
        if self.place.is_doubtful() {
            return self.next_in_line();
        }
        let ready = match &mut self.phase {
            Phase::First { ready } => ready.take(),
            _ => None,
        };
        match ready {
            Some(ready) => self.take(ready),
            None => self.count(),
        }
    }

    fn next_in_line(&mut self) -> Next {
        match self.place.next() {
            Next::Do(Step::MakeParent(path)) if path == self.dir => Next::Do(Step::MakeKept(path)),
            Next::Do(Step::Watch { ahead, own: _ }) => Next::Do(Step::Watch { ahead, own: None }),
            Next::Done(Spot::Held(_)) => {
                self.phase = Phase::First { ready: None };
                self.count()
            }
            Next::Done(Spot::Gone(loss)) => {
                self.phase = Phase::Gone { loss, swept: true };
                Next::Done(Spot::Gone(loss))
            }
            next => next,
        }
    }

    fn count(&self) -> Next {
        Next::Do(Step::Count { semaphore: self.dir.clone(), leases: self.leases.clone() })
    }

    fn take(&mut self, ready: Ready) -> Next {
        let Some(place) = self.place.own_path() else {
            // Not seated after all; the line says where we stand.
            self.phase = Phase::Waiting;
            return self.next_in_line();
        };
        self.phase = Phase::Taking;
        Next::Do(Step::Take(Take {
            semaphore: self.dir.clone(),
            version: ready.version,
            number: ready.number.map(|number| number.to_string()),
            leases: self.paths(&self.names()),
            mode: self.dialect.permit_mode(),
            place,
        }))
    }

    /// The names of our permits, up to the numbers of the server where they have some.
    fn names(&self) -> Vec<String> {
        (0..self.permits.take().get() as usize).map(|at| self.dialect.permit(self.id, at)).collect()
    }

    /// Takes an answer. `Some` when it settles the question that was asked; otherwise there is a next
    /// step.
    pub(crate) fn on(&mut self, answer: Answer) -> Result<Option<Spot>, Error> {
        match answer {
            Answer::Looked { number, children } => self.on_looked(number, children),
            Answer::ParentMade(made) if self.leases_missing => self.on_leases_made(made),
            Answer::Counted { number, leases } => self.on_counted(number, leases),
            Answer::Taken(results) => self.on_taken(results),
            Answer::FoundLeases(leases) => self.on_found_leases(leases),
            Answer::Adopted { node, session_id } if matches!(self.phase, Phase::Found(_)) => {
                self.on_adopted(node, session_id)
            }
            Answer::OwnLeases(nodes) => self.on_own_leases(nodes),
            Answer::Returned(results) => self.on_returned(results),
            answer => self.on_in_line(answer),
        }
    }

    /// An answer about the place in line. That it is first is not yet what was asked for.
    fn on_in_line(&mut self, answer: Answer) -> Result<Option<Spot>, Error> {
        let spot = self.place.on(answer)?;
        Ok(spot.filter(|spot| !matches!(spot, Spot::Held(_))))
    }

    // ----- the number -----

    fn on_looked(
        &mut self,
        number: Result<Node, RequestError>,
        children: Result<Vec<String>, RequestError>,
    ) -> Result<Option<Spot>, Error> {
        let absent = |error: &RequestError| error.code() == Some(ErrorCode::NO_NODE);
        let (stored, version) = match number {
            Ok(node) => (number_in(&node, &self.dir)?, node.stat.version),
            // Made without a number, as a rule.
            Err(error) if absent(&error) => (None, 0),
            Err(error) => return self.retry(&error, "reading the number of permits"),
        };
        let children = match children {
            Ok(children) => children,
            Err(error) if absent(&error) => Vec::new(),
            Err(error) => return self.retry(&error, "looking at the semaphore's node"),
        };
        let strange = |child: &&String| !self.dialect.is_of_semaphore(child);
        if let (Some(child), false) =
            (children.iter().find(strange), self.foreign == ForeignPolicy::Ignore)
        {
            return Err(foreign(&self.dir, child));
        }
        match stored {
            Some(stored) if stored != self.permits.of() => Err(self.permits.disagree(stored)),
            Some(_) => {
                self.looked = Some(Looked::Same);
                Ok(None)
            }
            None => {
                self.looked = Some(Looked::None { version });
                Ok(None)
            }
        }
    }

    fn on_leases_made(&mut self, made: Result<(), RequestError>) -> Result<Option<Spot>, Error> {
        match made {
            Ok(()) | Err(RequestError::Refused(ErrorCode::NODE_EXISTS)) => {
                self.leases_missing = false;
                Ok(None)
            }
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                // The semaphore's own node is gone, and with it our place.
                self.leases_missing = false;
                self.place.own_doubtful();
                Ok(None)
            }
            Err(error) => self.retry(&error, "making the node above the permits"),
        }
    }

    fn on_counted(
        &mut self,
        number: Result<Node, RequestError>,
        leases: Result<Vec<String>, RequestError>,
    ) -> Result<Option<Spot>, Error> {
        let node = match number {
            Ok(node) => node,
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                // Where it is above our place, that is gone, too.
                self.leases_missing = self.leases == self.dir;
                self.place.own_doubtful();
                return Ok(None);
            }
            Err(error) => return self.retry(&error, "reading the number of permits"),
        };
        let leases = match leases {
            Ok(leases) => leases,
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                self.leases_missing = true;
                return Ok(None);
            }
            Err(error) => return self.retry(&error, "counting the permits that are held"),
        };
        if leases.iter().any(|lease| lease.starts_with(&self.mark)) {
            self.phase = Phase::Taking;
            return Ok(None);
        }
        let stored = number_in(&node, &self.dir)?;
        let of = stored.unwrap_or(self.permits.of());
        if let Some(Looked::None { version }) = self.looked
            && of != self.permits.of()
            && node.stat.version <= version + 1
        {
            // Somebody else was first to say how many there are. In a later version it may have been changed
            // since from the number that we believe in, which our server, behind the others, did not know of.
            return Err(self.permits.disagree(of));
        }
        if self.permits.take() > of {
            return Err(self.permits.too_many(of));
        }
        let number = stored.is_none().then_some(of);
        self.judge(leases.len(), of, Ready { version: node.stat.version, number })
    }

    /// Whether there are permits for us: the rule over a line of those that are held, and us behind them.
    fn judge(&mut self, held: usize, of: NonZeroU32, ready: Ready) -> Result<Option<Spot>, Error> {
        let one = Permits::new(1, 1)?.resized(of);
        let mut line = vec![Entry { mode: Mode::Permits(one), held: true }; held];
        line.push(Entry::new(Mode::Permits(self.permits.resized(of))));
        if admit(&line, held) == Admission::Granted {
            self.phase = Phase::First { ready: Some(ready) };
            return Ok(None);
        }
        Ok(Some(Spot::Behind(Waiting { ahead: u32::try_from(held).ok(), holder: None })))
    }

    // ----- taking -----

    fn on_taken(
        &mut self,
        results: Result<Vec<MultiResult>, RequestError>,
    ) -> Result<Option<Spot>, Error> {
        let doing = "taking permits";
        match results {
            Ok(results) => match failure::of_results(&results) {
                None => {
                    self.taken(&results);
                    Ok(self.held())
                }
                // Somebody changed the number since it was read.
                Some(ErrorCode::BAD_VERSION) => {
                    self.phase = Phase::First { ready: None };
                    Ok(None)
                }
                // Our place, or the node above the permits: what is left says which.
                Some(ErrorCode::NO_NODE) => Ok(None),
                Some(code) => {
                    self.phase = Phase::First { ready: None };
                    self.retry(&RequestError::Refused(code), doing)
                }
            },
            Err(error) => {
                if !error.may_have_been_applied() {
                    self.phase = Phase::First { ready: None };
                }
                self.retry(&error, doing)
            }
        }
    }

    fn taken(&mut self, results: &[MultiResult]) {
        let mut czxid = None;
        let mut leases = Vec::with_capacity(results.len());
        for result in results {
            if let MultiResult::Create { path, stat } = result {
                leases.push(path.rsplit('/').next().unwrap_or_default().to_owned());
                czxid = czxid.or(stat.map(|stat| stat.czxid));
            }
        }
        self.place.given_up();
        self.phase = match czxid.and_then(token) {
            Some(token) => Phase::Held { leases, token },
            // Some servers do not tell.
            None => Phase::Found(leases),
        };
    }

    fn held(&self) -> Option<Spot> {
        match &self.phase {
            Phase::Held { token, .. } => Some(Spot::Held(*token)),
            _ => None,
        }
    }

    fn on_found_leases(
        &mut self,
        leases: Result<Vec<String>, RequestError>,
    ) -> Result<Option<Spot>, Error> {
        let ours: Vec<String> = match leases {
            Ok(leases) => {
                leases.into_iter().filter(|lease| lease.starts_with(&self.mark)).collect()
            }
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => Vec::new(),
            Err(error) => return self.retry(&error, "looking for our permits"),
        };
        if self.leaving || matches!(self.phase, Phase::Gone { .. }) {
            let loss = match self.phase {
                Phase::Gone { loss, .. } => loss,
                _ => Loss::Removed,
            };
            self.ghosts = ours;
            self.phase = Phase::Gone { loss, swept: true };
        } else if ours.len() == self.permits.take().get() as usize {
            self.place.given_up();
            self.phase = Phase::Found(ours);
        } else if ours.is_empty() {
            // Not applied, if our place is still there.
            self.place.own_doubtful();
            self.phase = Phase::First { ready: None };
        } else {
            // Somebody has taken some of them away again.
            self.ghosts = ours;
            self.phase = Phase::Gone { loss: Loss::Removed, swept: true };
        }
        Ok(None)
    }

    fn on_adopted(
        &mut self,
        node: Result<Node, RequestError>,
        session_id: i64,
    ) -> Result<Option<Spot>, Error> {
        let Phase::Found(leases) = &mut self.phase else { return Ok(None) };
        let loss = match node {
            Ok(node) if node.stat.ephemeral_owner != session_id => Loss::Usurped,
            Ok(node) => match token(node.stat.czxid) {
                Some(token) => {
                    self.phase = Phase::Held { leases: std::mem::take(leases), token };
                    return Ok(self.held());
                }
                None => {
                    let text = format!("the server made a node with czxid {}", node.stat.czxid);
                    return Err(Error::new(ErrorKind::Protocol, text).with_unknown_outcome());
                }
            },
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => Loss::Removed,
            Err(error) => return self.retry(&error, "reading our permits"),
        };
        self.ghosts = std::mem::take(leases);
        self.phase = Phase::Gone { loss, swept: true };
        Ok(None)
    }

    // ----- holding and giving back -----

    fn on_own_leases(
        &mut self,
        nodes: Result<Vec<Node>, RequestError>,
    ) -> Result<Option<Spot>, Error> {
        match nodes {
            Ok(nodes) => {
                self.revoked |= nodes.iter().any(|node| seat::is_revoked(&node.data));
                Ok(self.held())
            }
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                // The loss of one is the loss of all.
                self.phase = Phase::Gone { loss: Loss::Removed, swept: false };
                self.ghosts.clear();
                Ok(Some(Spot::Gone(Loss::Removed)))
            }
            Err(error) => self.retry(&error, "reading our permits"),
        }
    }

    fn on_returned(
        &mut self,
        results: Result<Vec<MultiResult>, RequestError>,
    ) -> Result<Option<Spot>, Error> {
        let code = match results {
            Ok(results) => failure::of_results(&results),
            Err(error) => return self.retry(&error, "giving back permits"),
        };
        match code {
            None => self.ghosts.clear(),
            Some(ErrorCode::NO_NODE) => {
                // Given back before, or some of them were taken away: what is left is listed.
                self.ghosts.clear();
                if let Phase::Gone { swept, .. } = &mut self.phase {
                    *swept = false;
                }
            }
            Some(code) => return self.retry(&RequestError::Refused(code), "giving back permits"),
        }
        Ok(None)
    }

    /// As for a place in line: after a broken connection the same step is right again.
    fn retry(&mut self, error: &RequestError, doing: &str) -> Result<Option<Spot>, Error> {
        match error {
            RequestError::Interrupted => Ok(None),
            RequestError::Over { .. } if self.is_nowhere() => Ok(None),
            RequestError::Over { .. } => {
                self.phase = Phase::Gone { loss: Loss::SessionEnded, swept: true };
                self.place.given_up();
                self.ghosts.clear();
                Ok(None)
            }
            error => Err(failure::of_request(error, doing)),
        }
    }
}

fn token(czxid: i64) -> Option<Token> {
    u64::try_from(czxid).ok().and_then(Token::new)
}

/// The number of permits that a semaphore's node says; `None` when it says nothing yet.
pub(crate) fn number_in(node: &Node, dir: &str) -> Result<Option<NonZeroU32>, Error> {
    let text = String::from_utf8_lossy(&node.data);
    if text.trim().is_empty() {
        return Ok(None);
    }
    text.trim().parse().map(Some).map_err(|_| {
        let shown: String = text.chars().take(40).filter(|c| !c.is_control()).collect();
        let text = format!("the node {dir} says {shown:?}, which is no number of permits");
        Error::new(ErrorKind::Refused, text)
            .with_hint("something else uses this node; give the semaphore another name")
    })
}

fn foreign(dir: &str, child: &str) -> Error {
    let text = format!("{dir} has a child {child:?} that is no part of a semaphore");
    let hint = match Dialect::semaphore_spoken_by(child) {
        Some(option) => format!(
            "it belongs to a semaphore of clients that do not count our permits: take this one with \
             {option}, or rename one"
        ),
        None => "the name may be in use as a lock of another kind, or be the beginning of another \
                 lock's; rename one, or choose foreign=ignore"
            .to_owned(),
    };
    Error::new(ErrorKind::Refused, text).with_hint(hint)
}

#[cfg(test)]
#[path = "permit_tests.rs"]
mod tests;
