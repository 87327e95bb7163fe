//! What a simulated process sees of the world outside: connections, a clock, the guarded resource, and
//! somebody to tell what happens.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use sneck_core::{Clock, Instant};
use sneck_history::{Event, Say};
use sneck_zookeeper::{Connector, Duplex, Server};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// What a process sends.
#[derive(Debug, Clone)]
pub(crate) enum Up {
    /// A connection is wanted, to one of the servers.
    Open(u64, usize),
    /// Bytes on a connection.
    Bytes(u64, Bytes),
    /// A connection is over.
    Close(u64),
    /// Something is wanted of the resource; the answer names this number.
    Access(u64, Say),
}

/// What comes to a process.
#[derive(Debug, Clone)]
pub(crate) enum Down {
    /// The connection is there.
    Accepted(u64),
    /// There is nobody.
    Refused(u64),
    /// Bytes on a connection.
    Bytes(u64, Bytes),
    /// A connection is over.
    Closed(u64),
    /// The resource's answer: the newest version, if the fence let us pass.
    Answer(u64, Option<u64>),
}

/// What a process has sent and told, each at its time in milliseconds.
pub(crate) type Emitted = (Vec<(u64, Up)>, Vec<(u64, Say)>);

/// A process's end of everything. Clones share it.
#[derive(Clone)]
pub(crate) struct Nic(Arc<Shared>);

struct Shared {
    /// Which process it is.
    host: u32,
    /// By how much its clock is too fast, in millionths.
    drift_ppm: i64,
    origin: tokio::time::Instant,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By how much tokio's clock in the process is late, because the machine was suspended.
    late: Duration,
    sent: Vec<(u64, Up)>,
    told: Vec<(u64, Say)>,
    streams: BTreeMap<u64, Incoming>,
    questions: BTreeMap<u64, oneshot::Sender<Option<u64>>>,
    numbers: u64,
}

/// What has come on a connection and is not read yet.
#[derive(Default)]
struct Incoming {
    opened: Option<oneshot::Sender<bool>>,
    bytes: VecDeque<Bytes>,
    over: bool,
    reader: Option<Waker>,
}

