//! Several tasks that take one lock again and again.

use std::time::{Duration, Instant};

use crate::client::{Client, Task};

/// What became of several who wanted one lock at the same time.
#[derive(Debug)]
pub(crate) struct Contention {
    /// From the first question to the last release.
    pub(crate) took: Duration,
    /// How long each grant was waited for, in microseconds.
    pub(crate) waits_us: Vec<f64>,
}

impl Contention {
    pub(crate) fn grants_per_s(&self) -> f64 {
        self.waits_us.len() as f64 / self.took.as_secs_f64()
    }
}

/// So many tasks of one client, for so long. Each releases at once and asks again.
pub(crate) fn contend(
    client: &Client,
    lock: &str,
    contenders: usize,
    length: Duration,
) -> std::io::Result<Contention> {
    let began = Instant::now();
    let contender = |_| {
        let mutex = client.locks.mutex(lock);
        client.spawn(async move {
            let mut waits_us = Vec::new();
            while began.elapsed() < length {
                let asked = Instant::now();
                let guard = mutex.lock().await?;
                waits_us.push(asked.elapsed().as_secs_f64() * 1e6);
                guard.unlock().await?;
            }
            Ok(waits_us)
        })
    };
    let tasks: Vec<Task<Vec<f64>>> = (0..contenders).map(contender).collect();
    let mut waits_us = Vec::new();
    for task in tasks {
        waits_us.extend(client.wait_for(task)?);
    }
    Ok(Contention { took: began.elapsed(), waits_us })
}

/// One task, so often; the microseconds of each lock with its unlock.
pub(crate) fn cycle(client: &Client, lock: &str, times: usize) -> std::io::Result<Vec<f64>> {
    let mutex = client.locks.mutex(lock);
    client.run(async move {
        let mut took_us = Vec::with_capacity(times);
        for _ in 0..times {
            let began = Instant::now();
            mutex.lock().await?.unlock().await?;
            took_us.push(began.elapsed().as_secs_f64() * 1e6);
        }
        Ok(took_us)
    })
}
