//! A client under test: a process that takes locks with the library as its users do, and tells the
//! arbiter of all it does. Made of as little code as possible, as what it does not tell is not judged.
//!
//! Commands come a line at a time, and so do the answers:
//!
//! | command | answer | |
//! |---|---|---|
//! | | `ready` | it has a connection and begins |
//! | `session` | `session ID`, or `session -` | the session it has just now |
//! | `clock ahead MS`, `clock rate PERMILLE` | | its clock leaps, or runs at another rate |
//! | `drain` | `drained` | every call has come to its end, and no new one is made |
//! | `probe` | `probed` | it takes all permits, and gives them back |
//! | `exit` | `bye` | the connection is closed |

mod clock;
mod held;
mod lane;
mod ledger;

use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use sneck::guardian::Guardian;
use sneck::zookeeper::{ZooKeeper, ZooKeeperUrl};
use sneck::{Backend, Error, Limits, Locks, Sharing};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::orders::{Orders, Share};
use clock::WarpedClock;
use lane::{Lane, TURNS_MAX};
use ledger::Ledger;

/// The one argument that makes the program the guardian of a worker.
pub const GUARDIAN: &str = "guardian";
/// Between two tries to connect while no server answers.
const CONNECT_PAUSE: Duration = Duration::from_millis(200);
/// A wake-up that got lost would be hidden by a waiter that soon asks by itself: longer than the bound
/// that histories set.
const RECHECK: Duration = Duration::from_secs(60);

/// What all lanes of a worker share.
#[derive(Clone)]
struct Connection {
    locks: Locks,
    backend: Arc<dyn Backend>,
    /// The store, where it is one with sessions.
    zookeeper: Option<ZooKeeper>,
    clock: Arc<WarpedClock>,
}

/// Works until it is told to exit, or nobody is left to tell it.
///
/// # Errors
/// When the arbiter or whoever started it is gone.
pub async fn run(orders: Orders) -> std::io::Result<()> {
    // A worker that was stopped would not notice that its standard input has ended.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    let clock = Arc::new(WarpedClock::new());
    let connection = tokio::select! {
        connection = connect(&orders, &clock) => connection,
        // Nothing is asked of a worker before it is ready, but to go.
        _ = commands.next_line() => return Ok(()),
    };
    let guarded = connection.zookeeper.as_ref().filter(|_| orders.guarded);
    let guardian = guarded.map(|zookeeper| guard(zookeeper, &orders)).transpose()?;
    let shared = shared(&connection, orders.sharing);
    let ledger = Ledger::open(&orders)?;
    say("ready")?;
    let (drain, draining) = watch::channel(false);
    let mut lanes = JoinSet::new();
    for number in 0..orders.lanes {
        let (connection, shared) = (connection.clone(), shared.clone());
        let lane = Lane::new(number, &orders, ledger.another()?, connection, shared);
        lanes.spawn(lane.run(draining.clone()));
    }
    drop(shared);
    let plain = connection.locks.clone();
    let prober = Lane::new(orders.lanes, &orders, ledger, connection.clone(), plain);
    obey(&mut commands, &connection, lanes, &drain, prober).await?;
    connection.locks.close().await;
    drop(guardian);
    say("bye")
}

/// Starts a process that ends our sessions when we have died.
fn guard(zookeeper: &ZooKeeper, orders: &Orders) -> std::io::Result<Guardian> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(GUARDIAN);
    Guardian::start(zookeeper, &orders.url, command).map_err(std::io::Error::other)
}

/// Locks whose places are shared in this way, with nobody but their clones.
fn shared(connection: &Connection, share: Share) -> Locks {
    // Nobody who shares nothing keeps their line.
    let locks = make_locks(&connection.backend, &connection.clock);
    let mut sharing = match share {
        Share::No => return locks,
        Share::Coalescing => Sharing::coalescing(),
        Share::Sticky => Sharing::sticky(),
    };
    sharing.turns = TURNS_MAX;
    locks.with_sharing(sharing)
}

