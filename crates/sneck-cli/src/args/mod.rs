//! The command line as its users see it: the one definition that parsing, help, completions and
//! the man pages are made from.

mod durable;
mod kind;

pub(crate) use durable::{DurableAction, DurableArgs, ForceArgs, FreeArgs, ShowArgs, TakeArgs};
pub(crate) use kind::{KindArgs, Share, WaitArgs};

use clap::builder::ArgPredicate;
use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use rustix::process::Signal;
use sneck::ClaimId;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Distributed locks: run a command while holding a lock that only one process, on any machine, can hold
#[derive(Debug, Parser)]
#[command(
    name = "sneck",
    version,
    max_term_width = 100,
    after_help = "Try `sneck run --help` for examples, and `sneck --help` for exit codes and environment.",
    after_long_help = ENDING
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What holds for every subcommand.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Where the locks are, such as zk://zk1,zk2,zk3/apps; local: unless set
    ///
    /// Comes before $SNECK_SERVER, which comes before the configuration file. Others on this machine
    /// can read a command line: keep a password in the file instead.
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) server: Option<String>,
    /// Say nothing but errors; that the lock is taken is told by the exit code alone
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say what goes on
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a command while holding a lock
    Run(RunArgs),
    /// Hold a lock until a signal comes, and print its fencing token
    Hold(HoldArgs),
    /// List the locks that are held, and by whom
    Ls(LsArgs),
    /// Show who holds a lock and who waits for it
    Who(WhoArgs),
    /// Show what happens to locks, as it happens
    Watch(WatchArgs),
    /// Find those who wait for each other in a circle
    Deadlocks(DeadlocksArgs),
    /// Ask whoever holds a lock to let go
    Revoke(RevokeArgs),
    /// Run a command while leading, on one machine of all; or show who leads
    Elect(ElectArgs),
    /// Take, free and show locks that outlive the process that took them
    Durable(DurableArgs),
    /// Examine the servers: can they be reached, and can their locks be relied on?
    Doctor(DoctorArgs),
    /// Be a server for locks yourself: one process that stands in for a ZooKeeper
    Serve(ServeArgs),
    /// Grow out of `sneck serve`: write what it kept for servers of Apache ZooKeeper
    Export(ExportArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

/// The arguments of `sneck run`.
#[derive(Debug, Args)]
#[command(after_long_help = RUN_ENDING)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) kind: KindArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// Run at most once in this interval, across all machines, such as 55m
    ///
    /// Counted from the start of the last run, by the store's clock. Who comes too early, or while it
    /// runs, skips: exit code 0, or that of -E.
    #[arg(
        long,
        value_name = "DUR",
        value_parser = interval,
        conflicts_with_all = ["kind", "nonblock", "wait"]
    )]
    pub(crate) every: Option<Duration>,
    /// With --every: a run that failed, or whose process died, does not use up its interval
    #[arg(long, requires = "every")]
    pub(crate) retry_failed: bool,
    /// With --every: when the run is skipped, print why as JSON
    #[arg(long, requires = "every")]
    pub(crate) json: bool,
    /// Rather give up than wait in a circle, with the exit code of a lock that is taken
    ///
    /// Such as under a command that holds what somebody waits for who holds this one; see
    /// `sneck deadlocks --help`. Of those in a circle who ask like this, the last that came gives up.
    #[arg(long)]
    pub(crate) refuse_deadlock: bool,
    /// What the command gets when somebody asks for the lock with `sneck revoke`
    ///
    /// TERM, INT, HUP, QUIT, USR1, USR2, or none. The lock is released only when the command has ended,
    /// which it may do at its leisure.
    #[arg(long, value_name = "SIGNAL", value_parser = on_revoke, default_value = "TERM")]
    pub(crate) on_revoke: OnRevoke,
    /// How long before the lock could be lost the command is told to end (TERM, later KILL)
    ///
    /// By default an eighth of the session's term, at most 2s. At most a quarter of it.
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(crate) grace: Option<Duration>,
    /// Show others in line the command's arguments too, not only the program's name
    #[arg(long)]
    pub(crate) show_args: bool,
    /// On ZooKeeper: leave the lock to the session timeout if sneck is killed
    ///
    /// By default a second process looks on. If sneck dies, of whatever, it kills what is left of the
    /// command's group, and frees the lock when all of it is dead.
    #[arg(long)]
    pub(crate) no_guardian: bool,
    /// The lock: segments separated by '/', such as invoice/42; of several, all or none are had
    #[arg(value_name = "NAME", required = true, num_args = 1..)]
    pub(crate) names: Vec<OsString>,
    /// The command and its arguments, which no shell looks at
    #[arg(value_name = "CMD", last = true, required = true, num_args = 1..)]
    pub(crate) command: Vec<OsString>,
}

