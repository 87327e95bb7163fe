//! The command line on Redis, however it is found, and on Cassandra.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clocks;
mod doctor;
mod servers;
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../stage/mod.rs"]
mod stage;
mod verbs;

/// Runs each test of [`verbs`] on each store.
macro_rules! on_each_store {
    ($($store:ident),*) => { $(
        mod $store {
            on_each_store!(@test $store: run_passes_on_the_exit_code, hold_ends_with_a_signal,
                who_and_ls_show_the_holder, watch_shows_what_happens, a_lock_is_not_had_in_time,
                what_is_taken_away_ends_the_command, an_election_has_a_leader_whom_all_see,
                what_outlives_a_process_is_kept_or_refused);
        }
    )* };
    (@test $store:ident: $($test:ident),*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let store = sneck_testkit::or_skip!(crate::servers::$store().await);
            crate::verbs::$test(&store).await;
        }
    )* };
}

on_each_store!(redis, sentinels, cluster, majority, cassandra);

/// Runs the tests of [`clocks`] on a store.
macro_rules! whatever_the_clock_says {
    ($($store:ident: $apart:ident, $leaps:ident);*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $apart() {
            let clock = sneck_testkit::or_skip!(clocks::WallClock::new());
            let store = sneck_testkit::or_skip!(servers::$store().await);
            clocks::a3_clients_an_hour_apart_exclude_each_other(&store, &clock).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $leaps() {
            let clock = sneck_testkit::or_skip!(clocks::WallClock::new());
            let store = sneck_testkit::or_skip!(servers::$store().await);
            // So that a job that takes longer need not take long.
            let store = store.lasting(std::time::Duration::from_secs(10));
            clocks::a3_a_clock_that_leaps_ends_no_lock(&store, &clock).await;
        }
    )* };
}

whatever_the_clock_says!(
    redis: a3_clients_an_hour_apart_exclude_each_other_on_redis, a3_a_clock_that_leaps_ends_no_lock_on_redis;
    cassandra: a3_clients_an_hour_apart_exclude_each_other_on_cassandra,
        a3_a_clock_that_leaps_ends_no_lock_on_cassandra
);
