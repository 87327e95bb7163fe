//! Requests: their order, their bounds, and what becomes of them.

use super::*;
use tokio::sync::oneshot::error::TryRecvError;

#[test]
fn requests_go_out_in_order_and_are_answered_in_order() {
    let mut scene = Scene::open();
    let mut first = scene.submit(&get("/a"));
    let mut second = scene.submit(&delete("/b"));
    assert_eq!(scene.sent(), [(1, get("/a")), (2, delete("/b"))]);
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
    scene.answer(1, Ok(&data())).unwrap();
    scene.answer(2, Err(ErrorCode::NOT_EMPTY)).unwrap();
    assert_eq!(first.try_recv(), Ok(Ok(data())));
    assert_eq!(second.try_recv(), Ok(Err(RequestError::Refused(ErrorCode::NOT_EMPTY))));
}

#[test]
fn xids_wrap_to_1() {
    let mut scene = Scene::open();
    scene.machine.xid_last = i32::MAX - 1;
    let mut answers: Vec<_> = (0..3).map(|_| scene.submit(&get("/a"))).collect();
    assert_eq!(scene.sent_xids(), [i32::MAX, 1, 2]);
    for (answer, xid) in answers.iter_mut().zip([i32::MAX, 1, 2]) {
        scene.answer(xid, Ok(&data())).unwrap();
        assert_eq!(answer.try_recv(), Ok(Ok(data())));
    }
}

/// A frame with the answer to this request, filled up to so many bytes.
fn long_answer(xid: i32, bytes: usize) -> BytesMut {
    let mut frame = BytesMut::new();
    encode_frame(&mut frame, |out| {
        ReplyHeader { xid, zxid: 5, error: ErrorCode::OK }.encode(out);
        out.resize(out.len() + bytes - ReplyHeader::WIRE_BYTES, 0xff);
    });
    frame
}

#[test]
fn an_answer_that_is_too_long_is_told_and_passed_over() {
    for piece in [1, 19, 20, 21, 1_000] {
        let mut scene = Scene::open_with(|options| options.limits.reply_bytes_max = 100);
        let mut first = scene.submit(&get("/a"));
        let mut long = scene.watch("/b", WatchKind::Data);
        let mut last = scene.submit(&get("/c"));
        scene.answer(1, Ok(&data())).unwrap();
        let mut incoming = BytesMut::new();
        for bytes in long_answer(2, 5_000).chunks(piece) {
            incoming.extend_from_slice(bytes);
            let mut effects = Effects::default();
            scene.machine.on_bytes(scene.now, &mut incoming, &mut effects).unwrap();
            effects.deliver();
            assert!(incoming.len() < 20, "nothing of it is kept");
        }
        scene.answer(3, Ok(&data())).unwrap();
        assert_eq!((first.try_recv(), last.try_recv()), (Ok(Ok(data())), Ok(Ok(data()))));
        let told = long.answer.try_recv().unwrap().unwrap_err();
        assert_eq!(told, RequestError::ReplyTooLarge { bytes: 5_000, bytes_max: 100 });
        assert!(told.may_have_been_applied());
        assert_eq!(long.events.try_recv(), Err(TryRecvError::Closed));
    }
}

#[test]
fn what_is_too_long_and_no_answer_costs_the_connection() {
    for frame in [long_answer(2, 5_000), long_answer(xid::NOTIFICATION, 5_000)] {
        let mut scene = Scene::open_with(|options| options.limits.reply_bytes_max = 100);
        let mut asked = scene.submit(&get("/a"));
        assert!(matches!(scene.feed(frame), Err(Broken::Protocol(_))));
        scene.disconnect();
        assert_eq!(asked.try_recv(), Ok(Err(RequestError::Interrupted)));
    }
    // What was to come of it does not come on the next connection.
    let mut scene = Scene::open_with(|options| options.limits.reply_bytes_max = 100);
    let mut long = scene.submit(&get("/a"));
    let frame = long_answer(1, 5_000);
    scene.feed(BytesMut::from(&frame[..50])).unwrap();
    assert!(matches!(long.try_recv(), Ok(Err(RequestError::ReplyTooLarge { .. }))));
    scene.disconnect();
    scene.resume();
}

