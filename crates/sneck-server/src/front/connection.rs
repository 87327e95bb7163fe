//! One connection: bytes in, frames out.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sneck_wire::jute::Reader;
use sneck_wire::{
    ConnectRequest, DecodeError, FrameDecoder, OpCode, Request, RequestHeader,
    decode_request_header,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::Door;
use super::processes::Origin;
use crate::core::words::Word;
use crate::core::{ConnectionId, Input, Peer};
use crate::engine::Message;
use crate::outbox::{Flow, Outgoing, outbox};
use crate::refusals::Limit;

/// How long a client may take to read the last of what it is sent.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes to read at once at least, so that a connection that says little takes little.
const READ_BYTES_MIN: usize = 2_048;
/// Bytes to gather before they are written.
const WRITE_BYTES: usize = 64 * 1_024;
/// The longest greeting: it is short, and who sends it is not known yet.
pub(crate) const GREETING_BYTES_MAX: usize = 1_024;
/// Requests above it are long ones, and have to share what there is for them.
const SHORT_BYTES_MAX: usize = 16 * 1_024;

/// Serves a connection to its end. `origin` is kept until the core knows of it.
pub(super) async fn serve<S: AsyncRead + AsyncWrite>(
    stream: S,
    peer: Peer,
    mut origin: Option<Origin>,
    door: &Door,
) {
    let connection = door.next_id();
    let (outbox, outgoing, flow) = outbox(&door.limits, &door.backlog);
    if !door.say(Message::Attach { connection, peer, outbox }).await {
        return;
    }
    let (read, write) = tokio::io::split(stream);
    {
        let talk = async {
            let reader = Incoming {
                read,
                connection,
                door,
                flow: &flow,
                buffer: BytesMut::new(),
                share: None,
            };
            let mut writer = std::pin::pin!(send(write, outgoing));
            tokio::select! {
                _ = reader.run() => {}
                () = &mut writer => {}
                () = flow.broken() => {}
                () = flow.closing() => {
                    // A client that does not read its last frames does not keep its place for that.
                    let _ = timeout(LINGER, writer).await;
                }
            }
        };
        let mut talk = std::pin::pin!(talk);
        let outlived = async {
            match &mut origin {
                Some(origin) => origin.is_outlived().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = &mut talk => {}
            () = outlived => {
                door.input(Input::HandedOn { connection }).await;
                talk.await;
            }
        }
    }
    door.input(Input::Closed { connection }).await;
}

/// Why a connection is not read any more. Nobody asks: it ends in silence, as with Apache.
struct Ended;

struct Incoming<'a, S> {
    read: ReadHalf<S>,
    connection: ConnectionId,
    door: &'a Door,
    flow: &'a Flow,
    buffer: BytesMut,
    /// Of what long requests may take, for the one that is coming.
    share: Option<OwnedSemaphorePermit>,
}

impl<S: AsyncRead> Incoming<'_, S> {
    async fn run(mut self) -> Result<(), Ended> {
        let handshake_timeout = self.door.limits.handshake_timeout;
        let first = timeout(handshake_timeout, self.first()).await;
        let greeting = match first.map_err(|_| self.refused(Limit::HandshakeTimeout))?? {
            First::Word(word) => {
                tell(self.door, Input::Word { connection: self.connection, word }).await?;
                // What else comes is of no interest, not even that it ends: people pipe a word in.
                return std::future::pending().await;
            }
            First::Greeting(frame) => frame,
        };
        let request = ConnectRequest::decode(&mut Reader::new(&greeting)).map_err(|_| Ended)?;
        tell(self.door, Input::Greeting { connection: self.connection, request }).await?;
        loop {
            self.flow.room().await;
            let frame = self.frame(self.door.limits.frame_bytes_max).await?;
            let (header, body) = understand(&frame).map_err(|_| Ended)?;
            if frame.len() > SHORT_BYTES_MAX {
                // A long request must not keep its memory for the life of the connection.
                self.buffer = BytesMut::from(&self.buffer[..]);
            }
            drop(frame);
            self.flow.asked();
            let input = Input::Request { connection: self.connection, header, body };
            let message = match self.share.take() {
                Some(share) => Message::Long(input, share),
                None => Message::Input(input),
            };
            say(self.door, message).await?;
        }
    }

    async fn first(&mut self) -> Result<First, Ended> {
        while self.buffer.len() < 4 {
            self.more().await?;
        }
        let word = self.buffer.first_chunk().copied().and_then(Word::from_bytes);
        match word {
            Some(word) => Ok(First::Word(word)),
            None => self.frame(GREETING_BYTES_MAX).await.map(First::Greeting),
        }
    }

    async fn frame(&mut self, bytes_max: usize) -> Result<Bytes, Ended> {
        let decoder = FrameDecoder::new(bytes_max);
        loop {
            let next = decoder.next(&mut self.buffer);
            if let Some(frame) = next.map_err(|error| self.ended_by(&error))? {
                return Ok(frame);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Ended> {
        self.buffer.reserve(READ_BYTES_MIN);
        match self.read.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(Ended),
            Ok(_) => self.share(),
        }
    }

    /// Takes the share of a long request as it comes. There is no waiting for it: those who have it
    /// may never send the rest.
    fn share(&mut self) -> Result<(), Ended> {
        let has = self.share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = self.buffer.len().saturating_sub(has);
        if self.buffer.len() <= SHORT_BYTES_MAX || more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.door.long).try_acquire_many_owned(more) else {
            return Err(self.refused(Limit::RequestBytes));
        };
        match &mut self.share {
            Some(share) => share.merge(more),
            None => self.share = Some(more),
        }
        Ok(())
    }

    fn ended_by(&self, error: &DecodeError) -> Ended {
        match error {
            // One that is too long even for a greeting is no client's, but anything at all.
            DecodeError::TooLong { limit, .. } if *limit > GREETING_BYTES_MAX => {
                self.refused(Limit::FrameBytes)
            }
            _ => Ended,
        }
    }

    fn refused(&self, limit: Limit) -> Ended {
        self.door.refused.note(limit);
        Ended
    }
}

/// Reads a request. Bytes after it are let pass, as Apache does: they may be what a later version of
/// the protocol adds.
pub(crate) fn understand(
    frame: &[u8],
) -> Result<(RequestHeader, Result<Request, DecodeError>), DecodeError> {
    let (header, mut body) = decode_request_header(frame)?;
    let request = OpCode::try_from(header.op).and_then(|op| Request::decode(op, &mut body));
    match request {
        Err(DecodeError::Trailing { at, .. }) if at < frame.len() => understand(&frame[..at]),
        request => Ok((header, request)),
    }
}

async fn tell(door: &Door, input: Input) -> Result<(), Ended> {
    say(door, Message::Input(input)).await
}

async fn say(door: &Door, message: Message) -> Result<(), Ended> {
    if door.say(message).await { Ok(()) } else { Err(Ended) }
}

enum First {
    Word(Word),
    Greeting(Bytes),
}

/// Writes what is in the outbox until the last frame, or until nobody reads it.
async fn send<S: AsyncWrite>(mut write: WriteHalf<S>, mut outgoing: Outgoing) {
    let mut out = BytesMut::new();
    while let Some(sent) = outgoing.next(&mut out, WRITE_BYTES).await {
        let length = out.len();
        if write.write_all_buf(&mut out).await.is_err() {
            return;
        }
        outgoing.written(&sent);
        if sent.is_last {
            break;
        }
        // A large reply must not keep its memory for the life of the connection. What is written is cut
        // off the front of the buffer, whose capacity no longer tells of it then.
        if length > 4 * WRITE_BYTES {
            out = BytesMut::new();
        }
    }
    // The peer sees the end either way.
    let _ = write.shutdown().await;
}
