//! Spans and events for `tracing`.

use sneck_core::{Error, Instrument, Loss, Probe, Subject, Token, Waiting};
use std::time::Duration;
use tracing::{Span, debug, field, info_span, warn};

/// Opens a span `lock` for each attempt, which lasts as long as the hold that comes of it; its parent is
/// the span the lock was asked for in. Its fields are `store`, `lock`, `mode`, and once it is held
/// `token`.
///
/// What goes as it should is told at the level `DEBUG`; at `WARN` that a lock was lost, was not had for an
/// error, and that the store cannot be asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spans;

impl Instrument for Spans {
    fn attempt(&self, subject: &Subject<'_>) -> Box<dyn Probe> {
        Box::new(Life(info_span!(
            "lock",
            store = subject.store,
            lock = %subject.name,
            mode = %subject.mode,
            token = field::Empty,
        )))
    }
}

struct Life(Span);

impl Probe for Life {
    fn waiting(&self, waiting: &Waiting) {
        debug!(parent: &self.0, ahead = waiting.ahead, "waiting");
    }

    fn trouble(&self, error: &Error) {
        warn!(parent: &self.0, %error, "the store cannot be asked");
    }

    fn acquired(&self, token: Token, waited: Duration) {
        self.0.record("token", token.get());
        debug!(parent: &self.0, ?waited, "acquired");
    }

    fn refused(&self) {
        debug!(parent: &self.0, "taken by somebody else");
    }

    fn failed(&self, error: &Error, waited: Duration) {
        warn!(parent: &self.0, %error, ?waited, "not had");
    }

    fn released(&self, held: Duration) {
        debug!(parent: &self.0, ?held, "released");
    }

    fn lost(&self, loss: Loss, held: Duration) {
        warn!(parent: &self.0, %loss, ?held, "lost");
    }

    fn abandoned(&self) {
        debug!(parent: &self.0, "abandoned");
    }
}
