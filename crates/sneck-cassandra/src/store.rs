//! The statements of `cql/`, run on the right node within the right time.

use crate::coordinators::Coordinators;
use crate::failure::{Failure, Fate, of_prepare, text};
use crate::fields::Fields;
use crate::line::{Holder, HolderMode, Line};
use crate::options::Scope;
use crate::place::{Answer, Attempt, Step};
use crate::term::TermRule;
use futures_util::StreamExt;
use scylla::client::session::Session;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use sneck_core::{Caller, ClaimId, Error, Name};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The locks of one table.
pub(crate) struct Store {
    session: Session,
    statements: Statements,
    coordinators: Coordinators,
    keyspace: String,
    table: String,
    namespace: String,
    rule: TermRule,
    label: Arc<str>,
}

/// Where a table is and how it is used.
pub(crate) struct Settings {
    pub(crate) keyspace: String,
    pub(crate) table: String,
    pub(crate) namespace: String,
    pub(crate) scope: Scope,
    pub(crate) rule: TermRule,
    pub(crate) label: Arc<str>,
}

/// Who writes, for the row.
pub(crate) struct Writer<'a> {
    pub(crate) id: ClaimId,
    pub(crate) caller: &'a Caller,
    pub(crate) mode: HolderMode,
}

/// The statements of `cql/`, known to the servers.
pub(crate) struct Statements {
    look: PreparedStatement,
    confirm: PreparedStatement,
    open: PreparedStatement,
    acquire: PreparedStatement,
    poison: PreparedStatement,
    renew: PreparedStatement,
    release: PreparedStatement,
    resize: PreparedStatement,
    scan: PreparedStatement,
}

/// Partitions that a scan of the table reads, so that it comes to an end.
const SCAN_ROWS_MAX: usize = 1_000_000;
/// The longest wait for a page of a scan.
const SCAN_PAGE_MAX: Duration = Duration::from_secs(10);

impl Settings {
    /// Prepares the statements.
    pub(crate) async fn prepare(&self, session: &Session) -> Result<Statements, Error> {
        let table = format!("\"{}\".\"{}\"", self.keyspace, self.table);
        Statements::prepare(session, &table, self.scope, self.rule).await
    }
}

impl Store {
    pub(crate) fn new(
        session: Session,
        statements: Statements,
        coordinators: Coordinators,
        settings: Settings,
    ) -> Store {
        let Settings { keyspace, table, namespace, rule, label, .. } = settings;
        Store { session, statements, coordinators, keyspace, table, namespace, rule, label }
    }

