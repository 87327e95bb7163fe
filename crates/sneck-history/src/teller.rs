//! Whoever tells the arbiter what happened.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::{Event, LINE_BYTES_MAX, Message, Reply, Say, monotonic_ns};

/// A connection of one client, or of an observer, to the arbiter.
///
/// Each message waits for its answer, as the rule of histories demands: what is about to be called
/// is written down before the call, and what came of it after.
#[derive(Debug)]
pub struct Teller {
    client: Option<u32>,
    stream: BufReader<UnixStream>,
}

/// What was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// As which entry.
    pub seq: u64,
    /// When.
    pub at_ns: u64,
}

/// What became of a read or a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Whether the fence let it pass.
    pub admitted: bool,
    /// The newest version.
    pub version: u64,
}

impl Teller {
    /// Connects as a client, or as somebody else.
    ///
    /// # Errors
    /// When no arbiter listens there.
    pub fn connect(path: &Path, client: Option<u32>) -> io::Result<Teller> {
        Ok(Teller { client, stream: BufReader::new(UnixStream::connect(path)?) })
    }

    /// Tells of something that happens now.
    ///
    /// # Errors
    /// When it was refused, or the arbiter is gone: the history is not to be trusted from here on.
    pub fn tell(&mut self, event: Event) -> io::Result<Stamp> {
        self.tell_of(monotonic_ns(), event)
    }

    /// Tells of something that happened at a time, which was read by [`monotonic_ns`].
    ///
    /// # Errors
    /// As [`Teller::tell`].
    pub fn tell_of(&mut self, own_ns: u64, event: Event) -> io::Result<Stamp> {
        match self.send(own_ns, Say::Event(event))? {
            Reply::Stamped { seq, at_ns, .. } => Ok(Stamp { seq, at_ns }),
            Reply::Refused { reason } => Err(io::Error::other(reason)),
        }
    }

    /// Reads what a lock protects.
    ///
    /// # Errors
    /// As [`Teller::tell`]. That the fence refused is none.
    pub fn read(&mut self, lock: &str, attempt: u64, token: Option<u64>) -> io::Result<Access> {
        self.access(Say::Read { lock: lock.to_owned(), attempt, token })
    }

    /// Writes what a lock protects, in place of the version that was read.
    ///
    /// # Errors
    /// As [`Teller::tell`]. That the fence refused is none.
    pub fn write(
        &mut self,
        lock: &str,
        attempt: u64,
        token: Option<u64>,
        base: Option<u64>,
    ) -> io::Result<Access> {
        self.access(Say::Write { lock: lock.to_owned(), attempt, token, base })
    }

    fn access(&mut self, say: Say) -> io::Result<Access> {
        match self.send(monotonic_ns(), say)? {
            Reply::Stamped { admitted: Some(admitted), version: Some(version), .. } => {
                Ok(Access { admitted, version })
            }
            Reply::Stamped { .. } => Err(io::Error::other("the arbiter did not say what it did")),
            Reply::Refused { reason } => Err(io::Error::other(reason)),
        }
    }

    fn send(&mut self, own_ns: u64, say: Say) -> io::Result<Reply> {
        let own_ns = self.client.map(|_| own_ns);
        let mut line = serde_json::to_vec(&Message { client: self.client, own_ns, say })?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line)?;
        line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        io::Read::take(&mut self.stream, limit).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_slice(&line)?)
    }
}
