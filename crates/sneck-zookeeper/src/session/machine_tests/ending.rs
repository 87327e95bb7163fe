//! The end: closed, expired or given up.

use super::*;

const CLOSED: RequestError = RequestError::Over { end: End::Closed, sent: false };

#[test]
fn a_session_that_never_was_is_closed_at_once_and_takes_no_connection() {
    let mut scene = Scene::new();
    let mut waiting = scene.submit(&get("/a"));
    scene.close();
    assert_eq!(scene.end(), Some(End::Closed));
    assert_eq!(waiting.try_recv(), Ok(Err(CLOSED)));
    // The connection that was being made comes too late.
    assert_eq!(scene.machine.on_connection(scene.now), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Closed));

    // So does the answer to a greeting, and nobody waits for it.
    let mut scene = Scene::new();
    scene.connect();
    scene.close();
    assert!(scene.machine.alarm() <= scene.now);
    assert_eq!(scene.on_time(), Err(Broken::Over));
    assert_eq!(scene.greet(OURS), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Closed));
}

#[test]
fn closing_lets_what_was_asked_before_go_first() {
    let mut scene = Scene::open_with(|options| options.limits.in_flight_max = 1);
    let mut first = scene.submit(&get("/a"));
    let mut second = scene.submit(&get("/b"));
    scene.close();
    scene.close();
    assert_eq!(scene.machine.submit(scene.now, &get("/c")).err(), Some(CLOSED));
    scene.answer(1, Ok(&data())).unwrap();
    scene.answer(2, Ok(&data())).unwrap();
    assert_eq!(scene.sent_requests(), [get("/a"), get("/b"), Request::CloseSession]);
    assert_eq!((first.try_recv(), second.try_recv()), (Ok(Ok(data())), Ok(Ok(data()))));
    assert!(!scene.holds(), "the servers may give the locks away before they answer");
    assert_eq!(scene.answer(3, Ok(&Reply::CloseSession)), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Closed));
    assert!(!scene.holds());
    scene.disconnect();
    assert_eq!(scene.end(), Some(End::Closed));
}

#[test]
fn a_full_queue_cannot_keep_a_session_open() {
    let limits = |options: &mut SessionOptions| {
        options.limits.in_flight_max = 1;
        options.limits.queue_max = 1;
    };
    let mut scene = Scene::open_with(limits);
    let _answers = [scene.submit(&get("/a")), scene.submit(&get("/b"))];
    scene.close();
    scene.answer(1, Ok(&data())).unwrap();
    scene.answer(2, Ok(&data())).unwrap();
    assert_eq!(scene.sent_requests(), [get("/a"), get("/b"), Request::CloseSession]);

    let mut scene = Scene::open_with(limits);
    scene.disconnect();
    let _answer = scene.submit(&get("/a"));
    scene.close();
    let sent = scene.resume();
    assert_eq!(sent.len(), 0, "the proof has taken the window");
    assert_eq!(scene.sent_requests(), [get("/a")]);
    scene.answer(2, Ok(&data())).unwrap();
    assert_eq!(scene.sent_requests(), [Request::CloseSession]);
}

#[test]
fn a_session_closed_while_there_is_no_server_is_closed_at_the_next_one() {
    let mut scene = Scene::open();
    scene.disconnect();
    let mut waiting = scene.submit(&get("/a"));
    scene.close();
    assert_eq!(scene.end(), None);
    let sent = scene.resume();
    let requests: Vec<_> = sent.iter().map(|(_, request)| request.clone()).collect();
    assert_eq!(requests, [get("/a"), Request::CloseSession]);
    scene.answer(sent[0].0, Ok(&data())).unwrap();
    assert_eq!(waiting.try_recv(), Ok(Ok(data())));
    assert_eq!(scene.answer(sent[1].0, Ok(&Reply::CloseSession)), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Closed));
}

