//! What locks of each library put on the wire, counted by a proxy in a run of its own.

use std::io;

use sneck_testkit::proxy::{Counts, Proxy};

use super::contestant::Contestant;
use super::servers::{Server, Store};
use super::{Peer, connect, sneck_locks};
use crate::reading::Reading;

/// Locks one after the other, and by both and by all of those in line.
const LOCKS: usize = 400;

/// What is counted of a library.
#[derive(Debug)]
struct Traffic {
    /// Of a lock with its unlock: requests, bytes to the server, bytes back.
    alone: [f64; 3],
    /// Requests for each lock, between two sessions and among eight.
    in_line: [f64; 2],
}

/// Ours and theirs, one peer after the other.
pub(super) fn measure(peers: &[Peer], server: &Server) -> io::Result<Vec<Reading>> {
    let proxy = Proxy::start(server.addr())?;
    let ours = count(&proxy, &mut sneck_locks::SneckLocks::connect(proxy.addr())?)?;
    let mut readings = Vec::new();
    for peer in peers.iter().filter(|peer| peer.is_on(Store::Quick)) {
        let proxy = Proxy::start(server.addr())?;
        let Some(mut peer) = connect(*peer, proxy.addr())? else { continue };
        let (theirs, name) = (count(&proxy, peer.as_mut())?, peer.name());
        let mut put = |what: &str, unit, ours, theirs| {
            let what = format!("{what}; theirs is {name}");
            readings.push(Reading { what, unit, ours: Some(ours), theirs: Some(theirs) });
        };
        let [requests, up, down] = ours.alone;
        put("requests of lock + unlock", "", requests, theirs.alone[0]);
        put("to the server for lock + unlock", "bytes", up, theirs.alone[1]);
        put("from the server for lock + unlock", "bytes", down, theirs.alone[2]);
        put("requests of a hand-off between 2 sessions", "", ours.in_line[0], theirs.in_line[0]);
        put("requests of a hand-off among 8 sessions", "", ours.in_line[1], theirs.in_line[1]);
    }
    Ok(readings)
}

fn count(proxy: &Proxy, one: &mut dyn Contestant) -> io::Result<Traffic> {
    // The first ones may have to make the nodes above, and to connect.
    one.one_after_another(1)?;
    one.in_line(8, 1)?;
    let each = |count: u64| count as f64 / LOCKS as f64;
    proxy.forget_traffic();
    one.one_after_another(LOCKS)?;
    let counts = proxy.counts();
    let Counts { request_bytes, reply_bytes, .. } = counts;
    let alone = [counts.requests_but_pings(), request_bytes, reply_bytes].map(each);
    let mut in_line = [0.0; 2];
    for (requests, sessions) in in_line.iter_mut().zip([2, 8]) {
        proxy.forget_traffic();
        one.in_line(sessions, LOCKS / sessions)?;
        *requests = each(proxy.counts().requests_but_pings());
    }
    Ok(Traffic { alone, in_line })
}
