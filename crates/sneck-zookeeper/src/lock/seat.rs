//! A place in line on ZooKeeper as a pure state machine over requests and their answers.
//!
//! ```text
//!            Enter sent                 found by its id, or the create was answered
//!  Nowhere ------------> Unsettled ---------------------------------> Seated
//!     ^                      |                                          |
//!     +--- not found --------+                                          +--> Gone: left, removed, lost
//! ```
//!
//! `Unsettled` is entered *before* the create is sent and left only by an answer. So wherever the
//! future that performs a step is dropped, the machine knows that there may be a node, and finds it by
//! the claim's id. The lock recipe is that of ZooKeeper's documentation ("Recipes and Solutions: Locks")
//! with the naming of Apache Curator's protected mode.

use super::dialect::{Dialect, ForeignPolicy, Sequence};
use super::{failure, path};
use crate::error::RequestError;
use crate::session::{Created, Node};
use sneck_core::{
    Admission, Contender, Entry, Error, ErrorKind, Loss, Mode, Token, Waiting, admit,
};
use sneck_wire::ErrorCode;
use std::time::{Duration, SystemTime};

/// What to ask the servers next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Create a node whose name begins with the prefix and list the lock's children, both at once.
    Enter,
    /// Create this node as a container.
    MakeParent(String),
    /// List the lock's children on a server that has caught up.
    Find,
    /// Read this node, found by the claim's id.
    Adopt(String),
    /// List the lock's children.
    List,
    /// Read this node, which is ahead of ours, and watch it.
    Watch(String),
    /// Read our node, to see that it is there.
    Own(String),
    /// Delete this node, which is ours.
    Remove(String),
}

/// What a step came to.
#[derive(Debug)]
pub(crate) enum Answer {
    Entered { created: Result<Created, RequestError>, children: Result<Vec<String>, RequestError> },
    ParentMade(Result<(), RequestError>),
    Found(Result<Vec<String>, RequestError>),
    Adopted { node: Result<Node, RequestError>, session_id: i64 },
    Listed(Result<Vec<String>, RequestError>),
    Watched(Result<Node, RequestError>),
    Own(Result<Node, RequestError>),
    Removed(Result<(), RequestError>),
}

/// Where the machine is when there is nothing to ask just now.
#[derive(Debug)]
pub(crate) enum Spot {
    /// First in line.
    First(Token),
    /// Behind a node that is watched.
    Behind(Waiting),
    /// Without a place, for good.
    Gone(Loss),
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Do(Step),
    Done(Spot),
}

/// How many more nodes are made above ours than there are, before it is taken for a fault. Containers
/// are deleted at most once per check of the servers (a minute), so more than a few is not bad luck.
const PARENTS_MADE_AGAIN_MAX: usize = 16;

/// A place in line. See the module's text.
#[derive(Debug)]
pub(crate) struct Seat {
    dir: String,
    prefix: String,
    dialect: Dialect,
    foreign: ForeignPolicy,
    phase: Phase,
    /// Nodes above that are to be made, the highest last.
    missing: Vec<String>,
    parents_made: usize,
    /// Nodes of ours that should not be there.
    ghosts: Vec<String>,
    /// Something hinted that our node is gone.
    doubtful: bool,
}

#[derive(Debug)]
enum Phase {
    Nowhere,
    Unsettled,
    /// A node with the claim's id is there; what it is has still to be read.
    Found(String),
    Seated(Seated),
    Gone(Loss),
}

#[derive(Debug)]
struct Seated {
    name: String,
    token: Token,
    rank: Rank,
}

/// What is known of the place's rank.
#[derive(Debug)]
enum Rank {
    /// Nothing that is not out of date.
    Unknown,
    /// Behind this child; `places` are ahead in all.
    Behind { child: String, places: usize },
    /// Nobody is ahead. `told` once the claim has been granted.
    First { told: bool },
}

