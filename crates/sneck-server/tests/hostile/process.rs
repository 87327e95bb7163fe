//! A server in a process of its own, so that its memory can be looked at.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sneck_server::{Limit, Limits, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::SOON;

/// Tells the child that it is one, and its limits.
const CHILD: &str = "SNECK_TEST_HOSTILE";
/// Tells the child where its socket belongs.
const SOCKET: &str = "SNECK_TEST_HOSTILE_SOCKET";
const SAYS: &str = "listens on ";

/// A server; it ends with this.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Process {
    /// A server with these limits, and the default of all others.
    pub(crate) fn start(limits: &[(Limit, usize)]) -> Process {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("private/socket");
        let limits: Vec<_> = limits.iter().map(|(limit, n)| format!("{limit}={n}")).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["process::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, limits.join(","))
            .env(SOCKET, &socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let said = out.lines().map_while(Result::ok).find_map(|line| {
            line.split_once(SAYS).map(|(_, address)| address.parse().expect("an address"))
        });
        Process { child, address: said.expect("it listens"), socket, _folder: folder }
    }

    /// Resident memory in kilobytes.
    pub(crate) fn resident_kb(&self) -> usize {
        self.status("VmRSS:")
    }

    /// The most resident memory it ever had, in kilobytes.
    pub(crate) fn peak_kb(&self) -> usize {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> usize {
        crate::status_kb(&self.child.id().to_string(), name)
    }

    /// A figure of `mntr`.
    pub(crate) async fn figure(&self, name: &str) -> usize {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(b"mntr").await.unwrap();
        let mut text = String::new();
        timeout(SOON, stream.read_to_string(&mut text)).await.expect("an answer").unwrap();
        let mut lines = text.lines().filter_map(|line| line.split_once('\t'));
        let value = lines.find_map(|(key, value)| (key == name).then_some(value));
        value.expect("a figure").trim().parse().expect("a number")
    }

    /// How often something was refused at a limit.
    pub(crate) async fn refused_at(&self, limit: Limit) -> usize {
        self.figure(&format!("zk_sneck_refused_at_{limit}")).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As many descriptors as we are let have, as `serve` does it.
pub(crate) fn allow_many_connections() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("within our limit");
    maximum.map_or(usize::MAX, |maximum| usize::try_from(maximum).unwrap_or(usize::MAX))
}

/// What the child does; of itself it is no test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(said), Some(socket)) = (std::env::var(CHILD), std::env::var_os(SOCKET)) else { return };
    allow_many_connections();
    let mut limits = Limits::default();
    for (name, n) in said.split(',').filter_map(|pair| pair.split_once('=')) {
        let limit = Limit::ALL.iter().find(|limit| limit.name() == name).expect("a limit");
        set(&mut limits, *limit, n.parse().expect("a number"));
    }
    let builder = Server::builder().listen(([127, 0, 0, 1], 0).into()).limits(limits);
    let builder = builder.socket(Path::new(&socket)).tick(Duration::from_secs(1));
    let server = builder.start().await.expect("a free port");
    writeln!(io::stdout().lock(), "{SAYS}{}", server.connect_string()).unwrap();
    panic!("{}", server.failed().await);
}

fn set(limits: &mut Limits, limit: Limit, n: usize) {
    let field = match limit {
        Limit::FrameBytes => &mut limits.frame_bytes_max,
        Limit::RequestBytes => &mut limits.request_bytes_max,
        Limit::Connections => &mut limits.connections_max,
        Limit::ConnectionsPerPeer => &mut limits.connections_per_peer_max,
        Limit::OutboxBytes => &mut limits.outbox_bytes_max,
        Limit::BacklogBytes => &mut limits.backlog_bytes_max,
        Limit::ReplyBytes => &mut limits.reply_bytes_max,
        Limit::Sessions => &mut limits.sessions_max,
        Limit::Watches => &mut limits.watches_max,
        Limit::WatchesPerConnection => &mut limits.watches_per_connection_max,
        Limit::WatchBytes => &mut limits.watch_bytes_max,
        Limit::WatchBytesPerConnection => &mut limits.watch_bytes_per_connection_max,
        Limit::TreeBytes => &mut limits.tree_bytes_max,
        Limit::EphemeralsPerSession => &mut limits.ephemerals_per_session_max,
        Limit::HandshakeTimeout => {
            limits.handshake_timeout = Duration::from_secs(u64::try_from(n).unwrap());
            return;
        }
        other => panic!("{other} is left as it is in these tests"),
    };
    *field = n;
}
