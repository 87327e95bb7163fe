//! From the moment a holder is killed with -9 until the next in line has the lock.
//!
//! A library whose process is gone cannot release anything: its lock is free when its session times out.
//! `sneck run` leaves a guardian behind, and on `local:` the server notices by itself.

use std::fs::Permissions;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sneck::Progress;
use sneck_testkit::peer::{self, Recipe};
use sneck_testkit::zookeeper::Version;
use sneck_testkit::{StartError, curator, kazoo};
use tokio::runtime::Runtime;

use super::servers::{Server, Store};
use super::{Peer, beside};
use crate::client::{Client, Kind};
use crate::figure::Figure;

/// The least that a server with ticks of 2 s grants.
const SESSION_TIMEOUT: Duration = Duration::from_secs(4);
/// How long somebody may take to get in line.
const LONGEST: Duration = Duration::from_secs(30);

const WHAT: &str = "kill -9 of the holder until the next has it";
const SCENE: &str = "ZooKeeper, fsync on, sessions of 4 s";

/// In each round one of everybody's holders is killed. The crate `zookeeper-client` runs in this process, which
/// cannot be killed; its sessions time out like those of the others.
pub(super) fn measure(
    binary: &Path,
    version: Version,
    peers: &[Peer],
    rounds: usize,
) -> Result<Vec<Figure>, Box<dyn std::error::Error>> {
    let server = Server::start(Store::Standalone, binary, version)?;
    let on_zookeeper = format!("zk://{}?timeout={}ms", server.addr(), SESSION_TIMEOUT.as_millis());
    // A folder for this user alone is what `local:` asks for.
    let folder = tempfile::Builder::new()
        .prefix("sneck-bench-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()?;
    let on_local = format!("local:{}", folder.path().display());
    let peers: Vec<Peer> = peers.iter().copied().filter(|peer| name(*peer).is_some()).collect();
    let runtime = Runtime::new()?;
    let (mut ours, mut ours_on_local) = (Vec::new(), Vec::new());
    let mut theirs = vec![Vec::new(); peers.len()];
    for round in 0..rounds {
        ours.push(of_sneck(binary, &on_zookeeper, round)?);
        ours_on_local.push(of_sneck(binary, &on_local, round)?);
        for (peer, theirs) in peers.iter().zip(&mut theirs) {
            let path = format!("/killed/{peer:?}-{round}");
            let took = runtime.block_on(of_peer(*peer, &server.addr().to_string(), &path));
            theirs.push(took.map_err(|error| error.to_string())?);
        }
    }
    let names: Vec<&'static str> = peers.iter().copied().filter_map(name).collect();
    let mut figures = Vec::new();
    for (name, ours) in [("sneck run", ours), ("sneck run on local:", ours_on_local)] {
        let (names, rounds) = ([&[name], &names[..]].concat(), [&[ours], &theirs[..]].concat());
        figures.extend(beside(WHAT, "ms", SCENE, &names, &rounds));
    }
    Ok(figures)
}

/// The libraries that are measured, as they are called.
fn name(peer: Peer) -> Option<&'static str> {
    match peer {
        Peer::ZookeeperClient | Peer::Etcd => None,
        Peer::Curator => Some("Curator"),
        Peer::Kazoo => Some("kazoo"),
    }
}

/// A command under the lock, whose `sneck` is killed. In milliseconds.
fn of_sneck(binary: &Path, url: &str, round: usize) -> io::Result<f64> {
    let lock = format!("killed-{round}");
    let mut holder = Holder::start(binary, url, &lock)?;
    let next = Client::open(url, Kind::TwoWorkers)?;
    let (tell, told) = std::sync::mpsc::channel();
    let mutex = next.locks.mutex(&lock).on_progress(move |progress| {
        if let Progress::Waiting(_) = progress {
            // Whoever is told later than that has the lock already.
            let _ = tell.send(());
        }
    });
    let held = next.spawn(async move {
        let guard = mutex.lock().await?;
        let held = Instant::now();
        guard.unlock().await?;
        Ok(held)
    });
    told.recv_timeout(LONGEST).map_err(io::Error::other)?;
    let killed = Instant::now();
    holder.0.kill()?;
    let held = next.wait_for(held)?;
    Ok(held.saturating_duration_since(killed).as_secs_f64() * 1e3)
}

/// `sneck run` with a command that goes on until it is killed.
struct Holder(Child);

impl Holder {
    /// Returns once the command runs.
    fn start(binary: &Path, url: &str, lock: &str) -> io::Result<Holder> {
        let mut run = Command::new(binary);
        run.args(["--server", url, "run", lock, "--", "sh", "-c", "echo held; exec sleep 600"]);
        let child = run.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut holder = Holder(child);
        let stdout = holder.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        match line.trim_end() {
            "held" => Ok(holder),
            said => Err(io::Error::other(format!("the command does not run; it said {said:?}"))),
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Its command is ended by whoever ends the lock.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two processes of a library, of which the one that holds is killed. In milliseconds.
async fn of_peer(peer: Peer, addr: &str, path: &str) -> Result<f64, StartError> {
    let mut holder = start(peer, addr).await?;
    let mut next = start(peer, addr).await?;
    holder.acquire(Recipe::Lock, path).await;
    next.begin(Recipe::Lock, path);
    let began = Instant::now();
    while holder.queue(path).await.len() < 2 {
        assert!(began.elapsed() < LONGEST, "nobody has got in line at {path}");
    }
    let killed = Instant::now();
    holder.kill().await;
    next.held(path).await;
    let took = killed.elapsed();
    next.exit().await;
    Ok(took.as_secs_f64() * 1e3)
}

async fn start(peer: Peer, addr: &str) -> Result<peer::Peer, StartError> {
    match peer {
        Peer::Kazoo => kazoo::start(addr, SESSION_TIMEOUT, "bench").await,
        // Nobody else is measured.
        Peer::Curator | Peer::ZookeeperClient | Peer::Etcd => {
            curator::start(addr, SESSION_TIMEOUT).await
        }
    }
}
