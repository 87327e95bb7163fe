//! The watches of a session: who waits for which event, and how they survive a reconnect.

use super::once::{OnceWatches, Removed};
use sneck_wire::{AddWatchMode, EventKind, Request, WatchedEvent, WatcherKind};
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};

/// Identifies one registration within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WatchId(u64);

#[cfg(test)]
impl WatchId {
    pub(super) fn numbered(number: u64) -> Self {
        WatchId(number)
    }
}

/// What a one-shot watch was set by, which decides what fires it and how it is set again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WatchKind {
    /// Set by reading a node that is there.
    Data,
    /// Set by asking for a node that is not there.
    Exist,
    /// Set by listing children.
    Child,
}

/// Where a watch is, to find it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchKey {
    pub(crate) id: WatchId,
    pub(crate) path: String,
}

/// An event and whom to tell. Sending happens outside the session's lock.
#[derive(Debug)]
pub(crate) enum Delivery {
    Once(oneshot::Sender<WatchedEvent>, WatchedEvent),
    Stream(mpsc::OwnedPermit<WatchedEvent>, WatchedEvent),
}

impl Delivery {
    pub(crate) fn deliver(self) {
        match self {
            Delivery::Once(sink, event) => drop(sink.send(event)),
            Delivery::Stream(room, event) => drop(room.send(event)),
        }
    }
}

/// Bytes of paths in one request that sets watches again. An eighth of the servers' limit, as Apache's
/// own client has it, because a request above the limit costs the connection every time
/// (ZOOKEEPER-706).
const RESTORE_BYTES_MAX: usize = sneck_wire::MAX_FRAME_DEFAULT / 8;

/// What else is in such a request: its xid and kind, a zxid, and how many there are of five kinds of watches.
const RESTORE_HEAD_BYTES: usize = 4 + 4 + 8 + 5 * LENGTH_BYTES;
/// What stands before each path.
const LENGTH_BYTES: usize = 4;

/// The bytes of a request that sets only the watch on this path again. Where they are too many, the watch would
/// be lost with the connection.
pub(crate) fn restore_bytes(path: &str) -> usize {
    RESTORE_HEAD_BYTES + LENGTH_BYTES + path.len()
}

/// What nobody is interested in any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) kind: WatcherKind,
    /// Whether a server has set the watch. If not, the request that does is waiting or on the way.
    pub(crate) set: bool,
}

/// The watches of a session. Ordered maps, so that a simulated run can be repeated.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    once: BTreeMap<String, OnceWatches>,
    streams: BTreeMap<String, Vec<Stream>>,
    next: u64,
}

#[derive(Debug)]
struct Stream {
    id: WatchId,
    mode: AddWatchMode,
    set: bool,
    /// None once the reader has fallen too far behind.
    sink: Option<mpsc::Sender<WatchedEvent>>,
}

impl Stream {
    /// Makes room for an event now, because others may come before this one is delivered. A reader
    /// that has fallen behind would miss an event unknowingly; its stream ends instead.
    fn tell(&mut self, event: &WatchedEvent, told: &mut Vec<Delivery>) {
        match self.sink.clone().map(mpsc::Sender::try_reserve_owned) {
            Some(Ok(room)) => told.push(Delivery::Stream(room, event.clone())),
            Some(Err(_)) => self.sink = None,
            None => {}
        }
    }
}

impl Watches {
    /// Registers a one-shot watch. It is registered when its request is sent rather than when the
    /// answer comes, so that an event that overtakes the answer is not lost; an early event is only a
    /// hint too many.
    pub(crate) fn add_once(
        &mut self,
        path: &str,
        kind: WatchKind,
    ) -> (WatchKey, oneshot::Receiver<WatchedEvent>) {
        let (sink, source) = oneshot::channel();
        let key = self.key(path);
        self.once.entry(path.to_owned()).or_default().add(key.id, kind, sink);
        (key, source)
    }

    /// Registers a persistent watch whose reader may fall `events_max` behind.
    pub(crate) fn add_stream(
        &mut self,
        path: &str,
        mode: AddWatchMode,
        events_max: usize,
    ) -> (WatchKey, mpsc::Receiver<WatchedEvent>) {
        let (sink, source) = mpsc::channel(events_max);
        let key = self.key(path);
        let stream = Stream { id: key.id, mode, set: false, sink: Some(sink) };
        self.streams.entry(path.to_owned()).or_default().push(stream);
        (key, source)
    }

    fn key(&mut self, path: &str) -> WatchKey {
        self.next += 1;
        WatchKey { id: WatchId(self.next), path: path.to_owned() }
    }

