//! Electing a leader.

use crate::{Store, given_up, until, within};
use sneck::{Election, ErrorKind};
use std::time::Duration;

const NAME: &str = "scheduler";

async fn candidates(election: &Election) -> Vec<String> {
    election.candidates().await.unwrap().into_iter().map(|candidate| candidate.data).collect()
}

pub(crate) async fn every_change_of_leader_is_told(store: &Store) {
    let (one, other, onlooker) = (store.client().await, store.client().await, store.client().await);
    let mut leaders = onlooker.election(NAME).observe();
    assert_eq!(within("nobody", leaders.next()).await.unwrap(), None);
    let election = onlooker.election(NAME);
    let mut last = None;
    for round in 0..4 {
        let first = within("the election", one.election(NAME).campaign("first: \"1\"")).await;
        let first = first.unwrap();
        let leader = within("a leader", leaders.next()).await.unwrap().unwrap();
        assert_eq!((leader.data.as_str(), leader.token), ("first: \"1\"", Some(first.token())));
        assert!(leader.token > last, "tokens rise");
        let other = other.clone();
        let second = tokio::spawn(async move { other.election(NAME).campaign("second").await });
        until("two candidates", async || candidates(&election).await.len() == 2).await;
        assert_eq!(candidates(&election).await, ["first: \"1\"", "second"]);
        within("resigning", first.resign()).await.unwrap();
        let leader = within("the next leader", leaders.next()).await.unwrap().unwrap();
        let second = within("the election", second).await.unwrap().unwrap();
        assert_eq!((leader.data.as_str(), leader.token), ("second", Some(second.token())));
        assert_eq!(election.leader().await.unwrap(), Some(leader));
        last = Some(second.token());
        match round % 2 {
            0 => drop(second),
            _ => within("resigning", second.resign()).await.unwrap(),
        }
        assert_eq!(within("nobody", leaders.next()).await.unwrap(), None);
    }
}

pub(crate) async fn a_deposed_leader_is_told_before_another_leads(store: &Store) {
    let (one, other) = (store.client().await, store.client().await);
    let leadership = within("the election", one.election(NAME).campaign("a")).await.unwrap();
    let next = tokio::spawn(async move {
        let next = other.election(NAME).campaign("b").await;
        (other, next)
    });
    let work = leadership.protect(std::future::pending::<()>());
    let (work, ()) = tokio::join!(work, one.close());
    assert_eq!(work.unwrap_err().kind(), ErrorKind::Lost);
    assert!(!leadership.is_held() && leadership.remaining().is_zero());
    within("the loss", leadership.lost()).await;
    if let Store::Url(_) = store {
        let (_locks, next) = within("the next leader", next).await.unwrap();
        assert!(next.unwrap().token() > leadership.token());
    } else {
        // All clients of a store in memory are closed together.
        let (_locks, next) = within("the next candidate", next).await.unwrap();
        assert!(next.is_ok_and(|next| next.is_held()) || !leadership.is_held());
    }
}

pub(crate) async fn a_time_out_names_the_leader_and_a_dropped_candidate_withdraws(store: &Store) {
    let (one, other) = (store.client().await, store.client().await);
    let _leadership = within("the election", one.election(NAME).campaign("a")).await.unwrap();
    let election = other.election(NAME);
    // Long enough for an answer, and so for the leader's name, on any machine.
    let patience = match store {
        Store::Memory(_) => Duration::from_millis(20),
        Store::Url(_) => Duration::from_secs(3),
    };
    let error = within("a time-out", election.campaign_timeout("b", patience));
    let error = error.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.holder().is_some_and(|leader| leader.text.contains("note=a")), "{error:?}");
    assert!(within("trying", election.try_campaign("b")).await.unwrap().is_none());
    for polls in 0..20 {
        assert!(given_up(polls, election.campaign("b")).await.is_none());
    }
    until("all have withdrawn", async || candidates(&election).await == ["a"]).await;
}

pub(crate) async fn data_that_do_not_fit_are_refused_before_anything_is_written(store: &Store) {
    let locks = store.client().await;
    let election = locks.election(NAME);
    for data in ["a\nb", &"x".repeat(Election::DATA_MAX + 1)] {
        let error = election.campaign(data).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert_eq!(locks.election("a//b").campaign("").await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(
        locks.election("a//b").observe().next().await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(election.leader().await.unwrap(), None);
}
