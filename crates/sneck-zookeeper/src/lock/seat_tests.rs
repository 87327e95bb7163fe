//! The place in line, against a model of a directory on a server: one answer at a time.

#[path = "seat_tests/histories.rs"]
mod histories;
#[path = "seat_tests/model.rs"]
mod model;
#[path = "seat_tests/readers.rs"]
mod readers;

use super::*;
use model::{Client, Fate, LOST, OVER, OVER_UNSENT, Server, in_line};
use sneck_core::Outcome;
use sneck_wire::Stat;

const DIR: &str = "/apps/locks/a";

// ----- the good days -----

#[test]
fn an_uncontended_lock_is_one_round_trip_and_its_release_another() {
    let (mut server, mut client) = (Server::new(), Client::new(1));
    let token = client.first(&mut server);
    assert_eq!(client.taken(), "enter");
    let [stat] = server.children.values().copied().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(token.get(), u64::try_from(stat.czxid).unwrap(), "the token is the czxid");
    assert!(client.seat.is_held());
    client.leave(&mut server);
    assert_eq!(client.taken(), "remove");
    assert!(server.children.is_empty());
    client.leave(&mut server);
    assert_eq!(client.taken(), "", "leaving again sends nothing");
    assert_eq!(client.gone(&mut server), Loss::Removed, "a life goes one way");
}

#[test]
fn asking_again_for_a_lock_that_is_held_only_looks_at_our_own_node() {
    let (mut server, [mut client]) = in_line();
    let token = client.first(&mut server);
    assert_eq!(client.first(&mut server), token);
    assert_eq!(client.taken(), "own, own");
    server.children.clear();
    assert_eq!(client.gone(&mut server), Loss::Removed);
}

#[test]
fn the_only_one_behind_is_granted_without_another_list() {
    let (mut server, [mut first, mut second]) = in_line();
    first.leave(&mut server);
    second.woken();
    let token = second.first(&mut server);
    assert_eq!(second.taken(), "", "the rule over what is known proves the grant");
    assert!(i64::try_from(token.get()).unwrap() > 101);
    assert!(second.seat.is_held());
}

#[test]
fn a_wake_up_that_was_missed_is_found_out_by_asking() {
    let (mut server, [mut first, mut second]) = in_line();
    first.leave(&mut server);
    second.first(&mut server);
    assert_eq!(second.taken(), "watch both", "the node ahead is gone, and it was the only one");
}

#[test]
fn whoever_does_not_know_that_its_own_place_is_there_reads_it_first() {
    let (mut server, [mut first, mut second]) = in_line();
    first.leave(&mut server);
    second.woken_knowing(false);
    second.first(&mut server);
    assert_eq!(second.taken(), "own", "its watch may have been set again by another server");
}

#[test]
fn a_place_that_is_gone_before_it_is_watched_is_not_waited_in() {
    let (mut server, [_first, mut second]) = in_line();
    server.children.remove(&second.nodes(&server)[0]);
    assert_eq!(second.gone(&mut server), Loss::Removed);
    assert_eq!(second.taken(), "watch both");
}

#[test]
fn whoever_is_next_and_was_taken_out_of_the_line_is_not_let_in() {
    let (mut server, [mut first, mut second]) = in_line();
    let mut third = Client::new(3);
    third.behind(&mut server);
    // An operator deletes the second place, and then the first is given up.
    let taken_away = second.nodes(&server)[0].clone();
    server.children.remove(&taken_away);
    first.leave(&mut server);
    third.first(&mut server);
    second.woken_knowing(false);
    assert_eq!(second.gone(&mut server), Loss::Removed, "beside the third it would hold the lock");
}

#[test]
fn a_line_that_is_too_long_to_be_read_lets_nobody_in_and_is_left() {
    let (mut server, [mut first, mut second]) = in_line();
    first.leave(&mut server);
    second.seat.own_doubtful();
    let too_long = RequestError::ReplyTooLarge { bytes: 20 << 20, bytes_max: 16 << 20 };
    let error = second.seat.on(Answer::Listed(Err(too_long))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("20971520 bytes"), "{error}");
    second.leave(&mut server);
    assert!(server.children.is_empty());
}

