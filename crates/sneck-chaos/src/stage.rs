//! All that takes part in a campaign: servers, seats of clients with their proxies, and who looks on.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sneck_history::{Event, Teller};
use sneck_testkit::proxy::Proxy;
use tokio::sync::Mutex as AsyncMutex;

use crate::client::Client;
use crate::observer::{Observer, ROOT};
use crate::orders::{Defect, Orders, Share, Work};
use crate::sentry::Sentry;
use crate::servers::Servers;

/// What every client of a campaign is told alike.
#[derive(Debug, Clone)]
pub struct Cast {
    /// The program that becomes a worker.
    pub program: PathBuf,
    /// Where the arbiter listens.
    pub arbiter: PathBuf,
    /// What all of it follows from.
    pub seed: u64,
    /// How many clients there are at a time.
    pub seats: usize,
    /// How many tasks take locks in each.
    pub lanes: u32,
    /// The session timeout.
    pub session: Duration,
    /// What they do.
    pub work: Work,
    /// Whether half of them have a guardian.
    pub guarded: bool,
    /// What is wrong with them.
    pub defect: Option<Defect>,
}

/// Everything that takes part.
#[derive(Debug)]
pub struct Stage {
    /// The servers.
    pub servers: Arc<Servers>,
    /// The seats.
    pub seats: Vec<Seat>,
    /// Who looks at the lines.
    pub observer: Observer,
    /// Who looks at the servers.
    pub sentry: Sentry,
    cast: Cast,
    clients: AtomicU32,
    faults: AtomicU64,
    teller: Mutex<Teller>,
}

/// Where one client is at a time. Its successor has the same proxies.
#[derive(Debug)]
pub struct Seat {
    /// One for each server.
    pub proxies: Vec<Proxy>,
    /// Who sits there.
    pub client: AsyncMutex<Client>,
}

impl Stage {
    /// Opens the proxies and starts the clients, and returns when all are ready.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn set(cast: Cast, servers: Servers) -> Result<Stage, String> {
        let told = |error: io::Error| error.to_string();
        let servers = Arc::new(servers);
        let addrs: Vec<SocketAddr> =
            (0..servers.count()).map(|server| servers.addr(server)).collect();
        let clients = AtomicU32::new(1);
        let mut seats = Vec::new();
        for _ in 0..cast.seats {
            let proxies: io::Result<Vec<Proxy>> =
                addrs.iter().map(|addr| Proxy::start(*addr)).collect();
            let proxies = proxies.map_err(told)?;
            let client = cast.client(&proxies, &clients).map_err(told)?;
            seats.push(Seat { proxies, client: AsyncMutex::new(client) });
        }
        for seat in &seats {
            seat.client.lock().await.ready().await.map_err(told)?;
        }
        let observer = Observer::start(addrs, &cast.arbiter).map_err(told)?;
        let sentry = Sentry::start(servers.clone(), &cast.arbiter).map_err(told)?;
        let teller = Mutex::new(Teller::connect(&cast.arbiter, None).map_err(told)?);
        let faults = AtomicU64::new(1);
        Ok(Stage { servers, seats, observer, sentry, cast, clients, faults, teller })
    }

    /// The session timeout.
    pub fn session(&self) -> Duration {
        self.cast.session
    }

    /// Starts another client in a seat whose client is dead.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn replace(&self, seat: &Seat) -> io::Result<()> {
        *seat.client.lock().await = self.cast.client(&seat.proxies, &self.clients)?;
        Ok(())
    }

    /// Tells that a fault begins, and returns its number.
    ///
    /// # Errors
    /// When the arbiter is gone.
    pub fn begin(&self, kind: &str, client: Option<u32>) -> Result<u64, String> {
        let fault = self.faults.fetch_add(1, Ordering::Relaxed);
        self.tell(Event::Fault { fault, kind: kind.to_owned(), client })?;
        Ok(fault)
    }

    /// Tells that a fault is over.
    ///
    /// # Errors
    /// When the arbiter is gone.
    pub fn healed(&self, fault: u64) -> Result<(), String> {
        self.tell(Event::Healed { fault })
    }

    /// Tells of something.
    ///
    /// # Errors
    /// When the arbiter is gone.
    pub fn tell(&self, event: Event) -> Result<(), String> {
        let mut teller = self.teller.lock().unwrap_or_else(PoisonError::into_inner);
        teller.tell(event).map(drop).map_err(|error| format!("the arbiter: {error}"))
    }
}

impl Cast {
    fn client(&self, proxies: &[Proxy], clients: &AtomicU32) -> io::Result<Client> {
        let client = clients.fetch_add(1, Ordering::Relaxed);
        let addrs: Vec<String> = proxies.iter().map(|proxy| proxy.addr().to_string()).collect();
        let session_ms = u64::try_from(self.session.as_millis()).unwrap_or_default();
        let url = format!(
            "zk://{}{ROOT}?timeout={session_ms}ms&connect-timeout={session_ms}ms",
            addrs.join(",")
        );
        let orders = Orders {
            url,
            arbiter: self.arbiter.clone(),
            client,
            // Neighbours in number are far from each other in their choices.
            seed: self.seed ^ u64::from(client).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            lanes: self.lanes,
            session_ms,
            work: self.work,
            sharing: Share::of(client),
            // Half of each way of sharing.
            guarded: self.guarded && (client / 3).is_multiple_of(2),
            defect: self.defect,
        };
        Client::start(&self.program, &orders)
    }
}
