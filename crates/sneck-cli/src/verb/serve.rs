//! `sneck serve`: the server for those who have none.

use crate::args::ServeArgs;
use crate::background::Log;
use crate::exit;
use crate::failure::{Failure, told};
use crate::metrics::Metrics;
use crate::news::{tell_of_compactions, tell_of_refusals};
use crate::printer::Printer;
use crate::signals::Signals;
use crate::wait::interrupted;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use sneck::local::Local;
use sneck_server::log::OpenError;
use sneck_server::{Builder, Running, Server, StartError};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is printed with `--json`.
#[derive(Serialize)]
struct Serving {
    url: String,
    addresses: Vec<SocketAddr>,
    socket: Option<String>,
    data: Option<String>,
    /// Where the figures for Prometheus are.
    metrics: Option<SocketAddr>,
    pid: u32,
}

/// Serves until it is told to end.
///
/// # Errors
/// When the server does not start, or its disk fails.
pub(crate) async fn serve(args: &ServeArgs, printer: &Printer) -> Result<u8, Failure> {
    let mut signals = Signals::take(&Signals::ENDING)?;
    let place = Place::new(args)?;
    warn_of_strangers(args, printer);
    allow_many_connections();
    let builder = builder(args, &place);
    #[cfg(feature = "tls")]
    let builder = match super::serve_tls::tls(&args.tls, printer)? {
        Some(tls) => builder.tls(tls),
        None => builder,
    };
    let server = tokio::select! {
        biased;
        signal = signals.ending() => return Err(interrupted(signal)),
        server = builder.start() => server.map_err(|error| match is_occupied(&error) {
            // Whoever has started us finds out what to make of that.
            true if args.background => not_started(&error).with_code(exit::CONFLICT),
            _ => not_started(&error),
        })?,
    };
    let outcome = async {
        let metrics = match args.metrics {
            Some(address) => Some(Metrics::listen(address).await?),
            None => None,
        };
        serve_on(&server, metrics.as_ref(), args, &place, &mut signals, printer).await
    };
    let outcome = outcome.await;
    let stopped = tokio::select! {
        biased;
        // The disk may take its time, but a second signal means it.
        signal = signals.ending() => return Err(interrupted(signal)),
        remains = server.stop() => remains.is_some(),
    };
    outcome?;
    match stopped {
        true => Ok(0),
        false => Err(failed("the disk did not take what was still to be written")),
    }
}

