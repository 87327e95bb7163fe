//! Any interleaving of claims, lost answers, dropped futures and operators.

use super::super::*;
use super::DIR;
use super::model::{Client, Fate, LOST, Server, child_of};
use proptest::prelude::*;

const ACTORS: usize = 4;

#[derive(Clone, Debug)]
enum Op {
    /// One step of asking, or of leaving once that has begun.
    Step(usize, Fate),
    /// From now on this actor leaves; once it has, it begins anew under another id.
    Leave(usize),
    /// The last watch that was set fires, if its node is gone.
    Wake(usize),
    /// A hint that the own node is gone, be it true or not.
    Doubt(usize),
    /// An operator deletes the actor's nodes.
    Rob(usize),
    /// The servers delete a lock's node that nobody is in.
    Reap,
    /// From now on this actor makes a reader of the writer that it is, if it holds the lock.
    Downgrade(usize),
}

struct Actor {
    client: Client,
    life: u128,
    leaving: bool,
    downgrading: bool,
    /// Its place was taken away, so that it may believe for a while in what is no more.
    robbed: bool,
    held: Option<Token>,
    /// The node ahead, as it was told when it last was told to wait.
    watched: Option<String>,
}

impl Actor {
    fn new(life: u128, mode: Mode) -> Self {
        let client = Client::with_mode(life, mode, ForeignPolicy::Refuse);
        let (leaving, downgrading, robbed) = (false, false, false);
        Actor { client, life, leaving, downgrading, robbed, held: None, watched: None }
    }

    /// Whether it holds the lock alone, by what is there on the server.
    fn is_alone(&self, server: &Server) -> bool {
        let is_reader = |node: &String| node.contains("__READ__");
        self.held.is_some() && !self.client.nodes(server).iter().any(is_reader)
    }
}

struct World {
    server: Server,
    actors: Vec<Actor>,
    /// How each actor asks, in each of its lives.
    modes: [Mode; ACTORS],
    lives: u128,
    /// The largest token granted, and the largest granted to one alone.
    last_token: Option<Token>,
    last_alone: Option<Token>,
}

