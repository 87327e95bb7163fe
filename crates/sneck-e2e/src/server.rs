//! sneck's own server in a process of its own, for tests that kill it.
//!
//! `sneck-e2e-server ADDRESS FOLDER [OPTION]...` serves until it is killed. It is what `sneck serve` runs,
//! and takes besides what only a test asks of a server:
//!
//! | option | what it does |
//! |---|---|
//! | `tick=MS` | the unit of session timeouts |
//! | `reap=MS` | how often containers that were left are looked for |
//! | `counter=PATH=N` | in a new folder, the first sequential node below `PATH` gets the number `N` |

use sneck::zookeeper::wire::Acl;
use sneck::zookeeper::{self, CreateMode, Session, SessionOptions};
use sneck_server::{Builder, Running, Server};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address: SocketAddr = args.next().ok_or("no address")?.parse()?;
    let mut builder = Server::builder().data(args.next().ok_or("no folder")?);
    let mut counters = Vec::new();
    for option in args {
        let (name, value) = option.split_once('=').ok_or("an option has a value")?;
        match name {
            "tick" => builder = builder.tick(Duration::from_millis(value.parse()?)),
            "reap" => builder = builder.reap_every(Duration::from_millis(value.parse()?)),
            "counter" => {
                let (path, creates) = value.rsplit_once('=').ok_or("a counter has a number")?;
                counters.push((path.to_owned(), creates.parse()?));
            }
            _ => return Err(format!("no option is called {name}").into()),
        }
    }
    if !counters.is_empty() {
        preset(builder.clone(), &counters).await?;
    }
    let server = builder.listen(address).start().await?;
    Err(server.failed().await.into())
}

/// Presets counters, on an address that nobody else knows. What is in the folder already stays as it is.
async fn preset(builder: Builder, counters: &[(String, i32)]) -> Result<(), Box<dyn Error>> {
    let server = builder.listen((Ipv4Addr::LOCALHOST, 0).into()).start().await?;
    let address = server.addresses()[0];
    let host = zookeeper::Server::new(address.ip().to_string(), address.port());
    let session = Session::connect(SessionOptions::new(vec![host])).await?;
    for (path, creates) in counters {
        if session.exists(path).await?.is_none() {
            make(&session, path).await?;
            server.preset_counter(path, *creates).await;
        }
    }
    session.close().await;
    stop(server).await
}

async fn stop(server: Running) -> Result<(), Box<dyn Error>> {
    server.stop().await.map(drop).ok_or_else(|| "the disk did not take the counters".into())
}

/// Makes a persistent node, and those above it.
async fn make(session: &Session, path: &str) -> Result<(), Box<dyn Error>> {
    for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
        let above = &path[..end];
        if session.exists(above).await?.is_none() {
            session.create(above, "", CreateMode::Persistent, Acl::open()).await?;
        }
    }
    Ok(())
}
