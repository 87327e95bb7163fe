//! `memory:` and `embedded:DIR`: when their server begins and ends, and who shares it.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use sneck::{Error, ErrorKind, Locks, TokenScope, connect};
use sneck_server::Server;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

fn url(folder: &Path) -> String {
    format!("embedded:{}", folder.display())
}

async fn is_free(locks: &Locks, name: &str) -> bool {
    let guard = locks.mutex(name).try_lock().await.unwrap();
    match guard {
        Some(guard) => guard.unlock().await.is_ok(),
        None => false,
    }
}

/// Waits until another server could have the folder.
async fn until_released(folder: &Path) {
    let waiting = async {
        while Server::builder().data(folder).start().await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, waiting).await.expect("the server ends");
}

#[tokio::test]
async fn each_memory_is_its_own_unless_it_has_a_name() {
    let (one, other) = (connect("memory:").await.unwrap(), connect("memory:").await.unwrap());
    let _held = one.mutex("a").lock().await.unwrap();
    assert!(is_free(&other, "a").await);
    let (one, other) = (connect("memory:x").await.unwrap(), connect("memory:x").await.unwrap());
    let held = one.mutex("a").lock().await.unwrap();
    assert!(!is_free(&other, "a").await);
    assert_eq!(&*other.label(), "memory:x");
    assert_eq!(other.promises().token, TokenScope::SingleCopy);
    let elsewhere = connect("memory:y").await.unwrap();
    assert!(is_free(&elsewhere, "a").await);
    drop(held);
    let _next = timeout(SOON, other.mutex("a").lock()).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_nobody_uses_any_more_is_forgotten() {
    let locks = connect("memory:forgotten").await.unwrap();
    let token = locks.mutex("a").lock().await.unwrap().token();
    locks.close().await;
    let locks = connect("memory:forgotten").await.unwrap();
    let again = locks.mutex("a").lock().await.unwrap().token();
    assert!(again > token, "tokens go up all the same");
}

#[tokio::test]
async fn a_folder_keeps_what_is_in_it_and_closing_frees_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a/b");
    let mut last = None;
    for _ in 0..3 {
        let locks = connect(&url(&place)).await.unwrap();
        let guard = locks.mutex("a").lock().await.unwrap();
        assert!(last < Some(guard.token()));
        last = Some(guard.token());
        guard.unlock().await.unwrap();
        locks.close().await;
        // At once: closing has waited for the end of the server.
        let server = Server::builder().data(&place).start().await.unwrap();
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn one_server_for_all_of_the_process_however_the_path_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("store");
    let winding = folder.path().join("store/../store/.");
    let one = connect(&url(&plain)).await.unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&plain, &link).unwrap();
    let guard = one.mutex("a").lock().await.unwrap();
    for path in [&plain, &winding, &link] {
        let other = connect(&url(path)).await.unwrap();
        assert!(!is_free(&other, "a").await, "{path:?}");
        // Others go on when one is closed.
        other.close().await;
    }
    assert!(guard.is_held());
    guard.unlock().await.unwrap();
}

#[tokio::test]
async fn the_last_guard_keeps_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let locks = connect(&url(folder.path())).await.unwrap();
    let guard = locks.mutex("a").lock().await.unwrap();
    drop(locks);
    let other = connect(&url(folder.path())).await.unwrap();
    assert!(!is_free(&other, "a").await);
    drop(other);
    guard.unlock().await.unwrap();
    until_released(folder.path()).await;
}

#[test]
fn a_runtime_that_ends_takes_its_own_part_along_only() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let address = format!("{}?timeout=1s", url(folder.path()));
    let doomed = first.block_on(async { connect(&address).await.unwrap() });
    let guard = first.block_on(async { doomed.mutex("a").lock().await.unwrap() });
    let locks = second.block_on(async { connect(&address).await.unwrap() });
    first.shutdown_background();
    // The time of the server goes on, though the runtime that has started it is gone.
    let next = second.block_on(async { timeout(SOON, locks.mutex("a").lock()).await });
    let next = next.unwrap().unwrap();
    assert!(!guard.is_held() && next.token() > guard.token());
    drop((guard, doomed));
    second.block_on(async {
        next.unlock().await.unwrap();
        locks.close().await;
        until_released(folder.path()).await;
    });
}

#[tokio::test]
async fn what_is_dropped_while_it_starts_is_not_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    for polls in 0..20 {
        let address = url(folder.path());
        sneck_testkit::dropped_after(polls, connect(&address)).await;
        let locks = connect(&address).await.unwrap();
        assert!(is_free(&locks, "a").await);
        locks.close().await;
    }
}

async fn refused(url: &str) -> Error {
    let error = timeout(SOON, connect(url)).await.unwrap().unwrap_err();
    assert!(error.hint().is_some(), "{error}");
    error
}

#[tokio::test]
async fn folders_that_cannot_be_had() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    let server = Server::builder().data(&taken).start().await.unwrap();
    let error = refused(&url(&taken)).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let pid = std::process::id().to_string();
    assert!(error.to_string().contains("taken") && error.to_string().contains(&pid), "{error}");
    server.stop().await.unwrap();
    connect(&url(&taken)).await.unwrap().close().await;

    for (name, text, kind) in [
        ("myid", "1\n", ErrorKind::Invalid),
        ("sneck-data", "a data folder of sneck's server\nversion 99\n", ErrorKind::Refused),
        ("sneck-data", "rubbish", ErrorKind::Refused),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        let error = refused(&url(folder.path())).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), text);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was added");
    }
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    for path in [&file, &file.join("below")] {
        let error = refused(&url(path)).await;
        assert!(error.to_string().contains("file"), "{error}");
    }
    assert_eq!(refused("embedded:").await.kind(), ErrorKind::Invalid);
    assert_eq!(refused("memory:?timeout=soon").await.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn what_is_closed_is_closed() {
    let locks = connect("memory:").await.unwrap();
    let clone = locks.clone();
    locks.close().await;
    let error = timeout(SOON, clone.mutex("a").try_lock()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("closed"), "{error}");
}
