//! `sneck serve --detach`: sees to it that a server for `local:` runs in the background.
//!
//! The process that asks for it may be anybody's: a job of a script, a library in the middle of something
//! else. So the server is the child of this process, which ends, and what keeps it from starting is said
//! by this process, in words and by exit code.

use crate::args::ServeArgs;
use crate::background;
use crate::exit;
use crate::failure::Failure;
use crate::printer::Printer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sneck::local::Local;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take until it serves. Reading its data takes most of that.
const START_MAX: Duration = Duration::from_secs(30);
/// How long to wait for one that is about to serve, or to end.
const RETRY: Duration = Duration::from_millis(5);
/// How long to wait for no sessions unless the command line says.
const IDLE: Duration = Duration::from_secs(600);

/// What of the environment a server gets to keep, for it outlives whoever has started it, and what else
/// there is may be secret.
const KEPT: [&str; 6] = ["HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "RUST_BACKTRACE", "TZ"];

/// Returns once a server serves, be it one that was started here or another.
///
/// # Errors
/// When none does: what it has said, with its exit code.
pub(crate) fn detach(args: &ServeArgs, local: &Local, printer: &Printer) -> Result<u8, Failure> {
    if args.speaks_tls() {
        let text = "--detach is for processes of this machine, which need no TLS";
        return Err(Failure::usage(text).with_hint("leave --detach out, or --tls-cert"));
    }
    let deadline = Instant::now() + START_MAX;
    local.prepare()?;
    loop {
        if UnixStream::connect(local.socket()).is_ok() {
            printer.detail("a server runs already");
            break;
        }
        match attempt(args, local, deadline)? {
            Attempt::Serves(pid) => {
                printer.detail(&format!("process {pid} serves"));
                break;
            }
            Attempt::Occupied(failure) if Instant::now() >= deadline => return Err(failure),
            // Somebody else has the folder: one that is about to serve, or one that is about to end.
            Attempt::Occupied(_) => std::thread::sleep(RETRY),
        }
    }
    printer.data(&local.url())?;
    Ok(0)
}

enum Attempt {
    Serves(u32),
    Occupied(Failure),
}

fn attempt(args: &ServeArgs, local: &Local, deadline: Instant) -> Result<Attempt, Failure> {
    let mut child = command(args, local)
        .spawn()
        .map_err(|error| Failure::system("cannot start a process", error))?;
    let serves = match child.stdout.take() {
        Some(mut stdout) => has_spoken(&mut stdout, deadline),
        None => Some(false),
    };
    match serves {
        Some(true) => Ok(Attempt::Serves(child.id())),
        Some(false) => {
            let failure = ended(child)?;
            match failure.code() == exit::CONFLICT {
                true => Ok(Attempt::Occupied(failure.with_code(exit::CANNOT_HAVE))),
                false => Err(failure),
            }
        }
        None => {
            let text = format!("process {} does not serve yet, after 30 s", child.id());
            let hint = format!("its log may say why: {}", local.log().display());
            Err(Failure::new(exit::UNAVAILABLE, text).with_hint(hint))
        }
    }
}

fn command(args: &ServeArgs, local: &Local) -> Command {
    let mut command = Command::new(own_program());
    command.arg0("sneck").args(["serve", "--background", "--local"]).arg(local.folder());
    let idle = args.exit_when_idle.unwrap_or(IDLE);
    command.args(["--exit-when-idle", &format!("{}ms", idle.as_millis())]);
    command.args(["--tick", &format!("{}ms", args.tick.as_millis())]);
    for address in &args.listen {
        command.args(["--listen", &address.to_string()]);
    }
    command.env_clear().envs(kept_environment());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.current_dir("/");
    command
}

/// What of the environment a process gets to keep that is started beside us.
pub(crate) fn kept_environment() -> impl Iterator<Item = (OsString, OsString)> {
    KEPT.into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
}

/// Whether the server says a word before it closes its output; `None` if it does neither in time.
fn has_spoken(stdout: &mut ChildStdout, deadline: Instant) -> Option<bool> {
    let left = deadline.saturating_duration_since(Instant::now()).max(RETRY);
    let left = Timespec::try_from(left).ok()?;
    let mut asked = [PollFd::new(&*stdout, PollFlags::IN)];
    // An interrupted wait is taken for one in vain: signals mean that nobody wants to know any more.
    match poll(&mut asked, Some(&left)) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(matches!(stdout.read(&mut [0; 64]), Ok(1..))),
    }
}

/// What a server has said that has ended.
fn ended(child: Child) -> Result<Failure, Failure> {
    let output = child.wait_with_output();
    let output = output.map_err(|error| Failure::system("cannot wait for the server", error))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = |start: &str| said.lines().find_map(|line| line.strip_prefix(start));
    let code = output.status.code().and_then(|code| u8::try_from(code).ok());
    let text = line("sneck: ").map(str::to_owned);
    let text = text.unwrap_or_else(|| format!("the server has ended: {}", output.status));
    let failure = Failure::new(code.filter(|code| *code != 0).unwrap_or(exit::INTERNAL), text);
    Ok(match line("hint: ") {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    })
}

/// Our own program by a path under which it can be told what it is; by the kernel's if its file has
/// been replaced since.
pub(crate) fn own_program() -> PathBuf {
    let path = std::env::current_exe().ok().filter(|path| path.exists());
    path.unwrap_or_else(|| PathBuf::from(background::OWN_PROGRAM))
}
