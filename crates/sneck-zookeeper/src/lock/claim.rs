//! A claim on ZooKeeper: the rim that performs the steps of its [`Seat`] on a session.

use super::layout::{Layout, LockOptions};
use super::seat::{Answer, Next, Seat, Spot, Step};
use super::sessions::Sessions;
use crate::error::RequestError;
use crate::session::{Node, Session, Watch, WatchCall};
use async_trait::async_trait;
use sneck_core::{Claim, Error, ErrorKind, Grant, Mode, Request, Standing, Term};
use sneck_wire::{CreateMode, EventKind, WatchedEvent};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// How long a lock is held before its node is watched for deletion by somebody else. A lock that is
/// taken and released at once costs three requests; this would be the fourth.
///
/// Waiting places are not watched: that would be one more event for each release. They are looked at
/// when the core asks again by itself, and when the line is listed.
const OWN_WATCH_AFTER: Duration = Duration::from_millis(100);

pub(crate) struct ZooKeeperClaim {
    layout: Arc<Layout>,
    sessions: Arc<Sessions>,
    request: Request,
    /// The place, or why there can be none: a claim cannot fail before it is asked.
    seat: Result<Seat, Error>,
    /// The session the place belongs to, from the first step on.
    session: Option<Session>,
    /// The node ahead of ours, while it is there as far as we know.
    ahead: Option<Watch>,
    own: Own,
}

/// The watch on our own node.
enum Own {
    Unwatched,
    Asked(WatchCall<Node>),
    Watched(Watch),
}

impl ZooKeeperClaim {
    pub(crate) fn new(layout: Arc<Layout>, sessions: Arc<Sessions>, request: Request) -> Self {
        let seat = match request.mode {
            Mode::Exclusive => layout.path(&request.name).map(|dir| {
                let LockOptions { dialect, foreign, .. } = layout.options;
                Seat::new(dir, dialect.prefix(request.id), dialect, foreign)
            }),
            mode => {
                let text = format!("locks on ZooKeeper have no mode {mode:?} yet");
                Err(Error::new(ErrorKind::Invalid, text))
            }
        };
        let (session, ahead, own) = (None, None, Own::Unwatched);
        ZooKeeperClaim { layout, sessions, request, seat, session, ahead, own }
    }

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
            Step::Watch(path) => {
                let watched = session.get_data_watch(&path);
                // What the last watch has to tell is about another node, or no news.
                self.ahead = None;
                Answer::Watched(match watched.await {
                    Ok((node, watch)) => {
                        self.ahead = Some(watch);
                        Ok(node)
                    }
                    Err(error) => Err(error),
                })
            }
            step => self.perform_unwatched(&session, step).await,
        };
        if let Answer::Entered { created: Err(RequestError::Over { .. }), .. }
        | Answer::ParentMade(Err(RequestError::Over { .. })) = &answer
        {
            // A session that is being closed takes no requests although it is not over yet. The next
            // step wants another session, so wait until there can be one.
            session_over(Some(&session)).await;
        }
        match &mut self.seat {
            Ok(seat) => seat.on(answer),
            Err(error) => Err(error.clone()),
        }
    }

    async fn perform_unwatched(&self, session: &Session, step: Step) -> Answer {
        match (step, &self.seat) {
            (Step::Enter, Ok(seat)) => {
                let data = self.request.caller.to_string();
                let mode = CreateMode::EphemeralSequential;
                let acl = self.layout.acl();
                // Both are on the way before either is answered, and answered in this order: an
                // uncontended lock costs one round trip.
                let created = session.create2(&seat.entry_path(), data, mode, acl);
                let children = session.get_children(seat.dir());
                Answer::Entered { created: created.await, children: children.await }
            }
            (Step::MakeParent(path), _) => Answer::ParentMade(self.make(session, &path).await),
            (Step::Find, Ok(seat)) => {
                let synced = session.sync(seat.dir());
                let children = session.get_children(seat.dir());
                Answer::Found(match synced.await {
                    Ok(()) => children.await,
                    Err(error) => Err(error),
                })
            }
            (Step::Adopt(path), _) => {
                let node = session.get_data(&path).await;
                Answer::Adopted { node, session_id: session.id() }
            }
            (Step::List, Ok(seat)) => Answer::Listed(session.get_children(seat.dir()).await),
            (Step::Own(path), _) => Answer::Own(session.get_data(&path).await),
            (Step::Remove(path), _) => Answer::Removed(session.delete(&path, None).await),
            (step, _) => unreachable!("{step:?} is performed elsewhere"),
        }
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
            Spot::First(token) => token,
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
        }
        Ok(Standing::Held(Grant { token, term: Term::Session(session.lease()) }))
    }

    /// Resolves when our own node is gone. Sets the watch for it once that is worthwhile.
    async fn own_removed(own: &mut Own, session: Option<&Session>, path: Option<String>) {
        let (Some(session), Some(path)) = (session, path) else { return pending().await };
        loop {
            *own = match own {
                Own::Unwatched => {
                    tokio::time::sleep(OWN_WATCH_AFTER).await;
                    Own::Asked(session.get_data_watch(&path))
                }
                Own::Asked(call) => match call.await {
                    Ok((_, watch)) => Own::Watched(watch),
                    Err(RequestError::Interrupted) => Own::Unwatched,
                    // It is gone already, or asking for it again is going to say what is wrong.
                    Err(_) => return,
                },
                Own::Watched(watch) => match watch.await {
                    Some(WatchedEvent { kind: EventKind::DataChanged, .. }) => {
                        Own::Asked(session.get_data_watch(&path))
                    }
                    _ => return,
                },
            };
        }
    }

    fn locate(&self, error: Error) -> Error {
        error.with_lock(&self.request.name).with_backend(&self.layout.label)
    }
}

