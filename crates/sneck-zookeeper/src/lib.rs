//! sneck-zookeeper