#[test]
fn behind_many_the_line_is_read_again() {
    let (mut server, [mut first, mut second, mut third, mut fourth]) = in_line();
    let waiting = third.behind(&mut server);
    assert_eq!((waiting.ahead, waiting.holder), (Some(2), None));
    third.steps.clear();

    // One in the middle gives up: who waited for it moves up and holds nothing.
    second.leave(&mut server);
    third.woken();
    let waiting = third.behind(&mut server);
    assert_eq!(third.taken(), "list, watch both");
    assert_eq!(waiting.ahead, Some(1));
    let holder = waiting.holder.unwrap();
    assert_eq!(holder.place, first.nodes(&server)[0], "who is right behind the holder knows it");
    assert_eq!((holder.text.as_str(), holder.since.is_some()), ("127.0.0.1", true));
    assert_eq!(fourth.behind(&mut server).ahead, Some(3), "nothing of that concerns the others");
    assert_eq!(fourth.taken(), "watch");

    first.leave(&mut server);
    third.woken();
    let token = third.first(&mut server);
    assert_eq!(Some(token), Token::new(server.children.values().next().unwrap().czxid as u64));
}

#[test]
fn a_wake_up_from_an_earlier_list_grants_nothing() {
    let (mut server, [_first, mut second, mut third]) = in_line();
    let ahead = format!("{DIR}/{}", second.nodes(&server)[0]);
    second.leave(&mut server);
    // It asks by itself before the event comes, and is dropped before it watches the next one.
    let fates = [Fate::Answered, Fate::Answered, Fate::Dropped];
    assert!(third.ask_with(&mut server, fates).is_none());
    assert_eq!(third.taken(), "watch, list, watch both");
    third.seat.deleted(&ahead, true);
    assert_eq!(third.behind(&mut server).ahead, Some(1), "the holder is still there");
}

#[test]
fn a_wake_up_without_a_reason_changes_nothing() {
    let (mut server, [_first, mut second]) = in_line();
    for _ in 0..3 {
        assert_eq!(second.behind(&mut server).ahead, Some(1));
    }
    assert_eq!(second.taken(), "watch both, watch both, watch both");
    second.seat.own_doubtful();
    assert_eq!(second.behind(&mut server).ahead, Some(1));
    assert_eq!(second.taken(), "own, watch both");
}

// ----- nodes above -----

#[test]
fn the_nodes_above_are_made_from_the_deepest_upwards() {
    let (mut server, mut client) = (Server::empty(), Client::new(1));
    client.first(&mut server);
    let up = "make /apps/locks/a, make /apps/locks, make /apps";
    let down = "make /apps/locks, make /apps/locks/a";
    assert_eq!(client.taken(), format!("enter, {up}, {down}, enter"));

    let mut server = Server::empty();
    server.parents = ["/apps", "/apps/locks"].map(str::to_owned).into();
    let mut client = Client::new(2);
    client.first(&mut server);
    assert_eq!(client.taken(), "enter, make /apps/locks/a, enter", "none that need not be");
}

#[test]
fn nodes_that_vanish_in_between_are_made_again() {
    let (mut server, mut client) = (Server::new(), Client::new(1));
    server.reap();
    for _ in 0..5 {
        // Gone again right after it was made.
        let Next::Do(step @ Step::Enter(_)) = client.seat.next() else { panic!() };
        client.perform(&mut server, step, Fate::Answered).unwrap().unwrap();
        let Next::Do(make) = client.seat.next() else { panic!() };
        client.perform(&mut server, make, Fate::Answered).unwrap().unwrap();
        server.reap();
    }
    client.first(&mut server);
}

#[test]
fn nodes_that_vanish_as_fast_as_they_are_made_are_given_up_for_a_while() {
    // Both the lock's own node, and that above it while it is made.
    for vanishing in [vec![DIR], vec![DIR, "/apps/locks"]] {
        let (mut server, mut client) = (Server::new(), Client::new(1));
        server.reap();
        let mut error = None;
        for _ in 0..100 {
            server.parents.retain(|path| !vanishing.contains(&path.as_str()));
            let Next::Do(step) = client.seat.next() else { panic!() };
            if let Err(bound) = client.perform(&mut server, step, Fate::Answered).unwrap() {
                error = Some(bound);
                break;
            }
        }
        let error = error.expect("a bound");
        assert!(error.is_transient(), "{error}");
        client.first(&mut server);
    }
}

#[test]
fn the_lock_node_that_vanishes_with_our_place_in_it_is_a_loss() {
    let (mut server, [mut first, mut second, mut third]) = in_line();
    server.children.clear();
    server.reap();
    assert_eq!(first.gone(&mut server), Loss::Removed);
    second.seat.own_doubtful();
    assert_eq!(second.gone(&mut server), Loss::Removed);
    third.woken();
    assert_eq!(third.gone(&mut server), Loss::Removed, "the list says so");
}

