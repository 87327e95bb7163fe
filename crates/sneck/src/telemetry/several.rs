//! Telling several.

use sneck_core::{Error, Instrument, Loss, Probe, Subject, Token, Waiting};
use std::sync::Arc;
use std::time::Duration;

/// Tells each of several instruments, in order.
pub struct Several(Vec<Arc<dyn Instrument>>);

impl Several {
    /// Tells these.
    pub fn new(instruments: Vec<Arc<dyn Instrument>>) -> Self {
        Several(instruments)
    }
}

impl Instrument for Several {
    fn attempt(&self, subject: &Subject<'_>) -> Box<dyn Probe> {
        match &self.0[..] {
            [one] => one.attempt(subject),
            all => Box::new(Probes(all.iter().map(|each| each.attempt(subject)).collect())),
        }
    }
}

struct Probes(Vec<Box<dyn Probe>>);

impl Probe for Probes {
    fn waiting(&self, waiting: &Waiting) {
        self.0.iter().for_each(|probe| probe.waiting(waiting));
    }

    fn trouble(&self, error: &Error) {
        self.0.iter().for_each(|probe| probe.trouble(error));
    }

    fn acquired(&self, token: Token, waited: Duration) {
        self.0.iter().for_each(|probe| probe.acquired(token, waited));
    }

    fn refused(&self) {
        self.0.iter().for_each(|probe| probe.refused());
    }

    fn failed(&self, error: &Error, waited: Duration) {
        self.0.iter().for_each(|probe| probe.failed(error, waited));
    }

    fn released(&self, held: Duration) {
        self.0.iter().for_each(|probe| probe.released(held));
    }

    fn lost(&self, loss: Loss, held: Duration) {
        self.0.iter().for_each(|probe| probe.lost(loss, held));
    }

    fn abandoned(&self) {
        self.0.iter().for_each(|probe| probe.abandoned());
    }
}