async fn serve_on(
    server: &Running,
    metrics: Option<&Metrics>,
    args: &ServeArgs,
    place: &Place,
    signals: &mut Signals,
    printer: &Printer,
) -> Result<(), Failure> {
    // Opened first: whoever has started us is to hear of it if that fails.
    let log = match &place.local {
        Some(local) if args.background => Some(Log::open(&local.log())?),
        _ => None,
    };
    tell(server, metrics, args, place, printer)?;
    if let Some(log) = &log {
        log.take_over()?;
    }
    let note = |text: &str| match &log {
        Some(log) => log.note(text),
        None => printer.detail(text),
    };
    note(concat!("serving, version ", env!("CARGO_PKG_VERSION")));
    let idle = async {
        match args.exit_when_idle {
            Some(length) => server.idle(length).await,
            None => std::future::pending().await,
        }
    };
    let figures = async {
        match metrics {
            Some(metrics) => metrics.serve(server.in_process()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        why = server.failed() => Err(match server.has_panicked() {
            true => Failure::system("the server cannot go on", why),
            false => failed(&why),
        }),
        signal = signals.ending() => {
            note(&format!("stopping, on signal {}", signal.as_raw()));
            Ok(())
        }
        () = idle => {
            note("stopping, as there are no sessions");
            Ok(())
        }
        never = tell_of_compactions(server, log.as_ref(), printer) => never,
        never = tell_of_refusals(server, log.as_ref(), printer) => never,
        never = figures => match never {},
    }
}

/// What the server keeps where.
struct Place {
    data: Option<PathBuf>,
    socket: Option<PathBuf>,
    local: Option<Local>,
}

impl Place {
    fn new(args: &ServeArgs) -> Result<Self, Failure> {
        if args.local.is_none() {
            return Ok(Place { data: args.data.clone(), socket: args.socket.clone(), local: None });
        }
        let local = local(args)?;
        local.prepare()?;
        let (data, socket) = (Some(local.data()), Some(local.socket()));
        Ok(Place { data, socket, local: Some(local) })
    }
}

/// The place of a server for `local:`, as the command line names it.
pub(crate) fn local(args: &ServeArgs) -> Result<Local, Failure> {
    Ok(match args.local.iter().flatten().next() {
        Some(folder) => Local::at(folder)?,
        None => Local::parse("local:")?,
    })
}

fn builder(args: &ServeArgs, place: &Place) -> Builder {
    let mut builder = Server::builder().tick(args.tick);
    for address in &args.listen {
        builder = builder.listen(*address);
    }
    if let Some(path) = &place.socket {
        builder = builder.socket(path);
    }
    if place.local.is_some() {
        builder = builder.session_timeouts(LOCAL_TIMEOUT_MIN, LOCAL_TIMEOUT_MAX);
    }
    match &place.data {
        Some(folder) => builder.data(folder),
        None => builder,
    }
}

/// On one machine no network makes a session fall silent.
const LOCAL_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// Nobody has to wait that long for a process that is dead: its end is seen.
const LOCAL_TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

/// Whether somebody else has the folder or the socket, and not for good, perhaps.
fn is_occupied(error: &StartError) -> bool {
    match error {
        StartError::Data(OpenError::InUse { .. }) => true,
        StartError::Listen { on, source } => {
            on.parse::<SocketAddr>().is_err() && source.kind() == io::ErrorKind::AddrInUse
        }
        _ => false,
    }
}

fn tell(
    server: &Running,
    metrics: Option<&Metrics>,
    args: &ServeArgs,
    place: &Place,
    printer: &Printer,
) -> Result<(), Failure> {
    let text = |path: &Path| path.display().to_string();
    let socket = server.socket().map(text);
    let addresses = server.addresses().iter().map(SocketAddr::to_string);
    let places: Vec<String> = addresses.chain(socket.clone()).collect();
    printer.detail(&format!("listening on {}", places.join(" and ")));
    let metrics = metrics.map(Metrics::address);
    if let Some(address) = metrics {
        printer.detail(&format!("figures are at http://{address}/metrics"));
    }
    match &place.data {
        Some(folder) => printer.detail(&format!("keeping everything in {}", folder.display())),
        None => printer.say("in memory only: when this ends, every lock is forgotten (see --data)"),
    }
    let url = match &place.local {
        Some(local) => local.url(),
        None => url(args.speaks_tls(), server.addresses()),
    };
    match args.json {
        true => printer.json(&Serving {
            url,
            addresses: server.addresses().to_vec(),
            socket,
            data: place.data.as_deref().map(text),
            metrics,
            pid: std::process::id(),
        }),
        false => printer.data(&url),
    }
}

/// The URL for clients on this machine.
fn url(is_tls: bool, addresses: &[SocketAddr]) -> String {
    let mut hosts: Vec<String> = Vec::new();
    for address in addresses {
        let ip = match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let host = SocketAddr::new(ip, address.port()).to_string();
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    let scheme = if is_tls { "zks" } else { "zk" };
    format!("{scheme}://{}", hosts.join(","))
}

fn warn_of_strangers(args: &ServeArgs, printer: &Printer) {
    if let Some(address) = args.metrics.filter(|address| !address.ip().to_canonical().is_loopback())
    {
        let text =
            format!("other machines may read the figures at {address}: there is no password");
        printer.warn(&text, "they tell how busy the server is, and no names");
    }
    if args.asks_clients() {
        return;
    }
    let what = match args.speaks_tls() {
        true => "all may connect, as no certificate is asked for",
        false => "there is no TLS, and all may connect",
    };
    for address in args.listen.iter().filter(|address| !address.ip().to_canonical().is_loopback()) {
        printer.warn(
            &format!("other machines may reach {address}: {what}"),
            "only access rules protect what is there, such as those of ?acl=creator in the URLs of \
             clients; listen in a network that you trust",
        );
    }
}

/// Raises the limit on open files, each connection being one, as far as we are let. The usual limit
/// is that low only for programs that can use no larger one.
fn allow_many_connections() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where that is refused, there are fewer connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn not_started(error: &StartError) -> Failure {
    let failure = Failure::new(exit::of_start_error(error), told(error));
    match hint(error) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn hint(error: &StartError) -> Option<&'static str> {
    let hint = match error {
        StartError::Listen { on, source } => match (on.parse::<SocketAddr>(), source.kind()) {
            (Ok(_), io::ErrorKind::AddrInUse) => {
                "another server has this port, perhaps ZooKeeper itself; --listen takes another, and \
                 port 0 one that is free"
            }
            (Ok(_), io::ErrorKind::AddrNotAvailable) => "no interface of this machine has it",
            (Ok(_), io::ErrorKind::PermissionDenied) => "only root may have a port below 1024",
            (Err(_), io::ErrorKind::AddrInUse) => "clients can share the server that is there",
            (Err(_), io::ErrorKind::PermissionDenied) => {
                "a socket belongs into a folder of your own, with mode 700"
            }
            _ => return None,
        },
        StartError::Data(error) => match error {
            OpenError::InUse { .. } => "a folder is for one server; clients can share that one",
            OpenError::Foreign { .. } => "name a new folder; nothing in this one was changed",
            OpenError::Newer { .. } => "use the newer release; nothing in the folder was changed",
            OpenError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "name a folder that you may write in, or run this as the user whose it is"
            }
            OpenError::Io { .. } => return None,
            _ => {
                "restore the folder from a copy, or begin with a new one: every lock is free then, \
                 which its holder may not know for some seconds"
            }
        },
        _ => return None,
    };
    Some(hint)
}

fn failed(why: &str) -> Failure {
    Failure::new(exit::DISK, format!("the server cannot go on: {why}")).with_hint(
        "whatever it has said is done is on the disk; see to the disk, then start it again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_of_addresses_they_can_use() {
        for (addresses, expected) in [
            (&["127.0.0.1:2181"][..], "zk://127.0.0.1:2181"),
            (&["0.0.0.0:1", "127.0.0.1:1", "10.0.0.5:2"], "zk://127.0.0.1:1,10.0.0.5:2"),
            (&["[::]:7", "[fe80::1]:8"], "zk://[::1]:7,[fe80::1]:8"),
        ] {
            let addresses: Vec<SocketAddr> =
                addresses.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(url(false, &addresses), expected);
            assert_eq!(url(true, &addresses), expected.replacen("zk", "zks", 1));
        }
    }

    #[test]
    fn each_start_error_has_its_code_and_a_way_out() {
        let folder = || "/d".into();
        let listen = |on: &str, kind: io::ErrorKind| StartError::Listen {
            on: on.to_owned(),
            source: kind.into(),
        };
        let denied = io::ErrorKind::PermissionDenied;
        let io = OpenError::Io { doing: "create", path: folder(), source: denied.into() };
        for (error, code, says) in [
            (listen("127.0.0.1:1", io::ErrorKind::AddrInUse), 73, "--listen"),
            (listen("192.0.2.1:1", io::ErrorKind::AddrNotAvailable), 73, "interface"),
            (listen("/tmp/s", denied), 73, "mode 700"),
            (OpenError::InUse { folder: folder(), pid: Some(7) }.into(), 73, "share"),
            (OpenError::Foreign { folder: folder(), found: "x".into() }.into(), 73, "new folder"),
            (OpenError::Newer { path: folder(), version: 9 }.into(), 73, "newer release"),
            (io.into(), 73, "may write in"),
            (OpenError::Damaged { path: folder(), offset: 1, what: "x" }.into(), 65, "restore"),
        ] {
            let failure = not_started(&error);
            assert_eq!(failure.code(), code, "{error}");
            assert!(failure.hint().unwrap().contains(says), "{error}: {:?}", failure.hint());
        }
        let thread = not_started(&StartError::Thread(io::Error::other("no threads left")));
        assert_eq!(thread.code(), exit::INTERNAL);
        assert_eq!(thread.text(), "cannot start a thread: no threads left");
    }
}
