//! What a session can read.

use super::{Call, Session};
use crate::error::RequestError;
use bytes::Bytes;
use sneck_core::mutant;
use sneck_wire::{Acl, ClientInfo, MultiResult, ReadOp, Reply, Request, Stat};

/// The data of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The data; null reads as empty.
    pub data: Bytes,
    /// Its metadata.
    pub stat: Stat,
}

/// What [`Session::exists`] will come to: that there is no node is an answer, not an error.
pub type Exists = Call<Option<Stat>>;

impl Session {
    /// The node's metadata, or `None` where there is no node.
    pub fn exists(&self, path: &str) -> Exists {
        let request = self.absolute(path).map(|path| Request::Exists { path, watch: false });
        self.call(request, read_exists).or_absent(|| None)
    }

    /// The node's data and metadata.
    pub fn get_data(&self, path: &str) -> Call<Node> {
        self.call(
            self.absolute(path).map(|path| Request::GetData { path, watch: false }),
            read_data,
        )
    }

    /// The names of the node's children, in no order.
    pub fn get_children(&self, path: &str) -> Call<Vec<String>> {
        let request = self.absolute(path).map(|path| Request::GetChildren { path, watch: false });
        self.call(request, read_children)
    }

    /// The names of the node's children, in no order, and the node's metadata.
    pub fn get_children2(&self, path: &str) -> Call<(Vec<String>, Stat)> {
        let request = self.absolute(path).map(|path| Request::GetChildren2 { path, watch: false });
        self.call(request, |reply, _| match reply {
            Reply::GetChildren2 { children, stat } => Some((children, stat)),
            _ => None,
        })
    }

    /// The node's access control list and metadata.
    pub fn get_acl(&self, path: &str) -> Call<(Vec<Acl>, Stat)> {
        let request = self.absolute(path).map(|path| Request::GetAcl { path });
        self.call(request, |reply, _| match reply {
            Reply::GetAcl { acl, stat } => Some((acl, stat)),
            _ => None,
        })
    }

    /// Waits until the server has caught up with the leader, so that a read after it sees every write
    /// that was answered before it; nearly. A leader answers its own clients without asking anybody, also when
    /// it was replaced and has not noticed. [`prove`](Session::prove) does the same by way of the quorum.
    pub fn sync(&self, path: &str) -> Call<()> {
        let request = self.absolute(path).map(|path| Request::Sync { path });
        self.call(request, |reply, _| match reply {
            Reply::Sync { .. } => Some(()),
            _ => None,
        })
    }

    /// Reads a node on a server that has caught up: what anybody was told is done, is seen. Both requests
    /// are on the way before either is answered.
    pub(crate) async fn get_data_synced(&self, path: &str) -> Result<Node, RequestError> {
        let (caught_up, node) = (self.prove(), self.get_data(path));
        caught_up.await?;
        node.await
    }

    /// Lists the children of a node on a server that has caught up. The quorum says so: a leader answers `sync` by
    /// itself, also where others have made sooner what it has decided, and where nobody follows it any more.
    pub(crate) async fn get_children_synced(
        &self,
        path: &str,
    ) -> Result<Vec<String>, RequestError> {
        if mutant!("a-look-goes-to-whoever-is-near") {
            return self.get_children(path).await;
        }
        let caught_up = match mutant!("sync-is-taken-for-a-proof") {
            true => self.sync(path),
            false => self.prove(),
        };
        let children = self.get_children(path);
        caught_up.await?;
        children.await
    }

    /// Several reads in one request, each with its own result. Paths are below the session's root.
    pub fn multi_read(&self, reads: Vec<ReadOp>) -> Call<Vec<MultiResult>> {
        let absolute = |read| match read {
            ReadOp::GetChildren { path } => {
                self.absolute(&path).map(|path| ReadOp::GetChildren { path })
            }
            ReadOp::GetData { path } => self.absolute(&path).map(|path| ReadOp::GetData { path }),
        };
        let reads: Result<Vec<_>, _> = reads.into_iter().map(absolute).collect();
        self.call(reads.map(Request::MultiRead), |reply, _| match reply {
            Reply::MultiRead(results) => Some(results),
            _ => None,
        })
    }

    /// The identities the servers know this connection by.
    pub fn who_am_i(&self) -> Call<Vec<ClientInfo>> {
        self.call(Ok(Request::WhoAmI), |reply, _| match reply {
            Reply::WhoAmI(infos) => Some(infos),
            _ => None,
        })
    }
}

pub(super) fn read_exists(reply: Reply, _: &str) -> Option<Option<Stat>> {
    match reply {
        Reply::Exists(stat) => Some(Some(stat)),
        _ => None,
    }
}

pub(super) fn read_data(reply: Reply, _: &str) -> Option<Node> {
    match reply {
        Reply::GetData { data, stat } => Some(Node { data: data.unwrap_or_default(), stat }),
        _ => None,
    }
}

pub(super) fn read_children(reply: Reply, _: &str) -> Option<Vec<String>> {
    match reply {
        Reply::GetChildren(children) => Some(children),
        _ => None,
    }
}
