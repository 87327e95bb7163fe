//! A runtime of the testkit's own, for what has to go on while a test's runtime does not.
//!
//! A proxy or a quorum link must keep forwarding while the test blocks its thread (waiting for a
//! child process, say) or pauses tokio's clock, so they do not run on the test's runtime.

use std::sync::LazyLock;

use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("sneck-testkit")
        .enable_all()
        .build()
        .expect("the testkit's runtime starts")
});

/// The handle to spawn on.
pub(crate) fn handle() -> &'static Handle {
    RUNTIME.handle()
}
