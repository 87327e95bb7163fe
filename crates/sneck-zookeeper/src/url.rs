//! Where the servers are and how to use them, in one line of text.

use crate::credentials::Credentials;
use crate::lock::{AclPolicy, Dialect, ForeignPolicy, LockOptions, Pattern};
use crate::options::SessionOptions;
use crate::server::Server;
use percent_encoding::percent_decode_str;
use sneck_core::{Error, ErrorKind};
use std::time::Duration;

/// What a ZooKeeper URL says.
///
/// ```text
/// zk://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]]...[/CHROOT][?OPTION=VALUE[&OPTION=VALUE]...]
/// ```
///
/// `zks://` is the same over TLS. User, password and values may be percent-encoded.
///
/// | option | value | default |
/// |---|---|---|
/// | `timeout` | the session timeout to ask for, such as `10s` | `10s` |
/// | `connect-timeout` | how long to try before opening a session fails | `5s` |
/// | `acl` | `open`, or `creator`: only these credentials may read or write what sneck makes | `open` |
/// | `dialect` | whose clients to share lines with: `curator`, `kazoo`, `go`, or `custom:PATTERN` as in [`Pattern`] | `curator` |
/// | `foreign` | `refuse`, `ignore` or `block`: what to do about nodes that are nobody's place in line | `refuse` |
/// | `ca` | with `zks`: a PEM file of certificate authorities | those of the system |
/// | `cert`, `key` | with `zks`: PEM files of a client certificate and its key | none |
///
/// ```
/// use sneck_zookeeper::ZooKeeperUrl;
/// let url = ZooKeeperUrl::parse("zk://zk1,zk2:2182/apps/billing?timeout=6s")?;
/// assert_eq!(url.session.servers.len(), 2);
/// assert_eq!(url.session.chroot, "/apps/billing");
/// # Ok::<(), sneck_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ZooKeeperUrl {
    /// How to reach the servers.
    pub session: SessionOptions,
    /// How locks are laid out there.
    pub lock: LockOptions,
}

