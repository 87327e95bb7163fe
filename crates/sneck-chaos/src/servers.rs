//! The servers under the locks: three of Apache's, one of sneck's own, one Redis, or one node of Cassandra.

mod foreign;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sneck_history::Store;
use sneck_testkit::embedded::Embedded;
use sneck_testkit::zookeeper::{Builder, Ensemble, Version};
use sneck_testkit::{StartError, cassandra, redis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// In which steps servers end sessions.
pub const TICK: Duration = Duration::from_millis(500);
/// Ticks a follower may lag behind before it or its leader gives up.
const SYNC_LIMIT: u32 = 4;
/// Far more than an election or a start takes, so that only a real failure reaches it.
const SETTLED_MAX: Duration = Duration::from_secs(600);
/// What a server that is stopped or starting is given to answer.
const ANSWER_MAX: Duration = Duration::from_millis(700);
const POLL: Duration = Duration::from_millis(50);
/// The node below which all locks of a campaign are, where locks are nodes.
pub const ROOT: &str = "/chaos";
/// Nodes of locks that are empty are reaped this often: the locks' parents vanish as in long use.
const REAP_EVERY: Duration = Duration::from_secs(2);

/// What keeps the locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// Three servers of Apache ZooKeeper.
    ZooKeeper,
    /// One server of sneck's.
    Embedded,
    /// One Redis, which syncs every command to its log.
    Redis,
    /// One node of Cassandra.
    Cassandra,
}

impl StoreKind {
    /// As histories call it.
    pub fn of_history(self) -> Store {
        match self {
            StoreKind::ZooKeeper => Store::ZooKeeper,
            StoreKind::Embedded => Store::Embedded,
            StoreKind::Redis => Store::Redis,
            StoreKind::Cassandra => Store::Cassandra,
        }
    }

    /// Whether it speaks ZooKeeper's protocol: locks are nodes, and holders have sessions.
    pub fn is_zookeeper(self) -> bool {
        matches!(self, StoreKind::ZooKeeper | StoreKind::Embedded)
    }

    /// Where locks are, for clients of sneck: `term` is that of a session or of a lease.
    pub fn url(self, hosts: &str, term: Duration) -> String {
        let ms = term.as_millis();
        match self {
            StoreKind::ZooKeeper | StoreKind::Embedded => {
                format!("zk://{hosts}{ROOT}?timeout={ms}ms&connect-timeout={ms}ms")
            }
            StoreKind::Redis => format!("redis://{hosts}?term={ms}ms&connect-timeout={ms}ms"),
            StoreKind::Cassandra => {
                format!(
                    "cassandra://{hosts}/chaos?create=keyspace&replicas=1&ttl={ms}ms&skew=100ms"
                )
            }
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreKind::ZooKeeper => "zookeeper",
            StoreKind::Embedded => "embedded",
            StoreKind::Redis => "redis",
            StoreKind::Cassandra => "cassandra",
        })
    }
}

/// Servers that run.
#[derive(Debug)]
pub enum Servers {
    /// Apache's.
    ZooKeeper(Ensemble),
    /// Sneck's own.
    Embedded(Embedded),
    /// Of Redis.
    Redis(redis::Servers),
    /// Of Cassandra.
    Cassandra(cassandra::Cluster),
}

/// What a server says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Whether it decides: the leader, or the only one.
    pub leads: bool,
    /// The newest transaction it knows.
    pub zxid: u64,
}

impl Told {
    /// The leadership that made the newest transaction, counted from the beginning of the ensemble.
    pub fn epoch(self) -> u64 {
        self.zxid >> 32
    }
}