// ----- answers that get lost -----

#[test]
fn a_create_whose_answer_was_lost_is_found_by_its_id() {
    let (mut server, mut client) = (Server::new(), Client::new(1));
    let spot = client.ask_with(&mut server, [Fate::Applied(LOST)]).unwrap().unwrap();
    assert!(matches!(spot, Spot::Held(_)));
    assert_eq!(client.taken(), "enter, find, adopt, list");
    assert_eq!(client.nodes(&server).len(), 1);
}

#[test]
fn a_create_that_never_arrived_is_sent_again() {
    let (mut server, mut client) = (Server::new(), Client::new(1));
    let lost = [Fate::Unseen(LOST)];
    assert!(matches!(client.ask_with(&mut server, lost), Some(Ok(Spot::Held(_)))));
    assert_eq!(client.taken(), "enter, find, enter");
    assert_eq!(client.nodes(&server).len(), 1);
}

#[test]
fn any_step_may_be_interrupted_any_number_of_times() {
    for applied in [false, true] {
        let fate = || if applied { Fate::Applied(LOST) } else { Fate::Unseen(LOST) };
        for times in 1..12 {
            let (mut server, [mut first]) = in_line();
            server.parents.insert(DIR.to_owned());
            let mut client = Client::new(7);
            let fates = (0..times).map(|_| fate());
            let spot = client.ask_with(&mut server, fates).unwrap().unwrap();
            assert!(matches!(spot, Spot::Behind(_)), "{spot:?}");
            assert_eq!(client.nodes(&server).len(), 1, "{:?}", client.steps);
            first.leave(&mut server);
            client.first(&mut server);
        }
    }
}

#[test]
fn a_lost_list_after_a_create_that_was_answered_is_asked_again() {
    let (mut server, mut client) = (Server::new(), Client::new(1));
    let Next::Do(Step::Enter(_)) = client.seat.next() else { panic!() };
    let created = server.create(&client.seat.prefix, 1);
    let answer = Answer::Entered { created, children: Err(LOST) };
    assert!(client.seat.on(answer).unwrap().is_none());
    client.first(&mut server);
    assert_eq!(client.taken(), "list");
}

#[test]
fn a_session_that_ends_takes_the_place_with_it() {
    // Whichever step it is that learns of it.
    for step in 0..4 {
        let (mut server, mut client) = (Server::new(), Client::new(1));
        let mut fates = vec![Fate::Applied(LOST); step.min(1)];
        fates.resize(step, Fate::Answered);
        fates.push(Fate::Unseen(OVER));
        let spot = client.ask_with(&mut server, fates).unwrap().unwrap();
        assert!(matches!(spot, Spot::Gone(Loss::SessionEnded)), "{step}: {spot:?}");
        client.steps.clear();
        client.leave(&mut server);
        assert_eq!(client.taken(), "", "there is nothing to give up, and no session to do it on");
    }
    let (mut server, [mut client]) = in_line();
    let spot = client.ask_with(&mut server, [Fate::Unseen(OVER)]).unwrap().unwrap();
    assert!(matches!(spot, Spot::Gone(Loss::SessionEnded)), "{spot:?}");
}

#[test]
fn a_session_that_ended_before_anything_was_sent_is_replaced() {
    let (mut server, mut client) = (Server::empty(), Client::new(1));
    let fates = [Fate::Unseen(OVER_UNSENT), Fate::Answered, Fate::Unseen(OVER_UNSENT)];
    assert!(client.seat.is_nowhere(), "so it may choose a session");
    assert!(matches!(client.ask_with(&mut server, fates), Some(Ok(Spot::Held(_)))));
    assert_eq!(client.nodes(&server).len(), 1);
    assert!(!client.seat.is_nowhere());
}

#[test]
fn a_node_of_another_session_is_not_ours() {
    let (mut server, mut client) = (Server::new(), Client::new(1));
    client.session = 99;
    assert!(client.ask_with(&mut server, [Fate::AppliedAndDropped]).is_none());
    client.session = 1;
    assert_eq!(client.gone(&mut server), Loss::Usurped, "its session may be dying");
}

