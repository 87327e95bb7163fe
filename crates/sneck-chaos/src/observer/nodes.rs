//! Lines of nodes: read as they are, past the library.

use sneck::zookeeper::Session;

use super::{EVERY, Sight, Whose, observed};
use crate::servers::ROOT;

/// Looks until the session is over.
pub(super) async fn look(
    session: &Session,
    sight: &mut Sight,
    whose: &Whose,
) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    // Another server may be behind what was seen before.
    session.sync("/").await.map_err(|error| told(&error))?;
    loop {
        for name in observed() {
            let parent = format!("{ROOT}/{name}");
            let children = match session.get_children(&parent).await {
                Ok(children) => children,
                Err(error) if error.code().is_some() && !error.may_have_been_applied() => {
                    Vec::new()
                }
                Err(error) => return Err(told(&error)),
            };
            let paths: Vec<String> =
                children.iter().map(|child| format!("{parent}/{child}")).collect();
            sight.keep_only(name, &paths, whose)?;
            for path in paths {
                if sight.has(&path) {
                    continue;
                }
                // One that is gone meanwhile has made nobody wait for long.
                let Ok(node) = session.get_data(&path).await else { continue };
                let Some(attempt) = whose.attempt(name, &node.data, &node.stat) else { continue };
                let number = u64::try_from(node.stat.czxid).unwrap_or_default();
                sight.see_beside_others(name, number, attempt, path, whose)?;
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}
