//! Elections, durable locks and intervals, when processes die and answers get lost.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{line_of, observer, until, url, worker};
use sneck::zookeeper::wire::OpCode;
use sneck::{End, Locks, Ran, Start};
use sneck_testkit::or_skip;
use sneck_testkit::proxy::{Proxy, Rule, Then};
use std::time::Duration;

on_each_kind!(
    a_run_whose_process_was_killed_is_not_repeated_unless_that_is_asked_for,
    a_leader_in_a_black_hole_is_told_before_another_leads,
    a_lost_answer_to_any_write_of_a_durable_lock_is_settled,
    a_lost_answer_uses_up_no_interval_and_grants_none_twice,
);

const HOUR: Duration = Duration::from_secs(3600);

async fn connect(url: &str) -> Locks {
    sneck::connect(url).await.expect("the server serves")
}

async fn a_run_whose_process_was_killed_is_not_repeated_unless_that_is_asked_for(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let url = url(&server.connect_string(), "once", "2s");
    let mut runner = worker(&url).await;
    let token = runner.ask("once job 3600", &["runs", "job"]).await.number(2);
    runner.kill().await;
    let onlooker = connect(&url).await;
    // The mutex of the job is free once the session of the dead is over.
    onlooker.mutex("job").lock().await.expect("the server serves").unlock().await.expect("ours");
    let mut other = worker(&url).await;
    other.ask("once job 3600", &["skips", "job"]).await;
    let last = onlooker.once("job", HOUR).last().await.expect("the server serves").expect("ran");
    assert_eq!((last.ended, last.token.map(sneck::Token::get)), (None, Some(token)));
    let retrying = onlooker.once("job", HOUR).retry_unfinished();
    match retrying.start().await.expect("the server serves") {
        Start::Run(run) => {
            assert!(run.token().get() > token);
            run.end(End::Done).await.expect("the server serves");
        }
        Start::Skip(skipped) => panic!("{skipped:?}"),
    }
    assert!(matches!(retrying.start().await, Ok(Start::Skip(_))));
}

async fn a_leader_in_a_black_hole_is_told_before_another_leads(kind: Kind) {
    let server = or_skip!(kind.server().tick_ms(2_000).start().await);
    let proxy = Proxy::start(server.addr(0)).expect("a port");
    let mut leader = worker(&url(&proxy.addr().to_string(), "hole", "4s")).await;
    let mut next = worker(&url(&server.connect_string(), "hole", "4s")).await;
    let observer = observer(server.addr(0)).await;
    leader.ask("campaign e first", &["leads", "e"]).await;
    next.send("campaign e second").await;
    line_of(&observer, "/hole/e", 2).await;
    proxy.blackhole();
    let leads = next.wait_for(&["leads", "e"]).await;
    let deposed = leader.wait_for(&["deposed", "e"]).await;
    assert!(deposed.at < leads.at, "two leaders: {:?} and {:?}", deposed.at, leads.at);
    println!("black hole: deposed {:?} before the next leader", leads.at.since(deposed.at));
}

/// Once carried out and not answered, once never seen by the server.
fn lost(proxy: &Proxy, round: usize, op: OpCode) -> Rule {
    match round % 2 {
        0 => proxy.swallow_reply(op, 1, Then::Reset),
        _ => proxy.drop_request(op, 1, Then::Reset),
    }
}

/// Loses the next transaction. Proofs of the session are transactions too, so now and then it is one of
/// those; there are several rounds of each kind, and the writes are far more.
async fn with_a_lost_write<T>(
    proxy: &Proxy,
    round: usize,
    work: impl Future<Output = Result<T, sneck::Error>>,
) -> T {
    let rule = lost(proxy, round, OpCode::Multi);
    let done = work.await.expect("what was lost is settled");
    assert!(rule.has_fired(), "nothing was lost");
    done
}

async fn a_lost_answer_to_any_write_of_a_durable_lock_is_settled(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let proxy = Proxy::start(server.addr(0)).expect("a port");
    let locks = connect(&url(&proxy.addr().to_string(), "lost", "20s")).await;
    let onlooker = connect(&url(&server.connect_string(), "lost", "20s")).await;
    let mut last = 0;
    for round in 0..8 {
        let mine = locks.durable("l", "a");
        let hold = with_a_lost_write(&proxy, round, mine.take()).await;
        let holder = onlooker.durable("l", "b").holder().await.expect("reads").expect("taken");
        assert_eq!((holder.owner.as_str(), holder.token), ("a", hold.token()));
        assert!(hold.token().get() > last && hold.is_held(), "not lost to its own write");
        last = hold.token().get();
        if round % 4 < 2 {
            with_a_lost_write(&proxy, round, hold.free()).await;
        } else {
            assert!(with_a_lost_write(&proxy, round, mine.force(holder.id, "a test")).await);
            hold.lost().await;
        }
        assert_eq!(onlooker.durable("l", "b").holder().await.expect("reads"), None);
    }
    let history = onlooker.durable("l", "b").history().await.expect("reads");
    assert_eq!(history.len(), 4, "each release by force is remembered once: {history:?}");
}

async fn a_lost_answer_uses_up_no_interval_and_grants_none_twice(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let proxy = Proxy::start(server.addr(0)).expect("a port");
    let locks = connect(&url(&proxy.addr().to_string(), "lost-run", "20s")).await;
    let onlooker = connect(&url(&server.connect_string(), "lost-run", "20s")).await;
    for round in 0..4 {
        let name = format!("job-{round}");
        let job = locks.once(&name, HOUR);
        let run = match with_a_lost_write(&proxy, round, job.start()).await {
            Start::Run(run) => run,
            Start::Skip(skipped) => panic!("it never ran: {skipped:?}"),
        };
        let other = onlooker.once(&name, HOUR).run(|_| async { Ok::<_, sneck::Error>(()) }).await;
        assert!(matches!(other, Ok(Ran::Skipped(_))), "{other:?}");
        with_a_lost_write(&proxy, round, run.end(End::Done)).await;
        let last = onlooker.once(&name, HOUR).last().await.expect("reads").expect("it ran");
        assert!(last.is_done());
        // The time that is asked for is a write too.
        let rule = lost(&proxy, round, OpCode::SetData);
        assert!(matches!(job.start().await, Ok(Start::Skip(_))));
        assert!(rule.has_fired());
    }
    until("nobody holds a job's mutex", async || {
        onlooker.names().await.is_ok_and(|names| names.is_empty())
    })
    .await;
}
