//! One run from beginning to end: servers, clients, faults, quiet, judgement.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sneck_history::{Bounds, Desk, Event, Header, HistoryReader, Report, judge};
use sneck_testkit::StartError;

use crate::fault::{Befalls, Kind};
use crate::library::Library;
use crate::nemesis;
use crate::orders::{Care, Defect, Work, name};
use crate::plan::{Amount, Plan, Wish};
use crate::servers::{Servers, StoreKind, TICK};
use crate::stage::{Cast, Stage};

/// How long every call is given to come to its end after the last fault.
const DRAIN_MAX: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// What keeps the locks.
    pub store: StoreKind,
    /// What everything follows from.
    pub seed: u64,
    /// How much is to be done.
    pub amount: Amount,
    /// What is done instead of what follows from seed, amount and kinds.
    pub plan: Option<Plan>,
    /// Which kinds of fault there may be; those that cannot be had here are left out, aloud.
    pub kinds: Vec<Kind>,
    /// How many clients there are at a time.
    pub clients: usize,
    /// How many tasks take locks in each.
    pub lanes: u32,
    /// The session timeout.
    pub session: Duration,
    /// Whose locks clients take: workers of ours every kind of lock, and programs with some library mutexes.
    pub library: Option<Library>,
    /// What clients do.
    pub work: Work,
    /// What is wrong with them.
    pub defect: Option<Defect>,
    /// The program of this crate, which becomes worker and server.
    pub program: PathBuf,
    /// Where the history is written; a file that is there already is never written over.
    pub history: PathBuf,
    /// Whether too little of anything is a violation.
    pub floors: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Run {
    /// The head of the history.
    pub header: Header,
    /// What was built, as far as that can be told: which commit there was when the run began.
    pub commit: Option<String>,
    /// What was planned.
    pub plan: Plan,
    /// The kinds that could not be had, and why.
    pub missing: Vec<(Kind, String)>,
    /// What the judge says.
    pub report: Report,
    /// From the first client's start to quiet.
    pub length: Duration,
    /// What the judge took.
    pub judged_in: Duration,
}

