//! What a session can watch.

use super::call::Registration;
use super::machine::Watching;
use super::reading::{read_children, read_data, read_exists};
use super::watches::{WatchKey, WatchKind};
use super::{Call, Node, Session, Watch, WatchCall, WatchStream};
use crate::error::RequestError;
use sneck_wire::{AddWatchMode, Reply, Request, Stat};

impl Session {
    /// [`exists`](Session::exists), with a watch for creation, deletion and change of data. `None`
    /// comes with the watch too.
    pub fn exists_watch(&self, path: &str) -> WatchCall<Option<Stat>> {
        let request = self.absolute(path).map(|path| Request::Exists { path, watch: true });
        self.watch_call(request, WatchKind::Exist, read_exists).or_absent(|| None)
    }

    /// [`get_data`](Session::get_data), with a watch for deletion and change of data.
    pub fn get_data_watch(&self, path: &str) -> WatchCall<Node> {
        let request = self.absolute(path).map(|path| Request::GetData { path, watch: true });
        self.watch_call(request, WatchKind::Data, read_data)
    }

    /// [`get_children`](Session::get_children), with a watch for children that come and go and for
    /// the node's own deletion.
    pub fn get_children_watch(&self, path: &str) -> WatchCall<Vec<String>> {
        let request = self.absolute(path).map(|path| Request::GetChildren { path, watch: true });
        self.watch_call(request, WatchKind::Child, read_children)
    }

    /// A persistent watch on a path, which need not exist.
    pub fn add_watch(&self, path: &str, mode: AddWatchMode) -> WatchCall<(), WatchStream> {
        let submitted = self.absolute(path).and_then(|path| {
            let now = self.shared().now();
            self.shared().lock().submit_streaming(now, &path, mode)
        });
        let read = |reply, _: &str| match reply {
            Reply::AddWatch => Some(()),
            _ => None,
        };
        self.taken(submitted, read, |events, registration| WatchStream { events, registration })
    }

    fn watch_call<T>(
        &self,
        request: Result<Request, RequestError>,
        kind: WatchKind,
        read: fn(Reply, &str) -> Option<T>,
    ) -> WatchCall<T> {
        let submitted = request.and_then(|request| {
            let path = match &request {
                Request::Exists { path, .. }
                | Request::GetData { path, .. }
                | Request::GetChildren { path, .. } => path.clone(),
                other => unreachable!("{:?} leaves no one-shot watch", other.op()),
            };
            let now = self.shared().now();
            self.shared().lock().submit_watching(now, &request, &path, kind)
        });
        self.taken(submitted, read, |events, registration| Watch {
            events,
            registration,
            seen: None,
        })
    }

    fn taken<T, E, W>(
        &self,
        submitted: Result<Watching<E>, RequestError>,
        read: fn(Reply, &str) -> Option<T>,
        watch: fn(E, Registration) -> W,
    ) -> WatchCall<T, W> {
        self.shared().wake.notify_one();
        let (answer, watch) = match submitted {
            Ok(Watching { answer, key, events }) => {
                (Ok(answer), Some(watch(events, self.registration(key))))
            }
            Err(error) => (Err(error), None),
        };
        WatchCall::new(Call::new(answer, self.chroot.clone(), read), watch)
    }

    fn registration(&self, key: WatchKey) -> Registration {
        Registration { shared: self.shared().clone(), key, chroot: self.chroot.clone() }
    }
}
