//! Cassandra as a store of locks.

use crate::claim::CassandraClaim;
use crate::coordinators::Coordinators;
use crate::facts::ClusterFacts;
use crate::failure::{Failure, of_connect};
use crate::holds::Holds;
use crate::options::{CassandraOptions, Scope};
use crate::place::Answer;
use crate::store::{Settings, Store};
use crate::term::TermRule;
use crate::{schema, version};
use async_trait::async_trait;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::{Consistency, SerialConsistency};
use sneck_core::{
    Backend, Capacity, Claim, Clock, Contender, Crash, Error, ErrorKind, Mode, Name, Order,
    Promises, Request, Survey, TokenScope, Wake,
};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Locks in a table of Apache Cassandra or ScyllaDB.
///
/// Made by [`connect`](Cassandra::connect), and used through the crate `sneck`, or through
/// [`Locker`](sneck_core::Locker). A process needs one, whatever the number of its locks.
pub struct Cassandra {
    store: Arc<Store>,
    holds: Arc<Holds>,
    poll: Duration,
    clock: Arc<dyn Clock>,
}

impl Cassandra {
    /// Connects to a cluster, and makes sure that its table can be used: that we may read and write
    /// it, and that a quorum answers.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for options that can never work, such as a TTL that is eaten by the
    /// difference of the servers' clocks, or a keyspace or table that is not there;
    /// [`ErrorKind::Denied`] when the servers refuse us; [`ErrorKind::Protocol`] when something else
    /// answers; [`ErrorKind::Refused`] for servers whose conditional statements are not reliable, or
    /// refused; [`ErrorKind::Unavailable`] when no quorum is reached in time. None shows the password.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened. A table that was being made may be made.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(options: CassandraOptions) -> Result<Cassandra, Error> {
        let label: Arc<str> =
            format!("cassandra://{}/{}", options.contact_points.join(","), options.keyspace).into();
        let limit = options.connect_timeout;
        let connected = match tokio::time::timeout(limit, open(options, label.clone())).await {
            Ok(connected) => connected,
            Err(_) => {
                let text = format!("cannot connect: no answer within {limit:?}");
                Err(Error::new(ErrorKind::Unavailable, text))
            }
        };
        connected.map_err(|error| error.with_backend(&label))
    }

    /// What the cluster is like: asks every node about itself, one after the other. What cannot be learnt
    /// is left out.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn facts(&self) -> ClusterFacts {
        self.store.facts(&*self.clock).await
    }
}

/// Nodes learn of a table one after the other: how often one that does not know it yet is asked.
const SCHEMA_TRIES_MAX: usize = 25;
/// How long is waited before a first statement is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Connecting waits for each node once, and for twice as long as this part of its time: also when one of
/// them says nothing, most of it is left.
const CONNECT_PARTS: u32 = 6;

async fn open(options: CassandraOptions, label: Arc<str>) -> Result<Cassandra, Error> {
    // What is left then is for the last try, whose error says more than that time is up.
    let last_try = Instant::now() + options.connect_timeout * (CONNECT_PARTS - 1) / CONNECT_PARTS;
    let rule = TermRule::new(options.ttl, options.skew)?;
    let session = session(&options, rule).await.map_err(|error| of_connect(&error))?;
    for release in schema::releases(&session).await? {
        version::check(&release)?;
    }
    schema::make(&session, &options).await?;
    let pardon = Duration::from_secs(rule.seconds().unsigned_abs().into());
    let clock = options.clock.clone();
    let coordinators = Coordinators::new(clock.clone(), options.datacenter.clone(), pardon);
    let settings = Settings {
        keyspace: options.keyspace,
        table: options.table,
        namespace: options.namespace,
        scope: options.scope,
        rule,
        label,
    };
    let statements = settled(last_try, || settings.prepare(&session)).await?;
    let store = Store::new(session, statements, coordinators, settings);
    let probe = || async { store.probe().await.map_err(|failure| failure.error) };
    settled(last_try, probe).await?;
    let holds = Arc::new(Holds::new());
    Ok(Cassandra { store: Arc::new(store), holds, poll: options.poll, clock })
}

