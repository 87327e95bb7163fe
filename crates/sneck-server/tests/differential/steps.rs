//! Random operations, many of them on the same few nodes and many of them wrong.

use std::fmt;

use bytes::{Bytes, BytesMut};
use sneck_wire::{
    Acl, AddWatchMode, CreateMode, Id, MultiOp, NewNode, OpCode, Permissions, ReadOp, Reply,
    Request, Secret, WatcherKind,
};

use crate::random::Random;
use crate::side::Seen;

/// How many clients there are at a time.
pub(crate) const CLIENTS: usize = 3;

/// One thing that a client does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Sends a request, which may be malformed.
    Ask { client: usize, op: i32, body: Bytes, shown: String },
    /// Sets watches again, as of a step in the past.
    SetWatches { client: usize, steps_ago: usize, request: Request },
    /// Breaks the connection and resumes the session on another.
    Reconnect { client: usize },
    /// Closes the session and opens another.
    Renew { client: usize },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask { client, shown, .. } => write!(f, "client {client}: {shown}"),
            other => write!(f, "{other:?}"),
        }
    }
}

pub(crate) struct Steps {
    random: Random,
    /// Nodes with numbers in their names, which cannot be guessed.
    numbered: Vec<String>,
    /// Where persistent watches were set last, by whomever.
    watched: Vec<String>,
}

