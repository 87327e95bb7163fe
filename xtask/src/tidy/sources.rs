//! The rules for each source file.

use std::path::{Path, PathBuf};

use crate::workspace::root;

/// A file that needs more lines holds more than one noun.
const LINES_MAX: usize = 900;

/// Left-overs that must not be merged. Each is put together here, lest this file offend.
const LEFT_OVERS: [&str; 4] = [
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("#[ig", "nore"),
    concat!("FIX", "ME"),
];

/// Says each offence of each Rust file in the workspace.
pub(super) fn check() -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    for folder in ["crates", "xtask"] {
        collect(&root().join(folder), &mut files)?;
    }
    files.sort();
    let mut offences = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let name = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        offences.extend(offences_in(&name, &text));
    }
    Ok(offences)
}

/// All files of a folder, one after the other.
pub(super) fn text_of(folder: &str) -> Result<String, String> {
    let told = |error: std::io::Error| format!("{folder}: {error}");
    let mut text = String::new();
    for entry in std::fs::read_dir(root().join(folder)).map_err(told)? {
        let path = entry.map_err(told)?.path();
        text += &match path.is_dir() {
            true => text_of(&path.to_string_lossy())?,
            false => std::fs::read_to_string(path).map_err(told)?,
        };
    }
    Ok(text)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.is_dir() {
            // A crate built by itself has a target folder of its own.
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn offences_in(name: &str, text: &str) -> Vec<String> {
    let mut offences = Vec::new();
    if !text.starts_with("//! ") {
        offences.push(format!("{name}: does not open with `//!` and what it is for"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        offences.push(format!("{name}: {lines} lines, {LINES_MAX} are allowed"));
    }
    for (number, line) in text.lines().enumerate() {
        for left_over in LEFT_OVERS.iter().filter(|left_over| line.contains(**left_over)) {
            offences.push(format!("{name}:{}: `{left_over}`", number + 1));
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_file_is_fine() {
        assert!(offences_in("a.rs", "//! A thing.\n\nfn main() {}\n").is_empty());
    }

    #[test]
    fn each_rule_has_a_case() {
        let undocumented = offences_in("a.rs", "fn main() {}\n");
        assert!(undocumented[0].contains("a.rs: does not open"), "{undocumented:?}");
        let long = offences_in("a.rs", &"//! A thing.\n".repeat(LINES_MAX + 1));
        assert!(long[0].contains("901 lines"), "{long:?}");
        for left_over in LEFT_OVERS {
            let left = offences_in("a.rs", &format!("//! A thing.\n{left_over}\n"));
            assert_eq!(left.len(), 1, "{left:?}");
            assert!(left[0].starts_with("a.rs:2: "), "{left:?}");
        }
    }
}
