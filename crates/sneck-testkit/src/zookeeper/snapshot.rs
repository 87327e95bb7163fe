//! A snapshot written by hand, for servers that are to begin with a past.
//!
//! The layout is that of Apache ZooKeeper's file `version-2/snapshot.<zxid>`, which has not changed
//! since 3.4: a header, the sessions, the table of access lists, the nodes, each after its parent, and
//! an adler32 over all of it. What later releases append (a digest, the last zxid) may be missing, and
//! no transaction log is needed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::{BufMut, BytesMut};
use sneck_wire::jute::Writer;

/// The transaction the snapshot was taken after; servers go on above it.
const ZXID: i64 = 1;
/// The nodes that every server has.
const BUILT_IN: [&str; 3] = ["/zookeeper", "/zookeeper/config", "/zookeeper/quota"];
/// The access list that lets everybody do everything, which needs no entry in the table.
const OPEN_ACL: i64 = -1;

/// Writes a snapshot into a server's data folder, with these nodes, their ancestors, and for each how
/// many children were created below it so far.
pub(super) fn write(data: &Path, counters: &[(String, i32)]) -> io::Result<()> {
    let folder = data.join("version-2");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("snapshot.{ZXID:x}")), snapshot(&nodes(counters)))
}

/// By path, in which order each node comes after its parent: how many children were created. The
/// root's path is empty.
fn nodes(counters: &[(String, i32)]) -> BTreeMap<&str, i32> {
    let mut nodes = BTreeMap::from([("", 0)]);
    let wanted = counters.iter().map(|(path, _)| path.as_str());
    for path in BUILT_IN.into_iter().chain(wanted) {
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        for end in ends {
            nodes.entry(&path[..end]).or_insert(0);
        }
    }
    let parents: Vec<&str> =
        nodes.keys().filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
    for parent in parents {
        *nodes.get_mut(parent).expect("ancestors are there") += 1;
    }
    nodes.extend(counters.iter().map(|(path, creates)| (path.as_str(), *creates)));
    nodes
}

fn snapshot(nodes: &BTreeMap<&str, i32>) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_slice(b"ZKSN");
    out.put_i32(2);
    let database = -1;
    out.put_i64(database);
    let (sessions, access_lists) = (0, 0);
    out.put_i32(sessions);
    out.put_i32(access_lists);
    for (path, creates) in nodes {
        put_node(&mut out, path, *creates);
    }
    out.put_string("/");
    out.put_i64(i64::from(adler32(&out)));
    out.put_string("/");
    out
}

fn put_node(out: &mut BytesMut, path: &str, creates: i32) {
    out.put_string(path);
    out.put_buffer(Some(b""));
    out.put_i64(OPEN_ACL);
    let (created, changed) = (ZXID, ZXID);
    out.put_i64(created);
    out.put_i64(changed);
    let (created_ms, changed_ms) = (0, 0);
    out.put_i64(created_ms);
    out.put_i64(changed_ms);
    let (version, acl_version) = (0, 0);
    out.put_i32(version);
    // In a snapshot the children's version is the plain number of creates; clients are shown another.
    out.put_i32(creates);
    out.put_i32(acl_version);
    let owner = 0;
    out.put_i64(owner);
    let children_changed = ZXID;
    out.put_i64(children_changed);
}

/// The checksum of RFC 1950.
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut a, mut b) = (1, 0);
    for byte in bytes {
        a = (a + u32::from(*byte)) % MODULUS;
        b = (b + a) % MODULUS;
    }
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_adler32() {
        assert_eq!(adler32(b""), 1);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn ancestors_come_first_and_count_their_children() {
        let counters = [("/a/b".to_owned(), 7), ("/a-b".to_owned(), -1), ("/a".to_owned(), 9)];
        let expected = [
            ("", 3),
            ("/a", 9),
            ("/a-b", -1),
            ("/a/b", 7),
            ("/zookeeper", 2),
            ("/zookeeper/config", 0),
            ("/zookeeper/quota", 0),
        ];
        assert_eq!(nodes(&counters), BTreeMap::from(expected));
    }
}
