//! Redis, as a lock would use it.

use super::check::{Check, Verdict};
use super::server::{median, shown};
use sneck::redis::{Redis, RedisOptions, Redlock, ServerFacts, Topology};
use sneck::{Backend, Error, Name};
use std::time::Instant;

/// Examines what the URL leads to: each server where several decide, and all of it. Nothing is written.
pub(crate) async fn examine(options: &RedisOptions) -> (Vec<Check>, Vec<Check>) {
    let began = Instant::now();
    let connected = match options.topology {
        Topology::Quorum => quorum(options, began).await,
        _ => primary(options, began).await.map(|checks| (Vec::new(), checks)),
    };
    let (each, mut checks) = match connected {
        Ok(checks) => checks,
        Err(error) => return (Vec::new(), vec![unreachable(&error)]),
    };
    checks.push(term(options));
    checks.push(clock(options));
    checks.push(access(options));
    checks.extend(transport(options));
    (each, checks)
}

async fn primary(options: &RedisOptions, began: Instant) -> Result<Vec<Check>, Error> {
    let redis = Redis::connect(options.clone()).await?;
    let mut checks = vec![connected(began)];
    let facts = redis.facts().await?;
    checks.extend(about(&facts));
    checks.push(round_trip(&redis, options).await);
    checks.push(failover(options, &facts));
    redis.close().await;
    Ok(checks)
}

async fn quorum(options: &RedisOptions, began: Instant) -> Result<(Vec<Check>, Vec<Check>), Error> {
    let redlock = Redlock::connect(options.clone()).await?;
    let mut checks = vec![connected(began)];
    let mut each = Vec::new();
    for (node, facts) in redlock.facts().await {
        let about = match facts {
            Ok(facts) => about(&facts),
            Err(error) => vec![unreachable(&error)],
        };
        let label = node.to_string();
        each.extend(about.into_iter().map(|check| check.at(&label)));
    }
    checks.push(round_trip(&redlock, options).await);
    let says = "a majority decides; nobody knows who is next, and a waiter asks again and again";
    checks.push(
        Check::new("order", Verdict::Warning, says)
            .with_hint("redis:// with one primary is first come, first served"),
    );
    redlock.close().await;
    Ok((each, checks))
}

fn connected(began: Instant) -> Check {
    Check::new("connection", Verdict::Ok, format!("reached in {}", shown(began.elapsed())))
}

fn unreachable(error: &Error) -> Check {
    let check = Check::new("connection", Verdict::Failure, error.to_string());
    match error.hint() {
        Some(hint) => check.with_hint(hint),
        None => check.with_hint("check that the server runs, the port, and what is in between"),
    }
}

/// What one server says about itself.
fn about(facts: &ServerFacts) -> Vec<Check> {
    let replicas = match facts.replicas {
        1 => "1 replica".to_owned(),
        number => format!("{number} replicas"),
    };
    vec![
        Check::new("version", Verdict::Ok, format!("Redis {}", facts.version)),
        Check::new("role", Verdict::Ok, format!("primary, with {replicas}")),
        eviction(facts),
        persistence(facts),
    ]
}

fn eviction(facts: &ServerFacts) -> Check {
    let policy = &facts.eviction;
    match (facts.memory_max, facts.may_evict()) {
        (0, _) => {
            let says = format!("maxmemory is not set, so that {policy} throws nothing away");
            Check::new("eviction", Verdict::Ok, says)
        }
        (_, false) => Check::new("eviction", Verdict::Ok, format!("maxmemory-policy is {policy}")),
        (_, true) => {
            let says = format!(
                "maxmemory-policy is {policy}: locks may be thrown away while they are held"
            );
            Check::new("eviction", Verdict::Warning, says)
                .with_hint("set maxmemory-policy to noeviction")
        }
    }
}

fn persistence(facts: &ServerFacts) -> Check {
    match facts.appends {
        true => Check::new("persistence", Verdict::Ok, "appendonly is on"),
        false => {
            let says = "appendonly is off: a restart forgets who holds what";
            Check::new("persistence", Verdict::Warning, says).with_hint("set appendonly to yes")
        }
    }
}

/// What no setting excludes where another server may take over.
fn failover(options: &RedisOptions, facts: &ServerFacts) -> Check {
    if options.topology == Topology::Single && facts.replicas == 0 {
        let says = "one server: when it is down, nobody gets a lock";
        return Check::new("failover", Verdict::Ok, says);
    }
    let says = "replication is asynchronous: a failover may forget the last grants, and give a lock to a \
                second holder";
    Check::new("failover", Verdict::Warning, says)
        .with_hint("let the resource check tokens, which rise over a failover, too")
}

/// Asks for a line that nobody is in, which takes the rights that locks take.
async fn round_trip(store: &dyn Backend, options: &RedisOptions) -> Check {
    let failed = |says: &str| Check::new("scripts", Verdict::Failure, says);
    let (Some(survey), Ok(name)) = (store.survey(), Name::new("doctor")) else {
        return failed("cannot be tried");
    };
    if let Err(error) = survey.line(&name).await {
        return failed(&error.to_string())
            .with_hint("the permissions that a user needs are listed in docs/backends/redis.md");
    }
    match median(options.connect_timeout, || survey.line(&name)).await {
        Some(took) => {
            Check::new("scripts", Verdict::Ok, format!("can be run, round trip {}", shown(took)))
        }
        None => failed("get no answer"),
    }
}

fn term(options: &RedisOptions) -> Check {
    let term = humantime::format_duration(options.term);
    let says = format!("{term}: so long at most does a dead holder's lock stay taken");
    Check::new("term", Verdict::Ok, says)
}

fn clock(options: &RedisOptions) -> Check {
    let says = match options.topology {
        Topology::Quorum => {
            "the servers' clocks must run at one rate and must not leap; those of clients do not count"
        }
        _ => {
            "the server's must not leap forward, which ends every lock; those of clients do not count"
        }
    };
    Check::new("clock", Verdict::Ok, says)
}

fn access(options: &RedisOptions) -> Check {
    match options.password.is_empty() {
        false => Check::new("access", Verdict::Ok, "the server asks for a password"),
        true => {
            let says = "everybody who reaches the server may take locks away";
            Check::new("access", Verdict::Warning, says)
                .with_hint("give it a user and a password, unless the network is trusted")
        }
    }
}

fn transport(options: &RedisOptions) -> Option<Check> {
    match (options.tls.is_some(), options.password.is_empty()) {
        (true, _) => Some(Check::new("transport", Verdict::Ok, "encrypted")),
        (false, true) => None,
        (false, false) => {
            let says = "the password is sent in the clear";
            Some(
                Check::new("transport", Verdict::Warning, says)
                    .with_hint("use rediss://, with TLS"),
            )
        }
    }
}
