//! The server that the processes of one user on one machine share: `local:`.
//!
//! It is reached over a Unix socket in a folder that is for this user alone. Who finds no server there
//! starts one, which goes on in the background, keeps its data in the folder, and ends when there has
//! been no session for a while. Should it end or be killed, the next attempt to connect starts it again:
//! sessions and locks are in its data, and go on.

mod folder;
mod program;

use async_trait::async_trait;
use folder::Folder;
use sneck_core::{Error, ErrorKind};
use sneck_zookeeper::{Connector, Duplex, Server, ZooKeeper, ZooKeeperUrl};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixStream;

/// What a URL of the shared server says.
///
/// ```text
/// local:[DIR][?OPTION=VALUE[&OPTION=VALUE]...]
/// ```
///
/// Without `DIR` it is the folder `$SNECK_LOCAL_DIR`, or `sneck` in `$XDG_STATE_HOME`, or
/// `~/.local/state/sneck`. There the server has its `socket`, its `data` and its `log`. The folder is
/// made if it is not there; one that others have access to is refused. `DIR` may be percent-encoded.
/// The options are those of [`ZooKeeperUrl`]: `timeout` (from 1 s to an hour), `connect-timeout`,
/// `foreign`.
///
/// The lock of a process that dies is free at once, on Linux: the server sees that it is gone. Elsewhere,
/// and between containers, it is when its session times out.
///
/// ```
/// let local = sneck::local::Local::parse("local:/run/user/1000/locks?timeout=5s")?;
/// assert_eq!(local.socket(), std::path::Path::new("/run/user/1000/locks/socket"));
/// # Ok::<(), sneck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Local {
    folder: Folder,
    options: ZooKeeperUrl,
    program: Option<PathBuf>,
}

impl Local {
    /// Whether a URL of this scheme is for the shared server.
    pub fn is_scheme(scheme: &str) -> bool {
        scheme == "local"
    }

    /// Reads a URL. Looks at the environment, and at nothing else.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the part that is wrong; so does a path too long for a socket.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let Some(rest) = url.strip_prefix("local:") else {
            return Err(Error::new(ErrorKind::Invalid, "the URL does not begin with local:"));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let options = ZooKeeperUrl::of_options(query)
            .map_err(|error| error.with_hint("a URL looks like local:, or local:DIR?timeout=5s"))?;
        Ok(Local { folder: Folder::of_url(path)?, options, program: None })
    }

    /// The server of this folder, with no options.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a path too long for a socket.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sneck::local::Local;
    /// let local = Local::at("/tmp/locks")?;
    /// assert_eq!(local.url(), "local:/tmp/locks");
    /// # Ok(()) }
    /// ```
    pub fn at(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let options = ZooKeeperUrl::of_options("")?;
        Ok(Local { folder: Folder::at(folder.as_ref())?, options, program: None })
    }

    /// The same, where the server that is to be started is this program: a `sneck` of this version.
    /// Unless set, it is the `sneck` beside the running program, or else the one in `$PATH`.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// The folder of the server, as an absolute path.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.socket()
    }

    /// Where the server keeps its data.
    pub fn data(&self) -> PathBuf {
        self.folder.data()
    }

    /// What the server says while it runs in the background.
    pub fn log(&self) -> PathBuf {
        self.folder.log()
    }

    /// The URL of this server that means the same to every process.
    pub fn url(&self) -> String {
        self.folder.url()
    }

    /// Makes the folder if it is not there.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when it is not ours alone, or when we may not make it;
    /// [`ErrorKind::Unavailable`] when it cannot be made.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sneck::local::Local;
    /// let place = std::env::temp_dir().join(format!("sneck-prepare-{}", std::process::id()));
    /// let local = Local::at(&place)?;
    /// local.prepare()?;
    /// assert!(place.is_dir());
    /// # std::fs::remove_dir_all(place)?;
    /// # Ok(()) }
    /// ```
    pub fn prepare(&self) -> Result<(), Error> {
        self.folder.prepare().map_err(|trouble| trouble.error(&self.label()))
    }

    /// How to reach the server, for use with a [`Session`](sneck_zookeeper::Session) of one's own.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sneck::local::Local;
    /// let options = Local::parse("local:/tmp/locks?timeout=6s")?.options();
    /// assert_eq!(options.session.timeout.as_secs(), 6);
    /// # Ok(()) }
    /// ```
    pub fn options(&self) -> ZooKeeperUrl {
        let mut options = self.options.clone();
        options.session.connector = Arc::new(Way::new(self));
        options.session.label = Some(self.label());
        options
    }

    /// Opens a session, and starts the server if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is no server and none can be started, with what it has
    /// said; [`ErrorKind::Denied`] when the folder is not ours alone; [`ErrorKind::Refused`] when the
    /// data are damaged, or of a newer release.
    ///
    /// # Cancel safety
    /// A server that is being started when the future is dropped ends by itself when nobody uses it.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// use sneck::{Locks, local::Local};
    /// use std::sync::Arc;
    /// let local = Local::parse("local:")?.with_program("/opt/sneck/bin/sneck");
    /// let locks = Locks::on(Arc::new(local.connect().await?));
    /// # drop(locks);
    /// # Ok(()) }
    /// ```
    pub async fn connect(self) -> Result<ZooKeeper, Error> {
        let ZooKeeperUrl { session, lock, .. } = self.options();
        // Asked directly first: of what goes wrong here a session would keep the words alone.
        let reached = Way::new(&self).reach().await;
        reached.map_err(|trouble| trouble.error(&self.label()))?;
        ZooKeeper::connect(session, lock).await
    }

    fn label(&self) -> Arc<str> {
        self.url().into()
    }
}

