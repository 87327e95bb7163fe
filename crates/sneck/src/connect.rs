//! From a URL to locks.

use crate::locks::Locks;
use sneck_core::{Error, ErrorKind};
#[cfg(feature = "zookeeper")]
use std::sync::Arc;

/// Connects to a store of locks.
///
/// The table of URLs is in the [crate's documentation](crate).
///
/// # Errors
/// [`ErrorKind::Invalid`] for a URL that can never work, and what the store reports:
/// [`ErrorKind::Unavailable`] when it cannot be reached, [`ErrorKind::Denied`] when it refuses us,
/// [`ErrorKind::Protocol`] when something else answers. No error repeats a password.
///
/// # Cancel safety
/// Dropping the future closes what was opened.
///
/// # Panics
/// Outside a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let error = sneck::connect("zk://").await.unwrap_err();
/// assert_eq!(error.kind(), sneck::ErrorKind::Invalid);
/// # }
/// ```
pub async fn connect(url: &str) -> Result<Locks, Error> {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    match scheme {
        "memory" | "embedded" if url.contains(':') => embedded(url).await,
        "local" if url.contains(':') => local(url).await,
        "zk" | "zks" => zookeeper(url).await,
        "cassandra" | "scylla" => cassandra(url).await,
        "redis" | "rediss" | "redis+sentinel" | "rediss+sentinel" | "redis+cluster"
        | "rediss+cluster" | "redlock" | "redlocks" => redis(url).await,
        _ => {
            // Only the scheme is repeated: what follows may hold a password.
            let shown: String = scheme.chars().take(16).collect();
            let text = match url.contains(':') {
                true => format!("no store has URLs with the scheme {shown:?}"),
                false => "the URL has no scheme".to_owned(),
            };
            Err(Error::new(ErrorKind::Invalid, text)
                .with_hint("try zk://HOST:2181, local: or memory:"))
        }
    }
}

#[cfg(feature = "zookeeper")]
async fn zookeeper(url: &str) -> Result<Locks, Error> {
    let url = sneck_zookeeper::ZooKeeperUrl::parse(url)?;
    let backend = sneck_zookeeper::ZooKeeper::connect(url.session, url.lock).await?;
    Ok(Locks::on(Arc::new(backend)))
}

#[cfg(feature = "embedded")]
async fn embedded(url: &str) -> Result<Locks, Error> {
    use crate::embedded::{EmbeddedUrl, open};
    Ok(Locks::on(Arc::new(open(EmbeddedUrl::parse(url)?).await?)))
}

#[cfg(not(feature = "embedded"))]
async fn embedded(_: &str) -> Result<Locks, Error> {
    let text =
        "this build has no server within the process; build it with the feature \"embedded\"";
    Err(Error::new(ErrorKind::Invalid, text))
}

#[cfg(feature = "zookeeper")]
async fn local(url: &str) -> Result<Locks, Error> {
    Ok(Locks::on(Arc::new(crate::local::Local::parse(url)?.connect().await?)))
}

#[cfg(not(feature = "zookeeper"))]
async fn local(url: &str) -> Result<Locks, Error> {
    zookeeper(url).await
}

#[cfg(not(feature = "zookeeper"))]
async fn zookeeper(_: &str) -> Result<Locks, Error> {
    let text = "this build has no ZooKeeper; build it with the feature \"zookeeper\"";
    Err(Error::new(ErrorKind::Invalid, text))
}

#[cfg(feature = "cassandra")]
async fn cassandra(url: &str) -> Result<Locks, Error> {
    let url = sneck_cassandra::CassandraUrl::parse(url)?;
    let backend = sneck_cassandra::Cassandra::connect(url.options).await?;
    Ok(Locks::on(std::sync::Arc::new(backend)))
}

#[cfg(not(feature = "cassandra"))]
async fn cassandra(_: &str) -> Result<Locks, Error> {
    let text = "this build has no Cassandra; build it with the feature \"cassandra\"";
    Err(Error::new(ErrorKind::Invalid, text))
}

#[cfg(feature = "redis")]
async fn redis(url: &str) -> Result<Locks, Error> {
    use sneck_redis::{Redis, RedisOptions, Redlock, Topology};
    let options = RedisOptions::parse(url)?;
    Ok(match options.topology {
        Topology::Quorum => Locks::on(std::sync::Arc::new(Redlock::connect(options).await?)),
        _ => Locks::on(std::sync::Arc::new(Redis::connect(options).await?)),
    })
}

#[cfg(not(feature = "redis"))]
async fn redis(_: &str) -> Result<Locks, Error> {
    let text = "this build has no Redis; build it with the feature \"redis\"";
    Err(Error::new(ErrorKind::Invalid, text))
}
