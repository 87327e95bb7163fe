//! A crash at each single call, with everything that can be lost then.

use std::sync::Arc;

use sneck_server::log::{Folder, Log};
use sneck_server::snapshot::{Compactor, Pace};

use crate::notes::{NOW, Notes, count, payload, small, start, write};
use crate::simulated_disk::{Fault, Loss, Plan, SimulatedDisk};

const ENTRIES: i64 = 200;

fn no_fault() -> Plan {
    Box::new(|_, _| None)
}

fn folder(disk: &SimulatedDisk) -> Folder {
    Folder::on_disk(Arc::new(disk.clone()), NOW).unwrap()
}

/// What a process did until it crashed.
#[derive(Debug, Default)]
struct Done {
    acknowledged: i64,
    appended: i64,
}

/// Writes entries one by one, and sometimes three at once, and has a snapshot made now and then.
fn live(disk: &SimulatedDisk) -> Done {
    let mut done = Done::default();
    let Ok(folder) = Folder::on_disk(Arc::new(disk.clone()), NOW) else { return done };
    let Ok((_, log)) = start(&folder, &small()) else { return done };
    let compactor = Compactor::start::<Notes>(log.archive(), Pace::ON_REQUEST, |_| {}).unwrap();
    while done.appended < ENTRIES {
        let more = if done.appended % 16 == 0 { 3 } else { 1 };
        for _ in 0..more {
            if log.append(folder.floor() + done.appended + 1, &payload(done.appended + 1)).is_err()
            {
                return done;
            }
            done.appended += 1;
        }
        if log.durable().wait(folder.floor() + done.appended).is_err() {
            return done;
        }
        done.acknowledged = done.appended;
        if done.appended % 50 < more && done.appended > 50 {
            // Its failure must not matter to the log, nor to what is found later.
            let _ = compactor.compact_now();
        }
    }
    drop(compactor);
    let _ = log.close();
    done
}

fn check(crashed: &SimulatedDisk, done: &Done, loss: Loss, at: u64) {
    let context = format!("crash at call {at}, {loss:?}, {done:?}");
    let disk = crashed.reboot(loss, no_fault());
    let found = count(&folder(&disk)).unwrap_or_else(|error| panic!("{context}: {error:?}"));
    assert!(found >= done.acknowledged, "{context}: {found} found");
    assert!(found <= done.appended, "{context}: {found} found");
    if loss == Loss::ProcessOnly {
        // What was shown now must still be there after a power failure in this very moment.
        let disk = disk.reboot(Loss::Everything, no_fault());
        assert_eq!(count(&folder(&disk)).unwrap(), found, "{context}, and again");
    }
    // And the log goes on behind it, through another start.
    let folder = folder(&disk);
    let (_, log) = start(&folder, &small()).unwrap();
    for number in found + 1..=found + 3 {
        write(&log, folder.floor(), number).unwrap();
    }
    log.close().unwrap();
    assert_eq!(count(&folder).unwrap(), found + 3, "{context}, and on");
}

#[test]
fn a_crash_at_each_call_loses_nothing_acknowledged() {
    let mut at = 0;
    loop {
        let plan = move |number, _| (number == at).then_some(Fault::Crash);
        let disk = SimulatedDisk::new(Box::new(plan));
        let done = live(&disk);
        for loss in [Loss::ProcessOnly, Loss::Everything, Loss::Nothing, Loss::Some(at)] {
            check(&disk, &done, loss, at);
        }
        if !disk.has_crashed() {
            println!("{at} calls");
            assert!(at > 400, "{at} calls are too few for a real run");
            assert_eq!(done.acknowledged, done.appended);
            return;
        }
        at += 1;
    }
}

/// Recovery itself changes the disk, and can be cut short as well.
#[test]
fn a_crash_in_each_call_of_a_recovery_loses_nothing_either() {
    for first in (3..400).step_by(59) {
        let plan = move |number, _| (number == first).then_some(Fault::Crash);
        let disk = SimulatedDisk::new(Box::new(plan));
        let done = live(&disk);
        for at in 0.. {
            let plan = move |number, _| (number == at).then_some(Fault::Crash);
            let again = disk.reboot(Loss::Some(first), Box::new(plan));
            let log = Folder::on_disk(Arc::new(again.clone()), NOW)
                .and_then(|folder| start(&folder, &small()));
            drop(log);
            for loss in [Loss::ProcessOnly, Loss::Everything, Loss::Some(first + at)] {
                check(&again, &done, loss, at);
            }
            if !again.has_crashed() {
                break;
            }
        }
    }
}

#[test]
fn a_wiped_folder_begins_above_and_a_kept_one_goes_on() {
    let disk = SimulatedDisk::new(no_fault());
    let done = live(&disk);
    let folder = folder(&disk);
    let (notes, log): (Notes, Log) = start(&folder, &small()).unwrap();
    assert_eq!(notes.zxid(), folder.floor() + done.acknowledged);
    assert!(log.append(notes.zxid(), b"").is_err(), "a zxid was taken twice");
    drop(log);
    let later = NOW + std::time::Duration::from_secs(1_704_067_200 + 1_000_000_000);
    let wiped = SimulatedDisk::new(no_fault());
    let wiped = Folder::on_disk(Arc::new(wiped), later).unwrap();
    assert!(wiped.floor() > notes.zxid());
}
