//! What is written is read back, and what is not a snapshot is refused.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use sneck_server::snapshot::{
    BadSnapshot, Image, InvalidImage, NodeRecord, SessionRecord, WriteError, read, write,
};
use sneck_wire::{Acl, Id, Permissions};

pub(crate) fn node(path: &str) -> NodeRecord {
    NodeRecord {
        path: path.to_owned(),
        data: Some(Bytes::from_static(b"data")),
        acl: Acl::open().into(),
        czxid: 1,
        mzxid: 2,
        ctime: 3,
        mtime: 4,
        version: 5,
        creates: 6,
        aversion: 7,
        owner: 0,
        pzxid: 8,
    }
}

fn written(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(image, &mut bytes).unwrap();
    bytes
}

fn sample() -> Image {
    let digest = Acl::new(Permissions::ALL, Id::new("digest", "u:hash"));
    let nodes = vec![
        node("/"),
        NodeRecord { data: None, owner: 0x77, ..node("/a") },
        NodeRecord { acl: vec![digest.clone()].into(), ..node("/a/b") },
        NodeRecord { acl: vec![digest].into(), version: -1, ..node("/c") },
    ];
    Image { zxid: 9, sessions: vec![SessionRecord { id: 0x77, timeout_ms: 4_000 }], nodes }
}

#[test]
fn the_bytes_are_apaches() {
    let image = Image {
        zxid: 1,
        sessions: vec![SessionRecord { id: 0x0102, timeout_ms: 10 }],
        nodes: vec![NodeRecord { data: None, acl: Acl::read_only().into(), ..node("/") }],
    };
    let expected = [
        &b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        b"\0\0\0\x01\0\0\0\0\0\0\x01\x02\0\0\0\x0a",
        b"\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x05world\0\0\0\x06anyone",
        b"\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\x01",
        b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04",
        b"\0\0\0\x05\0\0\0\x06\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08",
        b"\0\0\0\x01/",
    ]
    .concat();
    let bytes = written(&image);
    assert_eq!(bytes[..expected.len()], expected[..]);
    assert_eq!(bytes.len(), expected.len() + 8 + 5);
    assert!(bytes.ends_with(b"\0\0\0\x01/"));
}

#[test]
fn each_flipped_or_missing_byte_is_noticed() {
    let image = sample();
    let bytes = written(&image);
    assert_eq!(read(9, &bytes[..]).unwrap(), image);
    // The number of the database is summed up, too.
    for at in 0..bytes.len() {
        for bit in [0x01, 0x80] {
            let mut flipped = bytes.clone();
            flipped[at] ^= bit;
            assert!(read(9, &flipped[..]).is_err(), "byte {at}");
        }
        assert!(read(9, &bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn what_newer_releases_append_is_passed_over() {
    let mut bytes = written(&sample());
    bytes.extend([0xff; 40]);
    assert_eq!(read(9, &bytes[..]).unwrap(), sample());
}

#[test]
fn announced_lengths_are_not_believed() {
    // Each of these announces gigabytes and has none.
    let start = b"ZKSN\0\0\0\x02\0\0\0\0\0\0\0\0";
    let cases: [&[u8]; 5] = [
        b"\x7f\xff\xff\xff",
        b"\0\0\0\0\x7f\xff\xff\xff",
        b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\x7f\xff\xff\xff",
        b"\0\0\0\0\0\0\0\0\x7f\xff\xff\xff",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\x00\xff\xff\xff",
    ];
    for case in cases {
        let bytes = [start, case].concat();
        let error = read(1, &bytes[..]).unwrap_err();
        let refused = matches!(error, BadSnapshot::Truncated | BadSnapshot::Invalid { .. });
        assert!(refused, "{error:?}");
    }
    assert!(matches!(read(1, &b"ZKLG\0\0\0\x02"[..]), Err(BadSnapshot::NotASnapshot)));
    assert!(matches!(read(1, &b"ZKSN\0\0\0\x03"[..]), Err(BadSnapshot::NotASnapshot)));
}

#[test]
fn what_is_no_tree_is_not_written() {
    let image = |paths: &[&str]| Image {
        nodes: paths.iter().map(|path| node(path)).collect(),
        ..Image::default()
    };
    let written = |paths: &[&str]| write(&image(paths), Vec::new());
    assert!(matches!(written(&[]), Err(WriteError::Invalid(InvalidImage::Empty))));
    for paths in [&["/a"][..], &["/", "/a/b"], &["/", "/a", "/b", "/a/c"], &["/", ""], &["/", "a"]]
    {
        let error = written(paths).unwrap_err();
        assert!(matches!(error, WriteError::Invalid(InvalidImage::OutOfOrder { .. })), "{error:?}");
    }
}

#[test]
fn a_full_disk_is_reported() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut image = sample();
    image.nodes[3].data = Some(vec![7; 300_000].into());
    for room in [0, 100, 299_999] {
        let error = write(&image, Full(room)).unwrap_err();
        assert!(matches!(error, WriteError::Io(_)), "{error:?}");
    }
}

prop_compose! {
    fn any_node()(
        data in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)),
        lists in 0..4_i32,
        (czxid, mzxid, ctime, mtime, owner, pzxid) in
            (any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>()),
        (version, creates, aversion) in (any::<i32>(), any::<i32>(), any::<i32>()),
    ) -> NodeRecord {
        let acl: Arc<[Acl]> = match lists {
            0 => Acl::open().into(),
            n => (0..n).map(|n| Acl::new(Permissions::from_bits(n), Id::new("digest", format!("é{n}")))).collect(),
        };
        let data = data.map(Bytes::from);
        NodeRecord {
            path: String::new(), data, acl, czxid, mzxid, ctime, mtime, version, creates, aversion, owner, pzxid,
        }
    }
}

proptest! {
    #[test]
    fn images_are_read_back(
        sessions in prop::collection::vec((any::<i64>(), any::<i32>()), 0..5),
        nodes in prop::collection::vec((any_node(), any::<prop::sample::Index>(), "[a-z-]{1,3}"), 0..30),
        zxid in 0..i64::MAX,
    ) {
        let mut paths = vec!["/".to_owned()];
        let mut image = Image { zxid, nodes: vec![node("/")], ..Image::default() };
        image.sessions = sessions.into_iter().map(|(id, timeout_ms)| SessionRecord { id, timeout_ms }).collect();
        for (node, parent, name) in nodes {
            let path = format!("{}/{name}", parent.get(&paths).trim_end_matches('/'));
            if !paths.contains(&path) {
                paths.push(path.clone());
                image.nodes.push(NodeRecord { path, ..node });
            }
        }
        image.put_in_order();
        let bytes = written(&image);
        prop_assert_eq!(read(zxid, &bytes[..]).unwrap(), image);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0..300_usize) {
        let _ = read(1, &bytes[..]);
        let mut damaged = written(&sample());
        let end = damaged.len().min(at + bytes.len());
        if at < end {
            damaged[at..end].copy_from_slice(&bytes[..end - at]);
        }
        let _ = read(1, &damaged[..]);
    }
}