/// The arguments of `sneck hold`.
#[derive(Debug, Args)]
#[command(after_long_help = HOLD_ENDING)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    pub(crate) kind: KindArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// Rather give up than wait in a circle, with the exit code of a lock that is taken
    ///
    /// Such as under a command that holds what somebody waits for who holds this one; see
    /// `sneck deadlocks --help`. Of those in a circle who ask like this, the last that came gives up.
    #[arg(long)]
    pub(crate) refuse_deadlock: bool,
    /// Also release the lock when standard input ends
    #[arg(long)]
    pub(crate) until_eof: bool,
    /// Print {"name", "token", "mode", "permits", "server"} instead of the bare token, one line a lock
    #[arg(long)]
    pub(crate) json: bool,
    /// On ZooKeeper: leave the lock to the session timeout if sneck is killed
    ///
    /// By default a second process looks on and frees it as soon as sneck is dead.
    #[arg(long)]
    pub(crate) no_guardian: bool,
    /// The lock: segments separated by '/', such as invoice/42; of several, all or none are had
    #[arg(value_name = "NAME", required = true, num_args = 1..)]
    pub(crate) names: Vec<OsString>,
}

/// The arguments of `sneck ls`.
#[derive(Debug, Args)]
#[command(after_long_help = LS_ENDING)]
pub(crate) struct LsArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `sneck who`.
#[derive(Debug, Args)]
#[command(after_long_help = WHO_ENDING)]
pub(crate) struct WhoArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The lock: segments separated by '/', such as invoice/42
    #[arg(value_name = "NAME")]
    pub(crate) name: OsString,
}

/// The arguments of `sneck watch`.
#[derive(Debug, Args)]
#[command(after_long_help = WATCH_ENDING)]
pub(crate) struct WatchArgs {
    /// Print a line of JSON for each event
    #[arg(long)]
    pub(crate) json: bool,
    /// How often to look
    #[arg(long, value_name = "DUR", value_parser = interval, default_value = "500ms")]
    pub(crate) interval: Duration,
    /// The lock; without it, all
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<OsString>,
}

/// The arguments of `sneck deadlocks`.
#[derive(Debug, Args)]
#[command(after_long_help = DEADLOCKS_ENDING)]
pub(crate) struct DeadlocksArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `sneck revoke`.
#[derive(Debug, Args)]
#[command(after_long_help = REVOKE_ENDING)]
pub(crate) struct RevokeArgs {
    /// Print {"name", "asked"}, where asked is an array of entries as in `sneck who --json`
    #[arg(long)]
    pub(crate) json: bool,
    /// The lock: segments separated by '/', such as invoice/42
    #[arg(value_name = "NAME")]
    pub(crate) name: OsString,
}

