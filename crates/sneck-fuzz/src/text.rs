//! What people and programs write as text: paths of nodes, and URLs.

use std::fmt;

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

/// Reads a URL. Whatever is wrong with it, the password is not shown.
pub(crate) fn url(bytes: &[u8]) {
    let Ok(url) = std::str::from_utf8(bytes) else { return };
    show(ZooKeeperUrl::parse(url), None);
    if let Some((scheme, rest)) = url.split_once("://") {
        let with_password = format!("{scheme}://user:{SECRET}@{rest}");
        show(ZooKeeperUrl::parse(&with_password), Some(SECRET));
    }
}

/// Writes down all that can be shown of a result, and looks for what must not be in it.
fn show<E: fmt::Display + fmt::Debug>(parsed: Result<ZooKeeperUrl, E>, secret: Option<&str>) {
    let shown = match &parsed {
        Ok(parsed) => format!("{parsed:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    if let Some(secret) = secret {
        assert!(!shown.contains(secret), "{shown}");
    }
}
