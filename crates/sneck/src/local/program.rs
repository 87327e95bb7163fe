//! The program that is the shared server, and how it is started.

use super::Trouble;
use super::folder::Folder;
use sneck_core::ErrorKind;
use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = "sneck";

/// Starts a server for this folder, and returns when it serves. That another process has done so
/// meanwhile is as good.
///
/// What is started directly is a helper, which starts the server and ends: the server is nobody's child,
/// and what it says when it cannot start comes back this way. A thread waits for the helper, so that it
/// is not left behind if this future is dropped.
pub(super) async fn start(folder: &Folder, program: Option<PathBuf>) -> Result<(), Trouble> {
    let program = match program {
        Some(program) => program,
        None => find().ok_or_else(none_found)?,
    };
    let mut command = command(&program, folder);
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    let output = ended.map_err(io::Error::other).flatten().map_err(|error| {
        let text = format!("cannot run {}: {error}", program.display());
        Trouble::new(ErrorKind::Unavailable, text, HINT)
    })?;
    match output.status.success() {
        true => Ok(()),
        false => Err(not_started(&program, &output)),
    }
}

fn command(program: &Path, folder: &Folder) -> Command {
    let mut command = Command::new(program);
    command.arg0(PROGRAM).args(["serve", "--detach", "--local"]).arg(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // What is typed at our terminal is not for it, and it keeps no folder of ours busy.
    command.process_group(0).current_dir("/");
    command
}

/// The program beside this one, or else in `$PATH`.
fn find() -> Option<PathBuf> {
    let own = env::current_exe().ok();
    let beside = own.as_deref().into_iter().flat_map(beside);
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).filter(|folder| folder.is_absolute());
    beside.chain(in_path).map(|folder| folder.join(PROGRAM)).find(|path| is_program(path))
}

/// The folders beside a program. What cargo builds as a test or an example is one below the rest.
fn beside(program: &Path) -> Vec<PathBuf> {
    let Some(folder) = program.parent() else { return Vec::new() };
    let mut folders = vec![folder.to_owned()];
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folders.extend(folder.parent().map(Path::to_owned));
    }
    folders
}

fn is_program(path: &Path) -> bool {
    const EXECUTE: u32 = 0o111;
    let is_one = |file: fs::Metadata| file.is_file() && file.permissions().mode() & EXECUTE != 0;
    fs::metadata(path).is_ok_and(is_one)
}

const HINT: &str = "install the command line, so that `sneck` is in $PATH; or use embedded:DIR, which \
                    needs no other program, for one process at a time";

fn none_found() -> Trouble {
    let text = "no server runs, and the program `sneck` that could be one was not found";
    Trouble::new(ErrorKind::Refused, text, HINT)
}

/// What the helper has said, and what its exit code means.
fn not_started(program: &Path, output: &Output) -> Trouble {
    let said = String::from_utf8_lossy(&output.stderr);
    let line = |start: &str| said.lines().find_map(|line| line.strip_prefix(start));
    let text = match line("sneck: ") {
        Some(text) => format!("no server could be started: {text}"),
        None => format!("{} was to be a server and ended: {}", program.display(), output.status),
    };
    let hint = line("hint: ").unwrap_or("`sneck serve --local` in a terminal may tell more");
    // The codes are those of the command line.
    match output.status.code() {
        Some(65) => Trouble::new(ErrorKind::Refused, text, hint),
        Some(77) => Trouble::new(ErrorKind::Denied, text, hint),
        Some(64) => {
            let text = format!("{} is a sneck of another version", program.display());
            Trouble::new(ErrorKind::Refused, text, "install the one that belongs to this program")
        }
        _ => Trouble::new(ErrorKind::Unavailable, text, hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn output(code: i32, stderr: &str) -> Output {
        let status = ExitStatus::from_raw(code << 8);
        Output { status, stdout: Vec::new(), stderr: stderr.as_bytes().to_vec() }
    }

    #[test]
    fn what_the_program_says_is_passed_on() {
        for (code, kind) in [
            (65, ErrorKind::Refused),
            (73, ErrorKind::Unavailable),
            (77, ErrorKind::Denied),
            (70, ErrorKind::Unavailable),
        ] {
            let said = output(code, "sneck: the disk is on fire\nhint: water\n");
            let trouble = not_started(Path::new("/bin/sneck"), &said);
            assert_eq!((trouble.kind, trouble.hint.as_str()), (kind, "water"));
            assert!(trouble.text.ends_with(": the disk is on fire"), "{trouble:?}");
        }
        let silent = not_started(Path::new("/bin/sneck"), &output(1, ""));
        assert!(silent.text.contains("/bin/sneck") && silent.text.contains('1'), "{silent:?}");
        let other = not_started(Path::new("/bin/sneck"), &output(64, "error: unexpected"));
        assert!(other.text.contains("another version"), "{other:?}");
    }

    #[test]
    fn programs_are_looked_for_beside_us_and_above_what_cargo_builds() {
        let folders = |path: &str| {
            let folders = beside(Path::new(path));
            folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(folders("/opt/app/bin/app"), ["/opt/app/bin"]);
        assert_eq!(folders("/t/debug/deps/app-1"), ["/t/debug/deps", "/t/debug"]);
        assert_eq!(folders("/t/debug/examples/app"), ["/t/debug/examples", "/t/debug"]);
        assert!(!is_program(Path::new("/")) && !is_program(Path::new("/nonexistent")));
    }
}
