//! A claim on ZooKeeper: the rim that performs the steps of its [`Seat`] on a session.

use super::layout::{Layout, LockOptions};
use super::permits::PermitSeat;
use super::seat::{REVOKE, Seat, is_revoked};
use super::sessions::Sessions;
use super::stand::Stand;
use super::step::{Answer, Next, Spot, Step, Take};
use crate::error::RequestError;
use crate::session::{Call, Node, Session, Watch, WatchCall};
use async_trait::async_trait;
use sneck_core::{Claim, Error, ErrorKind, Grant, Mode, Name, Request, Standing, Term, mutant};
use sneck_wire::{CreateMode, EventKind, MultiOp, MultiResult, NewNode};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// How long somebody looks after a lock before its node is watched for deletion by others: up to 100 ms
/// after it was taken, together with the time in which nobody looks after it. A lock that is taken and
/// released at once costs three requests; this would be the fourth.
///
/// Of waiting places only those are watched that are going to be let in without another look: that is one more
/// event for each release. The others are looked at when the core asks again by itself, and when the line
/// is listed.
const OWN_WATCH_AFTER: Duration = Duration::from_millis(50);

pub(crate) struct ZooKeeperClaim {
    layout: Arc<Layout>,
    sessions: Arc<Sessions>,
    request: Request,
    /// The place, or why there can be none: a claim cannot fail before it is asked.
    seat: Result<Stand, Error>,
    /// The session the place belongs to, from the first step on.
    session: Option<Session>,
    /// The node ahead of ours, while it is there as far as we know.
    ahead: Option<Watch>,
    /// The permits that are held and their number, while we are the first that waits for some.
    counts: Vec<Watch>,
    own: Own,
    /// What was sent to give the place up, while it is not answered.
    parting: Option<Parting>,
}

/// The watches on our own nodes: one, or one for each permit.
enum Own {
    Unwatched,
    Asked(Vec<WatchCall<Node>>),
    Watched(Vec<Watch>),
    /// Of a place that waits, on this connection.
    Waiting(Watch, u64),
}

/// The most permits that one claim may take: their nodes fit in one request.
const TAKE_MAX: u32 = 1_000;

impl ZooKeeperClaim {
    pub(crate) fn new(layout: Arc<Layout>, sessions: Arc<Sessions>, request: Request) -> Self {
        let seat = layout.path(&request.name).and_then(|dir| stand(&layout, dir, &request));
        let (session, ahead, counts, own) = (None, None, Vec::new(), Own::Unwatched);
        let parting = None;
        ZooKeeperClaim { layout, sessions, request, seat, session, ahead, counts, own, parting }
    }

    // ----- one of several, which enter together -----

    pub(super) fn name(&self) -> &Name {
        &self.request.name
    }

    /// The place in line, which those that enter together all have.
    pub(super) fn seat(&mut self) -> Result<&mut Seat, Error> {
        let error = match &mut self.seat {
            Ok(Stand::Line(seat)) => return Ok(seat),
            Ok(Stand::Permits(_)) => {
                Error::new(ErrorKind::Internal, "permits are taken by themselves")
            }
            Err(error) => error.clone(),
        };
        Err(error.with_lock(&self.request.name).with_backend(&self.layout.label))
    }

    pub(super) async fn choose_session(&mut self) -> Result<Session, Error> {
        let session = self.sessions.alive().await;
        session.map_err(|error| self.locate(error))
    }

    pub(super) fn join_session(&mut self, session: Session) {
        self.session = Some(session);
    }

