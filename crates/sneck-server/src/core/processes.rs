//! Sessions whose process has ended: on a Unix socket the server need not wait for their time.
//!
//! A session belongs to the process that has connected it last. When that process has ended and the
//! connection with it, nobody can come back for the session, and it ends at once. A connection that
//! merely breaks ends nothing; neither does a process that has handed its open connection on, to a
//! child for instance, for then somebody else may live by the session.

use super::{ConnectionId, Core, Effects, Now};

/// Names a process, as long as the server runs. It is no number of the system's, which would be given
/// to another process some day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ProcessId(pub(crate) u64);

impl Core {
    /// A process has ended, and so has what it did not hand on.
    pub(super) fn process_ended(&mut self, process: ProcessId, now: Now, effects: &mut Effects) {
        for session in self.sessions.left_by(process) {
            self.close_session(session, now, effects);
        }
    }

    /// A process has ended, and a connection of it goes on: it is somebody else's by now.
    pub(super) fn handed_on(&mut self, connection: ConnectionId) {
        if let Some(session) = self.connections.get(&connection).and_then(|known| known.session) {
            self.sessions.belongs_to(session, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Client, World};
    use super::super::password::password;
    use super::super::{Input, Peer};
    use super::*;

    const ONE: ProcessId = ProcessId(1);
    const OTHER: ProcessId = ProcessId(2);

    fn connect(world: &mut World, process: ProcessId) -> Client {
        let connection = world.open(Peer::Process(process));
        let session = world.greet(connection, 0, b"").unwrap().session_id;
        Client { connection, session }
    }

    fn resume(world: &mut World, session: i64, peer: Peer) -> ConnectionId {
        let connection = world.open(peer);
        let greeting = world.greet(connection, session, &password(session)).unwrap();
        assert_eq!(greeting.session_id, session);
        connection
    }

    fn lives(world: &World, session: i64) -> bool {
        world.core.sessions.get(session).is_some()
    }

    #[test]
    fn a_session_ends_with_its_process_and_not_with_its_connection() {
        let mut world = World::new();
        let (mine, others) = (connect(&mut world, ONE), connect(&mut world, OTHER));
        world.input(Input::Closed { connection: mine.connection });
        assert!(lives(&world, mine.session), "the process may come back");
        world.input(Input::ProcessEnded { process: ONE });
        assert!(!lives(&world, mine.session) && lives(&world, others.session));
    }

    #[test]
    fn the_last_process_is_the_one_that_counts() {
        let mut world = World::new();
        let mine = connect(&mut world, ONE);
        world.input(Input::Closed { connection: mine.connection });
        let now = resume(&mut world, mine.session, Peer::Process(OTHER));
        world.input(Input::ProcessEnded { process: ONE });
        world.input(Input::Closed { connection: now });
        world.input(Input::ProcessEnded { process: ONE });
        assert!(lives(&world, mine.session));
        // Over TCP nobody knows which process it is.
        let now = resume(&mut world, mine.session, Peer::Local);
        world.input(Input::Closed { connection: now });
        world.input(Input::ProcessEnded { process: OTHER });
        assert!(lives(&world, mine.session));
    }

    #[test]
    fn a_connection_that_outlives_its_process_keeps_the_session_for_its_time() {
        let mut world = World::new();
        let mine = connect(&mut world, ONE);
        world.input(Input::HandedOn { connection: mine.connection });
        world.input(Input::ProcessEnded { process: ONE });
        world.input(Input::Closed { connection: mine.connection });
        assert!(lives(&world, mine.session));
        world.pass(5_000);
        assert!(!lives(&world, mine.session), "its time is over");
    }

    #[test]
    fn a_moved_session_is_not_ended_by_the_connection_it_was_on() {
        let mut world = World::new();
        let mine = connect(&mut world, ONE);
        let now = resume(&mut world, mine.session, Peer::Process(OTHER));
        world.input(Input::HandedOn { connection: mine.connection });
        world.input(Input::Closed { connection: mine.connection });
        world.input(Input::ProcessEnded { process: ONE });
        world.input(Input::Closed { connection: now });
        world.input(Input::ProcessEnded { process: OTHER });
        assert!(!lives(&world, mine.session));
    }
}
