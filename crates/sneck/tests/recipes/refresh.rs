//! Single flight.

use crate::{Store, until, within};
use sneck::{ErrorKind, WorkError};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

const KEY: &str = "cache/answer";

/// A cache that all share, and how often it was filled.
#[derive(Default)]
struct Cache {
    value: Mutex<Option<u64>>,
    began: AtomicU32,
    at_it: AtomicU32,
}

impl Cache {
    fn read(&self) -> Option<u64> {
        *self.value.lock().unwrap()
    }

    /// Nobody else is at it.
    fn begin(&self) -> u32 {
        assert_eq!(self.at_it.fetch_add(1, Ordering::SeqCst), 0, "two compute");
        self.began.fetch_add(1, Ordering::SeqCst)
    }

    fn end(&self) {
        self.at_it.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) async fn one_computes_and_the_others_read(store: &Store) {
    const CLIENTS: usize = 3;
    let cache = Arc::new(Cache::default());
    let go_on = Arc::new(Semaphore::new(0));
    let mut callers = Vec::new();
    let onlooker = store.client().await;
    for _ in 0..CLIENTS {
        let locks = store.client().await;
        for _ in 0..5 {
            let (locks, cache, go_on) = (locks.clone(), cache.clone(), go_on.clone());
            callers.push(tokio::spawn(async move {
                let read = || async { Ok::<_, String>(cache.read()) };
                let compute = |token: sneck::Token| {
                    let (cache, go_on) = (&cache, &go_on);
                    async move {
                        cache.begin();
                        let _permit = go_on.acquire().await;
                        *cache.value.lock().unwrap() = Some(token.get());
                        cache.end();
                        Ok(token.get())
                    }
                };
                locks.refresh(KEY, read, compute).await
            }));
        }
    }
    until("all wait", async || onlooker.line(KEY).await.unwrap().len() == 5 * CLIENTS).await;
    go_on.add_permits(1000);
    for caller in callers {
        let value = within("a value", caller).await.unwrap().unwrap();
        assert_eq!(Some(value), cache.read());
    }
    assert_eq!(cache.began.load(Ordering::SeqCst), 1);
    until("nobody is left in line", async || onlooker.line(KEY).await.unwrap().is_empty()).await;
}

pub(crate) async fn a_failed_computation_lets_the_next_try(store: &Store) {
    let cache = Arc::new(Cache::default());
    let mut callers = Vec::new();
    for _ in 0..6 {
        let (locks, cache) = (store.client().await, cache.clone());
        callers.push(tokio::spawn(async move {
            let read = || async { Ok(cache.read()) };
            let compute = |_| {
                let cache = &cache;
                async move {
                    let attempt = cache.begin();
                    tokio::task::yield_now().await;
                    if attempt >= 2 {
                        *cache.value.lock().unwrap() = Some(42);
                    }
                    cache.end();
                    if attempt >= 2 { Ok(42) } else { Err("not yet") }
                }
            };
            locks.refresh(KEY, read, compute).await
        }));
    }
    let (mut values, mut failures) = (0, 0);
    for caller in callers {
        match within("an end", caller).await.unwrap() {
            Ok(value) => values += usize::from(value == 42),
            Err(error) => failures += usize::from(error.into_work() == Some("not yet")),
        }
    }
    assert_eq!((values, failures), (4, 2), "each failure is told to one caller only");
    assert_eq!(cache.began.load(Ordering::SeqCst), 3);
}

pub(crate) async fn a_computation_whose_lock_is_lost_is_dropped_and_one_other_takes_over(
    store: &Store,
) {
    let cache = Arc::new(Cache::default());
    let doomed = store.client().await;
    let began = Arc::new(Semaphore::new(0));
    let first = tokio::spawn({
        let (doomed, began) = (doomed.clone(), began.clone());
        async move {
            let read = || async { Ok::<_, String>(None::<u64>) };
            let compute = |_| async {
                began.add_permits(1);
                std::future::pending().await
            };
            doomed.refresh(KEY, read, compute).await
        }
    });
    let _began = within("the computation", began.acquire()).await.unwrap();
    if let Store::Memory(memory) = store {
        memory.clear(&sneck::Name::new(KEY).unwrap());
    } else {
        doomed.close().await;
    }
    match within("the loss", first).await.unwrap() {
        Err(WorkError::Lock(error)) => assert_eq!(error.kind(), ErrorKind::Lost),
        other => panic!("{other:?}"),
    }
    let mut callers = Vec::new();
    for _ in 0..4 {
        let (locks, cache) = (store.client().await, cache.clone());
        callers.push(tokio::spawn(async move {
            let read = || async { Ok::<_, String>(cache.read()) };
            let compute = |_| {
                let cache = &cache;
                async move {
                    cache.begin();
                    tokio::task::yield_now().await;
                    *cache.value.lock().unwrap() = Some(1);
                    cache.end();
                    Ok(1)
                }
            };
            locks.refresh(KEY, read, compute).await
        }));
    }
    for caller in callers {
        assert_eq!(within("a value", caller).await.unwrap().unwrap(), 1);
    }
    assert_eq!(cache.began.load(Ordering::SeqCst), 1);
}
