//! A process of ours as the campaign sees it: one that takes every kind of lock.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::orders::Orders;

/// A running worker; killed when dropped.
#[derive(Debug)]
pub struct Worker {
    number: u32,
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    is_ready: bool,
}

/// How long a worker is given to become ready: servers may just be starting.
const READY_MAX: Duration = Duration::from_secs(120);

impl Worker {
    /// Starts `program worker ORDERS`. It becomes ready by itself, once there are servers.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(program: &Path, orders: &Orders) -> io::Result<Worker> {
        let mut child = Command::new(program)
            .arg("worker")
            .arg(serde_json::to_string(orders)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let gone = || io::Error::other("a pipe of a new process is missing");
        let stdin = child.stdin.take().ok_or_else(gone)?;
        let lines = BufReader::new(child.stdout.take().ok_or_else(gone)?).lines();
        Ok(Worker { number: orders.client, child, stdin, lines, is_ready: false })
    }

    /// Its number in the history.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns when it has a connection and works.
    ///
    /// # Errors
    /// When that does not come true in minutes, or it is gone.
    pub async fn ready(&mut self) -> io::Result<()> {
        if !self.is_ready {
            self.hear("ready", READY_MAX).await?;
        }
        Ok(())
    }

    /// Gives a command, once it is ready: before that, any would end it.
    ///
    /// # Errors
    /// When it is gone, or does not become ready.
    pub async fn say(&mut self, command: &str) -> io::Result<()> {
        self.ready().await?;
        self.stdin.write_all(format!("{command}\n").as_bytes()).await
    }

    /// What follows in the first line that begins with this word; others are passed over.
    ///
    /// # Errors
    /// When it does not come in time, or the worker is gone.
    pub async fn hear(&mut self, word: &str, within: Duration) -> io::Result<String> {
        let number = self.number;
        let heard = async {
            while let Some(line) = self.lines.next_line().await? {
                self.is_ready |= line == "ready";
                if let Some(rest) = line.strip_prefix(word) {
                    return Ok(rest.trim().to_owned());
                }
            }
            Err(io::Error::other(format!("client {number} ended instead of saying `{word}`")))
        };
        let late = || io::Error::other(format!("client {number} said no `{word}` in {within:?}"));
        tokio::time::timeout(within, heard).await.unwrap_or_else(|_| Err(late()))
    }

    /// Sends a signal, such as STOP and CONT.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let gone = || io::Error::other(format!("client {} is gone", self.number));
        Ok(kill_process(pid.ok_or_else(gone)?, signal)?)
    }

    /// Kills it with -9, and returns when it is gone.
    ///
    /// # Errors
    /// When it was gone before.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }
}
