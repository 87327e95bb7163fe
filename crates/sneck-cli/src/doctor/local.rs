//! The server that the processes of this user share.

use super::check::{Check, Verdict};
use super::server;
use rustix::fs::{StatVfs, statvfs};
use sneck::local::Local;
use tokio::net::UnixStream;

/// Below this there is soon no room for what has to be written down.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// Examines the server, which is started if there is none.
pub(crate) async fn examine(local: &Local) -> Vec<Check> {
    let options = local.options().session;
    let Some(server) = options.servers.first().cloned() else { return Vec::new() };
    let mut checks = server::talk(&server, options).await;
    // By now it runs if it can.
    checks.insert(0, process(local).await);
    checks.push(data(local));
    let socket = Check::new("socket", Verdict::Ok, local.socket().display().to_string());
    checks.insert(0, socket);
    let label = local.url();
    checks.into_iter().map(|check| check.at(&label)).collect()
}

/// The process at the other end of the socket, as the system knows it.
async fn process(local: &Local) -> Check {
    let stream = UnixStream::connect(local.socket()).await;
    let pid = stream.and_then(|stream| stream.peer_cred()).ok().and_then(|peer| peer.pid());
    match pid {
        // A process outside of our container has no number here.
        Some(pid @ 1..) => Check::new("process", Verdict::Ok, format!("pid {pid}")),
        _ => Check::new("process", Verdict::Unknown, "its pid cannot be learnt"),
    }
}

fn data(local: &Local) -> Check {
    let folder = local.data();
    let says = format!("in {}; log in {}", folder.display(), local.log().display());
    match statvfs(&folder) {
        Ok(StatVfs { f_bavail, f_frsize, .. }) => match f_bavail.saturating_mul(f_frsize) {
            FREE_BYTES_MIN.. => Check::new("data", Verdict::Ok, says),
            free => {
                let says = format!("{says}; only {} MiB are free there", free >> 20);
                Check::new("data", Verdict::Warning, says)
                    .with_hint("no lock can be taken once the disk is full; make room")
            }
        },
        Err(error) => {
            let says = format!("{}: {error}", folder.display());
            Check::new("data", Verdict::Failure, says)
        }
    }
}
