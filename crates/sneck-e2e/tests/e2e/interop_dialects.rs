//! Which clients exclude each other, by the dialect that sneck speaks: with kazoo, Apache Curator and
//! go-zookeeper, on ZooKeeper and on sneck's own server.

use crate::stage::{line_of, observer, places, until, url, worker};
use sneck::zookeeper::Session;
use sneck::{ErrorKind, Guard, Locks};
use sneck_server::Running;
use sneck_testkit::kazoo::Recipe;
use sneck_testkit::zookeeper::{Builder, Ensemble, Version};
use sneck_testkit::{StartError, curator, go, kazoo, or_skip};
use std::net::SocketAddr;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(2);

/// A server to meet on.
enum Place {
    Apache(Ensemble),
    Ours(Running),
}

impl Place {
    async fn apache() -> Result<Place, StartError> {
        Builder::new(Version::V3_9).tick_ms(500).start().await.map(Place::Apache)
    }

    async fn ours() -> Result<Place, StartError> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = sneck_server::Server::builder().listen(address).start().await;
        server.map(Place::Ours).map_err(|error| StartError::Failed(error.to_string()))
    }

    fn addr(&self) -> SocketAddr {
        match self {
            Place::Apache(ensemble) => ensemble.addr(0),
            Place::Ours(running) => running.addresses()[0],
        }
    }

    fn servers(&self) -> String {
        self.addr().to_string()
    }

    async fn observer(&self) -> Session {
        observer(self.addr()).await
    }

    async fn locks(&self, root: &str, dialect: &str) -> Locks {
        let url = format!("{}&dialect={dialect}", url(&self.servers(), root, "10s"));
        sneck::connect(&url).await.expect("the server serves")
    }
}

/// What becomes of a contender while somebody else holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Waits,
    /// An error before anything is held, that says what to do.
    Refuses,
    /// Two hold the lock: the other client does not see the holder, and nothing that sneck does could
    /// make it.
    Enters,
}
use Outcome::{Enters, Refuses, Waits};

/// One who takes part in the grid.
#[allow(clippy::large_enum_variant, reason = "there are a dozen in a test")]
enum Client {
    Curator(curator::Peer),
    Kazoo(kazoo::Peer),
    Go(go::Peer),
    Sneck(Locks, Option<Guard>),
}

impl Client {
    async fn hold(&mut self, name: &str, dir: &str) {
        match self {
            Client::Curator(peer) => peer.lock(dir).await,
            Client::Kazoo(peer) => peer.acquire(Recipe::Lock, dir).await,
            Client::Go(peer) => peer.lock(dir).await,
            Client::Sneck(locks, held) => {
                *held = Some(locks.mutex(name).lock().await.expect("it is free"));
            }
        }
    }

    async fn release(&mut self, dir: &str) {
        match self {
            Client::Curator(peer) => peer.unlock(dir).await,
            Client::Kazoo(peer) => peer.release(dir).await,
            Client::Go(peer) => peer.unlock(dir).await,
            Client::Sneck(_, held) => {
                held.take().expect("it is held").unlock().await.expect("it is held");
            }
        }
    }

    /// Contends for what `holder` has, and has nothing in the end; nor has the holder.
    async fn contend(
        &mut self,
        holder: &mut Client,
        observer: &Session,
        name: &str,
        dir: &str,
    ) -> Outcome {
        match self {
            Client::Curator(peer) => {
                peer.begin_lock(dir);
                let entered = enters(observer, dir, || peer.is_held(dir)).await;
                holder.release(dir).await;
                peer.held(dir).await;
                peer.unlock(dir).await;
                if entered { Enters } else { Waits }
            }
            Client::Go(peer) => {
                peer.begin_lock(dir);
                let entered = enters(observer, dir, || peer.is_held(dir)).await;
                holder.release(dir).await;
                peer.held(dir).await;
                peer.unlock(dir).await;
                if entered { Enters } else { Waits }
            }
            Client::Kazoo(peer) => {
                let entered = peer.try_lock(dir).await;
                holder.release(dir).await;
                if entered {
                    peer.release(dir).await;
                }
                if entered { Enters } else { Waits }
            }
            Client::Sneck(locks, _) => {
                let tried = locks.mutex(name).try_lock().await;
                holder.release(dir).await;
                match tried {
                    Ok(Some(guard)) => {
                        guard.unlock().await.expect("it was held");
                        Enters
                    }
                    Ok(None) => Waits,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
                        let hint = error.hint().unwrap_or_default().to_owned();
                        assert!(hint.contains("dialect="), "{error}: {hint}");
                        Refuses
                    }
                }
            }
        }
    }
}