impl Seat {
    /// A place not taken yet, in the line of the lock whose node is `dir`.
    pub(crate) fn new(
        dir: String,
        prefix: String,
        dialect: Dialect,
        foreign: ForeignPolicy,
    ) -> Self {
        Seat {
            dir,
            prefix,
            dialect,
            foreign,
            phase: Phase::Nowhere,
            missing: Vec::new(),
            parents_made: 0,
            ghosts: Vec::new(),
            doubtful: false,
        }
    }

    /// Whether nothing of the claim can be in the store, so that it may still choose its session.
    pub(crate) fn is_nowhere(&self) -> bool {
        matches!(self.phase, Phase::Nowhere)
    }

    /// Whether the lock has been granted.
    pub(crate) fn is_held(&self) -> bool {
        matches!(&self.phase, Phase::Seated(Seated { rank: Rank::First { told: true }, .. }))
    }

    /// The path of our node, once it is known.
    pub(crate) fn own_path(&self) -> Option<String> {
        match &self.phase {
            Phase::Seated(seated) => Some(self.child_path(&seated.name)),
            _ => None,
        }
    }

    pub(crate) fn dir(&self) -> &str {
        &self.dir
    }

    /// The path to create our node at; the server appends a number.
    pub(crate) fn entry_path(&self) -> String {
        self.child_path(&self.prefix)
    }

    fn child_path(&self, child: &str) -> String {
        format!("{}/{child}", self.dir)
    }

    // ----- what happened meanwhile -----

    /// This node was deleted. When it was the one ahead of ours, and the only one, ours is first: every
    /// place ahead was there before ours, so it was in the list that ours was in. A node that was ahead
    /// of ours in an earlier list says nothing.
    pub(crate) fn deleted(&mut self, path: &str) {
        if let Phase::Seated(Seated { rank: Rank::Behind { child, .. }, .. }) = &self.phase
            && path == self.child_path(child)
        {
            self.ahead_left();
        }
    }

    fn ahead_left(&mut self) {
        if let Phase::Seated(seated) = &mut self.phase
            && let Rank::Behind { places, .. } = &seated.rank
        {
            let first = *places == 1;
            seated.rank = if first { Rank::First { told: false } } else { Rank::Unknown };
        }
    }

    /// Our node may have been deleted by somebody else.
    pub(crate) fn own_doubtful(&mut self) {
        self.doubtful = true;
    }

    // ----- leaving -----

    /// The next step towards having left; `None` once nothing of ours is there.
    pub(crate) fn next_leaving(&mut self) -> Option<Step> {
        if let Some(ghost) = self.ghosts.last() {
            return Some(Step::Remove(self.child_path(ghost)));
        }
        match &self.phase {
            Phase::Nowhere => self.phase = Phase::Gone(Loss::Removed),
            Phase::Gone(_) => {}
            Phase::Unsettled => return Some(Step::Find),
            Phase::Found(name) | Phase::Seated(Seated { name, .. }) => {
                return Some(Step::Remove(self.child_path(name)));
            }
        }
        None
    }

    // ----- asking -----

    /// The next step towards knowing where we stand.
    pub(crate) fn next(&mut self) -> Next {
        if let Some(ghost) = self.ghosts.last() {
            return Next::Do(Step::Remove(self.child_path(ghost)));
        }
        match &mut self.phase {
            Phase::Nowhere => Next::Do(match self.missing.last() {
                Some(parent) => Step::MakeParent(parent.clone()),
                None => {
                    self.phase = Phase::Unsettled;
                    Step::Enter
                }
            }),
            Phase::Unsettled => Next::Do(Step::Find),
            Phase::Found(name) => {
                let name = name.clone();
                Next::Do(Step::Adopt(self.child_path(&name)))
            }
            Phase::Gone(loss) => Next::Done(Spot::Gone(*loss)),
            Phase::Seated(Seated { name, .. }) if self.doubtful => {
                let name = name.clone();
                Next::Do(Step::Own(self.child_path(&name)))
            }
            Phase::Seated(seated) => match &mut seated.rank {
                Rank::Unknown => Next::Do(Step::List),
                Rank::Behind { child, .. } => {
                    let child = child.clone();
                    Next::Do(Step::Watch(self.child_path(&child)))
                }
                Rank::First { told: true } => {
                    let name = seated.name.clone();
                    Next::Do(Step::Own(self.child_path(&name)))
                }
                Rank::First { told } => {
                    *told = true;
                    Next::Done(Spot::First(seated.token))
                }
            },
        }
    }

