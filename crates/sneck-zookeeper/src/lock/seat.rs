//! A place in line on ZooKeeper as a pure state machine over requests and their answers.
//!
//! ```text
//!            Enter sent                 found by its id, or the create was answered
//!  Nowhere ------------> Unsettled ---------------------------------> Seated
//!     ^                      |                                          |
//!     +--- not found --------+                                          +--> Gone: left, removed, lost
//! ```
//!
//! A seat has the mode of its request. A writer who holds may become a reader in the same place:
//! `Converting` is to that what `Unsettled` is to the create.
//!
//! `Unsettled` is entered *before* the create is sent and left only by an answer. So wherever the
//! future that performs a step is dropped, the machine knows that there may be a node, and finds it by
//! the claim's id. The lock recipe is that of ZooKeeper's documentation ("Recipes and Solutions: Locks")
//! with the naming of Apache Curator's protected mode.

use super::dialect::{Dialect, ForeignPolicy, Kind, Place, Sequence};
use super::step::{Answer, Next, Spot, Step};
use super::{failure, path};
use crate::error::RequestError;
use crate::session::{Created, Node};
use sneck_core::{
    Admission, ClaimId, Contender, Entry, Error, ErrorKind, Loss, Mode, Token, Waiting, admit,
    mutant,
};
use sneck_wire::{ErrorCode, MultiResult};
use std::time::{Duration, SystemTime};

/// How many more nodes are made above ours than there are, before it is taken for a fault. Containers
/// are deleted at most once per check of the servers (a minute), so more than a few is not bad luck.
const PARENTS_MADE_AGAIN_MAX: usize = 16;

/// A place in line. See the module's text.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Seat {
    dir: String,
    /// What the names of all our nodes begin with.
    mark: String,
    /// The name of our node up to the server's number.
    prefix: String,
    mode: Mode,
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
    /// Somebody has asked for the lock back.
    revoked: bool,
    /// The version of our node in which a request for the lock stands where our description was.
    effaced: Option<i32>,
}

#[derive(Clone, Debug, Hash)]
enum Phase {
    Nowhere,
    Unsettled,
    /// A node with the claim's id is there; what it is has still to be read.
    Found(String),
    Seated(Seated),
    /// Held, and maybe a reader's place by now; which it is has still to be seen.
    Converting(Seated),
    Gone(Loss),
}

#[derive(Clone, Debug, Hash)]
struct Seated {
    name: String,
    token: Token,
    rank: Rank,
}

/// What is known of the place's rank.
#[derive(Clone, Debug, Hash)]
enum Rank {
    /// Nothing that is not out of date.
    Unknown,
    /// Behind this child; `places` are ahead in all. `holds` when it is known to hold the lock, and
    /// `sole` when nobody but it keeps us waiting.
    Behind { child: String, places: usize, holds: bool, sole: bool },
    /// Nobody ahead is in the way. `told` once the claim has been granted.
    Admitted { told: bool },
}

impl Seat {
    /// A place not taken yet, in the line of the lock whose node is `dir`.
    pub(crate) fn new(
        dir: String,
        id: ClaimId,
        mode: Mode,
        dialect: Dialect,
        foreign: ForeignPolicy,
    ) -> Self {
        Seat {
            dir,
            mark: dialect.mark(id),
            prefix: dialect.entry(mode, id),
            mode,
            dialect,
            foreign,
            phase: Phase::Nowhere,
            missing: Vec::new(),
            parents_made: 0,
            ghosts: Vec::new(),
            doubtful: false,
            revoked: false,
            effaced: None,
        }
    }

    /// Whether nothing of the claim can be in the store, so that it may still choose its session.
    pub(crate) fn is_nowhere(&self) -> bool {
        matches!(self.phase, Phase::Nowhere)
    }

    /// Whether the lock has been granted.
    pub(crate) fn is_held(&self) -> bool {
        matches!(&self.phase, Phase::Seated(Seated { rank: Rank::Admitted { told: true }, .. }))
    }

