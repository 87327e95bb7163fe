//! Any interleaving of claims on permits, lost answers, dropped futures, operators and new numbers.

use super::super::*;
use super::model::{Client, Fate, LOST, Server};
use proptest::prelude::*;

const ACTORS: usize = 4;
const PERMITS: u32 = 4;

#[derive(Clone, Debug)]
enum Op {
    /// One step of asking, or of leaving once that has begun.
    Step(usize, Fate),
    /// From now on this actor leaves; once it has, it begins anew under another id.
    Leave(usize),
    /// An operator deletes one permit of the actor, or its place.
    Rob(usize),
    /// The servers delete nodes that nobody is in.
    Reap,
    /// Somebody changes the number, but not to less than anybody wants.
    Resize(u32),
}

struct Actor {
    client: Client,
    take: u32,
    leaving: bool,
    robbed: bool,
    held: Option<Token>,
}

struct World {
    server: Server,
    actors: Vec<Actor>,
    lives: u128,
    of: u32,
}

impl World {
    fn new(dialect: Dialect, takes: [u32; ACTORS]) -> Self {
        let mut world =
            World { server: Server::of(dialect), actors: Vec::new(), lives: 0, of: PERMITS };
        world.server.set_number(&PERMITS.to_string());
        for take in takes {
            let actor = world.born(take);
            world.actors.push(actor);
        }
        world
    }

    fn born(&mut self, take: u32) -> Actor {
        self.lives += 1;
        let client = Client::of(self.server.dialect, self.lives, take, self.of);
        Actor { client, take, leaving: false, robbed: false, held: None }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Step(who, fate) => self.step(*who, fate.clone()),
            Op::Leave(who) => {
                let actor = &mut self.actors[*who];
                (actor.leaving, actor.held) = (true, None);
            }
            Op::Rob(who) => self.rob(*who),
            Op::Reap => self.server.reap(),
            Op::Resize(of) => {
                self.of = *of;
                self.server.set_number(&of.to_string());
            }
        }
        self.check();
    }

    fn rob(&mut self, who: usize) {
        let actor = &mut self.actors[who];
        let mark = actor.client.seat.mark.clone();
        let places = self.server.locks.len();
        self.server.locks.retain(|place, _| !place.starts_with(&mark));
        if let Some(lease) = actor.client.leases(&self.server).first() {
            self.server.leases.remove(lease);
            (actor.robbed, actor.held) = (true, None);
        }
        actor.robbed |= self.server.locks.len() < places;
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
                    let take = actor.take;
                    assert!(actor.client.leases(&self.server).is_empty(), "permits leak");
                    self.actors[who] = self.born(take);
                }
            }
            return;
        }
        let told = match actor.client.seat.next() {
            Next::Done(spot) => Ok(Some(spot)),
            Next::Do(step) => {
                // It begins again, so nothing it will be told is out of date.
                actor.robbed &= !matches!(step, Step::Enter(_));
                let (held, of) = (self.server.leases.len(), self.of as usize);
                let told = actor.client.perform(&mut self.server, step, fate);
                let now = self.server.leases.len();
                assert!(now <= held || now <= of, "{now} of {of} permits are held");
                match told {
                    Some(told) => told,
                    None => return,
                }
            }
        };
        match told {
            Ok(Some(Spot::Held(token))) if !actor.robbed => {
                assert!(actor.held.is_none_or(|held| held == token), "a token is for life");
                actor.held = Some(token);
            }
            Ok(Some(Spot::Gone(_))) => {
                assert!(actor.robbed, "nobody took it away: {:?}", actor.client.steps);
                (actor.leaving, actor.held) = (true, None);
            }
            Ok(Some(Spot::Behind(_))) => assert!(actor.held.is_none(), "a life goes one way"),
            // It was born under another number.
            Err(error) if error.kind() == ErrorKind::Disagreement => actor.leaving = true,
            Err(error) => panic!("{error:?}"),
            Ok(_) => {}
        }
    }

    fn check(&self) {
        for actor in self.actors.iter().filter(|actor| actor.held.is_some()) {
            let leases = actor.client.leases(&self.server).len();
            assert_eq!(leases, actor.take as usize, "all that were asked for");
        }
        let known = |node: &String| {
            self.actors.iter().any(|actor| node.starts_with(&actor.client.seat.mark))
        };
        let Server { locks, leases, .. } = &self.server;
        assert!(locks.keys().chain(leases.keys()).all(known), "a node of a departed claim remains");
    }

    /// With no more trouble, everybody is served, or told that the number is another one, and nothing
    /// remains. Holders give back only when nobody else can do anything.
    fn come_to_rest(&mut self) {
        let mut done = [false; ACTORS];
        while done.contains(&false) {
            let mut leaving = 0;
            for who in (0..ACTORS).filter(|who| !done[*who]).collect::<Vec<_>>() {
                let life = self.actors[who].client.seat.mark.clone();
                // More than enough to come to the same answer twice.
                for _ in 0..32 {
                    if !done[who] {
                        self.step(who, Fate::Answered);
                        self.check();
                        done[who] = self.actors[who].client.seat.mark != life;
                    }
                }
                leaving += usize::from(done[who]);
            }
            if leaving > 0 {
                continue;
            }
            let holder = self
                .actors
                .iter_mut()
                .zip(&done)
                .find(|(actor, done)| actor.held.is_some() && !**done);
            let Some((holder, _)) = holder else { panic!("nobody is served: {:?}", self.server) };
            (holder.leaving, holder.held) = (true, None);
        }
        assert!(self.server.is_empty(), "{:?}", self.server);
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
        3 => who().prop_map(Op::Leave),
        1 => who().prop_map(Op::Rob),
        1 => Just(Op::Reap),
        1 => (PERMITS..PERMITS + 3).prop_map(Op::Resize),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_history_exceeds_the_permits_or_leaks_one(
        dialect in prop_oneof![Just(Dialect::Curator), Just(Dialect::Kazoo)],
        ops in prop::collection::vec(any_op(), 0..200),
        takes in prop::array::uniform4(1..=PERMITS),
    ) {
        let mut world = World::new(dialect, takes);
        for op in &ops {
            world.run(op);
        }
        world.come_to_rest();
    }
}
