//! A ZooKeeper client session, and sneck's lock backend on it.
//!
//! [`Session`] is a low-level client that can be used by itself. [`ZooKeeper`] is the backend that the
//! crate `sneck` builds its locks on.

mod credentials;
mod error;
mod lease_rule;
mod lock;
mod options;
mod record;
mod server;
mod session;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod url;

pub use credentials::Credentials;
pub use error::{ConnectError, End, RequestError};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use lock::fuzzing;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub use lock::stepping;
pub use lock::{AclPolicy, Dialect, ForeignPolicy, LockOptions, Pattern, ZooKeeper};
pub use options::{SessionLimits, SessionOptions};
pub use server::Server;
pub use session::{
    Call, Created, Exists, Node, Session, SessionState, SessionTicket, Watch, WatchCall,
    WatchStream,
};
pub use sneck_wire as wire;
pub use sneck_wire::CreateMode;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsOptions};
pub use transport::{Connector, Duplex, Tcp};
pub use url::ZooKeeperUrl;
