//! An ensemble: several servers of which one decides, over the core that is shipped.
//!
//! ```text
//!  client --> member --ask--> leader: decides --propose--> every member: writes it down
//!                ^                                             | ack
//!                |                                             v
//!                +--answer-- member: makes it, later <--commit-- leader: a majority has it
//! ```
//!
//! The protocol is that of Apache ZooKeeper, Zab, as its documents and its source have it (Junqueira, Reed,
//! Serafini: "Zab: High-performance broadcast for primary-backup systems", DSN 2011). Members answer
//! reads, pings and watches by themselves, from what they have made so far. Who wins an election
//! is settled by an oracle, after a time that is drawn: of those who can reach each other, whose log ends last.
//! The rest goes by messages, which are late, held back where a member is cut off, and in order.

mod clients;
mod leading;
mod member;
mod reign;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use fastrand::Rng;
use sneck_server::simulation::{Asked, Sent, Shape, View, Written};

use crate::plan::{Plan, Who};
use member::{Desk, Member, Role, Work};
pub(crate) use member::{Entry, Return};
use reign::Reign;

/// Several servers of which one decides.
pub(crate) struct Ensemble<'a> {
    plan: &'a Plan,
    shape: Shape,
    /// How long a message takes from one to another, from and to.
    link_ms: (u64, u64),
    /// How long until a member has made what is committed.
    lag_ms: (u64, u64),
    /// How long until those who look for a leader have found one.
    elect_ms: (u64, u64),
    /// How long a member and its leader may not hear of each other.
    silence_ms: u64,
    rng: Rng,
    members: Vec<Member>,
    /// When the last message from one to the other arrives.
    links: BTreeMap<(usize, usize), u64>,
    cuts: Vec<Cut>,
    lags: Vec<Lag>,
    /// Numbers that are used once: of terms and of what is asked.
    numbers: u64,
    is_electing: bool,
    /// The last transaction that is committed for good.
    committed: i64,
    out: Vec<Effect>,
    /// When the last sync that a fault made slow is done.
    pub(crate) slow_sync_until_ms: u64,
    /// How often somebody has come to lead.
    pub(crate) reigns: u64,
    /// What no ensemble may do.
    pub(crate) complaints: Vec<String>,
}

/// What comes of something that happens to an ensemble.
pub(crate) enum Effect {
    /// Something will happen to it.
    Will(u64, Turn),
    /// There is nobody to connect to.
    Refused(u64),
    Accepted(u64),
    Sent(Sent),
    /// A member's process has ended, and with it these connections.
    Broken(Vec<u64>),
    /// A transaction will not be undone any more.
    Committed(Rc<Entry>),
    /// Something to be read in a trace.
    Note(String),
}

/// Something that happens to an ensemble.
pub(crate) enum Turn {
    /// A message arrives. Under another term than that of its link it comes to nothing.
    Arrives {
        from: usize,
        to: usize,
        term: u64,
        word: Word,
    },
    /// A member's disk is done.
    Synced {
        member: usize,
        life: u32,
        sync: u64,
    },
    /// A member goes on with what it was told to do.
    Works {
        member: usize,
        life: u32,
    },
    Ticks {
        member: usize,
        life: u32,
    },
    /// Those who know no leader agree on one, if they can.
    Elects,
}

/// What members tell each other.
pub(crate) enum Word {
    // To a leader.
    Follow,
    Ask {
        back: Return,
        session: Option<i64>,
        asked: Asked,
    },
    Resume {
        back: Return,
        session: i64,
    },
    Sync {
        back: Return,
    },
    Ack {
        upto: i64,
        has_history: bool,
    },
    Alive(BTreeSet<i64>),

    // To a follower.
    History {
        log: Vec<Rc<Entry>>,
        epoch: u32,
    },
    /// What of the history is committed: clients may come.
    Serve {
        committed: i64,
    },
    Propose(Rc<Entry>),
    Commit(i64),
    AreYouAlive,
    Resumed {
        back: Return,
        is_valid: bool,
    },
    Synced {
        back: Return,
    },

    /// The connection between the two has ended.
    Bye,
}

