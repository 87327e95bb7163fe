//! A line inside a process against what must be true of it, whatever happens in whatever order.

use super::line::{Arrival, End, LocalLine, Ticket, TurnId};
use super::sharing::Sharing;
use crate::clock::Instant;
use proptest::prelude::*;
use std::time::Duration;

/// What happens; which one it happens to is taken modulo how many there are.
#[derive(Clone, Copy, Debug)]
enum Event {
    Arrive {
        keep: bool,
        once: bool,
    },
    Cancel(usize),
    End(usize, bool),
    /// A hold of a place that is no more ends.
    EndStale(usize),
    Granted,
    /// An answer for a place that is asked for no longer.
    GrantedLate,
    Refused,
    Over,
    Outside,
    Revoked,
    Detach(usize),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let which = || 0..64_usize;
    prop_oneof![
        6 => any::<(bool, bool)>().prop_map(|(keep, once)| Event::Arrive { keep, once }),
        2 => which().prop_map(Event::Cancel),
        6 => (which(), any::<bool>()).prop_map(|(which, keep)| Event::End(which, keep)),
        1 => which().prop_map(Event::EndStale),
        4 => Just(Event::Granted),
        1 => Just(Event::GrantedLate),
        1 => Just(Event::Refused),
        1 => Just(Event::Over),
        2 => Just(Event::Outside),
        1 => Just(Event::Revoked),
        1 => which().prop_map(Event::Detach),
        2 => (0..40_u64).prop_map(Event::Pass),
    ]
}

const HAND_ONS: u32 = 3;
const SPAN: Duration = Duration::from_millis(50);
const TURNS: u32 = 9;

fn sharing(keep: bool) -> Sharing {
    Sharing { keep, hand_ons: HAND_ONS, span: SPAN, turns: TURNS }
}

/// What is true of the world around the line.
struct World {
    line: LocalLine,
    together: bool,
    now: Instant,
    /// The place that the store holds for us, or is asked for.
    held: Option<u64>,
    asked: Option<u64>,
    waiting: Vec<Ticket>,
    holders: Vec<TurnId>,
    stale: Vec<TurnId>,
    last: Option<TurnId>,
    /// Since when somebody is known to wait outside, and how many holds have begun since.
    outside: Option<(Instant, u32)>,
    revoked: bool,
}

impl World {
    fn new(together: bool) -> Self {
        World {
            line: LocalLine::new(together, 0),
            together,
            now: Instant::from_nanos(1),
            held: None,
            asked: None,
            waiting: Vec::new(),
            holders: Vec::new(),
            stale: Vec::new(),
            last: None,
            outside: None,
            revoked: false,
        }
    }

    /// A hold begins.
    fn begins(&mut self, turn: TurnId) {
        assert_eq!(self.held, Some(turn.place), "a hold of a place that is not held");
        assert!(self.together || self.holders.is_empty(), "a second holder");
        let order = |turn: TurnId| (turn.place, turn.turn);
        assert!(self.last.is_none_or(|last| order(last) < order(turn)), "a token that repeats");
        assert!(turn.turn < TURNS, "more holds of one place than it may have");
        if let (Some((since, hand_ons)), true) = (&mut self.outside, turn.turn > 0) {
            *hand_ons += 1;
            assert!(*hand_ons <= HAND_ONS, "handed on too often while somebody waits outside");
            assert!(self.now.since(*since) < SPAN, "handed on for too long");
            assert!(!self.revoked, "handed on although it was asked back");
        }
        self.last = Some(turn);
        self.holders.push(turn);
    }

    fn came_up(&mut self, ticket: Ticket, turn: TurnId) {
        assert_eq!(self.waiting.first(), Some(&ticket), "somebody was overtaken");
        self.waiting.remove(0);
        self.begins(turn);
    }

    fn given_back(&mut self) {
        assert!(self.holders.is_empty(), "given back while somebody holds it");
        assert!(self.held.take().is_some(), "given back twice");
        (self.outside, self.revoked) = (None, false);
    }

    fn asks(&mut self, place: Option<u64>) {
        let Some(place) = place else { return };
        assert!(self.held.is_none() && self.asked.is_none(), "two places at a time");
        assert!(!self.waiting.is_empty(), "asked for nobody");
        self.asked = Some(place);
    }