#[test]
fn a_server_that_breaks_the_protocol_loses_the_connection_and_nobody_waits_for_ever() {
    let header = |xid| ReplyHeader { xid, zxid: 1, error: ErrorCode::OK };
    let frame = |xid, reply: Option<&Reply>| {
        let mut bytes = BytesMut::new();
        encode_reply(&mut bytes, header(xid), reply);
        bytes
    };
    let cases: [(&str, BytesMut); 8] = [
        ("a wrong xid", frame(2, Some(&data()))),
        ("xid 0", frame(0, Some(&data()))),
        ("a reserved xid", frame(-3, Some(&data()))),
        ("a body of another operation", frame(1, Some(&Reply::Sync { path: "/".into() }))),
        ("no body", frame(1, None)),
        ("half a header", BytesMut::from(&[0, 0, 0, 2, 0, 0][..])),
        ("an oversized frame", BytesMut::from(&[0x7f, 0, 0, 0][..])),
        ("half an event", frame(xid::NOTIFICATION, Some(&Reply::AddWatch))),
    ];
    for (what, bytes) in cases {
        let mut scene = Scene::open();
        let mut first = scene.submit(&get("/a"));
        let mut second = scene.watch("/b", WatchKind::Data);
        assert!(matches!(scene.feed(bytes), Err(Broken::Protocol(_))), "{what}");
        scene.disconnect();
        assert_eq!(first.try_recv(), Ok(Err(RequestError::Interrupted)), "{what}");
        assert_eq!(second.answer.try_recv(), Ok(Err(RequestError::Interrupted)), "{what}");
        assert_eq!(second.events.try_recv(), Err(TryRecvError::Closed), "{what}");
        assert!(scene.machine.watches.is_empty());
    }
    let mut scene = Scene::open();
    assert!(matches!(scene.answer(1, Ok(&data())), Err(Broken::Protocol(_))), "answers nothing");
}

#[test]
fn what_was_answered_before_the_garbage_counts() {
    let mut scene = Scene::open();
    let mut first = scene.submit(&get("/a"));
    let mut second = scene.submit(&get("/b"));
    let mut bytes = BytesMut::new();
    let header = ReplyHeader { xid: 1, zxid: 1, error: ErrorCode::OK };
    encode_reply(&mut bytes, header, Some(&data()));
    bytes.extend_from_slice(&[0xff; 9]);
    assert!(scene.feed(bytes).is_err());
    scene.disconnect();
    assert_eq!(first.try_recv(), Ok(Ok(data())));
    assert_eq!(second.try_recv(), Ok(Err(RequestError::Interrupted)));
}

#[test]
fn what_waits_while_there_is_no_server_goes_out_in_order_after_who_we_are_and_what_we_watch() {
    let credentials = vec![Credentials::digest("me", "secret")];
    let mut scene = Scene::open_with(|options| options.credentials = credentials);
    scene.answer(xid::AUTH, Ok(&Reply::Auth)).unwrap();
    scene.sent();
    let _watching = scene.watched("/w", WatchKind::Data, Ok(&data()));
    let mut sent = scene.submit(&delete("/sent"));
    scene.disconnect();
    assert_eq!(sent.try_recv(), Ok(Err(RequestError::Interrupted)));
    let mut waiting: Vec<_> = (0..3).map(|n| scene.submit(&get(&format!("/{n}")))).collect();
    assert!(waiting.iter_mut().all(|answer| answer.try_recv() == Err(TryRecvError::Empty)));
    assert!(scene.machine.outgoing().is_empty());
    let sent = scene.resume();
    let xids: Vec<_> = sent.iter().map(|(xid, _)| *xid).collect();
    assert_eq!(xids[..2], [xid::AUTH, xid::SET_WATCHES]);
    assert!(xids[2..].is_sorted() && xids[2] > 0, "{xids:?}");
    let requests: Vec<_> = sent.into_iter().skip(2).map(|(_, request)| request).collect();
    assert_eq!(requests, [get("/0"), get("/1"), get("/2")]);
}