    /// Whether a create may have been applied.
    pub(crate) fn is_unsettled(&self) -> bool {
        matches!(self.phase, Phase::Unsettled)
    }

    /// Whether a node above has to be made before a place can be taken.
    pub(crate) fn lacks_parent(&self) -> bool {
        !self.missing.is_empty()
    }

    /// The create was not applied, because of another one in its transaction.
    pub(crate) fn not_entered(&mut self) {
        if self.is_unsettled() {
            self.phase = Phase::Nowhere;
        }
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

    /// This node was deleted. When it was the one ahead of ours, and nobody else kept us waiting, ours is
    /// admitted if it is still there: every place ahead was there before ours, so it was in the list that
    /// ours was in. A node that was ahead of ours in an earlier list says nothing.
    ///
    /// `own_there` when our own was there at that moment: its watch was set, on the same connection, and has
    /// not fired. Servers send events in the order of what they are about.
    pub(crate) fn deleted(&mut self, path: &str, own_there: bool) {
        if let Phase::Seated(Seated { rank: Rank::Behind { child, .. }, .. }) = &self.phase
            && path == self.child_path(child)
        {
            self.ahead_left(own_there);
        }
    }

    fn ahead_left(&mut self, own_there: bool) {
        if let Phase::Seated(seated) = &mut self.phase
            && let Rank::Behind { sole, .. } = &seated.rank
        {
            // A writer ahead may be gone because it is a reader now, whose place came into the line
            // after our list, and not behind us. To a reader that is all the same; a writer looks again.
            let was_last = *sole || mutant!("who-was-ahead-was-the-holder");
            let says_enough = self.mode != Mode::Write || mutant!("a-writer-trusts-a-deletion");
            seated.rank = if was_last && says_enough {
                // Ours was there when the list was made, and may have been taken away since.
                self.doubtful |= !own_there && !mutant!("own-place-is-taken-for-granted");
                Rank::Admitted { told: false }
            } else {
                Rank::Unknown
            };
        }
    }

    /// Our node may have been deleted by somebody else.
    pub(crate) fn own_doubtful(&mut self) {
        self.doubtful = true;
    }

    /// Whether something hinted that our node is gone.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Our node is gone because we gave it up with something else.
    pub(crate) fn given_up(&mut self) {
        self.phase = Phase::Gone(Loss::Removed);
        self.ghosts.clear();
    }

    /// Whether somebody has asked for the lock back.
    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked
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
            Phase::Unsettled if mutant!("an-open-create-is-not-left") => {}
            Phase::Unsettled | Phase::Converting(_) => return Some(Step::Find),
            Phase::Found(name) | Phase::Seated(Seated { name, .. }) => {
                return Some(Step::Remove(self.child_path(name)));
            }
        }
        None
    }

    // ----- becoming a reader -----

    /// The next step towards sharing what is held with readers; `None` once that is so.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] for a place that is no writer's who holds the lock.
    pub(crate) fn next_downgrade(&mut self) -> Result<Option<Step>, Error> {
        match &mut self.phase {
            Phase::Converting(_) => return Ok(Some(Step::Find)),
            Phase::Gone(loss) => {
                let text = format!("the place was lost: {loss}");
                return Err(Error::new(ErrorKind::Lost, text));
            }
            Phase::Seated(Seated { rank: Rank::Admitted { told: true }, .. })
                if self.mode == Mode::Shared =>
            {
                return Ok(None);
            }
            // Its node alone does not say: to kazoo a mutex and a writer have one name.
            Phase::Seated(seated @ Seated { rank: Rank::Admitted { told: true }, .. })
                if self.mode == Mode::Write =>
            {
                if let Some(reader) = self.dialect.as_reader(&seated.name) {
                    let Seated { name, token, .. } = seated;
                    let rank = Rank::Admitted { told: true };
                    let seated = Seated { name: name.clone(), token: *token, rank };
                    let from = self.child_path(&seated.name);
                    self.phase = Phase::Converting(seated);
                    return Ok(Some(Step::Downgrade { from, to: self.child_path(&reader) }));
                }
            }
            _ => {}
        }
        let text = "only a writer who holds the lock can share it with readers";
        Err(Error::new(ErrorKind::Refused, text))
    }

    /// Whatever the transaction came to, the line tells what is there now.
    fn on_downgraded(
        &mut self,
        results: Result<Vec<MultiResult>, RequestError>,
    ) -> Result<Option<Spot>, Error> {
        let doing = "sharing the lock with readers";
        let error = match results {
            Ok(results) => match failure::of_results(&results) {
                None => {
                    self.converted(None);
                    return Ok(None);
                }
                Some(code) => RequestError::Refused(code),
            },
            Err(error) => error,
        };
        let undecided = matches!(error.code(), Some(ErrorCode::NO_NODE | ErrorCode::NODE_EXISTS));
        if undecided {
            return Ok(None);
        }
        if !error.may_have_been_applied() {
            self.back_to_writer();
        }
        self.retry(&error, doing)
    }

    /// The place is a reader's; `name` is that of its node if it was read.
    fn converted(&mut self, name: Option<String>) {
        if let Phase::Converting(Seated { name: writer, token, .. }) = &self.phase {
            let reader = name.or_else(|| self.dialect.as_reader(writer));
            let name = reader.unwrap_or_else(|| writer.clone());
            let rank = Rank::Admitted { told: true };
            self.phase = Phase::Seated(Seated { name, token: *token, rank });
            self.mode = Mode::Shared;
        }
    }

    fn back_to_writer(&mut self) {
        if let Phase::Converting(Seated { name, token, .. }) = &self.phase {
            let rank = Rank::Admitted { told: true };
            self.phase = Phase::Seated(Seated { name: name.clone(), token: *token, rank });
        }
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
                    if !mutant!("a-create-is-open-once-answered") {
                        self.phase = Phase::Unsettled;
                    }
                    Step::Enter(self.entry_path())
                }
            }),
            Phase::Unsettled | Phase::Converting(_) => Next::Do(Step::Find),
            Phase::Found(name) => {
                let name = name.clone();
                Next::Do(Step::Adopt(self.child_path(&name)))
            }
            Phase::Gone(loss) => Next::Done(Spot::Gone(*loss)),
            Phase::Seated(Seated { name, .. }) if self.doubtful => {
                let name = name.clone();
                Next::Do(Step::Own(self.child_path(&name)))
            }
            Phase::Seated(Seated { name, .. }) if self.effaced.is_some() => {
                let (name, version) = (name.clone(), self.effaced.take().unwrap_or(-1));
                Next::Do(Step::Describe { path: self.child_path(&name), version })
            }
            Phase::Seated(seated) => match &mut seated.rank {
                Rank::Unknown => Next::Do(Step::List),
                Rank::Behind { child, sole, .. } => {
                    // Who is going to be let in without another look has to know that its own is there.
                    let is_let_in = *sole && self.mode != Mode::Write;
                    let wants_own = is_let_in && !mutant!("own-place-is-taken-for-granted");
                    let own = wants_own.then(|| seated.name.clone());
                    let ahead = child.clone();
                    let own = own.map(|name| self.child_path(&name));
                    Next::Do(Step::Watch { ahead: self.child_path(&ahead), own })
                }
                Rank::Admitted { told: true } => {
                    let name = seated.name.clone();
                    Next::Do(Step::Own(self.child_path(&name)))
                }
                Rank::Admitted { told } => {
                    *told = true;
                    Next::Done(Spot::Held(seated.token))
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
            Answer::Watched { ahead, own } => self.on_watched(ahead, own),
            Answer::Own(node) => self.on_own(node),
            Answer::Removed(removed) => self.on_removed(removed),
            Answer::Downgraded(results) => self.on_downgraded(results),
            // Should somebody have written once more, that is seen when the node is read again.
            Answer::Described(Err(error @ RequestError::Over { .. })) => {
                self.retry(&error, "saying who holds the lock")
            }
            Answer::Described(_) => Ok(None),
            other => {
                let text = format!("a place in line has no use for {other:?}");
                Err(Error::new(ErrorKind::Internal, text))
            }
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
        if !error.may_have_been_applied() || mutant!("a-lost-create-was-not-made") {
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
        let token = match mutant!("a-token-is-the-number") {
            true => name
                .rsplit('-')
                .next()
                .and_then(|digits| Token::new(digits.parse::<u64>().ok()? + 1)),
            false => token,
        };
        let (Some(token), Some(_)) = (token, self.sequence(&name)) else {
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
                let ours = children.into_iter().filter(|child| child.starts_with(&self.mark));
                self.found(ours.collect());
                Ok(None)
            }
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                self.found(Vec::new());
                Ok(None)
            }
            Err(error) => self.retry(&error, "looking for our place in line"),
        }
    }

    /// These are the nodes of ours that are there.
    fn found(&mut self, ours: Vec<String>) {
        if let Phase::Converting(Seated { name, .. }) = &self.phase {
            let reader = self.dialect.as_reader(name);
            let is_reader = |node: &String| reader.as_ref() == Some(node);
            if ours.iter().any(is_reader) {
                self.ghosts = ours.into_iter().filter(|node| !is_reader(node)).collect();
                return self.converted(reader);
            }
            if ours.contains(name) {
                return self.back_to_writer();
            }
            self.phase = Phase::Gone(Loss::Removed);
            self.ghosts = ours;
            return;
        }
        let mut ours = ours.into_iter();
        self.phase = ours.next().map_or(Phase::Nowhere, Phase::Found);
        self.ghosts = ours.collect();
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
        let is_ghost = |child: &&String| child.starts_with(&self.mark) && **child != seated.name;
        self.ghosts = children.iter().filter(is_ghost).cloned().collect();
        if !children.contains(&seated.name) {
            self.phase = Phase::Gone(Loss::Removed);
            return Ok(None);
        }
        if !self.ghosts.is_empty() && !mutant!("a-twin-is-left") {
            return Ok(None);
        }
        let kind = Kind::of(self.mode);
        let own = self.dialect.place(kind, &seated.name);
        if own.is_none_or(|place| place.sequence.is_exhausted()) {
            return Err(exhausted(&self.dir));
        }
        let line = places(self.dialect, Some(kind), self.foreign, children, &seated.name)
            .map_err(|child| foreign(&self.dir, self.dialect, child))?;
        let me = line.iter().position(|(child, _)| **child == seated.name);
        let me = me.unwrap_or(line.len() - 1);
        let mut entries: Vec<Entry> = line.iter().map(|(_, mode)| Entry::new(*mode)).collect();
        seated.rank = match admit(&entries, me) {
            Admission::Granted => Rank::Admitted { told: false },
            Admission::Behind(at) => {
                let holds = admit(&entries, at) == Admission::Granted;
                entries.remove(at);
                let sole = admit(&entries, me - 1) == Admission::Granted;
                Rank::Behind { child: line[at].0.clone(), places: me, holds, sole }
            }
            Admission::Short(_) => unreachable!("nobody asks for permits in a line"),
        };
        Ok(None)
    }

    fn sequence(&self, name: &str) -> Option<Sequence> {
        self.dialect.place(Kind::of(self.mode), name).map(|place| place.sequence)
    }

    /// The node ahead was read and is watched, unless it is gone already. So was our own, if it was to be,
    /// and before: what is gone of the two was gone before it was watched.
    fn on_watched(
        &mut self,
        ahead: Result<Node, RequestError>,
        own: Option<Result<Node, RequestError>>,
    ) -> Result<Option<Spot>, Error> {
        let own_there = matches!(own, Some(Ok(_)));
        if let Some(own) = own {
            self.on_own(own)?;
        }
        let asked_back = self.effaced.is_some();
        match ahead {
            _ if matches!(self.phase, Phase::Gone(_)) || asked_back => Ok(None),
            Ok(node) => Ok(self.waiting(&node).map(Spot::Behind)),
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                if mutant!("gone-before-it-is-watched") {
                    return Ok(Some(Spot::Behind(Waiting::default())));
                }
                self.ahead_left(own_there);
                Ok(None)
            }
            Err(error) => self.retry(&error, "watching the place ahead"),
        }
    }

    fn waiting(&self, ahead: &Node) -> Option<Waiting> {
        let Phase::Seated(Seated { rank: Rank::Behind { child, places, holds, .. }, .. }) =
            &self.phase
        else {
            return None;
        };
        // Who holds the lock is known for free if we wait for just that one.
        let holder = holds.then(|| {
            let mode = self.dialect.any_place(child).map(|place| place.mode);
            Spotted { place: child.clone(), mode, held: true }.contender(self.dialect, ahead)
        });
        Some(Waiting { ahead: u32::try_from(*places).ok(), holder })
    }

    fn on_own(&mut self, node: Result<Node, RequestError>) -> Result<Option<Spot>, Error> {
        let Phase::Seated(seated) = &self.phase else { return Ok(None) };
        match node {
            Ok(node) => {
                self.doubtful = false;
                self.revoked |= is_revoked(&node.data);
                // As Curator asks, in the place of the description of whom it asks.
                self.effaced = (node.data == REVOKE).then_some(node.stat.version);
                if self.effaced.is_some() {
                    return Ok(None);
                }
                let held = matches!(seated.rank, Rank::Admitted { told: true });
                Ok(held.then_some(Spot::Held(seated.token)))
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
            Err(RequestError::Interrupted) if mutant!("a-lost-release-was-made") => {
                self.phase = Phase::Gone(Loss::Removed);
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

/// What Curator writes into a holder's node to ask for the lock. In our nodes it stands before the
/// description of the holder, which is not to be lost by it.
pub(crate) const REVOKE: &[u8] = b"__REVOKE__";

/// Whether a node's data ask its holder to let go.
pub(crate) fn is_revoked(data: &[u8]) -> bool {
    data.starts_with(REVOKE)
}

/// What a holder says about itself.
pub(crate) fn description(data: &[u8]) -> &[u8] {
    data.strip_prefix(REVOKE).unwrap_or(data).trim_ascii_start()
}

/// A place of a line as its name tells it.
#[derive(Clone, Debug)]
pub(crate) struct Spotted {
    /// The path below the lock's node.
    pub(crate) place: String,
    /// How it excludes others, where the name tells. Of permits that are waited for it tells no number.
    pub(crate) mode: Option<Mode>,
    pub(crate) held: bool,
}

impl Spotted {
    /// The same together with what its node tells.
    pub(crate) fn contender(self, dialect: Dialect, node: &Node) -> Contender {
        let since = u64::try_from(node.stat.ctime).ok().map(Duration::from_millis);
        let child = self.place.rsplit('/').next().unwrap_or_default();
        let claim = dialect.claim(child);
        let told = Contender::new(self.place, description(&node.data));
        let mode = match (self.mode, told.mode) {
            (Some(Mode::Permits(now)), Some(Mode::Permits(wanted))) if !self.held => {
                Some(Mode::Permits(wanted.resized(now.of())))
            }
            (mode, told) => mode.or(told),
        };
        Contender {
            claim,
            mode,
            held: self.held,
            since: since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
            token: u64::try_from(node.stat.czxid).ok().and_then(Token::new),
            ..told
        }
    }
}

/// The children that are places in lines of whatever kind, in order, the holder first.
pub(crate) fn line(dialect: Dialect, children: &[String]) -> Vec<Spotted> {
    let line = places(dialect, None, ForeignPolicy::Ignore, children, "").unwrap_or_default();
    let entries: Vec<Entry> = line.iter().map(|(_, mode)| Entry::new(*mode)).collect();
    let spotted = line.into_iter().enumerate().map(|(at, (child, mode))| Spotted {
        place: child.clone(),
        mode: Some(mode),
        held: admit(&entries, at) == Admission::Granted,
    });
    spotted.collect()
}

/// The children that are places in a line of this kind, or of any, in order, with their modes; or the
/// child that is nobody's place. `asker` is the place of whoever asks; empty when that is nobody in line. Who
/// came after the asker is left out: it makes no difference to it, and to put them in order as well would be most
/// of the work of those near the head of a long line.
fn places<'a>(
    dialect: Dialect,
    kind: Option<Kind>,
    policy: ForeignPolicy,
    children: &'a [String],
    asker: &str,
) -> Result<Vec<(&'a String, Mode)>, &'a str> {
    let mut foreign = Vec::new();
    let mut places: Vec<(Place, &String)> = Vec::with_capacity(children.len());
    for child in children {
        let place = match kind {
            Some(kind) => dialect.place(kind, child),
            None => dialect.any_place(child),
        };
        match (place, policy) {
            (Some(place), _) => places.push((place, child)),
            (None, ForeignPolicy::Refuse) => return Err(child),
            (None, ForeignPolicy::Ignore) => {}
            (None, ForeignPolicy::Block) => foreign.push((child, Mode::Exclusive)),
        }
    }
    let own = |child: &str| child == asker;
    let asked_from = places.iter().find(|(_, child)| own(child)).map(|(place, _)| place.sequence);
    if let Some(asked_from) = asked_from {
        places.retain(|(place, _)| place.sequence <= asked_from);
    }
    // Of two equal numbers nobody can tell which came first; whoever asks is the later one.
    places.sort_by(|(a, x), (b, y)| a.sequence.cmp(&b.sequence).then_with(|| own(x).cmp(&own(y))));
    foreign.extend(places.into_iter().map(|(place, child)| (child, place.mode)));
    Ok(foreign)
}

fn exhausted(dir: &str) -> Error {
    let text = "the server's counter for this line is used up, so places have no order";
    Error::new(ErrorKind::Refused, text).with_hint(format!(
        "when nobody is in line, delete the node {dir}; it will be made again with a new counter"
    ))
}

fn foreign(dir: &str, dialect: Dialect, child: &str) -> Error {
    let text = format!("{dir} has a child {child:?} that is nobody's place in this line");
    let hint = match dialect.any_place(child).map(|place| Kind::of(place.mode)) {
        Some(Kind::Mutex) => {
            "the name is in use as a mutex, which readers and writers of other clients would not see; \
             ask for it as a mutex, or rename one"
        }
        Some(Kind::ReadWrite) => {
            "the name is in use as a read-write lock, which a mutex of other clients would not see; \
             ask for it as a reader or a writer, or rename one"
        }
        None => return Error::new(ErrorKind::Refused, text).with_hint(stranger(child)),
    };
    Error::new(ErrorKind::Refused, text).with_hint(hint)
}

/// What to do about a child that is a place in no line of our dialect.
fn stranger(child: &str) -> String {
    match Dialect::spoken_by(child) {
        Some(option) => format!(
            "it is the place of a client that does not wait for us: take this lock with {option}, or \
             rename one"
        ),
        None => "another kind of lock may be in use there, or the name is also the beginning of another \
                 lock's; rename one, or choose foreign=ignore or foreign=block"
            .to_owned(),
    }
}

#[cfg(test)]
#[path = "seat_tests.rs"]
mod tests;
