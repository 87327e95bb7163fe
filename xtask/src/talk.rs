//! Standard error is for people, standard output for what another program reads.

use std::fmt::Display;

/// Says something to the person at the terminal.
#[expect(clippy::print_stderr, reason = "the one place where xtask talks")]
pub(crate) fn say(what: impl Display) {
    eprintln!("{what}");
}

/// Hands over a result.
#[expect(clippy::print_stdout, reason = "the one place where xtask answers")]
pub(crate) fn answer(what: impl Display) {
    println!("{what}");
}
