//! Short campaigns: clean ones on both kinds of servers, and ones with a defect that has to be found.

use std::path::Path;
use std::time::Duration;

use sneck_chaos::campaign::{Campaign, Run, Trouble};
use sneck_chaos::fault::Kind;
use sneck_chaos::library::Library;
use sneck_chaos::orders::{Care, Defect, Work};
use sneck_chaos::outcome::Outcome;
use sneck_chaos::page;
use sneck_chaos::plan::Amount;
use sneck_chaos::servers::StoreKind;
use sneck_history::{Count, Latency, Property};
use sneck_testkit::skip::is_required;
use sneck_testkit::{StartError, Unavailable, or_skip};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sneck-chaos");
const FAULTS: usize = 20;

/// What takes long by its nature is left to longer runs.
fn quick(kind: &Kind) -> bool {
    let is_long = matches!(
        kind,
        Kind::RollingRestart
            | Kind::AllKilled
            | Kind::FailingDisk
            | Kind::FullDisk
            | Kind::SlowDisk
    );
    !is_long
}

fn campaign(store: StoreKind, folder: &Path) -> Campaign {
    let history = folder.join("history.jsonl");
    let program = Path::new(PROGRAM);
    let mut campaign = Campaign::new(store, 4, Amount::Faults(FAULTS), program, &history);
    campaign.kinds.retain(quick);
    campaign.clients = 4;
    campaign
}

async fn run(campaign: &Campaign) -> Result<Run, StartError> {
    campaign.run(|_, _| {}).await.map_err(|trouble| match trouble {
        Trouble::Start(error) => error,
        Trouble::Other(reason) => StartError::Failed(reason),
    })
}

/// Names the clean campaigns in `SNECK_REQUIRE`.
const CLEAN: &str = "chaos";

/// Clean campaigns run only where they are asked for: each takes a minute or more, which is too long for
/// what everybody runs all the time.
fn asked_for() -> Result<(), StartError> {
    if is_required(CLEAN) {
        return Ok(());
    }
    let reason = format!("clean campaigns are asked for by SNECK_REQUIRE={CLEAN}");
    Err(StartError::Unavailable(Unavailable { backend: CLEAN, reason }))
}

/// Twenty faults, all different, and nothing of what is demanded of locks is violated.
async fn is_clean(store: StoreKind) {
    or_skip!(asked_for());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let campaign = campaign(store, folder.path());
    let run = or_skip!(run(&campaign).await);
    if !run.report.is_clean() {
        panic!("{}\nthe history stays in {}", run.report, folder.keep().display());
    }
    assert!(run.plan.kinds().len() >= FAULTS, "{:?}", run.plan);
    assert!(run.report.count(Count::Faults) >= FAULTS as u64, "{}", run.report);
    assert!(run.missing.iter().all(|(kind, _)| kind.missing(store).is_some()), "{:?}", run.missing);
    let outcome = Outcome::new(&campaign, &run).expect("the history is there");
    let drawn = page::draw(&campaign.history, &outcome).expect("the history is whole");
    // All of it is in the page, and the page asks for nothing elsewhere.
    let links = drawn.matches("http").count() - drawn.matches("http://www.w3.org/2000/svg").count();
    let is_drawn = run.plan.kinds().keys().all(|kind| drawn.contains(&kind.name()));
    assert!(outcome.clean && links == 0 && is_drawn, "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_faults_on_zookeeper_violate_nothing() {
    is_clean(StoreKind::ZooKeeper).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_faults_on_the_embedded_server_violate_nothing() {
    is_clean(StoreKind::Embedded).await;
}

/// In a build without the feature this says so, as on a machine without a Redis.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_faults_on_redis_violate_nothing() {
    is_clean(StoreKind::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_faults_on_cassandra_violate_nothing() {
    is_clean(StoreKind::Cassandra).await;
}

/// What others' locks are driven by, with our own: a fault of each kind that there can be then.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_told_to_lock_is_judged_as_workers_are() {
    or_skip!(asked_for());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut campaign = campaign(StoreKind::Embedded, folder.path());
    campaign.library = Some(Library::Sneck);
    campaign.floors = false;
    let run = or_skip!(run(&campaign).await);
    if !run.report.is_clean() {
        panic!("{}\nthe history stays in {}", run.report, folder.keep().display());
    }
    // All that a table says something of has happened.
    let measured = [Latency::Handoff, Latency::Wakeup, Latency::Takeover];
    assert!(measured.iter().all(|latency| run.report.measured(*latency) > 0), "{}", run.report);
    assert!(run.report.count(Count::Writes) > 0, "{}", run.report);
}

/// A run in which holders are stopped for longer than their sessions, by clients that are broken so.
async fn broken(defect: Option<Defect>, care: Care, session: Duration) -> Run {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut campaign = campaign(StoreKind::Embedded, folder.path());
    (campaign.clients, campaign.lanes, campaign.session) = (2, 1, session);
    campaign.kinds = vec![Kind::HolderPaused];
    campaign.amount = Amount::Faults(3);
    campaign.work = Work::Set { care, sleep_ms: 900 };
    campaign.defect = defect;
    campaign.floors = false;
    campaign.run(|_, _| {}).await.expect("our own server needs nothing")
}

/// The lock is held by somebody else while it is still believed in: what no order of events explains.
async fn is_found(defect: Defect) {
    let run = broken(Some(defect), Care::Fence, Duration::from_secs(4)).await;
    assert!(run.report.totals.contains_key(&Property::AdvisoryExclusion), "{}", run.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ignores_the_loss_of_its_lock_is_found() {
    is_found(Defect::Deaf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_deadline_is_too_late_is_found() {
    is_found(Defect::Late).await;
}

/// What the fence is for: the same pauses lose updates without it, and none with it.
#[tokio::test(flavor = "multi_thread")]
async fn updates_are_lost_without_a_fence_and_refused_with_it() {
    let session = Duration::from_secs(2);
    let plain = broken(None, Care::None, session).await;
    assert!(plain.report.count(Count::UnfencedLostUpdates) > 0, "{}", plain.report);
    let fenced = broken(None, Care::Fence, session).await;
    assert!(fenced.report.is_clean(), "{}", fenced.report);
    assert!(fenced.report.count(Count::RefusedWrites) > 0, "{}", fenced.report);
}
