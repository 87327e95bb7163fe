//! The same stream of operations to Apache ZooKeeper and to this server: what clients see must be
//! the same, but for ids, zxids and times, and for the deviations that are listed with their reasons.
//!
//! `SNECK_DIFFERENTIAL_OPS` sets how many operations, `SNECK_DIFFERENTIAL_SEED` which ones. The long
//! form is `cargo xtask differential`; what it has shown is written down in `docs/proof`.

mod deviations;
mod floors;
mod random;
mod side;
mod steps;

use std::time::Duration;

use floors::Floors;
use side::Side;
use sneck_server::{Limits, Server};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Builder, Version};
use steps::Steps;

const OPS: usize = 3_000;
const SEED: u64 = 0x5eed;
/// Differences that are shown before giving up. One that changes the tree brings others along.
const SHOWN_MAX: usize = 12;
/// The servers do not look for nodes to reap at the same moment.
const NEVER: Duration = Duration::from_secs(86_400);
/// Sessions last for twenty of them at most.
const TICK_MS: u32 = 6_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_cannot_tell_the_servers_apart() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let ops = number("SNECK_DIFFERENTIAL_OPS").map_or(OPS, |ops| ops.try_into().unwrap());
    let seed = number("SNECK_DIFFERENTIAL_SEED").unwrap_or(SEED);

    let apache = Builder::new(Version::V3_9)
        .tick_ms(TICK_MS)
        .container_check_interval(NEVER)
        .property("zookeeper.extendedTypesEnabled", "true")
        .property(
            "zookeeper.DigestAuthenticationProvider.superDigest",
            &sneck_server::digest(b"super:test"),
        );
    let apache = or_skip!(apache.start().await);
    let ours = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .tick(Duration::from_millis(TICK_MS.into()))
        .reap_every(NEVER)
        .super_digest(sneck_server::digest(b"super:test"))
        .limits(Limits::default())
        .start()
        .await
        .unwrap();

    let mut theirs = Side::connect(apache.addr(0)).await;
    let mut mine = Side::connect(ours.addresses()[0]).await;
    let mut steps = Steps::new(seed);
    let mut differences = Vec::new();
    let mut floors = Floors::default();
    let mut allowed = std::collections::BTreeMap::new();
    for number in 0..ops {
        let step = steps.next();
        let expected = theirs.perform(&step).await;
        let seen = mine.perform(&step).await;
        steps.learn(&expected);
        floors.note(&expected);
        if expected != seen {
            match deviations::reason(&step, &expected, &seen) {
                Some(reason) => *allowed.entry(reason).or_insert(0_usize) += 1,
                None => differences
                    .push(format!("{number}: {step}\n  Apache: {expected:?}\n  ours:   {seen:?}")),
            }
        }
        if differences.len() >= SHOWN_MAX {
            break;
        }
        theirs.repair(&mut mine).await;
    }
    println!("{ops} operations from seed {seed:#x}; {floors}; allowed deviations: {allowed:#?}");
    assert!(differences.is_empty(), "seed {seed:#x}\n{}", differences.join("\n"));
    floors.check(ops);
}
