//! The core as one of an ensemble, for a simulator: one core decides, and all of them make what was
//! decided, each in its own time.
//!
//! It is the server by itself, cut in two where its log is: to decide is what it does with a request,
//! and to learn is what it does when it reads its log again, except that here somebody watches.

use sneck_wire::{ConnectReply, ConnectRequest, Secret};

use super::change::{Deed, Txn};
use super::connection::Connection;
use super::contents::last_changes_of;
use super::password::password;
use super::{ConnectionId, Core, Effects, Frame, Now, Peer};

impl Core {
    /// Makes a transaction that was decided elsewhere. Who watches is told of it; then whoever has asked for
    /// it gets the answer.
    pub(crate) fn learn(&mut self, txn: &Txn, answer: Option<(ConnectionId, Frame)>) -> Effects {
        debug_assert!(txn.at.zxid > self.zxid, "a transaction is learned twice");
        let mut effects = Effects::default();
        self.zxid = txn.at.zxid;
        match &txn.deed {
            // Who is connected here may have come before the news of its session.
            Deed::OpenSession { id, timeout_ms } if self.sessions.get(*id).is_none() => {
                self.sessions.open(*id, *timeout_ms, 0);
            }
            Deed::OpenSession { .. } => {}
            Deed::CloseSession { id } => {
                self.sessions.close(*id);
                for change in last_changes_of(&self.tree, *id) {
                    self.make(&change, txn.at, &mut effects);
                }
            }
            Deed::Changes(changes) => {
                let mut news = Vec::new();
                for change in changes {
                    let made = self.tree.apply(change, txn.at);
                    debug_assert!(made.is_ok(), "what was decided does not fit: {change:?}");
                    news.extend(made.ok().and_then(|undo| self.news(change, &undo)));
                }
                news.iter().for_each(|news| self.tell(news, txn.at, &mut effects));
            }
        }
        if let Some((id, frame)) = answer.filter(|(id, _)| self.connections.contains_key(id)) {
            if let Frame::Greeting(reply) = &frame {
                self.join(id, reply.session_id, &mut effects);
            }
            self.send(id, frame, &mut effects);
        }
        if let Deed::CloseSession { id } = &txn.deed {
            let of_session = |(_, one): &(&ConnectionId, &Connection)| one.session == Some(*id);
            let left: Vec<_> =
                self.connections.iter().filter(of_session).map(|(id, _)| *id).collect();
            left.into_iter().for_each(|id| self.hang_up(id, &mut effects));
        }
        effects
    }

    /// Lets a client go on with a session here, if the leader knows it.
    pub(crate) fn resume_as_told(
        &mut self,
        id: ConnectionId,
        request: &ConnectRequest,
        is_valid: bool,
    ) -> Effects {
        let mut effects = Effects::default();
        if self.connections.get(&id).is_none_or(|connection| connection.session.is_some()) {
            return effects;
        }
        let read_only = request.read_only.map(|_| false);
        if !is_valid {
            self.send(id, Frame::Greeting(ConnectReply::expired(read_only)), &mut effects);
            self.hang_up(id, &mut effects);
            return effects;
        }
        let session_id = request.session_id;
        self.join(id, session_id, &mut effects);
        let timeout_ms =
            request.timeout_ms.clamp(self.settings.timeout_ms_min, self.settings.timeout_ms_max);
        let password = Secret::from(password(session_id));
        let reply = ConnectReply { protocol: 0, timeout_ms, session_id, password, read_only };
        self.send(id, Frame::Greeting(reply), &mut effects);
        effects
    }

    /// Puts a session on a connection, and hangs up the one that it was on here.
    fn join(&mut self, id: ConnectionId, session: i64, effects: &mut Effects) {
        let of_session = |(_, one): &(&ConnectionId, &Connection)| one.session == Some(session);
        let before = self.connections.iter().find(of_session).map(|(id, _)| *id);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.session = Some(session);
        }
        if let Some(before) = before.filter(|before| *before != id) {
            self.hang_up(before, effects);
        }
    }

    /// A connection by which somebody else's client can be heard, until it is closed; none if its session is
    /// over.
    pub(crate) fn speaker_for(&mut self, session: i64) -> Option<ConnectionId> {
        self.sessions.get(session)?;
        let id = ConnectionId(session.unsigned_abs());
        let speaker = Connection { session: Some(session), ..Connection::new(Peer::Local) };
        self.connections.insert(id, speaker);
        Some(id)
    }

    /// A transaction for a request that changes nothing: an ensemble agrees on these, too.
    pub(crate) fn decide_nothing(&mut self, now: Now) -> Txn {
        Txn { at: self.begin(now), deed: Deed::Changes(Vec::new()) }
    }

    /// Notes that a session lives, if it does.
    pub(crate) fn touch_session(&mut self, session: i64, now: Now) -> bool {
        self.sessions.touch(session, now.mono_ms);
        self.sessions.get(session).is_some()
    }
}
