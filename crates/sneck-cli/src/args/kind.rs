//! As what a lock is asked for, and how long it is waited for: options that several commands share.

use super::duration;
use clap::{ArgGroup, Args};
use std::time::Duration;

/// As what to ask for a lock. At most one; without any, as the only holder of a mutex.
#[derive(Clone, Debug, Default, Args)]
#[command(group = ArgGroup::new("kind").multiple(false))]
pub(crate) struct KindArgs {
    /// Share the lock with others who ask like this, as a reader
    ///
    /// Readers keep out those who ask with --write, and the other way round. A reader that comes after
    /// a waiting writer waits behind it.
    #[arg(short, long, group = "kind")]
    pub(crate) shared: bool,
    /// Have the lock alone, as a writer beside readers
    ///
    /// A name is for readers and writers, or for those who ask without any of these options: one
    /// who asks the other way is refused with exit code 65.
    #[arg(long, group = "kind")]
    pub(crate) write: bool,
    /// Take N of the M permits of a semaphore, all at once, such as 1/3
    ///
    /// M is kept in the store from the first use on; who names another is refused with exit code 65.
    #[arg(long, value_name = "N/M", value_parser = share, group = "kind")]
    pub(crate) permits: Option<Share>,
}

/// A number of permits out of all there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) take: u32,
    pub(crate) of: u32,
}

/// How long to wait for a lock.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WaitArgs {
    /// Do not wait: if the lock is taken, give up at once
    #[arg(short, long, conflicts_with = "wait")]
    pub(crate) nonblock: bool,
    /// Wait at most this long, such as 30s or 2m; a bare number is seconds
    ///
    /// Counted from when the store has answered, however often the place in line is lost.
    #[arg(short, long, value_name = "DUR", value_parser = duration)]
    pub(crate) wait: Option<Duration>,
    /// The exit code when the lock is not had in time, instead of 75
    #[arg(short = 'E', long, value_name = "N")]
    pub(crate) conflict_exit_code: Option<u8>,
    /// A text that everybody in line can read, such as why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) note: String,
}

/// Reads a number of permits, and how many there are. That both are named is what lets two who
/// disagree be told, so there is no default for either.
fn share(text: &str) -> Result<Share, String> {
    let numbers = text
        .split_once('/')
        .and_then(|(take, of)| Some(Share { take: take.parse().ok()?, of: of.parse().ok()? }));
    match numbers {
        None => Err("it says how many of how many, such as 1/3".to_owned()),
        Some(Share { of: 0, .. }) => Err("a semaphore has at least one permit".to_owned()),
        Some(Share { take: 0, .. }) => Err("at least one permit has to be taken".to_owned()),
        Some(Share { take, of }) if take > of => Err(format!("there are only {of} to take")),
        Some(share) => Ok(share),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_says_how_many_of_how_many() {
        assert_eq!(share("2/3"), Ok(Share { take: 2, of: 3 }));
        for bad in ["", "3", "/", "1/", "/3", "0/3", "0/0", "4/3", "-1/3", "1/3/5", "1/99999999999"]
        {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
