//! Which orders of steps are tried.

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};

const SEED: u64 = 0x5eed;
/// The most switches that are forced on an order by priorities.
const SWITCHES: usize = 4;
/// More than any order takes in which somebody gets on.
const STEPS_MAX: usize = 20_000;

/// Tries every order, and says how many there are.
pub(crate) fn every_order(model: impl Fn() + Send + Sync + 'static) -> usize {
    run(DfsScheduler::new(None, false), model)
}

/// Tries so many orders.
pub(crate) fn orders(count: usize, model: impl Fn() + Clone + Send + Sync + 'static) {
    let times = std::env::var("SNECK_RACES").map_or(1, |times| times.parse().unwrap());
    let half = (count * times).div_ceil(2);
    run(RandomScheduler::new_from_seed(SEED, half), model.clone());
    run(PctScheduler::new_from_seed(SEED, SWITCHES, half), model);
}

fn run(scheduler: impl Scheduler + 'static, model: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    // Frames of futures are large without optimisation.
    config.stack_size = 512 << 10;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(move || {
        tokio::time::begin();
        model();
    })
}
