//! What has to be so, told from what the server has and not from what clients believe of it.
//!
//! Who has to wait is said here once more, in another way than in what is shipped.

use sneck_core::Mode;

use crate::client::{Client, Doing};
use crate::setting::Setting;
use crate::world::{DIR, World};

/// The nodes whose children are places or permits.
pub(crate) const ROOMS: [&str; 3] = [DIR, LINE, PERMITS];
const LINE: &str = "/l/locks";
const PERMITS: &str = "/l/leases";

/// The nodes above places, for clients of these modes.
pub(crate) fn parents(modes: &[Mode]) -> &'static [&'static str] {
    match modes.first() {
        Some(Mode::Permits(_)) => &ROOMS,
        _ => &[DIR],
    }
}

/// Nobody holds the lock beside one who holds it alone, and permits are no more than there are. Whose place
/// an operator has deleted may believe in it for a while.
pub(crate) fn excludes(_: &Setting, world: &World) -> bool {
    let holders: Vec<&Client> = world
        .clients
        .iter()
        .map(|client| &**client)
        .filter(|client| client.believes().is_some() && !client.robbed)
        .collect();
    let alone = |client: &&Client| matches!(client.mode, Mode::Exclusive | Mode::Write);
    if holders.iter().any(alone) {
        return holders.len() == 1;
    }
    let (mut taken, mut there_are) = (0, u32::MAX);
    for client in holders {
        if let Mode::Permits(permits) = client.mode {
            taken += permits.take().get();
            there_are = permits.of().get();
        }
    }
    taken <= there_are
}

/// When nothing is on the way, whoever waits has somebody ahead who keeps it waiting.
pub(crate) fn is_served(_: &Setting, world: &World) -> bool {
    if !world.is_quiet() {
        return true;
    }
    let waits = |client: &&std::sync::Arc<Client>| client.doing == Doing::Waiting;
    // Whose place was taken away learns of it when it asks again.
    world.clients.iter().filter(waits).all(|client| client.robbed || is_kept_waiting(client, world))
}

fn is_kept_waiting(client: &Client, world: &World) -> bool {
    let mut line = match client.mode {
        Mode::Permits(_) => world.server().children(LINE),
        _ => world.places(),
    };
    // By number, as a writer who became a reader has another node in the same place. Where two have one
    // number, the first that came is the first.
    line.sort_by_key(|(node, _)| number(node));
    let Some(own) = line.iter().position(|(node, _)| client.claim.owns(node)) else { return false };
    match client.mode {
        Mode::Shared => line[..own].iter().any(|(node, _)| !node.contains("__READ__")),
        Mode::Permits(permits) if own == 0 => {
            let taken = world.server().children(PERMITS).len();
            taken + permits.take().get() as usize > permits.of().get() as usize
        }
        _ => own > 0,
    }
}

/// A claim has one place in line at most, and no more permits than it takes.
pub(crate) fn is_single(_: &Setting, world: &World) -> bool {
    world.clients.iter().all(|client| {
        let of = |room| {
            let nodes = world.server().children(room);
            nodes.iter().filter(|(node, _)| client.claim.owns(node)).count()
        };
        let permits = match client.mode {
            Mode::Permits(permits) => permits.take().get() as usize,
            _ => 0,
        };
        of(DIR) <= 1 && of(LINE) <= 1 && of(PERMITS) <= permits
    })
}

/// The number at the end of a node's name.
fn number(node: &str) -> u32 {
    let digits = node.len().saturating_sub(10);
    node.get(digits..).and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX)
}

/// When nothing is on the way, every node is that of somebody who waits or holds.
pub(crate) fn is_clean(_: &Setting, world: &World) -> bool {
    if !world.is_quiet() {
        return true;
    }
    let is_in_use = |node: &str| {
        world.clients.iter().any(|client| client.doing != Doing::Resting && client.claim.owns(node))
    };
    world.nodes().iter().all(|(node, _)| {
        let is_room = ROOMS.iter().any(|room| room.rsplit('/').next() == Some(node.as_str()));
        is_room || is_in_use(node)
    })
}
