//! Standard error is for people who wait, standard output for the result.

use std::fmt::Display;

/// Says how far it is.
#[expect(clippy::print_stderr, reason = "the one place where the bench talks")]
pub(crate) fn say(what: impl Display) {
    eprintln!("{what}");
}

/// Hands over the result.
#[expect(clippy::print_stdout, reason = "the one place where the bench answers")]
pub(crate) fn answer(what: impl Display) {
    println!("{what}");
}
