//! `sneck deadlocks`: who waits for each other in a circle.

use crate::args::DeadlocksArgs;
use crate::entry::Entry;
use crate::exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::server::ServerUrl;
use crate::store::Store;
use serde::Serialize;
use sneck::{Contender, Deadlock, Deadlocks, Name};
use std::time::SystemTime;

/// What was found. The fields are those of the JSON.
#[derive(Serialize)]
struct Report {
    deadlocks: Vec<Circle>,
    unknown: Vec<Unknown>,
}

/// Who waits for each other: each for the next, and the last for the first.
#[derive(Serialize)]
struct Circle {
    circle: Vec<Edge>,
}

/// Somebody in a circle.
#[derive(Serialize)]
struct Edge {
    who: Entry,
    /// What it holds and the one before it waits for; null where that one is only behind it in line.
    holds: Option<Lock>,
    waits: Lock,
    /// Whether it is the one to give up by itself.
    gives_up: bool,
}

/// A lock, held or waited for.
#[derive(Serialize)]
struct Lock {
    name: String,
    mode: Option<&'static str>,
    permits: Option<String>,
    since: Option<String>,
    age_seconds: Option<u64>,
    token: Option<u64>,
}

/// A holder of whom nobody knows what else it waits for.
#[derive(Serialize)]
struct Unknown {
    name: String,
    holder: Entry,
}

/// Looks once, and says what it has found.
///
/// # Errors
/// When the store cannot be asked, or does not show who waits.
pub(crate) async fn deadlocks(
    url: ServerUrl,
    args: &DeadlocksArgs,
    printer: &Printer,
) -> Result<u8, Failure> {
    let store = Store::open(url, "sneck deadlocks".to_owned()).await?;
    let seen = store.locks().deadlocks().await;
    let seen = store.close(seen.map_err(Failure::from)).await?;
    let report = Report::new(&seen, SystemTime::now());
    if args.json {
        printer.json(&report)?;
    } else {
        report.print(printer)?;
    }
    Ok(if report.deadlocks.is_empty() { 0 } else { exit::FOUND })
}

impl Report {
    fn new(seen: &Deadlocks, now: SystemTime) -> Self {
        let unknown = seen.unknown.iter().map(|(name, holder)| Unknown {
            name: name.as_str().to_owned(),
            holder: Entry::holder(holder, now),
        });
        let deadlocks = seen.found.iter().map(|deadlock| Circle::new(deadlock, now)).collect();
        Report { deadlocks, unknown: unknown.collect() }
    }

    fn print(&self, printer: &Printer) -> Result<(), Failure> {
        for Circle { circle } in &self.deadlocks {
            match circle.len() {
                1 => printer.data("one waits for itself:")?,
                length => printer.data(&format!("{length} wait for each other:"))?,
            }
            for edge in circle {
                printer.data(&format!("  {}", edge.sentence()))?;
            }
        }
        for Unknown { name, holder } in &self.unknown {
            let holder = holder.sentence();
            printer.say(&format!("{name:?} is held by {holder}: unknown what it waits for"));
        }
        if self.deadlocks.is_empty() {
            printer.say("nobody waits in a circle");
        }
        Ok(())
    }
}

impl Circle {
    fn new(deadlock: &Deadlock, now: SystemTime) -> Self {
        let victim = deadlock.victim();
        let edge = |(at, wait): (usize, &'_ sneck::Wait)| Edge {
            who: Entry::waiter(&wait.waiter, now),
            holds: deadlock.holds(at).map(|(name, held)| Lock::new(name, held, now)),
            waits: Lock::new(&wait.wants, &wait.waiter, now),
            gives_up: victim == Some(wait),
        };
        Circle { circle: deadlock.circle.iter().enumerate().map(edge).collect() }
    }
}

impl Lock {
    fn new(name: &Name, place: &Contender, now: SystemTime) -> Self {
        let Entry { mode, permits, since, age_seconds, token, .. } = Entry::waiter(place, now);
        let name = name.as_str().to_owned();
        Lock { name, mode, permits, since, age_seconds, token }
    }

    fn sentence(&self) -> String {
        let since = self.since.as_ref().map_or(String::new(), |since| format!(" since {since}"));
        format!("{:?}{since}", self.name)
    }
}

impl Edge {
    fn sentence(&self) -> String {
        let mut text = self.who.person();
        match &self.holds {
            Some(held) => text += &format!(" holds {}, and", held.sentence()),
            None => text += " is in line, and",
        }
        text += &format!(" waits for {}", self.waits.sentence());
        if self.gives_up {
            text += ", which it is about to give up";
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sneck::{Caller, ClaimId, Mode};
    use std::time::Duration;

    fn place(pid: u32, seconds: u64) -> Contender {
        let caller = Caller { user: "al".into(), host: "h".into(), pid, ..Caller::anonymous() };
        Contender {
            claim: Some(ClaimId::from_u128(pid.into())),
            mode: Some(Mode::Exclusive),
            since: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
            ..Contender::new(format!("place-{pid}"), caller.to_string().as_bytes())
        }
    }

    #[test]
    fn every_edge_is_named() {
        let wait = |wants: &str, waiter, behind| sneck::Wait {
            wants: Name::new(wants).unwrap(),
            waiter,
            behind,
        };
        let circle =
            vec![wait("b", place(1, 60), place(20, 30)), wait("a", place(2, 90), place(10, 0))];
        let seen = Deadlocks { found: vec![Deadlock { circle }], unknown: Vec::new() };
        let report = Report::new(&seen, SystemTime::UNIX_EPOCH + Duration::from_secs(100));
        let told: Vec<String> = report.deadlocks[0].circle.iter().map(Edge::sentence).collect();
        let expected = [
            "al at h pid 1 holds \"a\" since 1970-01-01T00:00:00Z, and waits for \"b\" since \
             1970-01-01T00:01:00Z",
            "al at h pid 2 holds \"b\" since 1970-01-01T00:00:30Z, and waits for \"a\" since \
             1970-01-01T00:01:30Z",
        ];
        assert_eq!(told, expected);
        let json = serde_json::to_value(&report).unwrap();
        let edge = &json["deadlocks"][0]["circle"][1];
        assert_eq!(edge["holds"]["name"], "b");
        assert_eq!(edge["waits"]["age_seconds"], 10);
        assert_eq!((&edge["who"]["pid"], &edge["gives_up"]), (&2.into(), &false.into()));
    }
}