impl World {
    fn new(modes: [Mode; ACTORS]) -> Self {
        let actors = (1..).zip(modes).map(|(life, mode)| Actor::new(life, mode)).collect();
        let (server, lives) = (Server::empty(), ACTORS as u128);
        World { server, actors, modes, lives, last_token: None, last_alone: None }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Step(who, fate) => self.step(*who, fate.clone()),
            Op::Leave(who) => {
                let actor = &mut self.actors[*who];
                (actor.leaving, actor.held, actor.downgrading) = (true, None, false);
            }
            Op::Wake(who) => self.wake(*who),
            Op::Doubt(who) => self.actors[*who].client.seat.own_doubtful(),
            Op::Rob(who) => {
                let actor = &mut self.actors[*who];
                for child in actor.client.nodes(&self.server) {
                    (actor.robbed, actor.held, actor.downgrading) = (true, None, false);
                    self.server.delete(&child);
                }
            }
            Op::Reap => self.server.reap(),
            Op::Downgrade(who) => {
                let actor = &mut self.actors[*who];
                actor.downgrading |= actor.held.is_some() && self.modes[*who] == Mode::Write;
            }
        }
        self.check();
    }

    fn wake(&mut self, who: usize) {
        let actor = &mut self.actors[who];
        let gone = |child: &mut String| !self.server.children.contains_key(child);
        if let Some(child) = actor.watched.take_if(gone) {
            // Half of them know whether their own was there, too.
            let own_there = who.is_multiple_of(2) && !actor.client.nodes(&self.server).is_empty();
            actor.client.seat.deleted(&format!("{DIR}/{child}"), own_there);
        }
    }

    fn step(&mut self, who: usize, fate: Fate) {
        let actor = &mut self.actors[who];
        if actor.leaving {
            match actor.client.seat.next_leaving() {
                Some(step) => {
                    if let Some(left) = actor.client.perform(&mut self.server, step, fate) {
                        assert!(left.is_ok(), "{left:?}");
                    }
                }
                None => {
                    assert!(actor.client.nodes(&self.server).is_empty(), "a ghost stays");
                    self.reborn(who);
                }
            }
            return;
        }
        if actor.downgrading && !actor.robbed {
            match actor.client.seat.next_downgrade() {
                Ok(Some(step)) => {
                    if let Some(done) = actor.client.perform(&mut self.server, step, fate) {
                        assert!(done.is_ok(), "{done:?}");
                    }
                }
                Ok(None) => {
                    assert!(!actor.is_alone(&self.server));
                    actor.downgrading = false;
                }
                Err(error) => panic!("it holds the lock: {error:?}"),
            }
            return;
        }
        let spot = match actor.client.seat.next() {
            Next::Done(spot) => Some(spot),
            Next::Do(step) => {
                let ahead = match &step {
                    Step::Watch { ahead, .. } => Some(child_of(ahead).to_owned()),
                    _ => None,
                };
                // It begins again, so nothing it will be told is out of date.
                actor.robbed &= !matches!(step, Step::Enter(_));
                let done = actor.client.perform(&mut self.server, step, fate);
                let spot = done.and_then(Result::unwrap);
                if ahead.is_some() && matches!(spot, Some(Spot::Behind(_))) {
                    actor.watched = ahead;
                }
                spot
            }
        };
        match spot {
            Some(Spot::Held(token)) => {
                actor.watched = None;
                if actor.held.is_none() && !actor.robbed {
                    // Those who hold it together may learn of it in any order.
                    let alone = self.modes[who] != Mode::Shared;
                    let before = if alone { self.last_token } else { self.last_alone };
                    assert!(Some(token) > before, "tokens rise");
                    actor.held = Some(token);
                    self.last_token = self.last_token.max(Some(token));
                    if alone {
                        self.last_alone = Some(token);
                    }
                }
                assert!(actor.robbed || actor.held == Some(token), "a token is for life");
            }
            Some(Spot::Gone(_)) => {
                assert!(actor.robbed, "nobody took its place away: {:?}", actor.client.steps);
                actor.leaving = true;
            }
            Some(Spot::Behind(_)) => {
                assert!(actor.held.is_none(), "a life goes one way");
            }
            None => {}
        }
    }

    fn reborn(&mut self, who: usize) {
        self.lives += 1;
        self.actors[who] = Actor::new(self.lives, self.modes[who]);
    }

    fn check(&self) {
        let holders: Vec<u128> = self
            .actors
            .iter()
            .filter(|actor| actor.held.is_some())
            .map(|actor| actor.life)
            .collect();
        let alone = self.actors.iter().filter(|actor| actor.is_alone(&self.server)).count();
        assert!(alone == 0 || holders.len() == 1, "{holders:?} hold at the same time");
        let known = |child: &String| {
            self.actors.iter().any(|actor| child.starts_with(&actor.client.seat.mark))
        };
        assert!(self.server.children.keys().all(known), "a node of a departed claim remains");
    }

    /// With no more trouble, everybody in line is served in turn, and nothing remains.
    fn come_to_rest(&mut self) {
        while self.actors.iter().any(|actor| !actor.leaving) {
            let left = (0..ACTORS).filter(|who| self.settle(*who)).count();
            if left > 0 {
                // That may be what others waited for who were looked at before.
                continue;
            }
            let holder = self.actors.iter_mut().find(|actor| actor.held.is_some());
            let Some(holder) = holder else { panic!("nobody is first in {:?}", self.server) };
            (holder.leaving, holder.held, holder.downgrading) = (true, None, false);
        }
        for who in 0..ACTORS {
            self.settle(who);
        }
        assert!(self.server.children.is_empty(), "{:?}", self.server);
    }

    /// Lets one actor do all that it can; tells whether it left the line, or was found to be out of it.
    fn settle(&mut self, who: usize) -> bool {
        self.wake(who);
        let was_leaving = self.actors[who].leaving;
        // More than enough to come to the same answer twice.
        for _ in 0..16 {
            if !self.actors[who].leaving {
                self.step(who, Fate::Answered);
                self.check();
            }
        }
        let actor = &mut self.actors[who];
        let had_any = !actor.client.nodes(&self.server).is_empty();
        if actor.leaving {
            actor.client.leave(&mut self.server);
        }
        actor.leaving && (had_any || !was_leaving)
    }
}

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Answered),
        1 => Just(Fate::Applied(LOST)),
        1 => Just(Fate::Unseen(LOST)),
        1 => Just(Fate::AppliedAndDropped),
        1 => Just(Fate::Dropped),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    let who = || 0..ACTORS;
    prop_oneof![
        30 => (who(), any_fate()).prop_map(|(who, fate)| Op::Step(who, fate)),
        4 => who().prop_map(Op::Leave),
        6 => who().prop_map(Op::Wake),
        1 => who().prop_map(Op::Doubt),
        1 => who().prop_map(Op::Rob),
        1 => Just(Op::Reap),
        3 => who().prop_map(Op::Downgrade),
    ]
}

fn run(modes: [Mode; ACTORS], ops: &[Op]) {
    let mut world = World::new(modes);
    for op in ops {
        world.run(op);
    }
    world.come_to_rest();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_history_lets_two_in_or_leaves_anything_behind(
        ops in prop::collection::vec(any_op(), 0..200),
    ) {
        run([Mode::Exclusive; ACTORS], &ops);
    }

    #[test]
    fn no_history_lets_anybody_in_beside_a_writer(
        ops in prop::collection::vec(any_op(), 0..200),
        writers in prop::array::uniform4(any::<bool>()),
    ) {
        run(writers.map(|writer| if writer { Mode::Write } else { Mode::Shared }), &ops);
    }
}
