//! The folder of the shared server: where it is, and whether it is ours alone.

use super::Trouble;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use sneck_core::{Error, ErrorKind};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf, absolute};

/// Bytes of a path that a socket can have, the NUL behind it not counted.
const SOCKET_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Names the folder where the URL does not.
const VARIABLE: &str = "SNECK_LOCAL_DIR";

/// What a URL cannot have as it is.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'?').add(b'%').add(b'#').add(b' ');

/// An absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder that a URL names, or the default one.
    pub(super) fn of_url(path: &str) -> Result<Self, Error> {
        match path {
            "" => Folder::at(&default_folder(|name| {
                env::var_os(name).filter(|value| !value.is_empty())
            })?),
            // A path need not be text.
            path => Folder::at(OsStr::from_bytes(&percent_decode_str(path).collect::<Vec<_>>())),
        }
    }

    /// The folder at this path, which need not be there.
    pub(super) fn at(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder =
            absolute(folder.as_ref()).map_err(|error| invalid(format!("no folder: {error}")))?;
        let folder = Folder(folder);
        let length = folder.socket().as_os_str().len();
        if folder.0.as_os_str().as_bytes().contains(&0) {
            return Err(invalid("no folder has a NUL in it"));
        }
        if length > SOCKET_PATH_MAX {
            let text = format!(
                "the path of the socket has {length} bytes, and {SOCKET_PATH_MAX} are possible: {}",
                folder.socket().display()
            );
            return Err(invalid(text));
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(super) fn url(&self) -> String {
        format!("local:{}", percent_encode(self.0.as_os_str().as_bytes(), ESCAPED))
    }

    /// Makes the folder if it is not there, for this user alone.
    pub(super) fn prepare(&self) -> Result<(), Trouble> {
        // What is there is told from what cannot be made.
        self.check()?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    ErrorKind::Denied
                }
                _ => ErrorKind::Unavailable,
            };
            let text = format!("cannot make the folder {}: {error}", self.0.display());
            Trouble::new(kind, text, ELSEWHERE)
        })?;
        self.check()
    }

    /// Refuses a folder in which somebody else could have put a socket. It need not be there.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        let shown = self.0.display();
        let denied = |text, hint| Err(Trouble::new(ErrorKind::Denied, text, hint));
        let found = match fs::metadata(&self.0) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return denied(format!("cannot look at {shown}: {error}"), ELSEWHERE.to_owned());
            }
        };
        let (owner, we) = (found.uid(), rustix::process::geteuid().as_raw());
        if !found.is_dir() {
            return denied(format!("{shown} is no folder"), ELSEWHERE.to_owned());
        }
        if owner != we {
            let text = format!("{shown} is the folder of user {owner}, and we are user {we}");
            return denied(text, ELSEWHERE.to_owned());
        }
        if found.mode() & 0o077 != 0 {
            let text = format!("others have access to the folder {shown}");
            return denied(text, format!("chmod 700 {shown}"));
        }
        Ok(())
    }
}

const ELSEWHERE: &str = "name a folder of your own with local:DIR or $SNECK_LOCAL_DIR";

/// Where such things are kept, as `variable` has it.
fn default_folder(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Error> {
    if let Some(named) = variable(VARIABLE) {
        return Ok(named.into());
    }
    // The XDG specification has relative paths ignored.
    let state = variable("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    match state.or_else(home) {
        Some(state) => Ok(state.join("sneck")),
        None => Err(invalid("there is no $HOME for the folder of local: to be in")),
    }
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, text)
        .with_hint("name a short one with local:DIR or $SNECK_LOCAL_DIR")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_default_is_where_state_belongs() {
        let folder = |set: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            default_folder(variable).map(|path| path.display().to_string())
        };
        let (home, state) = (("HOME", "/h"), ("XDG_STATE_HOME", "/s"));
        assert_eq!(folder(&[home, state, ("SNECK_LOCAL_DIR", "/d")]).unwrap(), "/d");
        assert_eq!(folder(&[home, state]).unwrap(), "/s/sneck");
        assert_eq!(folder(&[home]).unwrap(), "/h/.local/state/sneck");
        assert_eq!(folder(&[home, ("XDG_STATE_HOME", "s")]).unwrap(), "/h/.local/state/sneck");
        assert_eq!(folder(&[]).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn urls_say_the_same_to_everybody() {
        for (path, url) in [
            ("/a/b", "local:/a/b"),
            ("/a%20b%3F%25", "local:/a%20b%3F%25"),
            ("/a%ff", "local:/a%FF"),
        ] {
            let folder = Folder::of_url(path).unwrap();
            assert_eq!(folder.url(), url);
            assert_eq!(Folder::of_url(url.strip_prefix("local:").unwrap()).unwrap(), folder);
        }
        assert!(Folder::of_url("d").unwrap().path().is_absolute());
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_told_before_anything_is_made() {
        let longest = format!("/{}", "x".repeat(SOCKET_PATH_MAX - "//socket".len()));
        Folder::of_url(&longest).unwrap();
        let error = Folder::of_url(&format!("{longest}x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("bytes") && error.hint().is_some(), "{error}");
        assert!(Folder::of_url("/a%00b").is_err());
    }

    #[test]
    fn a_folder_is_made_for_one_and_refused_if_it_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder(parent.path().join("a/b"));
        folder.check().unwrap();
        folder.prepare().unwrap();
        assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let trouble = folder.prepare().unwrap_err();
        assert_eq!(trouble.kind, ErrorKind::Denied);
        assert!(trouble.hint.contains("chmod 700"), "{trouble:?}");
        fs::remove_dir(folder.path()).unwrap();
        fs::write(folder.path(), "precious").unwrap();
        assert_eq!(folder.check().unwrap_err().kind, ErrorKind::Denied);
        assert!(Folder(folder.path().join("c")).prepare().is_err());
        // What belongs to root is somebody else's, unless we are root ourselves.
        if !rustix::process::geteuid().is_root() {
            let trouble = Folder("/root".into()).check().unwrap_err();
            assert_eq!(trouble.kind, ErrorKind::Denied);
        } else {
            let theirs = parent.path().join("theirs");
            fs::create_dir(&theirs).unwrap();
            fs::set_permissions(&theirs, fs::Permissions::from_mode(0o700)).unwrap();
            std::os::unix::fs::chown(&theirs, Some(65_534), None).unwrap();
            let trouble = Folder(theirs).check().unwrap_err();
            assert!(trouble.text.contains("user 65534"), "{trouble:?}");
        }
    }
}
