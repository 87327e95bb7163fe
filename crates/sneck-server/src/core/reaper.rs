//! Deletes containers that were left, and nodes whose time to live is over.

use std::time::Duration;

use super::change::{Change, Deed, Txn};
use super::node::{Node, Owner};
use super::{Core, Effects, Now};

/// When to look, and what to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// How often to look.
    pub(crate) every: Duration,
    /// How long a container may wait for its first child.
    pub(crate) unused_for: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), unused_for: Duration::from_secs(300) }
    }
}

/// Nodes that one look may delete. The next look goes on, and requests come in between.
const DELETED_MAX: usize = 1_000;

impl Core {
    /// Looks, if it is time to.
    pub(super) fn reap(&mut self, now: Now, effects: &mut Effects) {
        let every_ms = self.settings.reaper.every.as_millis();
        let before = *self.reaped_at_ms.get_or_insert(now.mono_ms);
        if u128::from(now.mono_ms.saturating_sub(before)) < every_ms {
            return;
        }
        self.reaped_at_ms = Some(now.mono_ms);
        let unused_for = self.settings.reaper.unused_for;
        let over = self.tree.mortal().filter(|(_, node)| is_over(node, now.wall_ms, unused_for));
        let paths: Vec<_> = over.take(DELETED_MAX).map(|(path, _)| path.to_owned()).collect();
        for path in paths {
            let at = self.begin(now);
            let change = Change::Delete { path };
            self.make(&change, at, effects);
            effects.txns.push(Txn { at, deed: Deed::Changes(vec![change]) });
        }
    }
}

fn is_over(node: &Node, wall_ms: i64, unused_for: Duration) -> bool {
    let age_ms = wall_ms.saturating_sub(node.mtime);
    let over = match node.owner {
        Owner::Container if node.creates > 0 => true,
        Owner::Container => i128::from(age_ms) > unused_for.as_millis().cast_signed(),
        Owner::Ttl(ttl_ms) => age_ms > ttl_ms,
        Owner::Nobody | Owner::Session(_) => false,
    };
    over && node.children.is_empty()
}
