//! Writers and a reader on one server until it ends, and what must be true of the one after it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use sneck_wire::{Acl, AddWatchMode, CreateMode, NewNode, Reply, Request};

use crate::client::{Answer, Client, Ticket};
use crate::script::{Nodes, Script, Step};

/// Writers at a time, so that syncs are shared.
const WRITERS: usize = 2;

/// What the clients of one server can testify to.
#[derive(Debug)]
pub(crate) struct Witnesses {
    writers: Vec<Writer>,
    reader: Reader,
}

/// What one writer has seen.
#[derive(Debug)]
struct Writer {
    script: Script,
    /// Steps that the server has acknowledged.
    acknowledged: usize,
    /// The sessions it had, in order.
    tickets: Vec<Ticket>,
    zxid_seen: i64,
}

/// What somebody else has seen of the writers.
#[derive(Debug, Default)]
struct Reader {
    /// For each writer, the steps that must have been done for what was read.
    steps_seen: Vec<usize>,
    zxid_seen: i64,
    events: usize,
    reads: usize,
}

impl Witnesses {
    /// Lets `operations` steps happen, or as many as the server lives for.
    pub(crate) fn of(server: SocketAddr, operations: usize) -> Witnesses {
        let scripts: Vec<Script> =
            (0..WRITERS).map(|number| Script::new(number, operations / WRITERS)).collect();
        let at_work = AtomicUsize::new(WRITERS);
        thread::scope(|scope| {
            let writers: Vec<_> = scripts
                .iter()
                .map(|script| {
                    let at_work = &at_work;
                    scope.spawn(move || {
                        let writer = Writer::run(server, script.clone());
                        at_work.fetch_sub(1, Ordering::Release);
                        writer
                    })
                })
                .collect();
            let reader = scope.spawn(|| Reader::run(server, &scripts, &at_work));
            let writers = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
            Witnesses { writers, reader: reader.join().unwrap() }
        })
    }

    /// Whether everything was done.
    pub(crate) fn are_done(&self) -> bool {
        self.writers.iter().all(|writer| writer.acknowledged == writer.script.steps.len())
    }

    /// How many steps were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.writers.iter().map(|writer| writer.acknowledged).sum()
    }

    /// How much others have seen of the writers: data that were read, and events.
    pub(crate) fn seen(&self) -> usize {
        self.reader.reads + self.reader.events
    }

    fn zxid_seen(&self) -> i64 {
        let of_writers = self.writers.iter().map(|writer| writer.zxid_seen).max();
        of_writers.unwrap_or(0).max(self.reader.zxid_seen)
    }

    /// Checks a server that came after one that was checked: only the tree, for sessions have gone on.
    pub(crate) fn check_again(&self, server: SocketAddr) {
        let mut client = Client::greet(server, None, self.zxid_seen()).expect("no way back");
        for writer in &self.writers {
            assert!(writer.survived(&mut client) >= writer.acknowledged);
        }
    }

    /// Checks the server that came after.
    pub(crate) fn check(&self, server: SocketAddr) {
        let zxid_seen = self.zxid_seen();
        // A server that has fallen behind what was seen hangs up on this.
        let mut client = Client::greet(server, None, zxid_seen).expect("zxids do not go back");
        for (writer, steps_seen) in self.writers.iter().zip(&self.reader.steps_seen) {
            let survived = writer.survived(&mut client);
            assert!(
                *steps_seen <= survived,
                "step {steps_seen} was seen, and {survived} have survived"
            );
            writer.check_sessions(server, survived);
        }
        let last = NewNode {
            path: "/last".into(),
            data: None,
            acl: Acl::open(),
            mode: CreateMode::PersistentSequential,
        };
        let Reply::Create2 { stat, .. } = client.get(&Request::Create2(last)) else {
            panic!("another reply")
        };
        assert!(stat.czxid > zxid_seen, "{:#x} after {zxid_seen:#x}", stat.czxid);
    }
}

impl Writer {
    fn run(server: SocketAddr, script: Script) -> Writer {
        let (tickets, zxid_seen) = (Vec::new(), 0);
        let mut writer = Writer { script, acknowledged: 0, tickets, zxid_seen };
        let mut client = None;
        for index in 0..writer.script.steps.len() {
            if !writer.step(server, index, &mut client) {
                break;
            }
            writer.acknowledged += 1;
        }
        writer.zxid_seen = client.map_or(writer.zxid_seen, |client| client.zxid_seen);
        writer
    }

