//! Where the cluster is and how to use it, in one line of text.

use crate::credentials::Credentials;
use crate::options::{CassandraOptions, Create, Scope};
use percent_encoding::percent_decode_str;
use sneck_core::{Error, ErrorKind};
use std::time::Duration;

/// What a Cassandra URL says.
///
/// ```text
/// cassandra://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]].../KEYSPACE[?OPTION=VALUE[&OPTION=VALUE]...]
/// ```
///
/// `scylla://` is the same. User, password, keyspace and values may be percent-encoded.
///
/// | option | value | default |
/// |---|---|---|
/// | `ttl` | how long a lock outlives a holder that died, in whole seconds, such as `10s` | `10s` |
/// | `skew` | the most by which the clocks of the servers differ | `1s` |
/// | `poll` | the longest time between two looks of a waiter | `1s` |
/// | `connect-timeout` | how long to try before connecting fails | `10s` |
/// | `table` | the table in the keyspace | `sneck_locks` |
/// | `namespace` | tells locks of one name apart in one table | empty |
/// | `datacenter` | the data centre whose nodes are asked first | none |
/// | `scope` | `cluster`, or `datacenter`: each one has locks of its own; the same for all clients | `cluster` |
/// | `create` | `nothing`, `table`, or `keyspace`: what to make that is not there | `nothing` |
/// | `replicas` | with `create=keyspace`: how many replicas in each data centre | `3` |
///
/// ```
/// use sneck_cassandra::CassandraUrl;
/// let url = CassandraUrl::parse("cassandra://c1,c2:9043/apps?ttl=15s")?;
/// assert_eq!(url.options.contact_points, ["c1", "c2:9043"]);
/// assert_eq!(url.options.keyspace, "apps");
/// # Ok::<(), sneck_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CassandraUrl {
    /// All of it.
    pub options: CassandraOptions,
}

/// The longest identifier that Cassandra takes.
const IDENTIFIER_MAX: usize = 48;
/// The longest namespace: it is a part of every partition's key.
const NAMESPACE_MAX: usize = 256;
/// The most replicas that a keyspace is created with.
const REPLICAS_MAX: u8 = 9;

impl CassandraUrl {
    /// Whether a URL of this scheme is for Cassandra.
    pub fn is_scheme(scheme: &str) -> bool {
        matches!(scheme, "cassandra" | "scylla")
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the part that is wrong. The error never repeats the password.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(invalid("the URL has no scheme, such as cassandra://"));
        };
        if !CassandraUrl::is_scheme(scheme) {
            return Err(invalid(format!("{scheme:?} is no scheme of Cassandra")));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, keyspace) = rest.split_once('/').unwrap_or((rest, ""));
        if keyspace.contains('@') || query.contains('@') {
            // A password cut in two would be taken for a host and a keyspace, and shown in errors.
            let text = "a '/', '?' or '@' in the user, the password, the keyspace or a value must be encoded";
            return Err(invalid(text).with_hint("write %2F for '/', %3F for '?' and %40 for '@'"));
        }
        // The last one, so that a password with a bare '@' is not cut and shown as a host.
        let (user_info, hosts) = match authority.rsplit_once('@') {
            Some((user_info, hosts)) => (Some(user_info), hosts),
            None => (None, authority),
        };
        let keyspace = decode(keyspace, "the keyspace")?;
        if keyspace.is_empty() {
            return Err(
                invalid("the URL names no keyspace").with_hint("write cassandra://HOST/KEYSPACE")
            );
        }
        let mut options = CassandraOptions::new(contact_points(hosts)?, identifier(&keyspace)?);
        options.credentials = user_info.map(credentials).transpose()?;
        let mut replicas = None;
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let value = decode(value, name)?;
            set(&mut options, &mut replicas, name, &value)?;
        }
        match (&mut options.create, replicas) {
            (Create::Keyspace { replicas }, Some(wanted)) => *replicas = wanted,
            (_, Some(_)) => return Err(invalid("\"replicas\" goes with create=keyspace")),
            (_, None) => {}
        }
        Ok(CassandraUrl { options })
    }
}

fn set(
    options: &mut CassandraOptions,
    replicas: &mut Option<u8>,
    name: &str,
    value: &str,
) -> Result<(), Error> {
    match name {
        "ttl" => options.ttl = duration(name, value)?,
        "skew" => options.skew = duration(name, value)?,
        "poll" => options.poll = duration(name, value)?,
        "connect-timeout" => options.connect_timeout = duration(name, value)?,
        "table" => options.table = identifier(value)?,
        "namespace" if value.len() <= NAMESPACE_MAX => options.namespace = value.to_owned(),
        "namespace" => return Err(invalid("\"namespace\" is longer than 256 bytes")),
        "datacenter" => options.datacenter = Some(value.to_owned()),
        "scope" => {
            let known = [("cluster", Scope::Cluster), ("datacenter", Scope::Datacenter)];
            options.scope = choice(name, value, &known)?;
        }
        "create" => {
            let keyspace = Create::Keyspace { replicas: 3 };
            let known =
                [("nothing", Create::Nothing), ("table", Create::Table), ("keyspace", keyspace)];
            options.create = choice(name, value, &known)?;
        }
        "replicas" => {
            let number = value.parse().ok().filter(|number| (1..=REPLICAS_MAX).contains(number));
            let text = format!("{name:?} is a number from 1 to {REPLICAS_MAX}");
            *replicas = Some(number.ok_or_else(|| invalid(text))?);
        }
        _ => return Err(invalid(format!("{name:?} is no option of a Cassandra URL"))),
    }
    Ok(())
}