    /// Learns whether the place was taken, if that is open.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        while self.seat()?.is_unsettled() {
            self.step().await?;
        }
        Ok(())
    }

    /// Performs the next step.
    pub(super) async fn step(&mut self) -> Result<(), Error> {
        if let Next::Do(step) = self.seat()?.next() {
            self.perform(step).await.map_err(|error| self.locate(error))?;
        }
        Ok(())
    }

    /// The node to create at this path.
    pub(super) fn create(&self, path: String) -> NewNode {
        self.new_node(path, self.description(), CreateMode::EphemeralSequential)
    }

    // ----- asking -----

    /// Performs steps until the seat knows where we stand.
    async fn stand(&mut self) -> Result<Spot, Error> {
        loop {
            let seat = self.seat.as_mut().map_err(|error| error.clone())?;
            if seat.is_nowhere() {
                self.session = Some(self.sessions.alive().await?);
            }
            let step = match seat.next() {
                Next::Done(spot) => return Ok(spot),
                Next::Do(step) => step,
            };
            if let Some(spot) = self.perform(step).await? {
                return Ok(spot);
            }
        }
    }

    async fn perform(&mut self, step: Step) -> Result<Option<Spot>, Error> {
        let Some(session) = self.session.clone() else {
            return Err(Error::new(ErrorKind::Internal, "a step without a session"));
        };
        let answer = match step {
            Step::Watch { ahead, own } => self.watch(&session, &ahead, own.as_deref()).await,
            Step::Count { semaphore, leases } => self.count(&session, &semaphore, &leases).await,
            step => self.perform_unwatched(&session, step).await,
        };
        self.take(&session, answer).await
    }

    /// Ours first, so that its event comes first when both are gone.
    async fn watch(&mut self, session: &Session, ahead: &str, own: Option<&str>) -> Answer {
        let connection = session.connection();
        let own = own.map(|own| session.get_data_watch(own));
        let ahead = session.get_data_watch(ahead);
        // What the last watches have to tell is about another node, or no news.
        self.ahead = None;
        let own = match own {
            Some(own) => Some(own.await.map(|(node, watch)| {
                self.own = Own::Waiting(watch, connection);
                node
            })),
            None => None,
        };
        let ahead = ahead.await.map(|(node, watch)| {
            self.ahead = Some(watch);
            node
        });
        // What has changed since it was read has to be read again.
        let own = own.filter(|own| own.is_err() || self.own_is_there());
        Answer::Watched { ahead, own }
    }

    /// Whether our place, which waits, was there when the last event was sent. Events of one connection come in
    /// the order of what they tell of; a server that sets watches again tells in any order.
    fn own_is_there(&mut self) -> bool {
        match (&mut self.own, &self.session) {
            (Own::Waiting(watch, connection), Some(session)) => {
                *connection == session.connection() && watch.is_set()
            }
            _ => false,
        }
    }

    /// Tells the seat what was answered.
    async fn take(&mut self, session: &Session, answer: Answer) -> Result<Option<Spot>, Error> {
        if answer.wants_another_session() {
            // A session that is being closed takes no requests although it is not over yet. The next
            // step wants another session, so wait until there can be one.
            session_over(Some(session)).await;
        }
        match &mut self.seat {
            Ok(seat) => seat.on(answer),
            Err(error) => Err(error.clone()),
        }
    }

    async fn perform_unwatched(&self, session: &Session, step: Step) -> Answer {
        match (step, &self.seat) {
            (Step::Enter(path), Ok(seat)) => {
                let data = self.request.description();
                let mode = CreateMode::EphemeralSequential;
                let acl = self.layout.acl();
                // Both are on the way before either is answered, and answered in this order: an
                // uncontended lock costs one round trip.
                let created = session.create2(&path, data, mode, acl);
                let children = session.get_children(seat.line());
                Answer::Entered { created: created.await, children: children.await }
            }
            (Step::MakeParent(path), _) => Answer::ParentMade(self.make(session, &path).await),
            (Step::MakeKept(path), _) => {
                let made = session.create(&path, "", CreateMode::Persistent, self.layout.acl());
                Answer::ParentMade(made.await.map(drop))
            }
            (Step::Find, Ok(seat)) => Answer::Found(session.get_children_synced(seat.line()).await),
            (Step::FindLeases(path), _) => {
                Answer::FoundLeases(session.get_children_synced(&path).await)
            }
            (Step::Adopt(path), _) => {
                let node = session.get_data(&path).await;
                Answer::Adopted { node, session_id: session.id() }
            }
            (Step::List, Ok(seat)) => Answer::Listed(session.get_children(seat.line()).await),
            (Step::Own(path), _) => Answer::Own(session.get_data(&path).await),
            (Step::Remove(path), _) => Parting::remove(session, &path).answer().await,
            (Step::Downgrade { from, to }, _) => {
                let node = self.new_node(to, self.description(), CreateMode::Ephemeral);
                let create = MultiOp::Create2(node);
                let delete = MultiOp::Delete { path: from, version: -1 };
                Answer::Downgraded(session.multi(vec![create, delete]).await)
            }
            (Step::Describe { path, version }, _) => {
                let data = [REVOKE, b" ", self.request.description().as_bytes()].concat();
                let described = session.set_data(&path, data, Some(version)).await;
                Answer::Described(described.map(drop))
            }
            (Step::Look(path), _) => {
                let (number, children) = (session.get_data(&path), session.get_children(&path));
                Answer::Looked { number: number.await, children: children.await }
            }
            (Step::Take(take), _) => Answer::Taken(self.take_permits(session, take).await),
            (Step::OwnLeases(paths), _) => Answer::OwnLeases(read_all(session, &paths).await),
            (Step::Return(paths), _) => Parting::give_back(session, paths).answer().await,
            (step, _) => unreachable!("{step:?} is performed elsewhere"),
        }
    }

    /// Both are watched before either is answered, so that no change between the two is missed.
    async fn count(&mut self, session: &Session, semaphore: &str, leases: &str) -> Answer {
        let number = session.get_data_watch(semaphore);
        let held = session.get_children_watch(leases);
        // What the last watches have to tell is out of date now.
        self.counts.clear();
        let number = number.await.map(|(node, watch)| {
            self.counts.push(watch);
            node
        });
        let leases = held.await.map(|(children, watch)| {
            self.counts.push(watch);
            children
        });
        Answer::Counted { number, leases }
    }

    async fn take_permits(
        &self,
        session: &Session,
        take: Take,
    ) -> Result<Vec<MultiResult>, RequestError> {
        let (path, version) = (take.semaphore, take.version);
        let mut ops = vec![match take.number {
            Some(number) => MultiOp::SetData { path, data: Some(number.into()), version },
            None => MultiOp::Check { path, version },
        }];
        for (at, lease) in take.leases.into_iter().enumerate() {
            // One that says who it is, is enough.
            let data = if at == 0 { self.description() } else { String::new() };
            ops.push(MultiOp::Create2(self.new_node(lease, data, take.mode)));
        }
        ops.push(MultiOp::Delete { path: take.place, version: -1 });
        session.multi(ops).await
    }

    /// Who we are, for the nodes that replace one in which we may have been asked to let go.
    fn description(&self) -> String {
        self.request.description()
    }

    fn new_node(&self, path: String, data: String, mode: CreateMode) -> NewNode {
        NewNode { path, data: Some(data.into()), acl: self.layout.acl(), mode }
    }

    /// Makes a node that the servers delete when nobody is in line any more, where they can.
    async fn make(&self, session: &Session, path: &str) -> Result<(), RequestError> {
        let make = |mode| session.create2(path, "", mode, self.layout.acl());
        match make(CreateMode::Container).await {
            Err(RequestError::Refused(sneck_wire::ErrorCode::UNIMPLEMENTED)) => {
                make(CreateMode::Persistent).await.map(drop)
            }
            made => made.map(drop),
        }
    }

    /// Makes a standing of a spot. Whoever is first holds the lock only while the session is proven.
    async fn standing(&mut self, spot: Spot) -> Result<Standing, Error> {
        let token = match spot {
            Spot::Gone(loss) => return Ok(Standing::Gone(loss)),
            Spot::Behind(waiting) => return Ok(Standing::Waiting(waiting)),
            Spot::Held(token) => {
                // Who comes and goes beside us is no news any more.
                self.counts.clear();
                token
            }
        };
        let Some(session) = self.session.clone() else {
            return Err(Error::new(ErrorKind::Internal, "a place without a session"));
        };
        let lease = session.lease();
        if lease.loss(session.clock().now()).is_some() {
            // The servers went silent for longer than we may believe in the session. It lives if this
            // is answered, and then has a new lease.
            let proven = session.prove().await;
            proven.map_err(|error| self.layout.failure(&error, "proving the session"))?;
            // Nobody has looked for as long, and that the session lives does not say that the place is there.
            match self.stand().await? {
                Spot::Held(_) => {}
                Spot::Behind(waiting) => return Ok(Standing::Waiting(waiting)),
                Spot::Gone(loss) => return Ok(Standing::Gone(loss)),
            }
        }
        let mut grant = Grant::new(token, Term::Session(session.lease()));
        grant.revoked = self.seat.as_ref().is_ok_and(Stand::is_revoked);
        Ok(Standing::Held(grant))
    }

    /// Resolves when one of our own nodes is gone, or says something new. Sets the watches for that once
    /// it is worthwhile, on the nodes by which something is held.
    /// What is `known` to be asked of us is no news.
    async fn own_changed(
        own: &mut Own,
        session: Option<&Session>,
        paths: Vec<String>,
        known: bool,
    ) {
        let Some(session) = session else { return pending().await };
        loop {
            *own = match own {
                Own::Unwatched if paths.is_empty() => return pending().await,
                Own::Unwatched if mutant!("own-place-is-not-watched") => return pending().await,
                Own::Unwatched => {
                    tokio::time::sleep(OWN_WATCH_AFTER).await;
                    Own::Asked(paths.iter().map(|path| session.get_data_watch(path)).collect())
                }
                Own::Asked(calls) => {
                    let mut watches = Vec::with_capacity(calls.len());
                    let mut news = false;
                    while let Some(call) = calls.last_mut() {
                        match call.await {
                            Ok((node, watch)) => {
                                news |= !known && is_revoked(&node.data);
                                watches.push(watch);
                            }
                            Err(RequestError::Interrupted) => {}
                            // It is gone already, or asking for it again is going to say what is wrong.
                            Err(_) => return,
                        }
                        calls.pop();
                    }
                    let all = watches.len() == paths.len();
                    *own = if all { Own::Watched(watches) } else { Own::Unwatched };
                    if news {
                        return;
                    }
                    continue;
                }
                Own::Watched(watches) => {
                    any(watches).await;
                    return;
                }
                Own::Waiting(watch, _) => {
                    watch.await;
                    return;
                }
            };
        }
    }

    pub(super) fn locate(&self, error: Error) -> Error {
        error.with_lock(&self.request.name).with_backend(&self.layout.label)
    }
}

