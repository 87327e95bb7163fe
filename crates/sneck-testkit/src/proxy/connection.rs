//! One connection through a proxy: two pumps that take frames apart and put them on.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant as Moment;

use bytes::{BufMut, Bytes, BytesMut};
use sneck_wire::jute::Reader;
use sneck_wire::{
    ConnectReply, FrameDecoder, OpCode, decode_reply_header, decode_request_header, encode_frame,
    xid,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::rules::{Fate, Then};
use super::traffic::{SeenRequest, SeenSession};
use super::{Shared, Weather, lock};

/// Longer frames are taken for something that is not ZooKeeper. What CQL begins with would be one of 64 MB.
const FRAME_BYTES_MAX: usize = 32 << 20;
/// Most read at once.
const READ_BYTES: usize = 64 << 10;

/// Why a connection is over, when it is not by both sides closing it.
struct Reset;

impl From<io::Error> for Reset {
    fn from(_: io::Error) -> Reset {
        // Whatever failed on one side, a reset is how the other side learns of it.
        Reset
    }
}

/// Returns when the weather is so.
async fn until(weather: &mut watch::Receiver<Weather>, so: impl FnMut(&Weather) -> bool) {
    // An error would mean that the proxy is gone, and this connection's task with it.
    let _ = weather.wait_for(so).await;
}

/// Carries one connection to its end.
pub(super) async fn carry(mut near: TcpStream, shared: Arc<Shared>) {
    let number = lock(&shared.traffic).on_connection();
    let weather = shared.weather.subscribe();
    let born = weather.borrow().clone();
    let reset = async |mut weather: watch::Receiver<Weather>| {
        until(&mut weather, |weather| weather.resets != born.resets).await;
    };
    let target = *lock(&shared.target);
    let far = tokio::select! {
        () = reset(weather.clone()) => None,
        far = async {
            until(&mut weather.clone(), |weather| weather.requests_pass).await;
            TcpStream::connect(target).await.ok()
        } => far,
    };
    let Some(mut far) = far else {
        // Where it fails the client sees an orderly end instead, which will do.
        let _ = near.set_zero_linger();
        return;
    };
    // Without it, frames that the client sent apart could reach the server together.
    let _ = near.set_nodelay(true).and(far.set_nodelay(true));
    let waiting = Mutex::default();
    let over = {
        let (near_read, near_write) = near.split();
        let (far_read, far_write) = far.split();
        let pump = |read, write| Pump {
            source: Source { read, buffer: BytesMut::new(), framed: true },
            write,
            shared: &shared,
            waiting: &waiting,
            connection: number,
            weather: shared.weather.subscribe(),
            born: born.clone(),
        };
        let requests = pump(near_read, far_write).requests();
        let replies = pump(far_read, near_write).replies();
        tokio::select! {
            both = async { tokio::try_join!(requests, replies) } => both.map(drop),
            () = reset(weather) => Err(Reset),
        }
    };
    if over.is_err() {
        let _ = near.set_zero_linger().and(far.set_zero_linger());
    }
}

/// A request whose reply has not come yet.
#[derive(Debug)]
struct Waiting {
    xid: i32,
    fate: Option<Fate>,
}

/// One direction of a connection.
struct Pump<'a> {
    source: Source<'a>,
    write: WriteHalf<'a>,
    shared: &'a Shared,
    waiting: &'a Mutex<VecDeque<Waiting>>,
    connection: u64,
    weather: watch::Receiver<Weather>,
    born: Weather,
}