impl Servers {
    /// Starts them. `program ADDRESS FOLDER tick=MS` is to be sneck's server.
    ///
    /// # Errors
    /// Where this machine has no Java, or they do not start.
    pub async fn start(kind: StoreKind, program: &Path) -> Result<Servers, StartError> {
        match kind {
            StoreKind::ZooKeeper => {
                let builder = Builder::new(Version::V3_9).nodes(3).links(true);
                let builder = builder.tick_ms(u32::try_from(TICK.as_millis()).unwrap_or(500));
                let builder = builder.sync_limit(SYNC_LIMIT).sync_to_disk();
                let builder = builder.container_check_interval(REAP_EVERY);
                builder.start().await.map(Servers::ZooKeeper)
            }
            StoreKind::Embedded => {
                let tick = format!("tick={}", TICK.as_millis());
                let reap = format!("reap={}", REAP_EVERY.as_millis());
                Embedded::start(program, [tick, reap]).await.map(Servers::Embedded)
            }
            StoreKind::Redis => foreign::redis().await.map(Servers::Redis),
            StoreKind::Cassandra => foreign::cassandra().await.map(Servers::Cassandra),
        }
    }

    /// Which kind they are of.
    pub fn kind(&self) -> StoreKind {
        match self {
            Servers::ZooKeeper(_) => StoreKind::ZooKeeper,
            Servers::Embedded(_) => StoreKind::Embedded,
            Servers::Redis(_) => StoreKind::Redis,
            Servers::Cassandra(_) => StoreKind::Cassandra,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Servers::ZooKeeper(ensemble) => ensemble.nodes(),
            Servers::Embedded(_) => 1,
            Servers::Redis(servers) => servers.len(),
            Servers::Cassandra(cluster) => cluster.nodes(),
        }
    }

    /// Where one listens.
    pub fn addr(&self, server: usize) -> SocketAddr {
        match self {
            Servers::ZooKeeper(ensemble) => ensemble.addr(server),
            Servers::Embedded(embedded) => embedded.as_ensemble().addr(server),
            Servers::Redis(servers) => servers.addr(server),
            Servers::Cassandra(cluster) => cluster.addr(server),
        }
    }

