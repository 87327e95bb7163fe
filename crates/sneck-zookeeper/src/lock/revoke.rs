//! Asking the holders of a lock to let go.

use super::backend::ZooKeeper;
use super::seat::{REVOKE, description, is_revoked};
use super::survey::path_of;
use crate::error::RequestError;
use crate::session::{Node, Session};
use sneck_core::{Caller, Contender, Error, Name};
use sneck_wire::ErrorCode;

impl ZooKeeper {
    /// Writes the request into the nodes of all holders.
    pub(super) async fn ask_back(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let dir = self.path(name)?;
        let session = self.session().await?;
        let failed =
            |error: &RequestError| self.layout.failure(error, "asking a holder").with_lock(name);
        let mut asked = Vec::new();
        let line = self.line_of(&session, &dir).await.map_err(|error| failed(&error))?;
        for holder in line.into_iter().filter(|spotted| spotted.held) {
            let path = path_of(&dir, &holder.place);
            match ask_holder(&session, &path).await {
                Ok(node) => asked.push(holder.contender(self.layout.options.dialect, &node)),
                // It has left since.
                Err(RequestError::Refused(ErrorCode::NO_NODE)) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(asked)
    }
}

/// Asks one holder, once it has not been asked yet.
async fn ask_holder(session: &Session, path: &str) -> Result<Node, RequestError> {
    loop {
        let node = session.get_data(path).await?;
        if is_revoked(&node.data) {
            return Ok(node);
        }
        match session.set_data(path, request_to(&node.data), Some(node.stat.version)).await {
            Ok(_) => return Ok(node),
            // Its holder, or somebody else who asks, was faster.
            Err(RequestError::Refused(ErrorCode::BAD_VERSION) | RequestError::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What to write where a holder has written this. Curator knows its request only by itself; where we
/// wrote who we are, that stays behind the request.
fn request_to(data: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(description(data));
    match Caller::parse(&text) {
        Some(_) => [REVOKE, b" ", data].concat(),
        None => REVOKE.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_what_we_wrote_and_is_curators_elsewhere() {
        let ours = b"host=web-3 pid=7 by=sneck";
        let asked = request_to(ours);
        assert!(is_revoked(&asked) && !is_revoked(ours));
        assert_eq!(description(&asked), ours);
        for theirs in [&b"127.0.0.1"[..], b""] {
            assert_eq!(request_to(theirs), b"__REVOKE__");
        }
        assert_eq!(description(b"__REVOKE__"), b"");
    }
}