    /// Does a step; says whether it was acknowledged.
    fn step(&mut self, server: SocketAddr, index: usize, client: &mut Option<Client>) -> bool {
        let asked = match &self.script.steps[index] {
            Step::Come => {
                *client = Client::greet(server, None, self.zxid_seen);
                self.tickets.extend(client.as_ref().map(|client| client.ticket.clone()));
                return client.is_some();
            }
            Step::Leave => Request::CloseSession,
            Step::Ask(request) => request.clone(),
        };
        let Some(asking) = client else { return false };
        let answer = asking.ask(&asked);
        self.zxid_seen = asking.zxid_seen;
        match answer {
            Answer::Done(_) => true,
            Answer::Refused(error) => {
                // Nothing else can be wrong with these requests.
                panic!("{asked:?} was refused: {error}");
            }
            Answer::Unknown => false,
        }
    }

    /// How many steps have survived: those that were acknowledged, and perhaps the one that was
    /// under way.
    fn survived(&self, client: &mut Client) -> usize {
        let found = nodes_below(client, &self.script.root);
        let possible = [self.acknowledged, self.acknowledged + 1];
        let possible = possible.into_iter().filter(|steps| *steps <= self.script.steps.len());
        let fits = |steps: &usize| {
            let expected = self.script.nodes(*steps).iter();
            let expected: Vec<_> = expected.map(|(path, (data, _))| (path, data)).collect();
            found.iter().map(|(path, (data, _))| (path, data)).eq(expected)
        };
        // The later one, where both look alike: sessions tell them apart.
        let fitting: Vec<usize> = possible.filter(fits).collect();
        *fitting.last().unwrap_or_else(|| {
            let paths: Vec<_> = found.keys().collect();
            panic!("{} steps were acknowledged; found {paths:?}", self.acknowledged)
        })
    }

    /// Sessions that were there can be resumed, and those that were closed cannot.
    fn check_sessions(&self, server: SocketAddr, survived: usize) {
        let current = self.script.session(survived);
        for (number, ticket) in self.tickets.iter().enumerate() {
            let resumed = Client::greet(server, Some(ticket), self.zxid_seen).is_some();
            assert_eq!(
                resumed,
                current == Some(number),
                "session {number} of {}",
                self.script.root
            );
        }
    }
}

impl Reader {
    /// Reads and watches for as long as anybody writes.
    fn run(server: SocketAddr, scripts: &[Script], at_work: &AtomicUsize) -> Reader {
        let mut seen = Reader { steps_seen: vec![0; scripts.len()], ..Reader::default() };
        let Some(mut client) = Client::greet(server, None, 0) else { return seen };
        let everything = AddWatchMode::PersistentRecursive;
        client.ask(&Request::AddWatch { path: "/".into(), mode: everything });
        while at_work.load(Ordering::Acquire) > 0 && seen.look(&mut client, scripts) {}
        seen.zxid_seen = client.zxid_seen;
        seen.events = client.events.len();
        seen
    }

    /// Reads what each writer has come to; says whether the server still answers.
    fn look(&mut self, client: &mut Client, scripts: &[Script]) -> bool {
        for (script, steps_seen) in scripts.iter().zip(&mut self.steps_seen) {
            let request = Request::GetData { path: script.root.clone(), watch: false };
            match client.ask(&request) {
                Answer::Done(Reply::GetData { data, .. }) => {
                    let steps = script.steps_behind(&data.unwrap_or_default());
                    assert!(steps >= *steps_seen, "what was read goes back");
                    *steps_seen = steps;
                    self.reads += 1;
                }
                Answer::Done(_) | Answer::Refused(_) => {}
                Answer::Unknown => return false,
            }
        }
        true
    }
}

/// A node and everything below it, of which there is one level.
fn nodes_below(client: &mut Client, root: &str) -> Nodes {
    let mut nodes = Nodes::new();
    let list = client.ask(&Request::GetChildren { path: root.to_owned(), watch: false });
    let Answer::Done(Reply::GetChildren(names)) = list else { return nodes };
    let paths = names.into_iter().map(|name| format!("{root}/{name}"));
    for path in paths.chain([root.to_owned()]) {
        let reply = client.get(&Request::GetData { path: path.clone(), watch: false });
        let Reply::GetData { data, .. } = reply else { panic!("{reply:?}") };
        nodes.insert(path, (data.unwrap_or_else(Bytes::new), None));
    }
    nodes
}