    /// A server has set the watch: from now on it is set again on every other server. Until then its
    /// request does that, be it waiting or on the way.
    pub(crate) fn has_set(&mut self, key: &WatchKey) {
        if let Some(watches) = self.once.get_mut(&key.path) {
            watches.has_set(key.id);
        }
        let streams = self.streams.get_mut(&key.path).into_iter().flatten();
        streams.filter(|watch| watch.id == key.id).for_each(|watch| watch.set = true);
    }

    /// The node that was asked for is there: its watch is one on data.
    pub(crate) fn node_exists(&mut self, key: &WatchKey) {
        if let Some(watches) = self.once.get_mut(&key.path) {
            watches.node_exists(key.id);
        }
    }

    /// Forgets a watch. Returns what to tell the server, if this was the last interest of its kind.
    pub(crate) fn remove(&mut self, key: &WatchKey) -> Option<Interest> {
        if let Some(watches) = self.once.get_mut(&key.path)
            && let Some(Removed { kind, set, last }) = watches.remove(key.id)
        {
            if watches.is_empty() {
                self.once.remove(&key.path);
            }
            // Servers before 3.9 would remove a persistent watch on the same path with it.
            let last = last && !self.streams.contains_key(&key.path);
            let child = kind == WatchKind::Child;
            let kind = if child { WatcherKind::Children } else { WatcherKind::Data };
            return last.then_some(Interest { kind, set });
        }
        let watches = self.streams.get_mut(&key.path)?;
        let at = watches.iter().position(|watch| watch.id == key.id)?;
        let set = watches.swap_remove(at).set;
        let last = watches.is_empty();
        if last {
            self.streams.remove(&key.path);
        }
        // A persistent watch can only be removed together with every other kind on its path.
        let last = last && !self.once.contains_key(&key.path);
        last.then_some(Interest { kind: WatcherKind::Any, set })
    }

    /// Takes out the one-shot watches that `event` fires, and whom else to tell.
    pub(crate) fn fire(&mut self, event: &WatchedEvent, told: &mut Vec<Delivery>) {
        if let Some(watches) = self.once.get_mut(&event.path) {
            let fired = watches.fire(event.kind).into_iter();
            told.extend(fired.map(|sink| Delivery::Once(sink, event.clone())));
            if watches.is_empty() {
                self.once.remove(&event.path);
            }
        }
        self.fire_streams(event, told);
    }

    fn fire_streams(&mut self, event: &WatchedEvent, told: &mut Vec<Delivery>) {
        if self.streams.is_empty() {
            return;
        }
        let mut at = event.path.as_str();
        loop {
            let exact = at.len() == event.path.len();
            if let Some(watches) = self.streams.get_mut(at) {
                for watch in watches {
                    // A recursive watch tells of the child itself. That its parent has changed comes
                    // only when another watch has asked for it (ZOOKEEPER-4475).
                    let covers = match watch.mode {
                        AddWatchMode::Persistent => exact,
                        AddWatchMode::PersistentRecursive => {
                            event.kind != EventKind::ChildrenChanged
                        }
                    };
                    if covers {
                        watch.tell(event, told);
                    }
                }
            }
            match at.rfind('/') {
                None => break,
                Some(0) if at.len() > 1 => at = "/",
                Some(0) => break,
                Some(slash) => at = &at[..slash],
            }
        }
    }

    /// The requests that set all watches again on another server, none of more than `request_bytes_max`.
    ///
    /// Persistent watches fire nothing when they are set again, so whoever reads one is told by an
    /// event of kind `None` that something may have been missed.
    pub(crate) fn restore(
        &mut self,
        relative_zxid: i64,
        request_bytes_max: usize,
        told: &mut Vec<Delivery>,
    ) -> Vec<Request> {
        let bytes_max = RESTORE_BYTES_MAX.min(request_bytes_max.saturating_sub(RESTORE_HEAD_BYTES));
        let mut chunks = vec![Chunk::default()];
        for (path, watches) in &self.once {
            for kind in [WatchKind::Data, WatchKind::Exist, WatchKind::Child] {
                if watches.is_set(kind) {
                    let chunk = room(&mut chunks, path, bytes_max);
                    match kind {
                        WatchKind::Data => chunk.data.push(path.clone()),
                        WatchKind::Exist => chunk.exist.push(path.clone()),
                        WatchKind::Child => chunk.child.push(path.clone()),
                    }
                }
            }
        }
        for (path, watches) in &mut self.streams {
            for mode in [AddWatchMode::Persistent, AddWatchMode::PersistentRecursive] {
                if watches.iter().any(|watch| watch.set && watch.mode == mode) {
                    let chunk = room(&mut chunks, path, bytes_max);
                    match mode {
                        AddWatchMode::Persistent => chunk.persistent.push(path.clone()),
                        AddWatchMode::PersistentRecursive => chunk.recursive.push(path.clone()),
                    }
                }
            }
            let missed = WatchedEvent::new(EventKind::None, path.clone());
            watches.iter_mut().filter(|watch| watch.set).for_each(|w| w.tell(&missed, told));
        }
        chunks.into_iter().filter(|c| c.bytes > 0).map(|c| c.request(relative_zxid)).collect()
    }

