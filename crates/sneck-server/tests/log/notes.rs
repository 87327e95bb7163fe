//! The simplest state: every entry of the log, in order.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sneck_server::log::{Folder, Log, LogOptions, OpenError, ReplayError};
use sneck_server::snapshot::{Image, NodeRecord, Replica, restore};
use sneck_wire::Acl;

/// When all simulated folders begin.
pub(crate) const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// All entries after the floor, whose zxids have no gaps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) floor: i64,
    pub(crate) payloads: Vec<Bytes>,
}

/// Segments so small that a few entries fill one.
pub(crate) fn small() -> LogOptions {
    LogOptions {
        first_segment_bytes: 16 << 10,
        segment_bytes: 256 << 10,
        nonce: 0x5eed,
        ..LogOptions::default()
    }
}

/// What entry `number` holds; some need more than a block.
pub(crate) fn payload(number: i64) -> Vec<u8> {
    let length = match number % 7 {
        0 => 6_000,
        3 => 0,
        _ => 100 + usize::try_from(number % 50).unwrap(),
    };
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(8 + length, u8::try_from(number % 251).unwrap());
    payload
}

impl Replica for Notes {
    fn restore(image: Option<Image>, floor: i64) -> Result<Notes, ReplayError> {
        let Some(image) = image else { return Ok(Notes { floor, payloads: Vec::new() }) };
        let payloads = image.nodes.into_iter().skip(1).map(|node| node.data.unwrap()).collect();
        let notes = Notes { floor, payloads };
        match notes.zxid() == image.zxid {
            true => Ok(notes),
            false => Err("the snapshot has not as many notes as its zxid says".into()),
        }
    }

    fn replay(&mut self, zxid: i64, payload: &[u8]) -> Result<(), ReplayError> {
        if zxid != self.zxid() + 1 {
            return Err(format!("{zxid:#x} after {:#x}", self.zxid()).into());
        }
        self.payloads.push(Bytes::copy_from_slice(payload));
        Ok(())
    }

    fn into_image(self) -> Image {
        let acl: Arc<[Acl]> = Acl::open().into();
        let node = |path: String, zxid: i64, data: Option<Bytes>| NodeRecord {
            path,
            data,
            acl: Arc::clone(&acl),
            czxid: zxid,
            mzxid: zxid,
            ctime: 0,
            mtime: 0,
            version: 0,
            creates: 0,
            aversion: 0,
            owner: 0,
            pzxid: zxid,
        };
        let mut nodes = vec![node("/".to_owned(), 0, None)];
        for (zxid, payload) in (self.floor + 1..).zip(self.payloads) {
            nodes.push(node(format!("/{zxid:016x}"), zxid, Some(payload)));
        }
        Image { zxid: 0, sessions: Vec::new(), nodes }
    }
}

impl Notes {
    pub(crate) fn zxid(&self) -> i64 {
        self.floor + i64::try_from(self.payloads.len()).unwrap()
    }

    /// How many there are, if each is what it should be.
    pub(crate) fn checked(&self) -> i64 {
        for (number, found) in (1..).zip(&self.payloads) {
            assert_eq!(found[..], payload(number)[..], "entry {number}");
        }
        i64::try_from(self.payloads.len()).unwrap()
    }
}

/// Reads a folder and lets its log go on.
pub(crate) fn start(folder: &Folder, options: &LogOptions) -> Result<(Notes, Log), OpenError> {
    let restored = restore::<Notes>(folder)?;
    assert_eq!(restored.recovery.zxid, restored.replica.zxid());
    Ok((restored.replica, restored.recovery.start(options, |_| {})?))
}

/// Reads a folder, and says how many entries it has. The log is neither written to nor closed.
pub(crate) fn count(folder: &Folder) -> Result<i64, OpenError> {
    let restored = restore::<Notes>(folder)?;
    assert_eq!(restored.recovery.zxid, restored.replica.zxid());
    Ok(restored.replica.checked())
}

/// Appends entry `number` and waits until it is durable.
pub(crate) fn write(log: &Log, floor: i64, number: i64) -> Result<(), Box<dyn std::error::Error>> {
    log.append(floor + number, &payload(number))?;
    let durable = log.durable();
    assert!(durable.wait_for(floor + number, Duration::from_secs(60))?, "the log hangs");
    Ok(())
}
