//! What the tests share.

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;
use sneck_cassandra::{Cassandra, CassandraUrl, Credentials};
use sneck_core::{
    Backend, Caller, Claim, ClaimId, Clock, Error, Grant, Guard, Locker, Mode, Name, Patience,
    Permits, Request, Standing, SystemClock,
};
use sneck_testkit::cassandra::{Cluster, SUPERUSER};
use sneck_testkit::within;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What [`Client::holders`] says of a lock that is free.
pub(crate) const NOBODY: [u64; 0] = [];

/// A keyspace of a test's own.
pub(crate) struct Store {
    /// What a URL has between the scheme and the options.
    place: String,
    pub(crate) keyspace: String,
    secret: bool,
}

impl Store {
    /// On the single node that asks for a password.
    pub(crate) async fn on_node(node: &Cluster) -> Store {
        Store::at(&node.contact_points(), true, 1).await
    }

    /// On three nodes that do not.
    pub(crate) async fn on_cluster(cluster: &Cluster) -> Store {
        Store::at(&cluster.contact_points(), false, 3).await
    }

    async fn at(contact_points: &str, secret: bool, replicas: u8) -> Store {
        let keyspace = format!("k{:x}", ClaimId::random().as_u128());
        let place = format!("{contact_points}/{keyspace}");
        let store = Store { place, keyspace, secret };
        let create = format!("create=keyspace&replicas={replicas}&connect-timeout=60s&ttl=40s");
        store.connect(&create).await.close().await;
        store
    }

    /// The same keyspace, reached through other addresses.
    pub(crate) fn through(&self, addr: SocketAddr) -> Store {
        let keyspace = self.keyspace.clone();
        Store { place: format!("{addr}/{keyspace}"), keyspace, secret: self.secret }
    }

    pub(crate) async fn connect(&self, options: &str) -> Cassandra {
        self.try_connect(options).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    pub(crate) async fn try_connect(&self, options: &str) -> Result<Cassandra, Error> {
        let url = format!("cassandra://{}?{options}", self.place);
        let mut options = CassandraUrl::parse(&url).unwrap().options;
        if self.secret {
            options.credentials = Some(Credentials::new(SUPERUSER.0, SUPERUSER.1));
        }
        Cassandra::connect(options).await
    }

    /// A client of its own.
    pub(crate) async fn client(&self, options: &str) -> Client {
        Client::new(self.connect(options).await)
    }
}

/// Somebody who looks at the table without sneck, through this node alone: another may be stopped.
pub(crate) async fn operator(addr: SocketAddr) -> Session {
    let node = NodeIdentifier::NodeAddress(addr);
    let profile = ExecutionProfile::builder()
        .load_balancing_policy(SingleTargetLoadBalancingPolicy::new(node, None))
        .build();
    let builder = SessionBuilder::new()
        .known_node_addr(addr)
        .user(SUPERUSER.0, SUPERUSER.1)
        .default_execution_profile_handle(profile.into_handle());
    within("an operator", builder.build()).await.unwrap()
}

/// A statement of the operator's, at this consistency.
pub(crate) async fn cql(
    session: &Session,
    consistency: Consistency,
    statement: &str,
) -> Vec<Vec<Option<scylla::value::CqlValue>>> {
    let mut statement = Statement::new(statement);
    statement.set_consistency(consistency);
    let result = within("an operator's statement", session.query_unpaged(statement, ())).await;
    let Ok(rows) = result.unwrap().into_rows_result() else { return Vec::new() };
    let rows = rows.rows::<scylla::value::Row>().unwrap();
    rows.map(|row| row.unwrap().columns).collect()
}

/// One client, as the core uses it.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) backend: Arc<Cassandra>,
    pub(crate) locker: Locker,
}

impl Client {
    fn new(backend: Cassandra) -> Client {
        let backend = Arc::new(backend);
        let locker = Locker::new(backend.clone(), Arc::new(SystemClock));
        Client { backend, locker }
    }

    pub(crate) fn request(&self, name: &str, mode: Mode) -> Request {
        let caller = Caller { host: "test".into(), pid: 7, ..Caller::anonymous() };
        Request::new(Name::new(name).unwrap(), mode, caller)
    }

    pub(crate) fn claim(&self, name: &str, mode: Mode) -> Box<dyn Claim> {
        self.backend.claim(self.request(name, mode))
    }

    pub(crate) async fn lock(&self, name: &str) -> Guard {
        let request = self.request(name, Mode::Exclusive);
        let locked = within("the lock", self.locker.acquire(request, Patience::Forever)).await;
        locked.unwrap_or_else(|error| panic!("{error:?}")).unwrap()
    }

    /// Tries for so long.
    pub(crate) async fn lock_for(&self, name: &str, limit: Duration) -> Result<Guard, Error> {
        let deadline = SystemClock.now() + limit;
        let request = self.request(name, Mode::Exclusive);
        let locked = self.locker.acquire(request, Patience::Until(deadline)).await;
        locked.map(|guard| guard.unwrap())
    }

    /// The tokens of those who hold, as the servers say after settling every open round.
    pub(crate) async fn holders(&self, name: &str) -> Vec<u64> {
        let name = Name::new(name).unwrap();
        let survey = self.backend.survey().unwrap();
        let looked = async {
            loop {
                match survey.line(&name).await {
                    Ok(line) => return line,
                    Err(error) if error.is_transient() => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
        };
        let line = within("the line", looked).await;
        line.iter().map(|holder| holder.token.unwrap().get()).collect()
    }
}

pub(crate) fn permits(take: u32, of: u32) -> Mode {
    Mode::Permits(Permits::new(take, of).unwrap())
}

/// Asks until there is an answer.
pub(crate) async fn ask(claim: &mut Box<dyn Claim>) -> Standing {
    loop {
        match within("an answer", claim.ask()).await {
            Ok(standing) => return standing,
            Err(error) if error.is_transient() => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

pub(crate) async fn held(claim: &mut Box<dyn Claim>) -> Grant {
    match ask(claim).await {
        Standing::Held(grant) => grant,
        other => panic!("held was expected, not {other:?}"),
    }
}

pub(crate) async fn waits(claim: &mut Box<dyn Claim>) {
    let standing = ask(claim).await;
    assert!(matches!(standing, Standing::Waiting(_)), "{standing:?}");
}

pub(crate) async fn leave(claim: &mut Box<dyn Claim>) {
    let left = async {
        while let Err(error) = claim.leave().await {
            assert!(error.is_transient(), "{error:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("leaving", left).await;
}
