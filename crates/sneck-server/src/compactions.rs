//! How the compactions of a server have gone.

use std::error::Error;
use std::sync::Arc;

use crate::snapshot::{CompactError, Compacted};

/// What has become of the compactions in the background since the server started.
///
/// One that fails loses nothing: the snapshots before and the log stay as they were, and it is tried
/// again after [`Limits::compact_retry`](crate::Limits::compact_retry), more and more rarely. Until one
/// succeeds the log only grows, and so does the time that the next start takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compactions {
    /// How many have succeeded.
    pub done: u64,
    /// How many have failed.
    pub failed: u64,
    /// Why the last one has failed, if it has.
    pub failing: Option<String>,
    /// Bytes of the log, but for the segment that is written to, after the last one.
    pub log_bytes: u64,
}

impl Compactions {
    /// Notes how one more has gone, and how much log there is after it.
    pub(crate) fn note(&mut self, outcome: &Result<Compacted, Arc<CompactError>>, log_bytes: u64) {
        self.log_bytes = log_bytes;
        match outcome {
            Ok(_) => {
                self.done += 1;
                self.failing = None;
            }
            Err(error) => {
                self.failed += 1;
                self.failing = Some(with_causes(error.as_ref()));
            }
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_ends_what_is_failing_and_not_what_has_failed() {
        let mut compactions = Compactions::default();
        compactions.note(&Err(Arc::new(CompactError::Remove(std::io::Error::other("worn")))), 7);
        let failing = compactions.failing.clone().unwrap();
        assert!(failing.ends_with("cannot be removed: worn"), "{failing}");
        let compacted = Compacted { zxid: 1, snapshot_bytes: 1, segments_removed: 1 };
        compactions.note(&Ok(compacted), 3);
        let after = Compactions { done: 1, failed: 1, failing: None, log_bytes: 3 };
        assert_eq!(compactions, after);
    }
}
