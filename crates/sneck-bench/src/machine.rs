//! Where it was measured: without that a figure says nothing.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// Versions and the machine, without its name. `server` is what the locks are on, with its release.
pub(crate) fn describe(server: &str) -> Value {
    let uname = rustix::system::uname();
    json!({
        "sneck": env!("CARGO_PKG_VERSION"),
        "server": server,
        "java": first_line("java", &["-version"]),
        "rustc": first_line("rustc", &["--version"]),
        "system": format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
        "processor": processor(),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "load_before": load(),
    })
}

/// The load averages over 1, 5 and 15 minutes, as the system has them.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = info.lines().find_map(|line| line.strip_prefix("model name"));
    named.map_or_else(String::new, |name| name.trim_start_matches([' ', '\t', ':']).to_owned())
}

/// Java tells its version on standard error.
fn first_line(program: &str, args: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(args).output() else { return String::new() };
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}
