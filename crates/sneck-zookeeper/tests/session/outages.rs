//! What becomes of a session when connections and servers fail.

use crate::*;
use async_trait::async_trait;
use sneck_core::{Clock, Instant, Lease, Loss, SystemClock};
use sneck_testkit::or_skip;
use sneck_testkit::proxy::{Proxy, Then};
use sneck_testkit::zookeeper::{self, Builder, Version};
use sneck_zookeeper::wire::{EventKind, OpCode};
use sneck_zookeeper::{Connector, Duplex, Tcp};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinHandle;

on_each_version! {
    a_lost_answer_leaves_the_outcome_unknown_and_nothing_is_repeated
    what_is_asked_during_an_outage_waits_for_its_end
    a_session_that_expires_is_lost_and_its_lease_ended_before
    frames_may_come_in_pieces
}

async fn a_lost_answer_leaves_the_outcome_unknown_and_nothing_is_repeated(ensemble: &Ensemble) {
    let proxy = Proxy::start(ensemble.addr(0)).unwrap();
    let session = root(connect(options([proxy.addr()])).await).await;
    let id = session.id();
    proxy.forget_traffic();
    proxy.swallow_reply(OpCode::Create2, 1, Then::Reset);
    let created = session.create2("/a", "", CreateMode::Ephemeral, Acl::open());
    let behind = session.get_data("/");
    assert_eq!(soon(created).await, Err(RequestError::Interrupted));
    assert_eq!(soon(behind).await, Err(RequestError::Interrupted));
    let stat = soon(session.exists("/a")).await.unwrap().unwrap();
    assert_eq!((stat.ephemeral_owner, session.id()), (id, id), "it is the same session");
    assert_eq!(proxy.counts().requests(OpCode::Create2), 1);
}

async fn what_is_asked_during_an_outage_waits_for_its_end(ensemble: &Ensemble) {
    let proxy = Proxy::start(ensemble.addr(0)).unwrap();
    let session = root(connect(options([proxy.addr()])).await).await;
    proxy.refuse();
    proxy.reset_all();
    state(&session, SessionState::Suspended).await;
    let created = session.create("/a", "", CreateMode::Ephemeral, Acl::open());
    let children = session.get_children("/");
    proxy.heal();
    assert_eq!(soon(created).await.unwrap(), "/a");
    assert_eq!(soon(children).await.unwrap(), ["a"]);
}

async fn frames_may_come_in_pieces(ensemble: &Ensemble) {
    let proxy = Proxy::start(ensemble.addr(0)).unwrap();
    proxy.split_frames(true);
    let session = root(connect(options([proxy.addr()])).await).await;
    let (_, watch) = session.exists_watch("/a").await.unwrap();
    persistent(&session, "/a").await;
    assert_eq!(soon(watch).await.unwrap().kind, EventKind::Created);
    assert_eq!(session.get_children("/").await.unwrap(), ["a"]);
    soon(session.close()).await;
}

/// Notes when a lease ends.
fn end_of(lease: Lease) -> JoinHandle<(Instant, Loss)> {
    tokio::spawn(async move {
        let loss = lease.ended(&SystemClock).await;
        (SystemClock.now(), loss)
    })
}

/// Notes when another session sees that a node is gone.
async fn gone(observer: &Session, path: &str) -> JoinHandle<Instant> {
    let (stat, watch) = soon(observer.exists_watch(path)).await.unwrap();
    assert!(stat.is_some());
    tokio::spawn(async move {
        assert_eq!(watch.await.unwrap().kind, EventKind::Deleted);
        SystemClock.now()
    })
}