#[test]
fn closing_while_greeting_goes_on_after_it() {
    let mut scene = Scene::open();
    scene.disconnect();
    scene.connect();
    scene.close();
    scene.greet(OURS).unwrap();
    assert_eq!(scene.sent_requests(), [proof_request(), Request::CloseSession]);
}

#[test]
fn a_lost_answer_to_closing_is_asked_for_again_and_expired_is_as_good() {
    let mut scene = Scene::open();
    scene.close();
    let mut late = scene.machine.submit(scene.now, &get("/a"));
    assert_eq!(late.take_err(), CLOSED);
    scene.sent();
    scene.disconnect();
    assert_eq!(scene.end(), None);
    scene.connect();
    assert_eq!(scene.greet_as(&ConnectReply::expired(None)), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Closed));

    let mut scene = Scene::open();
    scene.close();
    scene.sent();
    scene.disconnect();
    let sent = scene.resume();
    assert_eq!(sent[0].1, Request::CloseSession);
}

trait TakeErr<E> {
    fn take_err(&mut self) -> E;
}

impl<T, E: Clone> TakeErr<E> for Result<T, E> {
    fn take_err(&mut self) -> E {
        self.as_ref().err().unwrap().clone()
    }
}

#[test]
fn closing_does_not_outlast_the_timeout() {
    let mut scene = Scene::open();
    scene.disconnect();
    let mut waiting = scene.submit(&get("/a"));
    scene.close();
    scene.pass(TIMEOUT - Duration::from_millis(1));
    scene.disconnect();
    assert_eq!(scene.end(), None);
    scene.pass(Duration::from_millis(1));
    scene.disconnect();
    assert_eq!(scene.end(), Some(End::Closed));
    assert_eq!(waiting.try_recv(), Ok(Err(CLOSED)));
}

#[test]
fn a_session_no_server_takes_back_is_given_up() {
    // Servers that hang up on us, as those do that have lost their data.
    let mut scene = Scene::open();
    scene.disconnect();
    scene.connect();
    scene.disconnect();
    scene.pass(TIMEOUT * 3 - Duration::from_millis(1));
    scene.connect();
    scene.disconnect();
    assert_eq!(scene.end(), None);
    scene.pass(Duration::from_millis(1));
    scene.connect();
    scene.disconnect();
    assert_eq!(scene.end(), Some(End::GivenUp));

    // Servers that cannot be reached: they may come back, and with them the session.
    let mut scene = Scene::open();
    scene.disconnect();
    scene.pass(secs(300) - Duration::from_millis(1));
    scene.disconnect();
    assert_eq!(scene.end(), None);
    scene.pass(Duration::from_millis(1));
    scene.disconnect();
    assert_eq!(scene.end(), Some(End::GivenUp));

    // A server that answers begins all of it anew.
    let mut scene = Scene::open();
    for _ in 0..100 {
        scene.disconnect();
        scene.connect();
        scene.disconnect();
        scene.pass(TIMEOUT);
        scene.resume();
    }
    assert_eq!(scene.end(), None);

    // A session that has not begun has nothing to lose.
    let mut scene = Scene::new();
    for _ in 0..100 {
        scene.connect();
        scene.disconnect();
        scene.pass(TIMEOUT);
    }
    assert_eq!(scene.end(), None);
}

#[test]
fn a_proof_that_was_on_the_way_opens_no_lease_after_closing() {
    let mut scene = Scene::open();
    let _on_the_way = scene.submit(&proof_request());
    scene.close();
    scene.answer(1, Ok(&Reply::Multi(Vec::new()))).unwrap();
    assert!(!scene.holds());
}

#[test]
fn a_session_that_nobody_drives_is_over() {
    let mut scene = Scene::open();
    let mut asked = scene.submit(&get("/a"));
    let mut effects = Effects::default();
    scene.machine.abandon(&mut effects);
    effects.deliver();
    assert_eq!(scene.end(), Some(End::GivenUp));
    assert!(!scene.holds());
    assert!(asked.try_recv().unwrap().is_err());
}
