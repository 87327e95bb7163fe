//! What becomes of attempts and holds, told to metrics and traces.
//!
//! With the feature `metrics` every lock feeds the facade of that name, and with the feature `tracing`
//! every attempt has a span; neither needs a line of code. [`Locks::with_instrument`] tells somebody else
//! instead.
//!
//! [`Locks::with_instrument`]: crate::Locks::with_instrument

#[cfg(feature = "metrics")]
mod figures;
mod several;
#[cfg(feature = "tracing")]
mod spans;

#[cfg(feature = "metrics")]
pub use figures::{Figures, NAMES_MAX};
pub use several::Several;
pub use sneck_core::{Instrument, Probe, Subject};
#[cfg(feature = "tracing")]
pub use spans::Spans;

use std::sync::Arc;

/// Who is told in this build.
pub(crate) fn of_this_build() -> Option<Arc<dyn Instrument>> {
    let told: Vec<Arc<dyn Instrument>> = vec![
        #[cfg(feature = "metrics")]
        Figures::shared(),
        #[cfg(feature = "tracing")]
        Arc::new(Spans),
    ];
    if told.is_empty() { None } else { Some(Arc::new(Several::new(told))) }
}
