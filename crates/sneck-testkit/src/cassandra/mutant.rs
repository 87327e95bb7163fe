//! Statements changed on their way to a node.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::mutation::{Mutation, Rewrite};

/// The head of a frame of version 4: version, flags, stream (2), opcode, length of the body (4).
const HEAD: usize = 9;
/// The opcodes of the frames whose body begins with a statement.
const QUERY: u8 = 0x07;
const PREPARE: u8 = 0x09;

/// Changes the statements on the line to a node. Statements have to keep their number of markers, as
/// clients count them.
pub(super) struct Statements(pub(super) Mutation);

impl Rewrite for Statements {
    async fn requests(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        loop {
            let mut head = [0; HEAD];
            from.read_exact(&mut head).await?;
            let mut body = vec![0; number(&head[5..])];
            from.read_exact(&mut body).await?;
            if matches!(head[4], QUERY | PREPARE)
                && let Some(instead) = body.get(4..4 + number(&body)).map(|text| self.0.apply(text))
                && let Some(instead) = instead
            {
                let rest = body.split_off(4 + number(&body));
                body = [&bytes(instead.len()), &instead[..], &rest].concat();
                head[5..].copy_from_slice(&bytes(body.len()));
            }
            to.write_all(&head).await?;
            to.write_all(&body).await?;
        }
    }
}

/// The number that the bytes begin with.
fn number(bytes: &[u8]) -> usize {
    let first = bytes.first_chunk::<4>().copied().unwrap_or_default();
    u32::from_be_bytes(first).try_into().unwrap_or(usize::MAX)
}

fn bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}
