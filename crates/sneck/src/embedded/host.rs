//! A server within the process, on a thread of its own.

use sneck_server::{Builder, InProcess, Running, StartError};
use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread;
use tokio::io::DuplexStream;
use tokio::sync::{oneshot, watch};

/// A server that runs until this is dropped.
///
/// It has a thread and a runtime of its own: were its clock a task of the runtime that happened to
/// start it, the end of that runtime would stop the time of sessions on all others.
#[derive(Debug)]
pub(super) struct Host {
    entrance: InProcess,
    failure: Arc<OnceLock<String>>,
    ended: watch::Receiver<bool>,
    /// Never sent on: that it is dropped tells the thread to end.
    _until_dropped: oneshot::Sender<()>,
}

/// A server that is starting.
pub(super) struct Starting {
    /// Whether the server has ended, or has not come to be.
    pub(super) ended: watch::Receiver<bool>,
    failure: Arc<OnceLock<String>>,
    started: oneshot::Receiver<Result<InProcess, StartError>>,
    until_dropped: oneshot::Sender<()>,
}

impl Host {
    /// Begins to start a server.
    pub(super) fn start(builder: Builder) -> Result<Starting, StartError> {
        let (tell_started, started) = oneshot::channel();
        let (until_dropped, stop) = oneshot::channel();
        let (tell_ended, ended) = watch::channel(false);
        let failure = Arc::new(OnceLock::new());
        let told = Arc::clone(&failure);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StartError::Thread)?;
        let run = move || {
            runtime.block_on(run(builder, tell_started, stop, &told));
            // What still reads or writes in the background, such as a compaction, has ended by then.
            drop(runtime);
            tell_ended.send_replace(true);
        };
        let thread = thread::Builder::new().name("sneck-embedded".into()).spawn(run);
        thread.map_err(StartError::Thread)?;
        Ok(Starting { ended, failure, started, until_dropped })
    }

    /// Opens a connection.
    pub(super) fn enter(&self) -> DuplexStream {
        self.entrance.connect()
    }

    /// Why it could not go on, if that is so.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Resolves when it has ended. Does not keep it.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + use<> {
        has_ended(self.ended.clone())
    }
}

impl Starting {
    /// Waits until it serves. When this is dropped meanwhile, the server ends.
    pub(super) async fn host(self) -> Result<Host, StartError> {
        let Starting { ended, failure, started, until_dropped } = self;
        let died = || StartError::Thread(io::Error::other("the server's thread has died"));
        let entrance = started.await.map_err(|_| died())??;
        Ok(Host { entrance, failure, ended, _until_dropped: until_dropped })
    }
}

/// Resolves when a server has ended.
pub(super) async fn has_ended(mut ended: watch::Receiver<bool>) {
    // An error says that its thread has died, which is an end, too.
    let _ = ended.wait_for(|ended| *ended).await;
}

async fn run(
    builder: Builder,
    started: oneshot::Sender<Result<InProcess, StartError>>,
    stop: oneshot::Receiver<()>,
    failure: &OnceLock<String>,
) {
    let server: Running = match builder.start().await {
        Ok(server) => server,
        Err(error) => {
            // Who asked may have stopped caring.
            let _ = started.send(Err(error));
            return;
        }
    };
    let asked_for = started.send(Ok(server.in_process())).is_ok();
    if asked_for {
        tokio::select! {
            _ = stop => {}
            why = server.failed() => {
                let _ = failure.set(why);
            }
        }
    }
    server.stop().await;
}
