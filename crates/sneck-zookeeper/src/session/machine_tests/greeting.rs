//! How a session is asked for, resumed or refused, and by whom.

use super::*;
use tokio::sync::oneshot::error::TryRecvError;

#[test]
fn a_new_session_is_asked_for_and_taken() {
    let mut scene = Scene::new();
    let greeting = scene.connect();
    assert_eq!((greeting.session_id, greeting.last_zxid_seen), (0, 0));
    assert_eq!((greeting.timeout_ms, greeting.read_only), (24_000, Some(false)));
    assert_eq!(greeting.password, Secret::from([0; 16]));
    assert!(!scene.machine.is_connected());
    scene.greet_with(OURS, secs(4)).unwrap();
    assert!(scene.machine.is_connected());
    assert_eq!((scene.machine.id(), scene.machine.timeout()), (OURS, secs(4)));
    // The quorum has opened it, so nothing more has to be proven now.
    assert_eq!(scene.sent_requests(), []);
    assert_eq!(scene.machine.lease().until(), scene.now + secs(4) * 5 / 8);
}

#[test]
fn a_session_is_resumed_with_its_password_and_the_last_transaction() {
    let mut scene = Scene::open();
    scene.zxid = 0x42;
    let _answer = scene.submit(&get("/a"));
    scene.answer(1, Ok(&data())).unwrap();
    // Neither an older transaction nor an event's moves it.
    scene.zxid = 0x41;
    let _answer = scene.submit(&get("/a"));
    scene.answer(2, Err(ErrorCode::NO_NODE)).unwrap();
    scene.event(EventKind::Deleted, "/a");
    assert_eq!(scene.machine.zxid_seen(), 0x42);
    scene.disconnect();
    let greeting = scene.connect();
    assert_eq!((greeting.session_id, greeting.last_zxid_seen), (OURS, 0x42));
    assert_eq!(greeting.password, Secret::from([9; 16]));
    // The wanted timeout is asked for again, whatever was given.
    assert_eq!(greeting.timeout_ms, 24_000);
    scene.greet_with(OURS, secs(8)).unwrap();
    assert_eq!(scene.machine.timeout(), secs(8));
    assert!(scene.machine.is_connected());
}

#[test]
fn an_expired_session_is_over_for_everybody() {
    let mut scene = Scene::open();
    let mut watching = scene.watched("/a", WatchKind::Data, Ok(&data()));
    let lease = scene.machine.lease().clone();
    scene.disconnect();
    let mut waiting = scene.submit(&get("/b"));
    scene.connect();
    assert_eq!(scene.greet_as(&ConnectReply::expired(Some(false))), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Expired));
    assert_eq!(lease.loss(scene.now), Some(Loss::SessionEnded));
    assert_eq!(watching.events.try_recv(), Err(TryRecvError::Closed));
    let over = RequestError::Over { end: End::Expired, sent: false };
    assert_eq!(waiting.try_recv(), Ok(Err(over.clone())));
    assert_eq!(scene.machine.submit(scene.now, &get("/c")).err(), Some(over));
}

#[test]
fn another_session_than_ours_is_the_end_of_ours() {
    for foreign in [OURS + 1, 0] {
        let mut scene = Scene::open();
        scene.disconnect();
        scene.connect();
        assert_eq!(scene.greet(foreign), Err(Broken::Over));
        assert_eq!(scene.end(), Some(End::Expired));
    }
}

#[test]
fn an_answer_without_a_session_opens_none() {
    for reply in [
        ConnectReply::expired(None),
        ConnectReply { session_id: 5, ..ConnectReply::expired(None) },
        ConnectReply { timeout_ms: 4_000, ..ConnectReply::expired(None) },
        ConnectReply { timeout_ms: -1, session_id: 5, ..ConnectReply::expired(None) },
    ] {
        let mut scene = Scene::new();
        scene.connect();
        assert!(matches!(scene.greet_as(&reply), Err(Broken::Protocol(_))), "{reply:?}");
        assert_eq!((scene.end(), scene.machine.id()), (None, 0));
        scene.disconnect();
        scene.connect();
        scene.greet(OURS).unwrap();
    }
}

#[test]
fn strangers_are_named_at_their_first_bytes() {
    for (answer, named) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "HTTP"),
        (&[0x15, 3, 3, 0, 2, 2, 40][..], "TLS"),
        (&[0x7f, 0xff, 0xff, 0xff][..], "frame"),
        (&[0xff, 0xff, 0xff, 0xff][..], "frame"),
        (&[0, 0, 0, 3, 1, 2, 3][..], "protocol version"),
    ] {
        let mut scene = Scene::new();
        scene.connect();
        match scene.feed(answer.into()) {
            Err(Broken::Protocol(why)) => assert!(why.contains(named), "{why}"),
            other => panic!("{other:?} of {answer:?}"),
        }
    }
}

#[test]
fn a_greeting_may_come_byte_by_byte() {
    let mut scene = Scene::new();
    scene.connect();
    let mut frame = BytesMut::new();
    let reply = ConnectReply { timeout_ms: 4_000, session_id: 5, ..ConnectReply::expired(None) };
    encode_frame(&mut frame, |out| reply.encode(out));
    let mut incoming = BytesMut::new();
    for byte in frame {
        assert!(!scene.machine.is_connected());
        incoming.extend_from_slice(&[byte]);
        let mut effects = Effects::default();
        scene.machine.on_bytes(scene.now, &mut incoming, &mut effects).unwrap();
    }
    assert!(scene.machine.is_connected());
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut scene = Scene::new();
    scene.connect();
    assert_eq!(scene.machine.alarm(), scene.now + secs(6));
    scene.pass(secs(6) - Duration::from_millis(1));
    assert_eq!(scene.on_time(), Ok(()));
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.on_time(), Err(Broken::Silent));
}

#[test]
fn a_tiny_wish_does_not_make_connecting_impossible() {
    let mut scene = Scene::with(|options| options.timeout = Duration::from_millis(40));
    scene.connect();
    assert_eq!(scene.machine.alarm(), scene.now + secs(1));
    scene.greet_with(OURS, secs(2)).unwrap();
    scene.disconnect();
    scene.connect();
    assert_eq!(
        scene.machine.alarm(),
        scene.now + Duration::from_millis(500),
        "a lease is at stake"
    );
}
