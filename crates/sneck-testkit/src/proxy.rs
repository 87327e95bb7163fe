//! A proxy between clients and one server that understands ZooKeeper's frames, to break exactly
//! the exchange a test is about.
//!
//! It looks at both directions frame by frame, so it can let a request through and lose its
//! answer, hold back the events and not the replies, and say what was asked how often. What is no
//! ZooKeeper frame (a four-letter word, TLS) passes as it is.
//!
//! ```no_run
//! # async fn example(server: std::net::SocketAddr) -> std::io::Result<()> {
//! use sneck_testkit::proxy::{Proxy, Then};
//! use sneck_wire::OpCode;
//!
//! let proxy = Proxy::start(server)?;
//! let mut rule = proxy.swallow_reply(OpCode::Create2, 1, Then::Reset);
//! // A client of `proxy.addr()` creates a node, and never hears of it.
//! rule.fired().await;
//! assert_eq!(proxy.counts().requests(OpCode::Create2), 1);
//! # Ok(())
//! # }
//! ```

mod connection;
mod rules;
mod traffic;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sneck_wire::OpCode;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::background;
use crate::port::Port;

pub use rules::{Rule, Then};
pub use traffic::{Counts, SeenRequest, SeenSession};

use rules::{Rules, What};
use traffic::Traffic;

/// A running proxy; its connections end when it is dropped.
///
/// All controls take effect at once and may be used at any time, from any thread.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    port: Port,
}

/// What the connections of a proxy have in common.
#[derive(Debug)]
struct Shared {
    weather: watch::Sender<Weather>,
    target: Mutex<SocketAddr>,
    rules: Mutex<Rules>,
    traffic: Mutex<Traffic>,
}

/// The state every connection watches.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Weather {
    listening: bool,
    requests_pass: bool,
    replies_pass: bool,
    split: bool,
    sessions_forgotten: bool,
    events_late_by: Duration,
    frames_late_by: Duration,
    /// Counted up to tell connections that exist at that moment.
    resets: u64,
    request_ends: u64,
    reply_ends: u64,
}

impl Weather {
    fn fair() -> Weather {
        Weather {
            listening: true,
            requests_pass: true,
            replies_pass: true,
            split: false,
            sessions_forgotten: false,
            events_late_by: Duration::ZERO,
            frames_late_by: Duration::ZERO,
            resets: 0,
            request_ends: 0,
            reply_ends: 0,
        }
    }
}

