//! The world around the processes: the network, the server's machine, the resource, and time.
//!
//! Time goes in windows no longer than the shortest way of a packet. In each, every process runs for
//! itself; then what they sent and told, and all else that happens in the window, happens in its order.

mod members;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fastrand::Rng;
use sneck_history::{Arbiter, Entry, Event, Message, Reply, Say};
use sneck_server::simulation::{Done, Outcome, Sent, Shape, Written};

use crate::ensemble::{Ensemble, Turn};
use crate::handing::Handing;
use crate::host::Host;
use crate::nic::{Down, Up};
use crate::plan::{FOREVER, Plan, Trouble};
use crate::station::{Shown, Station};
use crate::trace::Trace;
use crate::truth::Truth;
use crate::verdict::{Run, conclude};
use crate::wire::Wire;
use crate::words;

/// Runs a plan; `readable` keeps what happened as lines, besides the number that stands for it.
pub fn run(plan: &Plan, readable: bool) -> Run {
    let mut world = World::new(plan, readable);
    let (hosts, quiet_ms) = world.live();
    let stuck = hosts.iter().enumerate().filter(|(_, host)| !host.is_over());
    let stuck = stuck.map(|(at, _)| format!("client {} did not come to an end", at + 1));
    let mut complaints = std::mem::take(&mut world.complaints);
    complaints.append(&mut world.handing.complaints);
    let reigns = world.ensemble.as_mut().map_or(0, |ensemble| {
        complaints.append(&mut ensemble.complaints);
        ensemble.reigns
    });
    complaints.extend(world.left_over());
    complaints.extend(stuck);
    complaints.extend(hosts.iter().filter_map(|host| host.panic().map(ToOwned::to_owned)));
    world.tell(quiet_ms, None, Event::Quiet);
    conclude(plan, world.entries, &world.truth, complaints, world.trace, (quiet_ms, reigns))
}

struct World<'a> {
    plan: &'a Plan,
    rng: Rng,
    queue: BTreeMap<(u64, u64), Happening>,
    number: u64,
    /// The one server there is, unless there is an ensemble.
    station: Station,
    /// When the last sync that a fault made slow is done.
    slow_sync_until_ms: u64,
    ensemble: Option<Ensemble<'a>>,
    /// The members that a fault has killed, by the number of the fault.
    killed: BTreeMap<usize, Vec<usize>>,
    wires: BTreeMap<u64, Wire>,
    arbiter: Arbiter,
    truth: Truth,
    handing: Handing<'a>,
    entries: Vec<Entry>,
    trace: Trace,
    /// Removals that their victims have not learned of, by attempt: the fault, and when it was.
    robbed: BTreeMap<u64, (u64, Option<u64>)>,
    complaints: Vec<String>,
    /// The attempts that were ever granted.
    granted: BTreeSet<u64>,
    /// The attempts of which the end was told.
    over: BTreeSet<u64>,
    /// What is for the processes after this window, by process.
    for_hosts: Vec<(usize, u64, Down)>,
    orders: Vec<(usize, Order)>,
}

/// Something that happens at some time.
enum Happening {
    /// Something comes to the server's machine on a connection.
    AtServer(Up),
    /// Something comes to the resource.
    AtResource {
        client: usize,
        number: u64,
        say: Say,
    },
    Told {
        client: usize,
        say: Say,
    },
    Tick {
        life: u32,
    },
    Synced {
        life: u32,
    },
    /// Something happens to an ensemble.
    Member(Turn),
    Begins(usize),
    Ends(usize),
}