/// Does one of the first things on a table, until it is time for the last try. While another client makes
/// the table, a node may not know of it yet, or know it and have no place for its data ("Unknown CF", an
/// internal error); a node that says nothing is passed over, and the next one is asked; and nodes that have
/// just begun are slow at their first statements.
async fn settled<T, F: Future<Output = Result<T, Error>>>(
    last_try: Instant,
    first: impl Fn() -> F,
) -> Result<T, Error> {
    let mut refused = 1;
    loop {
        match first().await {
            Err(error) if error.is_transient() && Instant::now() < last_try => {}
            Err(error) if error.kind() == ErrorKind::Refused && refused < SCHEMA_TRIES_MAX => {
                refused += 1;
            }
            done => return done,
        }
        tokio::time::sleep(FIRST_PAUSE).await;
    }
}

async fn session(
    options: &CassandraOptions,
    rule: TermRule,
) -> Result<Session, scylla::errors::NewSessionError> {
    let (commit, serial) = match options.scope {
        Scope::Cluster => (Consistency::Quorum, SerialConsistency::Serial),
        Scope::Datacenter => (Consistency::LocalQuorum, SerialConsistency::LocalSerial),
    };
    let profile = ExecutionProfile::builder()
        .consistency(commit)
        .serial_consistency(Some(serial))
        .request_timeout(Some(rule.answer_within()))
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .build();
    // A node that says nothing is to be noticed within a term, also by the driver, and while connecting.
    let pulse = rule.answer_within().min(options.connect_timeout / CONNECT_PARTS);
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.contact_points)
        .default_execution_profile_handle(profile.into_handle())
        .keyspaces_to_fetch([&options.keyspace])
        .connection_timeout(pulse)
        .keepalive_interval(pulse)
        .keepalive_timeout(pulse);
    if let Some(credentials) = &options.credentials {
        builder = builder.user(credentials.user(), credentials.password());
    }
    builder.build().await
}

#[async_trait]
impl Backend for Cassandra {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        let (store, holds) = (self.store.clone(), self.holds.clone());
        Box::new(CassandraClaim::new(store, holds, request, self.poll))
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
        self.store.label().clone()
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

    /// Waits until everything that is held was given back; what cannot be is freed by its TTL.
    async fn close(&self) {
        self.holds.close(self.store.rule().term()).await;
    }
}

#[async_trait]
impl Survey for Cassandra {
    /// Who holds the lock, by age. Who waits is not in the store.
    async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let line = self.store.confirm(name).await.map_err(|failure| self.located(failure, name))?;
        let Some(mut line) = line else { return Ok(Vec::new()) };
        line.holders.sort_by_key(|holder| holder.token);
        Ok(line.holders.iter().map(|holder| holder.contender(line.permits)).collect())
    }

    /// Reads the whole table: for people, not for programs.
    async fn names(&self) -> Result<Vec<Name>, Error> {
        let names = self.store.names().await;
        let mut names = names.map_err(|failure| failure.error.with_backend(self.store.label()))?;
        names.sort();
        names.dedup();
        Ok(names)
    }
}

/// How often somebody may be faster before a number of permits is given up.
const RESIZE_TRIES_MAX: usize = 20;

#[async_trait]
impl Capacity for Cassandra {
    async fn permits(&self, name: &Name) -> Result<Option<NonZeroU32>, Error> {
        let line = self.store.confirm(name).await.map_err(|failure| self.located(failure, name))?;
        Ok(line.and_then(|line| line.permits))
    }

    async fn set_permits(&self, name: &Name, permits: NonZeroU32) -> Result<(), Error> {
        if i32::try_from(permits.get()).is_err() {
            let text = format!("{permits} permits are more than {}", i32::MAX);
            return Err(Error::new(ErrorKind::Invalid, text).with_lock(name));
        }
        for _ in 0..RESIZE_TRIES_MAX {
            let line = self.store.confirm(name).await;
            let line = line.map_err(|failure| self.located(failure, name))?;
            let answer = match line {
                None => self.store.open(name).await.map(|_| Answer::Refused { token: None }),
                Some(line) if line.permits == Some(permits) => return Ok(()),
                Some(line) => self.store.resize(name, permits, line.fence).await,
            };
            if let Answer::Applied = answer.map_err(|failure| self.located(failure, name))? {
                return Ok(());
            }
        }
        let text = "the number of permits could not be set: the lock changes hands all the time";
        let error = Error::new(ErrorKind::Unavailable, text);
        Err(error.with_lock(name).with_backend(self.store.label()))
    }
}

impl Cassandra {
    fn located(&self, failure: Failure, name: &Name) -> Error {
        failure.error.with_lock(name).with_backend(self.store.label())
    }
}

impl fmt::Debug for Cassandra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cassandra").field("store", &self.store).finish_non_exhaustive()
    }
}
