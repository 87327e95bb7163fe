//! Lines as the library shows them, of stores where they are no nodes.

use sneck::{Error, Locks};

use super::{EVERY, Sight, Whose, attempt, observed};

/// Looks until the store does not answer.
///
/// Places are numbered as they come into sight, those further ahead first: what a store calls them does not
/// say who came first, and a line shows it.
pub(super) async fn look(locks: &Locks, sight: &mut Sight) -> Result<(), String> {
    let told = |error: Error| error.to_string();
    loop {
        for name in observed() {
            let line = locks.line(name).await.map_err(told)?;
            let notes = line.iter().filter_map(|contender| {
                Some((attempt(contender.caller.as_ref()?.note.as_bytes())?, &contender.place))
            });
            // Somebody whose place was forgotten takes another under the same claim, for the same attempt.
            let there: Vec<(u64, String)> = notes
                .map(|(attempt, place)| (attempt, format!("{name}/{attempt}/{place}")))
                .collect();
            let paths: Vec<String> = there.iter().map(|(_, path)| path.clone()).collect();
            sight.keep_only(name, &paths, &Whose::OfNotes)?;
            for (attempt, path) in there {
                if !sight.has(&path) {
                    let number = sight.next_number();
                    sight.see(name, number, attempt, path, &Whose::OfNotes)?;
                }
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}
