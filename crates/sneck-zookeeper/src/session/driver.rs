//! The thin driver of a session: connects, moves bytes, and watches the clock. What they mean is the
//! machine's affair.

use super::machine::{Broken, Effects, Machine};
use super::shared::Shared;
use crate::error::{ConnectError, End};
use crate::options::SessionOptions;
use crate::server::Server;
use crate::transport::Duplex;
use bytes::BytesMut;
use sneck_core::{Backoff, Instant};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Runs a session until it is over.
pub(crate) async fn run(shared: Arc<Shared>, options: SessionOptions, seed: u64) {
    let driven = Driven(shared);
    let shared = &*driven.0;
    let mut dialer = Dialer::new(options, seed);
    while shared.state_now().end().is_none() {
        let server = dialer.server().clone();
        let failure = match dialer.dial(&server, shared.connect_max()).await {
            Ok(stream) => serve(shared, stream).await,
            Err(failure) => failure,
        };
        let greeted = shared.was_serving();
        shared.step(|machine, now, effects| machine.on_disconnection(now, effects));
        if greeted {
            dialer.worked();
        }
        dialer.failed(shared, server, failure);
        tokio::select! {
            biased;
            // A session that is being closed, or over, has no time to wait.
            () = shared.closing() => {}
            () = dialer.pause(shared.connect_max()) => {}
        }
    }
}

/// Ends the session when its driver goes away, as it does with its runtime: claims on other runtimes must
/// not go on believing in it.
struct Driven(Arc<Shared>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.step(|machine, _, effects| machine.abandon(effects));
    }
}

/// Serves one connection until it breaks, and says why it did.
async fn serve(shared: &Shared, stream: Box<dyn Duplex>) -> Failure {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut incoming = BytesMut::new();
    let mut outgoing = BytesMut::new();
    let mut flush = false;
    let mut alarm = Alarm::new(shared);
    let mut crowd = false;
    if let Err(broken) = shared.step(|machine, now, _| machine.on_connection(now)) {
        return broken.into();
    }
    loop {
        if std::mem::take(&mut crowd) {
            tokio::task::yield_now().await;
        }
        if outgoing.is_empty() {
            outgoing = shared.lock().outgoing().split();
        }
        incoming.reserve(READ_BYTES);
        // In a fixed order, so that a run can be repeated. Answers come before the alarm: after a time in
        // which this process was stopped they are there, and are no silence. None of the four is ready
        // for ever: what may be sent is bounded by what is in flight, and tokio lets no task read on and
        // on.
        let step = tokio::select! {
            biased;
            sent = send(&mut writer, &mut outgoing), if flush || !outgoing.is_empty() => {
                sent.map(|to_flush| flush = to_flush).map_err(Failure::from)
            }
            read = reader.read_buf(&mut incoming) => match read {
                Ok(0) => Err(Failure::HungUp),
                Ok(_) => receive(shared, &mut incoming).map(|answered| crowd = answered >= CROWD),
                Err(error) => Err(error.into()),
            },
            () = alarm.rings(shared) => {
                shared.step(|machine, now, _| machine.on_time(now)).map_err(Failure::from)
            }
            () = shared.wake.notified() => Ok(()),
        };
        if let Err(failure) = step {
            return failure;
        }
    }
}

/// Writes what there is, or flushes when all is written; says whether there is something to flush.
/// Cancel safe, so that a peer that does not read cannot keep us from reading.
async fn send(writer: &mut (impl AsyncWrite + Unpin), outgoing: &mut BytesMut) -> io::Result<bool> {
    if outgoing.is_empty() {
        writer.flush().await?;
        return Ok(false);
    }
    writer.write_buf(outgoing).await?;
    Ok(true)
}

/// Room made for each read. Larger replies take several.
const READ_BYTES: usize = 16 << 10;

/// So many answers at once have woken several tasks, each of which may ask for something more. They are let
/// go first, so that what they ask for goes out together. One task has two answers at once when it took a lock.
const CROWD: usize = 3;

/// Takes what came; says how many requests it has answered.
fn receive(shared: &Shared, incoming: &mut BytesMut) -> Result<usize, Failure> {
    let on_bytes = |machine: &mut Machine, now: Instant, effects: &mut Effects| {
        machine.on_bytes(now, incoming, effects).map(|()| effects.answers())
    };
    shared.step(on_bytes).map_err(Failure::from)
}

/// A timer that is set again only when it has rung too early, because what it waits for nearly always
/// moves away before it rings, and setting a timer for each request would cost more than the request.
struct Alarm {
    until: Instant,
    sleep: std::pin::Pin<Box<tokio::time::Sleep>>,
}