/// The way to the server, which starts it where there is none.
struct Way {
    folder: Folder,
    program: Option<PathBuf>,
    /// Held while a server is being started, so that this process does so once.
    starting: tokio::sync::Mutex<()>,
}

impl Way {
    fn new(local: &Local) -> Self {
        let Local { folder, program, .. } = local.clone();
        Way { folder, program, starting: tokio::sync::Mutex::default() }
    }

    async fn reach(&self) -> Result<UnixStream, Trouble> {
        self.folder.check()?;
        if let Some(stream) = self.knock().await? {
            return Ok(stream);
        }
        let _starting = self.starting.lock().await;
        if let Some(stream) = self.knock().await? {
            return Ok(stream);
        }
        program::start(&self.folder, self.program.clone()).await?;
        // Again, as what has made the folder may have been somebody else.
        self.folder.check()?;
        match self.knock().await? {
            Some(stream) => Ok(stream),
            None => Err(Trouble::new(
                ErrorKind::Unavailable,
                "the server was started and has ended at once",
                format!("its log may say why: {}", self.folder.log().display()),
            )),
        }
    }

    /// A connection, if there is a server.
    async fn knock(&self) -> Result<Option<UnixStream>, Trouble> {
        let socket = self.folder.socket();
        match UnixStream::connect(&socket).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(Trouble::new(
                    ErrorKind::Unavailable,
                    format!("cannot connect to {}: {error}", socket.display()),
                    "if a server that is stuck has it, end that; its pid is in data/lock beside it",
                )),
            },
        }
    }
}

#[async_trait]
impl Connector for Way {
    async fn connect(&self, _: &Server) -> io::Result<Box<dyn Duplex>> {
        let stream = self.reach().await.map_err(Trouble::into_io)?;
        Ok(Box::new(stream))
    }

    fn describe(&self, _: &Server) -> String {
        self.folder.url()
    }

    fn is_single(&self) -> bool {
        true
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Way({})", self.folder.url())
    }
}

/// Why the server cannot be had, and what to do about it.
#[derive(Debug)]
struct Trouble {
    kind: ErrorKind,
    text: String,
    hint: String,
}

impl Trouble {
    fn new(kind: ErrorKind, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Trouble { kind, text: text.into(), hint: hint.into() }
    }

    fn error(self, label: &Arc<str>) -> Error {
        Error::new(self.kind, self.text).with_hint(self.hint).with_backend(label)
    }

    /// For the session, to which trying again is of use or not.
    fn into_io(self) -> io::Error {
        let kind = match self.kind {
            ErrorKind::Unavailable => io::ErrorKind::Other,
            _ => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, self.text)
    }
}
