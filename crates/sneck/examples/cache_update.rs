//! An entry of a cache has run out, and everybody asks for it at once.
//!
//! `cargo run -p sneck --example cache_update`. Without a lock, everybody computes it: the stampede that
//! brings down the database behind the cache. With `refresh`, one does, and the others read.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error;
use tokio::task::yield_now;

const READERS: usize = 8;

/// A cache with one entry, and how often that was computed.
#[derive(Default)]
struct Cache {
    entry: RefCell<Option<String>>,
    computed: Cell<u32>,
}

impl Cache {
    async fn read(&self) -> Result<Option<String>, Infallible> {
        Ok(self.entry.borrow().clone())
    }

    /// The dear part: a report over a million rows.
    async fn compute(&self) -> Result<String, Infallible> {
        self.computed.set(self.computed.get() + 1);
        yield_now().await;
        let report = "1000000 rows, 42 errors".to_owned();
        *self.entry.borrow_mut() = Some(report.clone());
        Ok(report)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cache = Cache::default();
    let alone = async || match cache.read().await? {
        Some(report) => Ok::<_, Infallible>(report),
        None => cache.compute().await,
    };
    let reports = futures_util::future::try_join_all((0..READERS).map(|_| alone())).await?;
    assert!(reports.iter().all(|report| report == "1000000 rows, 42 errors"));
    println!("without a lock: {READERS} readers, computed {} times", cache.computed.get());

    let cache = Cache::default();
    let locks = sneck::connect("memory:").await?;
    let together = || locks.refresh("report", || cache.read(), |_token| cache.compute());
    let reports = futures_util::future::try_join_all((0..READERS).map(|_| together())).await?;
    assert!(reports.iter().all(|report| report == "1000000 rows, 42 errors"));
    println!("with refresh: {READERS} readers, computed {} time", cache.computed.get());
    Ok(())
}
