//! Where Redis is and how to use it, in one line of text.

use crate::options::{Node, RedisOptions, Replicas, Topology};
use crate::secret::Secret;
use crate::tls::TlsOptions;
use percent_encoding::percent_decode_str;
use sneck_core::{Error, ErrorKind};
use std::time::Duration;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

impl RedisOptions {
    /// Whether a URL of this scheme is for Redis.
    pub fn is_scheme(scheme: &str) -> bool {
        kind(scheme).is_some()
    }

    /// Reads a URL.
    ///
    /// ```text
    /// redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?OPTION=VALUE[&OPTION=VALUE]...]
    /// redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]].../PRIMARY[/DATABASE]
    /// redis+cluster://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]]...
    /// redlock://[[USER]:PASSWORD@]HOST[:PORT],HOST[:PORT],HOST[:PORT]...[/DATABASE]
    /// ```
    ///
    /// `rediss://`, `rediss+sentinel://`, `rediss+cluster://` and `redlocks://` are the same over TLS.
    /// User, password and values may be percent-encoded.
    ///
    /// | option | value | default |
    /// |---|---|---|
    /// | `term` | how long a place lasts without renewal, from `100ms` to `24h` | `10s` |
    /// | `prefix` | what all keys begin with | `sneck` |
    /// | `connect-timeout` | how long to try to connect | `5s` |
    /// | `replicas` | how many replicas must have a grant before it is believed in | `0` |
    /// | `replicas-within` | how long they are waited for | `1s`, or a quarter of the term |
    /// | `sentinel-password` | the password of the sentinels | none |
    /// | `ca` | over TLS: a PEM file of certificate authorities | those of the system |
    /// | `cert`, `key` | over TLS: PEM files of a client certificate and its key | none |
    ///
    /// ```
    /// use sneck_redis::RedisOptions;
    /// let options = RedisOptions::parse("redis://:secret@cache:6380/2?term=30s")?;
    /// assert_eq!((options.nodes[0].port, options.database), (6380, 2));
    /// # Ok::<(), sneck_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the part that is wrong. The error never repeats the password.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(invalid("the URL has no scheme, such as redis://"));
        };
        let Some((topology, tls)) = kind(scheme) else {
            return Err(invalid("the scheme is none of Redis"));
        };
        if tls && !cfg!(feature = "tls") {
            return Err(invalid("this build has no TLS; build it with the feature \"tls\""));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains('@') || query.contains('@') {
            // A password cut in two would be taken for a host and a path, and shown in errors.
            let text = "a '/', '?' or '@' in the user, the password or a value must be encoded";
            return Err(invalid(text).with_hint("write %2F for '/', %3F for '?' and %40 for '@'"));
        }
        // The last one, so that a password with a bare '@' is not cut and shown as a host.
        let (user_info, hosts) = match authority.rsplit_once('@') {
            Some((user_info, hosts)) => (Some(user_info), hosts),
            None => (None, authority),
        };
        let port = if matches!(topology, Topology::Sentinel { .. }) { SENTINEL_PORT } else { PORT };
        let mut options = RedisOptions::new(nodes(hosts, port)?);
        options.topology = topology;
        options.tls = tls.then(TlsOptions::default);
        if options.topology == Topology::Single && options.nodes.len() > 1 {
            let hint = "redis+sentinel://, redis+cluster:// and redlock:// take several";
            return Err(invalid("redis:// names one server").with_hint(hint));
        }
        if let Some(user_info) = user_info {
            options.authenticate(user_info)?;
        }
        options.set_path(path)?;
        let mut identity = (None, None);
        for option in query.split('&').filter(|option| !option.is_empty()) {
            options.set(option, &mut identity)?;
        }
        options.identify(identity)?;
        if let Some(replicas) = &mut options.replicas {
            replicas.within = replicas.within.min(options.term / 4);
        }
        options.check()?;
        Ok(options)
    }

    fn authenticate(&mut self, user_info: &str) -> Result<(), Error> {
        let Some((user, password)) = user_info.split_once(':') else {
            return Err(invalid("credentials have the form USER:PASSWORD or :PASSWORD"));
        };
        self.user = decode(user, "the user")?;
        self.password = Secret::new(decode(password, "the password")?);
        Ok(())
    }

    fn set_path(&mut self, path: &str) -> Result<(), Error> {
        let path = path.trim_end_matches('/');
        let database = match &mut self.topology {
            Topology::Sentinel { primary } => {
                let (name, database) = path.split_once('/').unwrap_or((path, ""));
                if name.is_empty() {
                    let hint = "such as redis+sentinel://s1,s2,s3/mymaster";
                    return Err(invalid("the name of the primary is missing").with_hint(hint));
                }
                *primary = decode(name, "the name of the primary")?;
                database
            }
            _ => path,
        };
        if !database.is_empty() {
            let number = database.parse().map_err(|_| {
                invalid(format!("{database:?} is no database; databases have numbers"))
            })?;
            self.database = number;
        }
        Ok(())
    }

    /// Says which certificate to show.
    fn identify(&mut self, identity: Identity) -> Result<(), Error> {
        match (identity, &mut self.tls) {
            ((None, None), _) => Ok(()),
            (_, None) => Err(invalid("\"cert\" and \"key\" need TLS, such as rediss://")),
            ((Some(chain), Some(key)), Some(tls)) => {
                tls.identity = Some((chain.into(), key.into()));
                Ok(())
            }
            _ => Err(invalid("\"cert\" and \"key\" go together")),
        }
    }

    fn set(&mut self, option: &str, identity: &mut Identity) -> Result<(), Error> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = decode(value, name)?;
        let unset = Replicas { number: 0, within: Duration::from_secs(1) };
        match name {
            "term" => self.term = duration(name, &value)?,
            "prefix" => self.prefix = value,
            "connect-timeout" => self.connect_timeout = duration(name, &value)?,
            "ca" => match &mut self.tls {
                Some(tls) => tls.ca = Some(value.into()),
                None => return Err(invalid("\"ca\" needs TLS, such as rediss://")),
            },
            "cert" => identity.0 = Some(value),
            "key" => identity.1 = Some(value),
            "sentinel-password" => self.sentinel_password = Secret::new(value),
            "replicas" => match value.parse() {
                Ok(0) => self.replicas = None,
                Ok(number) => self.replicas.get_or_insert(unset).number = number,
                Err(_) => return Err(invalid(format!("{name}={value} is no number"))),
            },
            "replicas-within" => match &mut self.replicas {
                Some(replicas) => replicas.within = duration(name, &value)?,
                None => return Err(invalid("\"replicas-within\" comes after \"replicas\"")),
            },
            _ => return Err(invalid(format!("{name:?} is no option of a Redis URL"))),
        }
        Ok(())
    }
}

