//! Lines 19 and 21 to 25: the order in a line, and what disturbs it.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, connect, make, observer_of, remove, soon, until, url};
use sneck::zookeeper::CreateMode;
use sneck::zookeeper::wire::OpCode;
use sneck::{ErrorKind, Limits, Locks, Progress};
use sneck_testkit::or_skip;
use sneck_testkit::proxy::{Proxy, Then};
use std::time::Duration;
use tokio::sync::mpsc;

on_each_kind!(
    l19_a_place_ahead_that_is_gone_before_it_is_watched_is_no_obstacle,
    l19_a_busy_line_leaves_no_watch_behind,
    l21_new_data_in_a_node_grant_nothing_and_cost_no_place,
    l22_a_child_that_is_nobodys_place_is_refused_ignored_or_waited_for,
    l23_readers_pass_no_writer_ahead_and_wait_for_none_behind,
    l23_a_downgrade_keeps_later_writers_out_and_an_upgrade_is_refused,
    l23_a_writer_does_not_starve,
    l25_a_new_number_of_permits_wakes_those_for_whom_it_is_enough,
    l25_who_believes_in_another_number_of_permits_is_refused,
);

/// A client that relies on being woken.
async fn patient(url: &str) -> Locks {
    let mut limits = Limits::default();
    limits.recheck = Duration::from_secs(3_600);
    connect(url).await.with_limits(limits)
}

/// The request for the watch is lost, and so is the place ahead before it is repeated.
async fn l19_a_place_ahead_that_is_gone_before_it_is_watched_is_no_obstacle(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let proxy = Proxy::start(server.addr(0)).expect("a port");
    let observer = observer_of(&server).await;
    let direct = connect(&url(&server.connect_string(), "gone", "20s")).await;
    let locks = patient(&url(&proxy.addr().to_string(), "gone", "20s")).await;
    for _ in 0..5 {
        let holder = direct.mutex("l").lock().await.expect("nobody else has it");
        proxy.forget_traffic();
        let mut rule = proxy.drop_request(OpCode::GetData, 1, Then::Reset);
        // What is connected stays so, until the rule breaks it.
        proxy.refuse();
        let waiter = tokio::spawn({
            let mutex = locks.mutex("l");
            async move { mutex.lock().await }
        });
        soon("the watch to be asked for", rule.fired()).await;
        crate::stage::line_of(&observer, "/gone/l", 2).await;
        holder.unlock().await.expect("held");
        proxy.heal();
        let guard = soon("its turn", waiter).await.expect("no panic").expect("its turn comes");
        let asked = proxy.counts().requests_but_pings();
        assert!(asked < 20, "{asked} requests are more than it takes: does it spin?");
        guard.unlock().await.expect("held");
    }
    let none = async || server.metric(0, "zk_watch_count").await == 0.0;
    until("no watch is left behind", none).await;
}

async fn l19_a_busy_line_leaves_no_watch_behind(kind: Kind) {
    const WAITERS: usize = 8;
    const ROUNDS: usize = 25;
    let server = or_skip!(kind.server().start().await);
    let mut contending = Vec::new();
    let clients = [
        patient(&url(&server.connect_string(), "busy", "20s")).await,
        patient(&url(&server.connect_string(), "busy", "20s")).await,
    ];
    for waiter in 0..WAITERS {
        let mutex = clients[waiter % clients.len()].mutex("l");
        contending.push(tokio::spawn(async move {
            for round in 0..ROUNDS {
                let guard = mutex.lock().await.expect("its turn comes");
                // At once, or when others have had time to look at it.
                for _ in 0..(waiter + round) % 4 {
                    tokio::task::yield_now().await;
                }
                guard.unlock().await.expect("held");
            }
        }));
    }
    for contender in contending {
        soon("so many turns", contender).await.expect("no panic");
    }
    let none = async || server.metric(0, "zk_watch_count").await == 0.0;
    until("no watch is left behind", none).await;
}

