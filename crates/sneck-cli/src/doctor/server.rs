//! One server by itself.

use super::check::{Check, Verdict};
use super::srvr::Srvr;
use sneck::zookeeper::{ConnectError, Server, Session, SessionOptions};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// How long a server may take to answer `srvr`. One that does not know the word may say nothing.
const SRVR_MAX: Duration = Duration::from_secs(2);
/// How much of an answer is read.
const SRVR_BYTES_MAX: u64 = 16 << 10;

/// Examines one server of those in `options`.
pub(crate) async fn examine(server: Server, options: SessionOptions) -> Vec<Check> {
    let label = server.to_string();
    let checks = examine_all(&server, options).await;
    checks.into_iter().map(|check| check.at(&label)).collect()
}

async fn examine_all(server: &Server, options: SessionOptions) -> Vec<Check> {
    let mut checks = vec![resolve(server, options.connect_timeout).await];
    if checks[0].verdict != Verdict::Failure {
        checks.extend(talk(server, options).await);
    }
    checks
}

/// Examines a server whose address is known.
pub(super) async fn talk(server: &Server, options: SessionOptions) -> Vec<Check> {
    let mut checks = Vec::new();
    let began = Instant::now();
    let connecting = timeout(options.connect_timeout, options.connector.connect(server));
    let mut connection = match connecting.await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            checks.push(unreachable(&error.to_string()));
            return checks;
        }
        Err(_) => {
            checks.push(unreachable("no answer"));
            return checks;
        }
    };
    let says = format!("reached in {}", shown(began.elapsed()));
    checks.push(Check::new("connection", Verdict::Ok, says));
    let asking = async {
        connection.write_all(b"srvr").await?;
        connection.flush().await?;
        let mut answer = Vec::new();
        connection.take(SRVR_BYTES_MAX).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(SRVR_MAX, asking).await.ok().and_then(Result::ok).unwrap_or_default();
    let told = Srvr::parse(&String::from_utf8_lossy(&answer));
    checks.push(speak(server, options).await);
    checks.extend(told.checks());
    checks
}

async fn resolve(server: &Server, limit: Duration) -> Check {
    let looking = tokio::net::lookup_host((server.host.as_str(), server.port));
    let failed = |why: &str| {
        Check::new("name", Verdict::Failure, format!("{} has no address: {why}", server.host))
            .with_hint("check the host's name, and the resolver of this machine")
    };
    match timeout(limit, looking).await {
        Ok(Ok(addresses)) => {
            let mut addresses: Vec<String> =
                addresses.map(|address| address.ip().to_string()).collect();
            addresses.dedup();
            match addresses.is_empty() {
                true => failed("none was found"),
                false => Check::new("name", Verdict::Ok, addresses.join(", ")),
            }
        }
        Ok(Err(error)) => failed(&error.to_string()),
        Err(_) => failed("the resolver does not answer"),
    }
}

fn unreachable(why: &str) -> Check {
    Check::new("connection", Verdict::Failure, format!("cannot be reached: {why}"))
        .with_hint("check that the server runs, the port, and what is in between")
}

/// Has a session through this server alone.
async fn speak(server: &Server, options: SessionOptions) -> Check {
    let options = SessionOptions { servers: vec![server.clone()], ..options };
    let limit = options.connect_timeout;
    let session = match Session::connect(options).await {
        Ok(session) => session,
        Err(error @ ConnectError::NotZooKeeper(_)) => {
            return Check::new("protocol", Verdict::Failure, error.to_string())
                .with_hint("check host and port; for a TLS port use zks://");
        }
        Err(error) => return Check::new("protocol", Verdict::Failure, error.to_string()),
    };
    let took = median(limit, || session.exists("/")).await;
    // The answer is waited for elsewhere long enough; a session too many ends by itself.
    let _ = timeout(Duration::from_secs(1), session.close()).await;
    match took {
        Some(took) => {
            let says = format!("speaks ZooKeeper's protocol, round trip {}", shown(took));
            Check::new("protocol", Verdict::Ok, says)
        }
        None => Check::new("protocol", Verdict::Failure, "opens sessions and answers no request"),
    }
}

/// The median duration of three requests, or `None` when one of them gets no answer.
pub(crate) async fn median<R, T, E>(limit: Duration, request: impl Fn() -> R) -> Option<Duration>
where
    R: IntoFuture<Output = Result<T, E>>,
{
    let mut took = [Duration::ZERO; 3];
    for took in &mut took {
        let began = Instant::now();
        timeout(limit, request().into_future()).await.ok()?.ok()?;
        *took = began.elapsed();
    }
    took.sort();
    Some(took[1])
}

/// A duration for people.
pub(crate) fn shown(length: Duration) -> String {
    format!("{:.1} ms", length.as_secs_f64() * 1_000.0)
}