    /// Whether nobody waits for anything.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.once.is_empty() && self.streams.is_empty()
    }

    /// Forgets all watches, which tells whoever waits for them that the session is over.
    pub(crate) fn clear(&mut self) {
        self.once.clear();
        self.streams.clear();
    }
}

#[derive(Default)]
struct Chunk {
    bytes: usize,
    data: Vec<String>,
    exist: Vec<String>,
    child: Vec<String>,
    persistent: Vec<String>,
    recursive: Vec<String>,
}

impl Chunk {
    fn request(self, relative_zxid: i64) -> Request {
        let Chunk { data, exist, child, persistent, recursive, .. } = self;
        // Servers before 3.6 do not know the second form, so it is used only where it is needed.
        if persistent.is_empty() && recursive.is_empty() {
            return Request::SetWatches { relative_zxid, data, exist, child };
        }
        let persistent_recursive = recursive;
        Request::SetWatches2 { relative_zxid, data, exist, child, persistent, persistent_recursive }
    }
}

/// The chunk that has room for one more path, with that room taken.
fn room<'a>(chunks: &'a mut Vec<Chunk>, path: &str, bytes_max: usize) -> &'a mut Chunk {
    let bytes = LENGTH_BYTES + path.len();
    if chunks.last().is_none_or(|chunk| chunk.bytes + bytes > bytes_max) {
        chunks.push(Chunk::default());
    }
    let at = chunks.len() - 1;
    chunks[at].bytes += bytes;
    &mut chunks[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, path: &str) -> WatchedEvent {
        WatchedEvent::new(kind, path)
    }

    fn removed(watches: &mut Watches, key: &WatchKey) -> Option<WatcherKind> {
        watches.remove(key).map(|interest| interest.kind)
    }

    fn restored(watches: &mut Watches, zxid: i64, told: &mut Vec<Delivery>) -> Vec<Request> {
        watches.restore(zxid, sneck_wire::MAX_FRAME_DEFAULT, told)
    }

    fn fire(watches: &mut Watches, kind: EventKind, path: &str) -> usize {
        let mut told = Vec::new();
        watches.fire(&event(kind, path), &mut told);
        told.len()
    }

    #[test]
    fn each_event_fires_the_watches_it_should_once() {
        for (kind, data, exist, child) in [
            (EventKind::Created, 1, 1, 0),
            (EventKind::DataChanged, 1, 1, 0),
            (EventKind::Deleted, 1, 1, 1),
            (EventKind::ChildrenChanged, 0, 0, 1),
            (EventKind::None, 0, 0, 0),
        ] {
            for (of, fires) in
                [(WatchKind::Data, data), (WatchKind::Exist, exist), (WatchKind::Child, child)]
            {
                let mut watches = Watches::default();
                let (_, _source) = watches.add_once("/a", of);
                assert_eq!(fire(&mut watches, kind, "/a"), fires, "{kind:?} {of:?}");
                assert_eq!(fire(&mut watches, kind, "/a"), 0, "one shot");
                assert_eq!(fire(&mut watches, kind, "/a/b"), 0);
            }
        }
    }

    #[test]
    fn a_recursive_watch_covers_what_is_below() {
        let mut watches = Watches::default();
        let (_, _a) = watches.add_stream("/", AddWatchMode::PersistentRecursive, 8);
        let (_, _b) = watches.add_stream("/a", AddWatchMode::PersistentRecursive, 8);
        let (_, _c) = watches.add_stream("/a", AddWatchMode::Persistent, 8);
        assert_eq!(fire(&mut watches, EventKind::Created, "/a/b/c"), 2);
        assert_eq!(fire(&mut watches, EventKind::Created, "/a"), 3);
        assert_eq!(fire(&mut watches, EventKind::Created, "/ab"), 1);
        assert_eq!(fire(&mut watches, EventKind::ChildrenChanged, "/a"), 1);
    }

    #[test]
    fn a_reader_that_falls_behind_loses_its_stream_rather_than_an_event() {
        // Whether the events come one by one, or several before the first is delivered.
        for together in [false, true] {
            let mut watches = Watches::default();
            let (key, mut source) = watches.add_stream("/a", AddWatchMode::Persistent, 1);
            let mut told = Vec::new();
            for _ in 0..3 {
                watches.fire(&event(EventKind::DataChanged, "/a"), &mut told);
                if !together {
                    told.drain(..).for_each(Delivery::deliver);
                }
            }
            told.into_iter().for_each(Delivery::deliver);
            assert!(source.try_recv().is_ok());
            assert_eq!(source.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
            assert_eq!(
                removed(&mut watches, &key),
                Some(WatcherKind::Any),
                "the server still has it"
            );
            assert!(watches.is_empty());
        }
    }

    #[test]
    fn a_reader_that_is_full_is_not_kept_from_knowing_that_it_missed_something() {
        let mut watches = Watches::default();
        let (key, mut source) = watches.add_stream("/a", AddWatchMode::Persistent, 1);
        watches.has_set(&key);
        assert_eq!(fire(&mut watches, EventKind::DataChanged, "/a"), 1);
        let mut told = Vec::new();
        watches.fire(&event(EventKind::DataChanged, "/a"), &mut told);
        assert_eq!(restored(&mut watches, 1, &mut told).len(), 1);
        told.into_iter().for_each(Delivery::deliver);
        assert_eq!(source.try_recv().map(|event| event.kind), Ok(EventKind::DataChanged));
        assert_eq!(source.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    }

    #[test]
    fn what_no_server_has_set_is_not_set_again() {
        let mut watches = Watches::default();
        let (once, _a) = watches.add_once("/a", WatchKind::Exist);
        let (stream, _b) = watches.add_stream("/b", AddWatchMode::PersistentRecursive, 8);
        let mut told = Vec::new();
        assert_eq!(restored(&mut watches, 1, &mut told), []);
        assert!(told.is_empty());
        watches.has_set(&once);
        watches.has_set(&stream);
        let again = Request::SetWatches2 {
            relative_zxid: 1,
            data: vec![],
            exist: vec!["/a".into()],
            child: vec![],
            persistent: vec![],
            persistent_recursive: vec!["/b".into()],
        };
        assert_eq!(restored(&mut watches, 1, &mut told), [again]);
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn a_persistent_watch_outlives_a_one_shot_watch_beside_it() {
        let mut watches = Watches::default();
        let (stream, _a) = watches.add_stream("/a", AddWatchMode::Persistent, 8);
        let (once, _b) = watches.add_once("/a", WatchKind::Data);
        assert_eq!(removed(&mut watches, &once), None);
        let (once, _b) = watches.add_once("/a", WatchKind::Data);
        assert_eq!(removed(&mut watches, &stream), None);
        assert_eq!(removed(&mut watches, &once), Some(WatcherKind::Data));
    }

    #[test]
    fn the_server_is_told_when_the_last_interest_goes() {
        let mut watches = Watches::default();
        let (first, _a) = watches.add_once("/a", WatchKind::Data);
        let (second, _b) = watches.add_once("/a", WatchKind::Exist);
        let (child, _c) = watches.add_once("/a", WatchKind::Child);
        assert_eq!(removed(&mut watches, &first), None);
        assert_eq!(removed(&mut watches, &second), Some(WatcherKind::Data));
        assert_eq!(removed(&mut watches, &child), Some(WatcherKind::Children));
        assert_eq!(removed(&mut watches, &child), None);
        assert!(watches.is_empty());
    }

    #[test]
    fn restoring_is_split_below_the_limit_and_complete() {
        let mut watches = Watches::default();
        let paths: Vec<String> = (0..3_000).map(|n| format!("/{n:0100}")).collect();
        let mut sources = Vec::new();
        for path in &paths {
            let (key, source) = watches.add_once(path, WatchKind::Data);
            watches.has_set(&key);
            sources.push(source);
        }
        for request_bytes_max in [sneck_wire::MAX_FRAME_DEFAULT, 4_096, restore_bytes(&paths[0])] {
            let requests = watches.restore(7, request_bytes_max, &mut Vec::new());
            assert!(requests.len() > 1);
            let mut restored = Vec::new();
            for request in requests {
                let mut frame = bytes::BytesMut::new();
                sneck_wire::encode_request(&mut frame, 1, &request);
                assert!(frame.len() < sneck_wire::MAX_FRAME_DEFAULT / 4);
                assert!(frame.len() - LENGTH_BYTES <= request_bytes_max, "{}", frame.len());
                let Request::SetWatches { relative_zxid: 7, data, .. } = request else { panic!() };
                restored.extend(data);
            }
            assert_eq!(restored, paths);
        }
    }
}
