//! The launcher of Cassandra.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use sneck_testkit::cassandra::Builder;
use sneck_testkit::or_skip;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// `OPTIONS` of the native protocol, version 4: any node answers it before a login.
const OPTIONS: [u8; 9] = [4, 0, 0, 0, 5, 0, 0, 0, 0];
const SUPPORTED: u8 = 6;

/// The kind of answer a node gives, or none within a second.
fn answers(addr: SocketAddr) -> Option<u8> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(&OPTIONS).ok()?;
    let mut header = [0; 9];
    stream.read_exact(&mut header).ok()?;
    Some(header[4])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_paused_killed_and_healed_and_nothing_is_left_of_them() {
    let cluster = or_skip!(Builder::new().nodes(2).start().await);
    let all_answer = || {
        for node in 0..2 {
            assert_eq!(answers(cluster.addr(node)), Some(SUPPORTED));
        }
    };
    all_answer();
    cluster.pause(0).await;
    assert_eq!(answers(cluster.addr(0)), None);
    cluster.kill(1).await;
    assert_eq!((answers(cluster.addr(1)), cluster.pid(1)), (None, None));
    cluster.heal().await;
    all_answer();
    let (folder, pid) = (cluster.folder().to_owned(), cluster.pid(0).unwrap());
    assert!(folder.exists());
    drop(cluster);
    assert!(!folder.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}
