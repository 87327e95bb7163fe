//! Where a server within the process keeps its data, and the URLs that say so.

use percent_encoding::percent_decode_str;
use sneck_core::{Error, ErrorKind};
use sneck_zookeeper::ZooKeeperUrl;
use std::path::PathBuf;

/// What a URL of a server within the process says.
///
/// ```text
/// memory:[NAME][?OPTION=VALUE[&OPTION=VALUE]...]
/// embedded:DIR[?OPTION=VALUE[&OPTION=VALUE]...]
/// ```
///
/// * `memory:` keeps everything in memory, and is another store each time. With a name it is one store
///   for all of the process that use the same name, for as long as somebody does.
/// * `embedded:DIR` keeps everything in a folder, which is made if it is not there. It is one store for
///   all of this process, however the path is written; another process cannot have it at the same time.
///   What is held when the process dies is free again when its session times out, after the folder is
///   next opened.
///
/// `NAME` and `DIR` may be percent-encoded. The options are those of [`ZooKeeperUrl`]: `timeout` (from
/// 1 s to an hour), `connect-timeout`, `foreign`.
///
/// ```
/// use sneck::embedded::EmbeddedUrl;
/// assert!(EmbeddedUrl::parse("embedded:/var/lib/app/locks?timeout=5s").is_ok());
/// assert!(EmbeddedUrl::parse("embedded:").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct EmbeddedUrl {
    pub(super) place: Place,
    pub(super) options: ZooKeeperUrl,
}

/// Where a server keeps its data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// In memory, and for one connection.
    Nameless,
    /// In memory, for all that know the name.
    Memory(String),
    /// In a folder.
    Folder(PathBuf),
}

impl EmbeddedUrl {
    /// Whether a URL of this scheme is for a server within the process.
    pub fn is_scheme(scheme: &str) -> bool {
        matches!(scheme, "memory" | "embedded")
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the part that is wrong.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let (scheme, rest) =
            url.split_once(':').ok_or_else(|| invalid("the URL has no colon behind its scheme"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let decoded = percent_decode_str(path).decode_utf8();
        let path = decoded.map_err(|_| invalid("what follows the scheme is not UTF-8"))?;
        let place = match scheme {
            "memory" if path.is_empty() => Place::Nameless,
            "memory" => Place::Memory(path.into_owned()),
            "embedded" if path.is_empty() => return Err(invalid("embedded: names no folder")),
            "embedded" if path.contains('\0') => return Err(invalid("no folder has a NUL in it")),
            "embedded" => Place::Folder(PathBuf::from(path.into_owned())),
            _ => return Err(invalid(format!("{scheme:?} is no scheme of this store"))),
        };
        let options = ZooKeeperUrl::of_options(query).map_err(|error| error.with_hint(HINT))?;
        Ok(EmbeddedUrl { place, options })
    }
}

const HINT: &str =
    "URLs of a server within the process look like memory: or embedded:/var/lib/app?timeout=5s";

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, text).with_hint(HINT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn places_are_read() {
        for (url, place) in [
            ("memory:", Place::Nameless),
            ("memory:?timeout=5s", Place::Nameless),
            ("memory:a%2Fb", Place::Memory("a/b".into())),
            ("embedded:d", Place::Folder("d".into())),
            ("embedded:/a%20b/c%3Fd?timeout=5s", Place::Folder("/a b/c?d".into())),
        ] {
            let read = EmbeddedUrl::parse(url).unwrap();
            assert_eq!(read.place, place, "{url}");
            let seconds = if url.contains("timeout") { 5 } else { 10 };
            assert_eq!(read.options.session.timeout, Duration::from_secs(seconds), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (url, says) in [
            ("embedded:", "no folder"),
            ("embedded:?timeout=5s", "no folder"),
            ("embedded:a%00b", "NUL"),
            ("embedded:%ff", "UTF-8"),
            ("memory:?timeout=soon", "timeout=soon"),
            ("memory:?color=red", "color"),
            ("zk://h", "\"zk\""),
            ("memory", "no colon"),
        ] {
            let error = EmbeddedUrl::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(error.to_string().contains(says), "{url}: {error}");
        }
    }
}
