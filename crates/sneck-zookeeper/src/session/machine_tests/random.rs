//! Anything in any order: everybody is told exactly once.

use super::*;
use proptest::prelude::*;
use tokio::sync::oneshot::error::TryRecvError;

#[derive(Clone, Debug)]
enum Happening {
    Read,
    Write,
    Large,
    Watch(WatchKind),
    Stream(AddWatchMode),
    Unwatch(usize),
    Authenticate,
    Connect,
    Greet {
        session_id: i64,
        timeout_ms: i32,
    },
    /// The server answers its oldest request, with a result or an error.
    Answer(Option<i32>),
    AnswerOther {
        xid: i32,
        error: i32,
    },
    Garbage(Vec<u8>),
    Event(i32, usize),
    Disconnect,
    Time(u64),
    Close,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let kind = prop_oneof![Just(WatchKind::Data), Just(WatchKind::Exist), Just(WatchKind::Child)];
    let mode = prop_oneof![Just(AddWatchMode::Persistent), Just(AddWatchMode::PersistentRecursive)];
    let code = prop_oneof![Just(-101), Just(-102), Just(-110), Just(-111), Just(-121), Just(-118)];
    prop_oneof![
        8 => Just(Read),
        8 => Just(Write),
        1 => Just(Large),
        6 => kind.prop_map(Watch),
        3 => mode.prop_map(Stream),
        4 => (0..8_usize).prop_map(Unwatch),
        1 => Just(Authenticate),
        8 => Just(Connect),
        8 => Just(Greet { session_id: OURS, timeout_ms: 24_000 }),
        1 => (0..9_i64, -1..30_000).prop_map(|(session_id, timeout_ms)| {
            Greet { session_id, timeout_ms }
        }),
        20 => prop_oneof![4 => Just(None), 1 => code.prop_map(Some)].prop_map(Answer),
        1 => (-9..9_i32, -130..2_i32).prop_map(|(xid, error)| AnswerOther { xid, error }),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Garbage),
        6 => (-1..9_i32, 0..8_usize).prop_map(|(kind, at)| Event(kind, at)),
        3 => Just(Disconnect),
        8 => (0..7_000_u64).prop_map(Time),
        1 => Just(Close),
    ]
}

/// What the model remembers of everything that was asked for.
#[derive(Default)]
struct Wanted {
    answers: Vec<oneshot::Receiver<Answer>>,
    events: Vec<oneshot::Receiver<WatchedEvent>>,
    streams: Vec<mpsc::Receiver<WatchedEvent>>,
    keys: Vec<WatchKey>,
    made: usize,
}

struct Play {
    scene: Scene,
    asked: Wanted,
    connected: bool,
    greeted: bool,
    /// What the server has got and not answered.
    unanswered: VecDeque<(i32, Request, Instant)>,
    last_number: usize,
    /// Until when any proof the server has given can be believed.
    proven: Instant,
}

impl Play {
    fn new() -> Play {
        let scene = Scene::with(|options| {
            options.limits.in_flight_max = 3;
            options.limits.queue_max = 5;
            options.limits.request_bytes_max = 1_000;
            options.limits.events_max = 2;
        });
        let unanswered = VecDeque::new();
        let (connected, greeted, last_number) = (false, false, 0);
        let (asked, proven) = (Wanted::default(), Instant::from_nanos(0));
        Play { scene, asked, connected, greeted, unanswered, last_number, proven }
    }

    fn path(&mut self) -> String {
        self.asked.made += 1;
        format!("/{}", self.asked.made)
    }

    /// As the driver does it: a broken connection is given up.
    fn check(&mut self, result: Result<(), Broken>) {
        if result.is_err() {
            self.disconnect();
        }
        self.collect();
    }

    fn disconnect(&mut self) {
        self.scene.disconnect();
        (self.connected, self.greeted) = (false, false);
        self.unanswered.clear();
    }