impl Alarm {
    fn new(shared: &Shared) -> Self {
        Alarm { until: shared.now(), sleep: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }

    /// Resolves when the machine's alarm is due. Cancel safe.
    async fn rings(&mut self, shared: &Shared) {
        loop {
            let (now, due) = (shared.now(), shared.lock().alarm());
            if due <= now {
                return;
            }
            if due < self.until || self.sleep.is_elapsed() {
                // At most a second, because tokio's timers stand still while the machine is suspended.
                let nap = due.since(now).min(Duration::from_secs(1));
                self.until = now + nap;
                self.sleep.as_mut().reset(tokio::time::Instant::now() + nap);
            }
            self.sleep.as_mut().await;
        }
    }
}

/// Goes through the servers in random order, again and again.
struct Dialer {
    options: SessionOptions,
    next: usize,
    backoff: Backoff,
    /// Attempts that failed since the last full round, and whether it is of no use to go on after them
    /// where there is no session yet.
    failed: usize,
    hopeless: bool,
}

impl Dialer {
    fn new(mut options: SessionOptions, seed: u64) -> Self {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2), seed);
        for at in (1..options.servers.len()).rev() {
            options.servers.swap(at, backoff.pick(at + 1));
        }
        Dialer { options, next: 0, backoff, failed: 0, hopeless: true }
    }

    fn server(&self) -> &Server {
        &self.options.servers[self.next]
    }

    async fn dial(&self, server: &Server, limit: Duration) -> Result<Box<dyn Duplex>, Failure> {
        match tokio::time::timeout(limit, self.options.connector.connect(server)).await {
            Ok(stream) => Ok(stream?),
            Err(_) => Err(Failure::Silent),
        }
    }

    /// The connection that has failed now did serve: a new round of attempts begins.
    fn worked(&mut self) {
        self.backoff.reset();
        (self.failed, self.hopeless) = (0, true);
    }

    /// Notes a failure, and ends a session that has not begun when no server is what it should be.
    fn failed(&mut self, shared: &Shared, server: Server, failure: Failure) {
        self.hopeless &=
            failure.is_hopeless() || (failure.is_refusal() && !self.options.retry_refused);
        self.failed += 1;
        self.next = (self.next + 1) % self.options.servers.len();
        let error = failure.error(&self.options.connector.describe(&server));
        shared.note_failure(server, error);
        if self.failed >= self.options.servers.len() {
            if self.hopeless {
                shared.give_up_opening();
            }
            (self.failed, self.hopeless) = (0, true);
        }
    }

    /// A connection that worked is replaced at once by another server's; after a whole round without
    /// one there is a pause. A short one if the session's timeout is short, because servers that come
    /// back give the session no more time than that.
    async fn pause(&mut self, pause_max: Duration) {
        if self.failed == 0 {
            let pause = self.backoff.pause().min(pause_max);
            tokio::time::sleep(pause).await;
        }
    }
}

/// Why a connection failed.
#[derive(Debug)]
enum Failure {
    Io(io::Error),
    HungUp,
    Silent,
    Broken(Broken),
}

impl Failure {
    /// Whether the next attempt would fail in the same way.
    fn is_hopeless(&self) -> bool {
        match self {
            Failure::Io(error) => {
                matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
                    || error.kind() == io::ErrorKind::NotFound
            }
            Failure::Broken(Broken::Protocol(_)) => true,
            Failure::HungUp | Failure::Silent | Failure::Broken(_) => false,
        }
    }

    /// Whether nobody listens there, for the time being.
    fn is_refusal(&self) -> bool {
        matches!(self, Failure::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    fn error(&self, server: &str) -> ConnectError {
        let text = format!("{server}: {self}");
        match self {
            Failure::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                ConnectError::Tls(text.into())
            }
            Failure::Broken(Broken::Protocol(_)) => ConnectError::NotZooKeeper(text),
            _ => ConnectError::Unreachable(text),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Silent => Failure::Silent,
            broken => Failure::Broken(broken),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Io(error) => write!(f, "{error}"),
            Failure::HungUp => f.write_str(
                "it hung up (it may not be serving yet, be read-only, expect TLS, or refuse more clients)",
            ),
            Failure::Silent => f.write_str("no answer in time"),
            Failure::Broken(Broken::Protocol(why)) => f.write_str(why),
            Failure::Broken(Broken::Moved) => {
                f.write_str("the session moved to another connection")
            }
            Failure::Broken(Broken::Over | Broken::Silent) => write!(f, "{}", End::Expired),
        }
    }
}
