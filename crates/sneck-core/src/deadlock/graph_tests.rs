//! The graph, on lines that are written down and on any lines.

use super::*;
use crate::permits::Permits;
use crate::ties::Ties;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A claim with this number, in this mode, which holds these others while it waits.
fn claim(id: u128, mode: Mode, holds: &[u128]) -> Contender {
    let mut contender = Contender::new(format!("place-{id}"), b"by=sneck");
    contender.claim = Some(ClaimId::from_u128(id));
    contender.mode = Some(mode);
    contender.ties.holds = holds.iter().map(|id| ClaimId::from_u128(*id)).collect();
    contender
}

fn mutex(id: u128, holds: &[u128]) -> Contender {
    claim(id, Mode::Exclusive, holds)
}

fn permits(take: u32, of: u32) -> Mode {
    Mode::Permits(Permits::new(take, of).unwrap())
}

/// Lines in which whoever can holds.
fn lines<const N: usize>(lines: [(&str, Vec<Contender>); N]) -> Lines {
    let settled = lines.map(|(text, mut line)| {
        settle(&mut line);
        (name(text), line)
    });
    settled.into_iter().collect()
}

fn settle(line: &mut [Contender]) {
    for at in 0..line.len() {
        let entry =
            |of: &Contender| Entry { mode: of.mode.unwrap_or(Mode::Exclusive), held: of.held };
        let entries: Vec<Entry> = line.iter().map(entry).collect();
        line[at].held = admit(&entries, at) == Admission::Granted;
    }
}

/// The circles as numbers of waiters and what they want.
fn told(lines: &Lines) -> Vec<Vec<(u128, String)>> {
    let wait = |wait: &Wait| (wait.waiter.claim.unwrap().as_u128(), wait.wants.as_str().to_owned());
    circles(lines).iter().map(|deadlock| deadlock.circle.iter().map(wait).collect()).collect()
}

fn edge(id: u128, wants: &str) -> (u128, String) {
    (id, wants.to_owned())
}

#[test]
fn two_who_take_two_locks_in_opposite_orders() {
    let lines = lines([
        ("a", vec![mutex(1, &[]), mutex(4, &[2])]),
        ("b", vec![mutex(2, &[]), mutex(3, &[1])]),
    ]);
    assert_eq!(told(&lines), [vec![edge(4, "a"), edge(3, "b")]]);
    let deadlock = &circles(&lines)[0];
    let held =
        |at| deadlock.holds(at).map(|(name, by)| (name.as_str(), by.claim.unwrap().as_u128()));
    assert_eq!((held(0), held(1)), (Some(("b", 2)), Some(("a", 1))));
}

#[test]
fn a_chain_is_no_circle() {
    let lines = lines([
        ("a", vec![mutex(1, &[])]),
        ("b", vec![mutex(2, &[]), mutex(3, &[1])]),
        ("c", vec![mutex(4, &[]), mutex(5, &[2]), mutex(6, &[])]),
    ]);
    assert_eq!(told(&lines), Vec::<Vec<_>>::new());
}

#[test]
fn who_waits_for_what_it_holds_is_a_circle_of_one() {
    let lines = lines([("a", vec![mutex(1, &[]), mutex(2, &[1])])]);
    assert_eq!(told(&lines), [vec![edge(2, "a")]]);
    assert_eq!(circles(&lines)[0].holds(0).unwrap().0.as_str(), "a");
}

#[test]
fn whoever_waits_behind_a_circle_is_not_in_it() {
    let lines = lines([
        ("a", vec![mutex(1, &[]), mutex(4, &[2]), mutex(5, &[])]),
        ("b", vec![mutex(2, &[]), mutex(3, &[1]), mutex(6, &[7])]),
        ("c", vec![mutex(7, &[]), mutex(8, &[])]),
    ]);
    assert_eq!(told(&lines), [vec![edge(4, "a"), edge(3, "b")]]);
    assert_eq!(stuck(&lines), [&name("a"), &name("b"), &name("c")]);
}