/// The files of a client's certificate and of its key.
type Identity = (Option<String>, Option<String>);

/// What a scheme stands for, and whether it is over TLS.
fn kind(scheme: &str) -> Option<(Topology, bool)> {
    let sentinel = || Topology::Sentinel { primary: String::new() };
    Some(match scheme {
        "redis" => (Topology::Single, false),
        "rediss" => (Topology::Single, true),
        "redis+sentinel" => (sentinel(), false),
        "rediss+sentinel" => (sentinel(), true),
        "redis+cluster" => (Topology::Cluster, false),
        "rediss+cluster" => (Topology::Cluster, true),
        "redlock" => (Topology::Quorum, false),
        "redlocks" => (Topology::Quorum, true),
        _ => return None,
    })
}

fn nodes(hosts: &str, port: u16) -> Result<Vec<Node>, Error> {
    if hosts.is_empty() {
        return Err(invalid("the URL names no server"));
    }
    let nodes: Vec<Node> =
        hosts.split(',').map(|host| node(host, port)).collect::<Result<_, _>>()?;
    for (at, node) in nodes.iter().enumerate() {
        if nodes[..at].contains(node) {
            // Twice the same server would be counted twice for a majority.
            return Err(invalid(format!("{node} is named twice")));
        }
    }
    Ok(nodes)
}

