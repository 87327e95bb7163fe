//! Records: conditions, identities, stamps and the store's time, for stores that keep any.

use super::{Case, Client, named, within};
use sneck_core::{Change, ClaimId, ErrorKind, Record, RecordKey, RecordKind, Records};
use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

fn key() -> &'static RecordKey {
    static KEY: LazyLock<RecordKey> =
        LazyLock::new(|| RecordKey { kind: RecordKind::Durable, name: named("jobs/nightly") });
    &KEY
}

fn records(client: &Client) -> Option<&dyn Records> {
    client.backend.records()
}

/// An answer, asked for until there is one.
async fn told<T, A: Future<Output = Result<T, sneck_core::Error>>>(
    what: &str,
    mut attempt: impl FnMut() -> A,
) -> T {
    loop {
        match within(what, attempt()).await {
            Ok(answer) => return answer,
            Err(error) if error.is_transient() => {}
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
}

async fn read(records: &dyn Records) -> Option<Record> {
    told("reading", || records.read(key())).await
}

async fn write(records: &dyn Records, expected: Option<ClaimId>, data: &str) -> Change<Record> {
    let id = ClaimId::random();
    told("writing", || records.write(key(), expected, id, data.as_bytes())).await
}

async fn written(records: &dyn Records, expected: Option<ClaimId>, data: &str) -> Record {
    match write(records, expected, data).await {
        Change::Done(record) => record,
        Change::Conflict(current) => panic!("a conflict with {current:?}"),
    }
}

async fn deleted(records: &dyn Records, expected: ClaimId) {
    let change = told("deleting", || records.delete(key(), expected)).await;
    assert_eq!(change, Change::Done(()));
}

pub(super) async fn a_record_is_written_on_its_condition_only(case: &Case) {
    let [one, other] = case.clients().await;
    let (Some(one), Some(other)) = (records(&one), records(&other)) else { return };
    assert_eq!(read(one).await, None);
    let first = written(one, None, "first").await;
    assert_eq!(read(other).await.as_ref(), Some(&first), "what was answered is seen by all");
    assert_eq!(&*first.data, b"first");
    // Whoever expects something else is told what there is, and changes nothing.
    assert_eq!(write(other, None, "").await, Change::Conflict(Some(first.clone())));
    let stranger = Some(ClaimId::random());
    assert_eq!(write(other, stranger, "").await, Change::Conflict(Some(first.clone())));
    let second = written(other, Some(first.id), "second").await;
    assert_eq!(write(one, Some(first.id), "").await, Change::Conflict(Some(second.clone())));
    let stale = told("deleting", || one.delete(key(), first.id)).await;
    assert_eq!(stale, Change::Conflict(Some(second.clone())));
    deleted(one, second.id).await;
    assert_eq!(read(other).await, None);
    assert_eq!(write(one, Some(second.id), "").await, Change::Conflict(None));
    deleted(other, second.id).await;
}

pub(super) async fn a_record_made_anew_is_not_the_old_one(case: &Case) {
    let [one, other] = case.clients().await;
    let (Some(one), Some(other)) = (records(&one), records(&other)) else { return };
    let old = written(one, None, "same").await;
    deleted(one, old.id).await;
    let new = written(other, None, "same").await;
    // As one who was stopped since before the deletion would.
    assert_eq!(write(one, Some(old.id), "").await, Change::Conflict(Some(new.clone())));
    let stale = told("deleting", || one.delete(key(), old.id)).await;
    assert_eq!(stale, Change::Conflict(Some(new.clone())));
    assert_eq!(read(one).await, Some(new));
}

pub(super) async fn a_write_that_is_repeated_is_applied_once(case: &Case) {
    let client = case.client().await;
    let Some(records) = records(&client) else { return };
    let id = ClaimId::random();
    let again = || records.write(key(), None, id, b"data");
    let Change::Done(first) = told("writing", again).await else { panic!("nothing was there") };
    for _ in 0..3 {
        assert_eq!(told("writing", again).await, Change::Done(first.clone()));
    }
    // Also one that nobody waited for, however far it came.
    let mut last = first;
    for polls in 0..12 {
        let (expected, id) = (Some(last.id), ClaimId::random());
        let write = || records.write(key(), expected, id, b"data");
        let _ = super::dropped_after(polls, write()).await;
        let Change::Done(record) = told("writing", write).await else {
            panic!("dropped after {polls} polls, and then a conflict")
        };
        assert_eq!(record.id, id);
        last = record;
    }
    let expected = last.id;
    for polls in 0..12 {
        let _ = super::dropped_after(polls, records.delete(key(), expected)).await;
    }
    deleted(records, expected).await;
}

pub(super) async fn stamps_rise_from_write_to_write(case: &Case) {
    let clients: [Client; 2] = case.clients().await;
    let mut last: Option<Record> = None;
    for turn in 0..12 {
        let Some(records) = records(&clients[turn % 2]) else { return };
        if turn % 4 == 3
            && let Some(record) = &last
        {
            deleted(records, record.id).await;
        }
        let expected = read(records).await.map(|record| record.id);
        let record = written(records, expected, "").await;
        if let Some(last) = &last {
            assert!(record.stamp > last.stamp, "{record:?} after {last:?}");
        }
        last = Some(record);
    }
}

pub(super) async fn a_change_of_a_record_is_told(case: &Case) {
    let [one, other] = case.clients().await;
    if records(&one).is_none() {
        return;
    }
    let watcher = other.backend.clone();
    // Comes, changes, goes, and comes anew; each is awaited while it has not happened yet, and again
    // when it has.
    let mut seen: Option<ClaimId> = None;
    for turn in 0..4 {
        let watching = tokio::spawn(watch(watcher.clone(), seen));
        let Some(records) = records(&one) else { return };
        // The watch may be set before or after: neither must lose the change.
        if turn % 2 == 0 {
            tokio::task::yield_now().await;
        }
        let before = seen;
        seen = match (turn, before) {
            (2, Some(before)) => {
                deleted(records, before).await;
                None
            }
            _ => Some(written(records, before, "").await.id),
        };
        assert!(within("the change", watching).await.is_ok(), "turn {turn}");
        assert!(
            within("the change, late", tokio::spawn(watch(watcher.clone(), before))).await.is_ok()
        );
    }
}

/// Waits, early wake-ups included, until the record is another than the one seen.
async fn watch(backend: Arc<dyn sneck_core::Backend>, seen: Option<ClaimId>) {
    let Some(records) = backend.records() else { return };
    while told("reading", || records.read(key())).await.map(|record| record.id) == seen {
        let _ = within("a change", records.changed(key(), seen)).await;
    }
}

pub(super) async fn a_record_outlives_its_writer_and_is_no_lock(case: &Case) {
    let [one, other] = case.clients().await;
    let (Some(_), Some(look)) = (records(&one), records(&other)) else { return };
    let names = ["a", "a/b", "a%2Fb", "Größe"].map(named);
    let Some(write) = records(&one) else { return };
    for name in &names {
        for kind in [RecordKind::Durable, RecordKind::Once] {
            let key = RecordKey { kind, name: name.clone() };
            let id = ClaimId::random();
            let data = format!("{key}");
            told("writing", || write.write(&key, None, id, data.as_bytes())).await;
        }
    }
    within("closing", one.backend.close()).await;
    for kind in [RecordKind::Durable, RecordKind::Once] {
        let mut expected = names.to_vec();
        expected.sort();
        assert_eq!(told("listing", || look.names(kind)).await, expected);
        for name in &names {
            let key = RecordKey { kind, name: name.clone() };
            let record = told("reading", || look.read(&key)).await;
            let data = record.map(|record| record.data);
            assert_eq!(data.as_deref(), Some(key.to_string().as_bytes()));
        }
    }
    if let Some(survey) = other.backend.survey() {
        let names = within("names", survey.names()).await;
        assert!(names.as_ref().is_ok_and(Vec::is_empty), "records are no locks: {names:?}");
    }
}

pub(super) async fn data_over_the_limit_is_refused_before_anything_is_written(case: &Case) {
    let client = case.client().await;
    let Some(records) = records(&client) else { return };
    let largest = vec![b'x'; Record::DATA_MAX];
    let id = ClaimId::random();
    let change = told("writing", || records.write(key(), None, id, &largest)).await;
    let Change::Done(record) = change else { panic!("nothing was there") };
    assert_eq!(read(records).await, Some(record.clone()));
    let larger = vec![b'x'; Record::DATA_MAX + 1];
    let refused = records.write(key(), Some(id), ClaimId::random(), &larger);
    let refused = within("refusing", refused).await;
    assert!(refused.is_err_and(|error| error.kind() == ErrorKind::Invalid));
    assert_eq!(read(records).await, Some(record));
}

pub(super) async fn the_store_tells_the_time(case: &Case) {
    let [one, other] = case.clients().await;
    let (Some(one), Some(other)) = (records(&one), records(&other)) else { return };
    let before = told("the time", || one.now()).await;
    let record = written(other, None, "").await;
    let after = told("the time", || one.now()).await;
    assert!(before <= record.written && record.written <= after, "{before:?} {record:?} {after:?}");
    // A write is dated when it was made, and not when it is read.
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(read(one).await.map(|read| read.written), Some(record.written));
}
