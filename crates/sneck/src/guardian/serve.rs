//! The guardian's own process.

use super::message::{LINE_MAX, Message};
use super::vigil::{Step, Vigil};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, setsid, test_kill_process_group};
use sneck_core::{Error, ErrorKind};
use sneck_zookeeper::{Session, SessionTicket, ZooKeeperUrl};
use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

/// How often it is seen whether anybody of a killed group is left: there is no event for that.
const LOOK: Duration = Duration::from_millis(2);

/// Is the guardian of whoever is at the other end of standard input, until that has died or says that it
/// needs none. To be called by a process that was started for it, before it has threads.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when the process cannot be made one that outlives its owner, and
/// [`ErrorKind::Internal`] when it has no runtime to end the session with.
///
/// ```no_run
/// // The whole of a program that is a guardian and nothing else.
/// fn main() -> Result<(), sneck::Error> {
///     sneck::guardian::serve()
/// }
/// ```
pub fn serve() -> Result<(), Error> {
    // What ends the owner's terminal or group is not meant for us. Whoever leads a group has been given
    // one of its own already. The folder stays, as the URL may name files in it.
    match setsid() {
        Ok(_) | Err(Errno::PERM) => {}
        Err(error) => return Err(failed(ErrorKind::Unavailable, "leave the session", &error)),
    }
    let mut vigil = Vigil::default();
    listen(&mut vigil, std::io::stdin().lock());
    let until = Instant::now() + vigil.timeout();
    loop {
        match vigil.next() {
            Step::Listen | Step::Stop => return Ok(()),
            Step::Kill(group) => {
                let _ = Pid::from_raw(group).map(|group| kill_process_group(group, Signal::KILL));
                vigil.killed();
            }
            // By now the servers have done what is to be done here.
            Step::Look(_) if Instant::now() >= until => return Ok(()),
            Step::Look(group) => {
                let lives = lives(group);
                vigil.looked(lives);
                if lives {
                    std::thread::sleep(LOOK);
                }
            }
            Step::End(store, ticket) => {
                end(&store.0, ticket)?;
                vigil.ended();
            }
        }
    }
}

/// Listens until the owner has died: when all its threads are gone, and nobody has the other end of the
/// pipe any more.
fn listen(vigil: &mut Vigil, pipe: impl Read) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while vigil.next() == Step::Listen {
        line.clear();
        match pipe.by_ref().take(LINE_MAX as u64).read_until(b'\n', &mut line) {
            Ok(0) => vigil.owner_died(),
            Ok(_) => match std::str::from_utf8(&line).ok().and_then(Message::read) {
                Some(message) => vigil.told(message),
                None => vigil.puzzled(),
            },
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // Of a pipe that cannot be read nothing is known.
            Err(_) => {
                vigil.puzzled();
                vigil.owner_died();
            }
        }
    }
}

/// Whether anybody of the group can still do anything. Who is dead may stay in it for as long as a
/// negligent parent does not look.
fn lives(group: i32) -> bool {
    let Some(pid) = Pid::from_raw(group) else { return false };
    // Without permission to signal somebody, somebody is there.
    if test_kill_process_group(pid) == Err(Errno::SRCH) {
        return false;
    }
    // Where the system does not list its processes, the dead count as long as they are there.
    let Ok(listed) = std::fs::read_dir("/proc") else { return true };
    let stats =
        listed.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    let mut any = false;
    for stat in stats {
        any = true;
        if is_alive_in(&stat, group) {
            return true;
        }
    }
    !any
}

/// Whether a line of `/proc/PID/stat` is that of a process of this group that is not dead.
fn is_alive_in(stat: &str, group: i32) -> bool {
    // A process chooses its own name, which may hold anything.
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let (state, _parent, its_group) = (fields.next(), fields.next(), fields.next());
    its_group.and_then(|its_group| its_group.parse().ok()) == Some(group)
        && !matches!(state, Some("Z" | "X" | "x"))
}

/// On a thread of its own, as this one may be within a runtime.
fn end(url: &str, ticket: &SessionTicket) -> Result<(), Error> {
    let options = ZooKeeperUrl::parse(url)?.session;
    let ended = std::thread::scope(|scope| {
        let ending = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime =
                runtime.map_err(|error| failed(ErrorKind::Internal, "start a runtime", &error))?;
            let ended = runtime.block_on(Session::end(options, ticket));
            // A host name may still be being resolved, which must not hold us up.
            runtime.shutdown_background();
            ended.map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))
        };
        scope.spawn(ending).join()
    });
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn failed(kind: ErrorKind, what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(kind, format!("the guardian cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_and_strangers_are_told_from_those_who_live() {
        assert!(is_alive_in("42 (sleep) S 1 7 7 0", 7));
        assert!(is_alive_in("42 (a) Z 1 9) R 1 7 7 0", 7), "whatever it is called");
        assert!(!is_alive_in("42 (sleep) Z 1 7 7 0", 7));
        assert!(!is_alive_in("42 (sleep) S 1 8 7 0", 7));
        assert!(!is_alive_in("", 7));
    }

    #[test]
    fn what_is_not_understood_ends_nothing() {
        let told = |text: &str| {
            let mut vigil = Vigil::default();
            listen(&mut vigil, text.as_bytes());
            matches!(vigil.next(), Step::End(..))
        };
        assert!(told("store zk://a\nsession 1 00 4000\n"));
        assert!(!told("store zk://a\nsession 1 00 4000\nstarting\n"));
        assert!(!told("store zk://a\nsession 1 00 4000\nstart"), "cut off");
        assert!(!told("store zk://a\nsession 1 00 4000\n\u{1b}\n"));
        assert!(!told("store zk://a\nsession 1 00 4000\ndone\n"));
        assert!(!told(""));
    }
}
