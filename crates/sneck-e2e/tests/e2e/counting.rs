//! Many processes count in one file while servers are killed.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{until, url, worker};
use sneck_e2e::register::Register;
use sneck_e2e::worker_process::Said;
use sneck_testkit::or_skip;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PROCESSES: usize = 8;
const TURNS: usize = 500;
/// Turns between two faults, so that each fault hits a line that works.
const TURNS_BETWEEN_FAULTS: u64 = 400;

on_each_kind!(no_update_is_lost_while_servers_are_killed_and_restarted);

async fn no_update_is_lost_while_servers_are_killed_and_restarted(kind: Kind) {
    let servers = or_skip!(kind.server().nodes(3).start().await);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("register");
    let url = url(&servers.connect_string(), "counting", "8s");
    let finished = Arc::new(AtomicUsize::new(0));
    let mut counting = Vec::new();
    for _ in 0..PROCESSES {
        let mut worker = worker(&url).await;
        worker.send(&format!("count jobs/count {} {TURNS}", file.display())).await;
        let finished = finished.clone();
        counting.push(tokio::spawn(async move {
            worker.wait_for(&["counted"]).await;
            finished.fetch_add(1, Ordering::SeqCst);
            worker.unread().to_vec()
        }));
    }

    let (register, mut kills) = (Register::at(&file), 0);
    let all_done = || finished.load(Ordering::SeqCst) == PROCESSES;
    loop {
        let goal = register.read().1 + TURNS_BETWEEN_FAULTS;
        until("more turns", async || register.read().1 >= goal || all_done()).await;
        if all_done() {
            break;
        }
        // Every second time the leader, which costs an election.
        let victim = match kills % 2 {
            0 => servers.leader().await,
            _ => kills / 2 % servers.nodes(),
        };
        servers.kill(victim).await;
        servers.start_again(victim).await;
        kills += 1;
    }

    let mut turns = Vec::new();
    let mut again = 0;
    for worker in counting {
        let said = worker.await.expect("the worker counts to the end");
        again += said.iter().filter(|said| said.words[0] == "again").count();
        turns.extend(said.into_iter().filter(|said| said.words[0] == "turn"));
    }
    println!("{} turns, {kills} servers killed, {again} attempts begun again", turns.len());
    check(turns, &register);
    assert!(kills >= 4, "the faults came while there was traffic");
}

/// Not one update is lost, and the tokens rise with the values.
fn check(mut turns: Vec<Said>, register: &Register) {
    turns.sort_by_key(|said| said.number(3));
    let values: Vec<u64> = turns.iter().map(|said| said.number(3)).collect();
    let expected: Vec<u64> = (1..=(PROCESSES * TURNS) as u64).collect();
    assert_eq!(values, expected, "each turn saw the one before");
    assert_eq!(register.read().1, expected[expected.len() - 1]);
    let tokens: Vec<u64> = turns.iter().map(|said| said.number(2)).collect();
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "tokens strictly rise");
}