impl Steps {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), numbered: Vec::new(), watched: Vec::new() }
    }

    /// Takes note of names that a server has chosen.
    pub(crate) fn learn(&mut self, seen: &[(usize, Seen)]) {
        for (_, seen) in seen {
            if let Seen::Reply {
                reply: Some(Reply::Create { path } | Reply::Create2 { path, .. }),
                ..
            } = seen
                && path.ends_with(|last: char| last.is_ascii_digit())
            {
                remember(&mut self.numbered, path);
            }
        }
    }

    pub(crate) fn next(&mut self) -> Step {
        let client = self.random.below(CLIENTS);
        match self.random.below(200) {
            0..3 => Step::Reconnect { client },
            3..5 => Step::Renew { client },
            5..7 => self.unknown(client),
            7..13 => self.malformed(client),
            13..18 => Step::SetWatches {
                client,
                steps_ago: self.random.below(30),
                request: self.watches_again(),
            },
            _ => {
                let request = self.request();
                ask(client, &request)
            }
        }
    }

    fn request(&mut self) -> Request {
        match self.random.below(103) {
            0..14 => Request::Create(self.node()),
            14..24 => Request::Create2(self.node()),
            24..27 => Request::CreateContainer(self.node()),
            27..30 => self.create_ttl(),
            30..42 => Request::Delete { path: self.path(), version: self.version() },
            42..50 => {
                Request::SetData { path: self.path(), data: self.data(), version: self.version() }
            }
            50..58 => Request::Exists { path: self.path(), watch: self.random.percent(50) },
            58..66 => Request::GetData { path: self.path(), watch: self.random.percent(50) },
            66..70 => Request::GetChildren { path: self.path(), watch: self.random.percent(50) },
            70..75 => Request::GetChildren2 { path: self.path(), watch: self.random.percent(50) },
            75..77 => Request::GetAcl { path: self.path() },
            77..80 => {
                Request::SetAcl { path: self.path(), acl: self.acl(), version: self.version() }
            }
            80..86 => Request::Multi((0..self.random.below(5)).map(|_| self.multi_op()).collect()),
            86..88 => {
                Request::MultiRead((0..self.random.below(4)).map(|_| self.read_op()).collect())
            }
            88..91 => self.add_watch(),
            91..94 => Request::RemoveWatches { path: self.watched(), kind: self.kind() },
            94..95 | 100..103 => Request::CheckWatches { path: self.watched(), kind: self.kind() },
            95..96 => {
                Request::GetEphemerals { prefix: self.random.pick(&["", "/", "/a", " "]).into() }
            }
            96..97 => Request::GetAllChildrenNumber { path: self.path() },
            97..98 => Request::WhoAmI,
            98..99 => Request::Sync { path: self.path() },
            99.. => self.auth(),
        }
    }

    fn add_watch(&mut self) -> Request {
        let path = self.path();
        remember(&mut self.watched, &path);
        Request::AddWatch { path, mode: self.mode() }
    }

    /// A path that may well be watched.
    fn watched(&mut self) -> String {
        match self.random.percent(70) && !self.watched.is_empty() {
            true => self.random.pick(&self.watched),
            false => self.path(),
        }
    }

    /// Without a time to live only in a mode that needs one: otherwise Apache takes the request, and
    /// cannot make the node then.
    fn create_ttl(&mut self) -> Request {
        let node = self.node();
        let ttl_ms = match node.mode.is_ttl() {
            true => self.random.pick(&[-1, 0, 1 << 30, 1 << 30, 1 << 50]),
            false => self.random.pick(&[0, 1 << 30]),
        };
        Request::CreateTtl { node, ttl_ms }
    }

    fn auth(&mut self) -> Request {
        let (scheme, credential) = self.random.pick(&[
            ("digest", "a:a"),
            ("digest", "b:b"),
            ("digest", "nocolon"),
            ("digest", "super:wrong"),
            ("digest", "super:test"),
            ("ip", "whatever"),
            ("kerberos", "x"),
        ]);
        Request::Auth { scheme: scheme.into(), credential: Secret::from(credential.as_bytes()) }
    }

    fn node(&mut self) -> NewNode {
        let mode = self.random.pick(&[
            CreateMode::Persistent,
            CreateMode::Persistent,
            CreateMode::Persistent,
            CreateMode::Ephemeral,
            CreateMode::Ephemeral,
            CreateMode::PersistentSequential,
            CreateMode::EphemeralSequential,
            CreateMode::Container,
            CreateMode::PersistentWithTtl,
            CreateMode::PersistentSequentialWithTtl,
        ]);
        NewNode { path: self.path(), data: self.data(), acl: self.acl(), mode }
    }

    fn multi_op(&mut self) -> MultiOp {
        match self.random.below(10) {
            0..2 => MultiOp::Create(self.node()),
            2..4 => MultiOp::Create2(self.node()),
            4 => MultiOp::CreateContainer(self.node()),
            5 => MultiOp::CreateTtl { node: self.node(), ttl_ms: self.random.pick(&[-1, 1 << 30]) },
            6 => MultiOp::Delete { path: self.path(), version: self.version() },
            7..9 => {
                MultiOp::SetData { path: self.path(), data: self.data(), version: self.version() }
            }
            _ => MultiOp::Check { path: self.path(), version: self.version() },
        }
    }

    fn read_op(&mut self) -> ReadOp {
        match self.random.percent(50) {
            true => ReadOp::GetChildren { path: self.path() },
            false => ReadOp::GetData { path: self.path() },
        }
    }

    fn path(&mut self) -> String {
        // No character above ffff: Apache writes those as two halves, which is not UTF-8.
        const ODD: [&str; 14] = [
            "/",
            "",
            "wp",
            "/a/",
            "//a",
            "/a//b",
            "/./a",
            "/a/..",
            "/zookeeper",
            "/zookeeper/quota",
            "/zookeeper/config",
            "/a\u{1}",
            "/\u{e000}",
            "/a/\u{f000}",
        ];
        match self.random.below(100) {
            0..10 => self.random.pick(&ODD).into(),
            10..20 if !self.numbered.is_empty() => {
                let numbered = self.numbered.clone();
                self.random.pick(&numbered)
            }
            _ => {
                let depth = self.random.pick(&[1, 1, 2, 2, 3]);
                (0..depth).map(|_| self.random.pick(&["/a", "/b", "/c"])).collect()
            }
        }
    }

    fn version(&mut self) -> i32 {
        self.random.pick(&[-1, -1, -1, 0, 0, 1, 2, -2])
    }

    fn data(&mut self) -> Option<Bytes> {
        match self.random.below(6) {
            0 => None,
            1 => Some(Bytes::new()),
            length => Some(Bytes::from(vec![b'x'; length])),
        }
    }

    fn acl(&mut self) -> Vec<Acl> {
        let one = |scheme: &str, id: &str| vec![Acl::new(Permissions::ALL, Id::new(scheme, id))];
        let digest = sneck_server::digest(b"a:a");
        match self.random.below(60) {
            0 => Vec::new(),
            1 => Acl::read_only(),
            2 => one("digest", &digest),
            3 => [one("digest", &digest), Acl::read_only()].concat(),
            4 => one("auth", ""),
            5 => one("ip", "127.0.0.1"),
            6 => one("ip", "127.0.0.0/8"),
            7 => one("ip", "127.0.0.1/99"),
            8 => one("digest", "nobody"),
            9 => one("world", "someone"),
            10 => one("kerberos", "me"),
            11 => [Acl::open(), Acl::open()].concat(),
            12 => vec![Acl::new(Permissions::READ | Permissions::ADMIN, Id::anyone())],
            13 => {
                vec![Acl::new(Permissions::ALL, Id::new("world", "anyone")), Acl::open().remove(0)]
            }
            _ => Acl::open(),
        }
    }

    fn mode(&mut self) -> AddWatchMode {
        self.random.pick(&[AddWatchMode::Persistent, AddWatchMode::PersistentRecursive])
    }

    fn kind(&mut self) -> WatcherKind {
        self.random.pick(&[
            WatcherKind::Children,
            WatcherKind::Data,
            WatcherKind::Any,
            WatcherKind::Persistent,
            WatcherKind::PersistentRecursive,
        ])
    }

    fn watches_again(&mut self) -> Request {
        let (data, exist, child) = (self.paths(), self.paths(), self.paths());
        if self.random.percent(30) {
            return Request::SetWatches { relative_zxid: 0, data, exist, child };
        }
        let (persistent, persistent_recursive) = (self.paths(), self.paths());
        Request::SetWatches2 {
            relative_zxid: 0,
            data,
            exist,
            child,
            persistent,
            persistent_recursive,
        }
    }

    fn paths(&mut self) -> Vec<String> {
        (0..self.random.below(3)).map(|_| self.path()).collect()
    }

    fn unknown(&mut self, client: usize) -> Step {
        let op = self.random.pick(&[0, 10, 13, 16, 23, 99, 999, -1]);
        let body = match op {
            // Null, null, null, -1.
            16 => Bytes::from_static(&[0xff; 20]),
            13 => Bytes::from_static(b"\0\0\0\x02/a\xff\xff\xff\xff"),
            _ => Bytes::new(),
        };
        Step::Ask { client, op, body, shown: format!("operation {op}") }
    }

    /// A request with something wrong in its bytes.
    fn malformed(&mut self, client: usize) -> Step {
        let request = self.request();
        let mut body = BytesMut::new();
        request.encode(&mut body);
        let length = body.len();
        let what = match self.random.below(3) {
            0 if ends_with_create(&request) => {
                // Between the last node and the end of the list, which has a header to itself.
                let (flags, at) = (self.random.pick(&[7, 9, -1, 100]), length - 4 - 9);
                body[at..at + 4].copy_from_slice(&i32::to_be_bytes(flags));
                format!("with flags {flags} at the end")
            }
            0 if ends_with_number(&request) => {
                let last = self.random.pick(&[7, 9, -1, 100]);
                body[length - 4..].copy_from_slice(&i32::to_be_bytes(last));
                format!("ends with {last}")
            }
            0 if begins_with_operation(&request) => {
                let kind = self.random.pick(&[14, 22, 3, 15, 999, -2]);
                body[..4].copy_from_slice(&i32::to_be_bytes(kind));
                format!("begins with {kind}")
            }
            1 if length >= 1 => {
                body.truncate(self.random.below(length));
                format!("{} of {length} bytes", body.len())
            }
            _ => {
                body.extend_from_slice(b"more");
                "with more bytes".to_owned()
            }
        };
        let shown = format!("{request:?} {what}");
        Step::Ask { client, op: request.op().code(), body: body.freeze(), shown }
    }
}

