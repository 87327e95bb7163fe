//! What the server has refused because there was too much of it.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Declares the limits once, so that variant and name cannot drift apart.
macro_rules! limits {
    ($($variant:ident = $name:ident;)*) => {
        /// One of the [`Limits`](crate::Limits), by the name of its field.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Limit {
            $(#[doc = concat!("[`Limits::", stringify!($name), "`](crate::Limits::", stringify!($name), ")")]
            $variant,)*
        }

        impl Limit {
            /// Every limit at which something can be refused.
            pub const ALL: &'static [Limit] = &[$(Limit::$variant,)*];

            /// The name of the field.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Limit::$variant => stringify!($name),)*
                }
            }
        }

        const COUNT: usize = Limit::ALL.len();
    };
}

limits! {
    FrameBytes = frame_bytes_max;
    RequestBytes = request_bytes_max;
    Connections = connections_max;
    ConnectionsPerPeer = connections_per_peer_max;
    HandshakeTimeout = handshake_timeout;
    OutboxBytes = outbox_bytes_max;
    BacklogBytes = backlog_bytes_max;
    ReplyBytes = reply_bytes_max;
    Sessions = sessions_max;
    Watches = watches_max;
    WatchesPerConnection = watches_per_connection_max;
    WatchBytes = watch_bytes_max;
    WatchBytesPerConnection = watch_bytes_per_connection_max;
    Nodes = nodes_max;
    TreeBytes = tree_bytes_max;
    EphemeralsPerSession = ephemerals_per_session_max;
    AclEntries = acl_entries_max;
    Identities = identities_max;
    IdentityBytes = identity_bytes_max;
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each limit has made the server refuse something, or hang up, since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusals {
    counts: [u64; COUNT],
}

impl Refusals {
    /// How often it was this limit.
    pub fn at(&self, limit: Limit) -> u64 {
        self.counts[limit as usize]
    }

    fn note(&mut self, limit: Limit) {
        self.counts[limit as usize] += 1;
    }
}

/// Where every part of a server notes what it refuses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refused(Arc<watch::Sender<Refusals>>);

impl Refused {
    pub(crate) fn note(&self, limit: Limit) {
        self.0.send_modify(|refusals| refusals.note(limit));
    }

    pub(crate) fn so_far(&self) -> Refusals {
        *self.0.borrow()
    }

    /// Waits until there are others than these.
    pub(crate) async fn after(&self, known: &Refusals) -> Refusals {
        match self.0.subscribe().wait_for(|now| now != known).await {
            Ok(now) => *now,
            // There is a sender, for it is here.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_limit_is_counted_for_itself() {
        let refused = Refused::default();
        refused.note(Limit::Nodes);
        refused.note(Limit::IdentityBytes);
        refused.note(Limit::Nodes);
        let now = refused.after(&Refusals::default()).await;
        assert_eq!((now.at(Limit::Nodes), now.at(Limit::IdentityBytes)), (2, 1));
        assert_eq!(Limit::ALL.iter().map(|limit| now.at(*limit)).sum::<u64>(), 3);
        assert_eq!(Limit::Nodes.to_string(), "nodes_max");
    }
}
