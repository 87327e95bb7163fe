//! Who this process is, for others in line to see.

use sneck_core::Caller;
use std::time::SystemTime;

/// This process: its machine, user and command line.
pub(crate) fn of_this_process() -> Caller {
    let uname = rustix::system::uname();
    Caller {
        host: uname.nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        user: user(),
        command: program(),
        ..Caller::anonymous()
    }
}

/// The program's name without its folder. Not its arguments: they may hold secrets, and every client of
/// the store can read this.
fn program() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&program).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn user() -> String {
    let named = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    named.unwrap_or_else(|| format!("uid:{}", rustix::process::getuid().as_raw()))
}

/// A time of day, for people.
pub(crate) fn since(now: SystemTime) -> String {
    humantime::format_rfc3339_seconds(now).to_string()
}
