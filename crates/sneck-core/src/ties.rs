//! What ties a claim to other claims: what is held while it waits.

use crate::claim::ClaimId;
use std::fmt::Write;

/// What ties a claim to other claims, so that waiting in a circle can be seen.
///
/// It is written beside the claim in the store, because only the claim's owner knows. Ties are to
/// claims, and not to processes, sessions, or tasks: two tasks of one process hold nothing in common,
/// and a guard moves from one task to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ties {
    /// The claims that stay held for as long as this one waits. Of more than [`Ties::HOLDS_MAX`] the
    /// first are left out.
    pub holds: Vec<ClaimId>,
    /// What the claims on several locks that are taken at once have in common: the id of the first.
    pub group: Option<ClaimId>,
    /// Whether the claim gives up when it waits in a circle.
    pub yields: bool,
}

impl Ties {
    /// The most claims that one claim can say it holds.
    pub const HOLDS_MAX: usize = 16;

    /// Whether this is what a claim without any says.
    pub fn is_none(&self) -> bool {
        self.holds.is_empty() && self.group.is_none() && !self.yields
    }

    /// Appends them as fields to the line of text beside the claim.
    pub(crate) fn put(&self, text: &mut String) {
        let first = self.holds.len().saturating_sub(Self::HOLDS_MAX);
        for (at, held) in self.holds[first..].iter().enumerate() {
            text.push_str(if at == 0 { " holds=" } else { "," });
            let _ = write!(text, "{held}");
        }
        if let Some(group) = self.group {
            let _ = write!(text, " group={group}");
        }
        if self.yields {
            text.push_str(" yields=yes");
        }
    }

    /// Takes in a field of that line. What cannot be read ties nothing.
    pub(crate) fn read(&mut self, key: &str, value: &str) {
        match key {
            "holds" => {
                let ids = value.split(',').take(Self::HOLDS_MAX);
                self.holds = ids.filter_map(|id| id.parse().ok()).collect();
            }
            "group" => self.group = value.parse().ok(),
            "yields" => self.yields = value == "yes",
            _ => {}
        }
    }
}
