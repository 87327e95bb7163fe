//! Leaders of Curator's and of kazoo's, and candidates of sneck's behind them, and the other way round.

use super::{LASTING, speaking};
use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, soon};
use sneck::{ErrorKind, Locks};
use sneck_testkit::peer::{Peer, Recipe};
use sneck_testkit::{curator, kazoo, or_skip};

on_each_kind!(
    a_leader_latch_and_an_election_have_one_leader,
    a_leader_selector_and_an_election_in_its_words_have_one_leader,
    an_election_of_kazoo_and_one_of_sneck_have_one_leader,
);

async fn a_leader_latch_and_an_election_have_one_leader(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut first = or_skip!(curator::start(&servers, LASTING).await);
    let mut second = or_skip!(curator::start(&servers, LASTING).await);
    let locks = speaking(&site, "curator").await;
    each_leads_in_turn(&site, &locks, Recipe::Lead, [&mut first, &mut second]).await;

    // Each sees who leads, in its own way.
    let dir = site.dir("seen");
    let leadership = locks.election("seen").campaign("http://us").await.expect("nobody leads");
    assert!(first.leader(&dir).await.contains("http://us"), "{}", first.leader(&dir).await);
    leadership.resign().await.expect("we led");
    first.acquire(Recipe::Lead, &dir).await;
    let leader = locks.election("seen").leader().await.expect("an answer").expect("Curator leads");
    assert_eq!((leader.data.as_str(), leader.caller), ("curator", None));
    first.release(&dir).await;
}

/// A `LeaderSelector` leads while it holds Curator's mutex, so it shares no line with latches.
async fn a_leader_selector_and_an_election_in_its_words_have_one_leader(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut first = or_skip!(curator::start(&servers, LASTING).await);
    let mut second = or_skip!(curator::start(&servers, LASTING).await);
    let locks = speaking(&site, "custom:_c_*-lock-").await;
    each_leads_in_turn(&site, &locks, Recipe::Select, [&mut first, &mut second]).await;

    first.acquire(Recipe::Select, &site.dir("other")).await;
    let latch = speaking(&site, "curator").await;
    let error = latch.election("other").try_campaign("us").await.expect_err("another line");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.hint().unwrap_or_default().contains("dialect=curator"), "{error:?}");
    // The mutex of that dialect is in it.
    assert!(latch.mutex("other").try_lock().await.expect("an answer").is_none());
    first.release(&site.dir("other")).await;
}

async fn an_election_of_kazoo_and_one_of_sneck_have_one_leader(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut first = or_skip!(kazoo::start(&servers, LASTING, "first").await);
    let mut second = or_skip!(kazoo::start(&servers, LASTING, "second").await);
    let locks = speaking(&site, "kazoo").await;
    each_leads_in_turn(&site, &locks, Recipe::Lead, [&mut first, &mut second]).await;
}

/// One peer leads, then we do, then the other.
async fn each_leads_in_turn(site: &Site, locks: &Locks, recipe: Recipe, peers: [&mut Peer; 2]) {
    let ([first, second], dir) = (peers, site.dir("e"));
    first.acquire(recipe, &dir).await;
    let election = locks.election("e");
    assert!(election.try_campaign("us").await.expect("an answer").is_none());
    let candidate = tokio::spawn(async move { election.campaign("us").await });
    site.line_of("e", 2).await;
    second.begin(recipe, &dir);
    site.line_of("e", 3).await;
    assert!(!candidate.is_finished() && !second.is_held(&dir), "the first leads");
    first.release(&dir).await;
    let leadership = soon("our turn", candidate).await.expect("no panic").expect("our turn");
    assert!(!second.is_held(&dir), "we lead");
    leadership.resign().await.expect("we led");
    second.held(&dir).await;
    assert!(locks.election("e").try_campaign("us").await.expect("an answer").is_none());
    second.release(&dir).await;
    site.line_of("e", 0).await;
}
