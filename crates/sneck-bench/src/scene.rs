//! A server and those who measure on it.

use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sneck_testkit::StartError;
use sneck_testkit::zookeeper::{Builder, Ensemble, Version};
use tokio::runtime::Runtime;

use crate::client::{Client, Kind};
use crate::raw::{Raw, SESSION_TIMEOUT_MS};

/// The lock's node of the bare sockets.
pub(crate) const RAW_DIR: &str = "/raw";

/// How the server runs, for people.
pub(crate) const CONFIGURATION: &str = "one standalone server on loopback, tick 2 s, heap 1 GiB, serial collector; \
                                        clients and server share the processors";

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Rounds of everything, many and short: what disturbs one of them disturbs both sides. Odd, so
    /// that there is a middle one.
    pub(crate) rounds: usize,
    /// Locks one after the other, in a round.
    pub(crate) locks: usize,
    /// Locks handed over, in a round.
    pub(crate) hand_offs: usize,
    /// Locks of each of many tasks, in a round.
    pub(crate) locks_each: usize,
    /// Locks before anything is measured, until the server's compiler has done its work.
    pub(crate) warm_up: usize,
}

impl Size {
    /// Less than a minute.
    pub(crate) const QUICK: Size =
        Size { rounds: 25, locks: 30, hand_offs: 15, locks_each: 4, warm_up: 1_500 };
    /// Less than five minutes.
    pub(crate) const FULL: Size =
        Size { rounds: 61, locks: 80, hand_offs: 40, locks_each: 10, warm_up: 8_000 };
}

/// Whether the server waits for the disk before it answers a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    NotWaitedFor,
    WaitedFor,
}

/// One standalone server, and clients with a session each.
#[derive(Debug)]
pub(crate) struct Scene {
    disk: Disk,
    /// Two, for hand-offs; all else is done with the first.
    pub(crate) raw: [Raw; 2],
    /// With two workers, two for hand-offs; then the one with a single thread.
    pub(crate) ours: [Client; 2],
    pub(crate) one_thread: Client,
    pub(crate) server: Ensemble,
    // The server's own traffic, if any, is on this one.
    _runtime: Runtime,
}

impl Scene {
    /// Starts the server and connects everybody.
    pub(crate) fn set(version: Version, disk: Disk) -> Result<Scene, Box<dyn std::error::Error>> {
        let runtime = Runtime::new()?;
        let server = runtime.block_on(builder(version, disk).start()).map_err(told)?;
        let addr = server.addr(0);
        let mut raw = [Raw::connect(addr)?, Raw::connect(addr)?];
        raw[0].make(RAW_DIR)?;
        let two_workers = || Client::connect(addr, Kind::TwoWorkers);
        let ours = [two_workers()?, two_workers()?];
        let one_thread = Client::connect(addr, Kind::OneThread)?;
        Ok(Scene { disk, raw, ours, one_thread, server, _runtime: runtime })
    }

    /// For tables.
    pub(crate) fn name(&self) -> &'static str {
        match self.disk {
            Disk::NotWaitedFor => "fsync off",
            Disk::WaitedFor => "fsync on",
        }
    }

    /// What sneck writes into a place, for the bare sockets to write the same.
    pub(crate) fn data(&self) -> String {
        let caller = sneck::Caller {
            since: "2026-11-01T00:00:00Z".to_owned(),
            ..self.ours[0].locks.caller().clone()
        };
        caller.to_string()
    }
}

fn builder(version: Version, disk: Disk) -> Builder {
    let timeout = Duration::from_millis(SESSION_TIMEOUT_MS.unsigned_abs().into());
    let builder = Builder::new(version)
        .tick_ms(2_000)
        .session_timeout_max(timeout)
        // Reaping costs whoever comes next one more round trip, which is not what is measured here.
        .container_check_interval(Duration::from_secs(3_600))
        .heap_mb(1_024)
        .optimised();
    match disk {
        Disk::NotWaitedFor => builder,
        Disk::WaitedFor => builder.sync_to_disk(),
    }
}

fn told(error: StartError) -> String {
    error.to_string()
}

/// The processor time that this process has used up so far, in its own code and in the system's.
pub(crate) fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// The floor under everything: a bare pair awaited one by one.
pub(crate) fn pair(raw: &mut Raw, data: &str) -> io::Result<()> {
    let path = raw.call(&crate::raw::place(RAW_DIR, data))?.created()?;
    raw.call(&crate::raw::delete(path)).map(drop)
}

/// What sneck does, on a bare socket: create and list sent together, then delete.
pub(crate) fn recipe(raw: &mut Raw, data: &str) -> io::Result<()> {
    raw.put(&crate::raw::place(RAW_DIR, data));
    raw.put(&crate::raw::list(RAW_DIR));
    raw.flush()?;
    let path = raw.frame()?.reply()?.created()?;
    raw.frame()?.reply()?;
    raw.call(&crate::raw::delete(path)).map(drop)
}