impl Nic {
    /// For a process that begins now, on the runtime that is to run it.
    pub(crate) fn new(host: u32, drift_ppm: i64) -> Self {
        let origin = tokio::time::Instant::now();
        Nic(Arc::new(Shared { host, drift_ppm, origin, inner: Mutex::default() }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time of the run, in nanoseconds.
    pub(crate) fn now_ns(&self) -> u64 {
        let elapsed = self.0.origin.elapsed() + self.inner().late;
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ns() / 1_000_000
    }

    /// Waits until it is that late in the run.
    pub(crate) async fn until(&self, ms: u64) {
        let late = self.inner().late;
        let due = self.0.origin + Duration::from_millis(ms).saturating_sub(late);
        if due > tokio::time::Instant::now() {
            tokio::time::sleep_until(due).await;
        }
    }

    /// The machine was suspended for so long, which tokio's clock has not noticed.
    pub(crate) fn suspended(&self, length: Duration) {
        self.inner().late += length;
    }

    /// What the process's clock shows, as the time of the run.
    pub(crate) fn to_run_ns(&self, instant: Instant) -> u64 {
        let shown = u128::from(instant.as_nanos().saturating_sub(CLOCK_BASE_NS));
        let rate = u128::from(1_000_000_u64.saturating_add_signed(self.0.drift_ppm));
        u64::try_from(shown * 1_000_000 / rate).unwrap_or(u64::MAX)
    }

    /// Writes down what happens now.
    pub(crate) fn tell(&self, event: Event) {
        let now = self.now_ms();
        self.inner().told.push((now, Say::Event(event)));
    }

    /// Asks something of the resource, which is far away. Gives the newest version, if it lets us.
    pub(crate) async fn access(&self, say: Say) -> Option<u64> {
        let answer = self.question(say);
        answer.await.ok().flatten()
    }

    fn question(&self, say: Say) -> oneshot::Receiver<Option<u64>> {
        let now = self.now_ms();
        let (sender, answer) = oneshot::channel();
        let mut inner = self.inner();
        let number = inner.next_number();
        inner.questions.insert(number, sender);
        inner.sent.push((now, Up::Access(number, say)));
        answer
    }

    /// Lets something in.
    pub(crate) fn take(&self, down: Down) {
        let mut inner = self.inner();
        let Inner { streams, questions, .. } = &mut *inner;
        let mut waker = None;
        match down {
            Down::Accepted(connection) | Down::Refused(connection) => {
                let accepted = matches!(down, Down::Accepted(_));
                let opened = streams.get_mut(&connection).and_then(|one| one.opened.take());
                // Whoever waited for it may have lost patience.
                let _ = opened.map(|opened| opened.send(accepted));
            }
            Down::Bytes(connection, bytes) => {
                if let Some(one) = streams.get_mut(&connection) {
                    one.bytes.push_back(bytes);
                    waker = one.reader.take();
                }
            }
            Down::Closed(connection) => {
                if let Some(one) = streams.get_mut(&connection) {
                    one.over = true;
                    one.opened = None;
                    waker = one.reader.take();
                }
            }
            Down::Answer(number, version) => {
                let _ = questions.remove(&number).map(|answer| answer.send(version));
            }
        }
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
    }

    /// What the process has sent and told since this was last asked.
    pub(crate) fn emptied(&self) -> Emitted {
        let mut inner = self.inner();
        (std::mem::take(&mut inner.sent), std::mem::take(&mut inner.told))
    }

    fn send(&self, up: Up) {
        let now = self.now_ms();
        self.inner().sent.push((now, up));
    }
}

impl Inner {
    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl fmt::Debug for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0.host)
    }
}

/// The port of the first of the servers. The others have those after it.
pub(crate) const FIRST_PORT: u16 = Server::PORT_DEFAULT;

/// What a process's clock shows when the run begins.
const CLOCK_BASE_NS: u64 = 1_000_000_000_000;

impl Clock for Nic {
    fn now(&self) -> Instant {
        let rate = u128::from(1_000_000_u64.saturating_add_signed(self.0.drift_ppm));
        let shown = u128::from(self.now_ns()) * rate / 1_000_000;
        Instant::from_nanos(CLOCK_BASE_NS + u64::try_from(shown).unwrap_or(u64::MAX / 2))
    }

    fn time_of_day(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            + Duration::from_secs(1_800_000_000)
            + Duration::from_nanos(self.now_ns())
    }
}

#[async_trait]
impl Connector for Nic {
    async fn connect(&self, server: &Server) -> io::Result<Box<dyn Duplex>> {
        let (sender, opened) = oneshot::channel();
        let number = {
            let mut inner = self.inner();
            let number = u64::from(self.0.host) << 32 | inner.next_number();
            inner.streams.insert(number, Incoming { opened: Some(sender), ..Incoming::default() });
            number
        };
        // Whoever loses patience closes it.
        let stream = Stream { nic: self.clone(), number };
        self.send(Up::Open(number, usize::from(server.port - FIRST_PORT)));
        match opened.await {
            Ok(true) => Ok(Box::new(stream)),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// A connection, until it is dropped.
struct Stream {
    nic: Nic,
    number: u64,
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.nic.inner();
        let Some(incoming) = inner.streams.get_mut(&self.number) else {
            return Poll::Ready(Ok(()));
        };
        if let Some(mut bytes) = incoming.bytes.pop_front() {
            let rest = bytes.split_off(bytes.len().min(buffer.remaining()));
            buffer.put_slice(&bytes);
            if !rest.is_empty() {
                incoming.bytes.push_front(rest);
            }
            return Poll::Ready(Ok(()));
        }
        if incoming.over {
            return Poll::Ready(Ok(()));
        }
        incoming.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.nic.send(Up::Bytes(self.number, Bytes::copy_from_slice(bytes)));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.nic.inner().streams.remove(&self.number);
        self.nic.send(Up::Close(self.number));
    }
}