#[test]
fn a_reader_behind_a_writer_is_kept_up_by_the_writer() {
    // 1 reads a and waits for b; 2 waits to write a; 3 holds b and waits to read a, behind 2.
    let lines = lines([
        (
            "a",
            vec![
                claim(1, Mode::Shared, &[]),
                claim(2, Mode::Write, &[]),
                claim(3, Mode::Shared, &[4]),
            ],
        ),
        ("b", vec![mutex(4, &[]), mutex(5, &[1])]),
    ]);
    assert_eq!(told(&lines), [vec![edge(2, "a"), edge(5, "b"), edge(3, "a")]]);
    let deadlock = &circles(&lines)[0];
    assert!(deadlock.holds(0).is_none(), "the writer is in the way by its place in line");
    assert_eq!(deadlock.holds(1).unwrap().0.as_str(), "a");
}

#[test]
fn two_readers_are_not_in_each_others_way() {
    let lines = lines([
        ("a", vec![claim(1, Mode::Shared, &[]), claim(3, Mode::Shared, &[2])]),
        ("b", vec![mutex(2, &[]), mutex(4, &[1])]),
    ]);
    assert_eq!(told(&lines), Vec::<Vec<_>>::new());
}

#[test]
fn of_permits_any_holder_may_be_the_one_who_lets_go() {
    let one = |id, holds: &[u128]| claim(id, permits(1, 2), holds);
    let circle = |other: Contender| {
        lines([
            ("a", vec![mutex(4, &[]), mutex(5, &[1])]),
            ("b", vec![mutex(6, &[]), other]),
            ("s", vec![one(1, &[]), one(2, &[]), one(3, &[4, 6])]),
        ])
    };
    // 2 is held by nobody who waits, so it comes back some time.
    assert_eq!(told(&circle(mutex(7, &[]))), Vec::<Vec<_>>::new());
    // Now nobody of the two lets go.
    assert_eq!(told(&circle(mutex(7, &[2]))).len(), 1);
}

#[test]
fn several_locks_that_are_taken_at_once_are_one_attempt() {
    let in_group = |id| {
        let mut claim = mutex(id, &[]);
        claim.ties.group = Some(ClaimId::from_u128(1));
        claim
    };
    // 1 and 2 are an attempt on a and b; it is first for a, and b is held by 3, who waits for a.
    let lines =
        lines([("a", vec![in_group(1), mutex(4, &[3])]), ("b", vec![mutex(3, &[]), in_group(2)])]);
    assert_eq!(told(&lines), [vec![edge(4, "a"), edge(2, "b")]]);
}

#[test]
fn two_children_of_one_holder_are_no_circle() {
    // Both hold 1; the second waits for what the first has.
    let lines = lines([("a", vec![mutex(1, &[])]), ("b", vec![mutex(2, &[1]), mutex(3, &[1])])]);
    assert_eq!(told(&lines), Vec::<Vec<_>>::new());
}

#[test]
fn other_clients_are_believed_to_go_on() {
    let mut stranger = Contender::new("lock-7", b"10.0.0.1");
    stranger.mode = Some(Mode::Exclusive);
    let lines = lines([("a", vec![stranger, mutex(2, &[])])]);
    assert_eq!(told(&lines), Vec::<Vec<_>>::new());
}

#[test]
fn the_victim_is_the_youngest_of_those_who_yield() {
    let mut lines = lines([
        ("a", vec![mutex(1, &[]), mutex(4, &[2])]),
        ("b", vec![mutex(2, &[]), mutex(3, &[1])]),
    ]);
    let victim =
        |lines: &Lines| circles(lines)[0].victim().map(|wait| wait.waiter.claim.unwrap().as_u128());
    assert_eq!(victim(&lines), None);
    lines.values_mut().for_each(|line| line[1].ties.yields = true);
    assert_eq!(victim(&lines), Some(4));
    lines.get_mut(&name("a")).unwrap()[1].ties.yields = false;
    assert_eq!(victim(&lines), Some(3));
}

