//! Who we are, said first on every connection.

use super::*;

#[test]
fn credentials_come_first_on_every_connection_and_decide_when_it_is_one() {
    let credentials = vec![Credentials::digest("me", "secret"), Credentials::other("x", "y")];
    let mut scene = Scene::with(|options| options.credentials = credentials);
    let _waiting = scene.submit(&get("/a"));
    scene.connect();
    scene.greet(OURS).unwrap();
    let sent = scene.sent();
    assert_eq!(sent.iter().map(|(xid, _)| *xid).collect::<Vec<_>>(), [xid::AUTH, xid::AUTH, 1]);
    let credential = Secret::from(*b"me:secret");
    assert_eq!(sent[0].1, Request::Auth { scheme: "digest".into(), credential });
    for _ in 0..2 {
        assert!(!scene.machine.is_connected());
        scene.answer(xid::AUTH, Ok(&Reply::Auth)).unwrap();
    }
    assert!(scene.machine.is_connected());

    // More of them do not interrupt what is going on, and are remembered.
    scene.machine.authenticate(Credentials::digest("you", "too"));
    assert!(scene.machine.is_connected());
    scene.answer(xid::AUTH, Ok(&Reply::Auth)).unwrap();
    scene.sent();
    scene.disconnect();
    let sent = scene.resume();
    assert_eq!(sent.iter().filter(|(xid, _)| *xid == xid::AUTH).count(), 3);
    assert!(!scene.machine.is_connected());
}

#[test]
fn refused_credentials_end_the_session() {
    let credentials = vec![Credentials::digest("me", "secret")];
    let mut scene = Scene::open_with(|options| options.credentials = credentials);
    let mut sent = scene.submit(&get("/a"));
    assert_eq!(scene.answer(xid::AUTH, Err(ErrorCode::AUTH_FAILED)), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::AuthFailed));
    let over = RequestError::Over { end: End::AuthFailed, sent: true };
    assert_eq!(sent.try_recv(), Ok(Err(over)));
    assert!(!scene.holds());
}
