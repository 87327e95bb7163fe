//! Who can never go on, by what everybody in line has said of itself.

use crate::admission::{Admission, Entry, admit};
use crate::claim::{ClaimId, Mode};
use crate::contender::Contender;
use crate::name::Name;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::ops::Range;

/// The lines of all locks of a store, each in order.
pub type Lines = BTreeMap<Name, Vec<Contender>>;

/// Claims that wait for each other in a circle: none of them is ever granted unless one gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    /// Its edges: each wait is kept up by the next one, and the last by the first. One alone is a claim
    /// that waits for what it holds itself.
    pub circle: Vec<Wait>,
}

/// One edge of a circle: somebody who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The lock it waits for.
    pub wants: Name,
    /// Its place in line there: who it is, and since when it waits.
    pub waiter: Contender,
    /// The place in its way in that line, which the next in the circle keeps there: because it holds it,
    /// or because it waits in it.
    pub behind: Contender,
}

impl Deadlock {
    /// The wait that is to be given up, where exactly one is: the youngest of those who yield, and `None`
    /// when none does. Everybody who sees the circle comes to the same answer.
    pub fn victim(&self) -> Option<&Wait> {
        let yields = self.circle.iter().filter(|wait| wait.waiter.ties.yields);
        yields.max_by_key(|wait| age(&wait.waiter))
    }

    /// What the waiter at this index of the circle holds and the one before it waits for; `None` where
    /// that one waits behind its place in line only.
    ///
    /// # Panics
    /// When there is no such index.
    pub fn holds(&self, index: usize) -> Option<(&Name, &Contender)> {
        let before = &self.circle[(index + self.circle.len() - 1) % self.circle.len()];
        let waits_there = same_place(&before.behind, &self.circle[index].waiter)
            && before.wants == self.circle[index].wants;
        (!waits_there).then_some((&before.wants, &before.behind))
    }
}

fn age(contender: &Contender) -> (Option<std::time::SystemTime>, Option<u64>, Option<ClaimId>) {
    (contender.since, contender.token.map(|token| token.get()), contender.claim)
}

/// Whether these two are one place, seen twice.
pub(crate) fn same_place(one: &Contender, other: &Contender) -> bool {
    (&one.place, one.token) == (&other.place, other.token)
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, wait) in self.circle.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            let who = wait.waiter.caller.as_ref().map_or_else(
                || wait.waiter.place.clone(),
                |caller| format!("{}@{} pid {}", caller.user, caller.host, caller.pid),
            );
            match self.holds(at) {
                Some((held, _)) => {
                    let (held, wants) = (held.as_str(), wait.wants.as_str());
                    write!(f, "{who} holds {held:?} and waits for {wants:?}")?;
                }
                None => write!(f, "{who} waits for {:?}", wait.wants.as_str())?,
            }
        }
        Ok(())
    }
}

/// The circles of waiting in these lines; of those that share a waiter, the shortest.
///
/// Waiting claims say [what they hold](crate::Ties), and the [admission rule](admit) says which places
/// they wait for. First everything is taken away that can go in the best of cases: a lock that nobody
/// holds while waiting is given back some time, and whoever is granted by that goes on, and gives back
/// what it holds in turn. What is left never ends: this is the reduction of resource graphs of Holt, "Some
/// deadlock properties of computer systems" (1972), which, unlike a search for circles alone, is right
/// for permits, too, where any of several holders may be the one to let go. Among what is left, each
/// waits for another, so there is a circle.
///
/// A claim of another client says nothing about what it holds, so it is believed to go on.
pub(crate) fn circles(lines: &Lines) -> Vec<Deadlock> {
    let mut graph = Graph::new(lines);
    graph.reduce();
    graph.circles()
}

/// The locks for which somebody waits in vain.
pub(crate) fn stuck(lines: &Lines) -> Vec<&Name> {
    let mut graph = Graph::new(lines);
    graph.reduce();
    let in_vain = |range: &Range<usize>| range.clone().any(|at| !graph.places[at].granted);
    graph.lines.iter().filter(|(_, range)| in_vain(range)).map(|(name, _)| *name).collect()
}

/// All places, and what is known to be able to go on.
struct Graph<'a> {
    places: Vec<Place<'a>>,
    /// Of each line, the places in order.
    lines: Vec<(&'a Name, Range<usize>)>,
    /// Who is kept from ever letting go by whom: of each place, those who hold it while they wait.
    held_by: Vec<Vec<usize>>,
}

struct Place<'a> {
    line: usize,
    contender: &'a Contender,
    entry: Entry,
    /// Held, or to be had some time.
    granted: bool,
    /// To be given back some time.
    gone: bool,
}

impl<'a> Graph<'a> {
    fn new(lines: &'a Lines) -> Self {
        let (mut places, mut ranges) = (Vec::new(), Vec::new());
        for (line, (name, contenders)) in lines.iter().enumerate() {
            let first = places.len();
            places.extend(contenders.iter().map(|contender| {
                let held = contender.held;
                // What cannot be read excludes everybody.
                let entry = Entry { mode: contender.mode.unwrap_or(Mode::Exclusive), held };
                Place { line, contender, entry, granted: held, gone: false }
            }));
            ranges.push((name, first..places.len()));
        }
        let held_by = held_by(&places);
        Graph { places, lines: ranges, held_by }
    }