/// The arguments of `sneck elect`.
#[derive(Debug, Args)]
#[command(after_long_help = ELECT_ENDING)]
pub(crate) struct ElectArgs {
    /// Stand for no election: print who leads, and every change of that, until a signal comes
    #[arg(long, conflicts_with = "command")]
    pub(crate) observe: bool,
    /// With --observe: print a line of JSON for each change
    #[arg(long, requires = "observe")]
    pub(crate) json: bool,
    /// What everybody is shown of the leader, such as where it can be reached; at most 200 bytes
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) data: String,
    /// Stand again when leadership is lost, instead of ending with 76
    #[arg(long, conflicts_with = "observe")]
    pub(crate) again: bool,
    /// Do not wait: if somebody leads, give up at once
    #[arg(short, long, conflicts_with_all = ["wait", "observe"])]
    pub(crate) nonblock: bool,
    /// Wait at most this long to lead, such as 30s or 2m; a bare number is seconds
    #[arg(short, long, value_name = "DUR", value_parser = duration, conflicts_with = "observe")]
    pub(crate) wait: Option<Duration>,
    /// The exit code when the election is not won in time, instead of 75
    #[arg(short = 'E', long, value_name = "N")]
    pub(crate) conflict_exit_code: Option<u8>,
    /// How long before leadership could be lost the command is told to end; see `sneck run --help`
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(crate) grace: Option<Duration>,
    /// What the command gets when somebody asks for the leadership: a signal, or none
    #[arg(long, value_name = "SIGNAL", value_parser = on_revoke, default_value = "TERM")]
    pub(crate) on_revoke: OnRevoke,
    /// Show others the command's arguments too, not only the program's name
    #[arg(long)]
    pub(crate) show_args: bool,
    /// On ZooKeeper: leave the leadership to the session timeout if sneck is killed; see `sneck run --help`
    #[arg(long)]
    pub(crate) no_guardian: bool,
    /// The election: segments separated by '/', such as scheduler
    #[arg(value_name = "NAME")]
    pub(crate) name: OsString,
    /// The command and its arguments, which no shell looks at
    #[arg(
        value_name = "CMD",
        last = true,
        required_unless_present = "observe",
        num_args = 1..
    )]
    pub(crate) command: Vec<OsString>,
}

/// The arguments of `sneck doctor`.
#[derive(Debug, Args)]
#[command(after_long_help = DOCTOR_ENDING)]
pub(crate) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `sneck serve`.
#[derive(Debug, Args)]
#[command(after_long_help = SERVE_ENDING)]
pub(crate) struct ServeArgs {
    /// Keep everything in this folder; without it, in memory only
    ///
    /// It is made if it is not there. A folder that holds anything else is left alone, and one that
    /// another server uses is refused.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data: Option<PathBuf>,
    /// Listen on this address, such as 10.0.0.5:2181 or [::1]:2181; can be given more than once
    ///
    /// Without a port it is 2181. Port 0 is one that is free: standard output tells which.
    #[arg(
        long,
        value_name = "ADDR",
        value_parser = address,
        default_value = "127.0.0.1:2181",
        default_value_if("local", ArgPredicate::IsPresent, None)
    )]
    pub(crate) listen: Vec<SocketAddr>,
    /// Listen on a Unix socket, too, in a folder that is for you alone
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
    /// Tell Prometheus what goes on, at http://ADDR/metrics, such as 127.0.0.1:9141
    ///
    /// Port 0 is one that is free: --json tells which. The figures name no lock and no client.
    #[arg(long, value_name = "ADDR", conflicts_with = "detach")]
    pub(crate) metrics: Option<SocketAddr>,
    /// The unit of session timeouts, from 10ms to 1m: clients get 2 to 20 of it
    #[arg(long, value_name = "DUR", value_parser = tick, default_value = "2s")]
    pub(crate) tick: Duration,
    /// Be the server that processes of this user reach as local:, or local:DIR
    ///
    /// It has its socket, its data and, in the background, its log in this folder. It listens on no
    /// address unless --listen says so.
    #[arg(
        long,
        value_name = "DIR",
        num_args = 0..=1,
        value_hint = ValueHint::DirPath,
        conflicts_with_all = ["data", "socket"]
    )]
    pub(crate) local: Option<Option<PathBuf>>,
    /// With --local: serve in the background, and return once that is so
    ///
    /// If a server runs there already, that one is meant. Commands start one like this by themselves.
    #[arg(long, requires = "local", conflicts_with = "json")]
    pub(crate) detach: bool,
    /// End when there has been no session for this long
    ///
    /// Nothing is lost: with --local, the next command starts a server again. With --detach it is 10m
    /// unless set.
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub(crate) exit_when_idle: Option<Duration>,
    /// What --detach starts
    #[arg(long, hide = true, requires = "local", conflicts_with_all = ["detach", "json"])]
    pub(crate) background: bool,
    #[cfg(feature = "tls")]
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// Print {"url", "addresses", "socket", "data", "pid"} instead of the bare URL
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "tls")]
impl ServeArgs {
    /// Whether clients speak TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.tls.tls_cert.is_some()
    }

    /// Whether clients have to show a certificate.
    pub(crate) fn asks_clients(&self) -> bool {
        self.tls.tls_client_ca.is_some()
    }
}