// ----- any lines -----

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn any_line(first: u128) -> impl Strategy<Value = Vec<Contender>> {
    let kinds = prop_oneof![
        Just(vec![Mode::Exclusive]),
        Just(vec![Mode::Shared, Mode::Write]),
        Just(vec![permits(1, 3), permits(2, 3), permits(3, 3)]),
    ];
    kinds.prop_flat_map(move |modes| {
        let place = (0..modes.len(), prop::collection::vec(0..24_u128, 0..3));
        prop::collection::vec(place, 0..6).prop_map(move |places| {
            let number = |at: usize| first + at as u128;
            let mut line: Vec<Contender> = (places.iter().enumerate())
                .map(|(at, (mode, holds))| claim(number(at), modes[*mode], holds))
                .collect();
            settle(&mut line);
            line
        })
    })
}

fn any_lines() -> impl Strategy<Value = Lines> {
    let line = |at: usize| any_line(at as u128 * 6);
    (line(0), line(1), line(2), line(3))
        .prop_map(|(a, b, c, d)| NAMES.map(name).into_iter().zip([a, b, c, d]).collect())
}

/// Plays on, choosing among all that may happen: a waiter is granted, or somebody who holds no claim for a
/// waiter gives it back. Answers who waits in the end.
fn play(lines: &Lines, mut choice: u64) -> BTreeSet<u128> {
    let mut lines: Vec<Vec<Contender>> = lines.values().cloned().collect();
    loop {
        let ids = |of: &Contender| [of.claim, of.ties.group];
        let waiters: Vec<Ties> = lines
            .iter()
            .flatten()
            .filter(|place| !place.held)
            .map(|place| place.ties.clone())
            .collect();
        let mut events = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            for (place, contender) in line.iter().enumerate() {
                let mut then = line.clone();
                settle(&mut then);
                let kept =
                    |ties: &Ties| ties.holds.iter().any(|id| ids(contender).contains(&Some(*id)));
                let may_end = contender.held && !waiters.iter().any(kept);
                if may_end || (!contender.held && then[place].held) {
                    events.push((at, place, may_end));
                }
            }
        }
        if events.is_empty() {
            let waits = lines.iter().flatten().filter(|place| !place.held);
            return waits.map(|place| place.claim.unwrap().as_u128()).collect();
        }
        choice = choice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (at, place, ends) = events[(choice >> 33) as usize % events.len()];
        if ends {
            lines[at].remove(place);
        } else {
            lines[at][place].held = true;
        }
    }
}

proptest! {
    #[test]
    fn there_is_a_circle_exactly_if_somebody_waits_for_ever(lines in any_lines(), choice: u64) {
        let for_ever = play(&lines, choice);
        let mut graph = Graph::new(&lines);
        graph.reduce();
        let left = graph.places.iter().filter(|place| !place.granted);
        let left: BTreeSet<u128> = left.map(|place| place.contender.claim.unwrap().as_u128()).collect();
        prop_assert_eq!(&left, &for_ever);
        prop_assert_eq!(circles(&lines).is_empty(), for_ever.is_empty());
    }

    #[test]
    fn every_edge_of_a_circle_is_there(lines in any_lines()) {
        let for_ever = play(&lines, 0);
        for deadlock in circles(&lines) {
            let next = deadlock.circle.iter().cycle().skip(1);
            for (wait, next) in deadlock.circle.iter().zip(next) {
                let id = wait.waiter.claim.unwrap().as_u128();
                prop_assert!(for_ever.contains(&id));
                let line = &lines[&wait.wants];
                let at = |of: &Contender| line.iter().position(|place| place == of);
                prop_assert!(at(&wait.behind) < at(&wait.waiter) && at(&wait.behind).is_some());
                let behind = wait.behind.claim.unwrap();
                let keeps = next.waiter.claim == Some(behind) || next.waiter.ties.holds.contains(&behind);
                prop_assert!(keeps, "{wait:?} {next:?}");
            }
        }
    }
}