fn contact_points(hosts: &str) -> Result<Vec<String>, Error> {
    let hosts: Vec<String> = hosts.split(',').map(str::to_owned).collect();
    for host in &hosts {
        let (name, port) = match host.rsplit_once(':') {
            // An IPv6 address in brackets has colons of its own.
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (host.as_str(), None),
        };
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(invalid("the URL has an empty or impossible host name"));
        }
        if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return Err(invalid(format!("{host:?} has no port from 1 to 65535")));
        }
    }
    Ok(hosts)
}

fn credentials(user_info: &str) -> Result<Credentials, Error> {
    let (user, password) = user_info.split_once(':').ok_or_else(|| {
        invalid("the URL has a user and no password").with_hint("write USER:PASSWORD@HOST")
    })?;
    Ok(Credentials::new(decode(user, "the user")?, decode(password, "the password")?))
}

/// A name that can be quoted in a statement as it is.
fn identifier(name: &str) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.len() > IDENTIFIER_MAX || !name.chars().all(plain) {
        let shown: String = name.chars().take(IDENTIFIER_MAX).collect();
        let text = format!("{shown:?} is no name of a keyspace or a table");
        return Err(invalid(text).with_hint("up to 48 letters, digits and underscores"));
    }
    Ok(name.to_owned())
}

fn duration(name: &str, value: &str) -> Result<Duration, Error> {
    match humantime::parse_duration(value) {
        Ok(duration) if !duration.is_zero() || name == "skew" => Ok(duration),
        _ => Err(invalid(format!("{name:?} is no length of time")).with_hint("write 10s or 500ms")),
    }
}

fn choice<T: Copy>(name: &str, value: &str, known: &[(&str, T)]) -> Result<T, Error> {
    let found = known.iter().find(|(word, _)| *word == value);
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        invalid(format!("{name:?} is one of {}", words.join(", ")))
    })
}

fn decode(text: &str, what: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| invalid(format!("{what} is not UTF-8 once it is decoded")))
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it() {
        let url = "cassandra://ann:a%2Fb%40c@h1,[::1]:9043/Apps?ttl=20s&skew=500ms&poll=2s\
                   &connect-timeout=3s&table=t1&namespace=billing%20eu&datacenter=dc1\
                   &scope=datacenter&create=keyspace&replicas=5";
        let options = CassandraUrl::parse(url).unwrap().options;
        assert_eq!(options.contact_points, ["h1", "[::1]:9043"]);
        assert_eq!((options.keyspace.as_str(), options.table.as_str()), ("Apps", "t1"));
        assert_eq!(options.credentials, Some(Credentials::new("ann", "a/b@c")));
        assert_eq!(
            (options.ttl, options.skew),
            (Duration::from_secs(20), Duration::from_millis(500))
        );
        assert_eq!(options.poll, Duration::from_secs(2));
        assert_eq!(options.connect_timeout, Duration::from_secs(3));
        assert_eq!(options.namespace, "billing eu");
        assert_eq!(options.datacenter.as_deref(), Some("dc1"));
        assert_eq!(
            (options.scope, options.create),
            (Scope::Datacenter, Create::Keyspace { replicas: 5 })
        );
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_shown() {
        for (url, says) in [
            ("cassandra", "no scheme"),
            ("cql://h/k", "no scheme of Cassandra"),
            ("cassandra://h", "no keyspace"),
            ("cassandra://h/", "no keyspace"),
            ("cassandra:///k", "host"),
            ("cassandra://h,/k", "host"),
            ("cassandra://h:0/k", "port"),
            ("cassandra://h:x/k", "port"),
            ("cassandra://ann@h/k", "no password"),
            ("cassandra://ann:sesame/x@h/k", "must be encoded"),
            ("cassandra://ann:sesame@x@h h/k", "host"),
            ("cassandra://h/k\"; DROP", "no name of a keyspace"),
            ("cassandra://h/k?table=a-b", "no name of a keyspace or a table"),
            ("cassandra://h/k?ttl=soon", "no length of time"),
            ("cassandra://h/k?poll=0s", "no length of time"),
            ("cassandra://h/k?scope=planet", "one of cluster, datacenter"),
            ("cassandra://h/k?create=yes", "one of nothing, table, keyspace"),
            ("cassandra://h/k?create=keyspace&replicas=0", "number from 1 to 9"),
            ("cassandra://h/k?replicas=3", "create=keyspace"),
            ("cassandra://h/k?color=red", "no option"),
        ] {
            let error = CassandraUrl::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
            let told = format!("{error:?}");
            assert!(told.contains(says), "{url}: {told}");
            assert!(!told.contains("sesame"), "{told}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let url = CassandraUrl::parse("scylla://ann:sesame@h/k").unwrap();
        assert!(!format!("{url:?}").contains("sesame"));
    }
}