#[cfg(not(feature = "tls"))]
impl ServeArgs {
    /// Clients speak no TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        false
    }

    /// Without TLS nobody shows a certificate.
    pub(crate) fn asks_clients(&self) -> bool {
        false
    }
}

/// What `sneck serve` speaks TLS with.
#[cfg(feature = "tls")]
#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    /// Speak nothing but TLS on all addresses, with this certificate and its chain (PEM)
    ///
    /// Clients say zks:// then, and check that it is valid for the host that they name. The files are
    /// read once: a new certificate needs a new start, which clients with --data hardly notice.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Let in only clients with a certificate of these authorities (PEM); without it, all
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,
}

/// The arguments of `sneck export`.
#[derive(Debug, Args)]
#[command(after_long_help = EXPORT_ENDING)]
pub(crate) struct ExportArgs {
    /// The data folder of the server, which must have been stopped; that of local: unless set
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) data: Option<PathBuf>,
    /// Take nothing along but the zxid, so that fencing tokens only go up
    #[arg(long)]
    pub(crate) seed: bool,
    /// Print {"snapshot", "zxid", "sessions", "nodes", "ttl_nodes", "properties"} instead of the path
    #[arg(long)]
    pub(crate) json: bool,
    /// Where to write version-2/snapshot.ZXID: a folder that is new, or empty but for `myid`
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
}

/// The port of ZooKeeper.
const PORT: u16 = 2_181;

/// The arguments of `sneck completions`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  sneck completions bash > ~/.local/share/bash-completion/completions/sneck"
)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// The arguments of `sneck man`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  sneck man | man -l -\n  sneck man --dir ~/.local/share/man/man1"
)]
pub(crate) struct ManArgs {
    /// Write a page for sneck and one for each subcommand into this directory instead
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Reads a length of time: `500ms`, `10s`, `2m`, or a bare number of seconds as with flock(1).
fn duration(text: &str) -> Result<Duration, String> {
    let bare = text.parse::<f64>().ok().map(Duration::try_from_secs_f64);
    match bare {
        Some(Ok(length)) => Ok(length),
        Some(Err(_)) => Err("it cannot be negative or without end".to_owned()),
        None => humantime::parse_duration(text)
            .map_err(|_| "a duration looks like 500ms, 10s, 2m or 1h30m".to_owned()),
    }
}

/// Reads the interval of a job.
fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("an interval of zero is none".to_owned()),
        interval => Ok(interval),
    }
}

/// What a command gets when its lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnRevoke {
    Signal(Signal),
    None,
}

/// Reads the id of a hold.
fn hold_id(text: &str) -> Result<ClaimId, String> {
    text.parse().map_err(|error: sneck::Error| error.to_string())
}

/// Reads a signal's name. Not its number, which differs between systems.
fn on_revoke(text: &str) -> Result<OnRevoke, String> {
    let name = text.to_ascii_uppercase();
    Ok(match name.strip_prefix("SIG").unwrap_or(&name) {
        "TERM" => OnRevoke::Signal(Signal::TERM),
        "INT" => OnRevoke::Signal(Signal::INT),
        "HUP" => OnRevoke::Signal(Signal::HUP),
        "QUIT" => OnRevoke::Signal(Signal::QUIT),
        "USR1" => OnRevoke::Signal(Signal::USR1),
        "USR2" => OnRevoke::Signal(Signal::USR2),
        "NONE" => OnRevoke::None,
        _ => return Err("it is TERM, INT, HUP, QUIT, USR1, USR2 or none".to_owned()),
    })
}

