//! Peers that are no ZooKeeper server, or do not want us.

use crate::*;
use async_trait::async_trait;
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Version, shared};
use sneck_zookeeper::{ConnectError, Connector, Credentials, Duplex, SessionLimits, Tcp};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// How a scripted peer treats each connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manners {
    HangsUp,
    Silent,
    Says(&'static [u8]),
}

/// A peer that is no ZooKeeper server.
pub(crate) struct Stranger {
    pub(crate) addr: SocketAddr,
    /// What it was sent on each connection, once the other side has closed it.
    pub(crate) heard: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Stranger {
    pub(crate) async fn new(manners: Manners) -> Stranger {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, manners, tell.clone()));
            }
        });
        Stranger { addr, heard }
    }
}

async fn serve(mut stream: TcpStream, manners: Manners, tell: mpsc::UnboundedSender<Vec<u8>>) {
    let mut heard = vec![0; 1_000];
    let length = stream.read(&mut heard).await.unwrap_or(0);
    heard.truncate(length);
    match manners {
        Manners::HangsUp => return,
        Manners::Silent => {}
        Manners::Says(bytes) => stream.write_all(bytes).await.unwrap(),
    }
    let _ = stream.read_to_end(&mut heard).await;
    let _ = tell.send(heard);
}

/// Why no session can be had from these servers. What can never succeed has to fail at once.
pub(crate) async fn refusal(options: SessionOptions) -> ConnectError {
    let begun = Instant::now();
    let error = soon(Session::connect(options)).await.unwrap_err();
    assert!(begun.elapsed() < SOON / 2, "it took {:?} to say: {error}", begun.elapsed());
    assert!(!error.to_string().contains("hunter2"), "{error}");
    error
}

fn briefly(addr: SocketAddr) -> SessionOptions {
    let mut options = options([addr]);
    options.connect_timeout = Duration::from_millis(1_500);
    options
}

