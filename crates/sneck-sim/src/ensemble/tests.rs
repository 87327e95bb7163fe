//! What clients of an ensemble can rely on, and what they cannot, with nobody but the ensemble.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use sneck_server::simulation::Shape;
use sneck_wire::jute::Reader;
use sneck_wire::{
    Acl, ConnectReply, ConnectRequest, CreateMode, NewNode, Request, Secret, decode_reply_header,
    encode_frame, encode_request,
};

use super::{Effect, Ensemble, Role, Turn};
use crate::plan::Plan;

/// An ensemble of three with a tick of 500 ms, given up after two, and its time.
struct Stage<'a> {
    ensemble: Ensemble<'a>,
    queue: BTreeMap<(u64, u64), Turn>,
    number: u64,
    now_ms: u64,
    /// What each connection was told; nothing more comes after the end of it.
    told: BTreeMap<u64, Vec<Option<BytesMut>>>,
}

fn plan() -> Plan {
    let mut plan = Plan::of_seed(Plan::ENSEMBLES_FROM);
    (plan.tick_ms, plan.session_ms, plan.sync_ms) = (500, 2_000, (1, 1));
    plan.faults = Vec::new();
    let servers = plan.servers.as_mut().expect("a seed of an ensemble");
    (servers.members, servers.sync_limit) = (3, 2);
    (servers.link_ms, servers.lag_ms, servers.elect_ms) = ((1, 1), (0, 0), (10, 20));
    plan
}

impl<'a> Stage<'a> {
    fn new(plan: &'a Plan) -> Self {
        let ms = Duration::from_millis;
        let shape = Shape {
            tick: ms(500),
            session_timeouts: (ms(1_000), ms(10_000)),
            reap_every: ms(60_000),
        };
        let ensemble = Ensemble::of(plan, shape).expect("a plan with servers");
        let (queue, told) = (BTreeMap::new(), BTreeMap::new());
        let mut stage = Stage { ensemble, queue, number: 0, now_ms: 0, told };
        stage.pass(1_000);
        stage
    }

