//! A relay between clients and one server, to break the connections through it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::background;
use crate::port::Port;

/// What becomes of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weather {
    /// Whether requests pass. What does not pass is held back, and passes later.
    requests: bool,
    /// Whether answers pass.
    answers: bool,
    /// Counts the cuts: a connection ends when it is another than when it began.
    cuts: u64,
}

/// A relay to one server at a time; its connections end when it is dropped.
#[derive(Debug)]
pub struct Relay {
    target: Arc<Mutex<SocketAddr>>,
    weather: Arc<watch::Sender<Weather>>,
    accepting: JoinHandle<()>,
    port: Port,
}

impl Relay {
    /// Opens a relay to this server.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub fn start(target: SocketAddr) -> io::Result<Relay> {
        let port = Port::lease()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number()))?;
        listener.set_nonblocking(true)?;
        let target = Arc::new(Mutex::new(target));
        let fair = Weather { requests: true, answers: true, cuts: 0 };
        let weather = Arc::new(watch::Sender::new(fair));
        let accepting =
            background::handle().spawn(accept(listener, target.clone(), weather.clone()));
        Ok(Relay { target, weather, accepting, port })
    }

    /// Where clients find it.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()))
    }

    /// Leads new connections to another server, and cuts those that are there.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
        self.cut();
    }

    /// Ends all connections; new ones are taken.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Lets nothing pass any more, without ending a connection, as a firewall does that drops packets.
    pub fn freeze(&self) {
        self.weather.send_modify(|weather| (weather.requests, weather.answers) = (false, false));
    }

    /// Lets requests pass and holds their answers back.
    pub fn hold_answers(&self) {
        self.weather.send_modify(|weather| weather.answers = false);
    }

    /// Lets everything pass again, beginning with what was held back.
    pub fn thaw(&self) {
        self.weather.send_modify(|weather| (weather.requests, weather.answers) = (true, true));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(
    listener: TcpListener,
    target: Arc<Mutex<SocketAddr>>,
    weather: Arc<watch::Sender<Weather>>,
) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of this process");
    while let Ok((client, _)) = listener.accept().await {
        let target = *target.lock().unwrap_or_else(PoisonError::into_inner);
        let weather = weather.subscribe();
        tokio::spawn(async move {
            // A server that is down is one that ends the connection.
            if let Ok(server) = TcpStream::connect(target).await {
                relay(client, server, weather).await;
            }
        });
    }
}

async fn relay(client: TcpStream, server: TcpStream, weather: watch::Receiver<Weather>) {
    let cuts = weather.borrow().cuts;
    let (mut cut, there, back) = (weather.clone(), weather.clone(), weather);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = cut.wait_for(|weather| weather.cuts != cuts) => {}
        () = pass(from_client, to_server, there, |weather| weather.requests) => {}
        () = pass(from_server, to_client, back, |weather| weather.answers) => {}
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
    may: impl Fn(&Weather) -> bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        if weather.wait_for(&may).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