#[tokio::test]
async fn peers_of_another_protocol_are_named_at_once() {
    for (says, named) in [
        (&b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..], "HTTP"),
        (&b"\x15\x03\x03\x00\x02\x02\x28"[..], "TLS"),
        // Two gigabytes are announced; none is waited or reserved for.
        (&b"\x7f\xff\xff\xff...."[..], "2147483647"),
        (&b"\xff\xff\xff\xff"[..], "-1"),
        (&b"-ERR unknown command\r\n"[..], "frame"),
        (&b"\0\0\0\x04\0\0\0\0"[..], "session timeout"),
    ] {
        let mut stranger = Stranger::new(Manners::Says(says)).await;
        let error = refusal(options([stranger.addr])).await;
        let ConnectError::NotZooKeeper(why) = &error else { panic!("{error:?}") };
        assert!(why.contains(named) && why.contains(&stranger.addr.to_string()), "{why}");
        soon(stranger.heard.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn a_silent_peer_is_given_up_and_left() {
    let mut stranger = Stranger::new(Manners::Silent).await;
    let error = refusal(briefly(stranger.addr)).await;
    let ConnectError::Unreachable(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("no answer in time"), "{why}");
    // Both the attempt that was given up and the one that was under way at the end are closed, and
    // nobody knocks again.
    soon(stranger.heard.recv()).await.unwrap();
    soon(stranger.heard.recv()).await.unwrap();
    assert!(stranger.heard.try_recv().is_err());
}

#[tokio::test]
async fn dropping_the_attempt_ends_it() {
    let mut stranger = Stranger::new(Manners::Silent).await;
    let mut options = options([stranger.addr]);
    options.timeout = Duration::from_secs(3_600);
    let attempt = Session::connect(options);
    assert!(tokio::time::timeout(Duration::from_millis(200), attempt).await.is_err());
    let greeting = soon(stranger.heard.recv()).await.unwrap();
    assert_eq!(greeting.len(), 4 + 45);
}

#[tokio::test]
async fn peers_that_hang_up_or_are_not_there() {
    let stranger = Stranger::new(Manners::HangsUp).await;
    let error = refusal(briefly(stranger.addr)).await;
    let ConnectError::Unreachable(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("hung up"), "{why}");

    let nobody = nobody().await;
    let mut options = briefly(nobody);
    options.servers = vec![Server::new("no-such-host.invalid", 2181)];
    let error = refusal(options).await;
    let ConnectError::Unreachable(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("no-such-host.invalid:2181"), "{why}");
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn where_nobody_listens_is_said_at_once() {
    let addrs = [nobody().await, nobody().await];
    let mut hasty = options(addrs);
    // Who waited for this would not be done in time for the test.
    hasty.connect_timeout = Duration::from_secs(3_600);
    let error = refusal(hasty).await;
    let ConnectError::Unreachable(why) = &error else { panic!("{error:?}") };
    assert!(addrs.iter().all(|addr| why.contains(&addr.to_string())), "{why}");
    assert_eq!(why.matches("refused").count(), 2, "{why}");

    // One that may yet answer is waited for.
    let silent = Stranger::new(Manners::Silent).await;
    let mut options = briefly(addrs[0]);
    options.servers.push(server(silent.addr));
    let error = refusal(options).await;
    let ConnectError::Unreachable(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("refused") && why.contains("no answer in time"), "{why}");
}

#[tokio::test]
async fn servers_that_are_being_started_are_waited_for_when_told_to() {
    let real = or_skip!(shared(Version::V3_9).await);
    let late = Late { real: real.addr(0), refusals: AtomicUsize::new(5) };
    let mut options = options([nobody().await]);
    options.connector = Arc::new(late);
    let error = refusal(options.clone()).await;
    assert!(matches!(&error, ConnectError::Unreachable(why) if why.contains("refused")), "{error}");
    options.retry_refused = true;
    soon(connect(options).await.close()).await;
}

/// Refuses so many connections before it leads to a server.
#[derive(Debug)]
struct Late {
    real: SocketAddr,
    refusals: AtomicUsize,
}

#[async_trait]
impl Connector for Late {
    async fn connect(&self, _: &Server) -> io::Result<Box<dyn Duplex>> {
        let less = |refusals: usize| refusals.checked_sub(1);
        match self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Err(io::ErrorKind::ConnectionRefused.into()),
            Err(_) => Tcp.connect(&server(self.real)).await,
        }
    }
}

#[tokio::test]
async fn what_can_never_work_is_said_before_anything_is_tried() {
    let addr = SocketAddr::from(([127, 0, 0, 1], 1));
    let change = |change: fn(&mut SessionOptions)| {
        let mut options = options([addr]);
        change(&mut options);
        options
    };
    for options in [
        change(|options| options.servers.clear()),
        change(|options| options.timeout = Duration::ZERO),
        change(|options| options.timeout = Duration::from_micros(1)),
        change(|options| options.timeout = Duration::MAX),
        change(|options| options.chroot = "relative".into()),
        change(|options| options.chroot = "/a/".into()),
        change(|options| options.limits = SessionLimits { events_max: 0, ..options.limits }),
        change(|options| options.limits = SessionLimits { in_flight_max: 0, ..options.limits }),
    ] {
        let error = refusal(options).await;
        assert!(matches!(error, ConnectError::Invalid(_)), "{error:?}");
    }
}

#[tokio::test]
async fn one_good_server_among_strangers_will_do() {
    let good = or_skip!(shared(Version::V3_9).await);
    let silent = Stranger::new(Manners::Silent).await;
    let rude = Stranger::new(Manners::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let session = connect(options([silent.addr, good.addr(0), rude.addr])).await;
    assert_ne!(session.id(), 0);
    soon(session.close()).await;

    // Without it the answer covers all of them.
    let mut options = options([silent.addr, rude.addr]);
    options.connect_timeout = Duration::from_secs(3);
    let error = refusal(options).await;
    let ConnectError::Unreachable(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("HTTP") && why.contains("no answer in time"), "{why}");
}

#[tokio::test]
async fn refused_credentials_open_no_session_and_show_nowhere() {
    for version in Version::ALL {
        let server = or_skip!(shared(version).await);
        let mut wrong = options([server.addr(0)]);
        wrong.credentials.push(Credentials::other("no-such-scheme", "hunter2"));
        assert!(!format!("{wrong:?}").contains("hunter2"), "{wrong:?}");
        let error = refusal(wrong).await;
        assert!(matches!(error, ConnectError::AuthFailed), "{error:?}");

        let session = open(server).await;
        session.authenticate(Credentials::other("no-such-scheme", "hunter2"));
        let over = soon(session.get_data("/")).await.unwrap_err();
        assert!(matches!(over, RequestError::Over { end: End::AuthFailed, .. }), "{over:?}");
        assert_eq!(ended(&session).await, End::AuthFailed);
        assert!(!format!("{session:?} {over:?} {over}").contains("hunter2"));
    }
}
