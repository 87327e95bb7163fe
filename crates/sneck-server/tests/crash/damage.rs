//! The last records of the log cut off and flipped at every byte, under a whole server.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sneck_server::log::{Folder, OpenError};
use sneck_server::{Running, Server, StartError};
use sneck_wire::Request;

use crate::client::Client;
use crate::kill::quick_folder;
use crate::witnesses::Witnesses;

const OPERATIONS: usize = 16;

/// Batches begin at multiples of it.
const BLOCK: usize = 4_096;

/// The one segment of a log that is short.
fn segment(folder: &Path) -> PathBuf {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_log = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("log.");
    let mut segments: Vec<PathBuf> = names.filter(is_log).collect();
    assert_eq!(segments.len(), 1);
    segments.remove(0)
}

async fn open(folder: &Path) -> Result<Running, StartError> {
    let folder = Folder::open(folder, SystemTime::now())?;
    Server::builder().listen(([127, 0, 0, 1], 0).into()).data_in(folder).start().await
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

async fn check(witnesses: &Arc<Witnesses>, server: &Running) -> bool {
    let (asked, address) = (Arc::clone(witnesses), server.addresses()[0]);
    tokio::task::spawn_blocking(move || asked.check(address)).await.is_ok()
}

/// Where the batches of a segment begin, and how many bytes of each mean something.
fn batches(segment: &[u8]) -> Vec<(usize, usize)> {
    let starts = (0..segment.len()).step_by(BLOCK).filter(|at| segment[*at..].starts_with(b"SNKB"));
    let length = |at: usize| {
        let field: [u8; 4] = segment[at + 56..at + 60].try_into().unwrap();
        64 + u32::from_be_bytes(field) as usize
    };
    starts.map(|at| (at, length(at))).collect()
}

/// Tries a copy of the folder with another segment. Says whether it was taken for damaged; if not,
/// everything must be there.
async fn is_refused(folder: &Path, witnesses: &Arc<Witnesses>, bytes: &[u8], what: &str) -> bool {
    let damaged = quick_folder();
    copy(folder, damaged.path());
    fs::write(segment(damaged.path()), bytes).unwrap();
    match open(damaged.path()).await {
        Ok(server) => {
            assert!(check(witnesses, &server).await, "{what} goes unnoticed");
            server.stop().await;
            false
        }
        Err(StartError::Data(error)) => {
            let OpenError::Damaged { path, offset, .. } = &error else { panic!("{what}: {error}") };
            let told = error.to_string();
            assert!(told.contains(&path.display().to_string()), "{told}");
            assert!(told.contains(&offset.to_string()), "{told}");
            // Nothing was changed by looking at it.
            assert!(fs::read(segment(damaged.path())).unwrap() == bytes, "{what}");
            true
        }
        Err(other) => panic!("{what}: {other}"),
    }
}

/// After a good end every flip and every cut is noticed, or does not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_closed_is_believed_whole_or_refused() {
    let folder = quick_folder();
    let server = open(folder.path()).await.unwrap();
    let address = server.addresses()[0];
    let witnesses = tokio::task::spawn_blocking(move || Witnesses::of(address, OPERATIONS));
    let witnesses = Arc::new(witnesses.await.unwrap());
    assert!(witnesses.are_done());
    assert!(server.stop().await.is_some());

    let whole = fs::read(segment(folder.path())).unwrap();
    let batches = batches(&whole);
    let (mut tried, mut refused) = (0, 0);
    // The last is the mark of the end, behind which nothing was lost that anybody was told of.
    let records = &batches[batches.len() - 4..batches.len() - 1];
    for (start, length) in records {
        for at in (*start..start + length).chain([start + length, start + BLOCK - 1]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            tried += 1;
            refused += usize::from(is_refused(folder.path(), &witnesses, &bytes, "a flip").await);
        }
    }
    let meaningful: usize = records.iter().map(|(_, length)| length).sum();
    assert!(refused >= meaningful, "{refused} of {tried} were noticed, {meaningful} matter");
    for (start, length) in records {
        for at in [*start, start + 1, start + 63, start + 64, start + length - 1, start + length] {
            assert!(is_refused(folder.path(), &witnesses, &whole[..at], "a cut").await);
            tried += 1;
        }
    }
    println!("{tried} ways of damage, {refused} flips refused");
}

/// A disk that gives back zeros for the end of a log has lost what it had promised to keep. That
/// cannot be told from a log that ended there; but whoever has seen more is not served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_seen_more_than_there_is_is_turned_away() {
    let folder = quick_folder();
    let server = open(folder.path()).await.unwrap();
    let address = server.addresses()[0];
    let mut client = Client::greet(address, None, 0).expect("a session");
    client.get(&Request::Sync { path: "/".into() });
    let ticket = client.ticket.clone();
    let zxid = client.zxid_seen;
    server.stop().await;
    let mut bytes = fs::read(segment(folder.path())).unwrap();
    let (first, _) = batches(&bytes)[0];
    bytes[first..].fill(0);
    fs::write(segment(folder.path()), bytes).unwrap();
    let server = open(folder.path()).await.unwrap();
    let address = server.addresses()[0];
    assert!(Client::greet(address, Some(&ticket), zxid).is_none());
    assert!(Client::greet(address, None, zxid).is_none());
    assert!(Client::greet(address, None, zxid - 1).is_some(), "it is alive");
    server.stop().await;
}
