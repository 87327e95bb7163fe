//! Which server: the command line, the environment, or the configuration file.

use crate::failure::Failure;
use crate::printer::Printer;
use crate::server::ServerUrl;
use serde::Deserialize;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Needs nothing that is not here.
const DEFAULT: &str = "local:";

/// What the configuration file may say.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Config {
    server: Option<String>,
}

/// The server to use: `--server`, else `$SNECK_SERVER`, else the configuration file's, else the one that
/// the processes of this user share.
///
/// # Errors
/// When what is named is no server, or the file cannot be used.
pub(crate) fn server(option: Option<&str>, printer: &Printer) -> Result<ServerUrl, Failure> {
    if let Some(url) = option {
        return take(url, "--server", printer);
    }
    if let Some(url) = env::var_os("SNECK_SERVER").filter(|url| !url.is_empty()) {
        let url = url.into_string();
        let url = url.map_err(|_| Failure::usage("SNECK_SERVER is not UTF-8"))?;
        return take(&url, "SNECK_SERVER", printer);
    }
    let Some(path) = path() else { return ServerUrl::new(DEFAULT) };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named() => {
            return ServerUrl::new(DEFAULT);
        }
        Err(error) => return Err(Failure::usage(format!("cannot read {path:?}: {error}"))),
    };
    for line in text.lines() {
        printer.hide(line.trim_end_matches(['"', '\'']));
    }
    let config = parse(&text, &path)?;
    let Some(url) = config.server else { return ServerUrl::new(DEFAULT) };
    let url = take(&url, &path.display().to_string(), printer)?;
    if url.has_credentials() && is_readable_by_others(&path) {
        printer.warn(
            &format!("{path:?} holds a password and can be read by other users"),
            &format!("chmod 600 {path:?}"),
        );
    }
    Ok(url)
}

fn take(url: &str, source: &str, printer: &Printer) -> Result<ServerUrl, Failure> {
    printer.hide(url);
    ServerUrl::new(url).map_err(|failure| {
        let text = format!("{source}: {}", failure.text());
        let hint = failure.hint().unwrap_or_default().to_owned();
        Failure::usage(text).with_hint(hint)
    })
}

/// Whether the user has named the file, so that it must be there.
fn is_named() -> bool {
    env::var_os("SNECK_CONFIG").is_some_and(|path| !path.is_empty())
}

fn path() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
    place(set("SNECK_CONFIG"), set("XDG_CONFIG_HOME"), set("HOME"))
}

fn place(
    named: Option<OsString>,
    config_home: Option<OsString>,
    home: Option<OsString>,
) -> Option<PathBuf> {
    // The XDG specification has relative paths ignored.
    let config_home = config_home.map(PathBuf::from).filter(|path| path.is_absolute());
    named.map(PathBuf::from).or_else(|| {
        let folder = config_home.or_else(|| Some(PathBuf::from(home?).join(".config")))?;
        Some(folder.join("sneck").join("config.toml"))
    })
}

fn parse(text: &str, path: &Path) -> Result<Config, Failure> {
    toml::from_str(text).map_err(|error| {
        // Only the sentence: the whole error quotes the line, which may hold a password.
        let line = error.span().map_or(1, |span| {
            let before = text.get(..span.start).unwrap_or(text);
            before.matches('\n').count() + 1
        });
        let message = error.message().lines().next().unwrap_or_default();
        Failure::usage(format!("{}, line {line}: {message}", path.display()))
            .with_hint("the file is TOML, such as: server = \"zk://zk1:2181,zk2:2181/apps\"")
    })
}

fn is_readable_by_others(path: &Path) -> bool {
    const GROUP_AND_OTHERS_READ: u32 = 0o044;
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & GROUP_AND_OTHERS_READ != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_looked_for_where_others_look() {
        let os = |text: &str| Some(OsString::from(text));
        let path =
            |named, config, home| place(named, config, home).map(|path| path.display().to_string());
        assert_eq!(path(os("/x.toml"), os("/c"), os("/h")).as_deref(), Some("/x.toml"));
        assert_eq!(path(None, os("/c"), os("/h")).as_deref(), Some("/c/sneck/config.toml"));
        assert_eq!(path(None, os("c"), os("/h")).as_deref(), Some("/h/.config/sneck/config.toml"));
        assert_eq!(path(None, None, None), None);
    }

    #[test]
    fn a_bad_file_is_named_with_its_line_and_without_its_contents() {
        for (text, line, says) in [
            ("\n\nserver = zk://u:hunter2@h\n", 3, ""),
            ("sever = \"zk://u:hunter2@h\"\n", 1, "unknown field `sever`"),
            ("# c\nserver = 5\n", 2, "expected a string"),
            ("server = \"zk://u:hunter2@h\n", 1, ""),
        ] {
            let failure = parse(text, Path::new("/c.toml")).unwrap_err();
            let told = failure.text();
            assert_eq!(failure.code(), crate::exit::USAGE);
            assert!(told.starts_with(&format!("/c.toml, line {line}: ")), "{told}");
            assert!(told.contains(says) && !told.contains("hunter2"), "{told}");
        }
        let config = parse("server = \"zk://h\"", Path::new("/c.toml")).unwrap();
        assert_eq!(config.server.as_deref(), Some("zk://h"));
    }
}