#[test]
fn the_window_and_the_queue_are_bounded() {
    let mut scene = Scene::open_with(|options| {
        options.limits.in_flight_max = 2;
        options.limits.queue_max = 3;
    });
    let mut answers: Vec<_> = (0..5).map(|n| scene.submit(&get(&format!("/{n}")))).collect();
    assert_eq!(scene.sent_requests(), [get("/0"), get("/1")]);
    let full = scene.machine.submit(scene.now, &get("/5"));
    assert_eq!(full.err(), Some(RequestError::QueueFull));
    let full = scene.machine.submit_streaming(scene.now, "/5", AddWatchMode::Persistent);
    assert_eq!(full.err(), Some(RequestError::QueueFull));
    assert!(scene.machine.watches.is_empty());
    scene.answer(1, Ok(&data())).unwrap();
    assert_eq!(scene.sent_requests(), [get("/2")]);
    // There is room again; who comes now still comes last.
    answers.push(scene.submit(&get("/5")));
    for xid in 2..=6 {
        scene.answer(xid, Ok(&data())).unwrap();
    }
    assert_eq!(scene.sent_requests(), [get("/3"), get("/4"), get("/5")]);
    assert!(answers.iter_mut().all(|answer| answer.try_recv() == Ok(Ok(data()))));
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let mut scene = Scene::open_with(|options| {
        options.limits.in_flight_max = 1;
        options.limits.queue_bytes_max = 2_000;
    });
    let _on_the_way = scene.submit(&get("/a"));
    let _waits = scene.submit(&set_data("/b", 1_500));
    let full = scene.machine.submit(scene.now, &set_data("/c", 1_500));
    assert_eq!(full.err(), Some(RequestError::QueueFull));
    let _small = scene.submit(&get("/d"));
    scene.sent();
    scene.answer(1, Ok(&data())).unwrap();
    let _fits_again = scene.submit(&set_data("/c", 1_500));
}

#[test]
fn data_beyond_measure_is_refused_before_it_is_copied() {
    let mut scene = Scene::open_with(|options| options.limits.request_bytes_max = 100);
    let op = |bytes| MultiOp::SetData {
        path: "/a".into(),
        data: Some(Bytes::from(vec![0; bytes])),
        version: -1,
    };
    let request = Request::Multi(vec![op(60), op(60)]);
    let too_large = Some(RequestError::TooLarge { bytes: 120, bytes_max: 100 });
    assert_eq!(scene.machine.submit(scene.now, &request).err(), too_large);
    assert!(scene.sent_requests().is_empty());
}

#[test]
fn a_proof_does_not_wait_for_the_window() {
    let mut scene = Scene::open_with(|options| options.limits.in_flight_max = 1);
    scene.pass(secs(5));
    let _first = scene.submit(&get("/a"));
    let _second = scene.submit(&get("/b"));
    scene.sent();
    scene.pass(secs(1));
    scene.on_time().unwrap();
    assert_eq!(scene.sent(), [(2, proof_request())]);
}

#[test]
fn a_request_that_is_too_large_is_not_sent_and_costs_nothing() {
    let mut scene = Scene::open_with(|options| options.limits.request_bytes_max = 100);
    let head = 4 + 4 + 4 + 2 + 4 + 4;
    let _fits = scene.submit(&set_data("/a", 100 - head));
    let large = set_data("/a", 101 - head);
    let too_large = Some(RequestError::TooLarge { bytes: 101, bytes_max: 100 });
    assert_eq!(scene.machine.submit(scene.now, &large).err(), too_large);
    assert_eq!(scene.sent_requests().len(), 1);
    let path = "/".repeat(100);
    let watching = scene.machine.submit_watching(scene.now, &get(&path), &path, WatchKind::Data);
    assert!(matches!(watching, Err(RequestError::TooLarge { .. })));
    assert!(scene.machine.watches.is_empty());
    scene.disconnect();
    assert_eq!(scene.machine.submit(scene.now, &large).err(), too_large);
    scene.resume();
    assert_eq!(scene.sent_requests(), []);
}

#[test]
fn a_moved_session_gives_up_the_connection_and_an_expired_one_everything() {
    let mut scene = Scene::open();
    let mut answer = scene.submit(&delete("/a"));
    assert_eq!(scene.answer(1, Err(ErrorCode::SESSION_MOVED)), Err(Broken::Moved));
    scene.disconnect();
    assert_eq!(answer.try_recv(), Ok(Err(RequestError::Interrupted)));
    assert_eq!(scene.end(), None);
    scene.resume();

    let mut answer = scene.submit(&delete("/a"));
    let xid = scene.sent_xids()[0];
    assert_eq!(scene.answer(xid, Err(ErrorCode::SESSION_EXPIRED)), Err(Broken::Over));
    let over = RequestError::Over { end: End::Expired, sent: true };
    assert_eq!(answer.try_recv(), Ok(Err(over)));
    assert_eq!(scene.end(), Some(End::Expired));
    assert!(!scene.holds());
}

#[test]
fn a_lost_connection_forgets_half_a_request() {
    let mut scene = Scene::open();
    let _answer = scene.submit(&get("/a"));
    scene.disconnect();
    assert!(scene.machine.outgoing().is_empty());
    assert_eq!(scene.feed(BytesMut::from(&[0, 0, 0, 0][..])), Err(Broken::Over));
}
