//! The Java side: finding a JVM, and fetching jars once.
//!
//! The jars come from Maven's repositories by lists in this crate and stay in the target folder, so that
//! after the first time no network is needed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::skip::{StartError, Unavailable};

/// The workspace's target folder, where everything fetched and generated stays.
pub(crate) fn target_folder() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
    }
}

/// This crate's Java folder.
pub(crate) fn java_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("java")
}

/// The list of servers and of peers in their lines.
pub(crate) const SERVERS: &str = "pom.xml";

/// A set of jars: a list, or a profile of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jars {
    /// The folder's name, with the version in it.
    pub(crate) name: &'static str,
    /// The list, in this crate's Java folder.
    pub(crate) list: &'static str,
    /// Maven's arguments that select the profile.
    pub(crate) select: &'static [&'static str],
    /// The backend that is untestable without them.
    pub(crate) backend: &'static str,
}

impl Jars {
    /// The folder of the jars, fetched if need be. Blocks; takes seconds the first time.
    ///
    /// # Errors
    ///
    /// [`StartError::Unavailable`] when Java or Maven is missing or Maven cannot fetch.
    pub(crate) fn obtain(&self) -> Result<PathBuf, StartError> {
        require(self.backend, "java", &["-version"])?;
        let servers = target_folder().join("servers");
        std::fs::create_dir_all(&servers)?;
        let folder = servers.canonicalize()?.join(self.name);
        let _lock = lock(&servers.join(format!("{}.lock", self.name)))?;
        let pom = std::fs::read(java_folder().join(self.list))?;
        // The list the jars were fetched by lies beside them, so that a changed list fetches anew.
        if std::fs::read(folder.join("pom.xml")).ok().as_ref() != Some(&pom) {
            self.fetch(&folder, &pom)?;
        }
        Ok(folder.join("lib"))
    }

    fn fetch(&self, folder: &Path, pom: &[u8]) -> Result<(), StartError> {
        require(self.backend, "mvn", &["-version"])?;
        let fresh = folder.with_extension("fetching");
        remove(&fresh)?;
        let output = Command::new("mvn")
            .args(["-B", "-q", "-ntp", "-f"])
            .arg(java_folder().join(self.list))
            .args(self.select)
            .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
            .arg(prefixed("-DoutputDirectory=", fresh.join("lib")))
            .output()?;
        if !output.status.success() {
            let reason = format!("mvn cannot fetch {}: {}", self.name, first_error(&output));
            return Err(Unavailable { backend: self.backend, reason }.into());
        }
        std::fs::write(fresh.join("pom.xml"), pom)?;
        remove(folder)?;
        std::fs::rename(&fresh, folder)?;
        Ok(())
    }

    /// The jars with a program of ours, compiled if need be, as Java takes them: `class` with its package,
    /// into the folder `name`.
    ///
    /// # Errors
    ///
    /// As [`Jars::obtain`]; [`StartError::Failed`] when a compiler refuses our own source, which is no lack
    /// of this machine's.
    pub(crate) fn with_program(&self, class: &str, name: &str) -> Result<OsString, StartError> {
        let lib = self.obtain()?;
        let servers = target_folder().join("servers").canonicalize()?;
        let classes = servers.join(name);
        let _lock = lock(&servers.join(format!("{name}.lock")))?;
        let source = java_folder().join("src").join(class.replace('.', "/")).with_extension("java");
        let text = std::fs::read(&source)?;
        // What was compiled lies beside the classes, so that a changed source is compiled anew.
        let compiled = classes.join(source.file_name().unwrap_or_default());
        if std::fs::read(&compiled).ok().as_ref() != Some(&text) {
            self.compile(&source, &lib, &classes)?;
            std::fs::write(&compiled, text)?;
        }
        let mut class_path = classes.into_os_string();
        class_path.push(":");
        class_path.push(lib.join("*"));
        Ok(class_path)
    }

    fn compile(&self, source: &Path, lib: &Path, classes: &Path) -> Result<(), StartError> {
        require(self.backend, "javac", &["-version"])?;
        remove(classes)?;
        let output = Command::new("javac")
            .args(["--release", "11", "-cp"])
            .arg(lib.join("*"))
            .arg("-d")
            .arg(classes)
            .arg(source)
            .output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(StartError::Failed(format!("javac: {}", first_error(&output)))),
        }
    }
}

/// Checks that a program runs, and says which one is missing where it does not.
pub(crate) fn require(
    backend: &'static str,
    program: &str,
    args: &[&str],
) -> Result<(), Unavailable> {
    let reason = match Command::new(program).args(args).output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => format!("`{program}` does not run: {}", first_error(&output)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => format!("no `{program}` on PATH"),
        Err(error) => format!("`{program}` does not run: {error}"),
    };
    Err(Unavailable { backend, reason })
}

/// Holds other test processes off while one of them fetches or compiles, until dropped.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    file.lock()?;
    Ok(file)
}

pub(crate) fn prefixed(prefix: &str, path: impl AsRef<OsStr>) -> OsString {
    let mut argument = OsString::from(prefix);
    argument.push(path);
    argument
}

/// Removes a folder that may not be there.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The first line that tells something; Maven puts its errors on standard output.
pub(crate) fn first_error(output: &Output) -> String {
    let text = [&output.stderr[..], &output.stdout[..]].concat();
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let all: Vec<&str> = lines.by_ref().collect();
    let error = all.iter().find(|line| line.contains("[ERROR]")).or(all.first());
    error.map_or_else(|| output.status.to_string(), |line| (*line).to_owned())
}
