//! The picture of a run: one page without anything from elsewhere, with a line of time for each client.
//!
//! Waits, holds and faults are drawn by the page itself, for the stretch of time that is looked at; so a
//! long history can be walked through, and zoomed into until every hand-off is seen.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use serde_json::{Value, json};
use sneck_history::{Event, HistoryReader, ReadError};

use crate::outcome::Outcome;

/// More waits and holds than this make a page slow; then the shortest are left out, and it says so.
const SPANS_MAX: usize = 60_000;

const TEMPLATE: &str = include_str!("page.html");

/// Draws a history.
///
/// # Errors
/// When it cannot be read.
pub fn draw(history: &Path, outcome: &Outcome) -> io::Result<String> {
    let unreadable = |error: ReadError| io::Error::other(error.to_string());
    let file = BufReader::with_capacity(1 << 20, File::open(history)?);
    let mut sketch = Sketch::default();
    for entry in HistoryReader::new(file).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        sketch.see(entry.at_ns, entry.client, &entry.event);
    }
    let data = sketch.conclude();
    let document = json!({ "outcome": outcome, "data": data });
    // Nothing in a string may end the script that it stands in.
    let document = document.to_string().replace("</", "<\\/");
    Ok(TEMPLATE.replace("/*DATA*/null", &document))
}

/// What is drawn: `[client, is held, from, to, lock, token]` and `[client, from, to, kind]`, in
/// microseconds since the beginning.
#[derive(Debug, Default)]
struct Sketch {
    began_ns: Option<u64>,
    now_us: u64,
    locks: Vec<String>,
    kinds: Vec<String>,
    waiting: BTreeMap<u64, (u32, u64, usize)>,
    holding: BTreeMap<u64, (u32, u64, usize, u64)>,
    spans: Vec<[u64; 6]>,
    faults: BTreeMap<u64, (Option<u32>, u64, usize)>,
    healed: Vec<Value>,
    marks: Vec<Value>,
}

impl Sketch {
    fn see(&mut self, at_ns: u64, client: Option<u32>, event: &Event) {
        let began = *self.began_ns.get_or_insert(at_ns);
        self.now_us = at_ns.saturating_sub(began) / 1_000;
        let now = self.now_us;
        match event {
            Event::Acquire { attempt, lock, .. } => {
                let lock = number(&mut self.locks, lock);
                self.waiting.insert(*attempt, (client.unwrap_or_default(), now, lock));
            }
            Event::Granted { attempt, token, .. } => {
                if let Some((client, _, lock)) = self.end_wait(*attempt) {
                    self.holding.insert(*attempt, (client, now, lock, *token));
                }
            }
            Event::Refused { attempt } | Event::Cancel { attempt } => {
                self.end_wait(*attempt);
            }
            Event::Unsure { attempt } => {
                self.end_wait(*attempt);
                self.end_hold(*attempt);
            }
            Event::Released { attempt } | Event::Lost { attempt } => self.end_hold(*attempt),
            Event::Fault { fault, kind, client } => {
                let kind = number(&mut self.kinds, kind);
                self.faults.insert(*fault, (*client, now, kind));
            }
            Event::Healed { fault } => {
                if let Some((client, from, kind)) = self.faults.remove(fault) {
                    self.healed.push(json!([client.unwrap_or(0), from, now, kind]));
                }
            }
            Event::Leader { server } => self.marks.push(json!([now, format!("leader {server}")])),
            Event::Expired { session, when_ns } => {
                let at = when_ns.saturating_sub(began) / 1_000;
                self.marks.push(json!([at, format!("session {session} ended")]));
            }
            Event::Quiet => self.marks.push(json!([now, "quiet"])),
            _ => {}
        }
    }

    fn end_wait(&mut self, attempt: u64) -> Option<(u32, u64, usize)> {
        let wait = self.waiting.remove(&attempt)?;
        self.spans.push([u64::from(wait.0), 0, wait.1, self.now_us, wait.2 as u64, 0]);
        Some(wait)
    }

    fn end_hold(&mut self, attempt: u64) {
        if let Some((client, from, lock, token)) = self.holding.remove(&attempt) {
            self.spans.push([u64::from(client), 1, from, self.now_us, lock as u64, token]);
        }
    }

    fn conclude(mut self) -> Value {
        let open: Vec<u64> = self.holding.keys().copied().collect();
        open.into_iter().for_each(|attempt| self.end_hold(attempt));
        let all = self.spans.len();
        if all > SPANS_MAX {
            self.spans.sort_by_key(|span| std::cmp::Reverse(span[3] - span[2]));
            self.spans.truncate(SPANS_MAX);
        }
        self.spans.sort_by_key(|span| span[2]);
        // A token is for people to compare; as a number the page would round it.
        let spans: Vec<Value> = self
            .spans
            .iter()
            .map(|[client, held, from, to, lock, token]| {
                json!([client, held, from, to, lock, format!("{token:#x}")])
            })
            .collect();
        json!({
            "end": self.now_us, "locks": self.locks, "kinds": self.kinds, "spans": spans,
            "left_out": all - spans.len(), "faults": self.healed, "marks": self.marks,
        })
    }
}

fn number(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use sneck_history::Mode;

    use super::*;

    #[test]
    fn a_wait_a_hold_and_a_fault_are_drawn_from_begin_to_end() {
        let mut sketch = Sketch::default();
        let mode = Mode::Exclusive;
        let (attempt, lock) = (1, "a".to_owned());
        let acquire =
            Event::Acquire { attempt, lock, mode, session: None, no_wait: false, together: None };
        let granted = Event::Granted { attempt, token: 26, session: None, until_ns: None };
        let fault = Event::Fault { fault: 1, kind: "cut".to_owned(), client: None };
        let told = [
            (5_000, None, fault),
            (6_000, Some(7), acquire),
            (8_000, Some(7), granted),
            (9_000, None, Event::Healed { fault: 1 }),
            (11_000, Some(7), Event::Released { attempt }),
        ];
        told.iter().for_each(|(at_ns, client, event)| sketch.see(*at_ns, *client, event));
        let drawn = sketch.conclude();
        assert_eq!(drawn["spans"], json!([[7, 0, 1, 3, 0, "0x0"], [7, 1, 3, 6, 0, "0x1a"]]));
        assert_eq!(drawn["faults"], json!([[0, 0, 4, 0]]));
        assert_eq!((&drawn["kinds"], &drawn["end"]), (&json!(["cut"]), &json!(6)));
    }
}
