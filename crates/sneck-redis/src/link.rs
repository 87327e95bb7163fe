//! The connection to the servers, made anew when it broke.

use crate::failure;
use crate::keys::{Bucket, channel};
use crate::options::{Node, RedisOptions, Topology};
use crate::place::Places;
use crate::script::Call;
use crate::server::ServerFacts;
use crate::tls::Certificates;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue,
    IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError,
    TlsMode, Value,
};
use sneck_core::{ClaimId, Error, ErrorKind, Instant};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// For how long the failure of an attempt to connect answers everybody else who wanted to.
const FAILURE_FRESH: Duration = Duration::from_millis(100);

/// The connection to the servers, made anew when it broke.
pub(crate) struct Link {
    options: Arc<RedisOptions>,
    /// Where TLS is spoken.
    certificates: Option<Certificates>,
    places: Arc<Places>,
    /// Tells this client's channels from those of others.
    client: String,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    live: Option<Arc<Live>>,
    /// The run id of the server that was spoken to last.
    run_id: String,
    failed: Option<(Instant, Error)>,
}

/// One connection, until it breaks.
pub(crate) struct Live {
    wire: Wire,
    pub(crate) facts: ServerFacts,
    /// The run id of the server before this one, and until when it matters: what was granted there and
    /// got lost is over after one term.
    before: (String, Instant),
    broken: Arc<AtomicBool>,
    /// The buckets in which this client can be woken.
    subscribed: Arc<Mutex<HashSet<Bucket>>>,
}

#[derive(Clone)]
enum Wire {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    pub(crate) fn new(
        options: Arc<RedisOptions>,
        certificates: Option<Certificates>,
        places: Arc<Places>,
    ) -> Self {
        let client = ClaimId::random().to_string();
        Link { options, certificates, places, client, state: tokio::sync::Mutex::default() }
    }

    pub(crate) fn client(&self) -> &str {
        &self.client
    }

