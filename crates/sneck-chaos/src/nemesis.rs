//! Whoever makes the faults: each is told before it begins, and its end after it.

mod disk;
mod flood;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sneck_testkit::proxy::{Proxy, Then};
use sneck_wire::OpCode;
use tokio::task::JoinSet;

use crate::fault::{Befalls, Kind};
use crate::observer::Place;
use crate::operator;
use crate::plan::{Fault, Plan};
use crate::servers::StoreKind;
use crate::stage::{Seat, Stage};

pub use disk::missing as tracer_missing;

/// How long is waited for what a fault is about: a request of the right kind, a change that follows.
const OCCASION_MAX: Duration = Duration::from_secs(4);
/// How long is waited for somebody in line, where nobody may come while clients find no server.
const LINE_MAX: Duration = Duration::from_secs(30);
/// In so long the observer has looked at every line again.
const LOOK_MAX: Duration = Duration::from_millis(600);
const POLL: Duration = Duration::from_millis(20);
/// By how much late events are late.
const EVENTS_LATE_BY: Duration = Duration::from_millis(400);
/// By how much a slow network holds every frame up.
const FRAMES_LATE_BY: Duration = Duration::from_millis(40);
/// In so long a server that is well carries out what it is asked for.
const CARRIED_OUT: Duration = Duration::from_millis(200);
/// How far a clock leaps: past every deadline.
const LEAP: Duration = Duration::from_secs(60);

/// Does all that is planned.
///
/// # Errors
/// When something cannot be done, or be undone.
pub async fn rage(stage: &Arc<Stage>, plan: &Plan, progress: impl Fn(usize)) -> Result<(), String> {
    for (number, step) in plan.steps.iter().enumerate() {
        tokio::time::sleep(step.rest).await;
        let mut faults = JoinSet::new();
        for fault in step.faults.clone() {
            let stage = stage.clone();
            faults.spawn(async move {
                let made = make(&stage, &fault).await;
                made.map_err(|error| format!("{}: {error}", fault.kind))
            });
        }
        while let Some(made) = faults.join_next().await {
            made.map_err(|error| error.to_string())??;
        }
        progress(number + 1);
    }
    Ok(())
}

async fn make(stage: &Stage, fault: &Fault) -> Result<(), String> {
    match fault.kind.befalls() {
        Befalls::Client => {
            let seat = &stage.seats[fault.pick % stage.seats.len()];
            befall_client(stage, seat, fault).await
        }
        Befalls::Line => befall_line(stage, fault).await,
        Befalls::Store => {
            let told = stage.begin(&fault.kind.name(), None)?;
            befall_store(stage, fault).await?;
            stage.servers.settled().await?;
            stage.healed(told)
        }
    }
}

async fn befall_client(stage: &Stage, seat: &Seat, fault: &Fault) -> Result<(), String> {
    let number = seat.client.lock().await.number();
    let told = stage.begin(&fault.kind.name(), Some(number))?;
    let each = |act: &(dyn Fn(&Proxy) + Sync)| seat.proxies.iter().for_each(act);
    let weather = async |act: &(dyn Fn(&Proxy) + Sync)| {
        each(act);
        tokio::time::sleep(fault.length).await;
        each(&Proxy::heal);
    };
    match fault.kind {
        Kind::ClientKilled => {
            seat.client.lock().await.kill().await.map_err(said)?;
            stage.healed(told)?;
            return stage.replace(seat).await;
        }
        Kind::ShortPause | Kind::LongPause => {
            seat.client.lock().await.signal(Signal::STOP).await.map_err(said)?;
            tokio::time::sleep(fault.length).await;
            seat.client.lock().await.signal(Signal::CONT).await.map_err(said)?;
        }
        Kind::Cut => each(&Proxy::reset_all),
        Kind::Partition => weather(&Proxy::blackhole).await,
        Kind::RequestsLost => weather(&Proxy::blackhole_requests).await,
        Kind::RepliesLost => weather(&Proxy::blackhole_replies).await,
        Kind::EventsLate => weather(&|proxy| proxy.delay_events(EVENTS_LATE_BY)).await,
        Kind::Slow => weather(&|proxy| proxy.slow(FRAMES_LATE_BY)).await,
        Kind::Bytewise => weather(&|proxy| proxy.split_frames(true)).await,
        Kind::Refused => {
            let refuse = |proxy: &Proxy| {
                proxy.refuse();
                proxy.reset_all();
            };
            weather(&refuse).await;
        }
        Kind::HalfClosed => each(&Proxy::half_close_requests),
        Kind::CreateSwallowed => swallow(seat, &[OpCode::Create, OpCode::Create2]).await,
        Kind::DeleteSwallowed => swallow(seat, &[OpCode::Delete]).await,
        Kind::MultiSwallowed => swallow(seat, &[OpCode::Multi]).await,
        Kind::AnswersSwallowed => {
            each(&Proxy::blackhole_replies);
            tokio::time::sleep(CARRIED_OUT).await;
            each(&Proxy::reset_all);
            each(&Proxy::heal);
        }
        Kind::SessionClosed => close_session(stage, seat).await?,
        Kind::ClockAhead | Kind::ClockFast | Kind::ClockSlow => warp(stage, seat, fault).await?,
        other => return Err(format!("{other} befalls no client")),
    }
    stage.healed(told)
}