    /// Takes an answer. `Some` when it settles the question that was asked; otherwise there is a next
    /// step.
    pub(crate) fn on(&mut self, answer: Answer) -> Result<Option<Spot>, Error> {
        match answer {
            Answer::Entered { created, children } => self.on_entered(created, children),
            Answer::ParentMade(made) => self.on_parent_made(made),
            Answer::Found(found) => self.on_found(found),
            Answer::Adopted { node, session_id } => self.on_adopted(node, session_id),
            Answer::Listed(children) => self.on_listed(children),
            Answer::Watched(node) => self.on_watched(node),
            Answer::Own(node) => self.on_own(node),
            Answer::Removed(removed) => self.on_removed(removed),
        }
    }

    fn on_entered(
        &mut self,
        created: Result<Created, RequestError>,
        children: Result<Vec<String>, RequestError>,
    ) -> Result<Option<Spot>, Error> {
        let created = match created {
            Ok(created) => created,
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                self.phase = Phase::Nowhere;
                self.missing.push(self.dir.clone());
                return Ok(None);
            }
            Err(error) => return self.on_create_failed(&error),
        };
        let name = created.path.rsplit('/').next().unwrap_or_default().to_owned();
        self.sit(name, created.stat.czxid)?;
        self.on_listed(children)
    }

    fn on_create_failed(&mut self, error: &RequestError) -> Result<Option<Spot>, Error> {
        if error.code() == Some(ErrorCode::NODE_EXISTS) {
            // Only an earlier create of ours, taken for lost, can have made it.
            return Ok(None);
        }
        if !error.may_have_been_applied() {
            self.phase = Phase::Nowhere;
            if matches!(error, RequestError::Over { .. }) {
                // The session ended before anything was sent; the next one will do.
                return Ok(None);
            }
        }
        self.retry(error, "taking a place in line")
    }

    fn sit(&mut self, name: String, czxid: i64) -> Result<(), Error> {
        let token = u64::try_from(czxid).ok().and_then(Token::new);
        let (Some(token), Some(_)) = (token, self.dialect.sequence(&name)) else {
            let text = format!("the server made a node {name:?} with czxid {czxid}");
            return Err(Error::new(ErrorKind::Protocol, text).with_unknown_outcome());
        };
        self.phase = Phase::Seated(Seated { name, token, rank: Rank::Unknown });
        Ok(())
    }

    /// From the deepest node upwards, as far as nodes are missing: a node that may not be written to
    /// need not be, as long as the one below is there.
    fn on_parent_made(&mut self, made: Result<(), RequestError>) -> Result<Option<Spot>, Error> {
        let Some(parent) = self.missing.last() else { return Ok(None) };
        match made {
            Ok(()) | Err(RequestError::Refused(ErrorCode::NODE_EXISTS)) => {
                self.missing.pop();
                self.parents_made += 1;
                if self.parents_made > self.dir.matches('/').count() + PARENTS_MADE_AGAIN_MAX {
                    (self.parents_made, self.missing) = (0, Vec::new());
                    let text = "the nodes above the lock vanish as fast as they are made";
                    return Err(Error::new(ErrorKind::Unavailable, text));
                }
            }
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => match path::parent(parent) {
                Some(above) => self.missing.push(above.to_owned()),
                None => {
                    let text = "the server says that its root is missing";
                    return Err(Error::new(ErrorKind::Protocol, text));
                }
            },
            Err(RequestError::Over { .. }) => {}
            Err(error) => {
                let doing = format!("making the node {parent}");
                self.missing.clear();
                return self.retry(&error, &doing);
            }
        }
        Ok(None)
    }

    fn on_found(
        &mut self,
        found: Result<Vec<String>, RequestError>,
    ) -> Result<Option<Spot>, Error> {
        match found {
            Ok(children) => {
                let mut ours = children.into_iter().filter(|child| child.starts_with(&self.prefix));
                self.phase = ours.next().map_or(Phase::Nowhere, Phase::Found);
                self.ghosts = ours.collect();
                Ok(None)
            }
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                self.phase = Phase::Nowhere;
                Ok(None)
            }
            Err(error) => self.retry(&error, "looking for our place in line"),
        }
    }

    fn on_adopted(
        &mut self,
        node: Result<Node, RequestError>,
        session_id: i64,
    ) -> Result<Option<Spot>, Error> {
        let Phase::Found(name) = &self.phase else { return Ok(None) };
        match node {
            // A node of a session that is dying must not become a lock (CURATOR-498).
            Ok(node) if node.stat.ephemeral_owner != session_id => {
                self.phase = Phase::Gone(Loss::Usurped);
                Ok(None)
            }
            Ok(node) => {
                let name = name.clone();
                self.sit(name, node.stat.czxid)?;
                Ok(None)
            }
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                self.phase = Phase::Gone(Loss::Removed);
                Ok(None)
            }
            Err(error) => self.retry(&error, "reading our place in line"),
        }
    }

    fn on_listed(
        &mut self,
        children: Result<Vec<String>, RequestError>,
    ) -> Result<Option<Spot>, Error> {
        match children {
            Ok(children) => self.judge(&children),
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                self.phase = Phase::Gone(Loss::Removed);
                Ok(None)
            }
            Err(error) => self.retry(&error, "listing the line"),
        }
    }

    /// Finds our rank in a list of the lock's children.
    fn judge(&mut self, children: &[String]) -> Result<Option<Spot>, Error> {
        let Phase::Seated(seated) = &mut self.phase else { return Ok(None) };
        // A create that was taken for lost may still have come through, after we looked.
        let is_ghost = |child: &&String| child.starts_with(&self.prefix) && **child != seated.name;
        self.ghosts = children.iter().filter(is_ghost).cloned().collect();
        if !children.contains(&seated.name) {
            self.phase = Phase::Gone(Loss::Removed);
            return Ok(None);
        }
        if !self.ghosts.is_empty() {
            return Ok(None);
        }
        if self.dialect.sequence(&seated.name).is_none_or(Sequence::is_exhausted) {
            return Err(exhausted(&self.dir));
        }
        let line = line(self.dialect, self.foreign, children, &seated.name)
            .map_err(|child| foreign(&self.dir, child))?;
        let me = line.iter().position(|child| **child == seated.name).unwrap_or(line.len() - 1);
        let entries = vec![Entry { mode: Mode::Exclusive }; line.len()];
        seated.rank = match admit(&entries, me) {
            Admission::Granted => Rank::First { told: false },
            Admission::Behind(at) => Rank::Behind { child: line[at].clone(), places: at + 1 },
        };
        Ok(None)
    }

    /// The node ahead was read and is watched, unless it is gone already.
    fn on_watched(&mut self, node: Result<Node, RequestError>) -> Result<Option<Spot>, Error> {
        match node {
            Ok(node) => Ok(self.waiting(&node).map(Spot::Behind)),
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                self.ahead_left();
                Ok(None)
            }
            Err(error) => self.retry(&error, "watching the place ahead"),
        }
    }

    fn waiting(&self, ahead: &Node) -> Option<Waiting> {
        let Phase::Seated(Seated { rank: Rank::Behind { child, places }, .. }) = &self.phase else {
            return None;
        };
        // Only the first in line holds the lock; who that is is known for free if it is next to us.
        let holder = (*places == 1).then(|| contender(child, ahead));
        Some(Waiting { ahead: u32::try_from(*places).ok(), holder })
    }

    fn on_own(&mut self, node: Result<Node, RequestError>) -> Result<Option<Spot>, Error> {
        let Phase::Seated(seated) = &self.phase else { return Ok(None) };
        match node {
            Ok(_) => {
                self.doubtful = false;
                let held = matches!(seated.rank, Rank::First { told: true });
                Ok(held.then_some(Spot::First(seated.token)))
            }
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                self.phase = Phase::Gone(Loss::Removed);
                Ok(None)
            }
            Err(error) => self.retry(&error, "reading our place in line"),
        }
    }

    fn on_removed(&mut self, removed: Result<(), RequestError>) -> Result<Option<Spot>, Error> {
        match removed {
            Ok(()) | Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                if self.ghosts.pop().is_none() {
                    self.phase = Phase::Gone(Loss::Removed);
                }
                Ok(None)
            }
            Err(error) => self.retry(&error, "giving up our place in line"),
        }
    }

    /// What a failure means for the step that it befell: after a broken connection the same step is
    /// taken again, and it was chosen so that this is right whether or not it was applied.
    fn retry(&mut self, error: &RequestError, doing: &str) -> Result<Option<Spot>, Error> {
        match error {
            RequestError::Interrupted => Ok(None),
            RequestError::Over { .. } => {
                // The servers delete the nodes of a session together with it.
                self.phase = Phase::Gone(Loss::SessionEnded);
                self.ghosts.clear();
                Ok(None)
            }
            error => Err(failure::of_request(error, doing)),
        }
    }
}

