//! What a leader does: decides, counts who has written it down, and says what is committed.

use std::rc::Rc;

use sneck_server::simulation::{Answer, Decided, Leader};
use sneck_wire::ErrorCode;

use super::member::{Entry, Member, Return, Role, Work};
use super::reign::{Follower, Reign};
use super::{Effect, Ensemble, Word, has};

impl Ensemble<'_> {
    fn reign(&mut self, leader: usize) -> Option<(&mut Reign, &[Rc<Entry>])> {
        let Member { role: Role::Leading(reign), log, .. } = &mut self.members[leader] else {
            return None;
        };
        Some((&mut **reign, &log[..]))
    }

    /// Something has come to a leader, from a follower or from its own clients.
    pub(super) fn leader_hears(
        &mut self,
        me: usize,
        from: usize,
        term: u64,
        word: Word,
        at_ms: u64,
    ) {
        match word {
            Word::Follow => self.begin_to_follow(me, from, term, at_ms),
            Word::Ask { back, session, asked } => {
                let Some((reign, _)) = self.reign(me) else { return };
                let is_owner = session.is_none_or(|session| reign.is_owner(session, from));
                let Some(decider) = reign.decider.as_mut() else { return };
                let decided = match session {
                    Some(session) if is_owner => Some(decider.decide(session, asked, at_ms)),
                    Some(_) => Some(decider.refuse(asked, ErrorCode::SESSION_MOVED, at_ms)),
                    None => decider.open(asked, at_ms),
                };
                let Some((decided, answer)) = decided else { return };
                if let Some(session) = answer.opened() {
                    reign.owners.insert(session, from);
                }
                self.propose(me, decided, Some((back, answer)), at_ms);
            }
            Word::Resume { back, session } => {
                let Some((reign, _)) = self.reign(me) else { return };
                let decider = reign.decider.as_mut();
                let is_valid = decider.is_some_and(|decider| decider.touch(session, at_ms));
                if is_valid {
                    reign.owners.insert(session, from);
                }
                self.tell(me, from, Word::Resumed { back, is_valid }, at_ms);
            }
            Word::Sync { back } => self.sync(me, from, back, at_ms),
            Word::Ack { upto, has_history } => {
                let Some((reign, _)) = self.reign(me) else { return };
                if let Some(follower) = reign.followers.get_mut(&from) {
                    follower.acked = follower.acked.max(upto);
                    follower.has_history |= has_history;
                }
                self.count(me, at_ms);
            }
            Word::Alive(sessions) => {
                let Some((reign, _)) = self.reign(me) else { return };
                let Some(decider) = reign.decider.as_mut() else { return };
                for session in sessions {
                    decider.touch(session, at_ms);
                }
            }
            Word::Bye => {
                let Some((reign, _)) = self.reign(me) else { return };
                reign.followers.remove(&from);
            }
            _ => {}
        }
    }

    fn begin_to_follow(&mut self, me: usize, from: usize, term: u64, at_ms: u64) {
        let Some((reign, log)) = self.reign(me) else { return };
        let (epoch, log) = (reign.epoch, log.to_vec());
        let (acked, has_history, serves) = (0, false, false);
        let follower = Follower { term, heard_ms: at_ms, acked, has_history, serves };
        reign.followers.insert(from, follower);
        self.send(me, from, term, Word::History { log, epoch }, at_ms);
    }

    /// Tells a follower something, or the leader itself.
    fn tell(&mut self, me: usize, to: usize, word: Word, at_ms: u64) {
        if me == to {
            return self.follower_hears(me, word, at_ms);
        }
        let term = self.reign(me).and_then(|(reign, _)| Some(reign.followers.get(&to)?.term));
        if let Some(term) = term {
            self.send(me, to, term, word, at_ms);
        }
    }

    fn followers(&mut self, me: usize) -> Vec<usize> {
        self.reign(me).map_or_else(Vec::new, |(reign, _)| reign.followers.keys().copied().collect())
    }

    /// Has everybody write down what was decided.
    pub(super) fn propose(
        &mut self,
        me: usize,
        decided: Decided,
        asker: Option<(Return, Answer)>,
        at_ms: u64,
    ) {
        let entry = Rc::new(Entry { decided, asker });
        self.members[me].log.push(Rc::clone(&entry));
        self.write(me, at_ms);
        for follower in self.followers(me) {
            self.tell(me, follower, Word::Propose(Rc::clone(&entry)), at_ms);
        }
    }

    /// A follower wants all that is committed by now. Nobody else is asked whether there is more.
    fn sync(&mut self, me: usize, from: usize, back: Return, at_ms: u64) {
        let Some((reign, log)) = self.reign(me) else { return };
        let is_open = reign.committed < log.len();
        if let Some(last) = log.last().filter(|_| is_open) {
            let last = last.decided.zxid();
            return reign.syncs.push((last, back));
        }
        self.tell(me, from, Word::Synced { back }, at_ms);
    }

    /// Looks what a majority has by now.
    pub(super) fn count(&mut self, me: usize, at_ms: u64) {
        let majority = self.members.len() / 2 + 1;
        let durable = self.members[me].durable;
        let Some((reign, log)) = self.reign(me) else { return };
        if reign.decider.is_none() {
            // Those who have acknowledged the history have all of it: nothing was added since.
            let last = log.last().map_or(0, |entry| entry.decided.zxid());
            if durable == log.len() && 1 + reign.acks(last) >= majority {
                self.begin_to_lead(me, at_ms);
            }
            return;
        }
        let before = reign.committed;
        while let Some(entry) = log.get(reign.committed)
            && reign.acks(entry.decided.zxid()) + usize::from(durable > reign.committed) >= majority
        {
            reign.committed += 1;
        }
        let committed: Vec<_> = log[before..reign.committed].to_vec();
        for entry in committed {
            let zxid = entry.decided.zxid();
            self.is_committed(&entry);
            self.will_work(me, Work::Learn(zxid), at_ms);
            for follower in self.serving(me) {
                self.tell(me, follower, Word::Commit(zxid), at_ms);
            }
            let Some((reign, _)) = self.reign(me) else { return };
            let synced: Vec<_> = reign.syncs.extract_if(.., |(of, _)| *of <= zxid).collect();
            for (_, back) in synced {
                self.tell(me, back.member, Word::Synced { back }, at_ms);
            }
        }
        self.let_serve(me, at_ms);
    }

    fn serving(&mut self, me: usize) -> Vec<usize> {
        let Some((reign, _)) = self.reign(me) else { return Vec::new() };
        let serving = reign.followers.iter().filter(|(_, follower)| follower.serves);
        serving.map(|(at, _)| *at).collect()
    }

    /// A majority has the leader's history, which is committed by that.
    fn begin_to_lead(&mut self, me: usize, at_ms: u64) {
        let log = self.members[me].log.clone();
        // Acknowledgements may come late, when there is another leader.
        let epoch = self.reign(me).map_or(0, |(reign, _)| i64::from(reign.epoch));
        if self.committed > 0 && self.committed >> 32 < epoch && !has(&log, self.committed) {
            let text = format!("the leader, member {}, lacks what was committed", me + 1);
            self.complaints.push(text);
        }
        let shape = self.shape;
        if let Some((reign, _)) = self.reign(me) {
            let decided = log.iter().map(|entry| &entry.decided);
            reign.decider = Some(Leader::new(&shape, decided, reign.epoch, at_ms));
            reign.committed = log.len();
        }
        for entry in &log {
            self.is_committed(entry);
        }
        self.note(|| format!("member {} decides", me + 1));
        self.serve(me, self.members[me].last(), at_ms);
        self.let_serve(me, at_ms);
    }

    /// Followers that have caught up may serve clients.
    fn let_serve(&mut self, me: usize, at_ms: u64) {
        let Some((reign, log)) = self.reign(me) else { return };
        let last = reign.committed.checked_sub(1).and_then(|at| log.get(at));
        let committed = last.map_or(0, |entry| entry.decided.zxid());
        let ready = reign.followers.iter_mut().filter(|(_, one)| one.has_history && !one.serves);
        let ready: Vec<_> = ready
            .map(|(at, follower)| {
                follower.serves = true;
                *at
            })
            .collect();
        for follower in ready {
            self.tell(me, follower, Word::Serve { committed }, at_ms);
        }
    }

    fn is_committed(&mut self, entry: &Rc<Entry>) {
        if entry.decided.zxid() > self.committed {
            self.committed = entry.decided.zxid();
            self.out.push(Effect::Committed(Rc::clone(entry)));
        }
    }

    pub(super) fn tick_of_leader(&mut self, me: usize, at_ms: u64) {
        let (silence_ms, majority) = (self.silence_ms, self.members.len() / 2 + 1);
        let Some((reign, _)) = self.reign(me) else { return };
        reign.ticks += 1;
        let decider = reign.decider.as_mut();
        let decided = decider.map(|decider| decider.tick(at_ms)).unwrap_or_default();
        let is_silent = |one: &Follower| at_ms > one.heard_ms + silence_ms;
        let silent = reign.followers.iter().filter(|(_, one)| is_silent(one));
        let silent: Vec<_> = silent.map(|(at, one)| (*at, one.term)).collect();
        let asks = reign.ticks % 2 == 0;
        for decided in decided {
            self.propose(me, decided, None, at_ms);
        }
        for (follower, term) in silent {
            self.send(me, follower, term, Word::Bye, at_ms);
            if let Some((reign, _)) = self.reign(me) {
                reign.followers.remove(&follower);
            }
        }
        let Some((reign, _)) = self.reign(me) else { return };
        let is_late = at_ms > reign.since_ms + silence_ms;
        let is_left = 1 + reign.followers.len() < majority;
        if is_late && (is_left || reign.decider.is_none()) {
            return self.look_for_leader(me, at_ms);
        }
        if asks {
            for follower in self.followers(me) {
                self.tell(me, follower, Word::AreYouAlive, at_ms);
            }
        }
    }
}
