//! An embedded single-node server that speaks ZooKeeper's client protocol.
