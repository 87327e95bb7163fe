//! Locks of the sneck client on this server, over each way in.

mod contract;
mod long_line;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sneck::Locks;
use sneck_server::{InProcess, Limits, Running, Server};
use sneck_zookeeper::{Connector, Duplex, LockOptions, SessionOptions, Tcp, ZooKeeper};
use tokio::net::UnixStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// How a client reaches the server.
#[derive(Clone)]
enum Way {
    Tcp,
    Socket(PathBuf),
    InProcess(InProcess),
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Socket(_) => "socket",
            Self::InProcess(_) => "in-process",
        })
    }
}

#[async_trait]
impl Connector for Way {
    async fn connect(&self, server: &sneck_zookeeper::Server) -> io::Result<Box<dyn Duplex>> {
        match self {
            Self::Tcp => Tcp.connect(server).await,
            Self::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::InProcess(server) => Ok(Box::new(server.connect())),
        }
    }
}

struct World {
    server: Running,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::builder()
            .listen(([127, 0, 0, 1], 0).into())
            .socket(folder.path().join("private/socket"))
            .tick(Duration::from_millis(100))
            .session_timeouts(Duration::from_millis(500), SOON)
            .limits(limits)
            .start()
            .await
            .expect("a free port");
        Self { server, _folder: folder }
    }

    fn ways(&self) -> [Way; 3] {
        let socket = self.server.socket().expect("it has one").to_owned();
        [Way::Tcp, Way::Socket(socket), Way::InProcess(self.server.in_process())]
    }

    async fn backend(&self, way: &Way, timeout: Duration) -> ZooKeeper {
        self.backend_below("", way, timeout).await
    }

    async fn backend_below(&self, chroot: &str, way: &Way, timeout: Duration) -> ZooKeeper {
        let options = self.options(chroot, way, timeout);
        ZooKeeper::connect(options, LockOptions::default()).await.expect("a session")
    }

    fn options(&self, chroot: &str, way: &Way, timeout: Duration) -> SessionOptions {
        let address = self.server.addresses()[0];
        let server = sneck_zookeeper::Server { host: "127.0.0.1".into(), port: address.port() };
        let mut options = SessionOptions::new(vec![server]);
        options.connector = Arc::new(way.clone());
        options.chroot = chroot.to_owned();
        options.timeout = timeout;
        options
    }

    async fn locks(&self, way: &Way) -> Locks {
        Locks::on(Arc::new(self.backend(way, Duration::from_secs(5)).await))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_all_ways_take_turns() {
    const TURNS: u64 = 20;
    let world = World::start().await;
    // Only a lock keeps this right: each turn reads, waits and writes.
    let counter = Arc::new(std::sync::Mutex::new(0));
    let mut tasks = Vec::new();
    for way in world.ways().iter().chain(&world.ways()) {
        let (locks, counter) = (world.locks(way).await, Arc::clone(&counter));
        tasks.push(tokio::spawn(async move {
            let mut tokens = Vec::new();
            for _ in 0..TURNS {
                let guard = locks.mutex("turns").lock().await.unwrap();
                let before = *counter.lock().unwrap();
                tokio::task::yield_now().await;
                *counter.lock().unwrap() = before + 1;
                tokens.push(guard.token());
                guard.unlock().await.unwrap();
            }
            tokens
        }));
    }
    let mut tokens = Vec::new();
    for task in tasks {
        let mine = timeout(SOON, task).await.unwrap().unwrap();
        assert!(mine.is_sorted(), "tokens rise");
        tokens.extend(mine);
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!((*counter.lock().unwrap(), tokens.len()), (6 * TURNS, 6 * TURNS as usize));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_the_session_loses_the_lock_and_is_told() {
    let world = World::start().await;
    for way in world.ways() {
        let holder = world.backend(&way, Duration::from_secs(5)).await;
        let session = holder.session().await.unwrap().id();
        let guard = Locks::on(Arc::new(holder)).mutex("lost").lock().await.unwrap();
        let waiter = world.locks(&way).await;
        let waiting = tokio::spawn(async move { waiter.mutex("lost").lock().await.unwrap() });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        world.server.expire_session(session).await;
        timeout(SOON, guard.lost()).await.unwrap();
        let next = timeout(SOON, waiting).await.unwrap().unwrap();
        assert!(next.token() > guard.token(), "{way:?}");
        next.unlock().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_survives_broken_connections_and_a_server_that_stands_still() {
    let world = World::start().await;
    for way in world.ways() {
        let (locks, rival) = (world.locks(&way).await, world.locks(&way).await);
        let guard = locks.mutex("kept").lock().await.unwrap();
        world.server.drop_connections().await;
        assert!(rival.mutex("kept").try_lock().await.unwrap().is_none());
        let paused = world.server.pause().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(paused);
        assert!(rival.mutex("kept").try_lock().await.unwrap().is_none());
        assert!(guard.is_held(), "{way:?}");
        guard.unlock().await.unwrap();
        rival.mutex("kept").lock().await.unwrap().unlock().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_survives_a_restart_of_the_server() {
    let World { server, _folder } = World::start().await;
    let address = server.addresses()[0];
    let builder = || {
        Server::builder()
            .listen(address)
            .tick(Duration::from_millis(100))
            .session_timeouts(Duration::from_millis(500), SOON)
    };
    let world = World { server, _folder };
    let (locks, rival) = (world.locks(&Way::Tcp).await, world.locks(&Way::Tcp).await);
    let guard = locks.mutex("kept").lock().await.unwrap();
    let remains = world.server.stop().await.unwrap();
    let _server = builder().resume(remains).await.unwrap();
    assert!(rival.mutex("kept").try_lock().await.unwrap().is_none());
    assert!(guard.is_held());
    guard.unlock().await.unwrap();
    let next = timeout(SOON, rival.mutex("kept").lock()).await.unwrap().unwrap();
    next.unlock().await.unwrap();
}