async fn a_session_that_expires_is_lost_and_its_lease_ended_before(ensemble: &Ensemble) {
    let observer = open_below(ensemble).await;
    let proxy = Proxy::start(ensemble.addr(0)).unwrap();
    let mut brief = options([proxy.addr()]);
    brief.timeout = Duration::from_secs(1);
    brief.chroot = format!("/session-{:x}", observer.id());
    let session = connect(brief).await;
    assert_eq!(session.timeout(), Duration::from_secs(1));
    ephemeral(&session, "/e").await;
    let (_, watch) = session.get_data_watch("/e").await.unwrap();
    let (lease_end, node_end) = (end_of(session.lease()), gone(&observer, "/e").await);
    let cut = SystemClock.now();
    proxy.blackhole();
    let (lease_end, loss) = soon(lease_end).await.unwrap();
    let node_end = soon(node_end).await.unwrap();
    assert_eq!(loss, Loss::DeadlinePassed);
    assert!(lease_end < node_end, "the lease outlived the session");
    println!(
        "black hole, session of 1 s: lease ended after {:?}, session {:?} later",
        lease_end.since(cut),
        node_end.since(lease_end)
    );
    state(&session, SessionState::Suspended).await;
    let waiting = session.get_data("/");
    proxy.reset_all();
    proxy.heal();
    assert_eq!(ended(&session).await, End::Expired);
    let over = |sent| RequestError::Over { end: End::Expired, sent };
    assert_eq!(soon(waiting).await.unwrap_err(), over(false));
    assert_eq!(session.get_data("/").await.unwrap_err(), over(false));
    assert_eq!(soon(watch).await, None);
    assert!(session.lease().loss(SystemClock.now()).is_some());
    assert!(format!("{session:?}").contains("Expired"));
}

#[tokio::test]
async fn a_session_moves_to_another_server_with_its_watches() {
    let ensemble = or_skip!(zookeeper::shared_ensemble().await);
    let proxies = [0, 1].map(|server| Proxy::start(ensemble.addr(server)).unwrap());
    let session = root(connect(options(proxies.iter().map(Proxy::addr))).await).await;
    let id = session.id();
    ephemeral(&session, "/e").await;
    let (_, data) = session.get_data_watch("/e").await.unwrap();
    let (_, exist) = session.exists_watch("/new").await.unwrap();
    let (_, child) = session.get_children_watch("/").await.unwrap();
    let lease = session.lease();

    let [from, to] = match proxies[0].sessions().len() {
        0 => [1, 0],
        _ => [0, 1],
    };
    assert_eq!(proxies[to].sessions(), []);
    proxies[from].refuse();
    proxies[from].reset_all();
    until("the other server has the session", async || {
        proxies[to].sessions().iter().any(|seen| seen.session_id == id)
    })
    .await;
    state(&session, SessionState::Connected).await;
    assert_eq!(session.id(), id);

    soon(session.set_data("/e", "x", None)).await.unwrap();
    assert_eq!(soon(data).await.unwrap().kind, EventKind::DataChanged);
    persistent(&session, "/new").await;
    assert_eq!(soon(exist).await.unwrap().kind, EventKind::Created);
    assert_eq!(soon(child).await.unwrap().kind, EventKind::ChildrenChanged);
    assert_eq!(lease.loss(SystemClock.now()), None, "it was quick enough");
    soon(session.close()).await;
}

#[tokio::test]
async fn a_session_outlives_a_killed_server() {
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let session = open(&server).await;
    let id = session.id();
    ephemeral(&session, "/e").await;
    let lease = session.lease();
    server.kill(0).await;
    state(&session, SessionState::Suspended).await;
    server.start_server(0).await;
    state(&session, SessionState::Connected).await;
    let stat = soon(session.exists("/e")).await.unwrap().unwrap();
    assert_eq!(stat.ephemeral_owner, id);
    // Whether the old lease is still good is a matter of how fast the server came back.
    println!("server restarted, session of 4 s: {:?}", lease.loss(SystemClock.now()));
    assert_eq!(session.lease().loss(SystemClock.now()), None, "it is proven again");
}

/// Connects to these addresses in turn, whatever the session asks for.
#[derive(Debug)]
struct InTurn {
    addrs: Vec<SocketAddr>,
    next: AtomicUsize,
}

#[async_trait]
impl Connector for InTurn {
    async fn connect(&self, _: &Server) -> io::Result<Box<dyn Duplex>> {
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.addrs.len();
        Tcp.connect(&server(self.addrs[at])).await
    }
}