/// A member that others do not hear of, or that does not hear of others.
struct Cut {
    member: usize,
    inbound: bool,
    outbound: bool,
    from_ms: u64,
    until_ms: u64,
}

/// A member that makes late what was decided.
struct Lag {
    member: usize,
    ms: u64,
    until_ms: u64,
}

impl<'a> Ensemble<'a> {
    /// The ensemble of a plan, if it has one.
    pub(crate) fn of(plan: &'a Plan, shape: Shape) -> Option<Self> {
        let servers = plan.servers?;
        let mut ensemble = Ensemble {
            plan,
            shape,
            link_ms: servers.link_ms,
            lag_ms: servers.lag_ms,
            elect_ms: servers.elect_ms,
            silence_ms: servers.sync_limit * plan.tick_ms,
            rng: Rng::with_seed(plan.seed.rotate_left(32) ^ 0x00e5_e3b1),
            members: (0..servers.members).map(|_| Member::new()).collect(),
            links: BTreeMap::new(),
            cuts: Vec::new(),
            lags: Vec::new(),
            numbers: 0,
            is_electing: false,
            committed: 0,
            out: Vec::new(),
            slow_sync_until_ms: 0,
            reigns: 0,
            complaints: Vec::new(),
        };
        for member in 0..ensemble.members.len() {
            ensemble.will_tick(member, 0);
        }
        ensemble.will_elect(0);
        Some(ensemble)
    }

