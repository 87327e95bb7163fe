//! How many connections there may be.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::core::Peer;
use crate::limits::Limits;
use crate::refusals::Limit;

/// The places there are, and who has them.
#[derive(Debug)]
pub(super) struct Places {
    total_max: usize,
    per_peer_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// One place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    /// Local connections are not counted by where they come from: they come from one user.
    address: Option<IpAddr>,
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            total_max: limits.connections_max,
            per_peer_max: limits.connections_per_peer_max,
            taken: Mutex::default(),
        }
    }

    /// A place, or what there are too many of.
    pub(super) fn take(self: &Arc<Self>, peer: Peer) -> Result<Place, Limit> {
        let address = match peer {
            Peer::Tcp(address) => Some(address.ip().to_canonical()),
            Peer::Process(_) | Peer::Local => None,
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.total >= self.total_max {
            return Err(Limit::Connections);
        }
        if let Some(address) = address {
            let count = taken.by_peer.entry(address).or_default();
            if *count >= self.per_peer_max {
                return Err(Limit::ConnectionsPerPeer);
            }
            *count += 1;
        }
        taken.total += 1;
        Ok(Place { places: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total -= 1;
        let Some(address) = self.address else { return };
        if let Some(count) = taken.by_peer.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                taken.by_peer.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_run_out_and_come_back() {
        let mut limits = Limits::default();
        (limits.connections_max, limits.connections_per_peer_max) = (3, 2);
        let places = Arc::new(Places::new(&limits));
        let peer = |last| Peer::Tcp(([10, 0, 0, last], 1).into());
        let first = places.take(peer(1)).unwrap();
        let _second = places.take(peer(1)).unwrap();
        assert_eq!(places.take(peer(1)).unwrap_err(), Limit::ConnectionsPerPeer);
        let _third = places.take(peer(2)).unwrap();
        assert_eq!(places.take(peer(3)).unwrap_err(), Limit::Connections);
        assert!(places.take(Peer::Local).is_err());
        drop(first);
        assert!(places.take(peer(1)).is_ok());
        assert!(places.take(Peer::Local).is_ok());
        assert_eq!(places.taken.lock().unwrap().by_peer.len(), 2);
    }

    #[test]
    fn one_process_may_have_ten_thousand_sessions_and_leave_room_for_others() {
        let places = Arc::new(Places::new(&Limits::default()));
        let peer = |last| Peer::Tcp(([10, 0, 0, last], 1).into());
        // While they come back after an outage, a server may still have what is left of some.
        let one: Vec<Place> = (0..12_000).map(|_| places.take(peer(1)).unwrap()).collect();
        let other: Vec<Place> = (0..5_000).map(|_| places.take(peer(2)).unwrap()).collect();
        assert_eq!(one.len() + other.len(), 17_000);
    }
}
