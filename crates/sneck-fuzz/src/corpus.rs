//! The inputs in the repository: one file each, in a folder for each target.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the inputs of a target are.
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The inputs of a target with the names of their files, ordered by these.
///
/// # Errors
///
/// Of the file system, and when there is no input.
pub fn inputs(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder(target))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        inputs.push((name, fs::read(entry.path())?));
    }
    if inputs.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("no corpus for {target}")));
    }
    inputs.sort();
    Ok(inputs)
}
