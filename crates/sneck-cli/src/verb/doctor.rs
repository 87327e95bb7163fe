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
    let mut checks = Vec::new();
    let parsed = match url.scheme() {
        scheme if Local::is_scheme(scheme) => {
            let local = store::local(&url)?;
            checks.extend(local::examine(&local).await);
            local.options()
        }
        scheme if EmbeddedUrl::is_scheme(scheme) => {
            let text = format!("{scheme}: is a server within one process, which no other reaches");
            return Err(Failure::usage(text).with_hint("a server's URL looks like zk://HOST:2181"));
        }
        _ => {
            let parsed = ZooKeeperUrl::parse(url.secret())?;
            checks.extend(servers(&parsed).await?);
            parsed
        }
    };
    let together = ensemble::examine(&parsed, url.scheme()).await;
    // The first of them is about the session.
    let ok = together.first().is_some_and(|check| check.verdict != Verdict::Failure);
    checks.extend(together);
    let report = Report { server: url.without_credentials(), ok, checks };
    if args.json {
        printer.json(&report)?;
    } else {
        for line in lines(&report.checks) {
            printer.data(&line)?;
        }
    }
    match ok {
        true => Ok(0),
        false => Err(Failure::new(exit::UNAVAILABLE, "no session is possible").expected()),
    }
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
