//! `sneck watch`: what happens to locks, as it happens.

use crate::args::WatchArgs;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::server::ServerUrl;
use crate::signals::Signals;
use crate::store::{self, Store};
use crate::wait::interrupted;
use serde::Serialize;
use sneck::{Contender, Error, ErrorKind, Name};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Something that has happened to a lock. The fields are those of the JSON.
#[derive(Serialize)]
struct Event<'a> {
    /// By the clock of this machine, which sees it some time after it happened.
    at: String,
    event: What,
    name: &'a str,
    who: Entry,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum What {
    /// Somebody holds the lock who did not.
    Held,
    /// Somebody who held it has gone.
    Freed,
    /// Somebody has come into line and waits.
    Joined,
    /// Somebody who waited has gone.
    Left,
}

/// The lines as they were seen last.
type Lines = BTreeMap<Name, Vec<Contender>>;

/// Prints what happens until a signal comes.
///
/// # Errors
/// For a bad name, and when the store refuses us.
pub(crate) async fn watch(
    url: ServerUrl,
    args: &WatchArgs,
    printer: &Printer,
) -> Result<u8, Failure> {
    let name = args.name.as_deref().map(store::name).transpose()?;
    let mut signals = Signals::take(&Signals::ENDING)?;
    let store = tokio::select! {
        biased;
        signal = signals.ending() => return Err(interrupted(signal)),
        store = Store::open(url, "sneck watch".to_owned()) => store?,
    };
    let result = tokio::select! {
        biased;
        _ = signals.ending() => Ok(0),
        failure = look(&store, name.as_ref(), args, printer) => Err(failure),
    };
    store.close(result).await
}

/// Looks again and again. Lines change with every place that comes and goes, so that a look at each
/// change would cost the store more than one a second.
async fn look(store: &Store, name: Option<&Name>, args: &WatchArgs, printer: &Printer) -> Failure {
    let mut seen = Lines::new();
    let mut trouble = false;
    loop {
        match lines(store, name).await {
            Ok(lines) => {
                trouble = false;
                if let Err(failure) = tell(&seen, &lines, args.json, printer) {
                    return failure;
                }
                seen = lines;
            }
            Err(error) if error.is_transient() || error.kind() == ErrorKind::Unavailable => {
                if !std::mem::replace(&mut trouble, true) {
                    printer.say(&format!("{error}; trying on"));
                }
            }
            Err(error) => return error.into(),
        }
        tokio::time::sleep(args.interval).await;
    }
}

async fn lines(store: &Store, name: Option<&Name>) -> Result<Lines, Error> {
    match name {
        Some(name) => Ok(Lines::from([(name.clone(), store.locks().line(name.as_str()).await?)])),
        None => store.locks().lines().await,
    }
}

fn tell(before: &Lines, after: &Lines, json: bool, printer: &Printer) -> Result<(), Failure> {
    let now = SystemTime::now();
    let at = humantime::format_rfc3339_millis(now).to_string();
    let names: std::collections::BTreeSet<&Name> = before.keys().chain(after.keys()).collect();
    for name in names {
        let line = |lines: &'_ Lines| lines.get(name).cloned().unwrap_or_default();
        for (event, who) in events(&line(before), &line(after)) {
            let who = match event {
                What::Held | What::Freed => Entry::holder(&who, now),
                What::Joined | What::Left => Entry::waiter(&who, now),
            };
            match json {
                true => {
                    printer.json(&Event { at: at.clone(), event, name: name.as_str(), who })?;
                }
                false => {
                    let line =
                        format!("{at} {} {} {}", event.word(), name.as_str(), who.sentence());
                    printer.data(&line)?;
                }
            }
        }
    }
    Ok(())
}

/// What has happened between two looks at a line: first who has gone, then who has come.
fn events(before: &[Contender], after: &[Contender]) -> Vec<(What, Contender)> {
    let find = |line: &'_ [Contender], who: &Contender| {
        line.iter().find(|of| of.place == who.place).map(|of| of.held)
    };
    let gone = before.iter().filter(|who| find(after, who).is_none());
    let mut events: Vec<(What, Contender)> =
        gone.map(|who| (if who.held { What::Freed } else { What::Left }, who.clone())).collect();
    for who in after {
        match (find(before, who), who.held) {
            (Some(false) | None, true) => events.push((What::Held, who.clone())),
            (None, false) => events.push((What::Joined, who.clone())),
            _ => {}
        }
    }
    events
}

impl What {
    fn word(self) -> &'static str {
        match self {
            What::Held => "held",
            What::Freed => "freed",
            What::Joined => "joined",
            What::Left => "left",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_happened_between_two_looks() {
        let line = |places: &str| -> Vec<Contender> {
            // Who holds is written in capitals.
            let place = |place: char| Contender {
                held: place.is_uppercase(),
                ..Contender::new(place.to_ascii_lowercase(), b"")
            };
            places.chars().map(place).collect()
        };
        let told = |before: &str, after: &str| -> String {
            let events = events(&line(before), &line(after)).into_iter();
            let told = events.map(|(what, who)| format!("{} {}", what.word(), who.place));
            told.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(told("", "A"), "held a");
        assert_eq!(told("A", "Ab"), "joined b");
        assert_eq!(told("Ab", "B"), "freed a, held b");
        assert_eq!(told("Abc", "Ac"), "left b");
        assert_eq!(told("Ab", "Cd"), "freed a, left b, held c, joined d");
        assert_eq!(told("Ab", "Ab"), "");
        assert_eq!(told("A", ""), "freed a");
        assert_eq!(told("A", "ABc"), "held b, joined c", "readers and permits");
        assert_eq!(told("ABc", "BC"), "freed a, held c");
    }
}