/// Reads an address to listen on. Names are for clients: one may stand for several addresses, and for
/// others tomorrow.
fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
    text.parse().or_else(|_| with_port()).map_err(|_| {
        "an address to listen on looks like 127.0.0.1:2181 or [::1]:2181, without names".to_owned()
    })
}

/// Reads the unit of session timeouts.
fn tick(text: &str) -> Result<Duration, String> {
    const TICK_MIN: Duration = Duration::from_millis(10);
    const TICK_MAX: Duration = Duration::from_secs(60);
    match duration(text)? {
        tick if (TICK_MIN..=TICK_MAX).contains(&tick) => Ok(tick),
        _ => Err("a tick is from 10ms to 1m".to_owned()),
    }
}

const ENDING: &str = "\
Examples:
  sneck run nightly -- ./job.sh          wait for the lock, then run the job
  sneck run -n cache -- refresh-cache    do nothing if somebody else is at it
  sneck who nightly                      who holds it, and who waits
  sneck serve --data /var/lib/sneck --listen 10.0.0.5   be a server for other machines, too

Exit codes:
  0      done; with `run`: the command's own exit code, exactly
  1      `deadlocks` has found some
  64     wrong usage: an option, a lock name, a URL or the configuration file
  65     the line for the lock cannot be trusted, so nobody is let in (the hint says what to do):
         it is a lock of another kind, for instance, or has another number of permits;
         with `serve`: the data folder is damaged
  69     the store cannot be reached, or does not speak its protocol
  70     a defect of sneck
  73     `serve` cannot have its address, its socket or its data folder
  74     the disk has failed `serve` while it ran
  75     the lock was not had in time (see -n, -w and -E)
  76     the lock was lost, even if the command then exited with 0
  77     the store refuses us
  126    the command cannot be executed
  127    the command was not found
  128+n  the command was ended by signal n, or sneck was while it waited

Environment:
  SNECK_SERVER     where the locks are, unless --server says
  SNECK_CONFIG     the configuration file, instead of $XDG_CONFIG_HOME/sneck/config.toml or
                   ~/.config/sneck/config.toml
  SNECK_LOCAL_DIR  the folder of local:, instead of $XDG_STATE_HOME/sneck or ~/.local/state/sneck
  XDG_CONFIG_HOME, XDG_STATE_HOME, HOME

Configuration file (TOML):
  server = \"zk://zk1:2181,zk2:2181,zk3:2181/apps\"
A file that holds a password should be readable by its owner only.

Server URLs:
  local:[DIR] is what is used where no other is named: a server for the processes of this user on this
  machine, which is started when there is none, keeps its data, and ends when nobody needs it. The
  lock of a process that dies is free at once.
  zk://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]]...[/PATH][?OPTION=VALUE[&OPTION=VALUE]...]
  zks:// is the same over TLS. Among the options are timeout=10s, the session timeout to ask for,
  and acl=creator. Percent-encode '@', '/', '?' and '%' where they are no separators.

Standard output is data, standard error is talk.";

const RUN_ENDING: &str = "\
The command gets the arguments as they are: there is no shell. For one, say so:
  sneck run nightly -- sh -c 'dump | gzip > dump.gz'

Examples:
  sneck run nightly -- ./job.sh --full
  sneck run -n cache/users -- refresh-cache users || test $? = 75
  sneck run -w 30s -E 0 report -- make-report
  sneck run --note 'release 4.2' deploy/web -- ./deploy.sh
  sneck run account/7 account/3 -- ./transfer    both locks, or neither
  sneck run -s catalogue -- ./export             beside other readers
  sneck run --write catalogue -- ./import        when no reader is in
  sneck run --permits 1/3 import -- ./import     beside two others at most
  sneck run --every 55m report -- ./report.sh    from the crontab of every machine

What the command sees:
  SNECK_NAME    the lock's name
  SNECK_TOKEN   the fencing token: larger than that of every earlier holder. Send it with every
                write, so that the resource can refuse a writer that was paused and woke too late.
                Of several locks, names and tokens are one a line, in the order of the command line.
  SNECK_MODE    exclusive, shared, write, permits or (with `elect`) leader
  SNECK_PERMITS how many of how many, such as 1/3, with --permits
  SNECK_OWNER   who holds the lock, as user@host:pid
  SNECK_SERVER  where the lock is, without credentials
  SNECK_HOLDS   what is held, for `sneck deadlocks`: a sneck below this one says it in its turn
  Standard input, output and error are those of sneck.

