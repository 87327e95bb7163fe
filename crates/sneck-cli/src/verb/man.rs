//! `sneck man`: manual pages.

use crate::args::{Cli, ManArgs};
use crate::failure::Failure;
use crate::printer::Printer;
use clap::CommandFactory;
use clap_mangen::Man;
use std::fs;

/// Prints the manual page of sneck, or writes all pages into a directory.
///
/// # Errors
/// When that cannot be written.
pub(crate) fn man(args: &ManArgs, printer: &Printer) -> Result<u8, Failure> {
    match &args.dir {
        None => {
            let mut page = Vec::new();
            Man::new(Cli::command())
                .render(&mut page)
                .map_err(|error| Failure::system("cannot make the manual page", error))?;
            printer.raw_data(&page)?;
        }
        Some(dir) => fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
            .map_err(|error| Failure::system(&format!("cannot write into {dir:?}"), error))?,
    }
    Ok(0)
}
