//! What is built on locks and records, by the same cases on each kind of store.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod durable;
mod election;
mod once;
mod queued;
mod refresh;
mod refused;

use sneck::{Limits, Locks, Memory};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Version, shared};
use sneck_zookeeper::wire::ErrorCode;
use sneck_zookeeper::{Session, ZooKeeperUrl};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Far more than anything takes that comes at all.
const SOON: Duration = Duration::from_secs(60);

/// A store of the case's own.
enum Store {
    Memory(Memory),
    /// A root on real servers.
    Url(String),
}

impl Store {
    fn memory() -> Self {
        Store::Memory(Memory::new())
    }

    async fn zookeeper(case: &str) -> Result<Self, sneck_testkit::StartError> {
        let servers = shared(Version::V3_9).await?.connect_string();
        let run = sneck::ClaimId::random();
        Ok(Store::Url(format!(
            "zk://{servers}/recipes-{run}/{case}?timeout=20s&connect-timeout=60s"
        )))
    }

    /// A new client that speaks another dialect, where there is more than one.
    async fn speaking(&self, dialect: &str) -> Option<Locks> {
        match self {
            Store::Memory(_) => None,
            Store::Url(url) => {
                let spoken = Store::Url(format!("{url}&dialect={dialect}"));
                Some(spoken.client().await)
            }
        }
    }

    /// Every node below the root, and the root itself; of a store in memory nothing.
    async fn nodes(&self) -> Vec<String> {
        let Store::Url(url) = self else { return Vec::new() };
        let mut options = ZooKeeperUrl::parse(url).unwrap().session;
        let root = std::mem::take(&mut options.chroot);
        let session = within("a session", Session::connect(options)).await.unwrap();
        let (mut nodes, mut todo) = (Vec::new(), vec![root]);
        while let Some(path) = todo.pop() {
            match session.get_children(&path).await {
                Ok(children) => {
                    todo.extend(children.iter().map(|child| format!("{path}/{child}")));
                    nodes.push(path);
                }
                Err(error) => assert_eq!(error.code(), Some(ErrorCode::NO_NODE), "{error}"),
            }
        }
        within("the end", session.close()).await;
        nodes.sort();
        nodes
    }

    /// A new client, which relies on being told of every change.
    async fn client(&self) -> Locks {
        let mut limits = Limits::default();
        (limits.recheck, limits.answer) = (Duration::from_secs(3600), SOON);
        limits.leave = SOON;
        let locks = match self {
            Store::Memory(memory) => Locks::on(Arc::new(memory.clone())),
            Store::Url(url) => sneck::connect(url).await.unwrap(),
        };
        locks.with_limits(limits)
    }
}

/// Awaits what must not take long.
async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(SOON, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {SOON:?}"),
    }
}

/// Drops a future after so many polls, or where it waits for what does not come.
async fn given_up<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let dropped = sneck_testkit::dropped_after(polls, future);
    tokio::time::timeout(Duration::from_millis(30), dropped).await.ok().flatten()
}

/// Waits until something is so, by looking again and again.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, looking).await;
}

macro_rules! on_each_store {
    ($($room:ident::$case:ident,)*) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$room::$case(&super::Store::memory()).await;
            })*
        }

        mod zookeeper {
            use super::or_skip;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$room::$case(&or_skip!(super::Store::zookeeper(stringify!($case)).await)).await;
            })*
        }
    };
}

on_each_store! {
    durable::a_durable_lock_outlives_its_holder_and_is_taken_up_again,
    durable::a_waiter_is_woken_when_the_lock_is_freed,
    durable::force_needs_the_id_and_is_remembered,
    durable::only_its_owner_frees_it,
    durable::a_dropped_attempt_leaves_nothing_and_takes_nothing_away,
    durable::what_can_never_work_is_refused_before_anything_is_written,
    election::every_change_of_leader_is_told,
    election::a_deposed_leader_is_told_before_another_leads,
    election::a_time_out_names_the_leader_and_a_dropped_candidate_withdraws,
    election::data_that_do_not_fit_are_refused_before_anything_is_written,
    once::one_of_many_runs_and_the_others_learn_who,
    once::runs_are_an_interval_apart_by_the_clock_of_the_store,
    once::a_run_that_died_uses_up_its_interval_or_is_retried,
    once::runs_never_overlap,
    once::an_interval_of_zero_is_refused_before_anything_is_written,
    queued::the_place_and_the_holder_are_told_as_they_change,
    queued::one_that_is_dropped_leaves_the_line,
    queued::every_kind_of_lock_tells_it,
    queued::what_can_never_be_had_is_told_at_the_end,
    refresh::one_computes_and_the_others_read,
    refresh::a_failed_computation_lets_the_next_try,
    refresh::a_computation_whose_lock_is_lost_is_dropped_and_one_other_takes_over,
    refused::zero_permits,
    refused::more_permits_than_there_are,
    refused::one_lock_twice,
    refused::another_number_of_permits,
    refused::an_interval_of_zero,
    refused::data_that_the_store_does_not_take,
    refused::a_name_that_another_dialect_owns,
}