    /// The connection, made if there is none. Who comes while it cannot be made is told why.
    pub(crate) async fn live(&self) -> Result<Arc<Live>, Error> {
        let mut state = self.state.lock().await;
        if let Some(live) = &state.live
            && !live.broken.load(Ordering::Acquire)
        {
            return Ok(live.clone());
        }
        let now = self.options.clock.now();
        if let Some((at, error)) = &state.failed
            && now.since(*at) < FAILURE_FRESH
        {
            return Err(error.clone());
        }
        // Dropped before the new one is made, so that nothing is woken by it any more.
        let is_first = state.live.take().is_none() && state.run_id.is_empty();
        let limit = self.options.connect_timeout;
        let connected = match tokio::time::timeout(limit, self.connect(&state.run_id)).await {
            Ok(connected) => connected,
            Err(_) => {
                let text = format!("connecting: no answer within {limit:?}");
                Err(Error::new(ErrorKind::Unavailable, text))
            }
        };
        match connected {
            Ok(live) => {
                let live = Arc::new(live);
                state.run_id.clone_from(&live.facts.run_id);
                (state.live, state.failed) = (Some(live.clone()), None);
                if !is_first {
                    self.places.doubt();
                }
                Ok(live)
            }
            Err(error) => {
                state.failed = Some((self.options.clock.now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Runs a script; `doing` says what for.
    pub(crate) async fn call(
        &self,
        live: &Live,
        call: &Call<'_>,
        doing: &str,
    ) -> Result<Value, Error> {
        let done = match live.wire.clone().query::<Value>(&call.by_hash()).await {
            Err(error) if is_forgotten(&error) => live.wire.clone().query(&call.by_text()).await,
            done => done,
        };
        self.judge(live, done, doing)
    }

    /// Runs one command.
    pub(crate) async fn command<T: FromRedisValue>(
        &self,
        live: &Live,
        command: &Cmd,
        doing: &str,
    ) -> Result<T, Error> {
        let done = live.wire.clone().query(command).await;
        self.judge(live, done, doing)
    }

    /// Makes sure that this client can be woken in a bucket; says whether it could be before.
    pub(crate) async fn subscribe(&self, live: &Live, bucket: Bucket) -> Result<bool, Error> {
        if live.is_subscribed(bucket) {
            return Ok(true);
        }
        let channel = channel(&self.options.prefix, bucket) + &self.client;
        let done = match live.wire.clone() {
            Wire::Single(mut wire) => wire.subscribe(channel).await,
            Wire::Cluster(mut wire) => wire.ssubscribe(channel).await,
        };
        self.judge(live, done, "subscribing to wake-ups")?;
        live.subscribed().insert(bucket);
        Ok(false)
    }

    /// How to publish a wake-up.
    pub(crate) fn publish(&self) -> &'static str {
        match self.options.topology {
            Topology::Cluster => "SPUBLISH",
            _ => "PUBLISH",
        }
    }

    fn judge<T>(&self, live: &Live, done: Result<T, RedisError>, doing: &str) -> Result<T, Error> {
        done.map_err(|error| {
            // A cluster's connection mends itself.
            if matches!(live.wire, Wire::Single(_)) && failure::is_broken(&error) {
                live.broken.store(true, Ordering::Release);
                self.places.urgent.notify_one();
            }
            failure::of_command(&error, doing, &self.options.password)
        })
    }

    async fn connect(&self, run_id: &str) -> Result<Live, Error> {
        let broken = Arc::new(AtomicBool::new(false));
        let subscribed = Arc::new(Mutex::new(HashSet::new()));
        let pushed = self.listener(&broken, &subscribed);
        let failed = |error: &RedisError| {
            failure::of_connecting(error, &self.options.password, self.options.tls.is_some())
        };
        let wire = self.wire(pushed).await.map_err(|error| failed(&error))?;
        let is_cluster = matches!(wire, Wire::Cluster(_));
        let mut facts = match wire.clone().info().await {
            Ok(info) => ServerFacts::parse(&info),
            Err(error) => return Err(failed(&error)),
        };
        facts.check(is_cluster)?;
        if is_cluster {
            // The scripts know which node they run on, and nobody else does.
            facts.run_id = "cluster".to_owned();
        }
        let before = self.before(run_id, &facts);
        Ok(Live { wire, facts, before, broken, subscribed })
    }

    /// What this server may have forgotten, as far as we know.
    fn before(&self, run_id: &str, facts: &ServerFacts) -> (String, Instant) {
        let (now, term) = (self.options.clock.now(), self.options.term);
        if !run_id.is_empty() && run_id != facts.run_id {
            return (run_id.to_owned(), now + term);
        }
        // One of many that starts without its data must not help another to a majority before all that
        // it had granted is over, whoever asks.
        let uptime = facts.uptime;
        if self.options.topology == Topology::Quorum && uptime < term {
            return ("restarted".to_owned(), now + (term - uptime));
        }
        (String::new(), now)
    }

    async fn wire(
        &self,
        pushed: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> Result<Wire, RedisError> {
        let options = &*self.options;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.answer_timeout()));
        let nodes = &options.nodes;
        Ok(match &options.topology {
            Topology::Single | Topology::Quorum => {
                let client = client(info(options, &nodes[0])?, self.certificates.as_ref())?;
                let config = config.set_push_sender(pushed);
                Wire::Single(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Topology::Sentinel { primary } => {
                let mut client = self.sentinel(primary)?.build()?;
                let config = config.set_push_sender(pushed);
                Wire::Single(client.get_async_connection_with_config(&config).await?)
            }
            Topology::Cluster => {
                let infos: Result<Vec<_>, _> =
                    nodes.iter().map(|node| info(options, node)).collect();
                let builder = ClusterClientBuilder::new(infos?)
                    .use_protocol(ProtocolVersion::RESP3)
                    .connection_timeout(options.connect_timeout)
                    .response_timeout(options.answer_timeout())
                    .overall_response_timeout(Some(2 * options.answer_timeout()))
                    .push_sender(pushed);
                #[cfg(feature = "tls")]
                let builder = match &self.certificates {
                    Some(certificates) => builder.certs(certificates.driver.clone()),
                    None => builder,
                };
                let client = builder.build()?;
                Wire::Cluster(client.get_async_connection().await?)
            }
        })
    }

    fn sentinel(&self, primary: &str) -> Result<SentinelClientBuilder, RedisError> {
        let options = &*self.options;
        let addr = |node: &Node| ConnectionAddr::Tcp(node.host.clone(), node.port);
        let addrs = options.nodes.iter().map(addr);
        let kind = SentinelServerType::Master;
        let mut builder = SentinelClientBuilder::new(addrs, primary, kind)?
            .set_client_to_redis_protocol(ProtocolVersion::RESP3)
            .set_client_to_redis_db(i64::from(options.database))
            .set_client_to_redis_tcp_settings(TcpSettings::default().set_nodelay(true));
        if options.tls.is_some() {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        #[cfg(feature = "tls")]
        if let Some(certificates) = &self.certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.driver.clone())
                .set_client_to_sentinel_certificates(certificates.driver.clone());
        }
        if !options.user.is_empty() {
            builder = builder.set_client_to_redis_username(&options.user);
        }
        if !options.password.expose().is_empty() {
            builder = builder.set_client_to_redis_password(options.password.expose());
        }
        if !options.sentinel_password.expose().is_empty() {
            builder = builder.set_client_to_sentinel_password(options.sentinel_password.expose());
        }
        Ok(builder)
    }

    /// What is done with a message. There is no queue: a wake-up is one bit of its place.
    fn listener(
        &self,
        broken: &Arc<AtomicBool>,
        subscribed: &Arc<Mutex<HashSet<Bucket>>>,
    ) -> impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + use<> {
        let (places, broken, subscribed) =
            (self.places.clone(), broken.clone(), subscribed.clone());
        let is_cluster = self.options.topology == Topology::Cluster;
        move |push| {
            match push.kind {
                PushKind::Message | PushKind::SMessage => {
                    if let Some(Value::BulkString(id)) = push.data.last() {
                        places.wake(&String::from_utf8_lossy(id));
                    }
                }
                // A slot that moves takes its channels along.
                PushKind::Disconnection | PushKind::SUnsubscribe => {
                    subscribed.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    broken.fetch_or(!is_cluster, Ordering::AcqRel);
                    places.doubt();
                }
                _ => {}
            }
            Ok(())
        }
    }
}

impl Live {
    /// The run id of the server before this one, for as long as it matters.
    pub(crate) fn before(&self, now: Instant) -> &str {
        if now < self.before.1 { &self.before.0 } else { "" }
    }

    fn is_subscribed(&self, bucket: Bucket) -> bool {
        self.subscribed().contains(&bucket)
    }

    fn subscribed(&self) -> std::sync::MutexGuard<'_, HashSet<Bucket>> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RedisError> {
        match self {
            Wire::Single(wire) => command.query_async(wire).await,
            Wire::Cluster(wire) => command.query_async(wire).await,
        }
    }

    async fn info(&mut self) -> Result<String, RedisError> {
        match self {
            Wire::Single(wire) => redis::cmd("INFO").query_async(wire).await,
            Wire::Cluster(wire) => {
                // Any primary will do: they are of one kind.
                use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
                let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary);
                let info = wire.route_command(redis::cmd("INFO"), any).await?;
                Ok(redis::from_redis_value(info)?)
            }
        }
    }
}

fn is_forgotten(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoScript)
}

fn info(options: &RedisOptions, node: &Node) -> Result<ConnectionInfo, RedisError> {
    let (host, port) = (node.host.clone(), node.port);
    let addr = match options.tls {
        None => ConnectionAddr::Tcp(host, port),
        Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
    };
    let mut redis = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(i64::from(options.database));
    if !options.user.is_empty() {
        redis = redis.set_username(&options.user);
    }
    if !options.password.expose().is_empty() {
        redis = redis.set_password(options.password.expose());
    }
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(addr.into_connection_info()?.set_redis_settings(redis).set_tcp_settings(tcp))
}

fn client(info: ConnectionInfo, certificates: Option<&Certificates>) -> Result<Client, RedisError> {
    #[cfg(feature = "tls")]
    if let Some(certificates) = certificates {
        return Client::build_with_tls(info, certificates.driver.clone());
    }
    let _ = certificates;
    Client::open(info)
}