#[async_trait]
impl Claim for ZooKeeperClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        if let (Some(_), Ok(seat)) = (&self.ahead, &mut self.seat) {
            // The node ahead is still there as far as we know, so nothing woke us: a good moment to see
            // that our own is.
            seat.own_doubtful();
        }
        let asked = match self.stand().await {
            Ok(spot) => self.standing(spot).await,
            Err(error) => Err(error),
        };
        asked.map_err(|error| self.locate(error))
    }

    async fn changed(&mut self) {
        let path = self.seat.as_ref().ok().filter(|seat| seat.is_held()).and_then(Seat::own_path);
        let ahead = async {
            match &mut self.ahead {
                Some(watch) => watch.await,
                None => pending().await,
            }
        };
        let own_removed = Self::own_removed(&mut self.own, self.session.as_ref(), path);
        let over = session_over(self.session.as_ref());
        let seat = self.seat.as_mut().ok();
        tokio::select! {
            event = ahead => {
                self.ahead = None;
                if let (Some(seat), Some(event)) = (seat, event)
                    && event.kind == EventKind::Deleted
                {
                    seat.deleted(&event.path);
                }
            }
            () = own_removed => {
                self.own = Own::Unwatched;
                if let Some(seat) = seat {
                    seat.own_doubtful();
                }
            }
            () = over => {}
        }
    }

    async fn leave(&mut self) -> Result<(), Error> {
        // Our watch on our own node fires with the deletion below, which costs less than a request to
        // take it back. A future that was dropped may have left the watch on the node ahead.
        self.ahead = None;
        loop {
            // A place that cannot be has not been taken.
            let Ok(seat) = &mut self.seat else { return Ok(()) };
            let Some(step) = seat.next_leaving() else { return Ok(()) };
            self.perform(step).await.map_err(|error| self.locate(error))?;
        }
    }
}

async fn session_over(session: Option<&Session>) {
    let Some(session) = session else { return pending().await };
    let mut state = session.state();
    // The channel closes together with the session.
    let _ = state.wait_for(|state| state.end().is_some()).await;
}
