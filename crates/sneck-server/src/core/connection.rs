//! Connections: how they begin, who they are, how they end.

use sneck_wire::{
    ConnectReply, ConnectRequest, DecodeError, ErrorCode, Id, OpCode, ReplyHeader, RequestHeader,
    Secret,
};

use crate::limits::Limits;
use crate::refusals::Limit;

use super::access;
use super::change::{Deed, Txn};
use super::password::{is_right, password};
use super::{ConnectionId, Core, Effects, Frame, Now, Peer};

/// What the server knows of a connection.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) peer: Peer,
    /// The session that is on it; none before the greeting.
    pub(super) session: Option<i64>,
    /// Who it has shown to be, besides where it comes from.
    pub(super) ids: Vec<Id>,
}

impl Connection {
    pub(super) fn new(peer: Peer) -> Self {
        Self { peer, session: None, ids: vec![access::identity_of(peer.address())] }
    }
}

impl Core {
    /// Opens a session, or resumes one.
    pub(super) fn greet(
        &mut self,
        id: ConnectionId,
        request: &ConnectRequest,
        now: Now,
        effects: &mut Effects,
    ) {
        if self.connections.get(&id).is_none_or(|connection| connection.session.is_some()) {
            return;
        }
        // A client that has seen more than there is was on another server, or this one has lost
        // what it told. Either way it must not see time go back here.
        if request.last_zxid_seen > self.zxid {
            return self.hang_up(id, effects);
        }
        let timeout_ms =
            request.timeout_ms.clamp(self.settings.timeout_ms_min, self.settings.timeout_ms_max);
        let session = match request.session_id {
            0 => self.open_session(timeout_ms, now, effects),
            known => self.resume(known, request, id, timeout_ms, now, effects),
        };
        let Some(session) = session else {
            if request.session_id != 0 {
                // Whether the password was wrong or the session is over is not told apart.
                let reply = ConnectReply::expired(request.read_only.map(|_| false));
                self.send(id, Frame::Greeting(reply), effects);
            }
            return self.hang_up(id, effects);
        };
        self.sessions.attach(session, id, timeout_ms, now.mono_ms);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.session = Some(session);
            self.sessions.belongs_to(session, connection.peer.process());
        }
        let reply = ConnectReply {
            protocol: 0,
            timeout_ms,
            session_id: session,
            password: Secret::from(password(session)),
            read_only: request.read_only.map(|_| false),
        };
        self.send(id, Frame::Greeting(reply), effects);
    }

    fn open_session(&mut self, timeout_ms: i32, now: Now, effects: &mut Effects) -> Option<i64> {
        if self.sessions.len() >= self.settings.limits.sessions_max {
            self.refused.borrow_mut().push(Limit::Sessions);
            return None;
        }
        let id = self.sessions.next_id(now.wall_ms);
        let at = self.begin(now);
        self.sessions.open(id, timeout_ms, now.mono_ms);
        effects.txns.push(Txn { at, deed: Deed::OpenSession { id, timeout_ms } });
        Some(id)
    }

    /// Takes a session over from the connection it was on. The password is looked at first: whoever
    /// only guesses an id must not be able to cut off its owner.
    fn resume(
        &mut self,
        session: i64,
        request: &ConnectRequest,
        id: ConnectionId,
        timeout_ms: i32,
        now: Now,
        effects: &mut Effects,
    ) -> Option<i64> {
        let known = self.sessions.get(session).is_some();
        if !known || !is_right(session, &request.password) {
            return None;
        }
        if let Some(before) = self.sessions.attach(session, id, timeout_ms, now.mono_ms) {
            self.hang_up(before, effects);
        }
        Some(session)
    }

    /// Adds what a credential proves to who the connection is.
    pub(super) fn authenticate(
        &mut self,
        id: ConnectionId,
        xid: i32,
        scheme: &str,
        credential: &[u8],
        effects: &mut Effects,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let super_digest = self.settings.super_digest.as_deref();
        let proven =
            access::authenticate(scheme, credential, connection.peer.address(), super_digest);
        let limits = &self.settings.limits;
        let mut accepted = proven.is_some();
        for new in proven.unwrap_or_default() {
            if connection.ids.contains(&new) {
                continue;
            }
            match room_for_identity(&connection.ids, &new, limits) {
                Ok(()) => connection.ids.push(new),
                Err(limit) => {
                    self.refused.borrow_mut().push(limit);
                    accepted = false;
                }
            }
        }
        let error = if accepted { ErrorCode::OK } else { ErrorCode::AUTH_FAILED };
        // The reply shows nothing of the tree, and says so with a zxid of zero.
        let header = ReplyHeader { xid, zxid: 0, error };
        self.send(id, Frame::Reply(header, None), effects);
        if !accepted {
            self.hang_up(id, effects);
        }
    }

    /// Answers a request that could not be read. One that is not even known ends the connection, as
    /// it does on Apache: what else the peer may believe is open.
    pub(super) fn refuse(
        &mut self,
        id: ConnectionId,
        header: RequestHeader,
        error: &DecodeError,
        effects: &mut Effects,
    ) {
        let xid = header.xid;
        match (error, OpCode::try_from(header.op)) {
            (DecodeError::UnknownOp(_), _) => {}
            // Whoever cannot say who he is, is not asked again.
            (_, Ok(OpCode::Auth)) => return self.hang_up(id, effects),
            // Apache takes an unknown kind of watch for bytes it cannot read, and other arguments
            // that do not exist for what they are.
            (_, Ok(OpCode::AddWatch | OpCode::RemoveWatches | OpCode::CheckWatches)) => {
                return self.reply(id, xid, Err(ErrorCode::MARSHALLING_ERROR), effects);
            }
            _ => return self.reply(id, xid, Err(error.error_code()), effects),
        }
        let header = ReplyHeader { xid, zxid: -1, error: ErrorCode::UNIMPLEMENTED };
        self.send(id, Frame::Reply(header, None), effects);
        self.hang_up(id, effects);
    }

    /// Ends a session because its client wants it.
    pub(super) fn say_good_bye(
        &mut self,
        id: ConnectionId,
        xid: i32,
        session: i64,
        now: Now,
        effects: &mut Effects,
    ) {
        // Off its connection first, so that the reply goes before the end of it.
        self.sessions.detach(session, id);
        self.close_session(session, now, effects);
        self.reply(id, xid, Ok(sneck_wire::Reply::CloseSession), effects);
        self.hang_up(id, effects);
    }

    /// Ends a connection. Its session goes on.
    pub(super) fn hang_up(&mut self, id: ConnectionId, effects: &mut Effects) {
        if self.connections.contains_key(&id) {
            self.send(id, Frame::Close, effects);
            self.forget(id);
        }
    }

    /// Takes a connection out of everything.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.watches.forget(id);
        let session = self.connections.remove(&id).and_then(|connection| connection.session);
        if let Some(session) = session {
            self.sessions.detach(session, id);
        }
    }

    /// What the client of a session has to show.
    #[cfg(feature = "simulation")]
    pub(crate) fn password_of(&self, session: i64) -> Secret {
        Secret::from(password(session))
    }

    /// Who a connection is.
    pub(super) fn ids(&self, id: ConnectionId) -> &[Id] {
        self.connections.get(&id).map_or(&[], |connection| &connection.ids)
    }
}

fn room_for_identity(known: &[Id], new: &Id, limits: &Limits) -> Result<(), Limit> {
    let length = |id: &Id| id.scheme.len() + id.id.len();
    if known.len() >= limits.identities_max {
        return Err(Limit::Identities);
    }
    match known.iter().map(length).sum::<usize>() + length(new) <= limits.identity_bytes_max {
        true => Ok(()),
        false => Err(Limit::IdentityBytes),
    }
}
