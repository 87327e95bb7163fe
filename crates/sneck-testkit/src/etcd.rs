//! A real etcd on loopback, and a Go program that takes locks with etcd's own library, to be measured.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::go::Source;
use crate::janitor::{Janitor, Piped, Process};
use crate::peer::Peer;
use crate::port::Port;
use crate::skip::{StartError, Unavailable};
use crate::soon::SOON;

/// The backend's name in skips and in `SNECK_REQUIRE`.
pub const BACKEND: &str = "etcd";

const PROGRAM: Source = Source { folder: "go-etcd", name: "etcd-peer", backend: BACKEND };
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// One server that waits for the disk. Dropping it kills the server by pid and removes its data.
#[derive(Debug)]
pub struct Server {
    // The process is dropped before the folder it works in, and the ports last.
    process: Process,
    janitor: Janitor,
    clients: Port,
    _peers: Port,
}

impl Server {
    /// Starts a server on an empty folder, and returns when it takes connections.
    ///
    /// # Errors
    ///
    /// [`StartError::Unavailable`] where this machine has no etcd; [`StartError::Failed`], with the log of
    /// the server, for all else.
    pub async fn start() -> Result<Server, StartError> {
        let version = Command::new(BACKEND).arg("--version").stdout(Stdio::null()).status();
        if !version.is_ok_and(|status| status.success()) {
            let reason = "etcd is not installed; Debian has it in etcd-server".to_owned();
            return Err(Unavailable { backend: BACKEND, reason }.into());
        }
        let janitor = Janitor::new("sneck-etcd-")?;
        let (clients, peers) = (Port::lease()?, Port::lease()?);
        let url = |port: &Port| format!("http://127.0.0.1:{}", port.number());
        let args = [
            "--data-dir=data".to_owned(),
            format!("--listen-client-urls={}", url(&clients)),
            format!("--advertise-client-urls={}", url(&clients)),
            format!("--listen-peer-urls={}", url(&peers)),
            format!("--initial-advertise-peer-urls={}", url(&peers)),
            format!("--initial-cluster=default={}", url(&peers)),
        ];
        let log = janitor.folder().join("log");
        let process = janitor.spawn(BACKEND, args, &log, Piped::No)?;
        let mut server = Server { process, janitor, clients, _peers: peers };
        server.serving().await?;
        Ok(server)
    }

    /// Where clients find it.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.clients.number()))
    }

    async fn serving(&mut self) -> Result<(), StartError> {
        let give_up = Instant::now() + SOON;
        while TcpStream::connect(self.addr()).await.is_err() {
            if Instant::now() > give_up || self.process.try_wait()?.is_some() {
                let log = std::fs::read_to_string(self.janitor.folder().join("log"));
                let log = log.unwrap_or_default();
                return Err(StartError::Failed(format!("etcd does not serve; it logged:\n{log}")));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// Starts a peer, a Go process, and returns when it has a session whose lease lives for so long. It only does
/// what is measured: `cycle`, `many`, `crowd` and `contend`.
///
/// # Errors
///
/// [`StartError::Unavailable`] where this machine has no Go, or no modules and no way to fetch them, and
/// [`StartError::Failed`] when it gets no session.
pub async fn peer(server: &Server, time_to_live: Duration) -> Result<Peer, StartError> {
    let program = tokio::task::spawn_blocking(|| PROGRAM.build()).await;
    let program = program.expect("building does not panic")?;
    let args = [server.addr().to_string(), time_to_live.as_secs().to_string()];
    Peer::start("etcd", program.into(), args.map(Into::into)).await
}
