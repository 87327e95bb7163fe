//! What an uncontended lock and its release put on the wire, counted by a proxy in a run of its own.

use std::io;

use serde_json::{Value, json};
use sneck_testkit::proxy::{Counts, Proxy};
use sneck_wire::OpCode;

use crate::client::{Client, Kind};
use crate::scene::Scene;

const LOCKS: u64 = 1_000;

/// What passed during [`LOCKS`] locks, without pings, whose number is a matter of time.
#[derive(Debug)]
pub(crate) struct Traffic {
    counts: Counts,
}

/// Counts.
pub(crate) fn measure(scene: &Scene) -> io::Result<Traffic> {
    let proxy = Proxy::start(scene.server.addr(0))?;
    let client = Client::connect(proxy.addr(), Kind::TwoWorkers)?;
    let lock = |times: u64| {
        let mutex = client.locks.mutex("latency");
        client.run(async move {
            for _ in 0..times {
                mutex.lock().await?.unlock().await?;
            }
            Ok(())
        })
    };
    // The first one may have to make the nodes above.
    lock(1)?;
    proxy.forget_traffic();
    lock(LOCKS)?;
    Ok(Traffic { counts: proxy.counts() })
}

impl Traffic {
    /// Requests but pings.
    pub(crate) fn requests_each(&self) -> f64 {
        self.counts.requests_but_pings() as f64 / LOCKS as f64
    }

    /// Bytes to the server and back, with the lengths of the frames and with pings, if any.
    pub(crate) fn bytes_each(&self) -> (f64, f64) {
        let each = |bytes: u64| bytes as f64 / LOCKS as f64;
        (each(self.counts.request_bytes), each(self.counts.reply_bytes))
    }

    /// How many of which.
    pub(crate) fn by_op(&self) -> Vec<(&'static str, u64)> {
        let counted = OpCode::ALL.iter().map(|op| (op.name(), self.counts.requests(*op)));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn locks(&self) -> u64 {
        LOCKS
    }

    pub(crate) fn to_json(&self) -> Value {
        let (up, down) = self.bytes_each();
        json!({
            "locks": LOCKS,
            "requests": self.counts.requests_but_pings(),
            "requests_each": self.requests_each(),
            "by_operation": self.by_op().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "events": self.counts.events,
            "bytes_to_the_server_each": up,
            "bytes_to_the_client_each": down,
        })
    }
}
