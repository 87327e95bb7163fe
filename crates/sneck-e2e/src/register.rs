//! The guarded resource: a register in a file that checks fencing tokens.

use std::fs;
use std::path::{Path, PathBuf};

/// A register that takes a write only if its token is not smaller than the largest it has seen.
///
/// It relies on the lock for exclusion, as a real resource would on its own serialisation: reading and
/// writing it at the same time from two processes loses updates, which is how tests notice.
#[derive(Debug)]
pub struct Register(PathBuf);

impl Register {
    /// The register in this file; empty until it is written.
    pub fn at(file: impl AsRef<Path>) -> Self {
        Register(file.as_ref().to_owned())
    }

    /// The largest token and the value last written; zeros at first.
    pub fn read(&self) -> (u64, u64) {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(|word| word.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// Writes a value.
    ///
    /// # Errors
    /// When the token is smaller than one seen before; the text names both.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write(&self, token: u64, value: u64) -> Result<(), String> {
        let (largest, _) = self.read();
        if token < largest {
            return Err(format!("token {token} is smaller than {largest}"));
        }
        // Renaming, so that a process killed in between leaves the old value or the new one.
        let fresh = self.0.with_extension(format!("{token}-{}", std::process::id()));
        fs::write(&fresh, format!("{token} {value}\n")).expect("the register's folder is writable");
        fs::rename(&fresh, &self.0).expect("the register's folder is writable");
        Ok(())
    }
}
