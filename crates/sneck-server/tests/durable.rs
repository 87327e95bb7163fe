//! What a server with a data folder still knows after a restart, and after a crash.

use std::path::Path;
use std::time::Duration;

use sneck_server::{Running, Server};
use sneck_zookeeper::wire::{Acl, CreateMode, MultiOp, NewNode};
use sneck_zookeeper::{Session, SessionOptions};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

async fn start(folder: &Path, port: u16) -> Running {
    let builder = Server::builder()
        .listen(([127, 0, 0, 1], port).into())
        .tick(Duration::from_millis(100))
        .session_timeouts(Duration::from_millis(500), SOON)
        .data(folder);
    builder.start().await.expect("the folder is good")
}

async fn connect(server: &Running) -> Session {
    let port = server.addresses()[0].port();
    let address = sneck_zookeeper::Server { host: "127.0.0.1".into(), port };
    Session::connect(SessionOptions::new(vec![address])).await.expect("a session")
}

async fn number(session: &Session) -> String {
    let mode = CreateMode::PersistentSequential;
    session.create("/line/n-", "", mode, Acl::open()).await.expect("a node")
}

/// The files as a crash would leave them: copied while the server runs.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a new folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        // Opened rather than copied by name, as the server may just have removed it.
        if let Ok(bytes) = std::fs::read(entry.path()) {
            std::fs::write(to.join(entry.file_name()), bytes).expect("a copy");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_nodes_and_counters_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = start(&data, 0).await;
    let port = server.addresses()[0].port();
    let session = connect(&server).await;
    session.create("/line", "", CreateMode::Persistent, Acl::open()).await.unwrap();
    session.create("/mine", "x", CreateMode::Ephemeral, Acl::open()).await.unwrap();
    assert_eq!(number(&session).await, "/line/n-0000000000");
    session.delete("/line/n-0000000000", None).await.unwrap();
    let mine = session.get_data("/mine").await.unwrap();
    assert!(server.stop().await.is_some());

    let server = start(&data, port).await;
    let again = timeout(SOON, session.get_data("/mine")).await.unwrap().unwrap();
    assert_eq!((again.stat, again.data), (mine.stat, mine.data), "the session goes on");
    assert_eq!(number(&session).await, "/line/n-0000000001");
    session.close().await;
    let other = connect(&server).await;
    assert!(other.exists("/mine").await.unwrap().is_none());
    let last = other.exists("/line").await.unwrap().unwrap().pzxid;
    assert!(last > mine.stat.czxid);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = start(&data, 0).await;
    let session = connect(&server).await;
    session.create("/line", "", CreateMode::Persistent, Acl::open()).await.unwrap();
    let mut last = String::new();
    for round in 0..20 {
        last = number(&session).await;
        let crashed = folder.path().join(format!("crashed-{round}"));
        copy(&data, &crashed);
        let other = start(&crashed, 0).await;
        let client = connect(&other).await;
        let node = timeout(SOON, client.exists(&last)).await.unwrap().unwrap();
        assert!(node.is_some(), "{last} was acknowledged");
        drop(other);
    }
    assert_eq!(last, "/line/n-0000000019");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_share_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder.path().join("data"), 0).await;
    let first = connect(&server).await;
    first.create("/line", "", CreateMode::Persistent, Acl::open()).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let session = connect(&server).await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..50 {
                let mode = CreateMode::EphemeralSequential;
                let (path, acl) = ("/line/e-".into(), Acl::open());
                let node = NewNode { path, data: None, acl, mode };
                session.multi(vec![MultiOp::Create2(node)]).await.unwrap();
            }
            session.close().await;
        }));
    }
    for task in tasks {
        timeout(SOON, task).await.unwrap().unwrap();
    }
    let stat = first.exists("/line").await.unwrap().unwrap();
    assert_eq!((stat.num_children, stat.cversion), (0, 800));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_has_one_server_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = start(&data, 0).await;
    let second = Server::builder().data(&data).start().await;
    let told = second.expect_err("it is taken").to_string();
    assert!(told.contains(&data.display().to_string()), "{told}");
    server.stop().await;
    start(&data, 0).await.stop().await;
}
