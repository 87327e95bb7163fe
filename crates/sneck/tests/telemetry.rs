//! What metrics and traces are told of locks.
#![cfg(all(feature = "metrics", feature = "tracing"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use sneck::{Locks, Memory, Name};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One of each end that an attempt and a hold can come to.
async fn lives() {
    let memory = Memory::new();
    let locks = Locks::on(Arc::new(memory.clone()));
    let mutex = locks.mutex("cache");
    let guard = mutex.lock().await.unwrap();
    assert!(mutex.try_lock().await.unwrap().is_none());
    mutex.lock_timeout(Duration::from_millis(5)).await.unwrap_err();
    let mut waiting = Box::pin(mutex.lock());
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("it is taken"),
        () = tokio::task::yield_now() => {}
    }
    drop(waiting);
    guard.unlock().await.unwrap();

    let guard = mutex.lock().await.unwrap();
    memory.clear(&Name::new("cache").unwrap());
    guard.lost().await;
    // A keeper that has been told, too, is one that has answered.
    guard.unlock().await.unwrap_err();
    tokio::task::yield_now().await;
}

fn value(figures: &[(String, DebugValue)], figure: &str) -> Option<f64> {
    let found = figures.iter().find(|(name, _)| name == figure)?;
    Some(match &found.1 {
        DebugValue::Counter(count) => *count as f64,
        DebugValue::Gauge(value) => value.into_inner(),
        DebugValue::Histogram(values) => values.len() as f64,
    })
}

fn figures(snapshotter: &Snapshotter) -> Vec<(String, DebugValue)> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let named = snapshot.map(|(key, _, _, value)| {
        let labels = key.key().labels().filter(|label| label.key() != "store");
        let labels: Vec<_> = labels.map(metrics::Label::value).collect();
        (format!("{} {}", key.key().name(), labels.join(" ")), value)
    });
    named.collect()
}

#[test]
fn every_end_is_counted_and_traced() {
    let (recorder, text) = (DebuggingRecorder::new(), Text::default());
    let snapshotter = recorder.snapshotter();
    let writer = text.clone();
    let traces = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // Both are this thread's only, and so are all tasks.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        tracing::subscriber::with_default(traces, || runtime.block_on(lives()));
    });

    let figures = figures(&snapshotter);
    for (figure, expected) in [
        ("sneck_attempts_total cache", 5.0),
        ("sneck_acquired_total cache", 2.0),
        ("sneck_refused_total cache taken", 1.0),
        ("sneck_refused_total cache timeout", 1.0),
        ("sneck_refused_total cache abandoned", 1.0),
        ("sneck_lost_total cache", 1.0),
        ("sneck_wait_seconds cache", 2.0),
        ("sneck_hold_seconds cache", 2.0),
        ("sneck_waiting cache", 0.0),
        ("sneck_held cache", 0.0),
        ("sneck_queue_length cache", 1.0),
    ] {
        assert_eq!(value(&figures, figure), Some(expected), "{figure}: {figures:?}");
    }
    let text = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
    for said in
        ["acquired", "taken by somebody", "waiting", "not had", "abandoned", "released", "lost"]
    {
        let line = text.lines().find(|line| line.contains(said));
        let line = line.unwrap_or_else(|| panic!("{said:?} is not in {text}"));
        assert!(line.contains("lock=cache mode=a mutex"), "{line}");
    }
    let released = text.lines().find(|line| line.contains("released")).unwrap();
    assert!(released.contains("token="), "{released}");
}
