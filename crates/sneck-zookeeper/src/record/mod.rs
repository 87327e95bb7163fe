//! Records on ZooKeeper: persistent nodes, each beside a node that names its last write.

mod path;
mod store;
mod watching;

pub(crate) use path::FOLDER;
