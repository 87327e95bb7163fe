//! The Python side: a virtual environment that is filled once.
//!
//! The packages come from PyPI by lists in this crate, which have the digest of each, and stay in the
//! target folder, so that after the first time no network is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::jars::{first_error, lock, remove, require, target_folder};
use crate::skip::{StartError, Unavailable};

/// Asks for what an environment is made with, which Debian has in a package of its own.
const ABLE: &str = "\
import sys
sys.version_info >= (3, 11) or sys.exit('Python is older than 3.11')
try: import venv, ensurepip
except ImportError: sys.exit('Python has no venv (Debian: apt-get install python3-venv)')";

/// The folder of what is written in Python.
pub(crate) fn python_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// An environment: a Python with the packages of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Environment {
    /// The folder's name.
    pub(crate) name: &'static str,
    /// The list, in this crate's Python folder.
    pub(crate) list: &'static str,
    /// What can be imported once it is filled.
    pub(crate) package: &'static str,
    /// Who is untestable without it.
    pub(crate) backend: &'static str,
}

impl Environment {
    /// Its interpreter, with all packages there. Blocks; takes seconds the first time.
    ///
    /// # Errors
    ///
    /// [`StartError::Unavailable`] where this machine has no Python that can make an environment, or no
    /// packages and no way to fetch them.
    pub(crate) fn interpreter(&self) -> Result<PathBuf, StartError> {
        let servers = target_folder().join("servers");
        std::fs::create_dir_all(&servers)?;
        let folder = servers.canonicalize()?.join(self.name);
        let _lock = lock(&servers.join(format!("{}.lock", self.name)))?;
        let python = folder.join("bin/python");
        let list = python_folder().join(self.list);
        let wanted = std::fs::read(&list)?;
        let complete = folder.join("requirements.txt");
        // The list that the environment was filled by lies in it, so that a changed list fills it anew,
        // and so does a Python that went away under it.
        let is_there = std::fs::read(&complete).ok().as_ref() == Some(&wanted);
        let import = format!("import {}", self.package);
        if !is_there || require(self.backend, &python.to_string_lossy(), &["-c", &import]).is_err()
        {
            fill(self.backend, &folder, &list)?;
            std::fs::write(&complete, wanted)?;
        }
        Ok(python)
    }
}

fn fill(backend: &'static str, folder: &Path, list: &Path) -> Result<(), StartError> {
    require(backend, "python3", &["-c", ABLE])?;
    remove(folder)?;
    let mut make = Command::new("python3");
    succeed(backend, "python3 cannot make an environment", make.args(["-m", "venv"]).arg(folder))?;
    // Nothing is compiled, nothing is had that the list does not have.
    let mut install = Command::new(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]);
    install.args(["--only-binary", ":all:", "--requirement"]).arg(list);
    succeed(backend, "pip cannot fetch the packages", &mut install)
}

fn succeed(backend: &'static str, what: &str, command: &mut Command) -> Result<(), StartError> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let reason = format!("{what}: {}", first_error(&output));
    Err(Unavailable { backend, reason }.into())
}
