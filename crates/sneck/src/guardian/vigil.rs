//! What a guardian knows and does, as a pure state machine.
//!
//! ```text
//!  Watching --owner dies--> Killing --> Waiting --nobody is left--> Ending --> Over
//!      |                       no child acts for it ------------------^         ^
//!      +--- all was given back, or what acts for it is not known ---------------+
//! ```

use super::message::{Message, Url};
use sneck_core::mutant;
use sneck_zookeeper::SessionTicket;

/// A guardian.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    store: Option<Url>,
    ticket: Option<SessionTicket>,
    children: Children,
    phase: Phase,
}

/// Who acts for the owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Children {
    #[default]
    Nobody,
    /// Somebody may, and it is not known who.
    Unknown,
    Group(i32),
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Watching,
    Killing(i32),
    Waiting(i32),
    Ending,
    Over,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Read what the owner tells, until it dies.
    Listen,
    /// Kill this group.
    Kill(i32),
    /// See whether anybody of this group lives.
    Look(i32),
    /// End the session.
    End(&'a Url, &'a SessionTicket),
    /// There is nothing left to be done.
    Stop,
}

impl Vigil {
    pub(super) fn next(&self) -> Step<'_> {
        match (&self.phase, &self.store, &self.ticket) {
            (Phase::Watching, ..) => Step::Listen,
            (Phase::Killing(group), ..) => Step::Kill(*group),
            (Phase::Waiting(group), ..) => Step::Look(*group),
            (Phase::Ending, Some(store), Some(ticket)) => Step::End(store, ticket),
            (Phase::Ending | Phase::Over, ..) => Step::Stop,
        }
    }

    /// After how long the servers have ended the session by themselves.
    pub(super) fn timeout(&self) -> std::time::Duration {
        self.ticket.as_ref().map_or(std::time::Duration::ZERO, SessionTicket::timeout)
    }

    /// The owner has told something.
    pub(super) fn told(&mut self, message: Message) {
        if self.phase != Phase::Watching {
            return;
        }
        match message {
            Message::Store(store) => self.store = Some(store),
            Message::Session(ticket) => self.ticket = Some(ticket),
            Message::Starting => self.children = Children::Unknown,
            Message::Group(group) => self.children = Children::Group(group),
            Message::Ended => self.children = Children::Nobody,
            Message::Done => self.phase = Phase::Over,
        }
    }

    /// The owner has told something that is not understood, and that may have been of anything.
    pub(super) fn puzzled(&mut self) {
        self.children = Children::Unknown;
    }

    /// The owner is dead.
    pub(super) fn owner_died(&mut self) {
        if self.phase == Phase::Watching {
            self.phase = match self.children {
                Children::Nobody => Phase::Ending,
                Children::Group(group) => Phase::Killing(group),
                // The servers wait for longer than whoever it is can go on unseen.
                Children::Unknown => Phase::Over,
            };
        }
    }

    /// The group has been sent what nobody survives.
    pub(super) fn killed(&mut self) {
        if let Phase::Killing(group) = self.phase {
            self.phase = match mutant!("a-session-ends-before-the-group-is-dead") {
                true => Phase::Ending,
                false => Phase::Waiting(group),
            };
        }
    }

    /// Whether anybody of the group lives.
    pub(super) fn looked(&mut self, lives: bool) {
        if let (Phase::Waiting(_), false) = (&self.phase, lives) {
            self.phase = Phase::Ending;
        }
    }

    /// The session has ended.
    pub(super) fn ended(&mut self) {
        self.phase = Phase::Over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watching() -> Vigil {
        let mut vigil = Vigil::default();
        vigil.told(Message::Store(Url("zk://a".to_owned())));
        vigil.told(Message::Session("1 00 4000".parse().unwrap()));
        vigil
    }

    fn ends(vigil: &Vigil) -> bool {
        matches!(vigil.next(), Step::End(Url(url), ticket) if url == "zk://a" && ticket.id() == 1)
    }

    #[test]
    fn a_session_is_ended_when_its_owner_is_dead_and_not_before() {
        let mut vigil = watching();
        vigil.killed();
        vigil.looked(false);
        assert_eq!(vigil.next(), Step::Listen);
        vigil.owner_died();
        assert!(ends(&vigil));
        vigil.ended();
        assert_eq!(vigil.next(), Step::Stop);
    }

    #[test]
    fn a_session_is_ended_when_the_group_is_dead_and_not_before() {
        let mut vigil = watching();
        vigil.told(Message::Starting);
        vigil.told(Message::Group(7));
        vigil.owner_died();
        vigil.looked(false);
        assert_eq!(vigil.next(), Step::Kill(7), "what was seen before the kill is no news");
        vigil.killed();
        for _ in 0..3 {
            assert_eq!(vigil.next(), Step::Look(7));
            vigil.looked(true);
        }
        vigil.looked(false);
        assert!(ends(&vigil));
    }

    #[test]
    fn nothing_is_ended_while_it_is_not_known_who_acts_for_the_owner() {
        for puzzled in [false, true] {
            let mut vigil = watching();
            if puzzled {
                vigil.puzzled()
            } else {
                vigil.told(Message::Starting)
            }
            vigil.owner_died();
            assert_eq!(vigil.next(), Step::Stop);
        }
    }

    #[test]
    fn what_was_given_back_is_not_ended_again() {
        let mut vigil = watching();
        vigil.told(Message::Group(7));
        vigil.told(Message::Ended);
        vigil.told(Message::Done);
        vigil.owner_died();
        assert_eq!(vigil.next(), Step::Stop);
    }

    #[test]
    fn the_last_session_is_the_one_that_is_ended() {
        let mut vigil = Vigil::default();
        vigil.owner_died();
        assert_eq!(vigil.next(), Step::Stop, "there was none");
        let mut vigil = watching();
        vigil.told(Message::Session("2 00 4000".parse().unwrap()));
        vigil.owner_died();
        assert!(matches!(vigil.next(), Step::End(_, ticket) if ticket.id() == 2));
    }
    #[cfg(feature = "mutants")]
    #[test]
    fn deliberate_bugs_are_noticed() {
        use sneck_core::mutants::assert_noticed;
        let waits = a_session_is_ended_when_the_group_is_dead_and_not_before;
        assert_noticed("a-session-ends-before-the-group-is-dead", waits);
    }
}
