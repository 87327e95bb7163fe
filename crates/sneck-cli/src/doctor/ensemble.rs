//! The servers together, as a lock would use them.

use super::check::{Check, Verdict};
use super::server::{median, shown};
use sneck::local::Local;
use sneck::zookeeper::wire::{Acl, ErrorCode};
use sneck::zookeeper::{
    AclPolicy, CreateMode, RequestError, Session, SessionOptions, ZooKeeperUrl,
};
use std::time::Duration;
use tokio::time::timeout;

/// Examines the ensemble. Nothing is written.
pub(crate) async fn examine(url: &ZooKeeperUrl, scheme: &str) -> Vec<Check> {
    let asked = url.session.timeout;
    let limit = url.session.connect_timeout;
    let options = SessionOptions { chroot: String::new(), ..url.session.clone() };
    let session = match Session::connect(options).await {
        Ok(session) => session,
        Err(error) => return vec![Check::new("session", Verdict::Failure, error.to_string())],
    };
    let mut checks = vec![term(asked, session.timeout())];
    checks.push(match median(limit, || session.prove()).await {
        Some(took) => {
            let says = format!("proves the session in {}", shown(took));
            Check::new("quorum", Verdict::Ok, says)
        }
        None => Check::new("quorum", Verdict::Failure, "gives no proof of the session")
            .with_hint("a minority of the servers, or one that is read-only, cannot keep locks"),
    });
    checks.push(containers(&session, limit).await);
    checks.push(identity(&session, limit).await);
    checks.push(access(url.lock.acl, scheme));
    checks.extend(transport(url, scheme));
    let _ = timeout(Duration::from_secs(1), session.close()).await;
    checks
}

fn term(asked: Duration, given: Duration) -> Check {
    let text = |length: Duration| humantime::format_duration(length).to_string();
    let says = format!(
        "timeout {} asked for, {} given: so long at most does a dead holder's lock stay taken",
        text(asked),
        text(given)
    );
    match asked == given {
        true => Check::new("session", Verdict::Ok, says),
        false => Check::new("session", Verdict::Warning, says)
            .with_hint("the servers' tickTime, minSessionTimeout and maxSessionTimeout decide"),
    }
}

/// Asks to create a node that is there already: what does not know containers says so, and what does
/// changes nothing.
async fn containers(session: &Session, limit: Duration) -> Check {
    const THERE: &str = "/zookeeper";
    let unknown = || Check::new("containers", Verdict::Unknown, "could not be learnt");
    match timeout(limit, session.exists(THERE)).await {
        Ok(Ok(Some(_))) => {}
        _ => return unknown(),
    }
    let attempt = session.create2(THERE, "", CreateMode::Container, Acl::open());
    match timeout(limit, attempt).await {
        Ok(Err(RequestError::Refused(ErrorCode::UNIMPLEMENTED))) => {
            Check::new("containers", Verdict::Warning, "unknown to the servers")
                .with_hint("the nodes of locks that are no longer used stay behind")
        }
        Ok(Err(RequestError::Refused(ErrorCode::NODE_EXISTS | ErrorCode::NO_AUTH))) => {
            Check::new("containers", Verdict::Ok, "the nodes of unused locks are tidied away")
        }
        _ => unknown(),
    }
}

async fn identity(session: &Session, limit: Duration) -> Check {
    match timeout(limit, session.who_am_i()).await {
        Ok(Ok(identities)) => {
            let shown: Vec<String> =
                identities.iter().map(|it| format!("{}:{}", it.scheme, it.user)).collect();
            Check::new(
                "identity",
                Verdict::Ok,
                format!("the servers know us as {}", shown.join(", ")),
            )
        }
        _ => Check::new("identity", Verdict::Unknown, "the servers cannot tell (before 3.7)"),
    }
}

fn access(acl: AclPolicy, scheme: &str) -> Check {
    if Local::is_scheme(scheme) {
        return Check::new("access", Verdict::Ok, "only processes of this user reach the server");
    }
    match acl {
        AclPolicy::Creator => {
            Check::new("access", Verdict::Ok, "only these credentials may touch our places in line")
        }
        AclPolicy::Open => {
            let says = "everybody who reaches the servers may remove our places in line";
            Check::new("access", Verdict::Warning, says)
                .with_hint("use credentials and ?acl=creator, unless the network is trusted")
        }
    }
}

fn transport(url: &ZooKeeperUrl, scheme: &str) -> Option<Check> {
    let says = match (scheme, url.session.credentials.is_empty()) {
        ("zks", _) => return Some(Check::new("transport", Verdict::Ok, "encrypted")),
        (_, true) => return None,
        (_, false) => "the password is sent in the clear",
    };
    Some(Check::new("transport", Verdict::Warning, says).with_hint("use zks://, with TLS"))
}
