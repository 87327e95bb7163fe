//! The whole server on a disk that loses its power at every call: what was not synced is gone then,
//! all of it or any part.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sneck_server::log::Folder;

use crate::kill::start;
use crate::simulated_disk::{Call, Fault, Loss, Plan, SimulatedDisk};
use crate::witnesses::Witnesses;

const OPERATIONS: usize = 60;

/// A folder on the disk, and a moment that is the same each time.
fn folder(disk: &SimulatedDisk) -> Option<Folder> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    Folder::on_disk(Arc::new(disk.clone()), now).ok()
}

fn no_fault() -> Plan {
    Box::new(|_, _| None)
}

/// Runs a server until its disk loses power at call `at`, and then one on what is left of it. Says
/// how many steps were acknowledged; `None` if the power lasted to the end.
async fn try_call(at: u64) -> Option<usize> {
    let plan = move |number, call| match (number, call) {
        _ if number >= at => Some(Fault::Crash),
        // Writes that are short now and then are what a disk may do at any time.
        (number, Call::Write) if number % 7 == 0 => Some(Fault::Short),
        _ => None,
    };
    let disk = SimulatedDisk::new(Box::new(plan));
    let witnesses = match folder(&disk) {
        Some(folder) => witnesses_of(folder).await,
        None => None,
    };
    let Some(witnesses) = witnesses else {
        // It has not begun: a new one can.
        let left = disk.reboot(Loss::Some(at), no_fault());
        start(folder(&left).expect("a new folder")).await.stop().await;
        return Some(0);
    };
    if !disk.has_crashed() {
        assert!(witnesses.are_done() && disk.calls() <= at);
        return None;
    }
    let witnesses = Arc::new(witnesses);
    // What a crash can leave is least, all, or anything between.
    let losses = [Loss::Everything, Loss::Nothing, Loss::Some(at)];
    for loss in losses.into_iter().skip(usize::from(at.is_multiple_of(2))).take(2) {
        let left = disk.reboot(loss, no_fault());
        let server = start(folder(&left).expect("an old folder")).await;
        let (asked, address) = (Arc::clone(&witnesses), server.addresses()[0]);
        tokio::task::spawn_blocking(move || asked.check(address)).await.expect("no lie");
        server.stop().await;
    }
    Some(witnesses.acknowledged())
}

/// Lets clients do what they can; `None` if the server did not start.
async fn witnesses_of(folder: Folder) -> Option<Witnesses> {
    let builder = sneck_server::Server::builder().listen(([127, 0, 0, 1], 0).into());
    let server = builder.data_in(folder).start().await.ok()?;
    let address = server.addresses()[0];
    let witnesses = tokio::task::spawn_blocking(move || Witnesses::of(address, OPERATIONS));
    let witnesses = witnesses.await.unwrap();
    if !witnesses.are_done() {
        assert!(server.failed().await.contains("/simulated/"), "it says what has failed");
    }
    // As a process that is gone, rather than one that stops in good order.
    drop(server);
    Some(witnesses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_fails_at_every_call() {
    let (mut calls, mut acknowledged) = (0, 0);
    while let Some(steps) = try_call(calls).await {
        (calls, acknowledged) = (calls + 1, acknowledged + steps);
    }
    println!("power failed at each of {calls} calls, after {acknowledged} acknowledged steps");
    assert!(calls > 60, "{calls}");
}