#[async_trait]
impl Claim for ZooKeeperClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        let undisturbed = self.ahead.is_some() || !self.counts.is_empty();
        if let (true, Ok(seat)) = (undisturbed, &mut self.seat) {
            // What we wait for has not changed as far as we know, so nothing woke us: a good moment to
            // see that our own node is there.
            seat.own_doubtful();
        }
        let asked = match self.stand().await {
            Ok(spot) => self.standing(spot).await,
            Err(error) => Err(error),
        };
        asked.map_err(|error| self.locate(error))
    }

    async fn changed(&mut self) {
        let (paths, known) = match &self.seat {
            Ok(seat) => (seat.held_paths(), seat.is_revoked()),
            Err(_) => (Vec::new(), false),
        };
        let ahead = async {
            match &mut self.ahead {
                Some(watch) => watch.await,
                None => pending().await,
            }
        };
        let counts = async {
            match self.counts.is_empty() {
                true => pending().await,
                false => any(&mut self.counts).await,
            }
        };
        let own = Self::own_changed(&mut self.own, self.session.as_ref(), paths, known);
        let over = session_over(self.session.as_ref());
        tokio::select! {
            biased;
            () = over => {}
            event = ahead => {
                self.ahead = None;
                let own_there = self.own_is_there();
                if let (Ok(seat), Some(event)) = (&mut self.seat, event)
                    && event.kind == EventKind::Deleted
                {
                    seat.deleted(&event.path, own_there);
                }
            }
            () = counts => self.counts.clear(),
            () = own => {
                self.own = Own::Unwatched;
                if let Ok(seat) = &mut self.seat {
                    seat.own_doubtful();
                }
            }
        }
    }

    async fn leave(&mut self) -> Result<(), Error> {
        // Our watch on our own node fires with the deletion below, which costs less than a request to
        // take it back. A future that was dropped may have left the watch on the node ahead.
        self.ahead = None;
        self.counts.clear();
        if let (Some(parting), Some(session)) = (&mut self.parting, self.session.clone()) {
            let answer = parting.answer().await;
            self.parting = None;
            self.take(&session, answer).await.map_err(|error| self.locate(error))?;
        }
        loop {
            // A place that cannot be has not been taken.
            let Ok(seat) = &mut self.seat else { return Ok(()) };
            let Some(step) = seat.next_leaving() else { return Ok(()) };
            self.perform(step).await.map_err(|error| self.locate(error))?;
        }
    }

    fn let_go(&mut self) -> bool {
        let (Ok(seat), Some(session)) = (&mut self.seat, &self.session) else { return false };
        self.parting = match seat.next_leaving() {
            Some(Step::Remove(path)) => Some(Parting::remove(session, &path)),
            Some(Step::Return(paths)) => Some(Parting::give_back(session, paths)),
            _ => return false,
        };
        true
    }

    async fn downgrade(&mut self) -> Result<(), Error> {
        loop {
            let seat = self.seat.as_mut().map_err(|error| error.clone())?;
            let step = seat.next_downgrade().map_err(|error| {
                error.with_lock(&self.request.name).with_backend(&self.layout.label)
            })?;
            let Some(step) = step else { return Ok(()) };
            // The watches are on a node that goes.
            self.own = Own::Unwatched;
            self.perform(step).await.map_err(|error| self.locate(error))?;
        }
    }
}

