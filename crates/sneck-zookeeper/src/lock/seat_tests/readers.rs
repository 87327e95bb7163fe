//! Readers and writers in one line, and writers who become readers.

use super::super::*;
use super::model::{Client, Fate, LOST, OVER, Server};
use super::{DIR, OVER_UNSENT};
use sneck_core::Outcome;

fn reader(number: u128) -> Client {
    Client::with_mode(number, Mode::Shared, ForeignPolicy::Refuse)
}

fn writer(number: u128) -> Client {
    Client::with_mode(number, Mode::Write, ForeignPolicy::Refuse)
}

fn path_of(client: &Client, server: &Server) -> String {
    format!("{DIR}/{}", client.nodes(server)[0])
}

/// Makes a reader of a writer, with these fates for the first steps.
fn downgrade(client: &mut Client, server: &mut Server, fates: impl IntoIterator<Item = Fate>) {
    let mut fates = fates.into_iter();
    for _ in 0..20 {
        let Some(step) = client.seat.next_downgrade().unwrap() else { return };
        let fate = fates.next().unwrap_or(Fate::Answered);
        match client.perform(server, step, fate) {
            Some(done) => assert!(done.unwrap().is_none()),
            None => return,
        }
    }
    panic!("it does not come to an end: {:?}", client.steps);
}

#[test]
fn a_reader_waits_for_the_last_writer_ahead_and_for_nobody_else() {
    let mut server = Server::new();
    let [mut first, mut second, mut third] = [reader(1), writer(2), reader(3)];
    let mut fourth = reader(4);
    let token = first.first(&mut server);
    let waiting = second.behind(&mut server);
    assert_eq!(waiting.holder.unwrap().place, first.nodes(&server)[0]);
    let ahead = path_of(&second, &server);
    for late in [&mut third, &mut fourth] {
        assert_eq!(late.behind(&mut server).holder, None, "who is ahead holds nothing");
        let own = Some(path_of(late, &server));
        assert_eq!(late.steps.last(), Some(&Step::Watch { ahead: ahead.clone(), own }));
    }
    // A reader that leaves is no news to those who wait for the writer.
    first.leave(&mut server);
    second.woken();
    second.steps.clear();
    assert!(second.first(&mut server) > token);
    assert_eq!(second.taken(), "list", "a writer looks again");
    third.steps.clear();
    second.leave(&mut server);
    third.woken();
    third.first(&mut server);
    assert_eq!(third.taken(), "", "nobody but that writer kept it waiting");
}

#[test]
fn behind_a_writer_who_is_first_a_reader_is_granted_without_another_list() {
    let mut server = Server::new();
    let [mut first, mut second, mut third] = [writer(1), reader(2), reader(3)];
    first.first(&mut server);
    for reader in [&mut second, &mut third] {
        let holder = reader.behind(&mut server).holder.unwrap();
        assert_eq!(holder.place, first.nodes(&server)[0]);
        reader.steps.clear();
    }
    first.leave(&mut server);
    for reader in [&mut second, &mut third] {
        reader.woken();
        reader.first(&mut server);
        assert_eq!(reader.taken(), "", "they come in together");
    }
}

#[test]
fn a_writer_that_becomes_a_reader_keeps_its_place_and_its_token() {
    let mut server = Server::new();
    let [mut first, mut next, mut reader] = [writer(1), writer(2), reader(3)];
    let token = first.first(&mut server);
    let before = first.nodes(&server)[0].clone();
    next.behind(&mut server);
    reader.behind(&mut server);
    first.steps.clear();
    downgrade(&mut first, &mut server, []);
    assert_eq!(first.taken(), "downgrade");
    assert_eq!(first.nodes(&server), [before.replace("__WRIT__", "__READ__")], "the same number");
    assert_eq!(first.first(&mut server), token);

    // The node that the next writer watched is gone, and still nobody but a reader may come in.
    next.woken();
    let waiting = next.behind(&mut server);
    assert_eq!(waiting.holder.unwrap().place, first.nodes(&server)[0]);
    assert!(reader.behind(&mut server).holder.is_none(), "a reader still waits for that writer");
    first.leave(&mut server);
    assert!(first.nodes(&server).is_empty());
    next.woken();
    assert!(next.first(&mut server) > token);
}

#[test]
fn a_downgrade_is_found_out_whatever_befell_its_answer() {
    for fate in [Fate::Applied(LOST), Fate::Unseen(LOST), Fate::AppliedAndDropped, Fate::Dropped] {
        for dropped_again in [false, true] {
            let mut server = Server::new();
            let mut client = writer(1);
            let token = client.first(&mut server);
            let again = dropped_again.then_some(Fate::Dropped);
            downgrade(&mut client, &mut server, [fate.clone()].into_iter().chain(again));
            assert_eq!(client.first(&mut server), token, "{fate:?}");
            downgrade(&mut client, &mut server, []);
            assert_eq!(client.nodes(&server).len(), 1);
            assert!(client.nodes(&server)[0].contains("__READ__"), "{fate:?}");
            assert_eq!(client.first(&mut server), token);
            client.leave(&mut server);
            assert!(server.children.is_empty());
        }
        // And left without asking again.
        let (mut server, mut client) = (Server::new(), writer(1));
        client.first(&mut server);
        downgrade(&mut client, &mut server, [fate.clone(), Fate::Dropped]);
        client.leave(&mut server);
        assert!(server.children.is_empty(), "{fate:?}");
    }
}

