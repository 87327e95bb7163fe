//! Keeping places in line: one task for each client, whatever the number of its locks.

use crate::keys::Bucket;
use crate::place::{Hold, Place};
use crate::reply::Renewed;
use crate::store::Store;
use futures_util::future::join_all;
use sneck_core::{Error, Instant, Loss};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The most places that one call renews: the server does nothing else meanwhile.
const BATCH_MAX: usize = 64;
/// The most calls on their way at once.
const CALLS_MAX: usize = 32;

/// Renews all places of a client for as long as the client is there, each third of the term, and at once
/// when the connection is another one.
pub(crate) async fn keep(store: Weak<Store>) {
    let mut well = true;
    loop {
        let Some((places, term)) =
            store.upgrade().map(|store| (store.places.clone(), store.options.term))
        else {
            return;
        };
        // What failed is tried again soon: two thirds of the term are left, and no more.
        let pause = if well { term / 3 } else { (term / 20).max(Duration::from_millis(10)) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = places.urgent.notified() => {}
        }
        let Some(store) = store.upgrade() else { return };
        if store.places.is_closed() {
            return;
        }
        well = renew(&store).await.is_ok();
        if !well {
            // An urgent call that failed is no reason to spin.
            drop(store);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn renew(store: &Store) -> Result<(), Error> {
    let mut buckets: BTreeMap<Bucket, Vec<(Arc<Place>, String)>> = BTreeMap::new();
    for place in store.places.all() {
        let token = match &*place.hold() {
            Hold::Waiting => "0".to_owned(),
            Hold::Held(token, _) => token.to_string(),
            Hold::Outside | Hold::Over(_) => continue,
        };
        buckets.entry(place.bucket).or_default().push((place.clone(), token));
    }
    let batches: Vec<_> = buckets
        .iter()
        .flat_map(|(bucket, places)| places.chunks(BATCH_MAX).map(move |batch| (*bucket, batch)))
        .collect();
    let mut done = Ok(());
    for calls in batches.chunks(CALLS_MAX) {
        let calls = calls.iter().map(|(bucket, batch)| renew_batch(store, *bucket, batch));
        // One that fails keeps none of the others from being renewed.
        done = join_all(calls).await.into_iter().fold(done, Result::and);
    }
    done
}

/// Renews places of one bucket by one call.
async fn renew_batch(
    store: &Store,
    bucket: Bucket,
    batch: &[(Arc<Place>, String)],
) -> Result<(), Error> {
    let asked = store.options.clock.now();
    let places: Vec<(&Place, &str)> =
        batch.iter().map(|(place, token)| (&**place, token.as_str())).collect();
    for ((place, token), renewed) in batch.iter().zip(store.renew(bucket, &places).await?) {
        settle(store, place, token, renewed, asked);
    }
    Ok(())
}

/// Notes what became of a place that was asked about as the holder of this token, or as a waiter.
fn settle(store: &Store, place: &Place, token: &str, renewed: Renewed, asked: Instant) {
    let now = store.options.clock.now();
    let as_before = match &*place.hold() {
        Hold::Waiting => token == "0",
        Hold::Held(held, lease) => {
            let as_before = held.to_string() == token;
            if as_before && matches!(renewed, Renewed::Held | Renewed::AskedBack) {
                lease.extend(now, asked + store.options.validity());
            }
            as_before
        }
        Hold::Outside | Hold::Over(_) => false,
    };
    match renewed {
        // A place that has become another one meanwhile was not asked about.
        _ if !as_before => {}
        Renewed::Held => {}
        Renewed::AskedBack if place.told.swap(true, Ordering::AcqRel) => {}
        Renewed::AskedBack => place.wake(),
        Renewed::Waiting(wait) => place.set_look_again(now + wait + Duration::from_millis(10)),
        Renewed::Turn => place.wake(),
        // Where a waiter is gone, its next question says so.
        Renewed::Gone if token == "0" => place.wake(),
        Renewed::Gone => place.end(Loss::Removed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::RedisOptions;
    use crate::reply::Said;
    use sneck_core::{Caller, ClaimId, Mode, Name, Request, Token};
    use sneck_testkit::{or_skip, redis::shared};

    /// Two connections that share nothing but the server.
    async fn stores(url: &str) -> [Store; 2] {
        let mut options = RedisOptions::parse(url).unwrap();
        options.prefix = format!("renewal-{}", ClaimId::random());
        let stores = [Store::new(options.clone(), None), Store::new(options, None)];
        for store in &stores {
            store.open().await.unwrap();
        }
        stores
    }

    fn place(store: &Store) -> Place {
        let name = Name::new("raced/for").unwrap();
        let request = Request::new(name, Mode::Exclusive, Caller::anonymous());
        Place::new(&store.options.prefix, request)
    }

    /// Asks for a free lock.
    async fn granted(store: &Store, place: &Place) -> Token {
        let not_after_ms = store.server_now_ms(place.bucket) + store.answer_ms();
        let answer = store.ask(place, false, not_after_ms).await.unwrap();
        let Said::Held { token, .. } = answer.said else { panic!("{answer:?}") };
        token
    }

    #[tokio::test]
    async fn a_renewal_under_another_token_is_none() {
        let servers = or_skip!(shared().await);
        let [store, _] = stores(&servers.url()).await;
        let place = place(&store);
        let token = granted(&store, &place).await.to_string();
        let renew = async |token: &str| store.renew(place.bucket, &[(&place, token)]).await;
        assert_eq!(renew(&token).await.unwrap(), [Renewed::Held]);
        // As that of a larger number with the same beginning, and of one that is a part of it.
        for other in [format!("{token}0"), token[..token.len() - 1].to_owned()] {
            assert_eq!(renew(&other).await.unwrap(), [Renewed::Gone], "{other} for {token}");
        }
    }

    /// A9: a renewal that meets the release of its place, in whatever order.
    #[tokio::test]
    async fn a9_a_renewal_never_revives_a_released_lock() {
        const RACES: usize = 10_000;
        let servers = or_skip!(shared().await);
        let [releasing, renewing] = stores(&servers.url()).await;
        let mut renewed_first = 0;
        for _ in 0..RACES {
            let place = place(&releasing);
            let token = granted(&releasing, &place).await.to_string();
            // On connections of their own, so that the server sees them in either order.
            let batch = [(&place, token.as_str())];
            let (left, renewed) =
                tokio::join!(releasing.leave(&place, 0), renewing.renew(place.bucket, &batch));
            assert!(left.unwrap(), "it was there");
            renewed_first += usize::from(renewed.unwrap() == [Renewed::Held]);
            assert_eq!(renewing.renew(place.bucket, &batch).await.unwrap(), [Renewed::Gone]);
        }
        assert!(renewing.line(&place(&renewing).request.name).await.unwrap().is_empty());
        assert!(renewed_first < RACES, "the release came first now and then");
    }
}