impl Pump<'_> {
    async fn requests(mut self) -> Result<(), Reset> {
        let mut ends = self.weather.clone();
        let mut shaken_hands = false;
        loop {
            let piece = tokio::select! {
                piece = self.source.next() => piece?,
                () = until(&mut ends, |weather| weather.request_ends != self.born.request_ends) => {
                    return self.end().await;
                }
            };
            self.dawdle().await;
            until(&mut self.weather, |weather| weather.requests_pass).await;
            match piece {
                Piece::End => return Ok(self.write.shutdown().await?),
                Piece::Raw(bytes) => self.write(&bytes).await?,
                Piece::Frame(content) if !shaken_hands => {
                    shaken_hands = true;
                    let forgotten = self.weather.borrow().sessions_forgotten;
                    let content = if forgotten { forget_session(&content) } else { content };
                    self.put_request(&content).await?;
                }
                Piece::Frame(content) => self.request(&content).await?,
            }
        }
    }

    async fn request(&mut self, content: &Bytes) -> Result<(), Reset> {
        let Ok((header, _)) = decode_request_header(content) else {
            return self.put_request(content).await;
        };
        let (lost, reply_lost) = lock(&self.shared.rules).on_request(header.op);
        let seen = SeenRequest {
            connection: self.connection,
            xid: header.xid,
            op: OpCode::try_from(header.op).ok(),
            path: path(header.op, content),
            at: Moment::now(),
            forwarded: lost.is_none(),
        };
        lock(&self.shared.traffic).on_request(header.op, seen);
        if let Some(fate) = lost {
            return self.lose(fate);
        }
        lock(self.waiting).push_back(Waiting { xid: header.xid, fate: reply_lost });
        self.put_request(content).await
    }

    async fn replies(mut self) -> Result<(), Reset> {
        let mut ends = self.weather.clone();
        let mut late: VecDeque<(Instant, Bytes)> = VecDeque::new();
        let mut shaken_hands = false;
        loop {
            let due = late.front().map(|(due, _)| *due);
            let piece = tokio::select! {
                piece = self.source.next() => piece?,
                () = async { sleep_until(due.unwrap_or_else(Instant::now)).await },
                    if due.is_some() => {
                    until(&mut self.weather, |weather| weather.replies_pass).await;
                    if let Some((_, event)) = late.pop_front() {
                        self.put_event(&event).await?;
                    }
                    continue;
                }
                () = until(&mut ends, |weather| weather.reply_ends != self.born.reply_ends) => {
                    return self.end().await;
                }
            };
            self.dawdle().await;
            until(&mut self.weather, |weather| weather.replies_pass).await;
            match piece {
                Piece::End => return Ok(self.write.shutdown().await?),
                Piece::Raw(bytes) => self.write(&bytes).await?,
                Piece::Frame(content) if !shaken_hands => {
                    shaken_hands = true;
                    self.session(&content);
                    self.put_reply(&content).await?;
                }
                Piece::Frame(content) => self.reply(content, &mut late).await?,
            }
        }
    }

    async fn reply(
        &mut self,
        content: Bytes,
        late: &mut VecDeque<(Instant, Bytes)>,
    ) -> Result<(), Reset> {
        let Ok((header, _)) = decode_reply_header(&content) else {
            return self.put_reply(&content).await;
        };
        if header.xid != xid::NOTIFICATION {
            return match self.fate_of_reply(header.xid) {
                Some(fate) => self.lose(fate),
                None => self.put_reply(&content).await,
            };
        }
        if lock(&self.shared.rules).on_event() {
            lock(&self.shared.traffic).counts.lost += 1;
            return Ok(());
        }
        let late_by = self.weather.borrow().events_late_by;
        if late_by.is_zero() && late.is_empty() {
            return self.put_event(&content).await;
        }
        // Events stay in order among themselves, also when the delay is made shorter.
        let after = late.back().map(|(due, _)| *due);
        late.push_back((
            (Instant::now() + late_by).max(after.unwrap_or_else(Instant::now)),
            content,
        ));
        Ok(())
    }

    fn fate_of_reply(&self, xid: i32) -> Option<Fate> {
        let mut waiting = lock(self.waiting);
        let at = waiting.iter().position(|waiting| waiting.xid == xid)?;
        waiting.remove(at)?.fate
    }

    fn session(&self, content: &[u8]) {
        let Ok(reply) = ConnectReply::decode(&mut Reader::new(content)) else { return };
        lock(&self.shared.traffic).on_session(SeenSession {
            connection: self.connection,
            session_id: reply.session_id,
            timeout_ms: reply.timeout_ms,
            password: reply.password,
            at: std::time::Instant::now(),
        });
    }

    /// What a slow network takes for a frame.
    async fn dawdle(&self) {
        let late_by = self.weather.borrow().frames_late_by;
        if !late_by.is_zero() {
            tokio::time::sleep(late_by).await;
        }
    }

    fn lose(&self, fate: Fate) -> Result<(), Reset> {
        lock(&self.shared.traffic).counts.lost += 1;
        match fate.fulfil() {
            Then::Nothing => Ok(()),
            Then::Reset => Err(Reset),
        }
    }

    // Counted before it is written: who has the answer shall find it counted.
    async fn put_request(&mut self, content: &Bytes) -> Result<(), Reset> {
        lock(&self.shared.traffic).on_forwarded_request(framed_length(content));
        Ok(self.put(content).await?)
    }

    async fn put_reply(&mut self, content: &Bytes) -> Result<(), Reset> {
        lock(&self.shared.traffic).on_forwarded_reply(framed_length(content));
        Ok(self.put(content).await?)
    }

    async fn put_event(&mut self, content: &Bytes) -> Result<(), Reset> {
        lock(&self.shared.traffic).counts.events += 1;
        self.put_reply(content).await
    }

    async fn put(&mut self, content: &Bytes) -> io::Result<()> {
        let mut frame = BytesMut::with_capacity(framed_length(content));
        encode_frame(&mut frame, |out| out.put_slice(content));
        self.write(&frame).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.weather.borrow().split {
            return self.write.write_all(bytes).await;
        }
        for byte in bytes {
            self.write.write_all(&[*byte]).await?;
            // The reader gets a chance to see the bytes one by one.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Ends this direction towards the receiver; what the sender still says goes nowhere.
    async fn end(&mut self) -> Result<(), Reset> {
        self.write.shutdown().await?;
        while !matches!(self.source.next().await?, Piece::End) {}
        Ok(())
    }
}

/// The client's handshake as that of one who has no session: the session stands behind protocol, last
/// zxid and timeout, and its password behind it.
fn forget_session(content: &Bytes) -> Bytes {
    const SESSION: std::ops::Range<usize> = 16..24;
    const PASSWORD: std::ops::Range<usize> = 28..44;
    let mut content = content.to_vec();
    for part in [SESSION, PASSWORD] {
        if let Some(bytes) = content.get_mut(part) {
            bytes.fill(0);
        }
    }
    content.into()
}

/// With the length that precedes the content.
fn framed_length(content: &Bytes) -> usize {
    4 + content.len()
}

enum Piece {
    Frame(Bytes),
    Raw(Bytes),
    End,
}

/// Cuts what comes into frames, until something comes that is none.
struct Source<'a> {
    read: ReadHalf<'a>,
    buffer: BytesMut,
    framed: bool,
}

