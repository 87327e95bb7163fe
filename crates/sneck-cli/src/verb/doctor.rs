//! `sneck doctor`: can the servers be reached, and can their locks be relied on?

use crate::args::DoctorArgs;
use crate::doctor::check::{Check, Verdict, lines};
use crate::doctor::{ensemble, local, server};
use crate::exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::server::ServerUrl;
use crate::store;
use serde::Serialize;
use sneck::embedded::EmbeddedUrl;
use sneck::local::Local;
use sneck::zookeeper::ZooKeeperUrl;

/// All that was found. The fields are those of the JSON.
#[derive(Serialize)]
struct Report {
    server: String,
    ok: bool,
    checks: Vec<Check>,
}

/// Examines the servers.
///
/// # Errors
/// When no session is possible, after all has been said.
pub(crate) async fn doctor(
    url: ServerUrl,
    args: &DoctorArgs,
    printer: &Printer,
) -> Result<u8, Failure> {
    let Examination { checks, ok, together } = examine(&url).await?;
    let report = Report { server: url.without_credentials(), ok, checks };
    if args.json {
        printer.json(&report)?;
    } else {
        for line in lines(&report.checks, together) {
            printer.data(&line)?;
        }
    }
    match ok {
        true => Ok(0),
        false => Err(Failure::new(exit::UNAVAILABLE, "no session is possible").expected()),
    }
}

/// What was found out about a store.
struct Examination {
    checks: Vec<Check>,
    /// Whether locks can be had at all.
    ok: bool,
    /// What its servers are called.
    together: &'static str,
}

impl Examination {
    /// The first check of `all` is about whether locks can be had.
    fn new(each: Vec<Check>, all: Vec<Check>, together: &'static str) -> Self {
        let ok = all.first().is_some_and(|check| check.verdict != Verdict::Failure);
        Examination { checks: each.into_iter().chain(all).collect(), ok, together }
    }
}

async fn examine(url: &ServerUrl) -> Result<Examination, Failure> {
    let scheme = url.scheme();
    #[cfg(feature = "redis")]
    if sneck::redis::RedisOptions::is_scheme(scheme) {
        let options = sneck::redis::RedisOptions::parse(url.secret())?;
        let (each, all) = crate::doctor::redis::examine(&options).await;
        return Ok(Examination::new(each, all, "store"));
    }
    #[cfg(feature = "cassandra")]
    if sneck::cassandra::CassandraUrl::is_scheme(scheme) {
        let options = sneck::cassandra::CassandraUrl::parse(url.secret())?.options;
        let (each, all) = crate::doctor::cassandra::examine(options).await;
        return Ok(Examination::new(each, all, "cluster"));
    }
    if EmbeddedUrl::is_scheme(scheme) {
        let text = format!("{scheme}: is a server within one process, which no other reaches");
        return Err(Failure::usage(text).with_hint("a server's URL looks like zk://HOST:2181"));
    }
    let (parsed, each) = if Local::is_scheme(scheme) {
        let local = store::local(url)?;
        let each = local::examine(&local).await;
        (local.options(), each)
    } else {
        let parsed = ZooKeeperUrl::parse(url.secret())?;
        let each = servers(&parsed).await?;
        (parsed, each)
    };
    let all = ensemble::examine(&parsed, scheme).await;
    Ok(Examination::new(each, all, "ensemble"))
}

/// Each server by itself.
async fn servers(parsed: &ZooKeeperUrl) -> Result<Vec<Check>, Failure> {
    let mut checks = Vec::new();
    // At the same time, and shown in the order of the URL.
    let examining: Vec<_> = parsed
        .session
        .servers
        .iter()
        .map(|one| tokio::spawn(server::examine(one.clone(), parsed.session.clone())))
        .collect();
    for examined in examining {
        let found = examined.await;
        checks.extend(found.map_err(|error| Failure::system("an examination failed", error))?);
    }
    Ok(checks)
}