/// What happens to a process at the end of a window.
enum Order {
    Stop { until_ms: u64, suspended: bool },
    Kill,
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, readable: bool) -> Self {
        let ms = std::time::Duration::from_millis;
        let longest_ms = plan.asked_ms.map_or(plan.tick_ms * 20, |_| plan.session_ms);
        let shape = Shape {
            tick: ms(plan.tick_ms),
            session_timeouts: (ms(plan.tick_ms * 2), ms(longest_ms)),
            reap_every: ms(5_000),
        };
        let mut world = World {
            plan,
            rng: Rng::with_seed(!plan.seed),
            queue: BTreeMap::new(),
            number: 0,
            station: Station::new(shape),
            slow_sync_until_ms: 0,
            ensemble: Ensemble::of(plan, shape),
            killed: BTreeMap::new(),
            wires: BTreeMap::new(),
            arbiter: Arbiter::default(),
            truth: Truth::new(plan.has_blurred_lines()),
            handing: Handing::new(plan),
            entries: Vec::new(),
            trace: Trace::new(readable),
            robbed: BTreeMap::new(),
            complaints: Vec::new(),
            granted: BTreeSet::new(),
            over: BTreeSet::new(),
            for_hosts: Vec::new(),
            orders: Vec::new(),
        };
        match world.ensemble {
            Some(_) => world.settle(0),
            None => world.will(plan.tick_ms / 4, Happening::Tick { life: 1 }),
        }
        for (number, fault) in plan.faults.iter().enumerate() {
            world.will(fault.at_ms, Happening::Begins(number));
        }
        world
    }

    /// Lets everything happen, until everybody is done and nothing is left, or far too late.
    fn live(&mut self) -> (Vec<Host>, u64) {
        let plan = self.plan;
        let mut hosts: Vec<_> = (0..plan.clients.len()).map(|at| Host::start(at, plan)).collect();
        let calm_ms = plan.calm_ms().max(plan.busy_ms);
        // Everybody in line, one after the other, and some recovery.
        let late_ms = calm_ms + 120_000 + 8 * plan.session_ms + plan.recovery_ms();
        let settle_ms = 2 * plan.session_ms + 3 * plan.tick_ms + 2_000 + plan.recovery_ms();
        let mut done_ms = None;
        let mut now_ms = 0;
        loop {
            let end_ms = now_ms + plan.window_ms();
            for (client, host) in hosts.iter_mut().enumerate() {
                let (sent, told) = host.run(end_ms);
                for (at_ms, say) in told {
                    self.will(at_ms, Happening::Told { client, say });
                }
                for (at_ms, up) in sent {
                    self.send_up(client, at_ms, up);
                }
            }
            while let Some(first) = self.queue.first_entry().filter(|first| first.key().0 < end_ms)
            {
                let (key, happening) = first.remove_entry();
                self.happen(key, happening);
            }
            self.hand_over(&mut hosts, end_ms);
            now_ms = end_ms;
            let is_done = |(at, host): (usize, &Host)| host.is_over() || plan.is_outcast(at);
            if hosts.iter().enumerate().all(is_done) && now_ms > plan.calm_ms() {
                if done_ms.is_none() {
                    self.outcasts_die(&mut hosts, now_ms);
                }
                let since_ms = *done_ms.get_or_insert(now_ms);
                if self.truth.paths().is_empty() || now_ms > since_ms + settle_ms {
                    return (hosts, now_ms);
                }
            }
            if now_ms > late_ms {
                return (hosts, now_ms);
            }
        }
    }

    /// Nobody needed those who are stopped or cut off for good; now they are killed, so that nobody waits for
    /// what they have asked.
    fn outcasts_die(&mut self, hosts: &mut [Host], now_ms: u64) {
        for (at, fault) in self.plan.faults.iter().enumerate() {
            let Some(client) = fault.what.client().filter(|_| fault.for_ms == FOREVER) else {
                continue;
            };
            hosts[client].kill();
            let id = (self.plan.faults.len() + at) as u64 + 1;
            let kind = Trouble::Kill(client).kind().to_owned();
            let client = u32::try_from(client).ok().map(|client| client + 1);
            self.tell(now_ms, None, Event::Fault { fault: id, kind, client });
            self.tell(now_ms, None, Event::Healed { fault: id });
        }
    }

    /// The places that are left although everybody is done, where the history does not tell of them.
    fn left_over(&self) -> Vec<String> {
        let paths = if self.plan.has_blurred_lines() { self.truth.paths() } else { Vec::new() };
        paths.into_iter().map(|path| format!("{path} is left over")).collect()
    }

    fn hand_over(&mut self, hosts: &mut [Host], now_ms: u64) {
        for (client, at_ms, down) in self.for_hosts.drain(..) {
            hosts[client].will_get(at_ms, down);
        }
        for (client, order) in self.orders.drain(..) {
            match order {
                Order::Stop { until_ms, suspended } => {
                    hosts[client].stop(now_ms, until_ms, suspended)
                }
                Order::Kill => hosts[client].kill(),
            }
        }
    }

    fn will(&mut self, at_ms: u64, happening: Happening) {
        self.number += 1;
        self.queue.insert((at_ms, self.number), happening);
    }

    fn happen(&mut self, (at_ms, number): (u64, u64), happening: Happening) {
        if let Some(until_ms) = self.stopped_until(&happening, at_ms) {
            // Under its old number, so that the order stays what it was.
            self.queue.insert((until_ms, number), happening);
            return;
        }
        let of_server = matches!(
            happening,
            Happening::AtServer(_) | Happening::Tick { .. } | Happening::Synced { .. }
        );
        if of_server
            && self.ensemble.is_none()
            && self.plan.any(at_ms, |what| *what == Trouble::PauseServer)
        {
            self.queue.insert((at_ms + 1, number), happening);
            return;
        }
        match happening {
            Happening::AtServer(up) => self.at_server(at_ms, up),
            Happening::AtResource { client, number, say } => {
                self.at_resource(at_ms, client, number, say);
            }
            Happening::Told { client, say } => {
                self.hear(at_ms, &say);
                self.write_down(at_ms, Some(client), say);
            }
            Happening::Tick { life } if life == self.station.life() => {
                if let Some(machine) = self.station.machine() {
                    let outcome = machine.tick(at_ms);
                    let shown = self.station.take(outcome);
                    self.show(at_ms, shown);
                }
                self.will(at_ms + (self.plan.tick_ms / 4).max(1), Happening::Tick { life });
            }
            Happening::Synced { life } if life == self.station.life() => {
                let shown = self.station.synced();
                self.show(at_ms, shown);
            }
            Happening::Tick { .. } | Happening::Synced { .. } => {}
            Happening::Member(turn) => self.at_ensemble(at_ms, |ensemble| {
                ensemble.happen(turn, at_ms);
            }),
            Happening::Begins(fault) => self.begins(at_ms, fault),
            Happening::Ends(fault) => self.ends(at_ms, fault),
        }
    }

    // ----- the network -----

    fn latency(&mut self, client: usize, at_ms: u64) -> u64 {
        let (from, to) = self.plan.latency_ms;
        self.rng.u64(from..=to.max(from)) + self.plan.slowness_ms(client, at_ms)
    }

    fn send_up(&mut self, client: usize, at_ms: u64, up: Up) {
        let (connection, lost) = match &up {
            Up::Access(..) => return self.ask_resource(client, at_ms, up),
            Up::Open(connection, server) => {
                self.wires.insert(*connection, Wire::new(client, *server));
                (*connection, false)
            }
            Up::Bytes(connection, _) => (*connection, true),
            Up::Close(connection) => (*connection, true),
        };
        let free_ms = self.plan.held_until(client, true, at_ms);
        let latency = self.latency(client, free_ms);
        let Some(wire) = self.wires.get_mut(&connection) else { return };
        if wire.broken || (lost && wire.up.swallows) {
            return;
        }
        let arrival_ms = wire.up.arrival(free_ms + latency);
        let Up::Bytes(_, bytes) = up else {
            return self.will(arrival_ms, Happening::AtServer(up));
        };
        for piece in self.pieces(bytes) {
            let later = if self.plan.splits { self.rng.u64(..3) } else { 0 };
            let Some(wire) = self.wires.get_mut(&connection) else { return };
            let arrival_ms = wire.up.arrival(arrival_ms + later);
            self.will(arrival_ms, Happening::AtServer(Up::Bytes(connection, piece)));
        }
    }

    fn send_down(&mut self, connection: u64, at_ms: u64, down: Down) {
        let Some(client) = self.wires.get(&connection).map(|wire| wire.client) else { return };
        let free_ms = self.plan.held_until(client, false, at_ms);
        let latency = self.latency(client, free_ms);
        let Some(wire) = self.wires.get_mut(&connection) else { return };
        if wire.broken || wire.down.swallows {
            return;
        }
        let arrival_ms = wire.down.arrival(free_ms + latency);
        let Down::Bytes(_, bytes) = down else {
            return self.for_hosts.push((client, arrival_ms, down));
        };
        for piece in self.pieces(bytes) {
            let later = if self.plan.splits { self.rng.u64(..3) } else { 0 };
            let Some(wire) = self.wires.get_mut(&connection) else { return };
            let arrival_ms = wire.down.arrival(arrival_ms + later);
            self.for_hosts.push((client, arrival_ms, Down::Bytes(connection, piece)));
        }
    }

    fn pieces(&mut self, mut bytes: Bytes) -> Vec<Bytes> {
        if !self.plan.splits || bytes.len() < 2 || self.rng.bool() {
            return vec![bytes];
        }
        let rest = bytes.split_off(self.rng.usize(1..bytes.len()));
        vec![bytes, rest]
    }

    /// Breaks a connection: what is on the way is lost, and both ends are told.
    fn break_off(&mut self, connection: u64, at_ms: u64) {
        let Some(wire) = self.wires.get_mut(&connection).filter(|wire| !wire.broken) else {
            return;
        };
        wire.broken = true;
        let client = wire.client;
        let (there, here) = (self.latency(client, at_ms), self.latency(client, at_ms));
        self.will(at_ms + there, Happening::AtServer(Up::Close(connection)));
        self.for_hosts.push((client, at_ms + here, Down::Closed(connection)));
    }

    fn connections_of(&self, client: usize) -> Vec<u64> {
        let of_client = self.wires.iter().filter(|(_, wire)| wire.client == client && !wire.broken);
        of_client.map(|(connection, _)| *connection).collect()
    }

    // ----- the server -----

    fn at_server(&mut self, at_ms: u64, up: Up) {
        let (Up::Open(connection, _) | Up::Bytes(connection, _) | Up::Close(connection)) = &up
        else {
            return;
        };
        let connection = *connection;
        let broken = self.wires.get(&connection).is_none_or(|wire| wire.broken);
        if broken && !matches!(up, Up::Close(_)) {
            return;
        }
        let refuses = self.plan.any(at_ms, |what| *what == Trouble::Refuse);
        if self.ensemble.is_some() {
            return match up {
                Up::Open(..) if refuses => {
                    self.send_down(connection, at_ms, Down::Refused(connection))
                }
                up => self.at_member(at_ms, connection, up),
            };
        }
        let Some(machine) = self.station.machine() else {
            return self.send_down(connection, at_ms, Down::Refused(connection));
        };
        let outcome = match up {
            Up::Open(..) if refuses => {
                return self.send_down(connection, at_ms, Down::Refused(connection));
            }
            Up::Open(..) => {
                let outcome = machine.opened(connection, at_ms);
                self.send_down(connection, at_ms, Down::Accepted(connection));
                outcome
            }
            Up::Bytes(_, bytes) if machine.knows(connection) => {
                let client = self.wires.get(&connection).map_or(0, |wire| wire.client as u64);
                let said =
                    || format!("client {} -> server: {}", client + 1, words::of_client(&bytes));
                self.trace.note(at_ms, &[1, connection], &bytes, said);
                machine.received(connection, &bytes, at_ms)
            }
            // It was on an earlier process, or was hung up on.
            Up::Bytes(..) => return self.send_down(connection, at_ms, Down::Closed(connection)),
            _ => {
                self.wires.remove(&connection);
                machine.closed(connection, at_ms)
            }
        };
        let shown = self.station.take(outcome);
        self.show(at_ms, shown);
    }

    fn show(&mut self, at_ms: u64, shown: Shown) {
        if shown.sync.is_some() {
            let (from, to) = self.plan.sync_ms;
            let slowness_ms = self.plan.sync_slowness_ms(at_ms);
            let due_ms = at_ms + self.rng.u64(from..=to.max(from)) + slowness_ms;
            if slowness_ms > 0 {
                self.slow_sync_until_ms = due_ms.max(self.slow_sync_until_ms);
            }
            let life = self.station.life();
            self.will(due_ms, Happening::Synced { life });
        }
        shown.durable.iter().for_each(|written| self.durable(at_ms, written));
        shown.sent.into_iter().for_each(|sent| self.show_one(at_ms, sent));
        if let Some(zxid) = self.station.waits_in_vain() {
            let complaint =
                format!("an answer waits for transaction {zxid:#x}, which is not written");
            if self.complaints.last() != Some(&complaint) {
                self.complaints.push(complaint);
            }
        }
    }

    fn show_one(&mut self, at_ms: u64, Sent { connection, bytes, .. }: Sent) {
        let down = match bytes {
            Some(bytes) => {
                let words =
                    || format!("server -> {}: {}", connection >> 32, words::of_server(&bytes));
                self.trace.note(at_ms, &[2, connection], &bytes, words);
                Down::Bytes(connection, bytes)
            }
            None => Down::Closed(connection),
        };
        self.send_down(connection, at_ms, down);
    }

    fn durable(&mut self, at_ms: u64, written: &Written) {
        self.handing.durable(written, at_ms);
        for event in self.truth.take(written, at_ms * 1_000_000) {
            self.tell(at_ms, None, event);
        }
    }

    // ----- the resource -----

    fn ask_resource(&mut self, client: usize, at_ms: u64, up: Up) {
        let Up::Access(number, say) = up else { return };
        // Mostly it is near, and now and then a packet takes long: that is what fences are for.
        let delay_ms = if self.rng.u8(..16) == 0 { self.rng.u64(100..3_000) } else { 10 };
        self.will(at_ms + delay_ms, Happening::AtResource { client, number, say });
    }

    fn at_resource(&mut self, at_ms: u64, client: usize, number: u64, say: Say) {
        let version = self.write_down(at_ms, Some(client), say);
        self.for_hosts.push((client, at_ms + self.plan.window_ms(), Down::Answer(number, version)));
    }

    // ----- the history -----

    fn tell(&mut self, at_ms: u64, client: Option<usize>, event: Event) {
        self.write_down(at_ms, client, Say::Event(event));
    }

    fn write_down(&mut self, at_ms: u64, client: Option<usize>, say: Say) -> Option<u64> {
        let client = client.map(|client| u32::try_from(client).unwrap_or(u32::MAX) + 1);
        let message = Message { client, own_ns: None, say };
        let taken = self.arbiter.take(message, at_ms * 1_000_000);
        let (entry, reply) = taken.expect("a simulated history is in order");
        let line = serde_json::to_vec(&entry.event).unwrap_or_default();
        let words = || format!("[{}] {client:?} {}", entry.seq, String::from_utf8_lossy(&line));
        self.trace.note(at_ms, &[3, u64::from(client.unwrap_or_default())], &line, words);
        self.entries.push(entry);
        match reply {
            Reply::Stamped { admitted: Some(true), version, .. } => version,
            _ => None,
        }
    }

    // ----- what goes wrong -----

    fn begins(&mut self, at_ms: u64, number: usize) {
        let fault = &self.plan.faults[number];
        let id = number as u64 + 1;
        if let Trouble::Remove(which) = fault.what {
            return self.remove(at_ms, id, which);
        }
        let is_too_late = at_ms >= fault.at_ms + fault.for_ms / 2;
        if let Trouble::KillServer { amid: true, .. } = fault.what
            && !(is_too_late || self.station.has_unsynced() || self.ensemble.is_some())
        {
            return self.will(at_ms + 1, Happening::Begins(number));
        }
        let kind = fault.what.kind().to_owned();
        let of = fault.what.client();
        let client = of.map(|client| u32::try_from(client).unwrap_or(u32::MAX) + 1);
        self.tell(at_ms, None, Event::Fault { fault: id, kind, client });
        match self.ensemble {
            Some(_) => self.befall_ensemble(at_ms, number),
            None => self.befall(at_ms, fault.end_ms(), fault.what),
        }
        if fault.for_ms == 0 {
            self.tell(at_ms, None, Event::Healed { fault: id });
        } else {
            self.will(fault.end_ms(), Happening::Ends(number));
        }
    }

    fn befall(&mut self, at_ms: u64, until_ms: u64, what: Trouble) {
        match what {
            Trouble::Cut(client) => {
                for connection in self.connections_of(client) {
                    self.break_off(connection, at_ms);
                }
            }
            Trouble::Swallow { client, up } => {
                for connection in self.connections_of(client) {
                    let wire = self.wires.get_mut(&connection);
                    wire.into_iter().for_each(|wire| wire.swallow(up));
                }
            }
            Trouble::Pause(client) => {
                self.orders.push((client, Order::Stop { until_ms, suspended: false }));
            }
            Trouble::Suspend(client) => {
                self.orders.push((client, Order::Stop { until_ms, suspended: true }));
            }
            Trouble::Kill(client) => {
                self.orders.push((client, Order::Kill));
                // Its system hangs up for it, unless the machine has died with it.
                if self.rng.bool() {
                    for connection in self.connections_of(client) {
                        self.break_off(connection, at_ms);
                    }
                }
            }
            Trouble::KillServer { kept, .. } => {
                for written in self.station.kill(kept) {
                    self.durable(at_ms, &written);
                }
                let all: Vec<u64> = self.wires.keys().copied().collect();
                all.into_iter().for_each(|connection| self.break_off(connection, at_ms));
            }
            Trouble::Hold { .. }
            | Trouble::Slow { .. }
            | Trouble::PauseServer
            | Trouble::Refuse
            | Trouble::SlowDisk(_)
            | Trouble::Remove(_)
            // Of an ensemble.
            | Trouble::KillMember { .. }
            | Trouble::PauseMember(_)
            | Trouble::CutOff { .. }
            | Trouble::Lag { .. } => {}
        }
    }

    fn ends(&mut self, at_ms: u64, number: usize) {
        let of_ensemble = self.ensemble.as_ref().map(|ensemble| ensemble.slow_sync_until_ms);
        let slow_until_ms = of_ensemble.unwrap_or(self.slow_sync_until_ms);
        if matches!(self.plan.faults[number].what, Trouble::SlowDisk(_)) && at_ms < slow_until_ms {
            // The store feels a slow disk for as long as a sync takes that was begun on it.
            return self.will(slow_until_ms, Happening::Ends(number));
        }
        let is_kill = |what: &Trouble| matches!(what, Trouble::KillServer { .. });
        let down = self.plan.any(at_ms, is_kill);
        if is_kill(&self.plan.faults[number].what) && !down && !self.station.is_up() {
            self.station.start(at_ms);
            let life = self.station.life();
            self.will(at_ms + 1, Happening::Tick { life });
        }
        self.start_killed(at_ms, number);
        self.tell(at_ms, None, Event::Healed { fault: number as u64 + 1 });
    }

    /// An operator deletes one of the places there are.
    fn remove(&mut self, at_ms: u64, fault: u64, which: u64) {
        // Who leads is asked of the store, which is right where the leader does not know yet.
        let is_meant = |path: &&String| {
            !(self.handing.is_shared(path) || path.starts_with("/e"))
                && self.truth.attempt_at(path).is_some()
        };
        let paths: Vec<&String> = self.truth.paths().into_iter().filter(is_meant).collect();
        let count = paths.len() as u64;
        let Some(path) = which.checked_rem(count).map(|at| paths[at as usize].clone()) else {
            return;
        };
        let Some(attempt) = self.truth.attempt_at(&path) else { return };
        let outcome = match (&mut self.ensemble, self.station.machine()) {
            (Some(ensemble), _) => {
                Outcome { written: ensemble.delete(&path, at_ms), ..Outcome::default() }
            }
            (None, Some(machine)) => machine.delete(&path, at_ms),
            (None, None) => return,
        };
        let gone = Done::Removed { path: path.clone() };
        if outcome.written.iter().any(|written| written.done.contains(&gone)) {
            let client = u32::try_from(attempt / 100_000).ok();
            let kind = Trouble::Remove(which).kind().to_owned();
            self.tell(at_ms, None, Event::Fault { fault, kind, client });
            if self.over.contains(&attempt) {
                // As when another of his leases was taken before: he has nothing to hear any more.
                self.tell(at_ms, None, Event::Healed { fault });
            } else {
                // Whoever waits learns of it when it would be his turn.
                let held_ms = self.granted.contains(&attempt).then_some(at_ms);
                self.robbed.insert(attempt, (fault, held_ms));
            }
        }
        // Also where the place was gone by then: the operator's session has come and gone all the same.
        if self.ensemble.is_some() {
            return self.settle(at_ms);
        }
        let shown = self.station.take(outcome);
        self.show(at_ms, shown);
    }

    /// Notes who holds. Whose place was removed knows it by now, if this is the end of his attempt.
    fn hear(&mut self, at_ms: u64, say: &Say) {
        let Say::Event(event) = say else { return };
        self.handing.hear(event, at_ms);
        if let Event::Granted { attempt, .. } = event {
            self.granted.insert(*attempt);
        }
        let is_end = matches!(
            event,
            Event::Lost { .. }
                | Event::Release { .. }
                | Event::Refused { .. }
                | Event::Unsure { .. }
                | Event::Cancel { .. }
        );
        let attempt = event.attempt().filter(|_| is_end);
        let Some(attempt) = attempt else { return };
        self.over.insert(attempt);
        if let Some((fault, held_ms)) = self.robbed.remove(&attempt) {
            self.tell(at_ms, None, Event::Healed { fault });
            if let Some(since_ms) = held_ms {
                self.judge_notice(attempt, since_ms, at_ms);
            }
        }
    }

    /// A holder whose place an operator deleted has to hear so soon, unless something else went wrong.
    fn judge_notice(&mut self, attempt: u64, since_ms: u64, told_ms: u64) {
        // The watch on its own place is set after 100 ms, and then there is one way, or another way and back.
        let bound_ms = 500 + 4 * self.plan.latency_ms.1 + 2 * self.plan.round_ms();
        let client = usize::try_from(attempt / 100_000).unwrap_or_default().saturating_sub(1);
        if told_ms > since_ms + bound_ms && self.plan.is_calm(client, since_ms, told_ms) {
            let late_ms = told_ms - since_ms;
            self.complaints.push(format!(
                "attempt {attempt} was told {late_ms} ms late that its place had been deleted"
            ));
        }
    }
}