    /// Where all listen.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        (0..self.count()).map(|server| self.addr(server)).collect()
    }

    /// The process of one, while it runs.
    pub fn pid(&self, server: usize) -> Option<u32> {
        match self {
            Servers::ZooKeeper(ensemble) => ensemble.pid(server),
            Servers::Embedded(embedded) => embedded.pid(),
            Servers::Redis(servers) => servers.pid(server),
            Servers::Cassandra(cluster) => cluster.pid(server),
        }
    }

    /// Kills one with -9, be it running or not, and returns when it is gone.
    pub async fn kill(&self, server: usize) {
        match self {
            Servers::ZooKeeper(ensemble) => ensemble.kill(server).await,
            Servers::Embedded(embedded) => embedded.kill().await,
            Servers::Redis(servers) => servers.kill(server),
            Servers::Cassandra(cluster) => cluster.kill(server).await,
        }
    }

    /// Starts one that was killed, on the data it left.
    pub async fn start_again(&self, server: usize) {
        match self {
            Servers::ZooKeeper(ensemble) => ensemble.start_server(server).await,
            Servers::Embedded(embedded) => embedded.start_again(),
            Servers::Redis(servers) => servers.start_server(server),
            Servers::Cassandra(cluster) => cluster.start_node(server).await,
        }
    }

    /// Sends a signal to one.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, server: usize, signal: Signal) -> io::Result<()> {
        let pid = self.pid(server).and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.ok_or_else(|| io::Error::other(format!("server {server} does not run")))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Cuts one off from the others, or ends that.
    pub async fn cut_off(&self, server: usize, is_cut: bool) {
        if let Servers::ZooKeeper(ensemble) = self {
            match is_cut {
                true => ensemble.isolate(server).await,
                false => ensemble.heal(server).await,
            }
        }
    }

    /// What one says of itself, if it serves.
    pub async fn told(&self, server: usize) -> Option<Told> {
        let addr = self.addr(server);
        let serves = match self.kind() {
            StoreKind::ZooKeeper | StoreKind::Embedded => {
                let answer = ask(addr, "srvr").await.ok()?;
                return told(&answer);
            }
            StoreKind::Redis => foreign::redis_serves(addr).await,
            StoreKind::Cassandra => foreign::cassandra_serves(addr).await,
        };
        // The only one there is.
        serves.then_some(Told { leads: true, zxid: 0 })
    }

    /// Kills one with -9 and starts it again without what it had on its disk.
    ///
    /// # Errors
    /// Where it is not known what that is, or it cannot be deleted.
    pub async fn lose_data(&self, server: usize) -> Result<(), String> {
        let Servers::Redis(servers) = self else {
            return Err(format!("it is not known where {} has its data", self.kind()));
        };
        servers.kill(server);
        servers.forget(server).map_err(|error| error.to_string())?;
        servers.start_server(server);
        Ok(())
    }

    /// The server that decides just now, and what it says.
    pub async fn leader(&self) -> Option<(usize, Told)> {
        let mut leader: Option<(usize, Told)> = None;
        for server in 0..self.count() {
            let told = self.told(server).await.filter(|told| told.leads);
            if let Some(told) = told
                // One that was stopped may believe for a moment that it still leads.
                && leader.is_none_or(|(_, other)| other.epoch() < told.epoch())
            {
                leader = Some((server, told));
            }
        }
        leader
    }

    /// The servers that follow just now.
    pub async fn followers(&self) -> Vec<usize> {
        let mut followers = Vec::new();
        for server in 0..self.count() {
            if self.told(server).await.is_some_and(|told| !told.leads) {
                followers.push(server);
            }
        }
        followers
    }

    /// Returns when all of them serve and one leads.
    ///
    /// # Errors
    /// When that does not come true in minutes.
    pub async fn settled(&self) -> Result<(), String> {
        let give_up = Instant::now() + SETTLED_MAX;
        loop {
            let mut told = Vec::new();
            for server in 0..self.count() {
                told.push(self.told(server).await);
            }
            let leaders = told.iter().flatten().filter(|told| told.leads).count();
            if told.iter().all(Option::is_some) && leaders == 1 {
                return Ok(());
            }
            if Instant::now() > give_up {
                return Err(format!("the servers do not settle in {SETTLED_MAX:?}: {told:?}"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The sessions that the server which decides keeps, if it tells them.
    pub async fn sessions(&self, leader: usize) -> Option<BTreeSet<String>> {
        if !self.kind().is_zookeeper() {
            return None;
        }
        let dump = ask(self.addr(leader), "dump").await.ok()?;
        sessions(&dump)
    }
}

/// Asks one question of four letters.
///
/// # Errors
/// When no whole answer comes in time.
pub async fn ask(addr: SocketAddr, word: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(word.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(ANSWER_MAX, exchange).await;
    answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn told(srvr: &str) -> Option<Told> {
    let line = |begins: &str| srvr.lines().find_map(|line| line.strip_prefix(begins));
    let leads = match line("Mode: ")?.trim() {
        "leader" | "standalone" => true,
        "follower" => false,
        _ => return None,
    };
    let zxid = line("Zxid: 0x")?.trim();
    Some(Told { leads, zxid: u64::from_str_radix(zxid, 16).ok()? })
}

/// Only a server that decides lists sessions by when they expire; others know them from hearsay.
fn sessions(dump: &str) -> Option<BTreeSet<String>> {
    let (tracked, _) = dump.split_once("ephemeral nodes dump")?;
    if !tracked.contains("Session Sets") {
        return None;
    }
    let words = tracked.split_whitespace().filter(|word| word.starts_with("0x"));
    Some(words.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_tells_whether_it_leads_and_since_which_election() {
        let srvr = "Zookeeper version: 3.9\nZxid: 0x30000002a\nMode: leader\nNode count: 5\n";
        let leader = told(srvr).unwrap();
        assert!(leader.leads && leader.epoch() == 3);
        assert!(!told(&srvr.replace("leader", "follower")).unwrap().leads);
        assert_eq!(told("This ZooKeeper instance is not currently serving requests\n"), None);
    }

    #[test]
    fn sessions_are_believed_of_the_one_that_tracks_them() {
        let dump = "SessionTracker dump:\nSession Sets (2)/(2):\n0 expire at Thu\n2 expire at Fri:\n\
                    \t0x1000f\n\t0x2000e\nephemeral nodes dump:\nSessions with Ephemerals (1):\n0x3:\n";
        let known: Vec<String> = sessions(dump).unwrap().into_iter().collect();
        assert_eq!(known, ["0x1000f", "0x2000e"]);
        assert_eq!(sessions(&dump.replace("Session Sets", "Global Sessions")), None);
    }
}
