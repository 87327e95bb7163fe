//! Waiting for what comes soon, however busy the machine is.

use std::future::Future;
use std::time::Duration;

use sneck_core::Guard;

/// Far more than anything takes that comes at all, so that only a real failure reaches it.
pub const SOON: Duration = Duration::from_secs(60);

/// Awaits what must not take long; `what` is for the message if it does.
///
/// # Panics
///
/// When it is not there [`SOON`].
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(SOON, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {SOON:?}"),
    }
}

/// Waits until a lock that is held was renewed once more.
///
/// # Panics
///
/// When it is lost, or not renewed [`SOON`].
pub async fn until_renewed(guard: &Guard) {
    /// Renewals are seconds apart.
    const LOOK: Duration = Duration::from_millis(20);
    let before = guard.deadline();
    let renewed = async {
        while guard.deadline() <= before {
            assert!(guard.is_held(), "{guard:?}");
            tokio::time::sleep(LOOK).await;
        }
    };
    within("a renewal", renewed).await;
}