/// Whether the last four bytes are a number. Those of a text would not be a text any more, which
/// Apache mends and we refuse.
fn ends_with_number(request: &Request) -> bool {
    matches!(
        request,
        Request::Create(_)
            | Request::Create2(_)
            | Request::CreateContainer(_)
            | Request::Delete { .. }
            | Request::SetData { .. }
            | Request::SetAcl { .. }
            | Request::AddWatch { .. }
            | Request::RemoveWatches { .. }
            | Request::CheckWatches { .. }
    )
}

/// Whether the last of several operations ends with the flags of a create.
fn ends_with_create(request: &Request) -> bool {
    let Request::Multi(ops) = request else { return false };
    let is_create = |op: &MultiOp| {
        matches!(op, MultiOp::Create(_) | MultiOp::Create2(_) | MultiOp::CreateContainer(_))
    };
    ops.last().is_some_and(is_create)
}

/// Whether the first four bytes say what the first of several operations is.
fn begins_with_operation(request: &Request) -> bool {
    match request {
        Request::Multi(ops) => !ops.is_empty(),
        Request::MultiRead(ops) => !ops.is_empty(),
        _ => false,
    }
}

/// Notes a path in place of the oldest of a few.
fn remember(paths: &mut Vec<String>, path: &str) {
    if paths.len() > 8 {
        paths.remove(0);
    }
    paths.push(path.to_owned());
}

fn ask(client: usize, request: &Request) -> Step {
    let mut body = BytesMut::new();
    request.encode(&mut body);
    let op = request.op();
    debug_assert_ne!(op, OpCode::CloseSession);
    Step::Ask { client, op: op.code(), body: body.freeze(), shown: format!("{request:?}") }
}
