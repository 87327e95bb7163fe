//! `sneck run --every`: a command that runs once in an interval, on one machine of all.

use crate::args::RunArgs;
use crate::asked::Asked;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::job::lost;
use crate::printer::Printer;
use crate::signals::Signals;
use crate::store::Store;
use crate::supervisor;
use crate::verb::run;
use crate::wait::interrupted;
use serde::Serialize;
use sneck::{Contender, End, LastRun, Name, Run, Skipped, Start};
use std::time::{Duration, SystemTime};

/// The interval, where there is one.
///
/// # Errors
/// For several locks: the record of a run is one lock's.
pub(crate) fn job(args: &RunArgs, asked: &Asked) -> Result<Option<Duration>, Failure> {
    match (args.every, asked.names()) {
        (Some(_), [_, _, ..]) => {
            Err(Failure::usage("--every is for one lock, whose name is the job's").with_hint(
                "take the other locks inside: sneck run --every 1h JOB -- sneck run A B -- CMD",
            ))
        }
        (every, _) => Ok(every),
    }
}

/// What is printed with `--json` when the command is not run.
#[derive(Serialize)]
struct NotRun<'a> {
    name: &'a str,
    ran: bool,
    /// In RFC 3339, by the store's clock.
    due: Option<String>,
    running: Option<Entry>,
    last: Option<Last>,
}

/// The last run. The fields are those of the JSON.
#[derive(Serialize)]
struct Last {
    started: String,
    ended: Option<String>,
    /// Unknown while it runs, and for ever if its process died.
    result: Option<&'static str>,
    token: Option<u64>,
    by: Option<Entry>,
}

/// Runs the command if it is due.
///
/// # Errors
/// When that cannot be learnt, and when the lock is lost.
pub(crate) async fn run_on(
    store: &Store,
    asked: &Asked,
    every: Duration,
    args: &RunArgs,
    signals: &mut Signals,
    printer: &Printer,
) -> Result<u8, Failure> {
    let job = run::of(store, args);
    job.check().await?;
    let name = &asked.names()[0];
    let once = store.locks_saying(&args.wait.note).once(name.as_str(), every);
    let once = if args.retry_failed { once.retry_unfinished() } else { once };
    let start = tokio::select! {
        biased;
        signal = signals.ending() => return Err(interrupted(signal)),
        start = once.start() => start?,
    };
    let run = match start {
        Start::Run(run) => run,
        Start::Skip(skipped) => {
            tell(name, &skipped, args.json, printer)?;
            return Ok(args.wait.conflict_exit_code.unwrap_or(0));
        }
    };
    let Some(notice) = job.ready(run.guard()).await? else {
        return Err(lost(&asked.label(), "no time was left to start it"));
    };
    let told = run::told(asked, run.guard(), printer);
    match job.run(run.guard(), notice, told, signals, printer).await? {
        supervisor::End::Ended(code) => {
            tokio::select! {
                biased;
                _ = signals.ending() => {}
                () = end(run, code, printer) => {}
            }
            Ok(code)
        }
        supervisor::End::Lost(why) => Err(lost(&asked.label(), &why)),
    }
}

/// Records how the command has ended, which does not change its exit code.
async fn end(run: Run, code: u8, printer: &Printer) {
    let end = if code == 0 { End::Done } else { End::Failed };
    if let Err(error) = run.end(end).await {
        printer.say(&format!("the end of the run could not be recorded: {error}"));
    }
}

fn tell(name: &Name, skipped: &Skipped, json: bool, printer: &Printer) -> Result<(), Failure> {
    let name = name.as_str();
    let now = SystemTime::now();
    let running = skipped.running.as_ref().map(|running| Entry::holder(running, now));
    let last = skipped.last.as_ref().map(|last| Last::new(last, now));
    let due = skipped.due.map(time);
    let mut text = match (&running, &due) {
        (Some(running), _) => format!("skipped {name:?}, at which is {}", running.sentence()),
        (None, Some(due)) => format!("skipped {name:?}, which is not due before {due}"),
        (None, None) => format!("skipped {name:?}, at which somebody was just now"),
    };
    if let Some(last) = &last {
        text += &format!("; {}", last.sentence());
    }
    printer.say(&text);
    match json {
        true => printer.json(&NotRun { name, ran: false, due, running, last }),
        false => Ok(()),
    }
}

impl Last {
    fn new(last: &LastRun, now: SystemTime) -> Self {
        let by = last.by.as_ref().map(|by| {
            let contender = Contender {
                since: Some(last.started),
                token: last.token,
                ..Contender::new("", by.to_string().as_bytes())
            };
            Entry::holder(&contender, now)
        });
        Last {
            started: time(last.started),
            ended: last.ended.map(|(at, _)| time(at)),
            result: last.ended.map(|(_, end)| match end {
                End::Done => "done",
                End::Failed => "failed",
            }),
            token: last.token.map(|token| token.get()),
            by,
        }
    }

    fn sentence(&self) -> String {
        let end = match (self.result, &self.ended) {
            (Some("done"), Some(at)) => format!("done at {at}"),
            (_, Some(at)) => format!("failed at {at}"),
            (_, None) => "not known to have ended".to_owned(),
        };
        let by = match &self.by {
            Some(by) => format!(" by {} at {}", by.who(), by.at()),
            None => String::new(),
        };
        format!("the last run began at {}{by}, {end}", self.started)
    }
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}
