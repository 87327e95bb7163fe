//! Ten thousand connections that send one byte a second, to a server in a process of its own.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sneck_server::Limit;
use sneck_zookeeper::{Session, SessionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::peer::greeting;
use crate::process::{Process, allow_many_connections};

const PEERS: usize = 10_000;
/// Descriptors for everything that is not a peer.
const SPARE: usize = 300;
/// Long enough for all of them to be there at once, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(120);
/// What a connection may take: its task, its channel, its session, and a buffer of 2 KiB.
const CONNECTION_KB: usize = 16;
/// What else may have come and gone, as a page that is touched once stays.
const OTHER_KB: usize = 32 << 10;

/// Sends a byte a second until it is hung up on. Who has a session then dawdles over a request that
/// it has announced as almost a megabyte long; who has none dawdles over its greeting.
async fn dawdle(server: SocketAddr, has_session: bool, gate: Arc<Semaphore>) {
    // So many connect at a time: a queue of the system's that is full would only add delay.
    let turn = gate.acquire().await.expect("it is never closed");
    let mut stream = TcpStream::connect(server).await.expect("the server listens");
    let mut rest = greeting(i32::try_from(DEADLINE.as_millis()).unwrap()).to_vec();
    if has_session {
        stream.write_all(&rest).await.expect("there is room");
        stream.read_exact(&mut [0; 40]).await.expect("a session");
        rest = vec![0, 0x0f, 0xff, 0xff];
    }
    drop(turn);
    let (mut read, mut write) = stream.into_split();
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let talk = async {
        for byte in rest.into_iter().chain(std::iter::repeat(0)) {
            second.tick().await;
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    };
    let mut said = Vec::new();
    tokio::select! {
        () = talk => {}
        // A reset is as good as an end.
        _ = read.read_to_end(&mut said) => {}
    }
    assert!(said.is_empty(), "there is nothing to say to that");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_that_dawdle_take_little_and_have_to_go() {
    let peers_max = allow_many_connections().saturating_sub(SPARE).min(PEERS);
    if peers_max < PEERS {
        // Past what gathers the output of tests: it is to be seen also where all goes well.
        let text = "no more files may be open here";
        writeln!(io::stderr().lock(), "ONLY {peers_max} CONNECTIONS INSTEAD OF {PEERS}: {text}")
            .unwrap();
    }
    let most = PEERS + SPARE;
    let server = Process::start(&[
        (Limit::Connections, most),
        (Limit::ConnectionsPerPeer, most),
        (Limit::HandshakeTimeout, usize::try_from(DEADLINE.as_secs()).unwrap()),
    ]);
    let address = server.address;
    let options = sneck_zookeeper::Server { host: "127.0.0.1".into(), port: address.port() };
    let client = Session::connect(SessionOptions::new(vec![options])).await.expect("a session");
    assert!(client.exists("/").await.expect("an answer").is_some());
    let before_kb = server.resident_kb();

    let gate = Arc::new(Semaphore::new(64));
    let mut peers = JoinSet::new();
    for number in 0..peers_max {
        peers.spawn(dawdle(address, number.is_multiple_of(2), Arc::clone(&gate)));
    }
    let (mut answers, mut most, mut peak_kb) = (0, 0, 0);
    let all = async {
        while let Some(peer) = peers.join_next().await {
            peer.expect("no surprise");
        }
    };
    let meanwhile = async {
        loop {
            for _ in 0..50 {
                let read = timeout(SOON, client.exists("/")).await.expect("soon");
                assert!(read.expect("an answer").is_some());
                answers += 1;
            }
            most = most.max(server.figure("zk_num_alive_connections").await);
            peak_kb = peak_kb.max(server.resident_kb());
        }
    };
    tokio::select! {
        ended = timeout(SOON, all) => ended.expect("they are hung up on"),
        () = meanwhile => {}
    }
    let grown_kb = peak_kb.saturating_sub(before_kb);
    println!("{most} connections at once, {grown_kb} kB more, {answers} answers to somebody else");
    assert!(most > peers_max, "all were there at once, with the client: {most}");
    let bound_kb = CONNECTION_KB * peers_max + OTHER_KB;
    assert!(before_kb > 0 && grown_kb < bound_kb, "{grown_kb} kB, above {bound_kb} kB");
    assert!(timeout(SOON, client.exists("/")).await.expect("soon").expect("an answer").is_some());
    client.close().await;
}