async fn connect(orders: &Orders, clock: &Arc<WarpedClock>) -> Connection {
    loop {
        match try_connect(orders, clock).await {
            Ok(connection) => return connection,
            // A worker may be started while no server serves.
            Err(_) => tokio::time::sleep(CONNECT_PAUSE).await,
        }
    }
}

async fn try_connect(orders: &Orders, clock: &Arc<WarpedClock>) -> Result<Connection, Error> {
    let (backend, zookeeper) = open(&orders.url, clock).await?;
    let locks = make_locks(&backend, clock);
    Ok(Connection { locks, backend, zookeeper, clock: clock.clone() })
}

/// The store of a URL, which goes by the same clock as its locks: deadlines are computed on one and read on the other.
async fn open(
    url: &str,
    clock: &Arc<WarpedClock>,
) -> Result<(Arc<dyn Backend>, Option<ZooKeeper>), Error> {
    #[cfg(feature = "redis")]
    if url.starts_with("redis") {
        let mut options = sneck::redis::RedisOptions::parse(url)?;
        options.clock = clock.clone();
        return Ok((Arc::new(sneck::redis::Redis::connect(options).await?), None));
    }
    #[cfg(feature = "cassandra")]
    if url.starts_with("cassandra") {
        let mut url = sneck::cassandra::CassandraUrl::parse(url)?;
        url.options.clock = clock.clone();
        return Ok((Arc::new(sneck::cassandra::Cassandra::connect(url.options).await?), None));
    }
    let mut url = ZooKeeperUrl::parse(url)?;
    url.session.clock = clock.clone();
    let zookeeper = ZooKeeper::connect(url.session, url.lock).await?;
    Ok((Arc::new(zookeeper.clone()), Some(zookeeper)))
}

fn make_locks(backend: &Arc<dyn Backend>, clock: &Arc<WarpedClock>) -> Locks {
    let mut limits = Limits::default();
    limits.recheck = RECHECK;
    Locks::on(backend.clone()).with_clock(clock.clone()).with_limits(limits)
}

async fn obey(
    commands: &mut Lines<BufReader<Stdin>>,
    connection: &Connection,
    mut lanes: JoinSet<()>,
    drain: &watch::Sender<bool>,
    mut prober: Lane,
) -> std::io::Result<()> {
    let mut is_drained = false;
    loop {
        let command = tokio::select! {
            command = commands.next_line() => command?,
            () = ended(&mut lanes), if *drain.borrow() && !is_drained => {
                is_drained = true;
                say("drained")?;
                continue;
            }
        };
        let Some(command) = command else { return Ok(()) };
        let words: Vec<&str> = command.split(' ').collect();
        match words[..] {
            ["session"] => {
                say(&format!("session {}", connection.session().await.as_deref().unwrap_or("-")))?
            }
            ["clock", "ahead", ms] => {
                connection.clock.leap(Duration::from_millis(ms.parse().unwrap_or(0)));
            }
            ["clock", "rate", permille] => {
                connection.clock.run_at(permille.parse().unwrap_or(1_000))
            }
            ["drain"] => {
                drain.send_replace(true);
            }
            ["probe"] => {
                prober.take_all_permits().await;
                say("probed")?;
            }
            ["exit"] => return Ok(()),
            _ => return Err(std::io::Error::other(format!("no command is called {command:?}"))),
        }
    }
}

async fn ended(lanes: &mut JoinSet<()>) {
    while let Some(lane) = lanes.join_next().await {
        // A lane that panicked has judged itself; its attempts stay open and are found by the judge.
        drop(lane);
    }
}

impl Connection {
    /// The session that locks are taken on just now, as the server names it; none while there is none.
    async fn session(&self) -> Option<String> {
        const OPENING_MAX: Duration = Duration::from_millis(200);
        self.session_within(OPENING_MAX).await
    }

    /// The same, if it is there and need not be opened first.
    async fn session_now(&self) -> Option<String> {
        self.session_within(Duration::ZERO).await
    }

    async fn session_within(&self, most: Duration) -> Option<String> {
        let session = tokio::time::timeout(most, self.zookeeper.as_ref()?.session()).await;
        session.ok()?.ok().map(|session| format!("{:#x}", session.id()))
    }
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
