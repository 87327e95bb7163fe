//! The servers that tests run on: real ZooKeeper, and sneck's own in a process of its own.

use sneck_testkit::StartError;
use sneck_testkit::embedded::Embedded;
pub(crate) use sneck_testkit::zookeeper::Version;
use sneck_testkit::zookeeper::{self, Builder, Ensemble};
use std::ops::Deref;
use std::time::Duration;
use tokio::sync::OnceCell;

/// The server program, built together with these tests.
const PROGRAM: &str = env!("CARGO_BIN_EXE_sneck-e2e-server");

/// Whose servers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    ZooKeeper(Version),
    Embedded,
}

/// What the servers are to be like; the same words for each kind.
pub(crate) struct Setup {
    kind: Kind,
    nodes: usize,
    tick: Duration,
    reap: Option<Duration>,
    counter: Option<(&'static str, i32)>,
}

/// Servers that run. What can be asked of any is asked of the [`Ensemble`] that they are.
pub(crate) enum Servers {
    ZooKeeper(Ensemble),
    Embedded(Embedded),
}

impl Kind {
    /// A server of this kind that all tests of the process share, with a tick of half a second. Nobody
    /// kills it, and each test keeps to a root of its own.
    pub(crate) async fn shared(self) -> Result<&'static Ensemble, StartError> {
        static OURS: OnceCell<Embedded> = OnceCell::const_new();
        match self {
            Kind::ZooKeeper(version) => zookeeper::shared(version).await,
            Kind::Embedded => {
                let start = || Embedded::start(PROGRAM, ["tick=500"]);
                OURS.get_or_try_init(start).await.map(Embedded::as_ensemble)
            }
        }
    }

    /// One server of the test's own with a tick of half a second.
    pub(crate) fn server(self) -> Setup {
        let tick = Duration::from_millis(500);
        Setup { kind: self, nodes: 1, tick, reap: None, counter: None }
    }
}

impl Setup {
    /// So many servers, of those that know how to be several. The embedded one is alone.
    pub(crate) fn nodes(self, nodes: usize) -> Self {
        Setup { nodes, ..self }
    }

    /// The unit of session timeouts.
    pub(crate) fn tick_ms(self, tick_ms: u32) -> Self {
        Setup { tick: Duration::from_millis(tick_ms.into()), ..self }
    }

    /// How often empty containers are reaped.
    pub(crate) fn container_check_interval(self, interval: Duration) -> Self {
        Setup { reap: Some(interval), ..self }
    }

    /// The number of the first sequential node below a path.
    pub(crate) fn counter(self, path: &'static str, creates: i32) -> Self {
        Setup { counter: Some((path, creates)), ..self }
    }

    /// Starts the servers, and returns when they serve.
    pub(crate) async fn start(self) -> Result<Servers, StartError> {
        match self.kind {
            Kind::ZooKeeper(version) => {
                let tick_ms = u32::try_from(self.tick.as_millis()).expect("a short tick");
                let mut builder = Builder::new(version).nodes(self.nodes).tick_ms(tick_ms);
                if let Some(interval) = self.reap {
                    builder = builder.container_check_interval(interval);
                }
                if let Some((path, creates)) = self.counter {
                    builder = builder.counter(path, creates);
                }
                Ok(Servers::ZooKeeper(builder.start().await?))
            }
            Kind::Embedded => {
                let mut args = vec![format!("tick={}", self.tick.as_millis())];
                args.extend(self.reap.map(|interval| format!("reap={}", interval.as_millis())));
                args.extend(
                    self.counter.map(|(path, creates)| format!("counter={path}={creates}")),
                );
                Ok(Servers::Embedded(Embedded::start(PROGRAM, args).await?))
            }
        }
    }
}

impl Servers {
    /// Kills one server with -9, and returns when it is gone.
    pub(crate) async fn kill(&self, server: usize) {
        match self {
            Servers::ZooKeeper(ensemble) => ensemble.kill(server).await,
            Servers::Embedded(embedded) => embedded.kill().await,
        }
    }

    /// Starts one server that is down, on the data it left, and returns when all serve.
    pub(crate) async fn start_again(&self, server: usize) {
        match self {
            Servers::ZooKeeper(ensemble) => {
                ensemble.start_server(server).await;
                ensemble.wait_until_serving().await;
            }
            Servers::Embedded(embedded) => {
                embedded.start_again();
                embedded.wait_until_serving().await;
            }
        }
    }
}

impl Deref for Servers {
    type Target = Ensemble;

    fn deref(&self) -> &Ensemble {
        match self {
            Servers::ZooKeeper(ensemble) => ensemble,
            Servers::Embedded(embedded) => embedded.as_ensemble(),
        }
    }
}

/// Makes each of these functions, which take a [`Kind`], a test on each kind of server, so that the
/// names of tests tell which: `crash::embedded::...`.
macro_rules! on_each_kind {
    ($($test:ident),* $(,)?) => {
        crate::stage::server::on_kind!(zookeeper, Kind::ZooKeeper(Version::V3_9), $($test),*);
        crate::stage::server::on_kind!(embedded, Kind::Embedded, $($test),*);
    };
}

/// As [`on_each_kind`], on one kind, in a module of this name.
macro_rules! on_kind {
    ($module:ident, $kind:expr, $($test:ident),* $(,)?) => {
        mod $module {
            #[allow(unused_imports, reason = "not every kind has a version")]
            use crate::stage::server::{Kind, Version};

            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test($kind).await;
                }
            )*
        }
    };
}

pub(crate) use {on_each_kind, on_kind};
