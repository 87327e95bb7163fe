//! The one-shot watches on one path.

use super::watches::{WatchId, WatchKind};
use sneck_wire::{EventKind, WatchedEvent};
use tokio::sync::oneshot;

/// The watches that were asked for on one path, and have not fired. There may be very many, of which any may be
/// taken back: finding one and taking it out must not take the longer, the more there are.
#[derive(Debug, Default)]
pub(super) struct OnceWatches {
    /// In the order of their ids, which is that in which they were asked for. One that was taken back keeps
    /// its place, without a sink, until those are more than half.
    watches: Vec<Once>,
    of_node: usize,
    of_children: usize,
}

#[derive(Debug)]
struct Once {
    id: WatchId,
    kind: WatchKind,
    set: bool,
    sink: Option<oneshot::Sender<WatchedEvent>>,
}

/// What was taken back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removed {
    pub(super) kind: WatchKind,
    /// Whether a server has set it.
    pub(super) set: bool,
    /// Whether no other is left that the servers know by the same kind.
    pub(super) last: bool,
}

impl OnceWatches {
    /// `id` is larger than that of every other.
    pub(super) fn add(
        &mut self,
        id: WatchId,
        kind: WatchKind,
        sink: oneshot::Sender<WatchedEvent>,
    ) {
        self.watches.push(Once { id, kind, set: false, sink: Some(sink) });
        *self.count(kind) += 1;
    }

    pub(super) fn has_set(&mut self, id: WatchId) {
        if let Some(watch) = self.find(id) {
            watch.set = true;
        }
    }

    pub(super) fn node_exists(&mut self, id: WatchId) {
        if let Some(watch) = self.find(id) {
            watch.kind = WatchKind::Data;
        }
    }

    pub(super) fn remove(&mut self, id: WatchId) -> Option<Removed> {
        let watch = self.find(id)?;
        watch.sink = None;
        let (kind, set) = (watch.kind, watch.set);
        let count = self.count(kind);
        *count -= 1;
        let last = *count == 0;
        if self.watches.len() > 2 * (self.of_node + self.of_children) {
            self.watches.retain(|watch| watch.sink.is_some());
        }
        Some(Removed { kind, set, last })
    }

    /// Takes out those that an event of this kind fires, who asked first first.
    pub(super) fn fire(&mut self, event: EventKind) -> Vec<oneshot::Sender<WatchedEvent>> {
        let (node, children) = match event {
            EventKind::Created | EventKind::DataChanged => (true, false),
            EventKind::Deleted => (true, true),
            EventKind::ChildrenChanged => (false, true),
            _ => (false, false),
        };
        let fires = |kind| if kind == WatchKind::Child { children } else { node };
        if !((node && self.of_node > 0) || (children && self.of_children > 0)) {
            return Vec::new();
        }
        let fired = self.watches.extract_if(.., |watch| fires(watch.kind));
        let sinks = fired.filter_map(|watch| watch.sink).collect();
        self.of_node = if node { 0 } else { self.of_node };
        self.of_children = if children { 0 } else { self.of_children };
        sinks
    }

    /// Whether one of this kind is to be set again on another server.
    pub(super) fn is_set(&self, kind: WatchKind) -> bool {
        let counts = |watch: &Once| watch.set && watch.kind == kind && watch.sink.is_some();
        self.watches.iter().any(counts)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.of_node + self.of_children == 0
    }

    fn find(&mut self, id: WatchId) -> Option<&mut Once> {
        let at = self.watches.binary_search_by_key(&id, |watch| watch.id).ok()?;
        self.watches.get_mut(at).filter(|watch| watch.sink.is_some())
    }

    /// Servers know two kinds: whether a node is there is watched as its data are.
    fn count(&mut self, kind: WatchKind) -> &mut usize {
        match kind {
            WatchKind::Child => &mut self.of_children,
            WatchKind::Data | WatchKind::Exist => &mut self.of_node,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watches(kinds: &[WatchKind]) -> (OnceWatches, Vec<oneshot::Receiver<WatchedEvent>>) {
        let mut watches = OnceWatches::default();
        let mut sources = Vec::new();
        for (at, kind) in kinds.iter().enumerate() {
            let (sink, source) = oneshot::channel();
            watches.add(WatchId::numbered(at as u64), *kind, sink);
            sources.push(source);
        }
        (watches, sources)
    }

    #[test]
    fn what_was_taken_back_takes_no_more_room_than_what_is_there() {
        let (mut watches, _sources) = watches(&[WatchKind::Data; 1_000]);
        // From the front, where moving up the others each time would cost most.
        for at in 0..999 {
            let removed = watches.remove(WatchId::numbered(at)).unwrap();
            assert!(!removed.last);
            assert!(watches.watches.len() <= 2 * (999 - usize::try_from(at).unwrap()));
            assert!(watches.remove(WatchId::numbered(at)).is_none(), "it is gone");
        }
        assert!(watches.remove(WatchId::numbered(999)).unwrap().last);
        assert!(watches.is_empty() && watches.watches.is_empty());
    }

    #[test]
    fn what_was_taken_back_is_neither_fired_nor_set_again() {
        let kinds = [WatchKind::Data, WatchKind::Child, WatchKind::Data, WatchKind::Data];
        let (mut watches, mut sources) = watches(&kinds);
        watches.has_set(WatchId::numbered(0));
        assert!(watches.is_set(WatchKind::Data));
        let removed = watches.remove(WatchId::numbered(0)).unwrap();
        assert!(removed.set && !removed.last);
        assert!(!watches.is_set(WatchKind::Data));
        let told = watches.fire(EventKind::DataChanged);
        assert_eq!(told.len(), 2);
        for sink in told {
            sink.send(WatchedEvent::new(EventKind::DataChanged, "/a")).unwrap();
        }
        assert!(sources[2].try_recv().is_ok() && sources[3].try_recv().is_ok());
        assert!(watches.remove(WatchId::numbered(1)).unwrap().last);
        assert!(watches.is_empty());
    }
}