    pub(crate) fn rule(&self) -> TermRule {
        self.rule
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn keyspace(&self) -> &str {
        &self.keyspace
    }

    pub(crate) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Does what a step says. [`Step::Tell`] is no business of the store.
    pub(crate) async fn perform(
        &self,
        name: &Name,
        step: &Step,
        writer: &Writer<'_>,
    ) -> Result<Answer, Failure> {
        let key = (self.namespace.as_str(), name.as_str());
        let (statements, ttl) = (&self.statements, self.rule.seconds());
        let (mode, take) = writer.mode.written();
        let owner = Uuid::from_u128(writer.id.as_u128());
        match step {
            Step::Look | Step::Tell(_) => Ok(Answer::Line(self.look(name).await?)),
            Step::Confirm(_) => Ok(Answer::Line(self.confirm(name).await?)),
            Step::Open => {
                self.change(&statements.open, key, key, "making the lock's partition").await
            }
            Step::Resize { permits, fence } => self.resize(name, *permits, *fence).await,
            Step::Acquire(Attempt { seat, fence }) => {
                let meta = writer.caller.to_string();
                let fences = (seat.token, seat.epoch, key.0, key.1, fence);
                let row = (ttl, owner, seat.token, mode, take, meta, key.0, key.1, seat.number);
                let (a, b, c, d, e) = fences;
                let (f, g, h, i, j, k, l, m, n) = row;
                let values = (a, b, c, d, e, f, g, h, i, j, k, l, m, n);
                self.change(&statements.acquire, key, values, "taking the lock").await
            }
            Step::Poison(Attempt { seat, fence }) => {
                let values = (seat.token, key.0, key.1, fence);
                self.change(&statements.poison, key, values, "settling an unanswered attempt").await
            }
            Step::Renew(seat, mode) => {
                let ((mode, take), meta) = (mode.written(), writer.caller.to_string());
                let row = (ttl, owner, seat.token, mode, take, meta);
                let (a, b, c, d, e, f) = row;
                let values = (a, b, c, d, e, f, key.0, key.1, seat.number, seat.token, seat.epoch);
                self.change(&statements.renew, key, values, "renewing the lock").await
            }
            Step::Release(seat) => {
                let values = (key.0, key.1, seat.number, seat.token);
                self.change(&statements.release, key, values, "releasing the lock").await
            }
        }
    }

    /// The partition as a plain read sees it: all that a client was told is there. Enough to look by;
    /// what is then written has a condition.
    pub(crate) async fn look(&self, name: &Name) -> Result<Option<Line>, Failure> {
        self.read(&self.statements.look, name, "looking at the lock").await
    }

    /// The partition after every round of Paxos that has begun was brought to its end.
    pub(crate) async fn confirm(&self, name: &Name) -> Result<Option<Line>, Failure> {
        self.read(&self.statements.confirm, name, "reading who holds the lock").await
    }

    pub(crate) async fn resize(
        &self,
        name: &Name,
        permits: NonZeroU32,
        fence: i64,
    ) -> Result<Answer, Failure> {
        let key = (self.namespace.as_str(), name.as_str());
        let number = i32::try_from(permits.get()).unwrap_or(i32::MAX);
        let values = (number, fence + 1, key.0, key.1, fence);
        self.change(&self.statements.resize, key, values, "setting the number of permits").await
    }

    /// Makes the partition of a lock that was never used.
    pub(crate) async fn open(&self, name: &Name) -> Result<Answer, Failure> {
        let key = (self.namespace.as_str(), name.as_str());
        self.change(&self.statements.open, key, key, "making the lock's partition").await
    }

    /// A conditional statement whose condition never holds, on a partition that is not there: shows
    /// whether we may read and write, and whether there is a quorum, and leaves nothing behind.
    pub(crate) async fn probe(&self) -> Result<(), Failure> {
        let name = format!("probe/{}", ClaimId::random());
        let key = (self.namespace.as_str(), name.as_str());
        let doing = "trying the table";
        self.fields(&self.statements.look, key, key, doing).await?;
        let never = -1_i64;
        self.change(&self.statements.poison, key, (never, key.0, key.1, never), doing).await?;
        Ok(())
    }

    /// The names of all locks that somebody holds, unordered.
    pub(crate) async fn names(&self) -> Result<Vec<Name>, Failure> {
        let doing = "listing the locks";
        let scan = self.statements.scan.clone();
        let pages = self.session.execute_iter(scan, ()).await;
        let pages = pages.map_err(|error| strange(doing, &error))?;
        let rows = pages.rows_stream::<(String, String, Option<i64>)>();
        let mut rows = rows.map_err(|error| strange(doing, &error))?.take(SCAN_ROWS_MAX);
        let mut names = Vec::new();
        while let Some(row) = rows.next().await {
            let (namespace, name, token) = row.map_err(|error| strange(doing, &error))?;
            // A partition that nobody holds still has its fence, and a row without a seat for it.
            if namespace == self.namespace && token.is_some() {
                names.extend(Name::new(&name).ok());
            }
        }
        Ok(names)
    }

    async fn read(
        &self,
        statement: &PreparedStatement,
        name: &Name,
        doing: &str,
    ) -> Result<Option<Line>, Failure> {
        let key = (self.namespace.as_str(), name.as_str());
        let rows = self.fields(statement, key, key, doing).await?;
        line(&rows).map_err(|what| Failure::strange(doing, what))
    }

    /// Runs a conditional statement.
    async fn change(
        &self,
        statement: &PreparedStatement,
        key: (&str, &str),
        values: impl SerializeRow,
        doing: &str,
    ) -> Result<Answer, Failure> {
        let rows = self.fields(statement, key, values, doing).await?;
        let row = rows.first().ok_or_else(|| Failure::strange(doing, "an answer without a row"))?;
        match row.boolean("[applied]") {
            Some(true) => Ok(Answer::Applied),
            Some(false) => Ok(Answer::Refused { token: row.bigint("fencing_token") }),
            None => {
                Err(Failure::strange(doing, "an answer that does not say whether it was applied"))
            }
        }
    }

    async fn fields(
        &self,
        statement: &PreparedStatement,
        key: (&str, &str),
        values: impl SerializeRow,
        doing: &str,
    ) -> Result<Vec<Fields>, Failure> {
        let table = (self.keyspace.as_str(), self.table.as_str());
        let node = self.coordinators.choose(&self.session, table, key);
        let mut statement = statement.clone();
        let host = node.as_ref().map(|node| node.host_id);
        statement.set_load_balancing_policy(
            node.map(|node| SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(node), None)),
        );
        let result = self.session.execute_unpaged(&statement, values).await;
        let result = result.map_err(|error| Failure::of(&error, doing));
        match (&result, host) {
            (Ok(_), Some(host)) => self.coordinators.note_answer(host),
            (Err(Failure { fate: Fate::Silent, .. }), Some(host)) => {
                self.coordinators.note_silence(host);
            }
            _ => {}
        }
        Fields::of(result?).ok_or_else(|| Failure::strange(doing, "an answer that is no table"))
    }
}

