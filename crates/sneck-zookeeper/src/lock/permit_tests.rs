//! Permits, against a model of a semaphore's nodes on a server.

#[path = "permit_tests/histories.rs"]
mod histories;
#[path = "permit_tests/model.rs"]
mod model;

use super::*;
use model::{Client, Fate, LOST, Server};

const DIALECTS: [Dialect; 2] = [Dialect::Curator, Dialect::Kazoo];

#[test]
fn the_first_permits_of_all_write_their_number() {
    for dialect in DIALECTS {
        let (mut server, mut client) = (Server::of(dialect), Client::of(dialect, 1, 2, 3));
        let token = client.held(&mut server);
        assert_eq!(server.number().as_deref(), Some("3"));
        assert_eq!(client.leases(&server).len(), 2);
        assert!(server.locks.is_empty(), "the place was given up in the same transaction");
        assert_eq!(server.leases.values().map(|stat| stat.czxid as u64).max(), Some(token.get()));
        assert_eq!(client.held(&mut server), token);
        client.leave(&mut server);
        assert!(server.leases.is_empty());
        assert_eq!(server.number().as_deref(), Some("3"), "it stays while nobody is there");
    }
}

#[test]
fn the_names_of_permits_are_those_of_the_dialect() {
    let one = "00000000-0000-0000-0000-000000000001";
    let plain = one.replace('-', "");
    for (dialect, names) in [
        (
            Dialect::Curator,
            [format!("_c_{one}-lease-0000000001"), format!("_c_{one}-lease-0000000002")],
        ),
        (Dialect::Kazoo, [plain.clone(), format!("{plain}-2")]),
    ] {
        let (mut server, mut client) = (Server::of(dialect), Client::of(dialect, 1, 2, 3));
        client.held(&mut server);
        assert_eq!(client.leases(&server), names);
    }
}

#[test]
fn the_steps_of_an_uncontended_permit() {
    let mut server = Server::empty();
    Client::new(1, 1, 3).held(&mut server);
    let mut client = Client::new(2, 1, 3);
    client.held(&mut server);
    assert_eq!(client.taken(), "look, enter, count, take");
    client.leave(&mut server);
    assert_eq!(client.taken(), "return");
    assert!(matches!(client.ask(&mut server), Ok(Spot::Gone(Loss::Removed))));
}

#[test]
fn only_the_first_in_line_looks_at_the_permits() {
    let mut server = Server::empty();
    let [mut holder, mut first, mut second] = [1, 2, 3].map(|number| Client::new(number, 2, 2));
    holder.held(&mut server);
    assert_eq!(first.behind(&mut server).ahead, Some(2), "the two that are held");
    assert_eq!(second.behind(&mut server).ahead, Some(1));
    second.steps.clear();
    second.behind(&mut server);
    assert_eq!(second.taken(), "watch");
    holder.leave(&mut server);
    first.steps.clear();
    first.held(&mut server);
    assert_eq!(first.taken(), "count, take");
    first.leave(&mut server);
    second.held(&mut server);
}

#[test]
fn whatever_befalls_the_transaction_the_permits_are_had_once_or_not_at_all() {
    let fates = [Fate::Applied(LOST), Fate::Unseen(LOST), Fate::AppliedAndDropped, Fate::Dropped];
    for (dialect, fate) in DIALECTS
        .into_iter()
        .flat_map(|dialect| fates.iter().map(move |fate| (dialect, fate.clone())))
    {
        let mut server = Server::of(dialect);
        let mut client = Client::of(dialect, 1, 2, 3);
        client.until("take", &mut server);
        client.ask_with(&mut server, [fate.clone()]);
        client.held(&mut server);
        assert_eq!((client.leases(&server).len(), server.locks.len()), (2, 0), "{fate:?}");
        client.leave(&mut server);
        assert!(server.is_empty(), "{fate:?}");

        // Left without asking again.
        let mut client = Client::of(dialect, 2, 2, 3);
        client.until("take", &mut server);
        client.ask_with(&mut server, [fate.clone(), Fate::Dropped]);
        client.leave(&mut server);
        assert!(server.is_empty(), "{fate:?}");
    }
}

#[test]
fn giving_back_is_repeated_until_it_is_confirmed() {
    for fate in [Fate::Applied(LOST), Fate::Unseen(LOST), Fate::AppliedAndDropped, Fate::Dropped] {
        let (mut server, mut client) = (Server::empty(), Client::new(1, 2, 2));
        client.held(&mut server);
        let step = client.seat.next_leaving().unwrap();
        let _ = client.perform(&mut server, step, fate.clone());
        client.leave(&mut server);
        assert!(server.is_empty(), "{fate:?}");
        assert!(matches!(client.ask(&mut server), Ok(Spot::Gone(_))));
    }
}

