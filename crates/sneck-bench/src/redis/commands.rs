//! What clients send, as the server itself sees it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use super::contestants::Contestants;
use crate::reading::Reading;

const LOCKS: usize = 100;
/// What says that nothing more follows.
const END: &str = "sneck-bench-end";

/// The commands of some locks.
#[derive(Debug, Default)]
struct Commands {
    /// What clients sent, by verb.
    sent: BTreeMap<String, usize>,
    /// What scripts ran.
    inside: usize,
}

/// For each contestant, what its locks and unlocks cost. Watching makes the server slow, so nothing is timed
/// meanwhile.
pub(crate) fn measure(contestants: &mut Contestants) -> io::Result<Vec<Reading>> {
    let addr = contestants.addr();
    let mut readings = Vec::new();
    for (at, contestant) in contestants.all.iter_mut().enumerate() {
        // So that the server knows the scripts.
        contestant.cycle("watched", 1)?;
        let commands = watch(addr, || contestant.cycle("watched", LOCKS).map(drop))?;
        let each = |count: usize| Some(count as f64 / LOCKS as f64);
        let verbs: Vec<&str> = commands.sent.keys().map(String::as_str).collect();
        let name = contestant.name();
        let mut put = |what, value| {
            let (ours, theirs) = if at == 0 { (value, None) } else { (None, value) };
            readings.push(Reading { what, unit: "", ours, theirs });
        };
        let sent = format!("{name}: commands for a lock with its unlock ({})", verbs.join(", "));
        put(sent, each(commands.sent.values().sum()));
        put(format!("{name}: what scripts run for these"), each(commands.inside));
    }
    Ok(readings)
}

/// What all clients send while the work is done.
fn watch(addr: SocketAddr, work: impl FnOnce() -> io::Result<()>) -> io::Result<Commands> {
    let mut monitor = TcpStream::connect(addr)?;
    monitor.write_all(b"MONITOR\r\n")?;
    let mut lines = BufReader::new(monitor).lines();
    // From its answer on the server tells everything.
    lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    work()?;
    TcpStream::connect(addr)?.write_all(format!("ECHO {END}\r\n").as_bytes())?;
    let mut commands = Commands::default();
    for line in lines {
        let line = line?;
        if line.contains(END) {
            return Ok(commands);
        }
        commands.add(&line);
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

impl Commands {
    /// A line such as `+1763900000.123456 [0 127.0.0.1:4711] "EVALSHA" ...`, or with `[0 lua]` for what a
    /// script runs.
    fn add(&mut self, line: &str) {
        let Some((who, command)) = line.split_once("] \"") else { return };
        if who.ends_with(" lua") {
            self.inside += 1;
        } else if let Some((verb, _)) = command.split_once('"') {
            *self.sent.entry(verb.to_uppercase()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scripts_run_is_none_of_a_clients() {
        let mut commands = Commands::default();
        commands.add("+1763900000.123456 [0 127.0.0.1:4711] \"evalsha\" \"ab\" \"] \\\"c\"");
        commands.add("+1763900000.123457 [0 lua] \"TIME\"");
        commands.add("+1763900000.123458 [0 127.0.0.1:4711] \"EVALSHA\" \"cd\"");
        assert_eq!(commands.sent.into_iter().collect::<Vec<_>>(), [("EVALSHA".to_owned(), 2)]);
        assert_eq!(commands.inside, 1);
    }
}
