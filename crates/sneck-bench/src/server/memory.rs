//! What the servers take in memory: doing nothing, and full.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::thread;

use bytes::Bytes;
use rustix::net::{AddressFamily, SocketType};
use sneck_wire::{Acl, CreateMode, NewNode, Request};

use super::contestant::Contestants;
use super::{DATA, Size, process};
use crate::open_files;
use crate::raw::{Raw, Stream};
use crate::reading::Reading;

/// Connections from one address, of which a server may take only so many.
const PER_ADDRESS: usize = 4_000;
/// Creations on the way at once.
const ON_THE_WAY: usize = 500;
/// Sessions that begin at once.
const HANDSHAKES: usize = 64;

/// Fills both servers, and reads what they have in use before and after. The servers must be new.
pub(crate) fn measure(both: &Contestants, size: Size) -> io::Result<Vec<Reading>> {
    open_files::allow_many()?;
    let mut readings = vec![reading("memory, idle".to_owned(), both)?];
    let addrs = [both.sneck.addr, both.apache.addr()];
    for addr in addrs {
        fill(addr, size.nodes)?;
    }
    readings.push(reading(format!("memory, with {} nodes", size.nodes), both)?);
    let (nodes, sessions) = (size.nodes, size.sessions);
    let what = format!("memory, with {nodes} nodes and {sessions} sessions, all connected");
    // One after the other, for this process may not have as many open files as both together.
    let ours = with_sessions(addrs[0], sessions, both.sneck.pid())?;
    let theirs = with_sessions(addrs[1], sessions, both.apache.pid()?)?;
    readings.push(Reading { what, unit: "MiB", ours: Some(ours), theirs: Some(theirs) });
    Ok(readings)
}

fn with_sessions(addr: SocketAddr, sessions: usize, pid: u32) -> io::Result<f64> {
    let connect = |at: usize| Raw::over(from(at / PER_ADDRESS, addr)?);
    // Each waits until its session is on the disk, which many can do at once.
    let connected = thread::scope(|scope| {
        let some = |first| (first..sessions).step_by(HANDSHAKES).map(connect).collect();
        let threads: Vec<_> =
            (0..HANDSHAKES).map(|first| scope.spawn(move || some(first))).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect::<io::Result<Vec<Vec<Raw>>>>()
    })?;
    let resident = process::resident_mib(pid);
    drop(connected);
    resident
}

fn reading(what: String, both: &Contestants) -> io::Result<Reading> {
    let ours = process::resident_mib(both.sneck.pid())?;
    let theirs = process::resident_mib(both.apache.pid()?)?;
    Ok(Reading { what, unit: "MiB", ours: Some(ours), theirs: Some(theirs) })
}

/// Creates persistent nodes, a thousand below each parent.
pub(crate) fn fill(addr: SocketAddr, nodes: usize) -> io::Result<()> {
    let mut raw = Raw::connect(addr)?;
    raw.make("/full")?;
    let mut unanswered = 0;
    for at in 0..nodes {
        let parent = format!("/full/{}", at / 1_000);
        if at % 1_000 == 0 {
            while unanswered > 0 {
                raw.frame()?.reply()?;
                unanswered -= 1;
            }
            raw.make(&parent)?;
        }
        raw.put(&Request::Create(NewNode {
            path: format!("{parent}/{at:08}"),
            data: Some(Bytes::from_static(DATA.as_bytes())),
            acl: Acl::open(),
            mode: CreateMode::Persistent,
        }));
        raw.flush()?;
        unanswered += 1;
        if unanswered == ON_THE_WAY {
            raw.frame()?.reply()?;
            unanswered -= 1;
        }
    }
    for _ in 0..unanswered {
        raw.frame()?.reply()?;
    }
    Ok(())
}

/// A connection from one of this machine's own addresses.
fn from(address: usize, to: SocketAddr) -> io::Result<Box<dyn Stream>> {
    let last = u8::try_from(address + 1).map_err(io::Error::other)?;
    let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0);
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &local)?;
    rustix::net::connect(&socket, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
