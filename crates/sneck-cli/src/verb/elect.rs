//! `sneck elect`: a command that runs where the leader is, and who that is.

use crate::args::ElectArgs;
use crate::entry::Entry;
use crate::exit;
use crate::failure::Failure;
use crate::job::{Job, Notice, Told, lost, shown_command};
use crate::printer::Printer;
use crate::server::ServerUrl;
use crate::signals::Signals;
use crate::store::{self, Store};
use crate::supervisor::End;
use crate::visible::visible;
use crate::wait::interrupted;
use serde::Serialize;
use sneck::{Contender, Election, Error, ErrorKind, Leader, Leadership, Name};
use std::time::{Duration, Instant, SystemTime};

/// A change of leader. The fields are those of the JSON.
#[derive(Serialize)]
struct Change<'a> {
    name: &'a str,
    token: Option<u64>,
    /// Null when nobody leads.
    data: Option<String>,
    leader: Option<Entry>,
}

/// Runs the command while leading, or tells who leads.
///
/// # Errors
/// When leadership is not had or is lost, and when the store cannot be asked.
pub(crate) async fn elect(
    url: ServerUrl,
    args: &ElectArgs,
    printer: &Printer,
) -> Result<u8, Failure> {
    let name = store::name(&args.name)?;
    let mut signals = Signals::take(match args.observe {
        true => &Signals::ENDING,
        false => &Signals::FORWARDED,
    })?;
    let command = shown_command(&args.command, args.show_args);
    let store = tokio::select! {
        biased;
        signal = signals.ending() => return Err(interrupted(signal)),
        store = Store::open(url, command) => store?,
    };
    let store = store.guarded(!args.observe && !args.no_guardian)?;
    let result = match args.observe {
        true => tokio::select! {
            biased;
            _ = signals.ending() => Ok(0),
            result = observe(&store, &name, args, printer) => result,
        },
        false => lead(&store, &name, args, &mut signals, printer).await,
    };
    store.close(result).await
}

async fn observe(
    store: &Store,
    name: &Name,
    args: &ElectArgs,
    printer: &Printer,
) -> Result<u8, Failure> {
    let mut leaders = store.locks().election(name.as_str()).observe();
    loop {
        let leader = leaders.next().await?;
        let entry = leader.as_ref().map(entry);
        match (args.json, &leader, &entry) {
            (true, _, _) => printer.json(&Change {
                name: name.as_str(),
                token: leader.as_ref().and_then(|leader| leader.token).map(|token| token.get()),
                data: leader.as_ref().map(|leader| visible(&leader.data)),
                leader: entry,
            })?,
            (false, Some(leader), Some(entry)) => {
                let token = leader.token.map(|token| token.to_string()).unwrap_or_default();
                let line = format!("{token} {} {} {}", entry.who(), entry.at(), leader.data);
                printer.data(line.trim_end())?;
            }
            (false, _, _) => printer.data("nobody leads")?,
        }
    }
}

async fn lead(
    store: &Store,
    name: &Name,
    args: &ElectArgs,
    signals: &mut Signals,
    printer: &Printer,
) -> Result<u8, Failure> {
    let label = format!("the leadership of {:?}", name.as_str());
    let job = Job { store, command: &args.command, grace: args.grace, on_revoke: args.on_revoke };
    job.check().await?;
    let election = store.locks().election(name.as_str());
    loop {
        let (leadership, notice) = tokio::select! {
            biased;
            signal = signals.ending() => return Err(interrupted(signal)),
            ready = ready(&job, &election, name, args, printer) => ready?,
        };
        let token = leadership.token().to_string();
        printer.say(&format!("leading {:?} with token {token}", name.as_str()));
        let told =
            Told { names: name.as_str().to_owned(), tokens: token, mode: "leader", permits: None };
        match job.run(leadership.guard(), notice, told, signals, printer).await? {
            End::Ended(code) => {
                tokio::select! {
                    biased;
                    _ = signals.ending() => {}
                    resigned = leadership.resign() => if let Err(error) = resigned {
                        printer.say(&format!("{error}; the next leads when the session ends"));
                    }
                }
                return Ok(code);
            }
            End::Lost(why) if args.again => {
                printer
                    .say(&format!("{label} was lost and the command ended: {why}; standing again"));
            }
            End::Lost(why) => return Err(lost(&label, &why)),
        }
    }
}

/// Wins the election, with enough time left for the command to be started.
async fn ready(
    job: &Job<'_>,
    election: &Election,
    name: &Name,
    args: &ElectArgs,
    printer: &Printer,
) -> Result<(Leadership, Notice), Failure> {
    let began = Instant::now();
    if let Some(leader) = election.leader().await? {
        printer.detail(&format!("{:?} is led by {}", name.as_str(), entry(&leader).sentence()));
    }
    loop {
        let leadership = match campaign(election, args, began).await {
            Ok(Some(leadership)) => leadership,
            Ok(None) => return Err(conflict(name, args, election.leader().await?.as_ref())),
            Err(error) if error.kind() == ErrorKind::Timeout => {
                return Err(conflict(name, args, election.leader().await?.as_ref()));
            }
            Err(error) if error.kind() == ErrorKind::Lost => {
                printer.say(&format!("{error}; standing again"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(notice) = job.ready(leadership.guard()).await? {
            return Ok((leadership, notice));
        }
        printer.say("leadership was lost before the command was started; standing again");
    }
}

async fn campaign(
    election: &Election,
    args: &ElectArgs,
    began: Instant,
) -> Result<Option<Leadership>, Error> {
    let data = &args.data;
    match args.wait {
        _ if args.nonblock => election.try_campaign(data).await,
        Some(Duration::ZERO) => election.try_campaign(data).await,
        Some(wait) => {
            let left = wait.saturating_sub(began.elapsed());
            election.campaign_timeout(data, left).await.map(Some)
        }
        None => election.campaign(data).await.map(Some),
    }
}

fn conflict(name: &Name, args: &ElectArgs, leader: Option<&Leader>) -> Failure {
    let name = name.as_str();
    let text = match leader {
        Some(leader) => format!("{name:?} is led by {}", entry(leader).sentence()),
        None => format!("the election {name:?} was not won in time"),
    };
    Failure::new(args.conflict_exit_code.unwrap_or(exit::CONFLICT), text)
        .with_hint("see who leads with `sneck elect --observe`; wait with -w, or without -n")
        .expected()
}

fn entry(leader: &Leader) -> Entry {
    let text = match &leader.caller {
        Some(caller) => caller.to_string(),
        None => leader.data.clone(),
    };
    let contender = Contender {
        since: leader.since,
        token: leader.token,
        ..Contender::new("", text.as_bytes())
    };
    Entry::holder(&contender, SystemTime::now())
}
