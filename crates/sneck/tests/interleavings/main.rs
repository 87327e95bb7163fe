//! Random interleavings of all kinds of locks, over a store in which everything takes its time and
//! questions and answers get lost.
//!
//! A [plan](plan::Plan) says who asks for what, when, for how long and until he loses patience; what the
//! store does to each question, and how long clients pause, follows from the plan's seed. Time is virtual,
//! and all tasks run on one thread, so that a plan can be run again, and one that fails is made smaller.
//! While it runs, a [judge](judge::Judge) sees every lock that anybody believes to hold.
//!
//! The plans are the same each time, so that a change is what makes the test fail, and not the day. Others
//! are run with `SNECK_PLANS_SEED=1 cargo test -p sneck --test interleavings`, and more of them with
//! `PROPTEST_CASES`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod judge;
mod plan;
mod run;
mod shaky;

use plan::{Plan, any_plan};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use shaky::Defect;
use sneck::Sharing;

/// A source of plans.
fn plans() -> TestRunner {
    let seed = std::env::var("SNECK_PLANS_SEED").map_or(7, |seed| seed.parse().unwrap());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let config = Config { max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, rng)
}

fn any(runner: &mut TestRunner) -> Plan {
    any_plan().new_tree(runner).unwrap().current()
}

fn promises_are_kept(sharing: Option<Sharing>) {
    let mut runner = plans();
    let kept = runner.run(&any_plan(), |plan| match run::run(&plan, Defect::None, sharing) {
        Ok(_) => Ok(()),
        Err(why) => Err(TestCaseError::fail(why)),
    });
    kept.unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn whatever_happens_the_locks_keep_their_promises() {
    promises_are_kept(None);
}

#[test]
fn whatever_happens_places_that_are_handed_on_keep_them_too() {
    promises_are_kept(Some(Sharing::coalescing()));
}

#[test]
fn whatever_happens_places_that_are_kept_keep_them_too() {
    let mut sharing = Sharing::sticky();
    // So few that all bounds are reached.
    (sharing.hand_ons, sharing.turns) = (2, 5);
    promises_are_kept(Some(sharing));
}

#[test]
fn a_run_can_be_repeated() {
    let mut runner = plans();
    for _ in 0..16 {
        let plan = any(&mut runner);
        let shared = || run::run(&plan, Defect::None, Some(Sharing::sticky()));
        assert_eq!(shared(), shared(), "{plan:?}");
        let trace = run::run(&plan, Defect::None, None);
        assert_eq!(run::run(&plan, Defect::None, None), trace, "{plan:?}");
        let other = Plan { seed: !plan.seed, ..plan };
        // What is held for no time at all by one alone is all that could be the same.
        let many = trace.as_ref().is_ok_and(|trace| trace.len() > 3);
        assert!(!many || run::run(&other, Defect::None, None) != trace, "{other:?}");
    }
}

/// The same plans on a store that breaks a rule: some of them must show it.
fn is_seen(defect: Defect, says: &str) {
    let mut runner = plans();
    let mut told = Vec::new();
    for _ in 0..200 {
        if let Err(why) = run::run(&any(&mut runner), defect, None) {
            if why.contains(says) {
                return;
            }
            told.push(why);
        }
    }
    panic!("{defect:?} is not seen as {says:?}, but as {told:?}");
}

macro_rules! defects {
    ($($test:ident: $defect:ident => $says:literal,)*) => {$(
        #[test]
        fn $test() {
            is_seen(Defect::$defect, $says);
        }
    )*};
}

defects! {
    a_second_holder_is_seen: GrantsTheNext => "beside",
    a_reader_beside_a_writer_is_seen: LetsReadersIn => "beside",
    a_permit_too_many_is_seen: GrantsOneTooMany => "permits",
    a_wake_up_that_is_lost_is_seen: WakesNobody => "not done",
    a_place_that_is_left_behind_is_seen: ForgetsToLeave => "not done",
    a_token_that_repeats_is_seen: RepeatsTokens => "token",
}