    fn is_over(&mut self, told: Vec<Ticket>) {
        assert_eq!(told, std::mem::take(&mut self.waiting), "all who wait are told");
        (self.held, self.asked, self.outside, self.revoked) = (None, None, None, false);
        self.stale.append(&mut self.holders);
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrive { keep, once } => self.arrive(&sharing(keep), once),
            Event::Cancel(which) if !self.waiting.is_empty() => {
                let ticket = self.waiting.remove(which % self.waiting.len());
                let stop = self.line.cancel(ticket);
                assert_eq!(stop, self.asked.is_some() && self.waiting.is_empty());
                if stop {
                    self.asked = None;
                }
            }
            Event::End(which, keep) if !self.holders.is_empty() => {
                let turn = self.holders.remove(which % self.holders.len());
                self.ends(turn, keep);
            }
            Event::EndStale(which) if !self.stale.is_empty() => {
                let turn = self.stale.remove(which % self.stale.len());
                assert_eq!(self.line.end(turn, self.now, &sharing(true)), End::Nothing);
            }
            Event::Granted => self.granted(),
            Event::GrantedLate => {
                let late = self.asked.unwrap_or(1).wrapping_sub(1);
                assert_eq!(self.line.granted(late), None, "a place nobody asks for");
            }
            Event::Refused => self.refused(),
            Event::Over => {
                if let Some(place) = self.held.or(self.asked) {
                    let told = self.line.over(place);
                    self.is_over(told);
                }
            }
            Event::Outside | Event::Revoked => self.wanted(matches!(event, Event::Revoked)),
            Event::Detach(which) if !self.together && !self.holders.is_empty() => {
                let turn = self.holders.remove(which % self.holders.len());
                let ask = self.line.detach(turn).expect("it holds the place");
                self.given_back();
                self.asks(ask);
                assert_eq!(self.line.detach(turn), None, "the place has left");
            }
            Event::Pass(millis) => self.now = self.now + Duration::from_millis(millis),
            Event::Cancel(_) | Event::End(..) | Event::EndStale(_) | Event::Detach(_) => {}
        }
        self.is_sound();
    }

    fn arrive(&mut self, sharing: &Sharing, once: bool) {
        if let Some(turn) = self.line.enter(self.now, sharing) {
            assert!(self.waiting.is_empty(), "somebody was overtaken");
            return self.begins(turn);
        }
        let others = !self.holders.is_empty() || !self.waiting.is_empty();
        assert_eq!(self.line.is_taken(), others);
        if once && others {
            return;
        }
        match self.line.arrive(self.now, sharing) {
            Arrival::Granted(turn) => panic!("{turn:?} could not be entered a moment ago"),
            Arrival::Waits { ticket, ahead, ask } => {
                assert_eq!(ahead, self.waiting.len() + usize::from(!self.holders.is_empty()));
                self.waiting.push(ticket);
                assert_eq!(self.line.ahead(ticket), ahead);
                if ask.is_some() && self.held.is_some() {
                    self.given_back();
                }
                self.asks(ask);
            }
        }
    }

    fn ends(&mut self, turn: TurnId, keep: bool) {
        match self.line.end(turn, self.now, &sharing(keep)) {
            End::Nothing if self.holders.is_empty() => {
                assert!(keep, "kept although nobody wanted that");
                assert!(self.waiting.is_empty(), "kept while somebody inside waits");
                assert!(self.outside.is_none(), "kept while somebody outside waits");
            }
            End::Nothing => {}
            End::HandOn(ticket, turn) => self.came_up(ticket, turn),
            End::GiveBack { ask } => {
                self.given_back();
                self.asks(ask);
            }
        }
    }

    fn granted(&mut self) {
        let Some(place) = self.asked.take() else { return };
        self.held = Some(place);
        let turns = self.line.granted(place).expect("somebody waits for it");
        assert!(self.together || turns.len() == 1);
        for (ticket, turn) in turns {
            self.came_up(ticket, turn);
        }
        assert!(!self.together || self.waiting.is_empty(), "readers come in together");
    }

    fn refused(&mut self) {
        let (Some(place), Some(first)) = (self.asked, self.waiting.first().copied()) else {
            return;
        };
        self.asked = None;
        self.waiting.remove(0);
        let ask = self.line.refused(place, first);
        self.asks(ask);
    }

    fn wanted(&mut self, revoked: bool) {
        let Some(place) = self.held else { return };
        let at_once = match revoked {
            true => self.line.revoked(place, self.now),
            false => self.line.outside(place, self.now),
        };
        assert_eq!(at_once, self.holders.is_empty(), "kept while somebody outside waits");
        if at_once {
            self.given_back();
        } else {
            self.outside.get_or_insert((self.now, 0));
            self.revoked |= revoked;
        }
    }

    fn is_sound(&self) {
        assert_eq!(self.line.held(), self.held);
        let in_vain = self.asked.is_none() && self.holders.is_empty();
        assert!(self.waiting.is_empty() || !in_vain, "somebody waits for nothing");
        assert_eq!(self.line.first(), self.waiting.first().copied());
        let nothing = self.held.is_none() && self.asked.is_none() && self.waiting.is_empty();
        assert_eq!(self.line.is_done(), nothing);
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_line_is_sound(
        together in any::<bool>(),
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut world = World::new(together);
        for event in events {
            world.happens(event);
        }
    }
}