impl ZooKeeperUrl {
    /// Whether a URL of this scheme is for ZooKeeper.
    pub fn is_scheme(scheme: &str) -> bool {
        matches!(scheme, "zk" | "zks")
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the part that is wrong. The error never repeats the password.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(invalid("the URL has no scheme, such as zk://"));
        };
        let tls = match scheme {
            "zk" => false,
            "zks" => true,
            other => return Err(invalid(format!("{other:?} is no scheme of ZooKeeper"))),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, chroot) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if chroot.contains('@') || query.contains('@') {
            // A password cut in two would be taken for a host and a path, and shown in errors.
            let text =
                "a '/', '?' or '@' in the user, the password, the path or a value must be encoded";
            return Err(invalid(text).with_hint("write %2F for '/', %3F for '?' and %40 for '@'"));
        }
        // The last one, so that a password with a bare '@' is not cut and shown as a host.
        let (user_info, hosts) = match authority.rsplit_once('@') {
            Some((user_info, hosts)) => (Some(user_info), hosts),
            None => (None, authority),
        };
        let mut session = SessionOptions::new(servers(hosts)?);
        session.credentials.extend(user_info.map(credentials).transpose()?);
        session.chroot = self::chroot(chroot)?;
        ZooKeeperUrl { session, lock: LockOptions::default() }.with_options(query, tls)
    }

    /// Reads the options of a URL whose store is not reached by host and port: `query` is what follows
    /// its '?'. The caller says how it is reached, in
    /// [`connector`](SessionOptions::connector) and [`label`](SessionOptions::label).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the option that is wrong; `ca`, `cert` and `key` are, as TLS is
    /// for the network.
    pub fn of_options(query: &str) -> Result<Self, Error> {
        let session = SessionOptions::new(vec![Server::new("localhost", Server::PORT_DEFAULT)]);
        ZooKeeperUrl { session, lock: LockOptions::default() }.with_options(query, false)
    }

    fn with_options(mut self, query: &str, tls: bool) -> Result<Self, Error> {
        let mut files = Files::default();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            self.set(option, &mut files)?;
        }
        self.connect_with(tls, files)?;
        Ok(self)
    }

    fn set(&mut self, option: &str, files: &mut Files) -> Result<(), Error> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = decode(value, name)?;
        match name {
            "timeout" => self.session.timeout = duration(name, &value)?,
            "connect-timeout" => self.session.connect_timeout = duration(name, &value)?,
            "acl" => {
                let known = [("open", AclPolicy::Open), ("creator", AclPolicy::Creator)];
                self.lock.acl = choice(name, &value, &known)?;
            }
            "dialect" => {
                let known =
                    [("curator", Dialect::Curator), ("kazoo", Dialect::Kazoo), ("go", Dialect::Go)];
                self.lock.dialect = match value.strip_prefix("custom:") {
                    Some(pattern) => Dialect::Custom(Pattern::parse(pattern)?),
                    None => choice(name, &value, &known)?,
                };
            }
            "foreign" => {
                let known = [
                    ("refuse", ForeignPolicy::Refuse),
                    ("ignore", ForeignPolicy::Ignore),
                    ("block", ForeignPolicy::Block),
                ];
                self.lock.foreign = choice(name, &value, &known)?;
            }
            "ca" => files.ca = Some(value),
            "cert" => files.cert = Some(value),
            "key" => files.key = Some(value),
            _ => return Err(invalid(format!("{name:?} is no option of a ZooKeeper URL"))),
        }
        Ok(())
    }

    #[cfg(feature = "tls")]
    fn connect_with(&mut self, tls: bool, files: Files) -> Result<(), Error> {
        let identity = match (files.cert, files.key) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            _ => return Err(invalid("\"cert\" and \"key\" go together")),
        };
        let options = crate::TlsOptions { ca: files.ca.map(Into::into), identity };
        if tls {
            let connector =
                crate::Tls::new(&options).map_err(|error| invalid(error.to_string()))?;
            self.session.connector = std::sync::Arc::new(connector);
        } else if options.ca.is_some() || options.identity.is_some() {
            return Err(invalid("\"ca\", \"cert\" and \"key\" need zks://"));
        }
        Ok(())
    }

    #[cfg(not(feature = "tls"))]
    fn connect_with(&mut self, tls: bool, files: Files) -> Result<(), Error> {
        if tls || files.ca.is_some() || files.cert.is_some() || files.key.is_some() {
            return Err(invalid("this build has no TLS; build it with the feature \"tls\""));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Files {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

fn servers(hosts: &str) -> Result<Vec<Server>, Error> {
    if hosts.is_empty() {
        return Err(invalid("the URL names no server"));
    }
    hosts.split(',').map(server).collect()
}

fn server(text: &str) -> Result<Server, Error> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => match port.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None => return Err(invalid(format!("{text:?} is no server"))),
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
    if host.is_empty() || !host.chars().all(is_name) {
        return Err(invalid(format!("{text:?} is no server")));
    }
    let port = match port {
        None => Server::PORT_DEFAULT,
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => port,
            _ => return Err(invalid(format!("{text:?} has no valid port"))),
        },
    };
    Ok(Server::new(host, port))
}

fn credentials(user_info: &str) -> Result<Credentials, Error> {
    let Some((user, password)) = user_info.split_once(':') else {
        return Err(invalid("credentials have the form USER:PASSWORD"));
    };
    let (user, password) = (decode(user, "the user")?, decode(password, "the password")?);
    if user.is_empty() || user.contains(':') {
        return Err(invalid("credentials have the form USER:PASSWORD; the user has no colon"));
    }
    Ok(Credentials::digest(&user, &password))
}

fn chroot(path: &str) -> Result<String, Error> {
    let path = decode(path.trim_end_matches('/'), "the path")?;
    if !path.is_empty() {
        sneck_wire::path::validate(&path)
            .map_err(|error| invalid(format!("the path {path:?}: {error}")))?;
    }
    Ok(path)
}

fn decode(text: &str, what: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| invalid(format!("{what} is not UTF-8")))
}

fn duration(name: &str, value: &str) -> Result<Duration, Error> {
    let hint = "durations look like 500ms, 10s or 2m";
    match humantime::parse_duration(value) {
        Ok(length) if !length.is_zero() => Ok(length),
        _ => Err(invalid(format!("{name}={value} is no duration")).with_hint(hint)),
    }
}