fn strange(doing: &str, error: &dyn std::error::Error) -> Failure {
    let text = format!("{doing}: {}", text(error));
    let error = Error::new(sneck_core::ErrorKind::Unavailable, text);
    Failure { error, fate: Fate::NotDone }
}

/// A partition: its static columns are in every row, and alone in one without a seat when nobody holds.
fn line(rows: &[Fields]) -> Result<Option<Line>, &'static str> {
    let Some(first) = rows.first() else { return Ok(None) };
    let Some(fence) = first.bigint("fence") else {
        return Err("the lock's partition has no fence; it was not written by sneck");
    };
    let permits = first.int("permits").and_then(|permits| u32::try_from(permits).ok());
    let holders = rows.iter().filter_map(holder).collect();
    let permits = permits.and_then(NonZeroU32::new);
    Ok(Some(Line { fence, epoch: first.bigint("epoch"), permits, holders }))
}

fn holder(row: &Fields) -> Option<Holder> {
    let left = row.int("left").and_then(|left| u64::try_from(left).ok()).unwrap_or_default();
    let (mode, take) = (row.text("mode").unwrap_or_default(), row.int("take").unwrap_or(1));
    Some(Holder {
        seat: row.int("seat")?,
        owner: ClaimId::from_u128(row.uuid("owner").unwrap_or_default().as_u128()),
        token: row.bigint("fencing_token").unwrap_or_default(),
        mode: HolderMode::read(mode, take),
        meta: row.text("meta").unwrap_or_default().to_owned(),
        left: Duration::from_secs(left),
    })
}

impl Statements {
    async fn prepare(
        session: &Session,
        table: &str,
        scope: Scope,
        rule: TermRule,
    ) -> Result<Statements, Error> {
        let (commit, serial, serial_read) = match scope {
            Scope::Cluster => (Consistency::Quorum, SerialConsistency::Serial, Consistency::Serial),
            Scope::Datacenter => {
                (Consistency::LocalQuorum, SerialConsistency::LocalSerial, Consistency::LocalSerial)
            }
        };
        let prepare = async |cql: &str| {
            let prepared = session.prepare(cql.replace("{table}", table)).await;
            let mut prepared = prepared.map_err(|error| {
                let text = format!("preparing the statements: {}", text(&error));
                Error::new(of_prepare(&error), text)
            })?;
            prepared.set_consistency(commit);
            prepared.set_serial_consistency(Some(serial));
            prepared.set_request_timeout(Some(rule.answer_within()));
            // None of them may be repeated behind our back: what is unknown is settled.
            prepared.set_is_idempotent(false);
            Ok(prepared)
        };
        let mut confirm: PreparedStatement = prepare(include_str!("../cql/look.cql")).await?;
        confirm.set_consistency(serial_read);
        let mut scan = prepare(include_str!("../cql/scan.cql")).await?;
        scan.set_request_timeout(Some(SCAN_PAGE_MAX));
        Ok(Statements {
            look: prepare(include_str!("../cql/look.cql")).await?,
            confirm,
            open: prepare(include_str!("../cql/open.cql")).await?,
            acquire: prepare(include_str!("../cql/acquire.cql")).await?,
            poison: prepare(include_str!("../cql/poison.cql")).await?,
            renew: prepare(include_str!("../cql/renew.cql")).await?,
            release: prepare(include_str!("../cql/release.cql")).await?,
            resize: prepare(include_str!("../cql/resize.cql")).await?,
            scan,
        })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("label", &self.label)
            .field("table", &self.table)
            .field("rule", &self.rule)
            .field("coordinators", &self.coordinators)
            .finish_non_exhaustive()
    }
}
