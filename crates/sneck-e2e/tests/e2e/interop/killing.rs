//! A holder that is killed is followed by the other library's client once its session is over.

use super::LASTING;
use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, worker};
use sneck_testkit::peer::{Peer, Recipe};
use sneck_testkit::{curator, go, kazoo, or_skip};
use std::time::Duration;

/// The session of whoever is killed.
const SHORT: Duration = Duration::from_secs(2);

on_each_kind!(
    killing_curator_or_sneck_frees_the_lock_for_the_other,
    killing_kazoo_or_sneck_frees_the_lock_for_the_other,
    killing_go_or_sneck_frees_the_lock_for_the_other,
);

async fn killing_curator_or_sneck_frees_the_lock_for_the_other(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let first = or_skip!(curator::start(&servers, SHORT).await);
    let second = or_skip!(curator::start(&servers, LASTING).await);
    each_follows_the_other(&site, "curator", first, second).await;
}

async fn killing_kazoo_or_sneck_frees_the_lock_for_the_other(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let first = or_skip!(kazoo::start(&servers, SHORT, "first").await);
    let second = or_skip!(kazoo::start(&servers, LASTING, "second").await);
    each_follows_the_other(&site, "kazoo", first, second).await;
}

async fn killing_go_or_sneck_frees_the_lock_for_the_other(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let first = or_skip!(go::start(&servers, SHORT).await);
    let second = or_skip!(go::start(&servers, LASTING).await);
    each_follows_the_other(&site, "go", first, second).await;
}

async fn each_follows_the_other(site: &Site, dialect: &str, mut first: Peer, mut second: Peer) {
    let dir = site.dir("l");
    // Ours waits in a session that lasts, and holds another lock in one that is to end.
    let url = |timeout| format!("{}&dialect={dialect}", site.url(timeout));
    let (mut waiting, mut holding) = (worker(&url("20s")).await, worker(&url("2s")).await);
    first.acquire(Recipe::Lock, &dir).await;
    waiting.send("lock l").await;
    site.line_of("l", 2).await;
    first.kill().await;
    waiting.wait_for(&["held", "l"]).await;

    holding.ask("lock m", &["held", "m"]).await;
    second.begin(Recipe::Lock, &site.dir("m"));
    site.line_of("m", 2).await;
    holding.kill().await;
    second.held(&site.dir("m")).await;
    second.release(&site.dir("m")).await;
    second.exit().await;
}
