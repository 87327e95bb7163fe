//! What a member does for its clients: answers what it can, and passes on the rest.

use sneck_server::simulation::{Kind, Sent};

use super::member::{Desk, Return, Role, Work};
use super::{Effect, Ensemble, Word};

impl Ensemble<'_> {
    /// Somebody wants to connect.
    pub(crate) fn opened(&mut self, me: usize, connection: u64, at_ms: u64) {
        if !self.members[me].is_up() {
            return self.out.push(Effect::Refused(connection));
        }
        self.out.push(Effect::Accepted(connection));
        match &mut self.members[me].desk {
            Some(desk) => desk.opened(connection, at_ms),
            // A server without a leader takes nobody, and says so by hanging up.
            None => self.hang_up(connection),
        }
    }

    pub(crate) fn closed(&mut self, me: usize, connection: u64, at_ms: u64) {
        if let Some(desk) = &mut self.members[me].desk {
            desk.closed(connection, at_ms);
        }
    }

    /// Whether somebody is connected under this number.
    pub(crate) fn knows(&self, me: usize, connection: u64) -> bool {
        self.members[me].desk.as_ref().is_some_and(|desk| desk.view.knows(connection))
    }

    /// Bytes have come from a client.
    pub(crate) fn received(&mut self, me: usize, connection: u64, bytes: &[u8], at_ms: u64) {
        let Some(desk) = &mut self.members[me].desk else { return };
        let Some(all) = desk.view.received(connection, bytes) else {
            desk.closed(connection, at_ms);
            return self.hang_up(connection);
        };
        for asked in all {
            let ticket = self.number();
            let leads = matches!(self.members[me].role, Role::Leading(_));
            let Some(desk) = &mut self.members[me].desk else { return };
            if desk.view.is_behind(&asked) {
                desk.closed(connection, at_ms);
                return self.hang_up(connection);
            }
            let back = Return { member: me, connection, ticket };
            let session = desk.session(connection);
            desk.touched.extend(session);
            let kind = match asked.kind {
                // A leader has caught up with itself when the client's own writes are made. It asks nobody
                // whether there is more: one that is followed no more says so, too.
                Kind::Sync if leads => Kind::Look,
                kind => kind,
            };
            let word = match kind {
                Kind::Look => {
                    desk.will_look(connection, asked);
                    let sent = desk.look(connection, at_ms);
                    self.show(sent);
                    continue;
                }
                Kind::Resume(session) => {
                    desk.will_resume(back, asked);
                    Word::Resume { back, session }
                }
                Kind::Sync => {
                    desk.will_sync(back, asked);
                    Word::Sync { back }
                }
                Kind::Open | Kind::Write => {
                    desk.will_learn(back);
                    Word::Ask { back, session, asked }
                }
            };
            self.send_to_leader(me, word, at_ms);
        }
        self.touch_here(me, at_ms);
    }

    /// A leader knows of its own clients at once.
    fn touch_here(&mut self, me: usize, at_ms: u64) {
        let member = &mut self.members[me];
        if let (Role::Leading(reign), Some(Desk { touched, .. })) =
            (&mut member.role, &mut member.desk)
            && let Some(decider) = reign.decider.as_mut()
        {
            for session in std::mem::take(touched) {
                decider.touch(session, at_ms);
            }
        }
    }

    pub(super) fn resumed(&mut self, me: usize, back: Return, is_valid: bool, at_ms: u64) {
        if let Some(desk) = &mut self.members[me].desk {
            let sent = desk.resumed(back, is_valid, at_ms);
            self.show(sent);
        }
    }

    /// A member does something in its own time, after all that it was told before.
    pub(super) fn will_work(&mut self, me: usize, work: Work, at_ms: u64) {
        let lags = self.lags.iter().filter(|lag| lag.member == me && lag.until_ms > at_ms);
        let lag_ms = lags.map(|lag| lag.ms).sum::<u64>() + self.draw(self.lag_ms);
        let member = &mut self.members[me];
        let Some(desk) = &mut member.desk else { return };
        desk.will(work);
        desk.work_ms = desk.work_ms.max(at_ms + lag_ms);
        let turn = super::Turn::Works { member: me, life: member.life };
        self.out.push(Effect::Will(desk.work_ms, turn));
    }

    /// A member goes on with what it was told to do.
    pub(super) fn work(&mut self, me: usize, at_ms: u64) {
        let member = &mut self.members[me];
        let Some(desk) = &mut member.desk else { return };
        let mut sent = Vec::new();
        match desk.next_work() {
            Some(Work::Learn(upto)) => {
                while let Some(mut more) = desk.learn(me, &member.log, upto, at_ms) {
                    sent.append(&mut more);
                }
            }
            Some(Work::Synced(back)) => sent = desk.synced(back, at_ms),
            // That was of an earlier desk.
            None => {}
        }
        self.show(sent);
    }

    fn show(&mut self, sent: Vec<Sent>) {
        self.out.extend(sent.into_iter().map(Effect::Sent));
    }

    fn hang_up(&mut self, connection: u64) {
        self.out.push(Effect::Sent(Sent { connection, zxid: 0, bytes: None }));
    }
}
