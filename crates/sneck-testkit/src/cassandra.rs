//! Real Apache Cassandra on loopback: one node or three, to be killed and paused.
//!
//! The nodes of a cluster listen on `127.0.0.1`, `127.0.0.2` and so on, all on the same port, because
//! clients take the port of the node they were given for that of all the others.
//!
//! ```no_run
//! # async fn example() -> Result<(), sneck_testkit::StartError> {
//! use sneck_testkit::cassandra::Builder;
//!
//! let cluster = Builder::new().nodes(3).start().await?;
//! cluster.pause(1).await;
//! println!("clients go on with {}", cluster.contact_points());
//! # Ok(())
//! # }
//! ```

mod builder;
mod cluster;
mod launch;
mod mutant;
mod shared;

pub use builder::Builder;
pub use cluster::Cluster;
pub use shared::{prepare, shared, shared_cluster};

use crate::jars::{Jars, SERVERS};

/// The backend's name in skips and in `SNECK_REQUIRE`.
pub const BACKEND: &str = "cassandra";

/// The exact release.
pub const RELEASE: &str = "5.0.6";

/// The superuser that a cluster with [`Builder::authentication`] begins with: name and password.
pub const SUPERUSER: (&str, &str) = ("cassandra", "cassandra");

const JARS: Jars = Jars {
    name: "cassandra-5.0.6",
    list: SERVERS,
    select: &["-Pcassandra", "-Dcassandra.version=5.0.6"],
    backend: BACKEND,
};
