//! Where the locks are: the URL, and who said so.

use crate::failure::Failure;
use std::fmt;

/// The URL of a store. Shows no secret, not even to `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl(String);

impl ServerUrl {
    /// Takes a URL, whose scheme and hosts are for the store to check.
    ///
    /// # Errors
    /// When it cannot be told where the credentials end. The library would then take a part of a
    /// password for a host name, and name it.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let (_, after) = split(url);
        // What has no hosts has no credentials, and an '@' in a path is that.
        match url.contains("://") && after.contains('@') {
            false => Ok(ServerUrl(url.to_owned())),
            true => Err(Failure::usage("the server's URL has an '@' behind its hosts").with_hint(
                "write %40 for '@', %2F for '/' and %3F for '?' where they are no separators",
            )),
        }
    }

    /// The URL with everything, for connecting only.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }

    /// The part before the colon.
    pub(crate) fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// The same store by another name, with the same options.
    #[must_use]
    pub(crate) fn at(&self, name: &str) -> Self {
        match self.0.split_once('?') {
            Some((_, options)) => ServerUrl(format!("{name}?{options}")),
            None => ServerUrl(name.to_owned()),
        }
    }

    /// Whether it holds credentials.
    pub(crate) fn has_credentials(&self) -> bool {
        self.0.contains("://") && split(&self.0).0.contains('@')
    }

    /// A URL of the same store that holds no credentials.
    pub(crate) fn without_credentials(&self) -> String {
        let (before, after) = split(&self.0);
        match (before.split_once("://"), before.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, hosts))) => format!("{scheme}://{hosts}{after}"),
            _ => self.0.clone(),
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.without_credentials())
    }
}

/// Scheme, credentials and hosts; and what follows them.
fn split(url: &str) -> (&str, &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?']).map_or(url.len(), |at| start + at);
    url.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_left_out_and_the_rest_stays() {
        for (url, without) in [
            ("zk://h1,h2/a?timeout=4s", "zk://h1,h2/a?timeout=4s"),
            ("zk://u:p@h1,h2/a?timeout=4s", "zk://h1,h2/a?timeout=4s"),
            ("zk://u:p@x@h", "zk://h"),
            ("zks://u:p@[::1]:2?ca=/x", "zks://[::1]:2?ca=/x"),
            ("nonsense", "nonsense"),
        ] {
            let parsed = ServerUrl::new(url).unwrap();
            assert_eq!(parsed.without_credentials(), without);
            assert_eq!(parsed.has_credentials(), url.contains('@'));
            assert_eq!(format!("{parsed:?}"), without);
        }
    }

    #[test]
    fn a_password_that_would_be_taken_for_a_host_is_refused() {
        for url in ["zk://u:hun/ter2@h", "zk://u:hun?ter2@h", "zk://u:p@ss/word@h", "zk://h/a@b"] {
            let failure = ServerUrl::new(url).unwrap_err();
            assert_eq!(failure.code(), crate::exit::USAGE);
            assert!(!failure.text().contains("hun"), "{}", failure.text());
        }
    }
}
