//! From nothing to the first lock.

use std::path::Path;
use std::time::Instant;

use sneck_testkit::zookeeper::Version;

use super::contestant::{Apache, Sneck, socket_in};
use super::{SCENE, Size};
use crate::client::{Client, Kind};
use crate::figure::{Figure, median};
use crate::reading::Reading;

/// Each starts on an empty folder as a new process, and a client of sneck takes a lock. Whether the
/// other one serves is looked at every 20 ms; ours says so itself.
pub(crate) fn measure(
    binary: &Path,
    version: Version,
    size: Size,
) -> Result<(Vec<Figure>, Vec<Reading>), Box<dyn std::error::Error>> {
    let (mut rounds, mut serving) = (Vec::new(), Vec::new());
    for _ in 0..size.starts {
        let folder = tempfile::Builder::new().prefix("sneck-bench-").tempdir()?;
        let socket = socket_in(folder.path())?;
        let began = Instant::now();
        let sneck = Sneck::start(binary, &folder.path().join("data"), &socket)?;
        serving.push(ms(began));
        lock(sneck.addr)?;
        let ours = ms(began);
        drop(sneck);

        let began = Instant::now();
        let apache = Apache::start(version, &[])?;
        lock(apache.addr())?;
        rounds.push((ours, ms(began)));
    }
    let figure = Figure {
        what: "start on an empty folder, until the first lock",
        unit: "ms",
        scene: SCENE,
        ours: "sneck serve",
        theirs: "ZooKeeper",
        rounds,
    };
    let reading = Reading {
        what: "of that until it serves, p50".to_owned(),
        unit: "ms",
        ours: Some(median(serving)),
        theirs: None,
    };
    Ok((vec![figure], vec![reading]))
}

fn lock(addr: std::net::SocketAddr) -> std::io::Result<()> {
    let client = Client::connect(addr, Kind::TwoWorkers)?;
    let mutex = client.locks.mutex("first");
    client.run(async move { mutex.lock().await?.unlock().await })
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}
