//! Locks on one primary, found by itself, by sentinels, or in a cluster.

use crate::claim::RedisClaim;
use crate::options::{RedisOptions, Topology};
use crate::place::Place;
use crate::renewal;
use crate::server::ServerFacts;
use crate::store::Store;
use crate::tls::Certificates;
use async_trait::async_trait;
use futures_util::future::join_all;
use sneck_core::{
    Backend, Capacity, Claim, Contender, Crash, Error, ErrorKind, Loss, Mode, Name, Order,
    Promises, Records, Request, Survey, TokenScope, Wake,
};
use std::fmt;
use std::sync::Arc;

/// Locks on Redis: a [`Backend`] for the core.
///
/// All locks share one connection and one task that renews them, and clones share both.
#[derive(Clone)]
pub struct Redis {
    pub(crate) store: Arc<Store>,
}

impl Redis {
    /// Connects.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for options that can never work, a database that does not exist, or a
    /// primary that the sentinels do not know; [`ErrorKind::Unavailable`] when no server answers, or
    /// one that takes no writes; [`ErrorKind::Denied`] when it refuses us; [`ErrorKind::Protocol`] when
    /// it is none, or too old.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(options: RedisOptions) -> Result<Self, Error> {
        options.check()?;
        let label = options.label();
        if options.topology == Topology::Quorum {
            let text = "a majority of primaries is a backend of its own: Redlock";
            return Err(Error::new(ErrorKind::Invalid, text).with_backend(&label));
        }
        let certificates = Certificates::read(options.tls.as_ref());
        let certificates = certificates.map_err(|error| error.with_backend(&label))?;
        let store = Arc::new(Store::new(options, certificates));
        store.open().await.map_err(|error| error.with_backend(&label))?;
        tokio::spawn(renewal::keep(Arc::downgrade(&store)));
        Ok(Redis { store })
    }

    /// What an operator should know before locks are entrusted to this server, in sentences: that it may
    /// evict them, that a restart or a failover may forget them. Empty when nothing is to be said.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn warnings(&self) -> Result<Vec<String>, Error> {
        Ok(self.facts().await?.warnings())
    }

    /// What the server said about itself when it was connected to; in a cluster, what one of the primaries
    /// said.
    ///
    /// # Errors
    /// When the server cannot be asked.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn facts(&self) -> Result<ServerFacts, Error> {
        let live = self.store.link.live().await;
        Ok(live.map_err(|error| error.with_backend(&self.store.label))?.facts.clone())
    }
}

#[async_trait]
impl Backend for Redis {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        Box::new(RedisClaim::new(self.store.clone(), request))
    }

    fn promises(&self) -> Promises {
        Promises {
            order: Order::Fifo,
            wake: Wake::Pushed,
            crash: Crash::Term,
            token: TokenScope::SingleCopy,
        }
    }

    fn label(&self) -> Arc<str> {
        self.store.label.clone()
    }

    fn supports(&self, mode: Mode) -> bool {
        matches!(mode, Mode::Exclusive | Mode::Shared | Mode::Write | Mode::Permits(_))
    }

    fn capacity(&self) -> Option<&dyn Capacity> {
        Some(self)
    }

    fn survey(&self) -> Option<&dyn Survey> {
        Some(self)
    }

    fn records(&self) -> Option<&dyn Records> {
        Some(self)
    }

    async fn revoke(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let asked = self.store.revoke(name).await;
        asked.map_err(|error| error.with_lock(name).with_backend(&self.store.label))
    }

    async fn close(&self) {
        let places = self.store.places.close();
        for place in &places {
            place.end(Loss::SessionEnded);
        }
        // A place that cannot be given up now ends by itself, with its term.
        let leave = async |place: &Place| {
            let doubt = self.store.server_now_ms(place.bucket) + self.store.answer_ms();
            self.store.leave(place, doubt).await.is_ok()
        };
        for places in places.chunks(64) {
            join_all(places.iter().map(|place| leave(place))).await;
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("options", &self.store.options).finish_non_exhaustive()
    }
}