#[test]
fn a_second_node_of_ours_is_removed_before_anything_is_judged() {
    let (mut server, mut client) = (Server::new(), Client::new(1));
    // Two creates were taken for lost and came through after all.
    server.create(&client.seat.prefix, 1).unwrap();
    server.create(&client.seat.prefix, 1).unwrap();
    client.first(&mut server);
    assert_eq!(client.taken(), "enter, remove, remove, list");
    assert_eq!(client.nodes(&server).len(), 1);

    let mut client = Client::new(2);
    assert!(client.ask_with(&mut server, [Fate::AppliedAndDropped]).is_none());
    server.create(&client.seat.prefix, 2).unwrap();
    assert_eq!(client.behind(&mut server).ahead, Some(1));
    assert_eq!(client.nodes(&server).len(), 1);
    client.leave(&mut server);
    assert!(client.nodes(&server).is_empty());
}

#[test]
fn leaving_removes_every_node_of_ours() {
    for steps in 1..3 {
        let (mut server, mut client) = (Server::new(), Client::new(1));
        let mut fates = vec![Fate::Answered; steps];
        fates[0] = Fate::Applied(LOST);
        fates.push(Fate::Dropped);
        server.create(&client.seat.prefix, 1).unwrap();
        assert!(client.ask_with(&mut server, fates).is_none());
        assert_eq!(client.nodes(&server).len(), 2);
        client.leave(&mut server);
        assert!(client.nodes(&server).is_empty(), "{:?}", client.steps);
    }
}

#[test]
fn a_second_node_is_removed_also_when_the_first_was_taken_away() {
    let (mut server, mut client) = (Server::new(), Client::new(1));
    let Next::Do(Step::Enter(_)) = client.seat.next() else { panic!() };
    let created = server.create(&client.seat.prefix, 1);
    client.seat.on(Answer::Entered { created, children: Err(LOST) }).unwrap();
    server.children.clear();
    server.create(&client.seat.prefix, 1).unwrap();
    assert_eq!(client.gone(&mut server), Loss::Removed);
    assert!(
        client.nodes(&server).is_empty(),
        "it would block the line as long as the session lives"
    );
}

// ----- places that are taken away -----

#[test]
fn our_node_may_be_deleted_by_somebody_else_in_every_phase() {
    // Before it is found, before it is adopted, and before the line is listed.
    for steps in 1..=3 {
        let (mut server, mut client) = (Server::new(), Client::new(1));
        let mut fates = vec![Fate::Answered; steps];
        fates[0] = Fate::Applied(LOST);
        fates.push(Fate::Dropped);
        assert!(client.ask_with(&mut server, fates).is_none());
        server.children.clear();
        match steps {
            1 => drop(client.first(&mut server)),
            _ => assert_eq!(client.gone(&mut server), Loss::Removed),
        }
    }
    // While it waits: noticed when it looks, or when the line is listed.
    let (mut server, [_first, mut second, mut third]) = in_line();
    for child in [second.nodes(&server), third.nodes(&server)].concat() {
        server.delete(&child);
    }
    second.seat.own_doubtful();
    assert_eq!(second.gone(&mut server), Loss::Removed);
    assert_eq!(third.gone(&mut server), Loss::Removed);
    // While it holds.
    let (mut server, [mut first]) = in_line();
    server.children.clear();
    first.seat.own_doubtful();
    assert_eq!(first.gone(&mut server), Loss::Removed);
}

// ----- a line that cannot be trusted -----

#[test]
fn a_counter_that_is_used_up_lets_nobody_in() {
    for counter in [i32::MAX, i32::MIN, -1_000_000_000, -1] {
        let (mut server, mut client) = (Server::new(), Client::new(1));
        server.counter = counter;
        for _ in 0..2 {
            let error = client.refused(&mut server);
            assert_eq!(error.kind(), ErrorKind::Refused, "{counter}: also when asked again");
            assert!(error.hint().unwrap().contains(&format!("delete the node {DIR}")), "{error:?}");
        }
        client.leave(&mut server);
        assert!(server.children.is_empty());
    }
    let (mut server, mut client) = (Server::new(), Client::new(1));
    server.counter = i32::MAX - 1;
    client.first(&mut server);
}

#[test]
fn a_counter_that_is_used_up_is_seen_also_after_a_lost_answer() {
    let (mut server, mut client) = (Server::new(), Client::new(1));
    server.counter = i32::MAX;
    // The first create comes through after it was looked for, so the second cannot have its name.
    let lost = [Fate::Unseen(LOST), Fate::Answered, Fate::Dropped];
    assert!(client.ask_with(&mut server, lost).is_none());
    server.create(&client.seat.prefix, 1).unwrap();
    client.seat.phase = Phase::Nowhere;
    assert_eq!(client.refused(&mut server).kind(), ErrorKind::Refused);
    assert_eq!(client.taken(), "enter, find, enter, enter, find, adopt, list");
    client.leave(&mut server);
    assert!(server.children.is_empty());
}

