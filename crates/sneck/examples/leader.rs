//! Three replicas elect the one that does the work of all.
//!
//! `cargo run -p sneck --example leader`. Without an election, each replica that believes to be alone does
//! the work. With one, there is a leader at any time, everybody sees who, and when it resigns, or its process
//! dies, the next one leads, with a larger token.
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;

const REPLICAS: [&str; 3] = ["replica-a", "replica-b", "replica-c"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("without an election: {} replicas do the work", REPLICAS.len());

    let locks = sneck::connect("memory:").await?;
    let election = locks.election("worker");
    let mut leaders = election.observe();
    assert!(leaders.next().await?.is_none(), "nobody leads at first");

    let mut last = 0;
    for replica in REPLICAS {
        let leadership = election.campaign(replica).await?;
        let others = REPLICAS.iter().filter(|other| **other != replica);
        for other in others {
            assert!(election.try_campaign(other).await?.is_none(), "{other} does not lead too");
        }
        let leader = leaders.next().await?.ok_or("somebody leads")?;
        let token = leadership.token().get();
        println!("with an election: {leader} leads alone, token rises: {}", token > last);
        last = token;

        // It leads for as long as this says so; a leader that has lost its server stops by itself.
        leadership.protect(async { /* the work of all */ }).await?;
        leadership.resign().await?;
        assert!(leaders.next().await?.is_none(), "seen by everybody");
    }
    Ok(())
}
