//! What kazoo's clients share with sneck's beyond waiting for each other: order, kinds, what is shown.

use super::{LASTING, speaking};
use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, line_of, soon, until};
use sneck::ErrorKind;
use sneck_testkit::peer::Recipe;
use sneck_testkit::{kazoo, or_skip};

on_each_kind!(
    kazoo_and_sneck_wait_for_each_other_in_order,
    readers_and_writers_of_kazoo_and_sneck_share_one_line,
    permits_of_kazoo_and_sneck_are_never_more_than_there_are,
    what_kazoo_left_is_refused_ignored_or_waited_for_as_the_url_says,
);

async fn kazoo_and_sneck_wait_for_each_other_in_order(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut first = or_skip!(kazoo::start(&servers, LASTING, "first").await);
    let mut second = or_skip!(kazoo::start(&servers, LASTING, "second").await);
    let (locks, dir) = (speaking(&site, "kazoo").await, site.dir("l"));
    first.acquire(Recipe::Lock, &dir).await;
    let ours = tokio::spawn({
        let mutex = locks.mutex("l");
        async move { mutex.lock().await }
    });
    site.line_of("l", 2).await;
    second.begin(Recipe::Lock, &dir);
    site.line_of("l", 3).await;
    let shown = first.contenders(&dir).await.join(" ");
    assert!(shown.starts_with("first ") && shown.ends_with(" second"), "{shown}");
    assert!(shown.contains(&std::process::id().to_string()), "who we are is shown: {shown}");
    assert!(!ours.is_finished());
    first.release(&dir).await;
    let guard = soon("our turn", ours).await.expect("no panic").expect("our turn");
    assert!(!second.is_held(&dir), "we are ahead");
    assert_eq!(locks.line("l").await.expect("the line").len(), 2);
    guard.unlock().await.expect("it was held");
    second.held(&dir).await;
    second.release(&dir).await;
}

async fn readers_and_writers_of_kazoo_and_sneck_share_one_line(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut first = or_skip!(kazoo::start(&servers, LASTING, "first").await);
    let mut second = or_skip!(kazoo::start(&servers, LASTING, "second").await);
    let (locks, dir) = (speaking(&site, "kazoo").await, site.dir("rw"));
    first.acquire(Recipe::Read, &dir).await;
    let reader = locks.rw_lock("rw").try_read().await.expect("an answer").expect("readers share");
    let writer = tokio::spawn({
        let lock = locks.rw_lock("rw");
        async move { lock.write().await }
    });
    site.line_of("rw", 3).await;
    second.begin(Recipe::Read, &dir);
    site.line_of("rw", 4).await;
    reader.unlock().await.expect("it was held");
    assert!(!writer.is_finished(), "kazoo reads");
    first.release(&dir).await;
    let writer = soon("our turn", writer).await.expect("no panic").expect("our turn");
    assert!(!second.is_held(&dir), "it came after our writer");
    first.begin(Recipe::Write, &dir);
    site.line_of("rw", 3).await;
    // In our own place, ahead of kazoo's writer.
    let reader = writer.downgrade().await.expect("it is held");
    second.held(&dir).await;
    second.release(&dir).await;
    assert!(!first.is_held(&dir), "we still read");
    reader.unlock().await.expect("it was held");
    first.held(&dir).await;
    assert!(locks.rw_lock("rw").try_read().await.expect("an answer").is_none());
    assert!(locks.mutex("rw").try_lock().await.expect("an answer").is_none());
    first.release(&dir).await;
}

/// kazoo takes one permit at a time, we take two of three at once, and kazoo waits for one of them.
async fn permits_of_kazoo_and_sneck_are_never_more_than_there_are(kind: Kind) {
    const ONE: Recipe = Recipe::Permits { take: 1, of: 3 };
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut first = or_skip!(kazoo::start(&servers, LASTING, "first").await);
    let mut second = or_skip!(kazoo::start(&servers, LASTING, "second").await);
    let locks = speaking(&site, "kazoo").await;
    let (dir, line) = (site.dir("s"), site.dir("s-__lock__"));
    let semaphore = locks.semaphore("s", 3);

    first.acquire(ONE, &dir).await;
    let two = semaphore.acquire_many(2).await.expect("two are free");
    assert!(semaphore.try_acquire().await.expect("an answer").is_none());
    let holders = first.holders(&dir, 3).await.join(" ");
    assert!(holders.contains("first") && holders.contains(&std::process::id().to_string()));
    second.begin(ONE, &dir);
    line_of(&site.observer, &line, 1).await;
    assert_eq!(semaphore.line().await.expect("the line").len(), 3, "two holders and kazoo");
    let names = locks.names().await.expect("names");
    assert_eq!(names.iter().map(sneck::Name::as_str).collect::<Vec<_>>(), ["s"]);
    let waiting = tokio::spawn({
        let semaphore = semaphore.clone();
        async move { semaphore.acquire_many(3).await }
    });
    line_of(&site.observer, &line, 2).await;
    assert!(!second.is_held(&dir), "all three are held");
    two.unlock().await.expect("they were held");
    second.held(&dir).await;
    first.release(&dir).await;
    assert!(!waiting.is_finished(), "kazoo has one of the three");
    second.release(&dir).await;
    let all = soon("our turn", waiting).await.expect("no panic").expect("all are free");
    assert!(!second.attempt(ONE, &dir).await, "we have all");
    all.unlock().await.expect("they were held");
    let other = locks.semaphore("s", 4).acquire().await.expect_err("there are three");
    assert_eq!(other.kind(), ErrorKind::Disagreement, "{other}");
}

async fn what_kazoo_left_is_refused_ignored_or_waited_for_as_the_url_says(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut kazoo = or_skip!(kazoo::start(&servers, LASTING, "kazoo").await);
    let dir = site.dir("l");
    kazoo.acquire(Recipe::Lock, &dir).await;
    let node = site.places("l").await.remove(0);

    let refuse = speaking(&site, "curator").await;
    let error = refuse.mutex("l").lock().await.expect_err("a stranger is there");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains(&node), "{error}");
    assert!(error.hint().unwrap_or_default().contains("dialect=kazoo"), "{error}");
    // Nothing of ours is left behind.
    until("the refused place is gone", async || site.places("l").await == [node.clone()]).await;

    let ignore = speaking(&site, "curator&foreign=ignore").await;
    let guard = ignore.mutex("l").try_lock().await.expect("an answer").expect("nobody counts");
    guard.unlock().await.expect("it was held");

    let block = speaking(&site, "curator&foreign=block").await;
    assert!(block.mutex("l").try_lock().await.expect("an answer").is_none());
    let waiting = tokio::spawn({
        let mutex = block.mutex("l");
        async move { mutex.lock().await }
    });
    site.line_of("l", 2).await;
    kazoo.release(&dir).await;
    let guard = soon("our turn", waiting).await.expect("no panic").expect("they left");
    guard.unlock().await.expect("it was held");
}
