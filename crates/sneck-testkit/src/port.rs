//! Loopback ports that stay ours while the server behind them is down.
//!
//! Binding to port 0 is not enough: such a port lies in the range the kernel gives to outgoing
//! connections, so while a killed server is down any client on this machine may get it, even by
//! connecting to itself. These ports lie below that range, and a name in the abstract socket
//! space, held as long as the port is leased, keeps other test processes off them.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The lowest port handed out; well-known services live below.
const PORT_MIN: u16 = 10_000;
/// One past the highest, where the kernel's outgoing range does not start earlier.
const PORT_END: u16 = 32_000;

/// A port on loopback, reserved until dropped.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _claim: Claim,
}

impl Port {
    /// Reserves a port nobody listens on.
    pub(crate) fn lease() -> io::Result<Port> {
        let span = end_of_range() - PORT_MIN;
        for _ in 0..span {
            let number = PORT_MIN + next_offset() % span;
            let Ok(claim) = claim(number) else { continue };
            // The listener is closed at once: the claim keeps other leases away, and the kernel
            // gives this number to nobody who did not ask for it by name.
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Port { number, _claim: claim });
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "every port below the outgoing range is taken",
        ))
    }

    /// The number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

/// Walks the range from a start that differs between processes, so that parallel test processes
/// seldom try the same number.
fn next_offset() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() as u16).wrapping_mul(97);
    start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn end_of_range() -> u16 {
    let outgoing = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse::<u16>().ok());
    match outgoing {
        // A range that leaves us less than this is not worth avoiding.
        Some(low) if low > PORT_MIN + 1_000 => low.min(PORT_END),
        _ => PORT_END,
    }
}

#[cfg(target_os = "linux")]
type Claim = std::os::unix::net::UnixDatagram;

/// An abstract name goes away with its holder, whatever ends it; a lock file would stay behind.
#[cfg(target_os = "linux")]
fn claim(number: u16) -> io::Result<Claim> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let name = SocketAddr::from_abstract_name(format!("sneck-testkit-port-{number}"))?;
    UnixDatagram::bind_addr(&name)
}

#[cfg(not(target_os = "linux"))]
type Claim = ();

#[cfg(not(target_os = "linux"))]
fn claim(_number: u16) -> io::Result<Claim> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_distinct_and_free() {
        let ports: Vec<Port> = (0..50).map(|_| Port::lease().unwrap()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
        for number in numbers {
            TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        }
    }
}
