//! Where the workspace is, and how to run cargo in it.

use std::path::Path;
use std::process::Command;

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace's folder")
}

/// Cargo, in the workspace, as if called from a shell.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // What `cargo run` told us about ourselves: build scripts that look at it would run again
    // each time the developer changes between `cargo` and `cargo xtask`.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|own| text.starts_with(own)) {
            cargo.env_remove(&name);
        }
    }
    cargo
}