impl Proxy {
    /// Listens on a port of its own and forwards to `target`.
    ///
    /// # Errors
    ///
    /// When there is no port to be had.
    pub fn start(target: SocketAddr) -> io::Result<Proxy> {
        let port = Port::lease()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number()))?;
        listener.set_nonblocking(true)?;
        let (weather, _) = watch::channel(Weather::fair());
        let shared = Arc::new(Shared {
            weather,
            target: Mutex::new(target),
            rules: Mutex::default(),
            traffic: Mutex::default(),
        });
        let accepting = background::handle().spawn(accept(listener, Arc::clone(&shared)));
        Ok(Proxy { shared, accepting, port })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()))
    }

    /// Leads connections made from now on to another server.
    pub fn retarget(&self, target: SocketAddr) {
        *lock(&self.shared.target) = target;
    }

    /// Loses everything, both ways, without a reset: sockets stay open, new connections are
    /// accepted, and nothing comes of it. What is sent meanwhile is delivered late after
    /// [`Proxy::heal`], as TCP does after a short partition; [`Proxy::reset_all`] discards it.
    pub fn blackhole(&self) {
        self.change(|weather| {
            weather.requests_pass = false;
            weather.replies_pass = false;
        });
    }

    /// As [`Proxy::blackhole`], for what clients send only.
    pub fn blackhole_requests(&self) {
        self.change(|weather| weather.requests_pass = false);
    }

    /// As [`Proxy::blackhole`], for what the server sends only: requests are carried out.
    pub fn blackhole_replies(&self) {
        self.change(|weather| weather.replies_pass = false);
    }

    /// Closes the listening socket, so that new connections are refused. Others live on.
    pub fn refuse(&self) {
        self.change(|weather| weather.listening = false);
    }

    /// Resets all connections there are, both ways.
    pub fn reset_all(&self) {
        self.change(|weather| weather.resets += 1);
    }

    /// Tells the server that the clients of all connections have no more to send.
    pub fn half_close_requests(&self) {
        self.change(|weather| weather.request_ends += 1);
    }

    /// Tells the clients of all connections that the server has no more to send. Their requests
    /// are still carried out.
    pub fn half_close_replies(&self) {
        self.change(|weather| weather.reply_ends += 1);
    }

    /// Writes frames byte by byte, each in a packet of its own.
    pub fn split_frames(&self, split: bool) {
        self.change(|weather| weather.split = split);
    }

    /// Lets every client that comes back with its session ask for a new one instead, which it then gets
    /// as if that were the old one: what a server does that has forgotten the session and does not say.
    pub fn forget_sessions(&self) {
        self.change(|weather| weather.sessions_forgotten = true);
    }

    /// Holds back each watch event that comes from now on; replies overtake it.
    pub fn delay_events(&self, late_by: Duration) {
        self.change(|weather| weather.events_late_by = late_by);
    }

    /// Holds each frame up for so long, both ways and one after the other: a slow and narrow network.
    pub fn slow(&self, late_by: Duration) {
        self.change(|weather| weather.frames_late_by = late_by);
    }

    /// Loses the next `events` watch events.
    pub fn swallow_events(&self, events: u64) {
        lock(&self.shared.rules).events_to_swallow = events;
    }

    /// Lets the `nth` request of this kind from now on through (1 is the next), and loses its
    /// reply. With [`Then::Reset`] the connection is reset when the reply comes, so the server
    /// has certainly carried the request out.
    pub fn swallow_reply(&self, op: OpCode, nth: u64, then: Then) -> Rule {
        lock(&self.shared.rules).add(What::Reply, op, nth, then)
    }

    /// Loses the `nth` request of this kind from now on: the server never sees it.
    pub fn drop_request(&self, op: OpCode, nth: u64, then: Then) -> Rule {
        lock(&self.shared.rules).add(What::Request, op, nth, then)
    }

    /// Ends all of the above: everything passes again, and rules that did not fire are forgotten.
    pub fn heal(&self) {
        *lock(&self.shared.rules) = Rules::default();
        self.change(|weather| {
            let Weather { resets, request_ends, reply_ends, .. } = *weather;
            *weather = Weather { resets, request_ends, reply_ends, ..Weather::fair() };
        });
    }

    /// What has passed since the start, or since [`Proxy::forget_traffic`].
    pub fn counts(&self) -> Counts {
        lock(&self.shared.traffic).counts.clone()
    }

    /// The requests that were forwarded or lost on purpose, oldest first. Of very many, the last.
    pub fn requests(&self) -> Vec<SeenRequest> {
        lock(&self.shared.traffic).requests.iter().cloned().collect()
    }

    /// The sessions that servers granted, one entry for each connection.
    pub fn sessions(&self) -> Vec<SeenSession> {
        lock(&self.shared.traffic).sessions.iter().cloned().collect()
    }

    /// Begins the counts and the lists anew.
    pub fn forget_traffic(&self) {
        lock(&self.shared.traffic).forget();
    }

    fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.shared.weather.send_modify(change);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let addr = listener.local_addr().expect("a bound listener");
    let mut listener =
        Some(tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener"));
    let mut weather = shared.weather.subscribe();
    // Dropped with this task, which ends every connection.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Some(open) = &listener else {
            let _ = weather.wait_for(|weather| weather.listening).await;
            // The port is leased, so it is only a matter of moments until it can be had again.
            listener = tokio::net::TcpListener::bind(addr).await.ok();
            if listener.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => {
                // Whoever came in before the socket was closed comes too late all the same.
                if let (Ok((stream, _)), true) = (accepted, shared.weather.borrow().listening) {
                    connections.spawn(connection::carry(stream, Arc::clone(&shared)));
                }
            }
            _ = weather.wait_for(|weather| !weather.listening) => listener = None,
        }
    }
}