#[test]
fn a_downgrade_of_a_place_that_was_taken_away_is_a_loss() {
    let (mut server, mut client) = (Server::new(), writer(1));
    client.first(&mut server);
    server.children.clear();
    downgrade_once(&mut client, &mut server, Fate::Answered);
    downgrade_once(&mut client, &mut server, Fate::Answered);
    assert_eq!(client.seat.next_downgrade().unwrap_err().kind(), ErrorKind::Lost);
    assert_eq!(client.gone(&mut server), Loss::Removed);

    for over in [OVER, OVER_UNSENT] {
        let (mut server, mut client) = (Server::new(), writer(1));
        client.first(&mut server);
        downgrade_once(&mut client, &mut server, Fate::Unseen(over));
        assert_eq!(client.gone(&mut server), Loss::SessionEnded);
    }
}

fn downgrade_once(client: &mut Client, server: &mut Server, fate: Fate) {
    let step = client.seat.next_downgrade().unwrap().unwrap();
    client.perform(server, step, fate).unwrap().unwrap();
}

#[test]
fn a_downgrade_that_is_refused_leaves_the_writer_where_it_is() {
    let (mut server, mut client) = (Server::new(), writer(1));
    let token = client.first(&mut server);
    let refused = RequestError::Refused(ErrorCode::NO_AUTH);
    let step = client.seat.next_downgrade().unwrap().unwrap();
    let error = client.perform(&mut server, step, Fate::Unseen(refused)).unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Denied, Outcome::Known));
    assert_eq!(client.first(&mut server), token);
    assert!(client.nodes(&server)[0].contains("__WRIT__"));
    downgrade(&mut client, &mut server, []);
}

#[test]
fn only_a_writer_who_holds_the_lock_becomes_a_reader() {
    let mut server = Server::new();
    let mut outside = writer(1);
    assert_eq!(outside.seat.next_downgrade().unwrap_err().kind(), ErrorKind::Refused);
    let [mut holder, mut waiter] = [writer(2), writer(3)];
    holder.first(&mut server);
    waiter.behind(&mut server);
    assert_eq!(waiter.seat.next_downgrade().unwrap_err().kind(), ErrorKind::Refused);
    let (mut server, mut mutex) = (Server::new(), Client::new(4));
    mutex.first(&mut server);
    assert_eq!(mutex.seat.next_downgrade().unwrap_err().kind(), ErrorKind::Refused);
}

#[test]
fn to_kazoo_a_mutex_has_the_name_of_a_writer_and_is_none() {
    for (mode, becomes_reader) in [(Mode::Write, true), (Mode::Exclusive, false)] {
        let mut server = Server::new();
        let mut holder = Client::with_dialect(1, mode, ForeignPolicy::Refuse, Dialect::Kazoo);
        holder.first(&mut server);
        assert!(path_of(&holder, &server).contains("__lock__"));
        let downgrade = holder.seat.next_downgrade();
        assert_eq!(downgrade.is_ok(), becomes_reader, "{mode:?}: {downgrade:?}");
    }
}

#[test]
fn kinds_of_locks_are_foreign_to_each_other_and_the_hint_says_which() {
    let mut server = Server::new();
    let mut mutex = Client::new(1);
    mutex.first(&mut server);
    for mut client in [reader(2), writer(3)] {
        let error = client.refused(&mut server);
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.hint().unwrap().contains("as a mutex"), "{error:?}");
        client.leave(&mut server);
    }
    mutex.leave(&mut server);
    let mut reader = reader(4);
    reader.first(&mut server);
    let error = Client::new(5).refused(&mut server);
    assert!(error.hint().unwrap().contains("as a reader"), "{error:?}");
    assert_eq!(server.children.len(), 2, "what was refused has still to leave");
}

#[test]
fn a_request_for_the_lock_is_seen_and_the_description_restored() {
    let (mut server, mut client) = (Server::new(), Client::new(1));
    let token = client.first(&mut server);
    assert!(!client.seat.is_revoked());
    let Next::Do(Step::Own(path)) = client.seat.next() else { panic!() };
    let mut node = server.read(&path).unwrap();
    (node.data, node.stat.version) = (bytes::Bytes::from_static(REVOKE), 3);
    assert!(client.seat.on(Answer::Own(Ok(node))).unwrap().is_none());
    assert!(client.seat.is_revoked());
    let Next::Do(step) = client.seat.next() else { panic!() };
    assert_eq!(step, Step::Describe { path, version: 3 });
    client.seat.on(Answer::Described(Ok(()))).unwrap();
    assert_eq!(client.first(&mut server), token, "it is a request, no loss");
    assert!(client.seat.is_revoked());
}
