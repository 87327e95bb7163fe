//! Scripts changed on their way to a server.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::resp::{self, Reply};
use crate::mutation::{Mutation, Rewrite, SPOILT};

/// Changes the scripts on the line to one server.
pub(super) struct Scripts {
    mutation: Mutation,
    server: SocketAddr,
    /// The hash by which clients call a script, and that of what they get instead.
    hashes: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

impl Scripts {
    pub(super) fn new(mutation: Mutation, server: SocketAddr) -> Scripts {
        Scripts { mutation, server, hashes: Mutex::default() }
    }

    /// The same command, with another script where it is about the one to be changed.
    async fn rewrite(&self, mut command: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let Some([verb, script]) = command.first_chunk_mut::<2>() else { return command };
        if verb.eq_ignore_ascii_case(b"EVALSHA") {
            let hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(instead) = hashes.get(script) {
                script.clone_from(instead);
            }
        } else if verb.eq_ignore_ascii_case(b"EVAL")
            && let Some(instead) = self.mutation.apply(script)
        {
            // The server itself says by which hash each is called.
            let (hash, of_instead) = (self.load(script).await, self.load(&instead).await);
            let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
            hashes.insert(hash, of_instead);
            drop(hashes);
            *script = instead;
        }
        command
    }

    async fn load(&self, script: &[u8]) -> Vec<u8> {
        let script = String::from_utf8_lossy(script);
        match resp::ask(self.server, &["SCRIPT", "LOAD", &script]).await {
            Ok(Reply::Text(hash)) => hash.into_bytes(),
            refused => panic!("{SPOILT}: {refused:?}"),
        }
    }
}

impl Rewrite for Scripts {
    type Line = ();

    async fn requests(
        &self,
        (): &(),
        from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        let mut from = BufReader::new(from);
        loop {
            let command = self.rewrite(read(&mut from).await?).await;
            let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
            for word in &command {
                bytes.extend(format!("${}\r\n", word.len()).into_bytes());
                bytes.extend(word);
                bytes.extend(b"\r\n");
            }
            to.write_all(&bytes).await?;
        }
    }
}

/// One command, as every client sends it: a list of words.
async fn read(from: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<Vec<u8>>> {
    let mut command = Vec::new();
    for _ in 0..count(from, '*').await? {
        let mut word = vec![0; count(from, '$').await? + 2];
        from.read_exact(&mut word).await?;
        word.truncate(word.len() - 2);
        command.push(word);
    }
    Ok(command)
}

/// The number on a line that begins so.
async fn count(from: &mut BufReader<OwnedReadHalf>, kind: char) -> io::Result<usize> {
    let mut line = String::new();
    from.read_line(&mut line).await?;
    let number = line.trim_end().strip_prefix(kind).and_then(|number| number.parse().ok());
    number.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
