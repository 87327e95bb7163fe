//! All that takes part in a campaign: servers, seats of clients with their proxies, and who looks on.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sneck_history::{Event, Teller};
use sneck_testkit::proxy::Proxy;
use tokio::sync::Mutex as AsyncMutex;

use crate::client::{Client, Posting, Stranger, Worker};
use crate::library::Library;
use crate::observer::{Observer, Whose};
use crate::orders::{Defect, Orders, Share, Work};
use crate::owners::Owners;
use crate::sentry::Sentry;
use crate::servers::{Servers, StoreKind};

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
    /// Whose locks they take; none for workers of ours, which take every kind of lock.
    pub library: Option<Library>,
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
    owners: Owners,
    clients: AtomicU32,
    faults: AtomicU64,
    teller: Mutex<Teller>,
}

/// Where one client is at a time. Its successor has the same proxies.
#[derive(Debug)]
pub struct Seat {
    way: Way,
    /// One for each server.
    pub proxies: Arc<[Proxy]>,
    /// Who sits there.
    pub client: AsyncMutex<Client>,
}

/// How whoever sits in a seat comes to the servers.
#[derive(Debug)]
struct Way {
    seat: usize,
    store: StoreKind,
    hosts: String,
    proxies: Arc<[Proxy]>,
}

impl Way {
    fn open(seat: usize, servers: &Servers) -> io::Result<Way> {
        let (store, addrs) = (servers.kind(), servers.addrs());
        let proxies: Arc<[Proxy]> =
            addrs.iter().map(|addr| Proxy::start(*addr)).collect::<io::Result<_>>()?;
        let hosts: Vec<String> = proxies.iter().map(|proxy| proxy.addr().to_string()).collect();
        Ok(Way { seat, store, hosts: hosts.join(","), proxies })
    }
}

impl Stage {
    /// Opens the proxies and starts the clients, and returns when all are ready.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn set(cast: Cast, servers: Servers) -> Result<Stage, String> {
        let told = |error: io::Error| error.to_string();
        let servers = Arc::new(servers);
        let clients = AtomicU32::new(1);
        let owners = Owners::default();
        let mut seats = Vec::new();
        for number in 0..cast.seats {
            let way = Way::open(number, &servers).map_err(told)?;
            let client = cast.client(&way, &clients, &owners).await?;
            let proxies = way.proxies.clone();
            seats.push(Seat { way, proxies, client: AsyncMutex::new(client) });
        }
        for seat in &seats {
            seat.client.lock().await.ready().await.map_err(told)?;
        }
        let whose = match cast.library {
            None => Whose::OfNotes,
            Some(_) if servers.kind().is_zookeeper() => Whose::OfSessions(owners.clone()),
            Some(_) => Whose::OfHolds(owners.clone()),
        };
        let observer = Observer::start(servers.clone(), &cast.arbiter, whose).map_err(told)?;
        let sentry = Sentry::start(servers.clone(), &cast.arbiter).map_err(told)?;
        let teller = Mutex::new(Teller::connect(&cast.arbiter, None).map_err(told)?);
        let faults = AtomicU64::new(1);
        Ok(Stage { servers, seats, observer, sentry, cast, owners, clients, faults, teller })
    }

    /// The session timeout.
    pub fn session(&self) -> Duration {
        self.cast.session
    }

    /// Starts another client in a seat whose client is dead.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn replace(&self, seat: &Seat) -> Result<(), String> {
        let mut client = seat.client.lock().await;
        *client = self.cast.client(&seat.way, &self.clients, &self.owners).await?;
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
    async fn client(
        &self,
        way: &Way,
        clients: &AtomicU32,
        owners: &Owners,
    ) -> Result<Client, String> {
        let client = clients.fetch_add(1, Ordering::Relaxed);
        let Some(library) = self.library else {
            let worker = self.worker(client, way).map_err(|error| error.to_string())?;
            return Ok(Client::Ours(worker));
        };
        owners.sit(way.seat, client, &way.proxies);
        let posting = Posting {
            library,
            program: self.program.clone(),
            store: way.store,
            hosts: way.hosts.clone(),
            session: self.session,
            arbiter: self.arbiter.clone(),
            client,
            seed: self.seed_of(client),
            lanes: self.lanes,
            work: self.work,
            owners: owners.clone(),
        };
        let stranger = Stranger::start(&posting).await;
        stranger.map(Client::Theirs).map_err(|error| format!("{}: {error}", library.name()))
    }

    fn worker(&self, client: u32, way: &Way) -> io::Result<Worker> {
        let session_ms = u64::try_from(self.session.as_millis()).unwrap_or_default();
        let orders = Orders {
            url: way.store.url(&way.hosts, self.session),
            arbiter: self.arbiter.clone(),
            client,
            seed: self.seed_of(client),
            lanes: self.lanes,
            session_ms,
            work: self.work,
            sharing: Share::of(client),
            // Half of each way of sharing.
            guarded: self.guarded && (client / 3).is_multiple_of(2),
            defect: self.defect,
        };
        Worker::start(&self.program, &orders)
    }

    /// Neighbours in number are far from each other in their choices.
    fn seed_of(&self, client: u32) -> u64 {
        self.seed ^ u64::from(client).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}
