//! A command under a lock, however the lock was had.

use crate::args::OnRevoke;
use crate::exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::schedule::Bounds;
use crate::secret::without_credentials;
use crate::signals::Signals;
use crate::store::{self, Store};
use crate::supervisor::{End, Supervisor};
use sneck::Guard;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

/// A command that is to run under a lock.
pub(crate) struct Job<'a> {
    pub(crate) store: &'a Store,
    pub(crate) command: &'a [OsString],
    pub(crate) grace: Option<Duration>,
    pub(crate) on_revoke: OnRevoke,
}

/// What the command is told of its lock.
pub(crate) struct Told {
    /// The locks, one a line.
    pub(crate) names: String,
    /// Their tokens, one a line.
    pub(crate) tokens: String,
    pub(crate) mode: &'static str,
    pub(crate) permits: Option<String>,
}

impl Job<'_> {
    /// Makes sure that the command can have as much notice as is asked for. Before waiting, so that
    /// nobody waits for an hour to be told of a mistake.
    ///
    /// # Errors
    /// When it cannot, and when there is no session to know by.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        self.bounds().await.map(drop)
    }

    /// How much notice the command gets, and whether this lock is held for longer than that. `None` when
    /// it is not: there is no time left to start anything.
    ///
    /// # Errors
    /// As for [`check`](Job::check).
    pub(crate) async fn ready(&self, guard: &Guard) -> Result<Option<Notice>, Failure> {
        // Again, as the session may be another by now, with another timeout.
        match self.bounds().await {
            Ok(bounds) => {
                let needed = bounds.map_or(Duration::ZERO, |bounds| bounds.grace);
                Ok((guard.remaining() > needed).then_some(Notice(bounds)))
            }
            // The session has ended since, and with it the lock.
            Err(failure) if failure.code() == exit::UNAVAILABLE => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Runs the command to its end.
    ///
    /// # Errors
    /// When the system refuses what cannot be done without.
    pub(crate) async fn run(
        &self,
        guard: &Guard,
        notice: Notice,
        told: Told,
        signals: &mut Signals,
        printer: &Printer,
    ) -> Result<End, Failure> {
        let environment = self.environment(told, guard);
        let Notice(bounds) = notice;
        // Until it is known who is to die with us, our death frees nothing.
        let guardian = self.store.guardian();
        if let Some(guardian) = guardian {
            guardian.child_starts();
        }
        let supervisor =
            Supervisor::start(guard, signals, bounds, self.on_revoke, self.command, &environment)?;
        if let Some(guardian) = guardian {
            guardian.child_leads(supervisor.group());
        }
        let end = supervisor.run(printer).await?;
        if let Some(guardian) = guardian {
            guardian.children_ended();
        }
        Ok(end)
    }

    async fn bounds(&self) -> Result<Option<Bounds>, Failure> {
        let Some(timeout) = self.store.session_timeout().await? else { return Ok(None) };
        Bounds::new(timeout, self.grace).map(Some).map_err(|grace_max| {
            let text = format!(
                "--grace is longer than {}, a quarter of the session timeout, so the command would \
                 be ended while all is well",
                humantime::format_duration(grace_max),
            );
            Failure::usage(text)
                .with_hint("ask for a longer session, such as zk://HOST?timeout=30s")
        })
    }

    fn environment(&self, told: Told, guard: &Guard) -> Vec<(&'static str, String)> {
        let own = std::iter::once(guard.claim_id());
        let holds: Vec<String> =
            store::inherited().into_iter().chain(own).map(|id| id.to_string()).collect();
        let mut environment = vec![
            ("SNECK_NAME", told.names),
            ("SNECK_TOKEN", told.tokens),
            ("SNECK_MODE", told.mode.to_owned()),
            ("SNECK_OWNER", self.store.owner()),
            ("SNECK_SERVER", self.store.url()),
            (store::HOLDS, holds.join(",")),
        ];
        environment.extend(told.permits.map(|permits| ("SNECK_PERMITS", permits)));
        environment
    }
}

/// How much notice a command gets, for [`Job::run`].
pub(crate) struct Notice(Option<Bounds>);

/// The failure of a command whose lock was lost.
pub(crate) fn lost(label: &str, why: &str) -> Failure {
    let text = format!("{label} was lost and the command ended: {why}");
    Failure::new(exit::LOST, text).with_hint(
        "somebody else may hold the lock by now; only a resource that checks SNECK_TOKEN is safe",
    )
}

/// What others in line are told that we run: the arguments on demand only, and never credentials.
pub(crate) fn shown_command(command: &[OsString], with_arguments: bool) -> String {
    let Some((program, rest)) = command.split_first() else { return String::new() };
    let file_name = Path::new(program).file_name().unwrap_or(program);
    let shown = |text: &OsStr| without_credentials(&text.to_string_lossy());
    let mut words = vec![shown(file_name)];
    if with_arguments {
        words.extend(rest.iter().map(|word| shown(word)));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_shown_on_demand_only_and_never_credentials() {
        let command = ["/opt/bin/load", "--into", "postgres://u:hunter2@db/x"].map(OsString::from);
        assert_eq!(shown_command(&command, false), "load");
        assert_eq!(shown_command(&command, true), "load --into postgres://***@db/x");
    }
}
