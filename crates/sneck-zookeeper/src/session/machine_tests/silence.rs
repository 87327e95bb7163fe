//! Whoever is silent for too long: it never is, and a server that is loses the connection.

use super::*;

#[test]
fn it_never_falls_silent_and_asks_for_a_proof_in_time() {
    let mut scene = Scene::open();
    let begin = scene.now;
    let mut sent = Vec::new();
    while scene.now < begin + TIMEOUT {
        let alarm = scene.machine.alarm();
        assert!(alarm > scene.now && alarm <= scene.now + secs(2), "it would sleep too long");
        scene.now = alarm;
        scene.on_time().unwrap();
        for (xid, request) in scene.sent() {
            sent.push((scene.now.since(begin).as_secs(), request.op()));
            let reply = if xid > 0 { Reply::Multi(vec![MultiResult::Check]) } else { Reply::Ping };
            scene.answer(xid, Ok(&reply)).unwrap();
        }
        assert!(scene.holds());
    }
    let (ping, proof) = (OpCode::Ping, OpCode::Multi);
    let expected = [(2, ping), (4, ping), (6, proof), (8, ping), (10, ping), (12, proof)];
    assert_eq!(sent[..6], expected);
}

#[test]
fn what_is_asked_anyway_saves_pings_and_proofs() {
    let mut scene = Scene::open();
    scene.pass(secs(1));
    let _read = scene.submit(&get("/a"));
    assert_eq!(scene.machine.alarm(), scene.now + secs(2), "a read puts off the ping");
    scene.answer(1, Ok(&data())).unwrap();
    scene.pass(secs(1));
    let _write = scene.submit(&delete("/a"));
    scene.answer(2, Ok(&Reply::Delete)).unwrap();
    scene.sent();
    for _ in 0..2 {
        scene.pass(secs(2));
        scene.on_time().unwrap();
        assert_eq!(scene.sent(), [(xid::PING, Request::Ping)]);
        scene.answer(xid::PING, Ok(&Reply::Ping)).unwrap();
    }
    scene.pass(secs(2));
    scene.on_time().unwrap();
    assert_eq!(scene.sent_requests(), [proof_request()], "six seconds after the write");
}

#[test]
fn silence_breaks_the_connection_whoever_it_is_that_waits() {
    // A request.
    let mut scene = Scene::open();
    let _answer = scene.submit(&get("/a"));
    scene.pass(secs(6));
    assert_eq!(scene.on_time(), Err(Broken::Silent));
    // A ping; an answer to an earlier one is none to this.
    let mut scene = Scene::open();
    for _ in 0..2 {
        scene.pass(secs(2));
        scene.on_time().unwrap();
    }
    scene.answer(xid::PING, Ok(&Reply::Ping)).unwrap();
    scene.pass(secs(6) - Duration::from_millis(1));
    assert_eq!(scene.on_time(), Ok(()));
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.on_time(), Err(Broken::Silent));
    // What an earlier connection left unanswered says nothing about the next.
    scene.disconnect();
    scene.resume();
    assert_eq!(scene.on_time(), Ok(()));
    // A proof, although pings are answered: the follower that is cut off from its leader.
    let mut scene = Scene::open();
    let mut proofs = 0;
    let broken = loop {
        assert!(proofs < 3, "it asks without end");
        scene.now = scene.machine.alarm();
        if let Err(broken) = scene.on_time() {
            break broken;
        }
        for (xid, _) in scene.sent() {
            proofs += u32::from(xid > 0);
            if xid == xid::PING {
                scene.answer(xid, Ok(&Reply::Ping)).unwrap();
            }
        }
    };
    assert_eq!((broken, proofs), (Broken::Silent, 1));
    assert!(scene.holds(), "there is time left to find a better server");
    scene.disconnect();
    scene.resume();
    assert!(scene.holds());
}
