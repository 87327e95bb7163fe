//! sneck's own server in a process of its own, to be killed and started again.
//!
//! Which program that is, is for the caller to say: the testkit knows no server's code.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::janitor::{Janitor, Piped, Process};
use crate::port::Port;
use crate::skip::StartError;
use crate::zookeeper::{Ensemble, Version, four_letter};

/// Far more than a start takes, so that only a real failure reaches it.
const SERVING_MAX: Duration = Duration::from_secs(90);
/// How often it is asked whether it serves.
const POLL: Duration = Duration::from_millis(10);

/// A server process with its data in a folder; killed when dropped, and its data removed.
#[derive(Debug)]
pub struct Embedded {
    program: PathBuf,
    args: Vec<OsString>,
    asked: Ensemble,
    process: Mutex<Option<Process>>,
    janitor: Janitor,
    // Last, so that nobody else takes the port while the server may still hold it.
    _port: Port,
}

impl Embedded {
    /// Starts `program ADDRESS FOLDER ARGS...`, which is to serve at that address with its data in
    /// that folder, and returns when it does.
    ///
    /// # Errors
    ///
    /// [`StartError::Failed`], with what it has said, when it does not.
    pub async fn start<S: Into<OsString>>(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Embedded, StartError> {
        let janitor = Janitor::new("sneck-embedded-")?;
        let port = Port::lease()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        // It announces itself as this release, and answers the same four-letter words.
        let asked = Ensemble::attach(Version::V3_9, &address.to_string())?;
        let server = Embedded {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            asked,
            process: Mutex::default(),
            janitor,
            _port: port,
        };
        server.spawn()?;
        server.serving().await.map_err(StartError::Failed)?;
        Ok(server)
    }

    /// The server as one of ZooKeeper's that can be asked, but not hurt.
    pub fn as_ensemble(&self) -> &Ensemble {
        &self.asked
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::pid)
    }

    /// Kills it with -9, and returns when it is gone.
    pub async fn kill(&self) {
        let process = self.process().take();
        // Killing waits for the end, which is no work for a runtime's thread.
        let killed = tokio::task::spawn_blocking(move || drop(process)).await;
        killed.expect("killing does not panic");
    }

    /// Starts it again on its address, with the data it left. Does not wait until it serves.
    ///
    /// # Panics
    ///
    /// When it runs.
    pub fn start_again(&self) {
        assert!(self.process().is_none(), "the server runs already");
        self.spawn().expect("the program started before");
    }

    /// Returns when it serves.
    ///
    /// # Panics
    ///
    /// With what it has said, when it does not.
    pub async fn wait_until_serving(&self) {
        if let Err(reason) = self.serving().await {
            panic!("{reason}");
        }
    }

    fn spawn(&self) -> Result<(), StartError> {
        let address = self.asked.connect_string();
        let mut args = vec![address.into(), self.janitor.folder().join("data").into_os_string()];
        args.extend_from_slice(&self.args);
        let process = self.janitor.spawn(&self.program, args, &self.log(), Piped::No)?;
        *self.process() = Some(process);
        Ok(())
    }

    async fn serving(&self) -> Result<(), String> {
        let give_up = Instant::now() + SERVING_MAX;
        let said = || std::fs::read_to_string(self.log()).unwrap_or_default();
        while four_letter::mode(self.asked.addr(0)).await.is_none() {
            let end = self.process().as_mut().map(Process::try_wait);
            if let Some(Ok(Some(status))) = end {
                return Err(format!("the server ended, {status}:\n{}", said()));
            }
            if Instant::now() > give_up {
                return Err(format!("not serving after {SERVING_MAX:?}:\n{}", said()));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.janitor.folder().join("log")
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
