//! Fencing tokens.

use super::{Case, Client, held, leave, until_held, waiting};
use sneck_core::Claim;

pub(super) async fn tokens_rise_from_grant_to_grant(case: &Case) {
    let clients: [Client; 3] = case.clients().await;
    let promises = clients[0].promises();
    let mut last = None;
    // From an empty line to an empty line, once also without anything the store had kept for it.
    for round in 0..9 {
        if round == 4 {
            clients[0].until_in_line(0, "after each release").await;
            case.clear().await;
        }
        let mut claim = clients[round % 3].claim();
        let token = held(&mut claim).await.token;
        assert!(Some(token) > last, "{token} after {last:?}");
        last = Some(token);
        leave(&mut claim).await;
    }
    // From hand to hand.
    let mut line: Vec<Box<dyn Claim>> = clients.iter().map(Client::claim).collect();
    for claim in &mut line {
        super::ask(claim).await;
    }
    for mut claim in line {
        let token = until_held(&mut claim, promises).await.token;
        assert!(Some(token) > last, "{token} after {last:?}");
        last = Some(token);
        leave(&mut claim).await;
    }
}

pub(super) async fn a_token_is_for_life(case: &Case) {
    let [one, other] = case.clients().await;
    let mut holder = one.claim();
    let token = held(&mut holder).await.token;
    for _ in 0..3 {
        let mut waiter = other.claim();
        waiting(&mut waiter).await;
        assert_eq!(held(&mut holder).await.token, token);
        leave(&mut waiter).await;
        assert_eq!(held(&mut holder).await.token, token);
    }
    leave(&mut holder).await;
}