    /// Takes what was sent, which is in the order in which it was asked for.
    fn collect(&mut self) {
        for (xid, request) in if self.connected { self.scene.sent() } else { Vec::new() } {
            let path = match &request {
                Request::GetData { path, .. }
                | Request::Exists { path, .. }
                | Request::GetChildren { path, .. }
                | Request::Delete { path, .. }
                | Request::AddWatch { path, .. } => Some(path),
                _ => None,
            };
            if let Some(number) = path.and_then(|path| path[1..].parse::<usize>().ok()) {
                assert!(number > self.last_number, "{number} after {}", self.last_number);
                self.last_number = number;
            }
            let now = self.scene.now;
            self.unanswered.push_back((xid, request, now));
        }
        let own = |(xid, request, _): &&(i32, Request, Instant)| {
            *xid > 0 && *request != proof_request() && *request != Request::CloseSession
        };
        assert!(self.unanswered.iter().filter(own).count() <= 3);
        let until = self.scene.machine.lease().until();
        assert!(until <= self.proven, "a lease until {until:?} is proven until {:?}", self.proven);
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.scene.now;
        match happening {
            Happening::Read | Happening::Write | Happening::Large => {
                let path = self.path();
                let request = match happening {
                    Happening::Read => get(&path),
                    Happening::Write => delete(&path),
                    _ => set_data(&path, 1_000),
                };
                self.asked.answers.extend(self.scene.machine.submit(now, &request));
            }
            Happening::Watch(kind) => {
                let path = self.path();
                let request = read(&path, kind);
                let watching = self.scene.machine.submit_watching(now, &request, &path, kind);
                if let Ok(Watching { answer, key, events }) = watching {
                    self.asked.answers.push(answer);
                    self.asked.keys.push(key);
                    self.asked.events.push(events);
                }
            }
            Happening::Stream(mode) => {
                let path = self.path();
                let watching = self.scene.machine.submit_streaming(now, &path, mode);
                if let Ok(Watching { answer, key, events }) = watching {
                    self.asked.answers.push(answer);
                    self.asked.keys.push(key);
                    self.asked.streams.push(events);
                }
            }
            Happening::Unwatch(at) => {
                if let Some(key) = self.asked.keys.iter().rev().nth(at).cloned() {
                    self.scene.unwatch(&key);
                }
            }
            Happening::Authenticate => {
                self.scene.machine.authenticate(Credentials::digest("a", "b"));
            }
            Happening::Connect if !self.connected => {
                self.connected = self.scene.machine.on_connection(now).is_ok();
                assert_eq!(self.connected, self.scene.end().is_none());
                self.scene.frames();
            }
            Happening::Greet { session_id, timeout_ms } if self.connected && !self.greeted => {
                self.greeted = true;
                self.proven = self.proven.max(now + TIMEOUT.max(secs(30)) * 5 / 8);
                let password = Secret::from([9; 16]);
                let read_only = None;
                let protocol = 0;
                let result = self.scene.greet_as(&ConnectReply {
                    protocol,
                    timeout_ms,
                    session_id,
                    password,
                    read_only,
                });
                self.check(result);
            }
            Happening::Answer(error) => self.answer(error),
            Happening::AnswerOther { xid, error } if self.greeted => {
                let error = ErrorCode::new(error);
                let result = match error.is_ok() {
                    true => Ok(&Reply::Delete),
                    false => Err(error),
                };
                self.proven = self.proven.max(now + secs(30) * 5 / 8);
                let result = self.scene.answer(xid, result);
                // The server has lost count of what it has answered.
                let result = result.and(if xid > 0 { Err(Broken::Moved) } else { Ok(()) });
                self.check(result);
            }
            Happening::Garbage(bytes) if self.connected => {
                // It may look like an answer, or the beginning of one, so this is the end of it.
                self.proven = self.proven.max(now + secs(30));
                let _ = self.scene.feed(bytes[..].into());
                self.disconnect();
            }
            Happening::Event(kind, at) if self.greeted => {
                let path = self.asked.keys.iter().rev().nth(at).map(|key| key.path.clone());
                self.scene.event(EventKind::from(kind), &path.unwrap_or_default());
            }
            Happening::Disconnect => self.disconnect(),
            Happening::Time(ms) => {
                self.scene.pass(Duration::from_millis(ms));
                let result = self.scene.on_time();
                self.check(result);
            }
            Happening::Close => self.scene.close(),
            _ => {}
        }
        self.collect();
    }

    fn answer(&mut self, error: Option<i32>) {
        let Some((xid, request, sent)) = self.unanswered.pop_front() else { return };
        let (stat, path) = (stat(), String::new());
        let reply = match request.op() {
            OpCode::GetData => Reply::GetData { data: None, stat },
            OpCode::Exists => Reply::Exists(stat),
            OpCode::GetChildren => Reply::GetChildren(Vec::new()),
            OpCode::Delete => Reply::Delete,
            OpCode::AddWatch => Reply::AddWatch,
            OpCode::RemoveWatches => Reply::RemoveWatches,
            OpCode::Multi => Reply::Multi(vec![MultiResult::Check]),
            OpCode::Auth => Reply::Auth,
            OpCode::Ping => Reply::Ping,
            OpCode::SetWatches => Reply::SetWatches,
            OpCode::SetWatches2 => Reply::SetWatches2,
            OpCode::CloseSession => Reply::CloseSession,
            other => panic!("{other:?} {path}"),
        };
        if request.op().is_write() {
            self.proven = self.proven.max(sent + self.scene.machine.timeout() * 5 / 8);
        }
        let error = error.filter(|_| xid > 0 && request.op() != OpCode::CloseSession);
        let result = match error {
            Some(code) => Err(ErrorCode::new(code)),
            None => Ok(&reply),
        };
        let result = self.scene.answer(xid, result);
        self.check(result);
    }

    /// Brings everything to its end, and sees that everybody has been told exactly once.
    fn finish(mut self) {
        self.scene.close();
        for _ in 0..3 {
            self.disconnect();
            self.scene.pass(secs(60));
        }
        assert!(self.scene.end().is_some());
        assert!(!self.scene.holds());
        for answer in &mut self.asked.answers {
            assert!(answer.try_recv().is_ok(), "somebody still waits for an answer");
        }
        for events in &mut self.asked.events {
            assert_ne!(events.try_recv(), Err(TryRecvError::Empty), "a watch is still set");
        }
        for stream in &mut self.asked.streams {
            while stream.try_recv().is_ok() {}
            assert_eq!(stream.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        }
        assert!(self.scene.machine.watches.is_empty());
        assert!(self.scene.machine.queue.is_empty() && self.scene.machine.in_flight.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_happens_everybody_is_told_exactly_once(
        happenings in proptest::collection::vec(happening(), 0..120),
    ) {
        let mut play = Play::new();
        play.happen(Happening::Connect);
        play.happen(Happening::Greet { session_id: OURS, timeout_ms: 24_000 });
        for happening in happenings {
            play.happen(happening);
        }
        play.finish();
    }

    #[test]
    fn bytes_of_a_stranger_never_panic(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..8),
        greeted in any::<bool>(),
    ) {
        let mut scene = if greeted { Scene::open() } else { Scene::new() };
        if !greeted {
            scene.connect();
        }
        let _answer = scene.submit(&get("/a"));
        for piece in pieces {
            if scene.feed(piece[..].into()).is_err() {
                break;
            }
        }
        scene.disconnect();
    }
}
