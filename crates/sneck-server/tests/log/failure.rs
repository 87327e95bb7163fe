//! Disks that fill up, fail and write less than they were asked to.

use std::sync::{Arc, Mutex};

use sneck_server::log::{AppendError, Folder, LogOptions, Progress, Stopped};
use sneck_server::snapshot::restore;

use crate::notes::{NOW, Notes, count, payload, small, start, write};
use crate::simulated_disk::{Call, Fault, Loss, Plan, SimulatedDisk};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn folder(disk: &SimulatedDisk) -> Folder {
    Folder::on_disk(Arc::new(disk.clone()), NOW).unwrap()
}

fn no_fault() -> Plan {
    Box::new(|_, _| None)
}

/// Calls of a new folder and log: the marker, and the first segment.
fn calls_to_start() -> u64 {
    let disk = SimulatedDisk::new(no_fault());
    let (_, log) = start(&folder(&disk), &small()).unwrap();
    let calls = disk.calls();
    drop(log);
    calls
}

/// Writes until the log has stopped, with this fault; says what was acknowledged.
fn write_until_stopped(disk: &SimulatedDisk, options: &LogOptions) -> i64 {
    let folder = folder(disk);
    let heard = Arc::new(Mutex::new((0, None)));
    let at_log = Arc::clone(&heard);
    let recovery = restore::<Notes>(&folder).unwrap().recovery;
    let log = recovery.start(options, move |progress| {
        let mut heard = at_log.lock().unwrap();
        assert!(heard.1.is_none(), "something was said after the end");
        match progress {
            Progress::Durable(zxid) => heard.0 = zxid,
            Progress::Stopped(stopped) => heard.1 = Some(stopped),
            _ => {}
        }
    });
    let log = log.unwrap();
    let mut acknowledged = 0;
    for number in 1..=90 {
        match write(&log, folder.floor(), number) {
            Ok(()) => acknowledged = number,
            Err(_) => break,
        }
    }
    let durable = log.durable();
    let Some(Stopped::Failed(failure)) = durable.stopped() else { panic!("it has not stopped") };
    assert!(failure.source.raw_os_error().is_some(), "{failure}");
    let calls = disk.calls();
    // From then on nothing is taken, nothing becomes durable and nothing is tried again.
    let next = folder.floor() + acknowledged + 2;
    let refused = log.append(next, &payload(acknowledged + 2)).unwrap_err();
    assert!(matches!(refused, AppendError::Stopped(Stopped::Failed(_))), "{refused}");
    assert!(durable.wait(folder.floor() + acknowledged + 1).is_err());
    assert_eq!(durable.zxid(), folder.floor() + acknowledged);
    assert!(log.archive().seal_and_rotate().is_err());
    assert!(log.close().is_err());
    assert_eq!(disk.calls(), calls, "a failed disk was written to");
    let heard = heard.lock().unwrap();
    assert!(matches!(heard.1, Some(Stopped::Failed(_))));
    assert_eq!(heard.0.max(folder.floor()), folder.floor() + acknowledged);
    acknowledged
}

#[test]
fn a_failed_write_or_sync_is_the_end_and_acknowledges_nothing() {
    let from = calls_to_start();
    for (call, code) in [(Call::Write, ENOSPC), (Call::Write, EIO), (Call::Sync, EIO)] {
        // A segment of four blocks, of which the first entry begins the second.
        for at in [from, from + 1, from + 2, from + 3, from + 10, from + 40] {
            let plan =
                move |number, kind| (number >= at && kind == call).then_some(Fault::Error(code));
            let disk = SimulatedDisk::new(Box::new(plan));
            let acknowledged = write_until_stopped(&disk, &small());
            for loss in [Loss::ProcessOnly, Loss::Everything, Loss::Nothing, Loss::Some(at)] {
                let after = disk.reboot(loss, no_fault());
                let found = count(&folder(&after)).unwrap();
                let possible = acknowledged..=acknowledged + 1;
                assert!(
                    possible.contains(&found),
                    "{call:?} {at} {loss:?}: {found} of {possible:?}"
                );
            }
        }
    }
}

