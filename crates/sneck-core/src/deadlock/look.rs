//! Looking for circles of waiting in a store that does not stand still.

use super::graph::{Deadlock, Lines, circles, same_place, stuck};
use crate::backend::Survey;
use crate::contender::Contender;
use crate::error::Error;
use crate::name::Name;

/// What a look for circles of waiting has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deadlocks {
    /// The circles.
    pub found: Vec<Deadlock>,
    /// Holders for whom somebody waits, and who do not say what else they wait for: other clients of
    /// the store. A circle that leads through one of them is not seen.
    pub unknown: Vec<(Name, Contender)>,
}

/// Looks for circles of waiting among all locks of a store.
///
/// The lines are read one after the other, while others come and go, so that a circle may seem to be
/// where there never was one. What seems to be one is therefore looked at twice: a place goes one way,
/// from waiting to held to gone, so whatever is the same in both looks was so at every moment between
/// them, all of it together.
///
/// # Errors
/// When the store cannot be asked, or refuses.
///
/// # Cancel safety
/// Cancel safe.
pub async fn deadlocks(survey: &dyn Survey) -> Result<Deadlocks, Error> {
    let lines = survey.lines().await?;
    let mut again = Lines::new();
    for name in stuck(&lines) {
        let unchanged = unchanged(&lines[name], &survey.line(name).await?);
        again.insert(name.clone(), unchanged);
    }
    Ok(Deadlocks { found: circles(&again), unknown: unknown(&lines) })
}

/// The places that were as they are.
fn unchanged(before: &[Contender], after: &[Contender]) -> Vec<Contender> {
    let was =
        |now: &&Contender| before.iter().any(|then| same_place(then, now) && then.held == now.held);
    after.iter().filter(was).cloned().collect()
}

fn unknown(lines: &Lines) -> Vec<(Name, Contender)> {
    let waited_for = lines.iter().filter(|(_, line)| line.iter().any(|place| !place.held));
    let silent = |place: &&Contender| place.held && place.caller.is_none();
    waited_for
        .flat_map(|(name, line)| {
            line.iter().filter(silent).map(|place| (name.clone(), place.clone()))
        })
        .collect()
}