    /// Lets go on whatever can, until nothing more can.
    fn reduce(&mut self) {
        let mut progress = true;
        while progress {
            progress = false;
            for at in 0..self.places.len() {
                let waits_for_it = |waiter: &usize| !self.places[*waiter].granted;
                let kept = self.held_by[at].iter().any(waits_for_it);
                let place = &mut self.places[at];
                if place.granted && !place.gone && !kept {
                    (place.gone, progress) = (true, true);
                }
            }
            for line in 0..self.lines.len() {
                progress |= self.admit_into(line);
            }
        }
    }

    /// Grants what the places that are gone leave room for. Those who are granted are always next to each
    /// other, because nobody overtakes.
    fn admit_into(&mut self, line: usize) -> bool {
        let left: Vec<usize> =
            self.lines[line].1.clone().filter(|at| !self.places[*at].gone).collect();
        let mut entries: Vec<Entry> = left.iter().map(|at| self.places[*at].entry).collect();
        let mut progress = false;
        for (index, at) in left.into_iter().enumerate() {
            if self.places[at].granted {
                continue;
            }
            if admit(&entries, index) != Admission::Granted {
                break;
            }
            entries[index].held = true;
            self.places[at].entry.held = true;
            (self.places[at].granted, progress) = (true, true);
        }
        progress
    }

    /// Those who keep up the wait of a waiter, each with the place that is in its way.
    fn kept_up_by(&self, waiter: usize) -> Vec<(usize, usize)> {
        let range = self.lines[self.places[waiter].line].1.clone();
        let mode = self.places[waiter].entry.mode;
        let in_the_way = (range.start..waiter).filter(|ahead| {
            let ahead = &self.places[*ahead];
            let share = mode == Mode::Shared && ahead.entry.mode == Mode::Shared;
            !ahead.gone && !share
        });
        in_the_way
            .flat_map(|ahead| {
                let itself = (!self.places[ahead].granted).then_some(ahead);
                let holders = self.held_by[ahead].iter().copied();
                let waiting = holders.filter(|holder| !self.places[*holder].granted);
                itself.into_iter().chain(waiting).map(move |by| (by, ahead))
            })
            .collect()
    }

    /// One circle for each set of waiters that keep each other up.
    fn circles(&self) -> Vec<Deadlock> {
        // Within one line everybody waits for those ahead, so a circle leads through somebody who holds
        // something.
        let holds = |at: &usize| {
            let ties = &self.places[*at].contender.ties;
            !self.places[*at].granted && (!ties.holds.is_empty() || ties.group.is_some())
        };
        let found = (0..self.places.len()).filter(holds).filter_map(|at| self.circle_through(at));
        let mut circles: Vec<Vec<(usize, usize)>> = found.collect();
        circles.sort_by_key(|circle| (circle.len(), circle.iter().min().copied()));
        let mut told = vec![false; self.places.len()];
        circles.retain(|circle| {
            let new = !circle.iter().any(|(waiter, _)| told[*waiter]);
            if new {
                circle.iter().for_each(|(waiter, _)| told[*waiter] = true);
            }
            new
        });
        circles.into_iter().map(|circle| self.deadlock(&circle)).collect()
    }

    /// The shortest circle through a waiter, as waiters with the places in their way.
    fn circle_through(&self, start: usize) -> Option<Vec<(usize, usize)>> {
        let mut reached: HashMap<usize, (usize, usize)> = HashMap::new();
        let mut todo = VecDeque::from([start]);
        while let Some(waiter) = todo.pop_front() {
            for (by, ahead) in self.kept_up_by(waiter) {
                if reached.contains_key(&by) {
                    continue;
                }
                reached.insert(by, (waiter, ahead));
                if by == start {
                    let mut circle = vec![reached[&start]];
                    while circle[circle.len() - 1].0 != start {
                        circle.push(reached[&circle[circle.len() - 1].0]);
                    }
                    circle.reverse();
                    return Some(circle);
                }
                todo.push_back(by);
            }
        }
        None
    }

    fn deadlock(&self, circle: &[(usize, usize)]) -> Deadlock {
        // Whoever sees it begins with the same one.
        let first = (0..circle.len()).min_by_key(|at| circle[*at].0).unwrap_or_default();
        let waits = circle[first..].iter().chain(&circle[..first]).map(|(waiter, ahead)| Wait {
            wants: self.lines[self.places[*waiter].line].0.clone(),
            waiter: self.places[*waiter].contender.clone(),
            behind: self.places[*ahead].contender.clone(),
        });
        Deadlock { circle: waits.collect() }
    }
}

/// Of each place, those who hold it while they wait: by what they say, and because they are part of the
/// same attempt on several locks, of which none is given back before all were had.
fn held_by(places: &[Place<'_>]) -> Vec<Vec<usize>> {
    let mut by_id: HashMap<ClaimId, Vec<usize>> = HashMap::new();
    for (at, place) in places.iter().enumerate() {
        // The first of a group has the group's id itself.
        let group = place.contender.ties.group;
        let own = place.contender.claim.filter(|own| Some(*own) != group);
        for id in own.into_iter().chain(group) {
            by_id.entry(id).or_default().push(at);
        }
    }
    let mut held_by = vec![Vec::new(); places.len()];
    for (waiter, place) in places.iter().enumerate().filter(|(_, place)| !place.granted) {
        let ties = &place.contender.ties;
        for id in ties.holds.iter().chain(&ties.group) {
            for held in by_id.get(id).into_iter().flatten().filter(|held| **held != waiter) {
                held_by[*held].push(waiter);
            }
        }
    }
    held_by
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