/// A sync that fails once may succeed the next time without having written anything.
#[test]
fn a_sync_that_failed_once_is_not_asked_again() {
    // In a segment that lasts for long, calls are nothing but a write and a sync for each entry.
    let options = LogOptions { first_segment_bytes: 256 << 10, ..small() };
    let at = calls_to_start() + 5;
    let plan =
        move |number, call| (number == at && call == Call::Sync).then_some(Fault::Error(EIO));
    let disk = SimulatedDisk::new(Box::new(plan));
    let acknowledged = write_until_stopped(&disk, &options);
    assert_eq!(acknowledged, 2);
    assert!(count(&folder(&disk.reboot(Loss::Everything, no_fault()))).unwrap() >= acknowledged);
}

#[test]
fn short_writes_are_continued() {
    let disk =
        SimulatedDisk::new(Box::new(|_, call| (call == Call::Write).then_some(Fault::Short)));
    let folder = folder(&disk);
    let (_, log) = start(&folder, &small()).unwrap();
    for number in 1..=30 {
        write(&log, folder.floor(), number).unwrap();
    }
    drop(log);
    assert_eq!(count(&folder).unwrap(), 30);
}

/// With no room for a next segment the log goes on while the current one lasts.
#[test]
fn a_disk_that_is_full_for_a_while_stops_nothing() {
    let full = Arc::new(Mutex::new(false));
    let is_full = Arc::clone(&full);
    let plan = move |_, call| {
        let full = *is_full.lock().unwrap() && call == Call::Create;
        full.then_some(Fault::Error(ENOSPC))
    };
    let disk = SimulatedDisk::new(Box::new(plan));
    let folder = folder(&disk);
    let (_, log) = start(&folder, &small()).unwrap();
    *full.lock().unwrap() = true;
    write(&log, folder.floor(), 1).unwrap();
    let failure = log.archive().seal_and_rotate().unwrap_err();
    assert_eq!(failure.source.raw_os_error(), Some(ENOSPC));
    // It was told, and no harm was done.
    write(&log, folder.floor(), 2).unwrap();
    *full.lock().unwrap() = false;
    assert_eq!(log.archive().seal_and_rotate().unwrap(), folder.floor() + 2);
    for number in 3..=40 {
        write(&log, folder.floor(), number).unwrap();
    }
    log.close().unwrap();
    assert_eq!(count(&folder).unwrap(), 40);
}

#[test]
fn what_is_too_large_or_out_of_order_is_not_taken() {
    let disk = SimulatedDisk::new(no_fault());
    let folder = folder(&disk);
    let (_, log) = start(&folder, &small()).unwrap();
    let floor = folder.floor();
    let refused = log.append(floor + 1, &vec![0; 100 << 10]).unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { .. }), "{refused}");
    assert!(log.append(floor, b"").is_err(), "the floor is no entry's");
    log.append(floor + 5, b"").unwrap();
    let refused = log.append(floor + 5, b"").unwrap_err();
    assert!(matches!(refused, AppendError::NotAscending { .. }), "{refused}");
    log.append(floor + 6, &vec![1; 30 << 10]).unwrap();
    log.durable().wait(floor + 6).unwrap();
}

/// Entries that come faster than the disk share its syncs, and wait where there are too many.
#[test]
fn many_entries_share_a_sync() {
    let disk = SimulatedDisk::new(no_fault());
    let folder = folder(&disk);
    let (_, log) = start(&folder, &small()).unwrap();
    let before = disk.calls();
    for number in 1..=3_000 {
        log.append(folder.floor() + number, &payload(number % 3)).unwrap();
    }
    log.durable().wait(folder.floor() + 3_000).unwrap();
    let calls = disk.calls() - before;
    assert!(calls < 3_000, "{calls} calls for 3000 entries");
    drop(log);
    let mut replayed = 0;
    let recovery = sneck_server::log::Log::recover(&folder, None, |zxid, _| {
        replayed += 1;
        assert_eq!(zxid, folder.floor() + replayed);
        Ok(())
    });
    assert_eq!(recovery.unwrap().entries, 3_000);
    assert_eq!(replayed, 3_000);
}
