//! Locks on several primaries that know nothing of each other, of which a majority decides.

mod claim;

use crate::options::{Node, RedisOptions, Topology};
use crate::place::Place;
use crate::server::ServerFacts;
use crate::store::Store;
use crate::tls::Certificates;
use async_trait::async_trait;
use claim::QuorumClaim;
use futures_util::future::join_all;
use sneck_core::{
    Backend, Claim, Contender, Crash, Error, ErrorKind, Loss, Mode, Name, Order, Promises, Request,
    Survey, TokenScope, Wake,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Locks on several primaries, of which a majority decides: a [`Backend`] for the core.
///
/// This is the algorithm that Redis' documentation calls Redlock, with three things added. Tokens: a
/// second round writes the largest token of a majority back to a majority, so that the next majority,
/// which shares a server with it, grants a larger one. A question that comes late is refused by the
/// server. And a server that was started less than a term ago grants nothing.
///
/// Its limits: there is no line, so a waiter asks again at random and nobody knows who is next; there are
/// no semaphores, which majorities cannot carry; and the servers' clocks must run at about one rate, and
/// must not leap.
///
/// Source: "Distributed Locks with Redis", in the documentation of Redis.
#[derive(Clone)]
pub struct Redlock {
    servers: Arc<Servers>,
}

/// The servers, and how many of them decide.
pub(crate) struct Servers {
    stores: Vec<Store>,
    options: RedisOptions,
    label: Arc<str>,
}

impl Redlock {
    /// Connects to all servers that answer, which must be a majority.
    ///
    /// # Errors
    /// As [`Redis::connect`](crate::Redis::connect), for the first server that refuses; of those that do
    /// not answer a minority is no error.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(options: RedisOptions) -> Result<Self, Error> {
        let label = options.label();
        if options.topology != Topology::Quorum {
            let text = "a majority is had with redlock:// only";
            return Err(Error::new(ErrorKind::Invalid, text).with_backend(&label));
        }
        options.check()?;
        let certificates = Certificates::read(options.tls.as_ref());
        let certificates = certificates.map_err(|error| error.with_backend(&label))?;
        let one = |node: &Node| RedisOptions { nodes: vec![node.clone()], ..options.clone() };
        let stores =
            options.nodes.iter().map(|node| Store::new(one(node), certificates.clone())).collect();
        let servers = Servers { stores, options, label };
        let opened = join_all(servers.stores.iter().map(Store::open)).await;
        servers.majority(opened).map_err(|error| servers.locate(error))?;
        Ok(Redlock { servers: Arc::new(servers) })
    }

    /// What an operator should know before locks are entrusted to these servers, in sentences that each
    /// begin with the server. Those that do not answer say nothing.
    pub async fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (node, facts) in self.facts().await {
            let Ok(facts) = facts else { continue };
            warnings.extend(facts.warnings().iter().map(|text| format!("{node}: {text}")));
        }
        warnings
    }

    /// What each server said about itself when it was connected to, in the order of the options; an error
    /// for one that does not answer.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn facts(&self) -> Vec<(Node, Result<ServerFacts, Error>)> {
        let asked = self.servers.stores.iter().zip(&self.servers.options.nodes);
        let asked = asked.map(|(store, node)| async move {
            (node.clone(), store.link.live().await.map(|live| live.facts.clone()))
        });
        join_all(asked).await
    }
}

impl Servers {
    /// How many decide.
    fn quorum(&self) -> usize {
        self.stores.len() / 2 + 1
    }

    /// What those said that answered, when they are enough. A server that refuses us is no silence.
    fn majority<T>(&self, answers: Vec<Result<T, Error>>) -> Result<Vec<T>, Error> {
        let (mut said, mut silent) = (Vec::new(), None);
        for answer in answers {
            match answer {
                Ok(answer) => said.push(answer),
                Err(error) if error.is_transient() => silent = Some(error),
                Err(error) => return Err(error),
            }
        }
        match silent {
            Some(error) if said.len() < self.quorum() => {
                let (some, all) = (said.len(), self.stores.len());
                let text = format!("{some} of {all} servers answer, and {} must", self.quorum());
                Err(Error::new(ErrorKind::Unavailable, text).with_source(error))
            }
            _ => Ok(said),
        }
    }

    fn locate(&self, error: Error) -> Error {
        error.with_backend(&self.label)
    }
}

#[async_trait]
impl Backend for Redlock {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        Box::new(QuorumClaim::new(self.servers.clone(), request))
    }

    fn promises(&self) -> Promises {
        Promises {
            order: Order::None,
            wake: Wake::Polled,
            crash: Crash::Term,
            token: TokenScope::Replicated,
        }
    }

    fn label(&self) -> Arc<str> {
        self.servers.label.clone()
    }

    /// No permits: of three servers and two permits, A and B may have the first server, B and C the
    /// second, A and C the third, and each has a majority.
    fn supports(&self, mode: Mode) -> bool {
        matches!(mode, Mode::Exclusive | Mode::Shared | Mode::Write)
    }

    fn survey(&self) -> Option<&dyn Survey> {
        Some(self)
    }

    async fn close(&self) {
        let all =
            self.servers.stores.iter().flat_map(|store| {
                store.places.close().into_iter().map(move |place| (store, place))
            });
        let leave = async |(store, place): (&Store, Arc<Place>)| {
            place.end(Loss::SessionEnded);
            let doubt = store.server_now_ms(place.bucket) + store.answer_ms();
            // A place that cannot be given up now ends by itself, with its term.
            let _ = store.leave(&place, doubt).await;
        };
        join_all(all.map(leave)).await;
    }
}

#[async_trait]
impl Survey for Redlock {
    /// Those who hold the lock: who is in it on a majority of the servers.
    async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let servers = &self.servers;
        let lines = join_all(servers.stores.iter().map(|store| store.line(name))).await;
        let lines = servers.majority(lines);
        let lines = lines.map_err(|error| servers.locate(error.with_lock(name)))?;
        let mut places: BTreeMap<String, (usize, Contender)> = BTreeMap::new();
        for contender in lines.into_iter().flatten() {
            let (count, known) =
                places.entry(contender.place.clone()).or_insert_with(|| (0, contender.clone()));
            *count += 1;
            known.token = known.token.max(contender.token);
        }
        let holds = |(count, _): &(usize, Contender)| *count >= servers.quorum();
        Ok(places.into_values().filter(holds).map(|(_, contender)| contender).collect())
    }

    async fn names(&self) -> Result<Vec<Name>, Error> {
        let names = join_all(self.servers.stores.iter().map(Store::names)).await;
        let names = self.servers.majority(names).map_err(|error| self.servers.locate(error))?;
        let names: BTreeSet<Name> = names.into_iter().flatten().collect();
        let mut held = Vec::new();
        // What a failed attempt has not given back yet is no lock.
        for name in names {
            if !self.line(&name).await?.is_empty() {
                held.push(name);
            }
        }
        Ok(held)
    }
}

impl fmt::Debug for Redlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redlock").field("options", &self.servers.options).finish_non_exhaustive()
    }
}
