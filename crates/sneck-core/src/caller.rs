//! Who asks for a lock.

use std::fmt;

/// Who asks for a lock, as shown to everybody else in line.
///
/// It is written beside the claim in the store as one line of readable text, so that an operator
/// with any client of the store can tell who holds a lock. It is information only: nothing is decided
/// by it, and what others wrote there is never trusted.
///
/// ```
/// use sneck_core::Caller;
/// let caller = Caller { host: "web-3".into(), pid: 4242, user: "alice".into(), ..Caller::anonymous() };
/// let text = caller.to_string();
/// assert_eq!(text, "host=web-3 pid=4242 user=alice by=sneck");
/// assert_eq!(Caller::parse(&text), Some(caller));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Caller {
    /// The machine's name.
    pub host: String,
    /// The process id; 0 when unknown.
    pub pid: u32,
    /// The name of the user the process runs as.
    pub user: String,
    /// What is run under the lock.
    pub command: String,
    /// The caller's own wall clock when it asked, in RFC 3339; for people only.
    pub since: String,
    /// Free text, such as why.
    pub note: String,
}

impl Caller {
    /// The largest length of the text of a caller, in bytes. Longer commands and notes are cut.
    pub const TEXT_MAX: usize = 1024;

    /// A caller that says nothing about itself.
    pub fn anonymous() -> Self {
        Caller::default()
    }

    /// Reads what [`Display`](fmt::Display) writes; `None` for text that sneck did not write.
    pub fn parse(text: &str) -> Option<Self> {
        let mut caller = Caller::anonymous();
        let mut ours = false;
        for (key, value) in Pairs(text) {
            match key {
                "host" => caller.host = value,
                "pid" => caller.pid = value.parse().ok()?,
                "user" => caller.user = value,
                "command" => caller.command = value,
                "since" => caller.since = value,
                "note" => caller.note = value,
                "by" => ours = value == "sneck",
                // A later version may say more; what this one does not know does not hide the rest.
                _ => {}
            }
        }
        ours.then_some(caller)
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        // The room of all fields and their keys adds up to less than `TEXT_MAX`.
        put(&mut text, "host", &self.host, 128);
        if self.pid != 0 {
            put(&mut text, "pid", &self.pid.to_string(), 10);
        }
        put(&mut text, "user", &self.user, 64);
        put(&mut text, "since", &self.since, 40);
        put(&mut text, "command", &self.command, 400);
        put(&mut text, "note", &self.note, 250);
        put(&mut text, "by", "sneck", 5);
        f.write_str(&text)
    }
}

/// Appends `key=value`, the value quoted where it needs it and cut to `room` bytes; an empty value is
/// left out.
fn put(text: &mut String, key: &str, value: &str, room: usize) {
    if value.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(key);
    text.push('=');
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '\\';
    let quoted = !value.chars().all(plain);
    if quoted {
        text.push('"');
    }
    let end = text.len() + room;
    for c in value.chars() {
        // Line breaks and escape sequences would let a command line forge what an operator reads.
        let c = if c.is_control() { '\u{fffd}' } else { c };
        let escape = c == '"' || c == '\\';
        if text.len() + c.len_utf8() + usize::from(escape) > end {
            break;
        }
        if escape {
            text.push('\\');
        }
        text.push(c);
    }
    if quoted {
        text.push('"');
    }
}

/// The `key=value` pairs of a line; stops at the first thing that is none.
pub(crate) struct Pairs<'a>(pub(crate) &'a str);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, String);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = self.0.trim_start().split_once('=')?;
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            self.0 = &rest[end..];
            return Some((key, rest[..end].to_owned()));
        };
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = &quoted[at + 1..];
                    return Some((key, value));
                }
                '\\' => value.push(chars.next()?.1),
                c => value.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let caller = Caller {
            host: "web-3".into(),
            pid: 7,
            user: "al ice".into(),
            command: r#"sh -c "echo \"hi\"" "#.into(),
            since: "2026-01-02T03:04:05Z".into(),
            note: "=".into(),
        };
        assert_eq!(Caller::parse(&caller.to_string()), Some(caller));
    }

    #[test]
    fn a_forged_line_break_does_not_survive() {
        let caller = Caller { command: "a\nhost=evil\x1b[2J".into(), ..Caller::anonymous() };
        assert!(!caller.to_string().chars().any(char::is_control));
        assert_eq!(Caller::parse(&caller.to_string()).unwrap().host, "");
    }

    #[test]
    fn the_text_is_bounded() {
        let long = "\"".repeat(5000);
        let caller =
            Caller { command: long.clone(), note: "ü".repeat(5000), ..Caller::anonymous() };
        assert!(caller.to_string().len() <= Caller::TEXT_MAX);
        assert!(Caller::parse(&caller.to_string()).is_some());
    }

    #[test]
    fn text_of_others_is_not_taken_for_ours() {
        for text in ["", "127.0.0.1", "host", "host=a", "pid=x by=sneck", "a=\"unclosed", "=="] {
            assert_eq!(Caller::parse(text), None, "{text:?}");
        }
    }
}
