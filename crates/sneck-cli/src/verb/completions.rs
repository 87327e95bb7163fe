//! `sneck completions`: a script for a shell.

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Failure;
use crate::printer::Printer;
use clap::CommandFactory;

/// Prints the completion script.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn completions(args: &CompletionsArgs, printer: &Printer) -> Result<u8, Failure> {
    // Into memory first: the generator panics when its output is a pipe that breaks.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sneck", &mut script);
    printer.raw_data(&script)?;
    Ok(0)
}
