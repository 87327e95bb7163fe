//! As much of Redis' protocol as a test needs to ask a server something behind everybody's back.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A text, of whatever kind.
    Text(String),
    /// A number.
    Int(i64),
    /// Several answers.
    List(Vec<Reply>),
    /// Nothing.
    Nil,
    /// What went wrong.
    Error(String),
}

impl Reply {
    /// The text, or an empty one.
    pub fn text(&self) -> &str {
        match self {
            Reply::Text(text) => text,
            _ => "",
        }
    }

    /// The number, also of a text that is one; else 0.
    pub fn int(&self) -> i64 {
        match self {
            Reply::Int(number) => *number,
            other => other.text().parse().unwrap_or(0),
        }
    }

    /// The answers; none unless it is a list.
    pub fn list(&self) -> &[Reply] {
        match self {
            Reply::List(replies) => replies,
            _ => &[],
        }
    }
}

/// Asks one command on a connection of its own.
///
/// # Errors
///
/// When there is no connection or no answer; an answer that is an error is a [`Reply::Error`].
pub async fn ask(addr: SocketAddr, command: &[&str]) -> io::Result<Reply> {
    let mut stream = BufReader::new(TcpStream::connect(addr).await?);
    let mut request = format!("*{}\r\n", command.len());
    for part in command {
        request.push_str(&format!("${}\r\n{part}\r\n", part.len()));
    }
    stream.get_mut().write_all(request.as_bytes()).await?;
    read(&mut stream).await
}

type Reading<'a> = Pin<Box<dyn Future<Output = io::Result<Reply>> + Send + 'a>>;

fn read(stream: &mut BufReader<TcpStream>) -> Reading<'_> {
    Box::pin(async move {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((kind, rest)) = line.trim_end().split_at_checked(1) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let number = || rest.parse::<i64>().map_err(io::Error::other);
        Ok(match kind {
            "+" => Reply::Text(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Int(number()?),
            "$" => match usize::try_from(number()?) {
                Err(_) => Reply::Nil,
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    stream.read_exact(&mut bytes).await?;
                    bytes.truncate(length);
                    Reply::Text(String::from_utf8_lossy(&bytes).into_owned())
                }
            },
            "*" => {
                let mut replies = Vec::new();
                for _ in 0..number()?.max(0) {
                    replies.push(read(stream).await?);
                }
                Reply::List(replies)
            }
            other => return Err(io::Error::other(format!("{other:?} begins no answer"))),
        })
    })
}
