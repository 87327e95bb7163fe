//! `sneck durable`: locks that outlive their owners.

use crate::args::{DurableAction, DurableArgs, ForceArgs, FreeArgs, ShowArgs, TakeArgs};
use crate::entry::Entry;
use crate::exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::server::ServerUrl;
use crate::signals::Signals;
use crate::store::{self, Store};
use crate::table::table;
use crate::visible::visible;
use crate::wait::interrupted;
use serde::Serialize;
use sneck::{Durable, DurableHold, DurableHolder, Error, ErrorKind, ForcedRelease, Name};
use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

/// What `take` prints with `--json`.
#[derive(Serialize)]
struct Taken<'a> {
    name: &'a str,
    token: u64,
    owner: &'a str,
    server: String,
}

/// What `free` and `force` print with `--json`.
#[derive(Serialize)]
struct Freed<'a> {
    name: &'a str,
    freed: bool,
}

/// A durable lock. The fields are those of the JSON, here and below.
#[derive(Serialize)]
struct Shown {
    name: String,
    held: bool,
    holder: Option<Holder>,
    forced: Vec<Forced>,
}

#[derive(Serialize)]
struct Holder {
    hold: String,
    owner: String,
    reason: String,
    since: String,
    token: u64,
    user: Option<String>,
    host: Option<String>,
    pid: Option<u32>,
    command: Option<String>,
}

#[derive(Serialize)]
struct Forced {
    at: String,
    reason: String,
    user: Option<String>,
    host: Option<String>,
    pid: Option<u32>,
    ended: Holder,
}

/// Does what is to be done with a durable lock.
///
/// # Errors
/// When the lock is not had or is somebody else's, and when the store cannot be asked.
pub(crate) async fn durable(
    url: ServerUrl,
    args: &DurableArgs,
    printer: &Printer,
) -> Result<u8, Failure> {
    let mut signals = Signals::take(&Signals::ENDING)?;
    let name = match &args.action {
        DurableAction::Take(TakeArgs { name, .. })
        | DurableAction::Free(FreeArgs { name, .. })
        | DurableAction::Force(ForceArgs { name, .. })
        | DurableAction::Show(ShowArgs { name, .. }) => Some(store::name(name)?),
        DurableAction::Ls(_) => None,
    };
    let store = tokio::select! {
        biased;
        signal = signals.ending() => return Err(interrupted(signal)),
        store = Store::open(url, "sneck durable".to_owned()) => store?,
    };
    let result = tokio::select! {
        biased;
        signal = signals.ending() => Err(interrupted(signal)),
        result = perform(&store, name.as_ref(), args, printer) => result,
    };
    store.close(result).await
}

async fn perform(
    store: &Store,
    name: Option<&Name>,
    args: &DurableArgs,
    printer: &Printer,
) -> Result<u8, Failure> {
    match (&args.action, name) {
        (DurableAction::Take(args), Some(name)) => take(store, name, args, printer).await,
        (DurableAction::Free(args), Some(name)) => {
            let lock = store.locks().durable(name.as_str(), owner(&args.owner)?);
            freed(name, lock.free().await?, args.json, printer)
        }
        (DurableAction::Force(args), Some(name)) => {
            let ended = anybody(store, name).force(args.hold, &args.reason).await?;
            freed(name, ended, args.json, printer)
        }
        (DurableAction::Show(args), Some(name)) => {
            let shown = Shown::of(store, name).await?;
            match args.json {
                true => printer.json(&shown)?,
                false => show(&shown, printer)?,
            }
            Ok(0)
        }
        (DurableAction::Ls(args), _) => ls(store, args.json, printer).await,
        // Every other action has a name.
        (_, None) => Err(Failure::usage("no lock is named")),
    }
}

async fn take(
    store: &Store,
    name: &Name,
    args: &TakeArgs,
    printer: &Printer,
) -> Result<u8, Failure> {
    let owner = owner(&args.owner)?;
    let locks = store.locks_saying(&args.wait.note);
    let lock = locks.durable(name.as_str(), owner).with_reason(&args.reason);
    let hold = match attempt(&lock, args).await {
        Ok(Some(hold)) => hold,
        Ok(None) => {
            let holder = lock.holder().await?;
            return Err(conflict(name, args, holder.map(|holder| holder.contender())));
        }
        Err(error) if error.kind() == ErrorKind::Timeout => {
            return Err(conflict(name, args, error.holder().cloned()));
        }
        Err(error) => return Err(error.into()),
    };
    let token = hold.token().get();
    // It stays taken: that is what it is for.
    drop(hold);
    match args.json {
        true => printer.json(&Taken { name: name.as_str(), token, owner, server: store.url() })?,
        false => printer.data(&token.to_string())?,
    }
    Ok(0)
}

