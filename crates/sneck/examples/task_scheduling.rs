//! Every machine of a fleet has the same timer; the job is to run once.
//!
//! `cargo run -p sneck --example task_scheduling`. All timers fire together. Without a lock the bill is sent
//! by each of them. A plain lock is not enough either: the second would send it again as soon as the first
//! is done. `once` keeps count of the interval, by the clock of the store.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use sneck::Ran;
use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

const MACHINES: u32 = 3;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sent = Cell::new(0);
    let send_bills = || async {
        sent.set(sent.get() + 1);
        Ok::<_, Infallible>(())
    };

    for _ in 0..MACHINES {
        send_bills().await?;
    }
    println!("without a lock: sent {} times", sent.replace(0));

    let locks = sneck::connect("memory:").await?;
    for _ in 0..MACHINES {
        let _guard = locks.mutex("bills").lock().await?;
        send_bills().await?;
    }
    println!("with a plain lock: sent {} times", sent.replace(0));

    let job = locks.once("daily-bills", DAY);
    for machine in 1..=MACHINES {
        match job.run(|_token| send_bills()).await? {
            Ran::Here(()) => println!("machine {machine}: sends the bills"),
            Ran::Skipped(skipped) => {
                let by = skipped.last.and_then(|last| last.by);
                let by = by.map(|by| format!("process {} on {}", by.pid, by.host));
                println!("machine {machine}: skips; {} has sent them", by.unwrap_or_default());
            }
        }
    }
    println!("with once: sent {} time", sent.get());
    Ok(())
}
