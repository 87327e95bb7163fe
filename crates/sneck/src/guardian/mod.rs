//! A process that looks after another, so that what a crash leaves behind is free at once.
//!
//! A process that dies leaves its session to the servers, who wait for the session timeout before they
//! give its locks to others. Most of that wait is for nothing if the machine lives on: somebody there can
//! tell at once. A [`Guardian`] is that somebody, a small process that knows the session and is told of the
//! children that act for its owner. When the owner dies, of whatever, it
//!
//! 1. kills the group of processes that acts for the owner, if there is one,
//! 2. waits until nobody of it is left, and
//! 3. ends the session.
//!
//! In this order only: a lock is not free while somebody still works under it. If it does not know, because
//! the owner died while it was starting a child, or dies itself, nothing is ended and the session times out as
//! it does without it.
//!
//! The command line has one for each `sneck run` on ZooKeeper. A program that uses the library brings its own:
//! a command that does nothing but call [`serve`]. On the server of `local:` nobody needs one, as the server
//! itself sees processes die.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
//! use sneck::guardian::{self, Guardian};
//! use std::process::Command;
//! // The same program, started once more, becomes the guardian before it does anything else.
//! if std::env::args().nth(1).as_deref() == Some("guardian") {
//!     return guardian::serve();
//! }
//! let mut command = Command::new(std::env::current_exe().expect("this program has a file"));
//! command.arg("guardian");
//! let (locks, guardian) = Guardian::connect("zk://zk1,zk2,zk3/apps", command).await?;
//! let guard = locks.mutex("invoice/42").lock().await?;
//! # drop((guard, guardian));
//! # Ok(()) }
//! ```

mod message;
mod owner;
mod serve;
mod vigil;

pub use owner::Guardian;
pub use serve::serve;
