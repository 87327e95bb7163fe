//! A holder that is stopped past its timeout and continued.

use crate::server::{Kind, on_each_kind};
use crate::support::{line_of, observer_of, url, worker};
use rustix::process::Signal;
use sneck_testkit::or_skip;

on_each_kind!(a_stopped_holder_knows_at_once_and_its_late_write_is_refused);

async fn a_stopped_holder_knows_at_once_and_its_late_write_is_refused(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = format!("write l {}", folder.path().join("register").display());
    let url = url(&server.connect_string(), "pause", "2s");
    let (mut first, mut second) = (worker(&url).await, worker(&url).await);
    let observer = observer_of(&server).await;

    let first_token = first.ask("lock l", &["held"]).await.number(2);
    first.ask(&write, &["written"]).await;
    second.send("lock l").await;
    line_of(&observer, "/pause/l", 2).await;
    first.signal(Signal::STOP);
    let second_token = second.wait_for(&["held"]).await.number(2);
    assert!(second_token > first_token);
    second.ask(&write, &["written"]).await;

    // Both commands are read as soon as it runs again. The first call on the guard says lost; a write
    // that does not ask the guard is refused by the register.
    first.send("is-held l").await;
    first.send(&write).await;
    first.signal(Signal::CONT);
    first.wait_for(&["no", "l"]).await;
    first.wait_for(&["refused", "l"]).await;
    first.wait_for(&["lost", "l"]).await;
    first.ask("unlock l", &["gone"]).await;

    second.ask("is-held l", &["yes"]).await;
    second.ask("unlock l", &["free"]).await;
    line_of(&observer, "/pause/l", 0).await;
}