/// A request that gives up what is held.
enum Parting {
    Removed(Call<()>),
    Returned(Call<Vec<MultiResult>>),
}

impl Parting {
    fn remove(session: &Session, path: &str) -> Self {
        Parting::Removed(session.delete(path, None))
    }

    fn give_back(session: &Session, paths: Vec<String>) -> Self {
        let delete = |path| MultiOp::Delete { path, version: -1 };
        Parting::Returned(session.multi(paths.into_iter().map(delete).collect()))
    }

    async fn answer(&mut self) -> Answer {
        match self {
            Parting::Removed(call) => Answer::Removed(call.await),
            Parting::Returned(call) => Answer::Returned(call.await),
        }
    }
}

/// The machine for a request, whose lock's node is `dir`.
fn stand(layout: &Layout, dir: String, request: &Request) -> Result<Stand, Error> {
    let LockOptions { dialect, foreign, .. } = layout.options;
    match request.mode {
        Mode::Permits(permits) if permits.take().get() > TAKE_MAX => {
            let text = format!("{} permits are asked for at once", permits.take());
            Err(Error::new(ErrorKind::Invalid, format!("{text}, and {TAKE_MAX} is the most")))
        }
        Mode::Permits(permits) => {
            let seat = PermitSeat::new(dir, request.id, permits, dialect, foreign);
            Ok(Stand::Permits(seat))
        }
        mode => Ok(Stand::Line(Seat::new(dir, request.id, mode, dialect, foreign))),
    }
}

/// Several nodes, all read at once.
async fn read_all(session: &Session, paths: &[String]) -> Result<Vec<Node>, RequestError> {
    let reads: Vec<_> = paths.iter().map(|path| session.get_data(path)).collect();
    let mut nodes = Vec::with_capacity(reads.len());
    for read in reads {
        nodes.push(read.await?);
    }
    Ok(nodes)
}

/// Resolves when any of these watches fires.
async fn any(watches: &mut [Watch]) {
    let fired = poll_fn(|context| {
        let fired = watches.iter_mut().any(|watch| Pin::new(watch).poll(context).is_ready());
        if fired { Poll::Ready(()) } else { Poll::Pending }
    });
    fired.await;
}

pub(super) async fn session_over(session: Option<&Session>) {
    let Some(session) = session else { return pending().await };
    let mut state = session.state();
    // The channel closes together with the session.
    let _ = state.wait_for(|state| state.end().is_some()).await;
}
