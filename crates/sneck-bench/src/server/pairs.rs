//! Durable pairs of create and delete, with many on the way at once: how many a server can do.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use crate::raw::{self, Raw};
use crate::scene::RAW_DIR;

/// How many connections there are, and how many pairs each has on the way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    pub(crate) on_the_way: usize,
}

impl Shape {
    pub(crate) const ALL: [Shape; 4] = [
        Shape { name: "1 connection, 64 pairs on the way", connections: 1, on_the_way: 64 },
        Shape { name: "1 connection, 500 pairs on the way", connections: 1, on_the_way: 500 },
        Shape { name: "64 connections, 1 pair each", connections: 64, on_the_way: 1 },
        Shape { name: "64 connections, 16 pairs each", connections: 64, on_the_way: 16 },
    ];
}

/// Connections that make pairs as fast as they are answered.
#[derive(Debug)]
pub(crate) struct Load {
    lines: Vec<Line>,
    shape: Shape,
    data: String,
}

/// A connection, and which of a pair's requests its next replies are to.
#[derive(Debug)]
struct Line {
    raw: Raw,
    next: VecDeque<Step>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Create,
    Delete,
}

impl Load {
    /// Connects. Nothing is asked yet.
    pub(crate) fn connect(addr: SocketAddr, shape: Shape, data: String) -> io::Result<Load> {
        let line = |_| Ok(Line { raw: Raw::connect(addr)?, next: VecDeque::new() });
        let mut lines = (0..shape.connections).map(line).collect::<io::Result<Vec<_>>>()?;
        lines[0].raw.make(RAW_DIR)?;
        Ok(Load { lines, shape, data })
    }

    /// Makes pairs for about this long, waits for what is on the way then, and says how many there
    /// were in a second.
    pub(crate) fn run(&mut self, length: Duration) -> io::Result<Rate> {
        let Load { lines, shape, data } = self;
        let began = Instant::now();
        for line in lines.iter_mut() {
            for _ in 0..shape.on_the_way {
                line.create(data);
            }
            line.raw.flush()?;
        }
        let (mut pairs, mut go_on) = (0, true);
        while go_on || lines.iter().any(|line| !line.next.is_empty()) {
            for at in readable(lines)? {
                pairs += lines[at].advance(data, go_on)?;
            }
            go_on = began.elapsed() < length;
        }
        Ok(Rate { pairs, took: began.elapsed() })
    }
}

impl Line {
    fn create(&mut self, data: &str) {
        self.raw.put(&raw::place(RAW_DIR, data));
        self.next.push_back(Step::Create);
    }

    /// Takes what has come, and sends what follows from it in one piece.
    fn advance(&mut self, data: &str, go_on: bool) -> io::Result<u64> {
        self.raw.fill()?;
        let mut pairs = 0;
        while let Some(frame) = self.raw.frame_here()? {
            let frame = frame.reply()?;
            match self.next.pop_front() {
                Some(Step::Create) => {
                    self.raw.put(&raw::delete(frame.created()?));
                    self.next.push_back(Step::Delete);
                }
                Some(Step::Delete) => {
                    pairs += 1;
                    if go_on {
                        self.create(data);
                    }
                }
                None => return Err(io::Error::other("a reply to nothing")),
            }
        }
        self.raw.flush()?;
        Ok(pairs)
    }
}

/// The connections on which something has come; waits until there is one.
fn readable(lines: &[Line]) -> io::Result<Vec<usize>> {
    if lines.len() == 1 {
        // Reading waits by itself, and a call the fewer is a truer limit.
        return Ok(vec![0]);
    }
    let waiting: Vec<usize> = (0..lines.len()).filter(|&at| !lines[at].next.is_empty()).collect();
    let fd = |at: &usize| {
        let fd = lines[*at].raw.fd().ok_or(io::ErrorKind::Unsupported)?;
        Ok(PollFd::from_borrowed_fd(fd, PollFlags::IN))
    };
    let mut fds = waiting.iter().map(fd).collect::<io::Result<Vec<_>>>()?;
    poll(&mut fds, None)?;
    let ready = waiting.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
    Ok(ready.map(|(at, _)| *at).collect())
}

/// What a round found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) pairs: u64,
    pub(crate) took: Duration,
}

impl Rate {
    pub(crate) fn pairs_per_s(self) -> f64 {
        self.pairs as f64 / self.took.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use sneck_server::Server;

    use super::*;
    use crate::raw::SESSION_TIMEOUT_MS;

    #[test]
    fn whatever_the_shape_each_node_that_is_made_is_deleted() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let timeout = Duration::from_millis(SESSION_TIMEOUT_MS.unsigned_abs().into());
        let builder = Server::builder().listen(([127, 0, 0, 1], 0).into());
        let builder = builder.session_timeouts(timeout / 100, timeout);
        let server = runtime.block_on(builder.start()).unwrap();
        let addr = server.addresses()[0];
        for (connections, on_the_way) in [(1, 1), (1, 7), (5, 1), (3, 4)] {
            let shape = Shape { name: "small", connections, on_the_way };
            let mut load = Load::connect(addr, shape, String::new()).unwrap();
            for _ in 0..3 {
                let rate = load.run(Duration::ZERO).unwrap();
                assert!(rate.pairs >= (connections * on_the_way) as u64, "{rate:?} of {shape:?}");
                // A node that still has children cannot be deleted.
                let raw = &mut load.lines[0].raw;
                raw.call(&raw::delete(RAW_DIR.to_owned())).unwrap();
                raw.make(RAW_DIR).unwrap();
            }
        }
    }
}