async fn l21_new_data_in_a_node_grant_nothing_and_cost_no_place(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let (one, other) = (site.locks().await, patient(&site.url("20s")).await);
    let holder = one.mutex("l").lock().await.expect("nobody else has it");
    let waiter = tokio::spawn(async move {
        let mutex = other.mutex("l");
        mutex.lock().await
    });
    site.line_of("l", 2).await;
    let places = site.places("l").await;
    for round in 0..20 {
        let path = format!("{}/{}", site.dir("l"), places[round % 2]);
        let data = format!("note {round}");
        site.observer.set_data(&path, data, None).await.expect("it is there");
        // An answer to this client comes after what it was told before.
        assert!(one.mutex("l").try_lock().await.expect("an answer").is_none());
        assert!(holder.is_held() && !waiter.is_finished());
    }
    assert_eq!(site.places("l").await, places);
    holder.unlock().await.expect("held");
    let guard = soon("its turn", waiter).await.expect("no panic").expect("its turn comes");
    assert_eq!(site.places("l").await, places[1..]);
    guard.unlock().await.expect("held");
}

async fn l22_a_child_that_is_nobodys_place_is_refused_ignored_or_waited_for(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let url = site.url("10s");
    make(&site.observer, site.root(), CreateMode::Persistent).await;
    make(&site.observer, &site.dir("l"), CreateMode::Persistent).await;
    let stranger = site.dir("l/who-is-this");
    make(&site.observer, &stranger, CreateMode::Ephemeral).await;

    let refusing = connect(&url).await;
    for _ in 0..2 {
        let error = refusing.mutex("l").lock().await.expect_err("there is a stranger");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("\"who-is-this\""), "{error}");
        let hint = error.hint().expect("there is a remedy");
        assert!(hint.contains("foreign=ignore") && hint.contains("foreign=block"), "{hint}");
        site.line_of("l", 1).await;
    }

    let ignoring = connect(&format!("{url}&foreign=ignore")).await;
    let guard = ignoring.mutex("l").lock().await.expect("the stranger does not count");
    guard.unlock().await.expect("held");

    let blocked = connect(&format!("{url}&foreign=block")).await;
    let (told, mut standing) = mpsc::unbounded_channel();
    let mutex = blocked.mutex("l").on_progress(move |progress| {
        if let Progress::Waiting(waiting) = progress {
            let _ = told.send(waiting.ahead);
        }
    });
    let waiting = tokio::spawn(async move { mutex.lock().await });
    assert_eq!(standing.recv().await, Some(Some(1)), "behind the stranger");
    assert!(blocked.mutex("l").try_lock().await.expect("an answer").is_none());
    assert!(!waiting.is_finished());
    remove(&site.observer, &stranger).await;
    let guard = waiting.await.expect("no panic").expect("the stranger is gone");
    guard.unlock().await.expect("held");
    // Nor is the lock refused from now on.
    let guard = refusing.mutex("l").lock().await.expect("there is nobody");
    guard.unlock().await.expect("held");
}

/// Whether an attempt has come to its end, once the server has answered something that was asked later.
async fn is_done<T>(attempt: &tokio::task::JoinHandle<T>, locks: &Locks) -> bool {
    locks.line("l").await.expect("an answer");
    attempt.is_finished()
}

macro_rules! in_line {
    ($site:expr, $length:expr, $locks:expr, $how:ident) => {{
        let lock = $locks.rw_lock("l");
        let attempt = tokio::spawn(async move { lock.$how().await });
        $site.line_of("l", $length).await;
        attempt
    }};
}

async fn l23_readers_pass_no_writer_ahead_and_wait_for_none_behind(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let (one, other) = (site.locks().await, patient(&site.url("20s")).await);
    let first = one.rw_lock("l").write().await.expect("nobody else has it");
    let reader = in_line!(site, 2, other, read);
    let writer = in_line!(site, 3, other, write);
    let late = in_line!(site, 4, one, read);
    first.unlock().await.expect("held");
    let reader =
        soon("the reader", reader).await.expect("no panic").expect("a writer is behind it");
    assert!(!is_done(&writer, &other).await && !is_done(&late, &one).await);
    reader.unlock().await.expect("held");
    let writer = soon("the writer", writer).await.expect("no panic").expect("it is its turn");
    assert!(!is_done(&late, &one).await, "the writer came first");
    writer.unlock().await.expect("held");
    let late = soon("the late reader", late).await.expect("no panic").expect("it is its turn");
    late.unlock().await.expect("held");
}

