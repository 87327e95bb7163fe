//! What people and programs write as text: paths of nodes, and URLs.

use std::fmt;

use sneck_cassandra::CassandraUrl;
use sneck_redis::RedisOptions;
use sneck_wire::path as node_path;
use sneck_zookeeper::{SessionTicket, ZooKeeperUrl};

/// Stands for a password where one is looked for in what is shown.
const SECRET: &str = "cAnArY";

/// Checks the path of a node by both rules.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    let plain = node_path::validate(path);
    // A number is put behind it before it is a node's path.
    let numbered = node_path::validate(&format!("{path}0000000001"));
    assert_eq!(node_path::validate_sequential(path).is_ok(), numbered.is_ok(), "{path:?}");
    if plain.is_ok() {
        assert!(path.starts_with('/') && !path.contains("//") && !path.contains('\0'));
    }
}

/// Reads what a process tells its guardian of a session. Nothing is shown of what is wrong with it.
pub(crate) fn ticket(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<SessionTicket>() {
        Ok(ticket) => {
            let secret = ticket.secret_text();
            let again = secret.parse::<SessionTicket>().map(|again| again.secret_text());
            assert_eq!(again.ok(), Some(secret), "what was read is written alike");
        }
        Err(error) => assert!(text.len() < 8 || !error.to_string().contains(text)),
    }
}

/// Reads a URL for ZooKeeper.
pub(crate) fn url(bytes: &[u8]) {
    each_form(bytes, |url, secret| show(&ZooKeeperUrl::parse(url), secret));
}

/// Reads a URL for Redis, whose sentinels have a password of their own.
pub(crate) fn redis_url(bytes: &[u8]) {
    each_form(bytes, |url, secret| show(&RedisOptions::parse(url), secret));
    let Ok(url) = std::str::from_utf8(bytes) else { return };
    let and = if url.contains('?') { '&' } else { '?' };
    let with_password = format!("{url}{and}sentinel-password={SECRET}");
    show(&RedisOptions::parse(&with_password), Some(SECRET));
}

/// Reads a URL for Cassandra.
pub(crate) fn cassandra_url(bytes: &[u8]) {
    each_form(bytes, |url, secret| show(&CassandraUrl::parse(url), secret));
}

/// Gives a URL as it is, and then with a password in it that may not be shown, whatever is wrong with the rest.
fn each_form(bytes: &[u8], read: impl Fn(&str, Option<&str>)) {
    let Ok(url) = std::str::from_utf8(bytes) else { return };
    read(url, None);
    if let Some((scheme, rest)) = url.split_once("://") {
        read(&format!("{scheme}://user:{SECRET}@{rest}"), Some(SECRET));
    }
}

/// Writes down all that can be shown of a result, and looks for what must not be in it.
fn show<T: fmt::Debug, E: fmt::Display + fmt::Debug>(parsed: &Result<T, E>, secret: Option<&str>) {
    let shown = match parsed {
        Ok(parsed) => format!("{parsed:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    if let Some(secret) = secret {
        assert!(!shown.contains(secret), "{shown}");
    }
}
