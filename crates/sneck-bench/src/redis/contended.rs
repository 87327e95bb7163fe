//! Several tasks or threads of one client that take one lock again and again.

use std::io;

use super::contestants::Contestants;
use super::{SCENE, Size};
use crate::contention::Contention;
use crate::figure::{Figure, quantile};

const CONTENDERS: usize = 8;

/// What a round of one side found.
#[derive(Debug, Clone, Copy)]
struct Round {
    grants_per_s: f64,
    wait_p50_us: f64,
    wait_p99_us: f64,
}

impl Round {
    fn of(mut contention: Contention) -> Round {
        contention.waits_us.sort_by(f64::total_cmp);
        Round {
            grants_per_s: contention.grants_per_s(),
            wait_p50_us: quantile(&contention.waits_us, 0.5),
            wait_p99_us: quantile(&contention.waits_us, 0.99),
        }
    }
}

/// All take turns.
pub(crate) fn measure(contestants: &mut Contestants, size: Size) -> io::Result<Vec<Figure>> {
    let rounds = (0..size.rounds).map(|round| {
        contestants.round(round, |contestant| {
            Ok(Round::of(contestant.contend("contended", CONTENDERS, size.contended)?))
        })
    });
    let rounds = rounds.collect::<io::Result<Vec<Vec<Round>>>>()?;
    let mut figures = Vec::new();
    for (other, contestant) in contestants.all.iter().enumerate().skip(1) {
        let figure = |what, unit, of: fn(&Round) -> f64| Figure {
            what,
            unit,
            scene: SCENE,
            ours: contestants.all[0].name(),
            theirs: contestant.name(),
            rounds: rounds.iter().map(|all| (of(&all[0]), of(&all[other]))).collect(),
        };
        figures
            .push(figure("8 for one lock, more is better", "grants/s", |round| round.grants_per_s));
        figures
            .push(figure("8 for one lock, the wait for it, p50", "us", |round| round.wait_p50_us));
        figures
            .push(figure("8 for one lock, the wait for it, p99", "us", |round| round.wait_p99_us));
    }
    Ok(figures)
}
