//! Real Apache ZooKeeper on loopback: one server or three, to be killed, paused and cut off.
//!
//! ```no_run
//! # async fn example() -> Result<(), sneck_testkit::StartError> {
//! use sneck_testkit::zookeeper::{Builder, Version};
//!
//! let ensemble = Builder::new(Version::V3_9).nodes(3).tick_ms(500).start().await?;
//! let leader = ensemble.leader().await;
//! ensemble.kill(leader).await;
//! println!("clients go on with {}", ensemble.connect_string());
//! # Ok(())
//! # }
//! ```

mod builder;
mod ensemble;
pub(crate) mod four_letter;
mod launch;
mod link;
mod shared;
mod shell;
mod snapshot;

pub use builder::{Builder, Certificate};
pub use ensemble::Ensemble;
pub use shared::{ENSEMBLE_VARIABLE, prepare, shared, shared_builder, shared_ensemble};
pub use shell::Shell;

use crate::jars::{Jars, SERVERS};

/// The backend's name in skips and in `SNECK_REQUIRE`.
pub const BACKEND: &str = "zookeeper";

/// Which release of ZooKeeper to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// The older line that distributions carry.
    V3_8,
    /// The current line.
    V3_9,
}

impl Version {
    /// Both, oldest first.
    pub const ALL: [Version; 2] = [Version::V3_8, Version::V3_9];

    /// The exact release.
    pub fn release(self) -> &'static str {
        match self {
            Version::V3_8 => "3.8.6",
            Version::V3_9 => "3.9.5",
        }
    }

    /// The environment variable that holds the connect string of a server of this version that
    /// was started beforehand, for [`shared`].
    pub fn variable(self) -> &'static str {
        match self {
            Version::V3_8 => "SNECK_TEST_ZOOKEEPER_38",
            Version::V3_9 => "SNECK_TEST_ZOOKEEPER_39",
        }
    }

    fn jars(self) -> Jars {
        let (name, select): (_, &[&str]) = match self {
            Version::V3_8 => ("zookeeper-3.8.6", &["-Pserver", "-Dzookeeper.version=3.8.6"]),
            Version::V3_9 => ("zookeeper-3.9.5", &["-Pserver", "-Dzookeeper.version=3.9.5"]),
        };
        Jars { name, list: SERVERS, select, backend: BACKEND }
    }
}