fn node(text: &str, default: u16) -> Result<Node, Error> {
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
    let port = match port.map(str::parse) {
        None => default,
        Some(Ok(port)) if port != 0 => port,
        Some(_) => return Err(invalid(format!("{text:?} has no valid port"))),
    };
    Ok(Node { host: host.to_owned(), port })
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

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, text)
        .with_hint("a Redis URL looks like redis://:password@host:6379/0?term=10s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read() {
        let url = "redis+sentinel://al:s%40cret@s1,[::1]:7/main/3?term=4s&prefix=app&replicas=2\
                   &replicas-within=300ms&connect-timeout=1s&sentinel-password=x%26y";
        let options = RedisOptions::parse(url).unwrap();
        let nodes: Vec<String> = options.nodes.iter().map(ToString::to_string).collect();
        assert_eq!(nodes, ["s1:26379", "[::1]:7"]);
        assert_eq!(options.topology, Topology::Sentinel { primary: "main".into() });
        assert_eq!((options.user.as_str(), options.database), ("al", 3));
        assert_eq!(options.password, Secret::new("s@cret"));
        assert_eq!(options.sentinel_password, Secret::new("x&y"));
        assert_eq!((options.term, options.prefix.as_str()), (Duration::from_secs(4), "app"));
        let within = Duration::from_millis(300);
        assert_eq!(options.replicas, Some(Replicas { number: 2, within }));
        assert_eq!(&*options.label(), "redis+sentinel://s1:26379,[::1]:7/main/3");
    }

    #[test]
    fn each_topology_has_a_scheme() {
        for (url, topology) in [
            ("redis://h", Topology::Single),
            ("redis+cluster://h1,h2", Topology::Cluster),
            ("redlock://a,b,c/1", Topology::Quorum),
        ] {
            assert_eq!(RedisOptions::parse(url).unwrap().topology, topology, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_the_password_is_not() {
        for (url, says) in [
            ("localhost:6379", "no scheme"),
            ("zk://h", "none of Redis"),
            ("redis://", "no server"),
            ("redis://h:0", "port"),
            ("redis://h:x", "port"),
            ("redis://h h", "no server"),
            ("redis://a,b", "one server"),
            ("redis://hunter2@h", "USER:PASSWORD"),
            ("redis://u:hunter2%ff@h", "UTF-8"),
            ("redis://u:hunter2@h/zero", "no database"),
            ("redis://u:hunter2@h?term=fast", "term=fast"),
            ("redis://u:hunter2@h?term=5ms", "not within"),
            ("redis://u:hunter2@h?term=2days", "not within"),
            ("redis://u:hunter2@h?replicas=two", "no number"),
            ("redis://u:hunter2@h?replicas-within=1s", "after"),
            ("redis://u:hunter2@h?prefix={a}", "braces"),
            ("redis://u:hunter2@h?color=red", "\"color\""),
            ("redis://u:1/hunter2@h", "encoded"),
            ("redis+sentinel://u:hunter2@h", "primary is missing"),
            ("redis+cluster://u:hunter2@h/1", "database 0"),
            ("redis+cluster://u:hunter2@h?replicas=1", "single primary"),
            ("redlock://u:hunter2@a,b", "three servers"),
            ("redlock://u:hunter2@a,b,a", "named twice"),
        ] {
            let error = RedisOptions::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            assert!(error.to_string().contains(says), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}: {error:?}");
        }
        let options = RedisOptions::parse("redis://u:hunter2@h").unwrap();
        assert!(!format!("{options:?} {}", options.label()).contains("hunter2"));
    }
}
