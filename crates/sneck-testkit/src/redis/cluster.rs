//! Making servers a cluster, and moving slots between them.

use super::resp::Reply;
use super::servers::Servers;

const SLOTS: usize = 16_384;

/// Gives the primaries all slots, introduces everybody, and waits until the cluster serves.
pub(super) async fn join(servers: &Servers) -> Result<(), String> {
    let primaries = servers.builder.primaries;
    let all = servers.bus_ports.len();
    for primary in 0..primaries {
        let first = (primary * SLOTS / primaries).to_string();
        let last = ((primary + 1) * SLOTS / primaries - 1).to_string();
        settle(servers.ask(primary, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await)?;
    }
    let port = servers.addr(0).port().to_string();
    let bus = servers.bus_ports[0].number().to_string();
    for server in 1..all {
        settle(servers.ask(server, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await)?;
    }
    servers
        .wait_for("servers that know each other", async || {
            let mut knows = 0;
            for server in 0..all {
                let nodes = servers.ask(server, &["CLUSTER", "NODES"]).await;
                let known = nodes.text().lines().filter(|line| !line.contains("handshake"));
                knows += usize::from(known.count() == all);
            }
            knows == all
        })
        .await?;
    for replica in primaries..all {
        let primary = servers.node_id((replica - primaries) % primaries).await;
        settle(servers.ask(replica, &["CLUSTER", "REPLICATE", &primary]).await)?;
    }
    servers
        .wait_for("a cluster that serves", async || {
            let mut serve = 0;
            for server in 0..all {
                let info = servers.ask(server, &["CLUSTER", "INFO"]).await;
                serve += usize::from(info.text().contains("cluster_state:ok"));
            }
            serve == all
        })
        .await
}

fn settle(reply: Reply) -> Result<(), String> {
    match reply {
        Reply::Error(error) => Err(error),
        _ => Ok(()),
    }
}

impl Servers {
    /// What a server of a cluster calls itself.
    pub async fn node_id(&self, server: usize) -> String {
        self.ask(server, &["CLUSTER", "MYID"]).await.text().to_owned()
    }

    /// The primary that has the slot of a key.
    pub async fn owner(&self, key: &str) -> usize {
        let slot = self.ask(0, &["CLUSTER", "KEYSLOT", key]).await.int();
        let ranges = self.ask(0, &["CLUSTER", "SLOTS"]).await;
        let range = ranges.list().iter().find(|range| {
            let bounds = range.list();
            (bounds[0].int()..=bounds[1].int()).contains(&slot)
        });
        let port = range.map(|range| range.list()[2].list()[1].int());
        let is_it = |server: &usize| Some(i64::from(self.addr(*server).port())) == port;
        (0..self.len()).find(is_it).expect("every slot has a primary")
    }

    /// Moves the slot of a key, with all that is in it, to another primary while clients go on.
    ///
    /// # Panics
    ///
    /// When a server refuses.
    pub async fn move_slot(&self, key: &str, to: usize) {
        let from = self.owner(key).await;
        let slot = self.ask(0, &["CLUSTER", "KEYSLOT", key]).await.int().to_string();
        let (from_id, to_id) = (self.node_id(from).await, self.node_id(to).await);
        let port = self.addr(to).port().to_string();
        let must = async |server: usize, command: &[&str]| {
            let reply = self.ask(server, command).await;
            assert!(!matches!(reply, Reply::Error(_)), "{command:?}: {reply:?}");
            reply
        };
        must(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
        must(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;
        loop {
            let keys = must(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await;
            let keys: Vec<&str> = keys.list().iter().map(Reply::text).collect();
            if keys.is_empty() {
                break;
            }
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            migrate.extend(keys);
            must(from, &migrate).await;
        }
        // The one that gets it first, so that there is no moment in which nobody has it.
        must(to, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
        for server in (0..self.builder.primaries).filter(|server| *server != to) {
            must(server, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
        }
    }
}
