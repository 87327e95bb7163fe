//! Uncontended locks, one after the other.

use std::io;

use super::contestants::Contestants;
use super::{SCENE, Size};
use crate::figure::{Figure, quantile};

/// What a round of one side found.
#[derive(Debug, Clone, Copy)]
struct Round {
    per_s: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Round {
    fn of(mut took_us: Vec<f64>) -> Round {
        took_us.sort_by(f64::total_cmp);
        let seconds = took_us.iter().sum::<f64>() / 1e6;
        Round {
            per_s: took_us.len() as f64 / seconds,
            p50_us: quantile(&took_us, 0.5),
            p99_us: quantile(&took_us, 0.99),
        }
    }
}

/// All take turns.
pub(crate) fn measure(contestants: &mut Contestants, size: Size) -> io::Result<Vec<Figure>> {
    let rounds = (0..size.rounds).map(|round| {
        contestants.round(round, |contestant| Ok(Round::of(contestant.cycle("alone", size.locks)?)))
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
        figures.push(figure("lock + unlock, p50", "us", |round| round.p50_us));
        figures.push(figure("lock + unlock, p99", "us", |round| round.p99_us));
        figures
            .push(figure("one lock after another, more is better", "locks/s", |round| round.per_s));
    }
    Ok(figures)
}