async fn l23_a_downgrade_keeps_later_writers_out_and_an_upgrade_is_refused(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let (one, other) = (site.locks().await, patient(&site.url("20s")).await);
    let writer = one.rw_lock("l").write().await.expect("nobody else has it");
    let token = writer.token();
    let reader = in_line!(site, 2, other, read);
    let next = in_line!(site, 3, other, write);
    let shared = writer.downgrade().await.expect("held");
    assert_eq!(shared.token(), token, "it is no new grant");
    let reader = soon("the reader", reader).await.expect("no panic").expect("they share");
    assert!(!is_done(&next, &other).await, "two read");
    // Neither reader can become a writer while the other reads, so none waits for that.
    for reader in [&shared, &reader] {
        let refused = reader.try_upgrade().expect_err("it is refused");
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert!(refused.hint().is_some() && reader.is_held());
    }
    reader.unlock().await.expect("held");
    assert!(!is_done(&next, &other).await, "one still reads");
    shared.unlock().await.expect("held");
    let next = soon("the writer", next).await.expect("no panic").expect("it is its turn");
    assert!(next.token() > token);
    next.unlock().await.expect("held");
}

/// Readers whose holds overlap without end do not keep a writer out.
async fn l23_a_writer_does_not_starve(kind: Kind) {
    const READERS: usize = 4;
    let site = or_skip!(Site::on(kind).await);
    let locks = site.locks().await;
    let (written, stop) = tokio::sync::watch::channel(false);
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let (lock, mut stop) = (locks.rw_lock("l"), stop.clone());
        readers.push(tokio::spawn(async move {
            let mut reads = 0_u32;
            let mut held = lock.read().await.expect("its turn comes");
            while !*stop.borrow_and_update() {
                // Until the next is had, which has to wait behind a writer; then the writer's turn is
                // up to this one.
                let next = tokio::time::timeout(Duration::from_millis(20), lock.read()).await;
                held.unlock().await.expect("held");
                held = match next {
                    Ok(next) => next.expect("its turn comes"),
                    Err(_) => lock.read().await.expect("its turn comes"),
                };
                reads += 1;
            }
            held.unlock().await.expect("held");
            reads
        }));
    }
    for _ in 0..5 {
        let writer = soon("the writer", site.locks().await.rw_lock("l").write()).await;
        writer.expect("its turn comes").unlock().await.expect("held");
    }
    written.send(true).expect("they read");
    for reader in readers {
        assert!(soon("the end", reader).await.expect("no panic") > 0, "it read meanwhile");
    }
}

async fn l25_a_new_number_of_permits_wakes_those_for_whom_it_is_enough(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let (one, other) = (site.locks().await, patient(&site.url("20s")).await);
    let both = one.semaphore("s", 2).acquire_many(2).await.expect("free");
    let mut waiting = Vec::new();
    for (length, take) in [1, 2, 2].into_iter().enumerate() {
        let semaphore = other.semaphore("s", 2);
        waiting.push(tokio::spawn(async move { semaphore.acquire_many(take).await }));
        site.line_of("s/locks", length + 1).await;
    }
    one.semaphore("s", 2).set_permits(5).await.expect("it is ours to say");
    let last = waiting.pop().expect("three");
    let mut had = Vec::new();
    for waiter in waiting {
        had.push(soon("enough permits", waiter).await.expect("no panic").expect("there are five"));
    }
    site.line_of("s/leases", 5).await;
    assert!(!last.is_finished(), "all five are held");
    drop(both);
    let last = soon("enough permits", last).await.expect("no panic").expect("two came back");
    had.push(last);
    drop(had);
    site.line_of("s/leases", 0).await;
}

async fn l25_who_believes_in_another_number_of_permits_is_refused(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let (one, other) = (site.locks().await, site.locks().await);
    let held = one.semaphore("s", 2).acquire().await.expect("free");
    for number in [1, 3] {
        let error = other.semaphore("s", number).acquire().await.expect_err("there are two");
        assert_eq!(error.kind(), ErrorKind::Disagreement, "{error}");
        assert!(error.to_string().contains('2') && error.hint().is_some(), "{error}");
        assert!(site.places("s/locks").await.is_empty(), "nothing was written");
    }
    assert_eq!(other.semaphore("s", 7).permits().await.expect("reads"), Some(2));
    held.unlock().await.expect("held");
}