/// Whether a client that cannot be asked to try gets in beside a holder. It either says so, or watches the
/// place it waits for: it is left the time in which others have said so many times over.
async fn enters(observer: &Session, dir: &str, mut is_held: impl FnMut() -> bool) -> bool {
    line_of(observer, dir, 2).await;
    let said = async {
        while !is_held() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), said).await.is_ok()
}

async fn grid(place: Result<Place, StartError>) {
    let place = or_skip!(place);
    let servers = place.servers();
    let mut holders = Vec::new();
    let mut contenders = Vec::new();
    for (clients, identifier) in [(&mut holders, "holder"), (&mut contenders, "contender")] {
        let curator = or_skip!(curator::Peer::start(&servers, TIMEOUT).await);
        let kazoo = or_skip!(kazoo::Peer::start(&servers, TIMEOUT, identifier).await);
        clients.push(("Curator", Client::Curator(curator)));
        clients.push(("kazoo", Client::Kazoo(kazoo)));
        let go = or_skip!(go::Peer::start(&servers, TIMEOUT).await);
        clients.push(("go-zookeeper", Client::Go(go)));
        for dialect in ["curator", "go", "kazoo", "custom:*__lock__"] {
            clients.push((dialect, Client::Sneck(place.locks("grid", dialect).await, None)));
        }
    }
    // Columns: Curator, kazoo, go-zookeeper, and sneck with the dialects curator, go, kazoo, and a pattern of kazoo's.
    let golden = [
        ("Curator", [Waits, Enters, Waits, Waits, Waits, Refuses, Refuses]),
        ("kazoo", [Enters, Waits, Waits, Refuses, Refuses, Waits, Waits]),
        ("go-zookeeper", [Waits, Enters, Waits, Waits, Waits, Refuses, Refuses]),
        ("curator", [Waits, Enters, Waits, Waits, Waits, Refuses, Refuses]),
        ("go", [Waits, Enters, Waits, Waits, Waits, Refuses, Refuses]),
        ("kazoo", [Enters, Waits, Waits, Refuses, Refuses, Waits, Waits]),
        ("custom:*__lock__", [Enters, Waits, Waits, Refuses, Refuses, Waits, Waits]),
    ];
    let observer = place.observer().await;
    for (row, ((holder_name, holder), (of, expected))) in holders.iter_mut().zip(golden).enumerate()
    {
        assert_eq!(*holder_name, of);
        for (column, (contender_name, contender)) in contenders.iter_mut().enumerate() {
            let name = format!("l{row}-{column}");
            let dir = format!("/grid/{name}");
            holder.hold(&name, &dir).await;
            let outcome = contender.contend(holder, &observer, &name, &dir).await;
            assert_eq!(outcome, expected[column], "{holder_name} holds, {contender_name} comes");
            line_of(&observer, &dir, 0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grid_of_who_waits_for_whom_is_as_it_is_written_on_zookeeper() {
    grid(Place::apache().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grid_of_who_waits_for_whom_is_as_it_is_written_on_our_server() {
    grid(Place::ours().await).await;
}

/// kazoo's lines: order, kinds, what is shown.
async fn kazoo_line(place: Result<Place, StartError>) {
    let place = or_skip!(place);
    let servers = place.servers();
    let mut first = or_skip!(kazoo::Peer::start(&servers, TIMEOUT, "first").await);
    let mut second = or_skip!(kazoo::Peer::start(&servers, TIMEOUT, "second").await);
    let (locks, observer) = (place.locks("k", "kazoo").await, place.observer().await);

    // A mutex, each waiting for the other in turn.
    let dir = "/k/l";
    first.acquire(Recipe::Lock, dir).await;
    let ours = tokio::spawn({
        let mutex = locks.mutex("l");
        async move { mutex.lock().await }
    });
    line_of(&observer, dir, 2).await;
    second.begin(Recipe::Lock, dir);
    line_of(&observer, dir, 3).await;
    let shown = first.contenders(dir).await.join(" ");
    assert!(shown.starts_with("first ") && shown.ends_with(" second"), "{shown}");
    assert!(shown.contains(&std::process::id().to_string()), "who we are is shown: {shown}");
    assert!(!ours.is_finished());
    first.release(dir).await;
    let guard = ours.await.expect("no panic").expect("it is our turn");
    assert!(!second.is_held(dir), "we are ahead");
    assert_eq!(locks.line("l").await.expect("the line").len(), 2);
    guard.unlock().await.expect("it was held");
    second.held(dir).await;
    second.release(dir).await;

    // Readers and writers.
    let dir = "/k/rw";
    first.acquire(Recipe::Read, dir).await;
    let reader = locks.rw_lock("rw").try_read().await.expect("an answer").expect("readers share");
    let writer = tokio::spawn({
        let lock = locks.rw_lock("rw");
        async move { lock.write().await }
    });
    line_of(&observer, dir, 3).await;
    second.begin(Recipe::Read, dir);
    line_of(&observer, dir, 4).await;
    reader.unlock().await.expect("it was held");
    assert!(!writer.is_finished(), "kazoo reads");
    first.release(dir).await;
    let writer = writer.await.expect("no panic").expect("it is our turn");
    assert!(!second.is_held(dir), "it came after our writer");
    first.begin(Recipe::Write, dir);
    line_of(&observer, dir, 3).await;
    // In our own place, ahead of kazoo's writer.
    let reader = writer.downgrade().await.expect("it is held");
    second.held(dir).await;
    second.release(dir).await;
    assert!(!first.is_held(dir), "we still read");
    reader.unlock().await.expect("it was held");
    first.held(dir).await;
    assert!(locks.rw_lock("rw").try_read().await.expect("an answer").is_none());
    assert!(locks.mutex("rw").try_lock().await.expect("an answer").is_none());
    first.release(dir).await;

    // An election of kazoo's is a lock whose holder leads.
    let dir = "/k/e";
    first.acquire(Recipe::Lock, dir).await;
    let candidate = tokio::spawn({
        let election = locks.election("e");
        async move { election.campaign("us").await }
    });
    line_of(&observer, dir, 2).await;
    first.release(dir).await;
    let leadership = candidate.await.expect("no panic").expect("it is our turn");
    assert!(!second.try_lock(dir).await, "we lead");
    leadership.resign().await.expect("we led");
    assert!(second.try_lock(dir).await);
    second.release(dir).await;

    // Permits: kazoo takes one, we take two of three at once, and kazoo waits for one of them.
    let dir = "/k/s";
    first.acquire(Recipe::Semaphore(3), dir).await;
    let two = locks.semaphore("s", 3).acquire_many(2).await.expect("two are free");
    assert!(locks.semaphore("s", 3).try_acquire().await.expect("an answer").is_none());
    let holders = first.holders(dir, 3).await.join(" ");
    assert!(holders.contains("first") && holders.contains(&std::process::id().to_string()));
    second.begin(Recipe::Semaphore(3), dir);
    line_of(&observer, "/k/s-__lock__", 1).await;
    assert_eq!(locks.line("s").await.expect("the line").len(), 3, "two holders and kazoo");
    assert_eq!(
        locks.names().await.expect("names").iter().filter(|it| it.as_str() == "s").count(),
        1
    );
    let waiting = tokio::spawn({
        let semaphore = locks.semaphore("s", 3);
        async move { semaphore.acquire_many(3).await }
    });
    line_of(&observer, "/k/s-__lock__", 2).await;
    assert!(!second.is_held(dir), "all three are held");
    two.unlock().await.expect("held");
    second.held(dir).await;
    first.release(dir).await;
    assert!(!waiting.is_finished(), "kazoo has one of the three");
    second.release(dir).await;
    let all = waiting.await.expect("no panic").expect("all are free");
    assert!(!second.try_permit(dir, 3).await, "we have all");
    all.unlock().await.expect("held");
    let other = locks.semaphore("s", 4).acquire().await.expect_err("there are three");
    assert_eq!(other.kind(), ErrorKind::Disagreement, "{other}");
    // Clients of Curator's semaphores would not count these permits, nor we theirs.
    let held = locks.semaphore("s", 3).acquire().await.expect("free");
    let curator = place.locks("k", "curator").await;
    let error = curator.semaphore("s", 3).acquire().await.expect_err("kazoo's permits are there");
    assert!(error.hint().unwrap_or_default().contains("dialect=kazoo"), "{error}");
    held.unlock().await.expect("held");
    let theirs = curator.semaphore("c", 3).acquire().await.expect("free");
    let error = locks.semaphore("c", 3).acquire().await.expect_err("Curator's permits are there");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.hint().unwrap_or_default().contains("dialect=curator"), "{error}");
    theirs.unlock().await.expect("held");
}

#[tokio::test(flavor = "multi_thread")]
async fn kazoo_and_sneck_share_locks_readers_writers_and_elections_on_zookeeper() {
    kazoo_line(Place::apache().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kazoo_and_sneck_share_locks_readers_writers_and_elections_on_our_server() {
    kazoo_line(Place::ours().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_kazoo_or_sneck_frees_the_lock_for_the_other() {
    let place = or_skip!(Place::apache().await);
    let mut first = or_skip!(kazoo::Peer::start(&place.servers(), SHORT, "first").await);
    let mut second = or_skip!(kazoo::Peer::start(&place.servers(), SHORT, "second").await);
    let url = format!("{}&dialect=kazoo", url(&place.servers(), "kill", "2s"));
    let mut ours = worker(&url).await;
    let (dir, observer) = ("/kill/l", place.observer().await);

    first.acquire(Recipe::Lock, dir).await;
    ours.send("lock l").await;
    line_of(&observer, dir, 2).await;
    first.kill().await;
    ours.wait_for(&["held", "l"]).await;
    second.begin(Recipe::Lock, dir);
    line_of(&observer, dir, 2).await;
    ours.kill().await;
    second.held(dir).await;
    second.release(dir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_nodes_are_refused_ignored_or_waited_for_as_the_url_says() {
    let place = or_skip!(Place::apache().await);
    let mut kazoo = or_skip!(kazoo::Peer::start(&place.servers(), TIMEOUT, "kazoo").await);
    let observer = place.observer().await;
    let dir = "/f/l";
    kazoo.acquire(Recipe::Lock, dir).await;
    let node = places(&observer, dir).await.remove(0);

    let refuse = place.locks("f", "curator").await;
    let error = refuse.mutex("l").lock().await.expect_err("a stranger is there");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains(&node), "{error}");
    assert!(error.hint().unwrap_or_default().contains("dialect=kazoo"), "{error}");
    // Nothing of ours is left behind.
    until("the refused place is gone", async || places(&observer, dir).await == [node.clone()])
        .await;

    let ignore = place.locks("f", "curator&foreign=ignore").await;
    let guard = ignore.mutex("l").try_lock().await.expect("an answer").expect("nobody counts");
    guard.unlock().await.expect("it was held");

    let block = place.locks("f", "curator&foreign=block").await;
    assert!(block.mutex("l").try_lock().await.expect("an answer").is_none());
    let waiting = tokio::spawn({
        let mutex = block.mutex("l");
        async move { mutex.lock().await }
    });
    line_of(&observer, dir, 2).await;
    kazoo.release(dir).await;
    waiting.await.expect("no panic").expect("they left").unlock().await.expect("it was held");
}

#[tokio::test(flavor = "multi_thread")]
async fn kazoo_and_sneck_count_together_without_losing_an_update() {
    const TIMES: u32 = 500;
    let place = or_skip!(Place::apache().await);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("number");
    std::fs::write(&file, "0").expect("a temporary folder");
    let long = Duration::from_secs(20);
    let mut theirs = [
        or_skip!(kazoo::Peer::start(&place.servers(), long, "one").await),
        or_skip!(kazoo::Peer::start(&place.servers(), long, "two").await),
    ];
    let url = format!("{}&dialect=kazoo", url(&place.servers(), "count", "20s"));
    let mut ours = [worker(&url).await, worker(&url).await];
    for peer in &mut theirs {
        peer.begin_count("/count/l", &file, TIMES);
    }
    for worker in &mut ours {
        worker.send(&format!("count-plain l {} {TIMES}", file.display())).await;
    }
    for peer in &mut theirs {
        peer.counted("/count/l").await;
    }
    for worker in &mut ours {
        worker.wait_for(&["counted"]).await;
    }
    let counted = std::fs::read_to_string(&file).expect("it was written");
    assert_eq!(counted.trim(), (4 * TIMES).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn curator_go_and_sneck_count_together_without_losing_an_update() {
    const TIMES: u32 = 500;
    let place = or_skip!(Place::apache().await);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("number");
    std::fs::write(&file, "0").expect("a temporary folder");
    let (long, servers) = (Duration::from_secs(20), place.servers());
    let mut curator = or_skip!(curator::Peer::start(&servers, long).await);
    let mut go = or_skip!(go::Peer::start(&servers, long).await);
    let url = url(&servers, "count", "20s");
    // A pattern is one more client of the line, if it is that of the line.
    let mut ours = [
        worker(&format!("{url}&dialect=curator")).await,
        worker(&format!("{url}&dialect=custom:_c_*-lock-")).await,
    ];
    let dir = "/count/l";
    curator.begin_count(dir, &file, TIMES);
    go.begin_count(dir, &file, TIMES);
    for worker in &mut ours {
        worker.send(&format!("count-plain l {} {TIMES}", file.display())).await;
    }
    curator.counted(dir).await;
    go.counted(dir).await;
    for worker in &mut ours {
        worker.wait_for(&["counted"]).await;
    }
    let counted = std::fs::read_to_string(&file).expect("it was written");
    assert_eq!(counted.trim(), (4 * TIMES).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_go_or_sneck_frees_the_lock_for_the_other() {
    let place = or_skip!(Place::apache().await);
    let mut first = or_skip!(go::Peer::start(&place.servers(), SHORT).await);
    let mut second = or_skip!(go::Peer::start(&place.servers(), SHORT).await);
    let url = format!("{}&dialect=go", url(&place.servers(), "kill", "2s"));
    let mut ours = worker(&url).await;
    let (dir, observer) = ("/kill/l", place.observer().await);

    first.lock(dir).await;
    ours.send("lock l").await;
    line_of(&observer, dir, 2).await;
    first.kill().await;
    ours.wait_for(&["held", "l"]).await;
    second.begin_lock(dir);
    line_of(&observer, dir, 2).await;
    ours.kill().await;
    second.held(dir).await;
    second.unlock(dir).await;
    second.exit().await;
}
