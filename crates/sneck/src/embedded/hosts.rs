//! The servers of this process: one for each place.

use super::host::{Host, has_ended};
use super::place::Place;
use sneck_core::{Error, ErrorKind};
use sneck_server::log::OpenError;
use sneck_server::{Builder, Server, StartError};
use std::collections::HashMap;
use std::error::Error as _;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// The unit in which sessions of this server end. Its clients share its process, so that none is lost
/// to a network; this is about tasks and runtimes that were dropped.
const TICK: Duration = Duration::from_secs(1);
/// The longest session. Nobody outside waits for it.
const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

static HOSTS: LazyLock<Mutex<HashMap<Place, Arc<Slot>>>> = LazyLock::new(Mutex::default);

/// A place, and who is there. The lock is held while a server starts, so that there is one only.
type Slot = tokio::sync::Mutex<Last>;

/// The last server of a place.
#[derive(Default)]
struct Last {
    host: Weak<Host>,
    ended: Option<watch::Receiver<bool>>,
}

/// The server of a place, started if there is none, and the store's name in messages.
pub(super) async fn get(place: Place) -> Result<(Arc<Host>, Arc<str>), Error> {
    let place = canonical(place)?;
    let label: Arc<str> = match &place {
        Place::Nameless => "memory:".into(),
        Place::Memory(name) => format!("memory:{name}").into(),
        Place::Folder(folder) => format!("embedded:{}", folder.display()).into(),
    };
    let failed = |error| not_started(&error).with_backend(&label);
    if place == Place::Nameless {
        let starting = Host::start(builder(&place)).map_err(failed)?;
        return Ok((Arc::new(starting.host().await.map_err(failed)?), label));
    }
    let slot = slot(&place);
    let mut last = slot.lock().await;
    if let Some(host) = last.host.upgrade().filter(|host| host.failure().is_none()) {
        return Ok((host, label));
    }
    if let Some(ended) = &last.ended {
        // It may be writing still, and has the folder until it is done.
        has_ended(ended.clone()).await;
    }
    let starting = Host::start(builder(&place)).map_err(failed)?;
    // Noted before waiting: should nobody wait to the end, the next one has to.
    last.ended = Some(starting.ended.clone());
    let host = Arc::new(starting.host().await.map_err(failed)?);
    last.host = Arc::downgrade(&host);
    Ok((host, label))
}

fn slot(place: &Place) -> Arc<Slot> {
    let mut hosts = HOSTS.lock().unwrap_or_else(PoisonError::into_inner);
    // Places that nobody uses any more are forgotten, or a process that uses ever new ones would grow.
    hosts.retain(|_, slot| {
        Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|last| !last.is_over())
    });
    Arc::clone(hosts.entry(place.clone()).or_default())
}

impl Last {
    fn is_over(&self) -> bool {
        self.host.strong_count() == 0 && self.ended.as_ref().is_none_or(|ended| *ended.borrow())
    }
}

/// The same place, by the one name it has whoever writes it.
fn canonical(place: Place) -> Result<Place, Error> {
    let Place::Folder(folder) = place else { return Ok(place) };
    let made = make(&folder).and_then(|()| folder.canonicalize());
    made.map(Place::Folder).map_err(|source| {
        let error = OpenError::Io { doing: "create the folder", path: folder.clone(), source };
        let label: Arc<str> = format!("embedded:{}", folder.display()).into();
        not_started(&error.into()).with_backend(&label)
    })
}

fn make(folder: &Path) -> io::Result<()> {
    match folder.is_dir() {
        true => Ok(()),
        false => DirBuilder::new().recursive(true).mode(0o700).create(folder),
    }
}

fn builder(place: &Place) -> Builder {
    let builder = Server::builder().tick(TICK).session_timeouts(TICK, TIMEOUT_MAX);
    match place {
        Place::Folder(folder) => builder.data(folder),
        Place::Nameless | Place::Memory(_) => builder,
    }
}

/// What it means for a lock that its server does not start.
fn not_started(error: &StartError) -> Error {
    let (kind, hint) = match error {
        StartError::Data(error) => match error {
            OpenError::InUse { .. } => (
                ErrorKind::Unavailable,
                "a folder is for one process at a time; processes of one machine share their locks \
                 with local:",
            ),
            OpenError::Foreign { .. } => {
                (ErrorKind::Invalid, "name a new folder; nothing in this one was changed")
            }
            OpenError::Newer { .. } => {
                (ErrorKind::Refused, "use the newer release; nothing in the folder was changed")
            }
            OpenError::Io { source, .. } if is_denied(source) => (
                ErrorKind::Denied,
                "name a folder that you may write in, or run this as the user whose it is",
            ),
            OpenError::Io { .. } => (ErrorKind::Unavailable, "see to the disk, then try again"),
            _ => (
                ErrorKind::Refused,
                "restore the folder from a copy, or begin with a new one: every lock is free then, \
                 which its holder may not know for some seconds",
            ),
        },
        _ => (ErrorKind::Unavailable, "the system is out of something; see to it, then try again"),
    };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    Error::new(kind, text).with_hint(hint)
}

fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
