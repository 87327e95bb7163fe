//! A process with a runtime and a clock of its own, which can be stopped and killed.
//!
//! Nothing that a process sends arrives before the shortest latency is over. So each can run for
//! that long by itself, with all that will come to it known beforehand.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::nic::{Down, Emitted, Nic};
use crate::plan::Plan;
use crate::program;

/// A client's process.
pub(crate) struct Host {
    nic: Nic,
    life: Life,
    /// What is on the way to it, by when it arrives.
    coming: BTreeMap<(u64, u64), Down>,
    arrivals: u64,
}

enum Life {
    Runs(Runtime, JoinHandle<()>),
    /// It is stopped, and since when; whether tokio's clock notices.
    Stopped {
        since_ms: u64,
        until_ms: u64,
        suspended: bool,
        process: Box<Life>,
    },
    Over {
        panic: Option<String>,
    },
}

impl Host {
    /// Starts the process of a client.
    pub(crate) fn start(number: usize, plan: &Plan) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without sockets needs nothing of the system");
        let entered = runtime.enter();
        let host = u32::try_from(number).unwrap_or(u32::MAX) + 1;
        let nic = Nic::new(host, plan.clients[number].drift_ppm);
        drop(entered);
        let program = runtime.spawn(program::run(nic.clone(), number, plan.clone()));
        Host { nic, life: Life::Runs(runtime, program), coming: BTreeMap::new(), arrivals: 0 }
    }

    /// Something will arrive.
    pub(crate) fn will_get(&mut self, at_ms: u64, down: Down) {
        self.arrivals += 1;
        self.coming.insert((at_ms, self.arrivals), down);
    }

    /// Lets the process run to a point in time, and says what it sent and told meanwhile.
    pub(crate) fn run(&mut self, until_ms: u64) -> Emitted {
        self.go_on_if_due(until_ms);
        if let Life::Runs(runtime, program) = &mut self.life {
            let later = self.coming.split_off(&(until_ms, 0));
            let coming = std::mem::replace(&mut self.coming, later);
            let nic = &self.nic;
            runtime.block_on(async {
                for ((at_ms, _), down) in coming {
                    nic.until(at_ms).await;
                    nic.take(down);
                }
                nic.until(until_ms).await;
            });
            if program.is_finished() {
                let done = runtime.block_on(program);
                let panic = done.err().and_then(|error| error.try_into_panic().ok());
                let panic = panic.map(|panic| said_by(&*panic));
                self.life = Life::Over { panic };
            }
        }
        self.nic.emptied()
    }

    fn go_on_if_due(&mut self, window_end_ms: u64) {
        let Life::Stopped { since_ms, until_ms, suspended, process } = &mut self.life else {
            return;
        };
        if *until_ms >= window_end_ms {
            return;
        }
        let length = Duration::from_millis(until_ms.saturating_sub(*since_ms));
        let suspended = *suspended;
        let process = std::mem::replace(&mut **process, Life::Over { panic: None });
        if let Life::Runs(runtime, _) = &process {
            if suspended {
                self.nic.suspended(length);
            } else {
                // What has come meanwhile is there when the process goes on, as are timers that are due.
                let now_ms = *until_ms;
                let later = self.coming.split_off(&(now_ms, 0));
                let here = std::mem::replace(&mut self.coming, later);
                runtime.block_on(async {
                    here.into_values().for_each(|down| self.nic.take(down));
                    tokio::time::advance(length).await;
                });
            }
        }
        self.life = process;
    }

    /// Stops the process, from now until then. If the machine is suspended, timers stand still, too.
    pub(crate) fn stop(&mut self, since_ms: u64, until_ms: u64, suspended: bool) {
        match &mut self.life {
            Life::Stopped { until_ms: until, .. } => *until = until_ms.max(*until),
            Life::Runs(..) => {
                let process = std::mem::replace(&mut self.life, Life::Over { panic: None });
                let process = Box::new(process);
                self.life = Life::Stopped { since_ms, until_ms, suspended, process };
            }
            Life::Over { .. } => {}
        }
    }

    /// Kills the process. What it has not sent is never sent.
    pub(crate) fn kill(&mut self) {
        self.life = Life::Over { panic: None };
        // Its connections were closed one by one as they were dropped; the system does that at once.
        self.nic.emptied();
    }

    /// Whether it has done what it had to do, or cannot.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.life, Life::Over { .. })
    }

    /// Why it broke down, if it did.
    pub(crate) fn panic(&self) -> Option<&str> {
        match &self.life {
            Life::Over { panic } => panic.as_deref(),
            _ => None,
        }
    }
}

fn said_by(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic".to_owned())
}
