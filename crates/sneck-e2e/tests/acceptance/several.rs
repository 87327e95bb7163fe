//! Lines 14 and 15: several permits, and several locks, wanted by processes that could wait for each other
//! for ever.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, soon, worker};
use sneck::ErrorKind;
use sneck_testkit::or_skip;
use std::time::Duration;

on_each_kind!(
    l14_two_and_two_of_two_permits_from_two_processes_both_finish,
    l15_opposite_orders_from_sixteen_processes_make_progress,
    l15_of_several_locks_all_are_had_or_none_under_one_time_out,
);

/// Taking permits one at a time, each could hold one and wait for the other for ever.
async fn l14_two_and_two_of_two_permits_from_two_processes_both_finish(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let url = site.url("20s");
    let mut processes = [worker(&url).await, worker(&url).await];
    for process in &mut processes {
        process.send("permits s 2 2 25").await;
    }
    for process in &mut processes {
        process.wait_for(&["returned", "s"]).await;
    }
    site.line_of("s/leases", 0).await;
}

/// For how long they go on at least; a minute and more is for those who ask for it.
const SECONDS: &str = "SNECK_E2E_SECONDS";

async fn l15_opposite_orders_from_sixteen_processes_make_progress(kind: Kind) {
    const PROCESSES: usize = 16;
    const ROUNDS: u32 = 12;
    const ORDERS: [&[&str]; 8] = [
        &["a", "b"],
        &["b", "a"],
        &["b", "c", "d/e"],
        &["d/e", "c", "b"],
        &["c", "a", "d/e", "b"],
        &["b", "d/e", "a", "c"],
        &["d/e", "a"],
        &["a", "d/e"],
    ];
    let site = or_skip!(Site::on(kind).await);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    let url = site.url("20s");
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(worker(&url).await);
    }
    let folder_name = folder.path().display();
    for (process, names) in processes.iter_mut().zip(ORDERS.iter().cycle()) {
        let names = names.join(" ");
        process.send(&format!("count-all {ROUNDS} {seconds} {folder_name} {names}")).await;
    }
    let mut expected = std::collections::BTreeMap::new();
    let mut all = 0;
    for (process, names) in processes.iter_mut().zip(ORDERS.iter().cycle()) {
        let turns = process.wait_for_long(&["counted-all"], Duration::from_secs(seconds)).await;
        let turns = turns.number(1);
        assert!(turns >= u64::from(ROUNDS), "everybody makes progress");
        all += turns;
        for name in *names {
            *expected.entry(*name).or_insert(0) += turns;
        }
    }
    for (name, turns) in &expected {
        let file = folder.path().join(name.replace('/', "-"));
        let counted = std::fs::read_to_string(file).expect("it was written");
        assert_eq!(counted.trim(), turns.to_string(), "no turn under {name} was lost");
    }
    println!("{PROCESSES} processes had several locks {all} times, at least {seconds} s long");
    for name in expected.keys() {
        site.line_of(name, 0).await;
    }
}

/// The locks that are free are not taken and held for the one that is not.
async fn l15_of_several_locks_all_are_had_or_none_under_one_time_out(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let (one, other) = (site.locks().await, site.locks().await);
    let held = [other.mutex("b").lock().await, other.mutex("d").lock().await];
    let error = one.all(["a", "b", "c", "d"]).lock_timeout(Duration::from_millis(300)).await;
    assert_eq!(error.expect_err("two are held").kind(), ErrorKind::Timeout);
    for free in ["a", "c"] {
        site.line_of(free, 0).await;
        assert!(other.mutex(free).try_lock().await.expect("an answer").is_some());
    }
    drop(held);
    let all = soon("all of them", one.all(["a", "b", "c", "d"]).lock()).await.expect("free");
    assert_eq!(all.tokens().count(), 4);
    all.unlock().await.expect("held");
}