#[test]
fn another_number_is_told_before_anything_is_written() {
    let mut server = Server::empty();
    Client::new(1, 1, 3).held(&mut server);
    let (zxid, mut other) = (server.zxid, Client::new(2, 1, 5));
    let error = other.ask(&mut server).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disagreement);
    assert!(error.to_string().contains('3') && error.to_string().contains('5'), "{error}");
    assert_eq!((server.zxid, other.taken()), (zxid, "look".to_owned()));
    other.leave(&mut server);
}

#[test]
fn of_two_who_both_come_first_the_later_is_told() {
    let mut server = Server::empty();
    let [mut first, mut second] = [Client::new(1, 1, 3), Client::new(2, 1, 5)];
    first.until("count", &mut server);
    second.behind(&mut server);
    first.held(&mut server);
    let error = second.ask(&mut server).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disagreement);
    second.leave(&mut server);
}

#[test]
fn who_came_before_there_was_a_number_follows_one_that_was_changed_since() {
    let mut server = Server::empty();
    let [mut holder, mut early] = [Client::new(1, 2, 2), Client::new(2, 1, 2)];
    // It looks, as one does whose server has not heard yet of the permits that are held.
    let Next::Do(look) = early.seat.next() else { panic!("nothing to do") };
    assert!(early.perform(&mut server, look, Fate::Answered).unwrap().unwrap().is_none());
    assert_eq!(early.taken(), "look");
    holder.held(&mut server);
    server.set_number("5");
    early.held(&mut server);
}

#[test]
fn a_number_that_changes_meanwhile_is_counted_anew() {
    let mut server = Server::empty();
    let [mut holder, mut waiter, mut large] =
        [Client::new(1, 2, 2), Client::new(2, 1, 2), Client::new(3, 2, 2)];
    holder.held(&mut server);
    waiter.behind(&mut server);
    large.behind(&mut server);
    server.set_number("3");
    waiter.held(&mut server);
    // Between the count and the transaction.
    holder.leave(&mut server);
    large.until("take", &mut server);
    server.set_number("2");
    assert!(matches!(large.ask(&mut server), Ok(Spot::Behind(_))), "two of two, and one is held");
    server.set_number("1");
    let error = large.ask(&mut server).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disagreement, "it could never be granted");
    large.leave(&mut server);
    waiter.held(&mut server);
}

#[test]
fn a_place_that_was_taken_away_takes_no_permits() {
    let (mut server, mut client) = (Server::empty(), Client::new(1, 1, 1));
    client.until("take", &mut server);
    server.locks.clear();
    assert!(matches!(client.ask(&mut server), Ok(Spot::Gone(Loss::Removed))));
    client.leave(&mut server);
    assert!(server.is_empty());
}

#[test]
fn the_loss_of_one_permit_is_the_loss_of_all() {
    let (mut server, mut client) = (Server::empty(), Client::new(1, 3, 3));
    client.held(&mut server);
    server.leases.pop_first();
    assert!(matches!(client.ask(&mut server), Ok(Spot::Gone(Loss::Removed))));
    client.leave(&mut server);
    assert!(server.is_empty(), "what is left of them is given back");
}

#[test]
fn permits_of_a_session_that_is_dying_are_not_ours() {
    let (mut server, mut client) = (Server::empty(), Client::new(1, 1, 1));
    client.until("take", &mut server);
    client.ask_with(&mut server, [Fate::AppliedAndDropped]);
    client.session = 99;
    assert!(matches!(client.ask(&mut server), Ok(Spot::Gone(Loss::Usurped))));
}

#[test]
fn what_is_no_semaphore_is_refused() {
    for (number, child) in [("three", None), ("3", Some("_c_x-lock-0000000001")), ("", Some("x"))] {
        let mut server = Server::empty();
        server.set_number(number);
        server.others.extend(child.map(str::to_owned));
        let error = Client::new(1, 1, 3).ask(&mut server).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{number:?} {child:?}");
        assert!(error.hint().is_some());
    }
    // Of a semaphore whose clients would not count our permits, it is said how to take it.
    let hex = "0123456789abcdef0123456789abcdef";
    for (dialect, child, says) in
        [(Dialect::Curator, hex, "dialect=kazoo"), (Dialect::Kazoo, "leases", "dialect=curator")]
    {
        let mut server = Server::of(dialect);
        server.set_number("3");
        server.others.push(child.to_owned());
        let error = Client::of(dialect, 1, 1, 3).ask(&mut server).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.hint().unwrap_or_default().contains(says), "{error:?}");
    }
}
