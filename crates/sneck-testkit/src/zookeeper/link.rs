//! The servers' connections among themselves, cut at will and without a reset.
//!
//! Each ordered pair of servers has addresses of its own, `127.64.from.to`, that forward to the
//! second server. Each JVM gets a hosts file in which every other server's name leads there, so a
//! server also comes back through a link when it is told a peer's address by name.
//!
//! A cut link is a network that loses every packet: bytes stay where they are, sockets stay open,
//! new connections get no answer. When it heals, what waited arrives late, as TCP's repetition
//! would have it; connections opened during the cut are closed, as they would have timed out.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::background;

/// Which servers are cut off from all others.
type Isolated = BTreeSet<usize>;

/// All links of an ensemble.
#[derive(Debug)]
pub(super) struct Links {
    isolated: watch::Sender<Isolated>,
    accepting: Vec<JoinHandle<()>>,
}

impl Links {
    /// Opens a link for each ordered pair and each of the second server's ports.
    pub(super) fn open(ports: &[[u16; 2]]) -> io::Result<Links> {
        let (isolated, _) = watch::channel(Isolated::new());
        let mut links = Links { isolated, accepting: Vec::new() };
        for from in 0..ports.len() {
            for (to, &of_server) in ports.iter().enumerate().filter(|(to, _)| *to != from) {
                for port in of_server {
                    links.open_one(from, to, port)?;
                }
            }
        }
        Ok(links)
    }

    fn open_one(&mut self, from: usize, to: usize, port: u16) -> io::Result<()> {
        let listener = TcpListener::bind((address(from, to), port))?;
        listener.set_nonblocking(true)?;
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let ends = Ends { from, to, isolated: self.isolated.subscribe() };
        self.accepting.push(background::handle().spawn(accept(listener, target, ends)));
        Ok(())
    }

    pub(super) fn isolate(&self, server: usize) {
        self.isolated.send_modify(|isolated| {
            isolated.insert(server);
        });
    }

    pub(super) fn heal(&self, server: usize) {
        self.isolated.send_modify(|isolated| {
            isolated.remove(&server);
        });
    }

    pub(super) fn is_isolated(&self, server: usize) -> bool {
        self.isolated.borrow().contains(&server)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for task in &self.accepting {
            task.abort();
        }
    }
}

/// The address at which `from` reaches `to`.
pub(super) fn address(from: usize, to: usize) -> Ipv4Addr {
    let octet = |server: usize| u8::try_from(server + 1).expect("fewer than 255 servers");
    Ipv4Addr::new(127, 64, octet(from), octet(to))
}

#[derive(Debug, Clone)]
struct Ends {
    from: usize,
    to: usize,
    isolated: watch::Receiver<Isolated>,
}

impl Ends {
    fn is_cut(&self) -> bool {
        let isolated = self.isolated.borrow();
        isolated.contains(&self.from) || isolated.contains(&self.to)
    }

    /// Returns when the link is whole, or never once the ensemble is gone.
    async fn whole(&mut self) {
        let (from, to) = (self.from, self.to);
        let whole = |isolated: &Isolated| !isolated.contains(&from) && !isolated.contains(&to);
        if self.isolated.wait_for(whole).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, ends: Ends) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener");
    // Dropped with this task, which ends every connection.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.spawn(carry(stream, target, ends.clone()));
    }
}

async fn carry(near: TcpStream, target: SocketAddr, mut ends: Ends) {
    if ends.is_cut() {
        ends.whole().await;
        return;
    }
    // A server that is down refuses: dropping `near` tells the other side at once.
    let Ok(far) = TcpStream::connect(target).await else { return };
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    // Both directions, until each has seen its end or one of them fails.
    let _ = tokio::try_join!(
        pump(near_read, far_write, ends.clone()),
        pump(far_read, near_write, ends.clone()),
    );
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut ends: Ends,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await;
        // Also an end or a failure is news, and no news crosses a cut link.
        ends.whole().await;
        match length? {
            0 => return to.shutdown().await,
            length => to.write_all(&buffer[..length]).await?,
        }
    }
}