    /// What has come of all that has happened.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.out)
    }

    /// Until when nothing that happens to a member gets to it, if it is stopped.
    pub(crate) fn stopped_until(&self, turn: &Turn, at_ms: u64) -> Option<u64> {
        let member = match turn {
            Turn::Arrives { to, .. } => *to,
            Turn::Works { member, .. }
            | Turn::Ticks { member, .. }
            | Turn::Synced { member, .. } => *member,
            Turn::Elects => return None,
        };
        self.is_stopped_until(member, at_ms)
    }

    /// The same, of what comes from clients.
    pub(crate) fn is_stopped_until(&self, member: usize, at_ms: u64) -> Option<u64> {
        let member = self.members.get(member)?;
        Some(member.paused_until_ms).filter(|until| member.is_up() && *until > at_ms)
    }

    pub(crate) fn happen(&mut self, turn: Turn, at_ms: u64) {
        match turn {
            Turn::Arrives { from, to, term, word } => self.arrives(from, to, term, word, at_ms),
            Turn::Synced { member, life, sync } if self.members[member].life == life => {
                if self.members[member].synced(sync) {
                    self.logged(member, at_ms);
                }
            }
            Turn::Works { member, life } if self.members[member].life == life => {
                self.work(member, at_ms);
            }
            Turn::Ticks { member, life } if self.members[member].life == life => {
                self.tick(member, at_ms);
                self.will_tick(member, at_ms);
            }
            Turn::Elects => self.elect(at_ms),
            Turn::Synced { .. } | Turn::Works { .. } | Turn::Ticks { .. } => {}
        }
    }

    // ----- what goes wrong -----

    /// Who is meant just now.
    pub(crate) fn who(&self, who: Who) -> Option<usize> {
        match who {
            Who::Member(member) => Some(usize::from(member) % self.members.len()),
            Who::Leader => self.leader(),
        }
    }

    /// The member whose word counts: of several who believe that they lead, the last.
    fn leader(&self) -> Option<usize> {
        let reigns =
            self.members.iter().enumerate().filter_map(|(at, member)| match &member.role {
                Role::Leading(reign) => Some((reign.epoch, at)),
                _ => None,
            });
        reigns.max().map(|(_, at)| at)
    }

    pub(crate) fn all(&self) -> Vec<usize> {
        (0..self.members.len()).collect()
    }

    pub(crate) fn is_up(&self, member: usize) -> bool {
        self.members[member].is_up()
    }

    /// The process of a member ends.
    pub(crate) fn kill(&mut self, member: usize, kept_thousandths: u64, at_ms: u64) {
        if !self.members[member].is_up() {
            return;
        }
        self.note(|| format!("member {} is killed", member + 1));
        self.say_bye(member, at_ms);
        let desk = self.members[member].desk.take();
        let connections = desk.iter().flat_map(Desk::connections).collect();
        self.out.push(Effect::Broken(connections));
        self.members[member].die(kept_thousandths);
        self.members[member].paused_until_ms = 0;
    }

    /// The process of a member begins again, with what its disk has.
    pub(crate) fn start(&mut self, member: usize, at_ms: u64) {
        if !self.members[member].is_up() {
            self.members[member].role = Role::Looking;
            self.will_tick(member, at_ms);
            self.will_elect(at_ms);
        }
    }

    pub(crate) fn stop(&mut self, member: usize, until_ms: u64) {
        let until = &mut self.members[member].paused_until_ms;
        *until = until_ms.max(*until);
    }

    /// No member hears of this one, or it of them, from now until then. What is sent arrives when it is over.
    pub(crate) fn cut_off(
        &mut self,
        member: usize,
        (inbound, outbound): (bool, bool),
        (from_ms, until_ms): (u64, u64),
    ) {
        self.cuts.push(Cut { member, inbound, outbound, from_ms, until_ms });
    }

    pub(crate) fn lag(&mut self, member: usize, ms: u64, until_ms: u64) {
        self.lags.push(Lag { member, ms, until_ms });
    }

    /// An operator deletes a node, if anybody leads. What that comes to is told, and will happen unless
    /// those who have decided it are gone before others have heard of it.
    pub(crate) fn delete(&mut self, path: &str, at_ms: u64) -> Vec<Written> {
        let Some(leader) = self.leader().filter(|leader| self.can_speak(*leader, at_ms)) else {
            return Vec::new();
        };
        let Role::Leading(reign) = &mut self.members[leader].role else { return Vec::new() };
        let decider = reign.decider.as_mut();
        let decided = decider.map(|decider| decider.delete(path, at_ms)).unwrap_or_default();
        let written = decided.iter().map(|decided| decided.written.clone()).collect();
        for decided in decided {
            self.propose(leader, decided, None, at_ms);
        }
        written
    }

    // ----- messages -----

    fn draw(&mut self, (from, to): (u64, u64)) -> u64 {
        self.rng.u64(from..=to.max(from))
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Until when messages from one to the other are held back, at this time.
    fn held_until(&self, from: usize, to: usize, at_ms: u64) -> u64 {
        let mut until_ms = at_ms;
        while let Some(cut) = self.cuts.iter().find(|cut| {
            (cut.from_ms..cut.until_ms).contains(&until_ms)
                && ((cut.outbound && cut.member == from) || (cut.inbound && cut.member == to))
        }) {
            until_ms = cut.until_ms;
        }
        until_ms
    }

    /// Whether a member runs, and is not cut off.
    fn can_speak(&self, member: usize, at_ms: u64) -> bool {
        let cut = |cut: &Cut| cut.member == member && (cut.from_ms..cut.until_ms).contains(&at_ms);
        let one = &self.members[member];
        one.is_up() && one.paused_until_ms <= at_ms && !self.cuts.iter().any(cut)
    }

    fn send(&mut self, from: usize, to: usize, term: u64, word: Word, at_ms: u64) {
        if from == to {
            return self.arrives(from, to, term, word, at_ms);
        }
        let latency_ms = self.draw(self.link_ms);
        let arrival_ms = self.held_until(from, to, at_ms) + latency_ms;
        let last_ms = self.links.entry((from, to)).or_default();
        *last_ms = arrival_ms.max(*last_ms);
        self.out.push(Effect::Will(*last_ms, Turn::Arrives { from, to, term, word }));
    }

    /// To whoever a member follows; itself, if it leads.
    fn send_to_leader(&mut self, member: usize, word: Word, at_ms: u64) {
        match self.members[member].role {
            Role::Following { leader, term, .. } => self.send(member, leader, term, word, at_ms),
            Role::Leading(_) => self.arrives(member, member, 0, word, at_ms),
            Role::Looking | Role::Down => {}
        }
    }

    fn arrives(&mut self, from: usize, to: usize, term: u64, word: Word, at_ms: u64) {
        match &mut self.members[to].role {
            Role::Leading(reign) => {
                let is_follower = reign.heard(from, term, at_ms).is_some();
                if is_follower || from == to || matches!(word, Word::Follow) {
                    self.leader_hears(to, from, term, word, at_ms);
                }
            }
            Role::Following { leader, term: own, heard_ms } if *leader == from && *own == term => {
                *heard_ms = at_ms;
                self.follower_hears(to, word, at_ms);
            }
            Role::Following { .. } | Role::Looking | Role::Down => {}
        }
    }

    fn follower_hears(&mut self, me: usize, word: Word, at_ms: u64) {
        match word {
            Word::History { log, epoch } => {
                if has(&self.members[me].log, self.committed) && !has(&log, self.committed) {
                    let text = format!("member {} gives up what was committed", me + 1);
                    self.complaints.push(text);
                }
                self.members[me].take_history(log, epoch);
                self.write(me, at_ms);
                // There may be nothing to be written.
                self.logged(me, at_ms);
            }
            Word::Serve { committed } => self.serve(me, committed, at_ms),
            Word::Propose(entry) => {
                self.members[me].log.push(entry);
                self.write(me, at_ms);
            }
            Word::Commit(zxid) => self.will_work(me, Work::Learn(zxid), at_ms),
            Word::AreYouAlive => {
                let touched = match &mut self.members[me].desk {
                    Some(desk) => std::mem::take(&mut desk.touched),
                    None => BTreeSet::new(),
                };
                self.send_to_leader(me, Word::Alive(touched), at_ms);
            }
            Word::Resumed { back, is_valid } => self.resumed(me, back, is_valid, at_ms),
            Word::Synced { back } => self.will_work(me, Work::Synced(back), at_ms),
            Word::Bye => self.look_for_leader(me, at_ms),
            _ => {}
        }
    }

    // ----- disks -----

    /// Lets a member's disk write down what its log has.
    fn write(&mut self, member: usize, at_ms: u64) {
        if let Some(sync) = self.members[member].next_sync() {
            let slowness_ms = self.plan.sync_slowness_ms(at_ms);
            let due_ms = at_ms + self.draw(self.plan.sync_ms) + slowness_ms;
            if slowness_ms > 0 {
                self.slow_sync_until_ms = due_ms.max(self.slow_sync_until_ms);
            }
            let life = self.members[member].life;
            self.out.push(Effect::Will(due_ms, Turn::Synced { member, life, sync }));
        }
    }

    /// A member's disk has got on.
    fn logged(&mut self, me: usize, at_ms: u64) {
        let member = &mut self.members[me];
        let is_history = member.history.is_some_and(|(length, _)| member.durable >= length);
        if let Some((_, epoch)) = member.history.take_if(|_| is_history) {
            member.epoch = epoch;
        }
        let (upto, has_history) = (member.last_durable(), member.history.is_none());
        self.write(me, at_ms);
        match self.members[me].role {
            Role::Leading(_) => self.count(me, at_ms),
            _ => self.send_to_leader(me, Word::Ack { upto, has_history }, at_ms),
        }
    }

    // ----- time -----

    fn will_tick(&mut self, member: usize, at_ms: u64) {
        let life = self.members[member].life;
        let due_ms = at_ms + (self.plan.tick_ms / 4).max(1);
        self.out.push(Effect::Will(due_ms, Turn::Ticks { member, life }));
    }

    fn tick(&mut self, me: usize, at_ms: u64) {
        match self.members[me].role {
            Role::Following { heard_ms, .. } if at_ms > heard_ms + self.silence_ms => {
                self.look_for_leader(me, at_ms);
            }
            Role::Leading(_) => self.tick_of_leader(me, at_ms),
            _ => {}
        }
    }

    // ----- elections -----

    /// A member has lost its leader, or those who follow it. It knows no better than to let its clients go.
    fn look_for_leader(&mut self, me: usize, at_ms: u64) {
        self.note(|| format!("member {} looks for a leader", me + 1));
        self.say_bye(me, at_ms);
        if let Some(desk) = self.members[me].desk.take() {
            for connection in desk.connections() {
                self.out.push(Effect::Sent(Sent { connection, zxid: 0, bytes: None }));
            }
        }
        let is_whole = self.members[me].history.is_none();
        match is_whole {
            true => self.members[me].flush(),
            // Part of a history is none: the epoch stays the old one.
            false => self.members[me].history = None,
        }
        self.members[me].role = Role::Looking;
        self.will_elect(at_ms);
    }

    fn say_bye(&mut self, me: usize, at_ms: u64) {
        match &self.members[me].role {
            Role::Following { leader, term, .. } => {
                let (leader, term) = (*leader, *term);
                self.send(me, leader, term, Word::Bye, at_ms);
            }
            Role::Leading(reign) => {
                let followers: Vec<_> =
                    reign.followers.iter().map(|(at, one)| (*at, one.term)).collect();
                for (follower, term) in followers {
                    self.send(me, follower, term, Word::Bye, at_ms);
                }
            }
            Role::Looking | Role::Down => {}
        }
    }

    fn will_elect(&mut self, at_ms: u64) {
        if !std::mem::replace(&mut self.is_electing, true) {
            let due_ms = at_ms + self.draw(self.elect_ms);
            self.out.push(Effect::Will(due_ms, Turn::Elects));
        }
    }

    /// Those who look for a leader join one whom they can reach, or agree on one of them.
    fn elect(&mut self, at_ms: u64) {
        self.is_electing = false;
        let looks = |member: &Member| matches!(member.role, Role::Looking);
        let mut voters = self.all();
        voters.retain(|at| looks(&self.members[*at]) && self.can_speak(*at, at_ms));
        if let Some(leader) = self.leader().filter(|leader| self.can_speak(*leader, at_ms)) {
            // Whoever has accepted a later epoch does not go back to an earlier one: the leader of that was
            // stopped, does not know yet that it leads no more, and lacks what was committed since.
            let epoch = self.members[leader].epoch;
            let joins = |voter: &mut usize| self.members[*voter].accepted <= epoch;
            let joining: Vec<_> = voters.extract_if(.., joins).collect();
            joining.into_iter().for_each(|voter| self.follow(voter, leader, at_ms));
        }
        if 2 * voters.len() > self.members.len() {
            self.agree(voters, at_ms);
        }
        if self.members.iter().any(looks) {
            self.will_elect(at_ms);
        }
    }

    /// A majority agrees on whoever of it has the longest log.
    fn agree(&mut self, mut voters: Vec<usize>, at_ms: u64) {
        let best = voters.iter().max_by_key(|at| {
            let member = &self.members[**at];
            (member.epoch, member.last(), **at)
        });
        let best = best.copied().unwrap_or_default();
        let epoch = voters.iter().map(|at| self.members[*at].accepted).max().unwrap_or(0) + 1;
        self.note(|| format!("member {} leads in epoch {epoch}", best + 1));
        self.reigns += 1;
        for voter in &voters {
            self.members[*voter].accepted = epoch;
        }
        self.members[best].epoch = epoch;
        self.members[best].role = Role::Leading(Box::new(Reign::new(epoch, at_ms)));
        voters.retain(|voter| *voter != best);
        voters.into_iter().for_each(|voter| self.follow(voter, best, at_ms));
    }

    fn follow(&mut self, me: usize, leader: usize, at_ms: u64) {
        let term = self.number();
        self.members[me].role = Role::Following { leader, term, heard_ms: at_ms };
        self.send(me, leader, term, Word::Follow, at_ms);
    }

    // ----- clients -----

    /// A member begins to serve clients, with what of its log is committed.
    fn serve(&mut self, me: usize, committed: i64, at_ms: u64) {
        let member = &mut self.members[me];
        let upto = member.log.partition_point(|entry| entry.decided.zxid() <= committed);
        let view = View::new(&self.shape, member.transactions().take(upto), at_ms);
        member.desk = Some(Desk::new(view, upto));
    }

    fn note(&mut self, words: impl FnOnce() -> String) {
        self.out.push(Effect::Note(words()));
    }
}

/// Whether a transaction is in a log.
fn has(log: &[Rc<Entry>], zxid: i64) -> bool {
    log.binary_search_by_key(&zxid, |entry| entry.decided.zxid()).is_ok()
}

#[cfg(test)]
mod tests;