#[test]
fn foreign_children_follow_the_policy() {
    let foreign = "0123456789abcdef0123456789abcdef__lock__0000000000";
    let mut server = Server::new();
    server.put(foreign, 50);

    let mut refusing = Client::new(1);
    let error = refusing.refused(&mut server);
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains(foreign), "{error}");
    refusing.leave(&mut server);
    assert_eq!(server.children.len(), 1, "what is not ours is not touched");

    let mut ignoring = Client::with_policy(2, ForeignPolicy::Ignore);
    ignoring.first(&mut server);
    ignoring.leave(&mut server);

    let mut blocked = Client::with_policy(3, ForeignPolicy::Block);
    assert_eq!(blocked.behind(&mut server).ahead, Some(1));
    assert_eq!(blocked.behind(&mut server).holder.unwrap().place, foreign);
    server.delete(foreign);
    blocked.woken();
    blocked.first(&mut server);
}

#[test]
fn a_foreign_child_that_comes_while_we_wait_is_seen_at_the_next_list() {
    let (mut server, [mut first, mut second, mut third]) = in_line();
    server.put("config", 0);
    second.leave(&mut server);
    third.woken();
    assert_eq!(third.refused(&mut server).kind(), ErrorKind::Refused);
    first.leave(&mut server);
    third.leave(&mut server);
    assert_eq!(server.names(), ["config"]);
}

#[test]
fn numbers_that_wrapped_come_first() {
    let child = |number: i32| format!("_c_x-lock-{number:010}");
    let order = [i32::MIN, i32::MIN + 1, i32::MAX - 2, i32::MAX];
    let sorted: Vec<String> = order.map(child).into();
    let mut shuffled = sorted.clone();
    for turn in 0..sorted.len() {
        shuffled.rotate_left(1);
        shuffled.swap(0, turn % 2);
        for (at, pivot) in sorted.iter().enumerate() {
            let up_to_it: Vec<_> = sorted[..=at].iter().collect();
            assert_eq!(order_for(&shuffled, pivot), up_to_it, "nobody behind matters");
        }
    }
}

#[test]
fn of_two_places_with_one_number_none_is_first_for_itself() {
    let twins = ["_c_x-lock-0000000007", "_c_y-lock-0000000007"].map(str::to_owned);
    for own in &twins {
        assert_eq!(order_for(&twins, own).last(), Some(&own));
    }
}

/// The line as somebody in it has it.
fn order_for<'a>(children: &'a [String], asker: &str) -> Vec<&'a String> {
    let line = places(Dialect::Curator, None, ForeignPolicy::Refuse, children, asker).unwrap();
    line.into_iter().map(|(child, _)| child).collect()
}

#[test]
fn readers_who_stand_together_hold_together_as_seen_from_outside() {
    let children = ["__READ__0000000001", "__READ__0000000002", "__WRIT__0000000003", "config"];
    let children = children.map(|child| format!("_c_x-{child}"));
    let line: Vec<(Option<Mode>, bool)> =
        line(Dialect::Curator, &children).into_iter().map(|at| (at.mode, at.held)).collect();
    let (reader, writer) = (Some(Mode::Shared), Some(Mode::Write));
    assert_eq!(line, [(reader, true), (reader, true), (writer, false)]);
}

// ----- leaving -----

#[test]
fn leaving_works_from_everywhere() {
    // After each number of steps, whether the last one had been applied or not.
    for last in [Fate::AppliedAndDropped, Fate::Dropped, Fate::Applied(LOST), Fate::Unseen(LOST)] {
        for steps in 0..8 {
            for lost_create in [false, true] {
                let (mut server, [mut first]) = in_line();
                server.parents.insert(DIR.to_owned());
                let mut client = Client::new(7);
                let mut fates = vec![Fate::Answered; steps];
                if let (true, Some(fate)) = (lost_create, fates.first_mut()) {
                    *fate = Fate::Applied(LOST);
                }
                fates.extend([last.clone(), Fate::Dropped]);
                let _ = client.ask_with(&mut server, fates);
                client.leave(&mut server);
                assert!(client.nodes(&server).is_empty(), "{:?}", client.steps);
                assert!(matches!(client.ask(&mut server), Ok(Spot::Gone(Loss::Removed))));
                first.first(&mut server);
            }
        }
    }
}