/// Why there is no outcome.
#[derive(Debug)]
pub enum Trouble {
    /// The servers did not start.
    Start(StartError),
    /// Anything else that is no matter of locks.
    Other(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Start(error) => error.fmt(f),
            Trouble::Other(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<String> for Trouble {
    fn from(reason: String) -> Trouble {
        Trouble::Other(reason)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Other(error.to_string())
    }
}

impl Campaign {
    /// One of everything, with clients that do everything right.
    pub fn new(
        store: StoreKind,
        seed: u64,
        amount: Amount,
        program: &Path,
        history: &Path,
    ) -> Self {
        Campaign {
            store,
            seed,
            amount,
            plan: None,
            kinds: Kind::ALL.to_vec(),
            clients: 6,
            lanes: 2,
            session: Duration::from_secs(4),
            library: None,
            work: Work::Mixed,
            defect: None,
            program: program.to_owned(),
            history: history.to_owned(),
            floors: true,
        }
    }

    /// Runs it, telling after each step how many are done of how many.
    ///
    /// # Errors
    /// When something fails that is no matter of locks. Violations are none: they are in the report.
    pub async fn run(&self, progress: impl Fn(usize, usize)) -> Result<Run, Trouble> {
        let commit = commit();
        if let Some(library) = self.library {
            let prepared = tokio::task::spawn_blocking(move || library.prepare()).await;
            prepared.map_err(|error| error.to_string())?.map_err(Trouble::Start)?;
        }
        let (kinds, missing) = self.possible().await;
        let wish = Wish { kinds, seats: self.clients, session: self.session, amount: self.amount };
        let plan = self.plan.clone().unwrap_or_else(|| Plan::new(self.seed, &wish));
        let header = self.header(&plan);
        let servers = Servers::start(self.store, &self.program).await.map_err(Trouble::Start)?;
        // Names of sockets are short, and paths to histories need not be.
        let folder = tempfile::Builder::new().prefix("sneck-chaos-").tempdir()?;
        let arbiter = folder.path().join("arbiter");
        let desk = Desk::open(&arbiter, &header, File::create_new(&self.history)?)?;
        let began = Instant::now();
        let stage = Arc::new(Stage::set(self.cast(arbiter), servers).await?);
        let steps = plan.steps.len();
        nemesis::rage(&stage, &plan, |done| progress(done, steps)).await?;
        come_to_quiet(&stage).await?;
        let length = began.elapsed();
        drop(stage);
        desk.close()?;
        let judging = Instant::now();
        let reader =
            HistoryReader::new(BufReader::with_capacity(1 << 20, File::open(&self.history)?));
        let unreadable = |error: sneck_history::ReadError| error.to_string();
        let report = judge(reader.map_err(unreadable)?).map_err(unreadable)?;
        Ok(Run { header, commit, plan, missing, report, length, judged_in: judging.elapsed() })
    }

    /// The kinds that can be had here, and why others cannot.
    async fn possible(&self) -> (Vec<Kind>, Vec<(Kind, String)>) {
        let no_tracer = match self.kinds.iter().any(|kind| kind.needs_strace()) {
            true => nemesis::tracer_missing().await,
            false => None,
        };
        let (mut kinds, mut missing) = (Vec::new(), Vec::new());
        for kind in &self.kinds {
            let strangers = self.library.and_then(|_| kind.missing_of_strangers());
            let reason = kind.missing(self.store).or(strangers).map(str::to_owned);
            let reason = reason.or_else(|| no_tracer.clone().filter(|_| kind.needs_strace()));
            match reason {
                Some(reason) => missing.push((*kind, reason)),
                None => kinds.push(*kind),
            }
        }
        (kinds, missing)
    }

    fn cast(&self, arbiter: PathBuf) -> Cast {
        Cast {
            program: self.program.clone(),
            arbiter,
            seed: self.seed,
            seats: self.clients,
            lanes: self.lanes,
            session: self.session,
            library: self.library,
            work: self.work,
            // Jepsen's clients have none.
            guarded: self.work == Work::Mixed,
            defect: self.defect,
        }
    }

    fn header(&self, plan: &Plan) -> Header {
        let mut header = Header::new(self.store.of_history());
        header.about = format!("sneck-chaos seed {} on {}", self.seed, self.store);
        if let Some(library) = self.library {
            header.about = format!("{}: {}", header.about, library.release());
        }
        let ns = |length: Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let slack = Duration::from_secs(6);
        header.bounds = Bounds {
            session_ns: ns(self.session),
            tick_ns: ns(TICK),
            slack_ns: ns(slack),
            election_ns: ns(Duration::from_secs(10)),
            grant_ns: ns(self.session * 2 + slack),
            cancel_ns: ns(self.session * 2 + slack),
        };
        header.shared = [name::SHARED, name::SHARED_RW].map(str::to_owned).into();
        header.unfenced = matches!(self.work, Work::Set { care, .. } if care != Care::Fence)
            || self.library.is_some_and(|library| !library.promises().token);
        if self.floors {
            self.demand(&mut header, plan);
        }
        header
    }

    /// Less than this proves nothing. A machine of the slow kind does several times as much.
    fn demand(&self, header: &mut Header, plan: &Plan) {
        let kinds = plan.kinds();
        let floors = &mut header.floors;
        // Now and then nobody stands in a line who could be hit.
        let least = |kind: Kind, count: u64| match kind.befalls() {
            Befalls::Line => count.div_ceil(2),
            _ => count,
        };
        floors.faults =
            kinds.iter().map(|(kind, count)| (kind.name(), least(*kind, *count))).collect();
        let faults = plan.faults() as u64;
        floors.grants = 10 * faults;
        floors.handoffs = 2 * faults;
        let of =
            |wanted: &[Kind]| -> u64 { wanted.iter().filter_map(|kind| kinds.get(kind)).sum() };
        // A client that was stopped or dead for long has lost its session; of several in a row not each.
        let deadly = [Kind::ClientKilled, Kind::HolderKilled, Kind::LongPause, Kind::HolderPaused];
        floors.expiries = of(&deadly) / 2;
        floors.leaders = match self.store {
            StoreKind::ZooKeeper => {
                1 + of(&[Kind::LeaderKilled, Kind::RollingRestart, Kind::AllKilled]).div_ceil(2)
            }
            _ => 0,
        };
        if !self.store.is_zookeeper() {
            // Leases end without a word.
            floors.expiries = 0;
        }
        // The lock of readers is asked for now and then only.
        floors.shared_overlaps = u64::from(faults > 100);
    }
}

/// The commit of the working copy, with a mark if that is not all there is in it.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let is_changed = git(&["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    Some(if is_changed { format!("{commit} and changes") } else { commit })
}

/// Lets every call come to its end, and says so; then sees that no permit has leaked.
async fn come_to_quiet(stage: &Stage) -> Result<(), Trouble> {
    for seat in &stage.seats {
        seat.client.lock().await.drain().await?;
    }
    let give_up = Instant::now() + DRAIN_MAX;
    for seat in &stage.seats {
        let left = give_up.saturating_duration_since(Instant::now());
        seat.client.lock().await.drained(left.max(POLL)).await?;
    }
    // Places of the dead end with their sessions. What is left after that is found by the judge.
    while !stage.observer.places().is_empty() && Instant::now() < give_up {
        tokio::time::sleep(POLL).await;
    }
    stage.tell(Event::Quiet)?;
    let Some(first) = stage.seats.first() else { return Ok(()) };
    first.client.lock().await.probe(DRAIN_MAX).await?;
    for seat in &stage.seats {
        seat.client.lock().await.exit().await?;
    }
    Ok(())
}