fn choice<T: Copy>(name: &str, value: &str, known: &[(&str, T)]) -> Result<T, Error> {
    if let Some((_, choice)) = known.iter().find(|(text, _)| *text == value) {
        return Ok(*choice);
    }
    let names: Vec<&str> = known.iter().map(|(text, _)| *text).collect();
    Err(invalid(format!("{name}={value}: it can be {}", names.join(" or "))))
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, text)
        .with_hint("a ZooKeeper URL looks like zk://zk1:2181,zk2:2181/apps?timeout=10s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read() {
        let url = "zk://al%3aice:s%40cret@zk1,[::1]:2182,10.0.0.3:2183/a/b/?timeout=4s&acl=creator\
                   &foreign=block&connect-timeout=500ms&dialect=curator";
        let url = ZooKeeperUrl::parse(&url.replace("%3a", "")).unwrap();
        let servers: Vec<String> = url.session.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["zk1:2181", "[::1]:2182", "10.0.0.3:2183"]);
        assert_eq!(url.session.credentials, [Credentials::digest("alice", "s@cret")]);
        assert_eq!(url.session.chroot, "/a/b");
        assert_eq!(url.session.timeout, Duration::from_secs(4));
        assert_eq!(url.session.connect_timeout, Duration::from_millis(500));
        assert_eq!((url.lock.acl, url.lock.foreign), (AclPolicy::Creator, ForeignPolicy::Block));
    }

    #[test]
    fn options_can_stand_alone() {
        let url = ZooKeeperUrl::of_options("timeout=4s&&foreign=block").unwrap();
        assert_eq!(url.session.timeout, Duration::from_secs(4));
        assert_eq!(url.lock.foreign, ForeignPolicy::Block);
        for (query, says) in [("timeout=x", "timeout=x"), ("color=red", "color"), ("ca=/x", "")] {
            let error = ZooKeeperUrl::of_options(query).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{query}");
            assert!(error.to_string().contains(says), "{query}: {error}");
        }
    }

    #[test]
    fn every_dialect_can_be_chosen() {
        for (value, dialect) in [
            ("curator", Dialect::Curator),
            ("kazoo", Dialect::Kazoo),
            ("go", Dialect::Go),
            ("custom:job-*-n-", Dialect::Custom(Pattern::parse("job-*-n-").unwrap())),
        ] {
            let url = ZooKeeperUrl::parse(&format!("zk://h?dialect={value}")).unwrap();
            assert_eq!(url.lock.dialect, dialect, "{value}");
        }
        for (value, says) in [("esperanto", "curator or kazoo or go"), ("custom:x", "one \"*\"")] {
            let error = ZooKeeperUrl::parse(&format!("zk://h?dialect={value}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_the_password_is_not() {
        for (url, says) in [
            ("zk1:2181", "no scheme"),
            ("redis://h", "no scheme of ZooKeeper"),
            ("zk://", "no server"),
            ("zk:///a", "no server"),
            ("zk://h:0", "port"),
            ("zk://h:99999", "port"),
            ("zk://h:", "port"),
            ("zk://h,,h2", "no server"),
            ("zk://h h", "no server"),
            ("zk://[::1", "no server"),
            ("zk://hunter2@h", "USER:PASSWORD"),
            ("zk://:hunter2@h", "USER:PASSWORD"),
            ("zk://u:hunter2%ff@h", "UTF-8"),
            ("zk://u:hunter2@h//x", "path"),
            ("zk://u:hunter2@h/a/../b", "path"),
            ("zk://u:hunter2@h?timeout=fast", "timeout=fast"),
            ("zk://u:hunter2@h?timeout=0s", "timeout=0s"),
            ("zk://u:hunter2@h?acl=none", "open or creator"),
            ("zk://u:hunter2@h?color=red", "\"color\""),
            ("zk://u:hunter2@x@h:y", "port"),
            ("zk://u:hunter2/x@h", "encoded"),
            ("zk://u:1/hunter2@h", "encoded"),
            ("zk://u:1?hunter2@h", "encoded"),
        ] {
            let error = ZooKeeperUrl::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(error.to_string().contains(says), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}: {error:?}");
        }
        let url = ZooKeeperUrl::parse("zk://u:hunter2@h").unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