    fn settle(&mut self) {
        for effect in self.ensemble.take_effects() {
            match effect {
                Effect::Will(at_ms, turn) => {
                    self.number += 1;
                    self.queue.insert((at_ms, self.number), turn);
                }
                Effect::Sent(sent) => {
                    let bytes = sent.bytes.map(|bytes| BytesMut::from(&bytes[..]));
                    self.told.entry(sent.connection).or_default().push(bytes);
                }
                _ => {}
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.settle();
        let until_ms = self.now_ms + ms;
        while let Some(first) = self.queue.first_entry().filter(|one| one.key().0 <= until_ms) {
            let ((at_ms, number), turn) = first.remove_entry();
            if let Some(until_ms) = self.ensemble.stopped_until(&turn, at_ms) {
                self.queue.insert((until_ms, number), turn);
                continue;
            }
            self.now_ms = at_ms;
            self.ensemble.happen(turn, at_ms);
            self.settle();
        }
        self.now_ms = until_ms;
    }

    fn leader(&self) -> usize {
        self.ensemble.leader().expect("somebody leads")
    }

    /// Somebody who does not lead.
    fn follower(&self) -> usize {
        (self.leader() + 1) % 3
    }

    fn say(&mut self, member: usize, connection: u64, bytes: &[u8]) {
        self.ensemble.received(member, connection, bytes, self.now_ms);
        self.settle();
    }

    /// Greets, with a session or without; what has come of it after a while.
    fn greet(
        &mut self,
        member: usize,
        connection: u64,
        (session_id, password): (i64, Secret),
        last_zxid_seen: i64,
    ) -> Option<ConnectReply> {
        self.ensemble.opened(member, connection, self.now_ms);
        let request = ConnectRequest {
            protocol: 0,
            last_zxid_seen,
            timeout_ms: 2_000,
            session_id,
            password,
            read_only: Some(false),
        };
        let mut bytes = BytesMut::new();
        encode_frame(&mut bytes, |out| request.encode(out));
        self.say(member, connection, &bytes);
        self.pass(50);
        let reply = self.told.remove(&connection)?.into_iter().next()??;
        ConnectReply::decode(&mut Reader::new(&reply[4..])).ok()
    }

    fn open(&mut self, member: usize, connection: u64) -> (i64, Secret) {
        let reply = self.greet(member, connection, (0, Secret::default()), 0);
        let reply = reply.expect("a session is opened");
        (reply.session_id, reply.password)
    }

    /// The zxid and the error code of the answer that comes within some time.
    fn ask(
        &mut self,
        member: usize,
        connection: u64,
        request: &Request,
        ms: u64,
    ) -> Option<(i64, bool)> {
        let mut bytes = BytesMut::new();
        encode_request(&mut bytes, 7, request);
        self.say(member, connection, &bytes);
        self.pass(ms);
        let mut frame = self.told.remove(&connection)?.into_iter().next()??;
        frame.advance(4);
        let (header, _) = decode_reply_header(&frame).ok()?;
        Some((header.zxid, header.error.is_ok()))
    }

    fn is_hung_up(&self, connection: u64) -> bool {
        self.told.get(&connection).is_some_and(|told| told.iter().any(Option::is_none))
    }

    fn cut_off(&mut self, member: usize, ms: u64) {
        let now_ms = self.now_ms;
        self.ensemble.cut_off(member, (true, true), (now_ms, now_ms + ms));
    }
}

fn create(path: &str) -> Request {
    let (path, mode) = (path.to_owned(), CreateMode::Persistent);
    Request::Create(NewNode { path, data: None, acl: Acl::open(), mode })
}

fn exists(path: &str) -> Request {
    Request::Exists { path: path.to_owned(), watch: false }
}

fn sync() -> Request {
    Request::Sync { path: "/".to_owned() }
}

#[test]
fn what_is_written_on_one_member_is_there_on_the_others_under_one_number() {
    let plan = plan();
    let mut stage = Stage::new(&plan);
    let (leader, follower) = (stage.leader(), stage.follower());
    stage.open(follower, 1);
    let (made, well) = stage.ask(follower, 1, &create("/a"), 50).expect("an answer");
    assert!(well && made >> 32 == 1, "{made:#x}");
    stage.open(leader, 2);
    let (seen, well) = stage.ask(leader, 2, &exists("/a"), 0).expect("an answer");
    assert!(well && seen > made);
    // What fails has a number, too.
    let (again, well) = stage.ask(follower, 1, &create("/a"), 50).expect("an answer");
    assert!(!well && again == seen + 1);
}

#[test]
fn a_member_that_is_cut_off_answers_pings_until_it_has_noticed_and_never_a_write() {
    let plan = plan();
    let mut stage = Stage::new(&plan);
    let follower = stage.follower();
    stage.open(follower, 1);
    stage.cut_off(follower, 60_000);
    stage.pass(500);
    assert!(stage.ask(follower, 1, &Request::Ping, 0).is_some());
    assert!(stage.ask(follower, 1, &create("/a"), 300).is_none());
    stage.pass(1_500);
    assert!(stage.is_hung_up(1));
}

#[test]
fn a_leader_that_is_cut_off_answers_looks_and_sync_while_another_decides_elsewhere() {
    let plan = plan();
    let mut stage = Stage::new(&plan);
    let (old, follower) = (stage.leader(), stage.follower());
    stage.open(old, 1);
    stage.cut_off(old, 60_000);
    assert!(stage.ask(old, 1, &sync(), 100).is_some());
    assert!(stage.ask(old, 1, &create("/lost"), 100).is_none());
    stage.pass(2_500);
    assert!(stage.is_hung_up(1));
    assert_ne!(stage.leader(), old);
    stage.open(follower, 2);
    let (made, well) = stage.ask(follower, 2, &create("/a"), 50).expect("an answer");
    assert!(well && made >> 32 == 2, "{made:#x}");
    let (_, is_there) = stage.ask(follower, 2, &exists("/lost"), 0).expect("an answer");
    assert!(!is_there, "what no majority has written down is gone");
}

#[test]
fn a_session_outlives_its_leader_and_whoever_has_seen_more_is_not_let_in() {
    let plan = plan();
    let mut stage = Stage::new(&plan);
    let (leader, follower) = (stage.leader(), stage.follower());
    let session = stage.open(leader, 1);
    let (made, _) = stage.ask(leader, 1, &create("/a"), 50).expect("an answer");
    let now_ms = stage.now_ms;
    stage.ensemble.kill(leader, 0, now_ms);
    stage.pass(500);
    assert_ne!(stage.leader(), leader);
    let resumed = stage.greet(follower, 2, session.clone(), made).expect("an answer");
    assert_eq!(resumed.session_id, session.0);
    assert!(stage.ask(follower, 2, &exists("/a"), 0).is_some_and(|(_, is_there)| is_there));
    assert!(stage.greet(follower, 3, session, made + (1 << 40)).is_none());
    assert!(stage.ensemble.complaints.is_empty());
}

#[test]
fn what_comes_late_by_a_member_that_the_session_has_left_is_refused() {
    let plan = plan();
    let mut stage = Stage::new(&plan);
    let (leader, follower) = (stage.leader(), stage.follower());
    let session = stage.open(follower, 1);
    let resumed = stage.greet(leader, 2, session.clone(), 0).expect("an answer");
    assert_eq!(resumed.session_id, session.0);
    let (_, well) = stage.ask(follower, 1, &create("/late"), 50).expect("an answer");
    assert!(!well);
    assert!(stage.ask(leader, 2, &exists("/late"), 0).is_some_and(|(_, is_there)| !is_there));
}

#[test]
fn sessions_end_by_the_leader_and_pings_on_a_follower_keep_them() {
    let plan = plan();
    let mut stage = Stage::new(&plan);
    let follower = stage.follower();
    let kept = stage.open(follower, 1);
    let left = stage.open(follower, 2);
    for _ in 0..10 {
        stage.pass(500);
        assert!(stage.ask(follower, 1, &Request::Ping, 0).is_some());
    }
    assert!(!stage.is_hung_up(1) && stage.is_hung_up(2));
    stage.told.clear();
    assert_eq!(stage.greet(follower, 3, kept.clone(), 0).expect("an answer").session_id, kept.0);
    assert!(stage.greet(follower, 4, left, 0).expect("an answer").is_expired());
}

/// It has heard of its followers just before it was stopped, as it seems to it, and of their farewell just after.
#[test]
fn nobody_goes_back_to_a_leader_that_was_stopped_while_another_decided() {
    let plan = plan();
    let mut stage = Stage::new(&plan);
    let (old, follower) = (stage.leader(), stage.follower());
    let other = (follower + 1) % 3;
    stage.open(follower, 1);
    stage.open(other, 2);
    stage.cut_off(old, 3_000);
    assert!(stage.ask(follower, 1, &create("/late"), 0).is_none());
    assert!(stage.ask(other, 2, &create("/late"), 500).is_none());
    stage.ensemble.stop(old, stage.now_ms + 4_000);
    stage.pass(2_000);
    let new = stage.leader();
    assert_ne!(new, old);
    stage.open(new, 3);
    assert!(stage.ask(new, 3, &create("/a"), 50).is_some_and(|(_, well)| well));
    let now_ms = stage.now_ms;
    stage.ensemble.kill(new, 0, now_ms);
    stage.pass(3_000);
    assert_eq!(stage.ensemble.complaints, Vec::<String>::new());
    let next = stage.leader();
    stage.open(next, 4);
    let (seen, is_there) = stage.ask(next, 4, &exists("/a"), 0).expect("an answer");
    assert!(is_there && seen >> 32 == 3, "{seen:#x}");
}

#[test]
fn without_a_majority_nobody_is_served() {
    let plan = plan();
    let mut stage = Stage::new(&plan);
    let leader = stage.leader();
    stage.open(leader, 1);
    for member in (0..3).filter(|member| *member != leader) {
        stage.ensemble.kill(member, 1_000, stage.now_ms);
    }
    stage.pass(2_500);
    assert!(stage.is_hung_up(1));
    assert!(matches!(stage.ensemble.members[leader].role, Role::Looking));
    stage.ensemble.start((leader + 1) % 3, stage.now_ms);
    stage.pass(500);
    stage.open(stage.leader(), 2);
}