#[test]
fn a_place_is_handed_on_until_the_bound_and_then_given_back() {
    let mut world = World::new(false);
    for _ in 0..8 {
        world.happens(Event::Arrive { keep: true, once: false });
    }
    world.happens(Event::Granted);
    world.happens(Event::Outside);
    for left in [6, 5, 4] {
        world.happens(Event::End(0, true));
        assert_eq!((world.waiting.len(), world.holders.len()), (left, 1));
    }
    world.happens(Event::End(0, true));
    assert_eq!((world.held, world.asked), (None, Some(2)), "a new place, behind those outside");
}

#[test]
fn a_reader_that_comes_late_waits_for_the_next_place() {
    let mut world = World::new(true);
    world.happens(Event::Arrive { keep: false, once: false });
    world.happens(Event::Granted);
    world.happens(Event::Arrive { keep: false, once: false });
    assert_eq!(world.holders.len(), 2, "readers join");
    world.happens(Event::Outside);
    world.happens(Event::Pass(60));
    world.happens(Event::Arrive { keep: false, once: false });
    assert_eq!((world.holders.len(), world.waiting.len()), (2, 1), "not past a writer for ever");
    world.happens(Event::End(0, false));
    world.happens(Event::End(0, false));
    assert_eq!(world.asked, Some(2));
}

/// A line's next place is asked for and granted: the first hold of it.
fn first_turn(line: &mut LocalLine, sharing: &Sharing) -> TurnId {
    let Arrival::Waits { ask: Some(place), .. } = line.arrive(NOW, sharing) else {
        panic!("there is a place already")
    };
    line.granted(place).unwrap()[0].1
}

const NOW: Instant = Instant::from_nanos(1);

#[test]
fn a_place_that_somebody_outside_wants_is_not_kept() {
    let (mut line, sticky) = (LocalLine::new(false, 0), Sharing::sticky());
    let turn = first_turn(&mut line, &sticky);
    assert_eq!(line.end(turn, NOW, &sticky), End::Nothing, "kept");
    assert!(line.outside(turn.place, NOW), "given back at once, as nobody holds it");
    assert_eq!(line.held(), None);
    let turn = first_turn(&mut line, &sticky);
    assert!(!line.outside(turn.place, NOW), "at the end of the hold");
    assert_eq!(line.end(turn, NOW, &sticky), End::GiveBack { ask: None });
}

#[test]
fn those_inside_hold_one_after_the_other_in_their_order() {
    let (mut line, sharing) = (LocalLine::new(false, 0), Sharing::coalescing());
    let mut turn = first_turn(&mut line, &sharing);
    let mut came = Vec::new();
    for ahead in 1..=3 {
        let Arrival::Waits { ticket, ahead: told, ask: None } = line.arrive(NOW, &sharing) else {
            panic!("somebody else holds the place")
        };
        assert_eq!(told, ahead);
        came.push(ticket);
    }
    for ticket in came {
        let End::HandOn(next, on) = line.end(turn, NOW, &sharing) else { panic!("somebody waits") };
        assert_eq!((next, on.turn), (ticket, turn.turn + 1));
        turn = on;
    }
    assert_eq!(line.end(turn, NOW, &sharing), End::GiveBack { ask: None });
}

#[test]
fn readers_give_the_place_back_when_the_last_of_them_has_done() {
    let (mut line, sharing) = (LocalLine::new(true, 0), Sharing::coalescing());
    let first = first_turn(&mut line, &sharing);
    let second = line.enter(NOW, &sharing).unwrap();
    assert_eq!(line.end(first, NOW, &sharing), End::Nothing);
    assert_eq!(line.end(second, NOW, &sharing), End::GiveBack { ask: None });
}

#[test]
fn a_turn_of_a_lost_place_ends_nothing_of_the_next() {
    let (mut line, sharing) = (LocalLine::new(false, 0), Sharing::coalescing());
    let old = first_turn(&mut line, &sharing);
    assert!(line.over(old.place).is_empty());
    let new = first_turn(&mut line, &sharing);
    assert_eq!(line.end(old, NOW, &sharing), End::Nothing);
    assert!(line.is_taken() && line.held() == Some(new.place));
    assert_eq!(line.end(new, NOW, &sharing), End::GiveBack { ask: None });
}

#[cfg(feature = "mutants")]
#[test]
fn deliberate_bugs_are_noticed() {
    use crate::mutants::assert_noticed;
    let bounded = a_place_is_handed_on_until_the_bound_and_then_given_back;
    assert_noticed("hand-ons-without-a-bound", bounded);
    let in_time = a_reader_that_comes_late_waits_for_the_next_place;
    assert_noticed("hand-ons-without-an-end", in_time);
    assert_noticed("kept-while-another-waits", a_place_that_somebody_outside_wants_is_not_kept);
    let in_turn = those_inside_hold_one_after_the_other_in_their_order;
    assert_noticed("a-held-place-is-entered", in_turn);
    assert_noticed("the-last-to-come-is-next", in_turn);
    let together = readers_give_the_place_back_when_the_last_of_them_has_done;
    assert_noticed("the-first-reader-gives-back", together);
    assert_noticed("an-old-turn-ends-a-new-one", a_turn_of_a_lost_place_ends_nothing_of_the_next);
}
