//! Makes a plan that fails smaller, while it still fails in the same way.
//!
//! Parts are left out, the larger ones first, and put back when the run is well without them; over and
//! over until nothing can be left out any more. That is Zeller's delta debugging, in its greedy form.

use crate::campaign::run_safely;
use crate::plan::{Ask, Plan};

/// The smallest plan found that still fails in one of the ways of this one, in so many runs at most.
pub fn shrink(plan: &Plan, runs_max: usize) -> Plan {
    let mut shrinker = Shrinker { best: plan.clone(), fault: fault_of(plan), runs: runs_max };
    if shrinker.fault.is_empty() {
        return shrinker.best;
    }
    while shrinker.runs > 0 && shrinker.round() {}
    shrinker.best
}

struct Shrinker {
    best: Plan,
    fault: Vec<String>,
    /// How many runs are left.
    runs: usize,
}

fn fault_of(plan: &Plan) -> Vec<String> {
    match run_safely(plan, false) {
        Ok(run) => {
            run.fault().split(' ').filter(|code| !code.is_empty()).map(str::to_owned).collect()
        }
        Err(_) => vec!["panic".to_owned()],
    }
}

impl Shrinker {
    /// Tries to leave out each part once; says whether any could be.
    fn round(&mut self) -> bool {
        let mut smaller = false;
        for client in (0..self.best.clients.len()).rev() {
            smaller |= self.best.clients.len() > 1 && self.attempt(|plan| plan.leave_out(client));
        }
        for fault in (0..self.best.faults.len()).rev() {
            smaller |= self.attempt(|plan| {
                plan.faults.remove(fault);
            });
        }
        for client in 0..self.best.clients.len() {
            for task in (0..self.best.clients[client].tasks.len()).rev() {
                smaller |= self.attempt(|plan| drop(plan.clients[client].tasks.remove(task)));
            }
            for task in 0..self.best.clients[client].tasks.len() {
                smaller |= self.steps(client, task);
            }
        }
        smaller | self.simplify()
    }

    /// Leaves out rows of steps, ever shorter ones.
    fn steps(&mut self, client: usize, task: usize) -> bool {
        let mut smaller = false;
        let mut length = self.best.clients[client].tasks[task].len();
        while length > 0 {
            let mut at = self.best.clients[client].tasks[task].len();
            while at > 0 {
                let from = at.saturating_sub(length);
                // Their time is given to the step behind, so that the rest stays where it was.
                smaller |= self.attempt(|plan| {
                    let steps = &mut plan.clients[client].tasks[task];
                    let time: u64 =
                        steps.drain(from..at).map(|step| step.after_ms + step.hold_ms).sum();
                    if let Some(next) = steps.get_mut(from) {
                        next.after_ms += time;
                    }
                });
                at = from;
            }
            length /= 2;
        }
        smaller
    }

    /// Makes what is left plainer.
    fn simplify(&mut self) -> bool {
        let mut plainer = false;
        let mut change = |is: bool, change: fn(&mut Plan)| {
            plainer |= is && self.attempt(change);
        };
        change(true, |plan| plan.splits = false);
        change(true, |plan| plan.clients.iter_mut().for_each(|client| client.drift_ppm = 0));
        change(true, |plan| plan.sync_ms = (1, 1));
        change(true, |plan| plan.latency_ms.1 = plan.latency_ms.0);
        change(true, |plan| {
            let servers = plan.servers.iter_mut();
            servers.for_each(|servers| (servers.lag_ms, servers.link_ms) = ((0, 0), (1, 1)));
        });
        change(true, |plan| {
            let steps =
                plan.clients.iter_mut().flat_map(|client| client.tasks.iter_mut().flatten());
            steps.for_each(|step| step.cancel = None);
        });
        change(true, |plan| {
            let steps =
                plan.clients.iter_mut().flat_map(|client| client.tasks.iter_mut().flatten());
            for step in steps.filter(|step| matches!(step.ask, Ask::Try | Ask::Within(_))) {
                step.ask = Ask::Lock;
            }
        });
        plainer
    }

    fn attempt(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut plan = self.best.clone();
        change(&mut plan);
        if self.runs == 0 || plan == self.best {
            return false;
        }
        self.runs -= 1;
        let still = fault_of(&plan).iter().any(|code| self.fault.contains(code));
        if still {
            self.best = plan;
        }
        still
    }
}
