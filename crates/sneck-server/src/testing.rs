//! A server for tests of programs that use ZooKeeper: on a free port, in memory, and with the means
//! to let go wrong what goes wrong in the field.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::server::{Builder, InProcess, Paused, Remains, Running, Server};
use crate::start_error::StartError;

/// A server under test.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck_server::StartError> {
/// use sneck_server::testing::TestServer;
///
/// let mut server = TestServer::start().await?;
/// println!("clients connect to {}", server.connect_string());
/// server.drop_connections().await;
/// server.stop().await;
/// server.restart().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestServer {
    builder: Builder,
    address: SocketAddr,
    running: Option<Running>,
    remains: Option<Remains>,
    paused: Option<Paused>,
}

impl TestServer {
    /// Short, so that tests of expiry are.
    const TICK: Duration = Duration::from_millis(100);
    /// Long enough for a debugger.
    const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

    /// Starts a server on a free port of this machine, which grants every session timeout from
    /// 200 ms to an hour.
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start() -> Result<Self, StartError> {
        let builder = Server::builder().tick(Self::TICK);
        Self::start_as(builder.session_timeouts(2 * Self::TICK, Self::TIMEOUT_MAX)).await
    }

    /// Starts the server that is described, on a free port besides.
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start_as(builder: Builder) -> Result<Self, StartError> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = builder.clone().listen(free).start().await?;
        let address = running.addresses().last().copied().unwrap_or(free);
        let running = Some(running);
        Ok(Self { builder, address, running, remains: None, paused: None })
    }

    /// Its address, which stays the same over restarts.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as clients are told of it.
    pub fn connect_string(&self) -> String {
        self.address.to_string()
    }

    /// A way in from within the process, while it runs.
    pub fn in_process(&self) -> Option<InProcess> {
        self.running.as_ref().map(Running::in_process)
    }

    /// Ends a session, as if its client had been silent for too long.
    pub async fn expire_session(&self, id: i64) {
        if let Some(running) = &self.running {
            running.expire_session(id).await;
        }
    }

    /// Breaks every connection. Sessions go on.
    pub async fn drop_connections(&self) {
        if let Some(running) = &self.running {
            running.drop_connections().await;
        }
    }

    /// Gives the next sequential node below `path`, which must be there, the number `creates`.
    pub async fn preset_counter(&self, path: &str, creates: i32) {
        if let Some(running) = &self.running {
            running.preset_counter(path, creates).await;
        }
    }

    /// Lets the server stand still, until [`TestServer::resume`]: it answers nothing, and no time
    /// passes for sessions.
    pub async fn pause(&mut self) {
        if let Some(running) = &self.running {
            self.paused = Some(running.pause().await);
        }
    }

    /// Lets the server go on.
    pub fn resume(&mut self) {
        self.paused = None;
    }

    /// Stops the server. What it knows is kept for [`TestServer::restart`].
    pub async fn stop(&mut self) {
        self.resume();
        if let Some(running) = self.running.take() {
            self.remains = running.stop().await;
        }
    }

    /// Starts the server again, on its address and with what it knew. One that runs is stopped
    /// first.
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.stop().await;
        let builder = self.builder.clone().listen(self.address);
        let running = match self.remains.take().filter(|_| !builder.has_data()) {
            Some(remains) => builder.resume(remains).await?,
            None => builder.start().await?,
        };
        self.running = Some(running);
        Ok(())
    }
}