/// A place as everybody sees it.
pub(crate) fn contender(child: &str, node: &Node) -> Contender {
    let since = u64::try_from(node.stat.ctime).ok().map(Duration::from_millis);
    Contender {
        since: since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
        token: u64::try_from(node.stat.czxid).ok().and_then(Token::new),
        ..Contender::new(child, &node.data)
    }
}

/// The children that are places, in order, the holder first; or the child that is nobody's place.
/// `asker` is the place of whoever asks; empty when that is nobody in line.
pub(crate) fn line<'a>(
    dialect: Dialect,
    policy: ForeignPolicy,
    children: &'a [String],
    asker: &str,
) -> Result<Vec<&'a String>, &'a str> {
    let mut foreign = Vec::new();
    let mut places = Vec::with_capacity(children.len());
    for child in children {
        match (dialect.sequence(child), policy) {
            (Some(sequence), _) => places.push((sequence, child)),
            (None, ForeignPolicy::Refuse) => return Err(child),
            (None, ForeignPolicy::Ignore) => {}
            (None, ForeignPolicy::Block) => foreign.push(child),
        }
    }
    let own = |child: &str| child == asker;
    // Of two equal numbers nobody can tell which came first; whoever asks is the later one.
    places.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| own(x).cmp(&own(y))));
    foreign.extend(places.into_iter().map(|(_, child)| child));
    Ok(foreign)
}

fn exhausted(dir: &str) -> Error {
    let text = "the server's counter for this line is used up, so places have no order";
    Error::new(ErrorKind::Refused, text).with_hint(format!(
        "when nobody is in line, delete the node {dir}; it will be made again with a new counter"
    ))
}

fn foreign(dir: &str, child: &str) -> Error {
    let text = format!("{dir} has a child {child:?} that is nobody's place in this line");
    Error::new(ErrorKind::Refused, text).with_hint(
        "another kind of lock may be in use there, or the name is also the beginning of another lock's; \
         rename one, or choose foreign=ignore or foreign=block",
    )
}

#[cfg(test)]
#[path = "seat_tests.rs"]
mod tests;