async fn attempt(lock: &Durable, args: &TakeArgs) -> Result<Option<DurableHold>, Error> {
    match args.wait.wait {
        _ if args.wait.nonblock => lock.try_take().await,
        Some(Duration::ZERO) => lock.try_take().await,
        Some(wait) => lock.take_timeout(wait).await.map(Some),
        None => lock.take().await.map(Some),
    }
}

fn conflict(name: &Name, args: &TakeArgs, holder: Option<sneck::Contender>) -> Failure {
    let name = name.as_str();
    let text = match holder {
        Some(holder) => {
            let holder = Entry::holder(&holder, SystemTime::now()).sentence();
            format!("durable lock {name:?} is held by {holder}")
        }
        None => format!("durable lock {name:?} was not had in time"),
    };
    Failure::new(args.wait.conflict_exit_code.unwrap_or(exit::CONFLICT), text)
        .with_hint("`sneck durable show` tells more; only its owner frees it, or force")
        .expected()
}

fn freed(name: &Name, freed: bool, json: bool, printer: &Printer) -> Result<u8, Failure> {
    let name = name.as_str();
    if !freed {
        printer.say(&format!("nobody had the durable lock {name:?}"));
    }
    if json {
        printer.json(&Freed { name, freed })?;
    }
    Ok(0)
}

async fn ls(store: &Store, json: bool, printer: &Printer) -> Result<u8, Failure> {
    let mut shown = Vec::new();
    for name in store.locks().durable_names().await? {
        shown.push(Shown::of(store, &name).await?);
    }
    if json {
        printer.json(&shown)?;
        return Ok(0);
    }
    let held = shown.iter().filter_map(|shown| Some((shown, shown.holder.as_ref()?)));
    let rows: Vec<[String; 5]> = held
        .map(|(shown, holder)| {
            let Holder { owner, since, token, reason, .. } = holder;
            let token = token.to_string();
            [shown.name.clone(), owner.clone(), since.clone(), token, reason.clone()]
        })
        .collect();
    if rows.is_empty() {
        printer.say("no durable lock is taken");
        return Ok(0);
    }
    for line in table(["NAME", "OWNER", "SINCE", "TOKEN", "REASON"], &rows) {
        printer.data(&line)?;
    }
    Ok(0)
}

fn show(shown: &Shown, printer: &Printer) -> Result<(), Failure> {
    match &shown.holder {
        None => printer.data(&format!("{:?} is free", shown.name))?,
        Some(holder) => {
            printer.data(&format!("{:?} is held by {}", shown.name, holder.owner))?;
            printer.data(&format!("  hold    {}", holder.hold))?;
            printer.data(&format!("  since   {}", holder.since))?;
            printer.data(&format!("  token   {}", holder.token))?;
            printer.data(&format!("  reason  {}", holder.reason))?;
            printer.data(&format!("  by      {}", at(&holder.user, &holder.host, holder.pid)))?;
        }
    }
    for forced in &shown.forced {
        printer.data(&format!(
            "{} {} freed it by force from {}: {}",
            forced.at,
            at(&forced.user, &forced.host, forced.pid),
            forced.ended.owner,
            forced.reason,
        ))?;
    }
    Ok(())
}

fn at(user: &Option<String>, host: &Option<String>, pid: Option<u32>) -> String {
    let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let pid = pid.map(|pid| format!(" pid {pid}")).unwrap_or_default();
    format!("{} at {}{pid}", told(user), told(host))
}

/// The lock, for those who only look or use force. Who that is, is told by the caller.
fn anybody(store: &Store, name: &Name) -> Durable {
    store.locks().durable(name.as_str(), "nobody")
}

fn owner(text: &OsStr) -> Result<&str, Failure> {
    text.to_str().ok_or_else(|| Failure::usage(format!("owner {text:?} is not UTF-8")))
}

impl Shown {
    async fn of(store: &Store, name: &Name) -> Result<Self, Failure> {
        let lock = anybody(store, name);
        let holder = lock.holder().await?.as_ref().map(Holder::new);
        let forced = lock.history().await?.iter().map(Forced::new).collect();
        Ok(Shown { name: name.as_str().to_owned(), held: holder.is_some(), holder, forced })
    }
}

impl Holder {
    fn new(holder: &DurableHolder) -> Self {
        let by = Entry::holder(&holder.contender(), SystemTime::now());
        Holder {
            hold: holder.id.to_string(),
            owner: visible(&holder.owner),
            reason: visible(&holder.reason),
            since: time(holder.since),
            token: holder.token.get(),
            user: by.user,
            host: by.host,
            pid: by.pid,
            command: by.command,
        }
    }
}

impl Forced {
    fn new(forced: &ForcedRelease) -> Self {
        let by = forced.by.clone().unwrap_or_default();
        let told = |text: &str| (!text.is_empty()).then(|| visible(text));
        Forced {
            at: time(forced.at),
            reason: visible(&forced.reason),
            user: told(&by.user),
            host: told(&by.host),
            pid: (by.pid != 0).then_some(by.pid),
            ended: Holder::new(&forced.ended),
        }
    }
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}
