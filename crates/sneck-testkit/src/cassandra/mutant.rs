//! Statements changed on their way to a node.

use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::mutation::{Mutation, Rewrite, SPOILT};

/// The head of a frame of version 4: version, flags, stream (2), opcode, length of the body (4).
const HEAD: usize = 9;
/// The opcodes of the frames whose body begins with a statement.
const QUERY: u8 = 0x07;
const PREPARE: u8 = 0x09;
/// The opcode of an answer that says what is wrong, by a number and a text.
const ERROR: u8 = 0x00;
/// The numbers of what no node will ever take: a syntax that is none, and a statement that makes no sense.
const HOPELESS: [usize; 2] = [0x2000, 0x2200];

/// Changes the statements on the line to a node. Statements have to keep their number of markers, as
/// clients count them.
pub(super) struct Statements(pub(super) Mutation);

/// The streams of one client on which a broken statement is being prepared.
#[derive(Debug, Default)]
pub(super) struct Preparing(Mutex<HashSet<[u8; 2]>>);

impl Preparing {
    fn begin(&self, stream: [u8; 2]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(stream);
    }

    fn end(&self, stream: [u8; 2]) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream)
    }
}

impl Rewrite for Statements {
    type Line = Preparing;

    async fn requests(
        &self,
        line: &Preparing,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        loop {
            let (mut head, mut body) = frame(&mut from).await?;
            if matches!(opcode(&head), QUERY | PREPARE)
                && let Some(instead) = body.get(4..4 + number(&body)).map(|text| self.0.apply(text))
                && let Some(instead) = instead
            {
                line.begin(stream(&head));
                let rest = body.split_off(4 + number(&body));
                body = [&bytes(instead.len()), &instead[..], &rest].concat();
                head[5..].copy_from_slice(&bytes(body.len()));
            }
            to.write_all(&head).await?;
            to.write_all(&body).await?;
        }
    }

    async fn answers(
        &self,
        line: &Preparing,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        loop {
            let (head, body) = frame(&mut from).await?;
            if line.end(stream(&head)) && is_hopeless(opcode(&head), &body) {
                // Read by `cargo xtask mutate`: what fails from here on was not seen by any test.
                panic!("{SPOILT}: {}", String::from_utf8_lossy(body.get(6..).unwrap_or_default()));
            }
            to.write_all(&head).await?;
            to.write_all(&body).await?;
        }
    }
}

/// Whether a statement was refused for what it says. Errors of other kinds pass, as those of a table that not
/// all nodes know of yet.
fn is_hopeless(opcode: u8, body: &[u8]) -> bool {
    opcode == ERROR && HOPELESS.contains(&number(body))
}

async fn frame(from: &mut OwnedReadHalf) -> io::Result<([u8; HEAD], Vec<u8>)> {
    let mut head = [0; HEAD];
    from.read_exact(&mut head).await?;
    let mut body = vec![0; number(&head[5..])];
    from.read_exact(&mut body).await?;
    Ok((head, body))
}

fn opcode(head: &[u8; HEAD]) -> u8 {
    head[4]
}

fn stream(head: &[u8; HEAD]) -> [u8; 2] {
    [head[2], head[3]]
}

/// The number that the bytes begin with.
fn number(bytes: &[u8]) -> usize {
    let first = bytes.first_chunk::<4>().copied().unwrap_or_default();
    u32::from_be_bytes(first).try_into().unwrap_or(usize::MAX)
}

fn bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_node_takes_is_told_from_what_this_one_cannot_do_now() {
        let error = |code: usize| [&bytes(code)[..], b"\0\x03why"].concat();
        assert!(is_hopeless(ERROR, &error(0x2000)) && is_hopeless(ERROR, &error(0x2200)));
        // An internal error, and a right that is missing.
        assert!(!is_hopeless(ERROR, &error(0x0000)) && !is_hopeless(ERROR, &error(0x2100)));
        // A result, which begins with a number, too.
        assert!(!is_hopeless(0x08, &error(0x2000)));
        assert!(!is_hopeless(ERROR, b""));
    }

    #[test]
    fn only_the_answer_to_a_broken_statement_is_looked_at() {
        let preparing = Preparing::default();
        assert!(!preparing.end([0, 1]));
        preparing.begin([0, 1]);
        assert!(!preparing.end([0, 2]));
        assert!(preparing.end([0, 1]) && !preparing.end([0, 1]), "once");
    }
}
