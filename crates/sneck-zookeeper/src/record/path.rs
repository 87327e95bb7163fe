//! Where records are, beside the locks.

use sneck_core::{Name, RecordKey, RecordKind};

/// The folder below the chroot that holds what is no lock. No lock can be called so.
pub(crate) const FOLDER: &str = "_sneck";

/// The folder of all records of a kind.
pub(super) fn folder(chroot: &str, kind: RecordKind) -> String {
    format!("{chroot}/{FOLDER}/records/{}", kind.as_str())
}

/// The node of a record. Its name is one segment: a record `a` and a record `a/b` are neighbours, and
/// neither keeps the other from being deleted.
pub(super) fn record(chroot: &str, key: &RecordKey) -> String {
    let name = key.name.as_str().replace('%', "%25").replace('/', "%2F");
    format!("{}/{name}", folder(chroot, key.kind))
}

/// The node that is written to learn the servers' time.
pub(super) fn clock(chroot: &str) -> String {
    format!("{chroot}/{FOLDER}/clock")
}

/// The name of the record that a node is; `None` for nodes that are none of ours.
pub(super) fn name(node: &str) -> Option<Name> {
    let name = Name::new(&node.replace("%2F", "/").replace("%25", "%")).ok()?;
    // Whatever else a stranger called a node so that it reads as a name is not the node of that record.
    (name.as_str().replace('%', "%25").replace('/', "%2F") == node).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn node(name: &str) -> String {
        let key = RecordKey { kind: RecordKind::Once, name: Name::new(name).unwrap() };
        record("/apps", &key)
    }

    #[test]
    fn different_names_have_different_nodes_from_which_they_are_read_back() {
        let names = ["a", "a/b", "a%2Fb", "a%252Fb", "%", "%25", "a b", "Größe"];
        let nodes: HashSet<String> = names.iter().map(|name| node(name)).collect();
        assert_eq!(nodes.len(), names.len(), "{nodes:?}");
        for at in names {
            let path = node(at);
            let (folder, last) = path.rsplit_once('/').unwrap();
            assert_eq!(folder, "/apps/_sneck/records/once");
            assert_eq!(name(last).unwrap().as_str(), at);
        }
    }

    #[test]
    fn nodes_of_strangers_have_no_name() {
        for node in ["", "a%2f", "..", "%2F"] {
            assert_eq!(name(node), None, "{node:?}");
        }
    }
}