impl Source<'_> {
    /// The next piece. May be dropped before it is done: nothing read is lost.
    async fn next(&mut self) -> io::Result<Piece> {
        loop {
            if self.framed {
                match FrameDecoder::new(FRAME_BYTES_MAX).next(&mut self.buffer) {
                    Ok(Some(content)) => return Ok(Piece::Frame(content)),
                    Ok(None) => {}
                    Err(_) => self.framed = false,
                }
            }
            if !self.framed && !self.buffer.is_empty() {
                return Ok(Piece::Raw(self.buffer.split().freeze()));
            }
            self.buffer.reserve(READ_BYTES);
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                // The rest of a frame that was cut short is passed on as it is.
                self.framed = false;
                if self.buffer.is_empty() {
                    return Ok(Piece::End);
                }
            }
        }
    }
}

/// The path of a request that begins with one.
fn path(op: i32, content: &[u8]) -> Option<String> {
    use OpCode::{
        Auth, CloseSession, Multi, MultiRead, Ping, Sasl, SetWatches, SetWatches2, WhoAmI,
    };
    let pathless =
        [Auth, CloseSession, Multi, MultiRead, Ping, Sasl, SetWatches, SetWatches2, WhoAmI];
    if pathless.iter().any(|pathless| pathless.code() == op) {
        return None;
    }
    let (length, text) = content.get(8..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    String::from_utf8(text.get(..length)?.to_vec()).ok()
}