#[test]
fn leaving_without_asking_sends_nothing() {
    let (mut server, mut client) = (Server::new(), Client::new(1));
    client.leave(&mut server);
    assert_eq!(client.taken(), "");
    assert_eq!(client.gone(&mut server), Loss::Removed);
}

#[test]
fn leaving_is_repeated_until_it_is_confirmed() {
    let (mut server, [mut client]) = in_line();
    for fate in [Fate::Unseen(LOST), Fate::Applied(LOST), Fate::AppliedAndDropped] {
        let step = client.seat.next_leaving().unwrap();
        if let Some(left) = client.perform(&mut server, step, fate) {
            assert!(left.unwrap().is_none());
        }
    }
    client.leave(&mut server);
    assert_eq!(client.taken(), "remove, remove, remove, remove");

    let (mut server, [mut client]) = in_line();
    let step = client.seat.next_leaving().unwrap();
    client.perform(&mut server, step, Fate::Unseen(OVER)).unwrap().unwrap();
    assert!(client.seat.next_leaving().is_none(), "the servers do it with the session");
}

// ----- refusals -----

#[test]
fn what_the_server_refuses_has_a_kind_and_leaves_a_place_that_can_be_left() {
    for (code, kind) in [
        (ErrorCode::NO_AUTH, ErrorKind::Denied),
        (ErrorCode::INVALID_ACL, ErrorKind::Denied),
        (ErrorCode::AUTH_FAILED, ErrorKind::Denied),
        (ErrorCode::NOT_READ_ONLY, ErrorKind::Unavailable),
        (ErrorCode::THROTTLED, ErrorKind::Unavailable),
        (ErrorCode::NO_CHILDREN_FOR_EPHEMERALS, ErrorKind::Refused),
        (ErrorCode::UNIMPLEMENTED, ErrorKind::Refused),
        (ErrorCode::SYSTEM_ERROR, ErrorKind::Protocol),
    ] {
        for steps in 0..3 {
            let (mut server, mut client) = (Server::new(), Client::new(1));
            let mut fates = vec![Fate::Answered; steps];
            if let Some(fate) = fates.first_mut() {
                *fate = Fate::Applied(LOST);
            }
            fates.push(Fate::Unseen(RequestError::Refused(code)));
            let error = client.ask_with(&mut server, fates).unwrap().unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (kind, Outcome::Known), "{error}");
            // A refusal proves nothing about steps before it.
            client.leave(&mut server);
            assert!(server.children.is_empty());
        }
    }
    let (mut server, mut client) = (Server::new(), Client::new(1));
    server.refusal = Some(ErrorCode::NO_AUTH);
    assert_eq!(client.refused(&mut server).kind(), ErrorKind::Denied);
    assert!(client.seat.is_nowhere());
    server.refusal = None;
    client.first(&mut server);
}

#[test]
fn a_full_queue_is_trouble_that_passes() {
    for step in 0..3 {
        let (mut server, [_first]) = in_line();
        let mut client = Client::new(7);
        let mut fates = vec![Fate::Answered; step];
        fates.push(Fate::Unseen(RequestError::QueueFull));
        if let Some(Err(error)) = client.ask_with(&mut server, fates) {
            assert!(error.is_transient(), "{error}");
        }
        assert_eq!(client.behind(&mut server).ahead, Some(1));
    }
}

#[test]
fn a_server_that_makes_impossible_nodes_is_no_server_of_ours() {
    for (name, czxid) in [("_c_x-lock-7", 5), ("_c_x-lock-0000000007", 0)] {
        let (mut server, mut client) = (Server::new(), Client::new(1));
        let Next::Do(Step::Enter(_)) = client.seat.next() else { panic!() };
        let stat = Stat { czxid, ..Stat::default() };
        let created = Ok(Created { path: format!("{DIR}/{name}"), stat });
        let error = client.seat.on(Answer::Entered { created, children: Ok(Vec::new()) });
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Protocol);
        client.leave(&mut server);
    }
}

#[cfg(feature = "mutants")]
#[test]
fn deliberate_bugs_are_noticed() {
    let twins = a_second_node_of_ours_is_removed_before_anything_is_judged;
    sneck_core::mutants::assert_noticed("a-twin-is-left", twins);
}
