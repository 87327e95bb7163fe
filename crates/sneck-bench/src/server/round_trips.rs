//! One request after another, on each way into the server: how long one takes when nothing else runs.

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use sneck_server::{Running, Server};
use sneck_wire::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::{Handle, Runtime};

use super::contestant::Contestants;
use super::{DATA, SCENE, Size};
use crate::client::{Client, Kind};
use crate::figure::{Figure, median, quantile};
use crate::raw::{self, Raw, SESSION_TIMEOUT_MS, Stream};
use crate::reading::Reading;
use crate::scene::RAW_DIR;

/// A way of ours, or the one of theirs, which comes last.
const WAYS: [&str; 4] =
    ["sneck serve, TCP", "sneck serve, Unix socket", "sneck, in-process", THEIRS];
const THEIRS: &str = "ZooKeeper, TCP";

/// What is done, one after the other.
#[derive(Debug, Clone, Copy)]
enum Work {
    Create,
    Get,
    Recipe,
}

impl Work {
    const ALL: [Work; 3] = [Work::Create, Work::Get, Work::Recipe];

    fn name(self) -> &'static str {
        match self {
            Work::Create => "create",
            Work::Get => "get",
            Work::Recipe => "create+list, delete",
        }
    }

    /// Does it once, and says how long that took. What has to be tidied up is not counted.
    fn once(self, raw: &mut Raw) -> io::Result<Duration> {
        let began = Instant::now();
        match self {
            Work::Create => {
                let path = raw.call(&raw::place(RAW_DIR, DATA))?.created()?;
                let took = began.elapsed();
                raw.call(&raw::delete(path))?;
                return Ok(took);
            }
            Work::Get => {
                raw.call(&Request::GetData { path: RAW_DIR.to_owned(), watch: false })?;
            }
            Work::Recipe => crate::scene::recipe(raw, DATA)?,
        }
        Ok(began.elapsed())
    }
}

/// The four ways, and a client of sneck on two of them, in turns.
pub(crate) fn measure(
    both: &Contestants,
    size: Size,
) -> Result<(Vec<Figure>, Vec<Reading>), Box<dyn std::error::Error>> {
    let inside = Inside::start(&both.folder.path().join("inside"))?;
    let mut raws = [
        Raw::connect(both.sneck.addr)?,
        Raw::connect_unix(&both.sneck.socket)?,
        Raw::over(Box::new(inside.connect()))?,
        Raw::connect(both.apache.addr())?,
    ];
    for raw in &mut raws {
        raw.make(RAW_DIR)?;
    }
    let (mut figures, mut readings) = (Vec::new(), Vec::new());
    for work in Work::ALL {
        let mut took: [Vec<Vec<f64>>; 4] = Default::default();
        for round in 0..size.rounds + 2 {
            for (raw, took) in raws.iter_mut().zip(&mut took) {
                let times = (0..size.round_trips).map(|_| Ok(us(work.once(raw)?)));
                let times = times.collect::<io::Result<Vec<f64>>>()?;
                // The first rounds are for caches, and for the other server's compiler.
                if round >= 2 {
                    took.push(times);
                }
            }
        }
        add(work.name(), &WAYS, &took, &mut figures, &mut readings);
    }
    let ways = ["sneck on sneck serve, TCP", "sneck on ZooKeeper, TCP"];
    add("lock + unlock", &ways, &with_sneck(both, size)?, &mut figures, &mut readings);
    Ok((figures, readings))
}

/// A user's locks over TCP, on both servers.
fn with_sneck(both: &Contestants, size: Size) -> io::Result<[Vec<Vec<f64>>; 2]> {
    let mut clients = Vec::new();
    for addr in [both.sneck.addr, both.apache.addr()] {
        clients.push(Client::connect(addr, Kind::TwoWorkers)?);
    }
    let mut took: [Vec<Vec<f64>>; 2] = Default::default();
    for round in 0..size.rounds + 2 {
        for (client, took) in clients.iter().zip(&mut took) {
            let mutex = client.locks.mutex("round-trips");
            let times = size.round_trips;
            let times = client.run(async move {
                let mut took = Vec::with_capacity(times);
                for _ in 0..times {
                    let began = Instant::now();
                    mutex.lock().await?.unlock().await?;
                    took.push(us(began.elapsed()));
                }
                Ok(took)
            })?;
            if round >= 2 {
                took.push(times);
            }
        }
    }
    Ok(took)
}

/// A figure of each way but the last beside the last, and how long the slowest of each took.
fn add(
    what: &'static str,
    ways: &[&'static str],
    took: &[Vec<Vec<f64>>],
    figures: &mut Vec<Figure>,
    readings: &mut Vec<Reading>,
) {
    let p50 = |rounds: &[Vec<f64>]| -> Vec<f64> {
        rounds.iter().map(|round| median(round.iter().copied())).collect()
    };
    let p99 = |rounds: &[Vec<f64>]| {
        let mut all = rounds.concat();
        all.sort_by(f64::total_cmp);
        quantile(&all, 0.99)
    };
    let Some((theirs, ours)) = took.split_last() else { return };
    for (way, ours) in ways.iter().zip(ours) {
        let rounds = p50(ours).into_iter().zip(p50(theirs)).collect();
        figures.push(Figure {
            what,
            unit: "us, p50",
            scene: SCENE,
            ours: way,
            theirs: ways.last().copied().unwrap_or_default(),
            rounds,
        });
        readings.push(Reading {
            what: format!("{what}, {way}: p99"),
            unit: "us",
            ours: Some(p99(ours)),
            theirs: Some(p99(theirs)),
        });
    }
}

fn us(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

/// The server within this process, with a folder and a runtime like a program's own.
#[derive(Debug)]
struct Inside {
    server: Running,
    runtime: Runtime,
}

impl Inside {
    fn start(data: &std::path::Path) -> Result<Inside, Box<dyn std::error::Error>> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let timeout = Duration::from_millis(SESSION_TIMEOUT_MS.unsigned_abs().into());
        let builder = Server::builder().data(data).session_timeouts(timeout / 100, timeout);
        let server = runtime.block_on(builder.start())?;
        Ok(Inside { server, runtime })
    }

    fn connect(&self) -> Blocking {
        let _on_the_runtime = self.runtime.enter();
        let stream = self.server.in_process().connect();
        Blocking { stream, runtime: self.runtime.handle().clone() }
    }
}

/// A connection within the process for one who blocks.
#[derive(Debug)]
struct Blocking {
    stream: DuplexStream,
    runtime: Handle,
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(self.stream.read(buffer))
    }
}

impl Write for Blocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.runtime.block_on(self.stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.runtime.block_on(self.stream.flush())
    }
}

impl Stream for Blocking {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
