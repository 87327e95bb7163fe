//! A connection between a process and the server.

/// A connection between a process and the server, both ways.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) client: usize,
    /// To which of the servers.
    pub(crate) server: usize,
    pub(crate) up: Way,
    pub(crate) down: Way,
    /// Nothing arrives any more, and both ends are told so.
    pub(crate) broken: bool,
}

/// One direction of a connection. What is sent in it arrives in order.
#[derive(Debug, Default)]
pub(crate) struct Way {
    last_ms: u64,
    /// Nothing arrives any more, and nobody is told.
    pub(crate) swallows: bool,
}

impl Wire {
    pub(crate) fn new(client: usize, server: usize) -> Self {
        Wire { client, server, up: Way::default(), down: Way::default(), broken: false }
    }

    /// From now on a direction swallows what is sent in it.
    pub(crate) fn swallow(&mut self, up: bool) {
        let way = if up { &mut self.up } else { &mut self.down };
        way.swallows = true;
    }
}

impl Way {
    /// When something arrives that would arrive at this time if nothing were before it.
    pub(crate) fn arrival(&mut self, at_ms: u64) -> u64 {
        self.last_ms = self.last_ms.max(at_ms);
        self.last_ms
    }
}
