//! The store inside one process: order, wake-ups, and whatever interleaving there may be.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod fakes;

use fakes::*;
use proptest::prelude::*;
use sneck_core::{
    Backend, Caller, Error, Guard, Locker, Loss, Memory, Mode, Name, Patience, Request, Survey,
    Token, TokioClock,
};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

fn locker(memory: &Memory) -> Locker {
    // A wake-up that gets lost is not healed by asking again.
    Locker::new(Arc::new(memory.clone()), Arc::new(TokioClock::new())).with_limits(patient())
}

async fn hold(locker: &Locker) -> Guard {
    locker.acquire(request(), Patience::Forever).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_waiters_are_served_in_order_and_none_is_forgotten() {
    let memory = Memory::new();
    let served = Arc::new(Mutex::new(Vec::new()));
    let first = hold(&locker(&memory)).await;
    let mut tasks = Vec::new();
    for number in 0..1_000 {
        let (locker, served) = (locker(&memory), served.clone());
        tasks.push(tokio::spawn(async move {
            let guard = hold(&locker).await;
            served.lock().unwrap().push((number, guard.token()));
            tokio::task::yield_now().await;
            match number % 3 {
                0 => guard.unlock().await.unwrap(),
                _ => drop(guard),
            }
        }));
        tokio::task::yield_now().await;
    }
    drop(first);
    for task in tasks {
        task.await.unwrap();
    }
    let served = std::mem::take(&mut *served.lock().unwrap());
    assert!(served.is_sorted() && served.len() == 1_000, "{served:?}");
    assert!(served.iter().map(|(_, token)| *token).is_sorted(), "{served:?}");
    settle().await;
    assert!(memory.names().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unprotected_counter_survives_many_tasks_on_many_threads() {
    let memory = Memory::new();
    let counter = Arc::new(Mutex::new(0));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (locker, counter) = (locker(&memory), counter.clone());
            tokio::spawn(async move {
                for _ in 0..100 {
                    let guard = hold(&locker).await;
                    let read = *counter.lock().unwrap();
                    tokio::task::yield_now().await;
                    *counter.lock().unwrap() = read + 1;
                    guard.unlock().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*counter.lock().unwrap(), 800);
}

#[tokio::test(start_paused = true)]
async fn readers_hold_together_and_never_with_a_writer() {
    let memory = Memory::new();
    let locker = locker(&memory);
    let ask = |mode| {
        let request = Request::new(name(), mode, Caller::anonymous());
        let locker = locker.clone();
        tokio::spawn(
            async move { locker.acquire(request, Patience::Forever).await.unwrap().unwrap() },
        )
    };
    let readers = [ask(Mode::Shared).await.unwrap(), ask(Mode::Shared).await.unwrap()];
    let (writer, late) = (ask(Mode::Exclusive), ask(Mode::Shared));
    settle().await;
    assert!(!writer.is_finished() && !late.is_finished(), "a reader does not overtake a writer");
    for reader in readers {
        reader.unlock().await.unwrap();
    }
    let writer = writer.await.unwrap();
    settle().await;
    assert!(!late.is_finished());
    drop(writer);
    assert!(late.await.unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn closing_ends_what_is_held_and_what_is_waited_for() {
    let memory = Memory::new();
    let guard = hold(&locker(&memory)).await;
    let waiter = tokio::spawn({
        let locker = locker(&memory);
        async move { locker.acquire(request(), Patience::Forever).await }
    });
    settle().await;
    memory.close().await;
    assert!(!guard.is_held());
    assert_eq!(guard.lost().await, Loss::SessionEnded);
    assert!(waiter.await.unwrap().is_err());
    assert!(memory.names().await.unwrap().is_empty());
    assert!(hold(&locker(&memory)).await.token() > guard.token());
}

#[tokio::test(start_paused = true)]
async fn names_are_listed_in_order_while_somebody_is_in_line() {
    let memory = Memory::new();
    let locker = locker(&memory);
    let mut guards = Vec::new();
    for name in ["b", "a/b", "a"] {
        let name = Name::new(name).unwrap();
        let request = Request::new(name, Mode::Exclusive, Caller::anonymous());
        guards.push(locker.acquire(request, Patience::Once).await.unwrap().unwrap());
    }
    let names = memory.names().await.unwrap();
    assert_eq!(names.iter().map(Name::as_str).collect::<Vec<_>>(), ["a", "a/b", "b"]);
}

// ----- any interleaving -----

#[derive(Clone, Copy, Debug)]
enum Act {
    /// Begins to wait, where idle.
    Acquire(usize),
    /// Drops the future or the guard.
    Drop(usize),
    /// Unlocks, where held.
    Unlock(usize),
    /// Removes the whole line, as an operator might.
    Clear,
}

type Attempt = Pin<Box<dyn Future<Output = Result<Option<Guard>, Error>>>>;

enum Actor {
    Idle,
    Waiting(Attempt),
    Held(Guard),
}

const ACTORS: usize = 5;

/// What must be true after each act: the line is who waits and holds, in the order of arrival, and its
/// first holds the lock.
struct Model {
    memory: Memory,
    actors: Vec<Actor>,
    line: Vec<usize>,
    last_token: Option<Token>,
}

impl Model {
    async fn run(acts: Vec<Act>) {
        let actors = (0..ACTORS).map(|_| Actor::Idle).collect();
        let memory = Memory::new();
        let mut model = Model { memory, actors, line: Vec::new(), last_token: None };
        for act in acts {
            model.act(act).await;
            model.poll_until_nothing_moves().await;
            model.check(act).await;
        }
        // Whatever the state, everybody left in line is served, one after the other.
        while let Some(first) = model.line.first().copied() {
            model.act(Act::Drop(first)).await;
            model.poll_until_nothing_moves().await;
            model.check(Act::Drop(first)).await;
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Acquire(who) if matches!(self.actors[who], Actor::Idle) => {
                let locker = locker(&self.memory);
                let attempt =
                    Box::pin(async move { locker.acquire(request(), Patience::Forever).await });
                self.actors[who] = Actor::Waiting(attempt);
                self.line.push(who);
                self.poll(who).await;
            }
            Act::Acquire(_) => {}
            Act::Drop(who) => {
                self.actors[who] = Actor::Idle;
                self.line.retain(|other| *other != who);
            }
            Act::Unlock(who) => {
                if matches!(self.actors[who], Actor::Held(_))
                    && let Actor::Held(guard) =
                        std::mem::replace(&mut self.actors[who], Actor::Idle)
                {
                    guard.unlock().await.unwrap();
                    self.line.retain(|other| *other != who);
                }
            }
            Act::Clear => {
                self.memory.clear(&name());
                for who in std::mem::take(&mut self.line) {
                    if let Actor::Held(guard) = &self.actors[who] {
                        assert!(!guard.is_held());
                        self.actors[who] = Actor::Idle;
                    } else {
                        let Actor::Waiting(attempt) = &mut self.actors[who] else { unreachable!() };
                        assert!(attempt.await.is_err(), "its place is gone");
                        self.actors[who] = Actor::Idle;
                    }
                }
            }
        }
    }

    async fn poll(&mut self, who: usize) {
        if let Actor::Waiting(attempt) = &mut self.actors[who] {
            let polled = poll_fn(|context| Poll::Ready(attempt.as_mut().poll(context))).await;
            if let Poll::Ready(done) = polled {
                let guard = done.unwrap().unwrap();
                assert!(Some(guard.token()) > self.last_token, "tokens rise");
                self.last_token = Some(guard.token());
                self.actors[who] = Actor::Held(guard);
            }
        }
    }

    async fn poll_until_nothing_moves(&mut self) {
        for _ in 0..3 {
            settle().await;
            for who in 0..ACTORS {
                self.poll(who).await;
            }
        }
    }

    async fn check(&self, act: Act) {
        let held: Vec<usize> =
            (0..ACTORS).filter(|who| matches!(self.actors[*who], Actor::Held(_))).collect();
        let first: Vec<usize> = self.line.first().copied().into_iter().collect();
        assert_eq!(held, first, "after {act:?} with the line {:?}", self.line);
        let shown = self.memory.line(&name()).await.unwrap();
        assert_eq!(shown.len(), self.line.len(), "after {act:?}: {shown:?}");
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..ACTORS).prop_map(Act::Acquire),
        3 => (0..ACTORS).prop_map(Act::Drop),
        3 => (0..ACTORS).prop_map(Act::Unlock),
        1 => Just(Act::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn the_first_in_line_holds_the_lock_after_any_history(
        acts in prop::collection::vec(any_act(), 0..60),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(Model::run(acts));
    }
}
