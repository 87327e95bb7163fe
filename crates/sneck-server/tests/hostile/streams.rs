//! Bytes that are no requests, or not yet, over each way in.

use sneck_server::{Limit, Running, Server};
use sneck_wire::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::SOON;
use crate::bystander::Bystander;
use crate::peer::{Peer, Stream, Way, greeting};
use crate::process::Process;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 >> 11
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_be_bytes()[7]).collect()
    }
}

/// Sends bytes and no more, and waits for the end.
async fn pour(mut stream: Box<dyn Stream>, bytes: &[u8]) {
    // The server may hang up in the middle of them.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut said = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut said)).await.expect("the server hangs up");
}

/// Random bytes: in place of a greeting, of a whole frame, and of requests of a session.
async fn random_bytes(way: Way<'_>) {
    let mut random = Random(42);
    for round in 0..300 {
        let length = usize::try_from(random.next() % 600).unwrap() + 8;
        let mut bytes = random.bytes(length);
        if round % 3 > 0 {
            let announced = u32::try_from(length - 4).unwrap();
            bytes[..4].copy_from_slice(&announced.to_be_bytes());
        }
        if round % 3 == 2 {
            // A number of an operation that exists, most of the time.
            let op = u32::try_from(random.next() % 24).unwrap();
            bytes.resize(length.max(12), 0);
            bytes[8..12].copy_from_slice(&op.to_be_bytes());
            bytes = [&greeting(4_000)[..], &bytes].concat();
        }
        pour(way.open().await, &bytes).await;
    }
}

async fn start() -> (Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let builder = Server::builder().listen(([127, 0, 0, 1], 0).into());
    let server = builder.socket(folder.path().join("private/socket")).start().await;
    (server.expect("a free port"), folder)
}

#[tokio::test]
async fn random_bytes_over_tcp() {
    let (server, _folder) = start().await;
    let bystander = Bystander::start(server.addresses()[0]).await;
    random_bytes(Way::tcp(&server)).await;
    bystander.stop().await;
}

#[tokio::test]
async fn random_bytes_on_the_unix_socket() {
    let (server, _folder) = start().await;
    let bystander = Bystander::start(server.addresses()[0]).await;
    random_bytes(Way::Unix(server.socket().unwrap())).await;
    bystander.stop().await;
}

#[tokio::test]
async fn random_bytes_within_the_process() {
    let (server, _folder) = start().await;
    let bystander = Bystander::start(server.addresses()[0]).await;
    random_bytes(Way::InProcess(&server.in_process())).await;
    bystander.stop().await;
}

#[tokio::test]
async fn requests_that_are_cut_off_in_the_middle() {
    let (server, _folder) = start().await;
    let bystander = Bystander::start(server.addresses()[0]).await;
    let in_process = server.in_process();
    let ways =
        [Way::tcp(&server), Way::Unix(server.socket().unwrap()), Way::InProcess(&in_process)];
    for way in ways {
        let request = Request::Exists { path: "/a/path".into(), watch: true };
        let whole = Peer::of(way).await.encode(&request);
        for length in 0..whole.len() {
            let bytes = [&greeting(4_000)[..], &whole[..length]].concat();
            pour(way.open().await, &bytes).await;
        }
    }
    bystander.stop().await;
}

#[tokio::test]
async fn impossible_lengths_in_a_session() {
    let process = Process::start(&[]);
    let bystander = Bystander::start(process.address).await;
    for length in [0x7fff_ffff_u32, 0x0010_0000] {
        for way in [Way::from(&process), Way::Unix(&process.socket)] {
            let mut peer = Peer::of(way).await;
            peer.say(&length.to_be_bytes()).await;
            peer.until_hung_up_on().await;
        }
    }
    assert_eq!(process.refused_at(Limit::FrameBytes).await, 4);
    bystander.stop().await;
}

#[tokio::test]
async fn half_of_many_long_requests() {
    const SHARE: usize = 8 << 20;
    const LENGTH: usize = 900_000;
    const PEERS: usize = 60;
    let process = Process::start(&[(Limit::RequestBytes, SHARE)]);
    let bystander = Bystander::start(process.address).await;
    let before_kb = process.resident_kb();
    let mut bytes = vec![0, 0x0f, 0xff, 0xff];
    bytes.resize(LENGTH, 0);
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let mut peer = Peer::of(&process).await;
        peer.say(&bytes).await;
        peers.push(peer);
    }
    // Those for whom there is no room are hung up on, and those who have it may go on.
    let refused = async {
        while process.refused_at(Limit::RequestBytes).await < PEERS - SHARE / LENGTH {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, refused).await.expect("they are hung up on");
    let grown_kb = process.peak_kb().saturating_sub(before_kb);
    // A buffer doubles as it grows.
    let bound_kb = 2 * (SHARE >> 10) + (8 << 10);
    assert!(grown_kb < bound_kb, "{grown_kb} kB, above {bound_kb} kB");
    drop(peers);
    let mut last = Peer::of(&process).await;
    let sync = Request::Sync { path: format!("/{}", "x".repeat(LENGTH)) };
    assert!(last.ask(&sync).await.is_ok(), "what they had taken is free again");
    bystander.stop().await;
}

#[tokio::test]
async fn a_long_request_takes_no_memory_once_it_is_answered() {
    const PEERS: usize = 100;
    let process = Process::start(&[]);
    let bystander = Bystander::start(process.address).await;
    let before_kb = process.resident_kb();
    let sync = Request::Sync { path: format!("/{}", "x".repeat(900_000)) };
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let mut peer = Peer::of(&process).await;
        assert!(peer.ask(&sync).await.is_ok());
        peers.push(peer);
    }
    let grown_kb = process.resident_kb().saturating_sub(before_kb);
    assert!(grown_kb < 32 << 10, "{grown_kb} kB for {PEERS} peers");
    bystander.stop().await;
}
