//! The word that says until when a hold may be believed in.

use crate::explore::every_order;
use crate::store::RunClock;
use shuttle::sync::Mutex;
use shuttle::{future, thread};
use sneck_races::mutants::assert_noticed;
use sneck_races::{Instant, Lease, Loss};
use std::sync::Arc;

const fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// Looks at a lease. Whoever looks after somebody has told of a loss sees the same loss.
fn look(lease: &Lease, told: &Mutex<Option<Loss>>, now: Instant) {
    let before = *told.lock().unwrap();
    let seen = lease.loss(now);
    assert!(before.is_none() || seen == before, "{seen:?} after {before:?}");
    if seen.is_some() {
        *told.lock().unwrap() = seen;
    }
}

/// An end and a proof at once, and somebody who looks on.
fn an_end_and_a_proof_at_once() {
    let lease = Lease::new(at(10));
    let told = Arc::new(Mutex::new(None));
    let session = thread::spawn({
        let lease = lease.clone();
        move || lease.end(Loss::SessionEnded)
    });
    let renewal = thread::spawn({
        let lease = lease.clone();
        move || lease.extend(at(9), at(20))
    });
    look(&lease, &told, at(9));
    session.join().unwrap();
    renewal.join().unwrap();
    look(&lease, &told, at(9));
    assert!(lease.loss(at(9)).is_some() && !lease.extend(at(9), at(30)));
}

#[test]
fn what_is_lost_stays_lost_and_for_the_same_reason() {
    let orders = every_order(an_end_and_a_proof_at_once);
    assert!(orders > 1_000, "{orders} orders");
}

/// Two who wait, one who ends it, and a proof that comes between.
fn an_end_while_others_wait() {
    let lease = Lease::new(Instant::FAR);
    let waiting = thread::spawn({
        let lease = lease.clone();
        move || future::block_on(lease.ended(&RunClock))
    });
    let renewal = thread::spawn({
        let lease = lease.clone();
        move || lease.extend(at(9), at(20))
    });
    lease.end(Loss::Removed);
    assert_eq!(waiting.join().unwrap(), Loss::Removed);
    renewal.join().unwrap();
}

#[test]
fn whoever_waits_for_the_end_is_told() {
    let orders = every_order(an_end_while_others_wait);
    assert!(orders > 100, "{orders} orders");
}

#[test]
fn deliberate_bugs_are_noticed() {
    let stays = what_is_lost_stays_lost_and_for_the_same_reason;
    assert_noticed("a-proof-overwrites-an-end", stays);
    assert_noticed("looked-at-before-it-is-listened-to", whoever_waits_for_the_end_is_told);
}
