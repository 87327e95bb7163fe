//! `cargo xtask tidy`: rules of the project that no compiler knows.

mod acceptance;
mod arrows;
mod examples;
mod interop;
mod sources;

use crate::talk::say;

/// Checks everything and says each offence.
pub(crate) fn run() -> bool {
    let offences = offences();
    for offence in &offences {
        say(offence);
    }
    offences.is_empty()
}

fn offences() -> Vec<String> {
    let checks = [
        sources::check(),
        arrows::check(),
        acceptance::check(),
        interop::check(),
        examples::check(),
    ];
    let told = |check: Result<Vec<String>, String>| check.unwrap_or_else(|error| vec![error]);
    checks.into_iter().flat_map(told).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workspace_is_tidy() {
        let offences = super::offences();
        assert!(offences.is_empty(), "{}", offences.join("\n"));
    }
}
