//! A holder that is stopped for too long wakes up and writes, believing that it still has the lock.
//!
//! `cargo run -p sneck --example fenced_write`. No lock can prevent that: a process may be stopped between
//! the last look at its guard and the write. The fencing token can, if the resource compares it.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;

/// A resource that takes every write, and one that compares tokens.
#[derive(Default)]
struct Register {
    value: &'static str,
    /// The largest token that has been seen.
    fence: u64,
}

impl Register {
    fn write(&mut self, value: &'static str) {
        self.value = value;
    }

    fn write_fenced(&mut self, value: &'static str, token: u64) -> Result<(), String> {
        if token < self.fence {
            return Err(format!("token {token} is older than {}", self.fence));
        }
        (self.fence, self.value) = (token, value);
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = sneck::connect("memory:").await?;

    // The first holder takes the lock, and is stopped. It is long enough for its lock to run out; here it
    // is given up by hand, as waiting for that would take longer.
    let first = locks.mutex("register").lock().await?;
    let stale = first.token().get();
    first.unlock().await?;
    let second = locks.mutex("register").lock().await?;
    let fresh = second.token().get();
    println!("tokens only rise: {}", fresh > stale);

    let mut register = Register::default();
    register.write("by the second holder");
    register.write("by the first, too late");
    println!("without tokens: written {}", register.value);

    let mut register = Register::default();
    register.write_fenced("by the second holder", fresh)?;
    let refused = register.write_fenced("by the first, too late", stale).is_err();
    println!("with tokens: written {}, late write refused: {refused}", register.value);

    second.unlock().await?;
    Ok(())
}
