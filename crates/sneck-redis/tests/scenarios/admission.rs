//! What the scripts admit is what the rule of the core admits.

use crate::stage::{Client, prefix, request};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sneck_core::{Admission, Backend, Claim, Entry, Mode, Permits, Standing, admit};
use sneck_testkit::or_skip;
use sneck_testkit::redis::shared;
use std::time::Duration;

/// What happens to a line.
#[derive(Debug, Clone)]
enum Step {
    Come(Mode),
    /// Whoever is at this place, counted round and round.
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let readers = prop_oneof![Just(Mode::Shared), Just(Mode::Write), Just(Mode::Exclusive)];
    let permits = (1..=3_u32).prop_map(|take| Mode::Permits(Permits::new(take, 3).unwrap()));
    let kinds = |mode: BoxedStrategy<Mode>| {
        let step =
            prop_oneof![3 => mode.prop_map(Step::Come), 2 => (0..12_usize).prop_map(Step::Leave)];
        prop::collection::vec(step, 1..24)
    };
    let both = prop_oneof![readers.clone().boxed(), permits.clone().boxed()].boxed();
    prop_oneof![kinds(readers.boxed()), kinds(permits.boxed()), kinds(both)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scripts_admit_whom_the_core_admits() {
    let servers = or_skip!(shared().await);
    let url = servers.url();
    let handle = tokio::runtime::Handle::current();
    let tried = tokio::task::spawn_blocking(move || {
        let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
        TestRunner::new(config).run(&steps(), |steps| {
            handle.block_on(play(&url, steps));
            Ok(())
        })
    });
    tried.await.unwrap().unwrap();
}

async fn play(url: &str, steps: Vec<Step>) {
    let client = Client::new(url, &prefix(), Duration::from_secs(60)).await;
    let mut line: Vec<(Mode, Box<dyn Claim>, bool)> = Vec::new();
    for step in steps {
        match step {
            Step::Come(mode) => line.push((mode, client.redis.claim(request(mode)), false)),
            Step::Leave(_) if line.is_empty() => {}
            Step::Leave(at) => {
                let (_, mut claim, _) = line.remove(at % line.len());
                claim.leave().await.unwrap();
            }
        }
        for at in 0..line.len() {
            let entries: Vec<Entry> =
                line.iter().map(|(mode, _, held)| Entry { mode: *mode, held: *held }).collect();
            let granted = admit(&entries, at) == Admission::Granted;
            let (mode, claim, held) = &mut line[at];
            match claim.ask().await.unwrap() {
                Standing::Held(_) => *held = true,
                Standing::Waiting(waiting) => assert_eq!(waiting.ahead, u32::try_from(at).ok()),
                Standing::Gone(loss) => panic!("{loss}"),
            }
            assert_eq!(*held, granted, "{mode:?} at {at} of {entries:?}");
        }
    }
    client.redis.close().await;
}
