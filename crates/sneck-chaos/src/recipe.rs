//! Jepsen's recipe for locks: five processes, leases of two seconds, a pause every five seconds, and
//! under the lock a set that is read and, after a sleep, written back with one element more.
//!
//! It is done for three ways of being careful and, with the same pauses, with other libraries, and printed
//! side by side. An update counts as lost when it was acknowledged and then overwritten by somebody who had
//! not read it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use sneck_history::{Count, Property, Report};
use sneck_testkit::StartError;

use crate::campaign::{Campaign, Trouble};
use crate::library::Library;
use crate::orders::{Care, Work};
use crate::plan::{Amount, Plan};
use crate::servers::StoreKind;

const PROCESSES: usize = 5;
const LEASE: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_secs(5);
/// Longer than a lease, so that whoever was stopped comes back too late.
const PAUSE_LENGTH: Duration = Duration::from_millis(3_500);
const SLEEP: Duration = Duration::from_millis(400);

/// Where and how often it is done.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What keeps the lock.
    pub store: StoreKind,
    /// Who is stopped follows from it.
    pub seed: u64,
    /// How often somebody is stopped.
    pub pauses: u64,
    /// The program of this crate.
    pub program: PathBuf,
    /// Where the histories go.
    pub folder: PathBuf,
}

/// What came of one way.
#[derive(Debug, Clone)]
pub struct Row {
    /// Whose lock it was, and what the holder did before it wrote.
    pub who: String,
    /// Updates that the set took.
    pub acknowledged: u64,
    /// Those that somebody overwrote without having read them.
    pub lost: u64,
    /// Updates that the fence refused.
    pub refused: u64,
    /// Pauses there were.
    pub pauses: u64,
    /// Whether the judge found anything: where no fence is claimed, lost updates are only counted.
    pub clean: bool,
}

impl Recipe {
    /// Does it with this library, in a way of being careful.
    ///
    /// # Errors
    /// When something fails that is no matter of locks.
    pub async fn ours(&self, care: Care) -> Result<Row, Trouble> {
        let (word, words) = match care {
            Care::None => ("plain", "sneck: believes in its lock"),
            Care::Checks => ("checked", "sneck: asks its guard before it writes"),
            Care::Fence => ("fenced", "sneck: shows its token to the resource"),
        };
        self.run(word, words, care, None).await
    }

    /// Does it with another library, whose holders believe in their lock: they are given no token.
    ///
    /// # Errors
    /// [`StartError::Unavailable`] where this machine does not have that library.
    pub async fn theirs(&self, library: Library) -> Result<Row, Trouble> {
        let words = format!("{}: believes in its lock", library.name());
        self.run(library.name(), &words, Care::None, Some(library)).await
    }

    async fn run(
        &self,
        word: &str,
        words: &str,
        care: Care,
        library: Option<Library>,
    ) -> Result<Row, Trouble> {
        let history = self.history(word);
        let mut campaign =
            Campaign::new(self.store, self.seed, Amount::Faults(0), &self.program, &history);
        campaign.plan = Some(self.plan());
        (campaign.clients, campaign.lanes, campaign.session) = (PROCESSES, 1, LEASE);
        campaign.library = library;
        campaign.work = Work::Set { care, sleep_ms: u64::try_from(SLEEP.as_millis()).unwrap_or(0) };
        campaign.floors = false;
        let run = campaign.run(|_, _| {}).await?;
        Ok(Row::new(words, &run.report))
    }

    fn plan(&self) -> Plan {
        Plan::pauses(self.seed, PROCESSES, EVERY, PAUSE_LENGTH, self.pauses)
    }

    fn history(&self, way: &str) -> PathBuf {
        let (store, seed, run) = (self.store, self.seed, std::process::id());
        self.folder.join(format!("set-{store}-{seed}-{way}-{run}.jsonl"))
    }
}

/// Does it in all ways, and says each row as soon as there is one. Returns whether all were clean.
///
/// # Errors
/// As [`Recipe::ours`]. A library that this machine does not have is told, and is none.
pub async fn all(recipe: &Recipe, say: impl Fn(&str)) -> Result<bool, Trouble> {
    let mut is_clean = true;
    say(TABLE);
    for care in [Care::None, Care::Checks, Care::Fence] {
        let row = recipe.ours(care).await?;
        is_clean &= row.clean;
        say(&row.to_string());
    }
    for library in Library::others(recipe.store).iter().copied() {
        match recipe.theirs(library).await {
            Ok(row) => say(&row.to_string()),
            Err(Trouble::Start(StartError::Unavailable(missing))) => {
                say(&format!("not possible here: {}: {missing}", library.name()));
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(is_clean)
}

impl Row {
    fn new(who: &str, report: &Report) -> Row {
        let count = |count| report.count(count);
        // With a fence a lost update is a violation, and not merely counted.
        let violations = report.totals.get(&Property::FencedExclusion).copied();
        Row {
            who: who.to_owned(),
            acknowledged: count(Count::Writes),
            lost: count(Count::UnfencedLostUpdates) + violations.unwrap_or_default(),
            refused: count(Count::RefusedWrites),
            pauses: count(Count::Faults),
            clean: report.is_clean(),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { who, acknowledged, lost, refused, pauses, .. } = self;
        let percent = *lost as f64 * 100.0 / (*acknowledged).max(1) as f64;
        write!(f, "| {who} | {pauses} | {acknowledged} | {refused} | {lost} | {percent:.2} % |")
    }
}

/// The head of the table of rows.
const TABLE: &str = "\
| whose lock, and the holder | pauses | acknowledged | refused | acknowledged and lost | |
|---|---|---|---|---|---|";