/// The case in which an answered ping says nothing: the follower answers on behalf of a leader that
/// has not heard of the session for too long.
#[tokio::test]
async fn a_follower_cut_off_from_its_leader() {
    // Ticks as in production, so that the session's four seconds are the least the servers grant.
    let builder = Builder::new(Version::V3_9).nodes(3).tick_ms(2_000).sync_limit(5).links(true);
    let ensemble = or_skip!(builder.start().await);
    let leader = ensemble.leader().await;
    let follower = ensemble.followers().await[0];
    let other = 3 - leader - follower;
    let observer = root(connect(options([ensemble.addr(leader)])).await).await;
    let chroot = format!("/session-{:x}", observer.id());

    let proxy = Proxy::start(ensemble.addr(follower)).unwrap();
    let mut alone = options([proxy.addr()]);
    alone.chroot.clone_from(&chroot);
    let alone = connect(alone).await;
    ephemeral(&alone, "/alone").await;

    let mut with_all = options([0, 1, 2].map(|server| ensemble.addr(server)));
    let addrs = [follower, leader, other].map(|server| ensemble.addr(server)).to_vec();
    with_all.connector = Arc::new(InTurn { addrs, next: AtomicUsize::new(0) });
    with_all.chroot = chroot;
    let with_all = connect(with_all).await;
    ephemeral(&with_all, "/with-all").await;
    let kept = with_all.lease();

    let lease_end = end_of(alone.lease());
    let node_end = gone(&observer, "/alone").await;
    let replies = proxy.counts().reply_frames;
    let cut = SystemClock.now();
    ensemble.isolate(follower).await;

    let (lease_end, _) = soon(lease_end).await.unwrap();
    let pings = proxy.counts().reply_frames - replies;
    let node_end = soon(node_end).await.unwrap();
    assert!(lease_end < node_end, "the lease outlived the session");
    println!(
        "follower cut off, session of 4 s, ticks of 2 s: {pings} answers after the cut, lease ended \
         after {:?}, session {:?} later",
        lease_end.since(cut),
        node_end.since(lease_end)
    );
    // The session with all servers has moved, and was believed in all the time.
    assert_eq!(kept.loss(SystemClock.now()), None);
    state(&with_all, SessionState::Connected).await;
    assert!(soon(with_all.exists("/with-all")).await.unwrap().is_some());
    assert!(soon(observer.exists("/with-all")).await.unwrap().is_some());
    assert_eq!(kept.loss(SystemClock.now()), None);

    // Led to a server that knows, the other learns that it is over.
    proxy.retarget(ensemble.addr(leader));
    proxy.reset_all();
    assert_eq!(ended(&alone).await, End::Expired);
}

/// A leader resumes sessions by itself, so that is no proof either.
#[tokio::test]
async fn a_leader_cut_off_from_its_followers() {
    let builder = Builder::new(Version::V3_9).nodes(3).tick_ms(1_000).sync_limit(10).links(true);
    let ensemble = or_skip!(builder.start().await);
    let leader = ensemble.leader().await;
    let proxy = Proxy::start(ensemble.addr(leader)).unwrap();
    let session = connect(options([proxy.addr()])).await;
    let term = session.timeout() * 5 / 8;
    let lease_end = end_of(session.lease());
    ensemble.isolate(leader).await;
    let cut = SystemClock.now();
    proxy.forget_traffic();
    proxy.reset_all();
    until("the leader has resumed the session by itself", async || {
        proxy.sessions().iter().any(|seen| seen.session_id == session.id())
    })
    .await;
    println!("leader cut off: session resumed after {:?}", SystemClock.now().since(cut));
    let (lease_end, loss) = soon(lease_end).await.unwrap();
    assert_eq!(loss, Loss::DeadlinePassed);
    // An answer may have been on the way at the cut; nothing was proven after it.
    let slack = Duration::from_millis(500);
    assert!(lease_end.since(cut) <= term + slack, "lease ended after {:?}", lease_end.since(cut));
    println!("leader cut off, session of 4 s: lease ended after {:?}", lease_end.since(cut));
}