Once in an interval (--every):
  The interval begins when the command starts, by the store's clock, also if it fails. Whoever comes
  before the next one, or while it runs, skips and says who ran it and when. Ask for somewhat less
  than the timer's period, such as 55m, as timers fire a little early or late. It never waits.
  With --json a skip prints {\"name\", \"ran\", \"due\", \"running\", \"last\"}: last is null or {\"started\",
  \"ended\", \"result\", \"token\", \"by\"}, and running and by are as in `sneck who --json`.

Waiting:
  On a terminal one line says who holds the lock and how many are ahead. When the place in line is
  lost, because the session ended while the machine slept or the network was away, sneck asks again.

Signals:
  The command runs in a process group of its own. INT, TERM, HUP, QUIT, USR1, USR2, CONT and TSTP
  are passed on to the whole group, except those that were ignored when sneck began (nohup). While
  waiting for the lock, INT, TERM, HUP and QUIT leave the line. On a terminal the command's group
  is the foreground, so that Ctrl-C, Ctrl-Z and reading work as without sneck. A job that stays
  stopped for longer than its session loses the lock; it is ended before it could go on.

When somebody asks for the lock (`sneck revoke`):
  The group gets TERM, or what --on-revoke says, once. The lock stays until the command has ended.

When the lock is lost:
  The group gets TERM --grace before the lock could be given to somebody else, or at once if it has
  been lost already; then KILL, early enough to be dead before that moment. The exit code is 76. The
  lock is released only after the command has ended. What the command left running in the background
  is ended only when the lock is lost; otherwise it stays, without the lock.
  If sneck itself is killed by KILL, the kernel kills the command (Linux), but not a set-user-ID
  program. On ZooKeeper the rest of the command's group is killed, too, and then the lock is free at
  once (see --no-guardian). Only a resource that checks SNECK_TOKEN is safe from what has left the
  group, and from a machine that stands still.

Exit codes:
  the command's own, exactly; 128+n when signal n ended it; 75 (or -E) when the lock was not had in
  time; 0 (or -E) when --every had it skipped; 76 when it was lost; 126 and 127 when the command cannot be run; more in `sneck --help`.";

const HOLD_ENDING: &str = "\
Prints the fencing token once the lock is held, then holds it until INT, TERM or HUP, or until somebody
asks for it with `sneck revoke` (exit code 0). Of several locks it prints a token each, one a line.
Exit code 76 when the lock is lost first.

Examples:
  sneck hold maintenance
  sneck hold --shared --note 'backup runs' catalogue
  sneck hold --until-eof maintenance < some-pipe";

const LS_ENDING: &str = "\
JSON: an array of {\"name\", \"holder\", \"holding\", \"waiting\"}, where holder is as in `sneck who
--json`, and the first where readers or permits have several; holding and waiting say how many do.";

const WHO_ENDING: &str = "\
JSON: {\"name\", \"held\", \"line\"}, where line is an array, holders first, of {\"place\", \"role\", \"mode\",
\"permits\", \"user\", \"host\", \"pid\", \"command\", \"note\", \"since\", \"age_seconds\", \"token\", \"node\",
\"text\"}. role is \"holder\" or \"waiter\"; mode is \"exclusive\", \"shared\", \"write\" or \"permits\", and
permits then how many of how many, such as \"1/3\"; since is by the store's clock, in RFC 3339; text is what a client other than
sneck wrote. What is not known is null. All but since and token was written by the clients
themselves, so it is information, not proof.";

const WATCH_ENDING: &str = "\
Prints first what is, then what happens, until INT, TERM or HUP (exit code 0). What comes and goes
between two looks is not seen.

  held    somebody holds the lock who did not
  freed   somebody who held it has gone
  joined  somebody has come into line and waits
  left    somebody who waited has gone

JSON, one a line: {\"at\", \"event\", \"name\", \"who\"}, where who is as in `sneck who --json`, and at is
by the clock of this machine.

Examples:
  sneck watch
  sneck watch --json nightly | jq -r .event";

const DEADLOCKS_ENDING: &str = "\
Two who each hold a lock and wait for the other's wait for ever. This looks at all lines of the store,
and names for each such circle who holds what and waits for what. Only what was there at one moment,
all of it, is told. Standard output is empty when there is none.

It goes by what those who wait have said they hold: a `sneck run` within another says it by itself, by
way of SNECK_HOLDS, and programs that use the library say it with `holding`. Several locks of one
command line cannot lead to a circle by themselves. What other clients of the store hold and wait for
is not known; where somebody waits for one of them, standard error says so.

To end a circle, end one of its commands. `sneck run --refuse-deadlock` gives up by itself.

Exit codes:
  0 when nobody waits in a circle; 1 when somebody does; more in `sneck --help`.

JSON: {\"deadlocks\", \"unknown\"}, where deadlocks is an array of {\"circle\"}, and that an array of {\"who\",
\"holds\", \"waits\", \"gives_up\"}, each waiting for the next and the last for the first. who is as in
`sneck who --json`; holds and waits are {\"name\", \"mode\", \"permits\", \"since\", \"age_seconds\", \"token\"},
holds being null for one whose place in line alone is in the way. unknown is an array of {\"name\",
\"holder\"}.

Example:
  sneck deadlocks || page-somebody";

const REVOKE_ENDING: &str = "\
It is a request, and nothing is taken away. A command of `sneck run` gets TERM, or what its
--on-revoke says; `sneck hold` lets go; a program that uses the library is told, and so is one that uses
Apache Curator. Says whom it has asked; exit code 0, also when nobody holds the lock.

Example:
  sneck revoke nightly && sneck run -w 1m nightly -- ./urgent.sh";

const ELECT_ENDING: &str = "\
Waits until it leads, then runs the command, as `sneck run` does under a lock: with the same
environment (SNECK_MODE is leader), signals and exit codes. When the command ends, the leadership is
resigned and its exit code is ours: whoever keeps services running, starts us again, at the end of the
line. When leadership is lost, the command is dead before another can lead; the exit code is 76, or
with --again we stand again.

On ZooKeeper candidates share a line with Apache Curator's leader latch. A name is that of an election
or of a lock, not of both.

Examples:
  sneck elect --data http://10.0.0.7:8080 scheduler -- ./scheduler
  sneck elect --observe scheduler

--observe prints a line for who leads, and for each change of that: TOKEN WHO WHERE DATA, or `nobody
leads`. JSON, one a line: {\"name\", \"token\", \"data\", \"leader\"}, where leader is null or as in
`sneck who --json`.";

const DOCTOR_ENDING: &str = "\
For each server: can its name be resolved, can it be reached, is it ZooKeeper, how long is the round
trip, which version (told by `srvr`) and mode. Then for the ensemble: the session term asked for and
given, the round trip through the quorum, containers, who we are to the servers, access rules.
Nothing is written. Exit code 0 when a session was had, 69 when not; warnings change nothing.

JSON: {\"server\", \"ok\", \"checks\"}, where checks is an array of {\"server\", \"check\", \"verdict\",
\"says\", \"hint\"} and verdict is \"ok\", \"warning\", \"failure\" or \"unknown\".";

const SERVE_ENDING: &str = "\
Serves until INT, TERM, HUP or QUIT, then stops cleanly (exit code 0). Once clients can connect,
the one line on standard output is the URL for them:
  export SNECK_SERVER=zk://127.0.0.1:2181
  sneck run nightly -- ./job.sh

It speaks ZooKeeper's client protocol, so that ZooKeeper's own tools and libraries can use it, too.
It is one process on one machine: while it is down nobody gets a lock, and there is no other server
to go on in its place. For that, run three ZooKeepers.

With --data:
  A lock that is granted is on the disk. If the server is killed, or its machine loses power, and
  it is started again on the same folder, holders go on holding and the line is as it was, for
  those who come back within their session timeout. Fencing tokens only go up.

Without --data:
  A restart forgets every lock, while its holder may believe in it for some seconds more. That is
  for trying things out and for tests. Fencing tokens go up even so, by the clock of the machine.

With --local:
  It is the server that commands and programs reach as local:, in the foreground here, where one can
  see it, or as a service. They start one by themselves, as --detach does, when none runs; so none has
  to be started by hand. Its socket, its data and its log are in $SNECK_LOCAL_DIR, $XDG_STATE_HOME/sneck
  or ~/.local/state/sneck, or in DIR. `sneck doctor --server local:` tells its pid; TERM ends it, and
  locks outlive that.

Who can come in:
  By default only processes of this machine. An address that others can reach is worth a second
  thought: without --tls-cert everything can be read on the way, and without --tls-client-ca everybody
  may connect; what they may do there is up to the access rules of what is there (?acl=creator in the
  clients' URLs). The socket is for the same user alone, and knows no TLS.

With --metrics:
  GET /metrics answers in the text format of Prometheus, with the figures of the word mntr under their
  names there, such as zk_global_sessions, zk_ephemerals_count and zk_packets_received, and with
  sneck_build_info. There is no TLS and no password; an address that others can reach tells them how
  busy the server is, and nothing else.

Examples:
  sneck serve
  sneck serve --metrics 127.0.0.1:9141
  sneck serve --data /var/lib/sneck --listen 127.0.0.1:2181 --listen 10.0.0.5:2181
  sneck serve --listen 127.0.0.1:0 --tick 100ms --json
  sneck serve --listen 10.0.0.5 --tls-cert server.pem --tls-key server.key --tls-client-ca ca.pem

As a service of systemd:
  [Service]
  ExecStart=/usr/local/bin/sneck serve --data /var/lib/sneck
  DynamicUser=yes
  StateDirectory=sneck
  Restart=on-failure
  RestartPreventExitStatus=64 65 73

Exit codes:
  0 after a signal; 64 for wrong usage; 65 when the data folder is damaged; 73 when an address or
  the socket cannot be listened on, or the data folder is in use, not ours, of a newer release or
  cannot be written; 74 when the disk fails while it serves; 128+n for signal n before it serves.";

const EXPORT_ENDING: &str = "\
Writes one file, a snapshot in the format of Apache ZooKeeper 3.5 or later. Copied into the dataDir of
*every* server of a new ensemble before its first start, it lets them go on where `sneck serve` has
ended: whoever holds a lock goes on holding it, the line is as it was, and fencing tokens only go up,
for clients that come back within their session timeout. Standard output is the path of the file.

The server has to be stopped, and must not be started again on that folder once the others run: one
lock would have two holders. docs/growing.md of the project has all steps, and the way back.

Examples:
  sneck export /tmp/zookeeper                                 what the server of local: has kept
  sneck export --data /var/lib/sneck /tmp/zookeeper
  sneck export --data /var/lib/sneck --seed /tmp/zookeeper    nothing but the zxid

Exit codes:
  0 done; 64 for wrong usage; 65 when the data folder is damaged; 73 when it is in use, not ours or of a
  newer release, or DIR is not empty; 74 when the disk fails. But for 0, nothing is left in DIR.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_to_listen_on() {
        for (text, read) in [
            ("127.0.0.1:2182", "127.0.0.1:2182"),
            ("10.0.0.5", "10.0.0.5:2181"),
            ("[::1]:0", "[::1]:0"),
            ("::", "[::]:2181"),
            ("[::1]", "[::1]:2181"),
        ] {
            assert_eq!(address(text), Ok(read.parse().unwrap()), "{text}");
        }
        for bad in ["", "2181", ":2181", "localhost:2181", "1.2.3.4:66000", "1.2.3:1", "zk://::1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ticks_have_bounds() {
        assert_eq!(tick("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(tick("1m"), Ok(Duration::from_secs(60)));
        for bad in ["0", "9ms", "61", "soon", "-1"] {
            assert!(tick(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_of_time() {
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for bad in ["", "-1", "soon", "NaN", "inf", "10 parsecs"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
