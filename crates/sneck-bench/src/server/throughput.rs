//! Both servers under as many pairs as they take, in turns: how many, in how many syncs, and what
//! they cost the processors.

use std::io;
use std::time::Duration;

use super::contestant::Contestants;
use super::pairs::{Load, Shape};
use super::{DATA, SCENE, Size};
use crate::figure::Figure;
use crate::reading::Reading;
use crate::scene::processor_time;

/// What one side has used over all rounds.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    writes: f64,
    seconds: f64,
    syncs: f64,
    server_s: f64,
    client_s: f64,
}

/// One figure for each shape of load, and beside it what stood in the way of more.
pub(crate) fn measure(both: &Contestants, size: Size) -> io::Result<(Vec<Figure>, Vec<Reading>)> {
    let (mut figures, mut readings) = (Vec::new(), Vec::new());
    for shape in Shape::ALL {
        let addrs = [both.sneck.addr, both.apache.addr()];
        let mut loads = Vec::new();
        for addr in addrs {
            loads.push(Load::connect(addr, shape, DATA.to_owned())?);
        }
        for load in &mut loads {
            warm_up(load, size)?;
        }
        let mut rounds = Vec::new();
        let mut sums = [Sum::default(); 2];
        for _ in 0..size.rounds {
            let mut rates = [0.0; 2];
            for side in 0..2 {
                rates[side] = round(both, side, &mut loads[side], size.round, &mut sums[side])?;
            }
            rounds.push((rates[0], rates[1]));
        }
        let what = shape.name;
        figures.push(Figure {
            what,
            unit: "pairs/s",
            scene: SCENE,
            ours: "sneck serve",
            theirs: "ZooKeeper",
            rounds,
        });
        let reading = |what_of, unit, of: fn(&Sum) -> f64| Reading {
            what: format!("{what}: {what_of}"),
            unit,
            ours: Some(of(&sums[0])),
            theirs: Some(of(&sums[1])),
        };
        readings.extend([
            reading("writes to a sync", "", |sum| sum.writes / sum.syncs),
            reading("syncs", "1/s", |sum| sum.syncs / sum.seconds),
            reading("server's processor time of a write", "us", |sum| {
                sum.server_s * 1e6 / sum.writes
            }),
            reading("processors busy with the server", "", |sum| sum.server_s / sum.seconds),
            reading("processors busy with the client", "", |sum| sum.client_s / sum.seconds),
        ]);
    }
    Ok((figures, readings))
}

/// Pairs are counted, not time: on a busy machine the other server's compiler takes its time, and a
/// server that is not compiled yet is no match.
fn warm_up(load: &mut Load, size: Size) -> io::Result<()> {
    let mut pairs = 0;
    while pairs < size.warm_up {
        pairs += load.run(size.round)?.pairs;
    }
    Ok(())
}

fn round(
    both: &Contestants,
    side: usize,
    load: &mut Load,
    length: Duration,
    sum: &mut Sum,
) -> io::Result<f64> {
    let (syncs, server) = (both.syncs()?[side], both.processor_s()?[side]);
    let client = processor_time();
    let rate = load.run(length)?;
    sum.client_s += (processor_time() - client).as_secs_f64();
    sum.server_s += both.processor_s()?[side] - server;
    sum.syncs += both.syncs()?[side] - syncs;
    sum.writes += 2.0 * rate.pairs as f64;
    sum.seconds += rate.took.as_secs_f64();
    Ok(rate.pairs_per_s())
}