/// Lets a request of one of these kinds through, and loses its answer with the connection.
async fn swallow(seat: &Seat, ops: &[OpCode]) {
    let of_proxy = |proxy| {
        let rule = move |op: &OpCode| Proxy::swallow_reply(proxy, *op, 1, Then::Reset);
        ops.iter().map(rule)
    };
    let rules: Vec<_> = seat.proxies.iter().flat_map(of_proxy).collect();
    // A client that does nothing of the kind meanwhile is spared.
    until(|| rules.iter().any(|rule| rule.has_fired())).await;
    seat.proxies.iter().for_each(Proxy::heal);
}

async fn close_session(stage: &Stage, seat: &Seat) -> Result<(), String> {
    let mut client = seat.client.lock().await;
    let Some(session) = client.session().await.map_err(said)? else { return Ok(()) };
    let id = u64::from_str_radix(session.trim_start_matches("0x"), 16).unwrap_or_default();
    let mut seen = seat.proxies.iter().flat_map(Proxy::sessions);
    let Some(seen) = seen.find(|seen| seen.session_id.cast_unsigned() == id) else { return Ok(()) };
    let Some((leader, _)) = stage.servers.leader().await else { return Ok(()) };
    stage.sentry.excuse(&session);
    let closed =
        operator::close_session(stage.servers.addr(leader), seen.session_id, seen.password).await;
    // A server that does not let it be closed has closed it before.
    drop(closed);
    let give_up = Instant::now() + OCCASION_MAX;
    while client.session().await.map_err(said)?.is_none_or(|now| now == session)
        && Instant::now() < give_up
    {
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn warp(stage: &Stage, seat: &Seat, fault: &Fault) -> Result<(), String> {
    let say = async |how: &str| seat.client.lock().await.warp(how).await.map_err(said);
    match fault.kind {
        Kind::ClockAhead => say(&format!("ahead {}", LEAP.as_millis())).await?,
        Kind::ClockFast => say("rate 2000").await?,
        _ => say("rate 500").await?,
    }
    tokio::time::sleep(fault.length).await;
    say("rate 1000").await?;
    // A deadline that was set by the wrong clock is believed in for a session at most.
    tokio::time::sleep(stage.session()).await;
    Ok(())
}

async fn befall_line(stage: &Stage, fault: &Fault) -> Result<(), String> {
    match fault.kind {
        Kind::HolderKilled => kill_holder(stage, fault).await,
        Kind::HolderPaused => pause_holder(stage, fault).await,
        Kind::Flushed | Kind::LockRemoved | Kind::KeyRemoved | Kind::DataLost => {
            rob(stage, fault).await
        }
        _ => remove(stage, fault).await,
    }
}

/// Kills somebody who holds a lock, or has just let go.
async fn kill_holder(stage: &Stage, fault: &Fault) -> Result<(), String> {
    let give_up = Instant::now() + LINE_MAX;
    while Instant::now() < give_up {
        let victim = victims_of(fault, &stage.observer.places()).pop();
        for seat in &stage.seats {
            let mut client = seat.client.lock().await;
            // Of a holder who is dead already only the session lives.
            if victim.as_ref().is_some_and(|victim| victim.client() == client.number()) {
                let told = stage.begin(&fault.kind.name(), Some(client.number()))?;
                client.kill().await.map_err(said)?;
                stage.healed(told)?;
                drop(client);
                return stage.replace(seat).await;
            }
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Stops somebody who holds a lock. Whoever has let go before it stopped goes on, and another is tried.
async fn pause_holder(stage: &Stage, fault: &Fault) -> Result<(), String> {
    let give_up = Instant::now() + LINE_MAX;
    while Instant::now() < give_up {
        let places = stage.observer.places();
        let Some(victim) = victims_of(fault, &places).pop() else {
            tokio::time::sleep(POLL).await;
            continue;
        };
        for seat in &stage.seats {
            let mut client = seat.client.lock().await;
            if client.number() != victim.client() {
                continue;
            }
            let told = stage.begin(&fault.kind.name(), Some(client.number()))?;
            client.signal(Signal::STOP).await.map_err(said)?;
            tokio::time::sleep(LOOK_MAX).await;
            let holds = stage.observer.places().contains(&victim);
            if holds {
                tokio::time::sleep(fault.length).await;
            }
            client.signal(Signal::CONT).await.map_err(said)?;
            stage.healed(told)?;
            if holds {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn remove(stage: &Stage, fault: &Fault) -> Result<(), String> {
    // Opened first: a removal is judged by when it was told to begin, and it has to begin then.
    let session = operator::session(&stage.servers.addrs()).await?;
    let name = fault.kind.name();
    let victims: Vec<Place> = victim(stage, fault).await.into_iter().collect();
    let mut told = Vec::new();
    if fault.kind == Kind::ParentRemoved {
        // Whoever comes while it is being deleted is hit as well.
        for seat in &stage.seats {
            told.push(stage.begin(&name, Some(seat.client.lock().await.number()))?);
        }
    } else {
        for victim in &victims {
            told.push(stage.begin(&name, Some(victim.client()))?);
        }
    }
    for victim in &victims {
        let path = match fault.kind {
            Kind::ParentRemoved => victim.path.rsplit_once('/').map_or("", |(parent, _)| parent),
            _ => &victim.path,
        };
        // A deletion that fails has hit nobody, or somebody who is told as hit.
        let _ = operator::delete(&session, path).await;
    }
    session.close().await;
    // The holder is told by a watch, or hears it when it asks next.
    tokio::time::sleep(stage.session() / 2).await;
    told.into_iter().try_for_each(|fault| stage.healed(fault))
}

/// Takes from all what the store has promised them, or from all who want some lock.
async fn rob(stage: &Stage, fault: &Fault) -> Result<(), String> {
    let Some(victim) = victim(stage, fault).await else { return Ok(()) };
    let mut told = Vec::new();
    // Whoever comes while it is being done is hit as well.
    for seat in &stage.seats {
        let number = seat.client.lock().await.number();
        told.push(stage.begin(&fault.kind.name(), Some(number))?);
    }
    let addr = stage.servers.addr(0);
    match fault.kind {
        Kind::Flushed => operator::redis::flush(addr).await?,
        Kind::KeyRemoved => operator::redis::remove(addr, victim.lock, Some(fault.pick)).await?,
        Kind::DataLost => stage.servers.lose_data(0).await?,
        _ => remove_lock(stage, &victim).await?,
    }
    // Holders hear it when they renew their leases next.
    tokio::time::sleep(stage.session()).await;
    stage.servers.settled().await?;
    told.into_iter().try_for_each(|fault| stage.healed(fault))
}

/// Has an operator delete all that is kept of somebody's lock.
async fn remove_lock(stage: &Stage, victim: &Place) -> Result<(), String> {
    let addr = stage.servers.addr(0);
    match stage.servers.kind() {
        StoreKind::Redis => {
            // Other libraries call the key of a lock as the lock is called.
            operator::redis::delete(addr, victim.lock).await?;
            operator::redis::remove(addr, victim.lock, None).await
        }
        #[cfg(feature = "cassandra")]
        StoreKind::Cassandra => operator::cassandra::remove(addr, victim.lock).await,
        other => Err(format!("nobody knows how to delete a lock of {other}")),
    }
}

/// Waits for somebody in line who can be hit, but not for ever.
async fn victim(stage: &Stage, fault: &Fault) -> Option<Place> {
    let give_up = Instant::now() + LINE_MAX;
    while Instant::now() < give_up {
        tokio::time::sleep(POLL).await;
        if let Some(victim) = victims_of(fault, &stage.observer.places()).pop() {
            return Some(victim);
        }
    }
    None
}

/// Those whose places are going to be removed: none yet, or one of a line.
fn victims_of(fault: &Fault, places: &[Place]) -> Vec<Place> {
    let is_first = |at: usize| !places[..at].iter().any(|place| place.lock == places[at].lock);
    let fits = |at: &usize| match fault.kind {
        Kind::HolderKilled | Kind::HolderPaused | Kind::HolderRemoved => is_first(*at),
        Kind::WaiterRemoved => !is_first(*at),
        _ => true,
    };
    let candidates: Vec<usize> = (0..places.len()).filter(fits).collect();
    let victim = candidates.get(fault.pick % candidates.len().max(1));
    victim.map(|at| places[*at].clone()).into_iter().collect()
}

async fn befall_store(stage: &Stage, fault: &Fault) -> Result<(), String> {
    let servers = &stage.servers;
    // What it befalls has to be there: an election may be under way.
    servers.settled().await?;
    let leader = servers.leader().await.map_or(0, |(leader, _)| leader);
    let followers = servers.followers().await;
    let follower = followers.get(fault.pick % followers.len().max(1)).copied().unwrap_or(leader);
    let length = fault.length;
    match fault.kind {
        Kind::FollowerKilled => kill(stage, &[follower], length).await,
        Kind::LeaderKilled => kill(stage, &[leader], length).await,
        Kind::AllKilled => kill(stage, &(0..servers.count()).collect::<Vec<_>>(), length).await,
        Kind::RollingRestart => {
            for server in 0..servers.count() {
                kill(stage, &[server], Duration::ZERO).await;
                servers.settled().await?;
            }
        }
        Kind::FollowerStopped => stop(stage, follower, length).await?,
        Kind::LeaderStopped => stop(stage, leader, length).await?,
        Kind::FollowerCutOff => cut_off(stage, follower, length).await,
        Kind::LeaderCutOff => cut_off(stage, leader, length).await,
        Kind::SlowDisk => disk::slow(servers, leader, length).await?,
        Kind::FailingDisk => disk::fail(servers, leader, stage.session()).await?,
        Kind::FullDisk => disk::fill(servers, leader, stage.session()).await?,
        Kind::Storm => flood::storm(servers, length).await,
        Kind::Garbage => flood::garbage(servers, fault.pick as u64).await,
        Kind::ConnectionsEnded => operator::redis::end_connections(servers.addr(leader)).await?,
        Kind::CommandsHeldUp => {
            operator::redis::hold_up(servers.addr(leader), length).await?;
            tokio::time::sleep(length).await;
        }
        Kind::ScriptsForgotten => operator::redis::forget_scripts(servers.addr(leader)).await?,
        other => return Err(format!("{other} befalls no store")),
    }
    Ok(())
}

async fn kill(stage: &Stage, servers: &[usize], length: Duration) {
    for server in servers {
        stage.servers.kill(*server).await;
    }
    tokio::time::sleep(length).await;
    for server in servers {
        stage.servers.start_again(*server).await;
    }
}

async fn stop(stage: &Stage, server: usize, length: Duration) -> Result<(), String> {
    stage.servers.signal(server, Signal::STOP).map_err(said)?;
    tokio::time::sleep(length).await;
    stage.servers.signal(server, Signal::CONT).map_err(said)
}

async fn cut_off(stage: &Stage, server: usize, length: Duration) {
    stage.servers.cut_off(server, true).await;
    tokio::time::sleep(length).await;
    stage.servers.cut_off(server, false).await;
}

/// Waits for an occasion, but not for ever.
async fn until(mut so: impl FnMut() -> bool) {
    let give_up = Instant::now() + OCCASION_MAX;
    while !so() && Instant::now() < give_up {
        tokio::time::sleep(POLL).await;
    }
}

fn said(error: std::io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(lock: &'static str, path: &str) -> Place {
        Place { lock, attempt: 1, path: path.to_owned() }
    }

    #[test]
    fn a_holder_is_first_in_its_line_and_a_waiter_is_not() {
        let places = [place("m1", "a"), place("m2", "b"), place("m1", "c")];
        let paths = |kind, pick| {
            let fault = Fault { kind, pick, length: Duration::ZERO };
            let victims = victims_of(&fault, &places);
            victims.into_iter().map(|victim| victim.path).collect::<Vec<_>>()
        };
        assert_eq!(paths(Kind::HolderRemoved, 0), ["a"]);
        assert_eq!(paths(Kind::HolderRemoved, 3), ["b"]);
        assert_eq!(paths(Kind::WaiterRemoved, 5), ["c"]);
        let nobody = Fault { kind: Kind::WaiterRemoved, pick: 0, length: Duration::ZERO };
        assert!(victims_of(&nobody, &places[..2]).is_empty());
    }
}
