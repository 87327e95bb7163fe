//! Four processes of four clients each add one to a number five hundred times, and none is lost.

use super::LASTING;
use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, until, worker};
use sneck_e2e::worker_process::Worker;
use sneck_testkit::peer::Peer;
use sneck_testkit::{curator, go, kazoo, or_skip};
use std::path::Path;

const TIMES: u32 = 500;

on_each_kind!(
    kazoo_and_sneck_count_together_without_losing_an_update,
    curator_go_and_sneck_count_together_without_losing_an_update,
);

async fn kazoo_and_sneck_count_together_without_losing_an_update(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let theirs = [
        or_skip!(kazoo::start(&servers, LASTING, "one").await),
        or_skip!(kazoo::start(&servers, LASTING, "two").await),
    ];
    let url = format!("{}&dialect=kazoo", site.url("20s"));
    count(&site, theirs, [worker(&url).await, worker(&url).await]).await;
}

async fn curator_go_and_sneck_count_together_without_losing_an_update(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let theirs = [
        or_skip!(curator::start(&servers, LASTING).await),
        or_skip!(go::start(&servers, LASTING).await),
    ];
    let url = site.url("20s");
    // A pattern is one more client of the line, if it is that of the line.
    let ours = ["curator", "custom:_c_*-lock-"].map(|dialect| format!("{url}&dialect={dialect}"));
    count(&site, theirs, [worker(&ours[0]).await, worker(&ours[1]).await]).await;
}

async fn count(site: &Site, mut theirs: [Peer; 2], mut ours: [Worker; 2]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, dir) = (folder.path().join("number"), site.dir("l"));
    std::fs::write(&file, "0").expect("a temporary folder");
    for peer in &mut theirs {
        peer.begin_count(&dir, &file, TIMES);
    }
    for worker in &mut ours {
        worker.send(&format!("count-plain l {} {TIMES}", file.display())).await;
    }
    // A number that stands still is a failure; on a busy machine it may take its time.
    let (goal, mut seen) = (4 * TIMES, 0);
    while seen < goal {
        let more = format!("more than {seen} of {goal}: somebody is stuck, or an update was lost");
        let last = seen;
        until(&more, async || {
            seen = number_in(&file).max(last);
            seen > last
        })
        .await;
    }
    for peer in &mut theirs {
        peer.counted(&dir).await;
    }
    for worker in &mut ours {
        worker.wait_for(&["counted"]).await;
    }
    assert_eq!(number_in(&file), goal);
}

/// The number as far as it can be read: whoever counts may be about to write it.
fn number_in(file: &Path) -> u32 {
    std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
