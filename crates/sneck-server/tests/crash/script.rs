//! What a writer does, step by step, and what the tree is after each step: known beforehand, because
//! nobody else writes below its node.

use std::collections::BTreeMap;

use bytes::Bytes;
use sneck_wire::{Acl, CreateMode, MultiOp, NewNode, Request};

/// One step, which is one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Ask(Request),
    /// Ends the session and its nodes. A new one, which is the next step, begins with nothing.
    Leave,
    Come,
}

/// A node as a check can see it: its data, and which of the writer's sessions it goes with.
pub(crate) type Nodes = BTreeMap<String, (Bytes, Option<usize>)>;

/// The steps of one writer.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) root: String,
    pub(crate) steps: Vec<Step>,
    /// The nodes after so many steps.
    after: Vec<Nodes>,
    /// The writer's current session after so many steps, if it has one.
    sessions: Vec<Option<usize>>,
}

impl Script {
    /// The script of writer `number`, of about `length` steps.
    pub(crate) fn new(number: usize, length: usize) -> Script {
        let root = format!("/w{number}");
        let mut author = Author { root: root.clone(), ..Author::default() };
        author.come();
        author.create(&root.clone(), CreateMode::Persistent, "0");
        while author.steps.len() < length {
            author.round();
        }
        let Author { steps, after, sessions, .. } = author;
        Script { root, steps, after, sessions }
    }

    /// The nodes once the first `steps` steps are done.
    pub(crate) fn nodes(&self, steps: usize) -> &Nodes {
        static NONE: Nodes = Nodes::new();
        steps.checked_sub(1).map_or(&NONE, |index| &self.after[index])
    }

    /// Which session there is then.
    pub(crate) fn session(&self, steps: usize) -> Option<usize> {
        steps.checked_sub(1).and_then(|index| self.sessions[index])
    }

    /// How many steps must have been done for the root to hold these data.
    pub(crate) fn steps_behind(&self, data: &[u8]) -> usize {
        let holds = |nodes: &Nodes| nodes.get(&self.root).is_some_and(|(there, _)| there == data);
        1 + self.after.iter().position(holds).expect("data that some step writes")
    }
}

#[derive(Debug, Default)]
struct Author {
    root: String,
    steps: Vec<Step>,
    after: Vec<Nodes>,
    sessions: Vec<Option<usize>>,
    nodes: Nodes,
    session: Option<usize>,
    sessions_so_far: usize,
    created: usize,
    rounds: usize,
}

impl Author {
    /// Waits in a line, gets on, passes on: what locks do, with a multi and a large node between.
    fn round(&mut self) {
        self.rounds += 1;
        let (root, number) = (self.root.clone(), self.steps.len());
        let seat = self.numbered("seat-");
        self.create(&seat, CreateMode::EphemeralSequential, "seat");
        self.set(&root, &number.to_string());
        let large = format!("{root}/large-{number}");
        self.create(&large, CreateMode::Persistent, &"x".repeat(6_000));
        self.multi(&format!("{root}/multi-{number}"), &number.to_string());
        self.delete(&seat);
        if self.rounds.is_multiple_of(2) {
            self.delete(&large);
        }
        if self.rounds.is_multiple_of(5) {
            let seat = self.numbered("left-");
            self.create(&seat, CreateMode::EphemeralSequential, "left behind");
            self.leave();
            self.come();
        }
    }

    fn done(&mut self, step: Step) {
        self.steps.push(step);
        self.after.push(self.nodes.clone());
        self.sessions.push(self.session);
    }

    fn come(&mut self) {
        self.session = Some(self.sessions_so_far);
        self.sessions_so_far += 1;
        self.done(Step::Come);
    }

    fn leave(&mut self) {
        self.session = None;
        self.nodes.retain(|_, (_, owner)| owner.is_none());
        self.done(Step::Leave);
    }

    /// The path that the next sequential node gets.
    fn numbered(&self, prefix: &str) -> String {
        format!("{}/{prefix}{:010}", self.root, self.created)
    }

    fn create(&mut self, path: &str, mode: CreateMode, data: &str) {
        let owner = if mode.is_ephemeral() { self.session } else { None };
        self.nodes.insert(path.to_owned(), (Bytes::from(data.to_owned()), owner));
        self.created += usize::from(path != self.root);
        let asked = if mode.is_sequential() { &path[..path.len() - 10] } else { path };
        self.done(Step::Ask(Request::Create2(node(asked, mode, data))));
    }

    fn set(&mut self, path: &str, data: &str) {
        let data = Bytes::from(data.to_owned());
        self.nodes.insert(path.to_owned(), (data.clone(), None));
        let (path, data) = (path.to_owned(), Some(data));
        self.done(Step::Ask(Request::SetData { path, data, version: -1 }));
    }

    fn delete(&mut self, path: &str) {
        self.nodes.remove(path);
        self.done(Step::Ask(Request::Delete { path: path.to_owned(), version: -1 }));
    }

    /// Makes a node and says so at the root: both or none.
    fn multi(&mut self, path: &str, data: &str) {
        let root = self.root.clone();
        self.nodes.insert(path.to_owned(), (Bytes::from(data.to_owned()), None));
        self.nodes.insert(root.clone(), (Bytes::from(format!("{data}+")), None));
        self.created += 1;
        let data_of_root = Some(Bytes::from(format!("{data}+")));
        self.done(Step::Ask(Request::Multi(vec![
            MultiOp::Check { path: root.clone(), version: -1 },
            MultiOp::Create2(node(path, CreateMode::Persistent, data)),
            MultiOp::SetData { path: root, data: data_of_root, version: -1 },
        ])));
    }
}

fn node(path: &str, mode: CreateMode, data: &str) -> NewNode {
    let (path, data) = (path.to_owned(), Some(Bytes::from(data.to_owned())));
    NewNode { path, data, acl: Acl::open(), mode }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_all_kinds_of_steps_and_each_changes_something() {
        let script = Script::new(0, 100);
        assert!((100..115).contains(&script.steps.len()));
        let leaves = script.steps.iter().filter(|step| **step == Step::Leave).count();
        assert!(leaves >= 2);
        for steps in 0..script.steps.len() {
            let same_nodes = script.nodes(steps) == script.nodes(steps + 1);
            assert!(!same_nodes || script.session(steps) != script.session(steps + 1), "{steps}");
        }
        assert_eq!(script.steps_behind(b"0"), 2);
    }
}
