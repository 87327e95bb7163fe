//! From the name of a lock to the path of its node.

use super::dialect::Dialect;
use crate::record::FOLDER;
use sneck_core::{Error, ErrorKind, Name};

/// The path of a lock's node: the name, below the chroot. Different names have different paths.
///
/// # Errors
/// [`ErrorKind::Invalid`] for names that would reach into somebody else's nodes.
pub(crate) fn of_lock(chroot: &str, name: &Name, dialect: Dialect) -> Result<String, Error> {
    if chroot.is_empty() && name.segments().next() == Some("zookeeper") {
        let text = "locks below /zookeeper would sit among the servers' own nodes";
        return Err(Error::new(ErrorKind::Invalid, text).with_lock(name));
    }
    if name.segments().next() == Some(FOLDER) {
        let text =
            format!("locks below {FOLDER} would sit among what sneck keeps beside the locks");
        return Err(Error::new(ErrorKind::Invalid, text).with_lock(name));
    }
    let is_place = |segment: &&str| {
        dialect.any_place(segment).is_some()
            || dialect.is_permit(segment)
            || dialect.is_line_of_semaphore(segment)
    };
    if let Some(segment) = name.segments().find(is_place) {
        let text =
            format!("the segment {segment:?} looks like a place in the line of another lock");
        return Err(Error::new(ErrorKind::Invalid, text).with_lock(name));
    }
    Ok(format!("{chroot}/{name}"))
}

/// The path of the node above, or `None` for the root and the nodes right below it.
pub(crate) fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(chroot: &str, name: &str) -> Result<String, ErrorKind> {
        let name = Name::new(name).unwrap();
        of_lock(chroot, &name, Dialect::Curator).map_err(|error| error.kind())
    }

    #[test]
    fn names_stay_below_the_chroot_and_out_of_the_lines() {
        assert_eq!(path("", "a/b").as_deref(), Ok("/a/b"));
        assert_eq!(path("/apps", "zookeeper").as_deref(), Ok("/apps/zookeeper"));
        assert_eq!(path("", "zookeeper/config"), Err(ErrorKind::Invalid));
        assert_eq!(path("/apps", "_sneck/records"), Err(ErrorKind::Invalid));
        for place in ["lock-", "__READ__", "__WRIT__", "lease-"] {
            let name = format!("a/_c_x-{place}0000000001");
            assert_eq!(path("", &name), Err(ErrorKind::Invalid), "{name}");
        }
        for name in ["a/s-__lock__", "a/0123456789abcdef0123456789abcdef"] {
            assert!(path("", name).is_ok(), "{name} is nothing to Curator");
            let name = Name::new(name).unwrap();
            let refused = of_lock("", &name, Dialect::Kazoo).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{name}");
        }
    }

    #[test]
    fn parents_end_below_the_root() {
        assert_eq!(parent("/a/b/c"), Some("/a/b"));
        assert_eq!(parent("/a"), None);
    }
}
