//! `sneck-chaos`: runs campaigns, and is worker and server in them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use sneck_chaos::campaign::{Campaign, Trouble};
use sneck_chaos::orders::Defect;
use sneck_chaos::outcome::Outcome;
use sneck_chaos::page;
use sneck_chaos::plan::Amount;
use sneck_chaos::servers::StoreKind;
use sneck_chaos::{comparison, library, orders, peer, recipe, worker};
use sneck_server::Server;

/// Nothing was violated, and enough has happened.
const CLEAN: u8 = 0;
/// A property was violated, or too little has happened.
const VIOLATED: u8 = 1;
/// The run itself failed.
const TROUBLE: u8 = 2;

/// Locks under chaos: real servers, real clients, faults by a seed, and a judge.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask chaos")]
struct Arguments {
    /// What keeps the locks.
    #[arg(long, value_enum, default_value_t = Backend::Zookeeper)]
    backend: Backend,
    /// What everything that is decided by chance follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For about so many minutes.
    #[arg(long, conflicts_with_all = ["hours", "faults"])]
    minutes: Option<u64>,
    /// For about so many hours.
    #[arg(long, conflicts_with = "faults")]
    hours: Option<u64>,
    /// For so many faults, which is the default, with 40.
    #[arg(long)]
    faults: Option<usize>,
    /// Only kinds of fault whose names contain this, to make one thing happen often.
    #[arg(long, value_name = "WORDS", conflicts_with = "recipe")]
    only: Option<String>,
    /// How many processes take locks at a time.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=16))]
    clients: u8,
    /// How many tasks take locks in each of them.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    lanes: u32,
    /// The session timeout or the term of a lease, in milliseconds.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000))]
    session_ms: u64,
    /// Instead of chaos, what others have done: each way of being careful, side by side.
    #[arg(long, value_enum, conflicts_with_all = ["hours", "faults", "defect"])]
    recipe: Option<Recipe>,
    /// The same plan for mutexes of this library and of others, one after the other, judged alike.
    #[arg(long, conflicts_with_all = ["recipe", "defect"])]
    others: bool,
    /// What is wrong with the clients, to see that it is found.
    #[arg(long, value_enum)]
    defect: Option<Broken>,
    /// Where history, report and page go.
    #[arg(long, default_value = "target/chaos")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// Three servers of Apache ZooKeeper.
    Zookeeper,
    /// One server of sneck's.
    Embedded,
    /// One Redis, in a build with the feature `redis`.
    Redis,
    /// One node of Cassandra, in a build with the feature `cassandra`.
    Cassandra,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Recipe {
    /// Jepsen's: leases of 2 s, 5 processes, a pause every 5 s, a set that is read and written back.
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Broken {
    /// Nobody listens when a lock is lost, and no deadline is known.
    Deaf,
    /// Deadlines are taken for a session later than they are.
    Late,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words == [worker::GUARDIAN] {
        return ExitCode::from(sneck::guardian::serve().map_or(TROUBLE, |()| CLEAN));
    }
    let runtime = tokio::runtime::Runtime::new();
    let Ok(runtime) = runtime else { return ExitCode::from(TROUBLE) };
    let done = runtime.block_on(async {
        match words[..] {
            ["worker", told] => work(told).await.map(|()| CLEAN),
            [library::PEER, ref told @ ..] => peer::run(told).await.map(|()| CLEAN),
            [address, folder, ref options @ ..] if address.parse::<SocketAddr>().is_ok() => {
                serve(address, folder, options).await.map(|()| CLEAN)
            }
            _ => run(&Arguments::parse()).await,
        }
    });
    // What is still being asked of standard input would keep the runtime for ever.
    runtime.shutdown_background();
    ExitCode::from(done.unwrap_or_else(|trouble| {
        let _ = writeln!(std::io::stderr(), "{trouble}");
        TROUBLE
    }))
}

async fn work(told: &str) -> Result<(), String> {
    let orders: orders::Orders = serde_json::from_str(told).map_err(|error| error.to_string())?;
    worker::run(orders).await.map_err(|error| error.to_string())
}

/// Serves until it is killed, or its disk fails.
async fn serve(address: &str, folder: &str, options: &[&str]) -> Result<(), String> {
    let address = address.parse().map_err(|_| format!("{address:?} is no address"))?;
    let mut builder = Server::builder().data(folder).listen(address);
    for option in options {
        let (name, value) = option.split_once('=').ok_or("an option has a value")?;
        let value =
            Duration::from_millis(value.parse().map_err(|_| format!("{option}: no number"))?);
        builder = match name {
            "tick" => builder.tick(value),
            "reap" => builder.reap_every(value),
            _ => return Err(format!("no option is called {name}")),
        };
    }
    let server = builder.start().await.map_err(|error| error.to_string())?;
    Err(server.failed().await)
}

async fn run(arguments: &Arguments) -> Result<u8, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    std::fs::create_dir_all(&arguments.out).map_err(|error| error.to_string())?;
    match arguments.recipe {
        Some(Recipe::Set) => run_set(arguments, &program).await,
        None if arguments.others => compare(arguments, &program).await,
        None => run_campaign(arguments, &program).await,
    }
}

async fn run_set(arguments: &Arguments, program: &Path) -> Result<u8, String> {
    // A pause takes five seconds, and there are six rows.
    let pauses = arguments.minutes.unwrap_or(12) * 2;
    let (store, seed) = (store(arguments), arguments.seed);
    let (program, folder) = (program.to_owned(), arguments.out.clone());
    let set = recipe::Recipe { store, seed, pauses, program, folder };
    let done = recipe::all(&set, say).await;
    let is_clean = done.map_err(|trouble: Trouble| trouble.to_string())?;
    Ok(if is_clean { CLEAN } else { VIOLATED })
}

async fn run_campaign(arguments: &Arguments, program: &Path) -> Result<u8, String> {
    let campaign = campaign(arguments, program);
    let told = campaign.run(|done, of| say(&format!("step {done} of {of}"))).await;
    let run = told.map_err(|trouble: Trouble| trouble.to_string())?;
    let outcome = Outcome::new(&campaign, &run).map_err(|error| error.to_string())?;
    let document = campaign.history.with_extension("json");
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    write(&document, &outcome.to_string())?;
    let drawn = page::draw(&campaign.history, &outcome).map_err(|error| error.to_string())?;
    write(&document.with_extension("html"), &drawn)?;
    say(&outcome.to_string());
    for (kind, reason) in &run.missing {
        say(&format!("not possible here: {kind}: {reason}"));
    }
    let verdict = if outcome.clean { "clean" } else { "VIOLATED" };
    say(&format!("{}: {verdict}", document.display()));
    Ok(if outcome.clean { CLEAN } else { VIOLATED })
}

/// What others do is no violation of ours: the table says it.
async fn compare(arguments: &Arguments, program: &Path) -> Result<u8, String> {
    let campaign = campaign(arguments, program);
    let compared = comparison::all(&campaign, say).await;
    let compared = compared.map_err(|trouble: Trouble| trouble.to_string())?;
    let table = campaign.history.with_extension("md");
    std::fs::write(&table, compared.to_string())
        .map_err(|error| format!("{}: {error}", table.display()))?;
    say(&format!("{compared}\n{}", table.display()));
    Ok(if compared.is_ours_clean() { CLEAN } else { VIOLATED })
}

fn store(arguments: &Arguments) -> StoreKind {
    match arguments.backend {
        Backend::Zookeeper => StoreKind::ZooKeeper,
        Backend::Embedded => StoreKind::Embedded,
        Backend::Redis => StoreKind::Redis,
        Backend::Cassandra => StoreKind::Cassandra,
    }
}

fn campaign(arguments: &Arguments, program: &Path) -> Campaign {
    let store = store(arguments);
    let minutes = arguments.minutes.or(arguments.hours.map(|hours| hours * 60));
    let amount = match minutes {
        Some(minutes) => Amount::Length(Duration::from_secs(minutes * 60)),
        None => Amount::Faults(arguments.faults.unwrap_or(40)),
    };
    let name = format!("{store}-{}-{}.jsonl", arguments.seed, std::process::id());
    let history = arguments.out.join(name);
    let mut campaign = Campaign::new(store, arguments.seed, amount, program, &history);
    if let Some(words) = &arguments.only {
        campaign.kinds.retain(|kind| kind.name().contains(words.as_str()));
    }
    campaign.clients = arguments.clients.into();
    campaign.lanes = arguments.lanes;
    campaign.session = Duration::from_millis(arguments.session_ms);
    campaign.defect = arguments.defect.map(|broken| match broken {
        Broken::Deaf => Defect::Deaf,
        Broken::Late => Defect::Late,
    });
    campaign
}

fn say(line: &str) {
    // Nobody is left to be told if that fails.
    let _ = writeln!(std::io::stdout(), "{line}");
}
