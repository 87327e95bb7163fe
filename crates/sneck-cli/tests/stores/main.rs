//! The command line on Redis, however it is found, and on Cassandra.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

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
                what_is_taken_away_ends_the_command);
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
