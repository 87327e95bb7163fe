//! Four workers count to a hundred in one place, first without a lock and then with one.
//!
//! `cargo run -p sneck --example acquire_release`. A worker is a task here; in earnest it is a process
//! on a machine of its own, with the URL of a server that all of them reach.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use tokio::task::{LocalSet, yield_now};

const WORKERS: u32 = 4;
const CYCLES: u32 = 25;

/// A file, a row, an entry in a bucket: whatever is read, changed, and written back.
type Counter = Rc<Cell<u32>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    LocalSet::new().run_until(both()).await
}

async fn both() -> Result<(), Box<dyn Error>> {
    let locks = sneck::connect("memory:").await?;

    let counted = by_all(|counter| async move {
        add_one(&counter).await;
        Ok(())
    });
    println!("without a lock: {} of {}", counted.await?, WORKERS * CYCLES);

    let counted = by_all(|counter| {
        let mutex = locks.mutex("counter");
        async move {
            let guard = mutex.lock().await?;
            add_one(&counter).await;
            guard.unlock().await
        }
    });
    println!("with a lock: {} of {}", counted.await?, WORKERS * CYCLES);
    Ok(())
}

/// Between reading and writing there is time for everybody else: a request, a disk, a scheduler.
async fn add_one(counter: &Counter) {
    let read = counter.get();
    yield_now().await;
    counter.set(read + 1);
}

/// What the counter says when every worker has done `cycle` so many times.
async fn by_all<F>(cycle: impl Fn(Counter) -> F) -> Result<u32, sneck::Error>
where
    F: Future<Output = Result<(), sneck::Error>>,
{
    let counter = Counter::default();
    let worker = async || -> Result<(), sneck::Error> {
        for _ in 0..CYCLES {
            cycle(counter.clone()).await?;
        }
        Ok(())
    };
    tokio::try_join!(worker(), worker(), worker(), worker())?;
    Ok(counter.get())
}
