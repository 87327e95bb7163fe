//! An arbiter that processes of a machine can reach: lines of JSON over a Unix socket.
//!
//! One thread for each client, and one lock around arbiter and file: the order of entries is the
//! order in which that lock was had, and an answer is sent after its entry is written.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::{Arbiter, Header, HistoryWriter, LINE_BYTES_MAX, Message, Reply, monotonic_ns};

/// How many clients may be connected at the same time. Those beyond are hung up on.
pub const CLIENTS_MAX: usize = 256;

/// An arbiter at work.
///
/// The history is handed to its output entry by entry, without a buffer: whoever kills the process
/// finds a history that is whole up to its last line.
#[derive(Debug)]
pub struct Desk {
    path: PathBuf,
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    book: Mutex<Book>,
    clients: AtomicUsize,
}

struct Book {
    arbiter: Arbiter,
    writer: HistoryWriter<Box<dyn Write + Send>>,
    /// Why nothing is written any more.
    closed: Option<String>,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Book { arbiter, closed, .. } = self;
        f.debug_struct("Book").field("arbiter", arbiter).field("closed", closed).finish()
    }
}

impl Desk {
    /// Listens on a socket that does not exist yet, and writes the history with this header.
    ///
    /// # Errors
    /// When the socket cannot be made, or the header not written.
    pub fn open(
        path: &Path,
        header: &Header,
        output: impl Write + Send + 'static,
    ) -> io::Result<Desk> {
        let writer = HistoryWriter::new(Box::new(output) as Box<dyn Write + Send>, header)?;
        let listener = UnixListener::bind(path)?;
        let book = Mutex::new(Book { arbiter: Arbiter::default(), writer, closed: None });
        let open = Arc::new(Open { book, clients: AtomicUsize::new(0) });
        let accepting = Arc::clone(&open);
        std::thread::Builder::new()
            .name("arbiter".into())
            .spawn(move || accepting.accept(&listener))?;
        Ok(Desk { path: path.to_owned(), open })
    }

    /// Takes no more messages, and says how many entries the history has.
    ///
    /// # Errors
    /// When the history could not be written to its end; it is whole up to an earlier entry.
    pub fn close(self) -> io::Result<u64> {
        let mut book = self.open.book();
        let entries = book.arbiter.entries();
        let failed = book.closed.replace("the history is closed".into());
        let flushed = book.writer.flush();
        drop(book);
        // Whoever accepts notices at the next client.
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
        match failed {
            Some(reason) => Err(io::Error::other(reason)),
            None => flushed.map(|()| entries),
        }
    }
}

impl Open {
    fn book(&self) -> MutexGuard<'_, Book> {
        // A thread that panicked has changed either nothing or everything of one entry.
        self.book.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &UnixListener) {
        for stream in listener.incoming() {
            if self.book().closed.is_some() {
                return;
            }
            let Ok(stream) = stream else { continue };
            if self.clients.fetch_add(1, Ordering::Relaxed) >= CLIENTS_MAX {
                self.clients.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let serving = Arc::clone(self);
            let served =
                std::thread::Builder::new().name("arbiter's client".into()).spawn(move || {
                    // A client that hangs up, or is killed, is nothing to tell.
                    let _ = serving.serve(&stream);
                    serving.clients.fetch_sub(1, Ordering::Relaxed);
                });
            if served.is_err() {
                self.clients.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn serve(&self, stream: &UnixStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = LINE_BYTES_MAX as u64 + 1;
            io::Read::take(&mut reader, limit).read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                // The end, or a line without one.
                return Ok(());
            }
            let reply = match serde_json::from_slice(&line) {
                Ok(message) => self.take(message),
                Err(error) => Reply::Refused { reason: error.to_string() },
            };
            let mut answer = serde_json::to_vec(&reply)?;
            answer.push(b'\n');
            (&mut &*stream).write_all(&answer)?;
        }
    }

    fn take(&self, message: Message) -> Reply {
        let mut book = self.book();
        if let Some(reason) = &book.closed {
            return Reply::Refused { reason: reason.clone() };
        }
        // Read under the lock, so that stamps are in the order of entries.
        match book.arbiter.take(message, monotonic_ns()) {
            Err(refusal) => Reply::Refused { reason: refusal.to_string() },
            Ok((entry, reply)) => match book.writer.write(&entry) {
                Ok(()) => reply,
                Err(error) => {
                    let reason = format!("the history cannot be written: {error}");
                    book.closed = Some(reason.clone());
                    Reply::Refused { reason }
                }
            },
        }
    }
}
