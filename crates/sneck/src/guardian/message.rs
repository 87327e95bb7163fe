//! What a process tells its guardian: one line each, through a pipe that nobody else can read.

use sneck_zookeeper::SessionTicket;

/// The longest line. A URL names hosts and files.
pub(super) const LINE_MAX: usize = 64 << 10;

/// What a process tells its guardian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Where its sessions are.
    Store(Url),
    /// Its session from now on.
    Session(SessionTicket),
    /// It is about to start a child that acts for it.
    Starting,
    /// The child leads this group.
    Group(i32),
    /// Nobody acts for it any more.
    Ended,
    /// It has given everything back, and wants no guardian any more.
    Done,
}

/// A URL, whose credentials do not show.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url(pub(super) String);

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<a URL>")
    }
}

impl Message {
    /// The line, with its end.
    pub(super) fn line(&self) -> String {
        match self {
            Message::Store(Url(url)) => format!("store {url}\n"),
            Message::Session(ticket) => format!("session {}\n", ticket.secret_text()),
            Message::Starting => "starting\n".to_owned(),
            Message::Group(group) => format!("group {group}\n"),
            Message::Ended => "ended\n".to_owned(),
            Message::Done => "done\n".to_owned(),
        }
    }

    /// Reads a line; one that was cut off is none.
    pub(super) fn read(line: &str) -> Option<Self> {
        let line = line.strip_suffix('\n')?;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (word, rest) {
            ("store", url) if !url.is_empty() => Some(Message::Store(Url(url.to_owned()))),
            ("session", ticket) => ticket.parse().ok().map(Message::Session),
            ("starting", "") => Some(Message::Starting),
            // The kernel's own and everybody's are nobody's children.
            ("group", group) => group.parse().ok().filter(|group| *group > 1).map(Message::Group),
            ("ended", "") => Some(Message::Ended),
            ("done", "") => Some(Message::Done),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood_and_what_was_cut_off_is_not() {
        let told = [
            Message::Store(Url("zk://u:p@a,b/c?timeout=4s".to_owned())),
            Message::Session("1000 00ff 4000".parse().unwrap()),
            Message::Starting,
            Message::Group(4_711),
            Message::Ended,
            Message::Done,
        ];
        for message in told {
            let line = message.line();
            assert_eq!(Message::read(&line).as_ref(), Some(&message));
            assert!((0..line.len()).all(|end| Message::read(&line[..end]).is_none()));
            assert!(!format!("{message:?}").contains("u:p"));
        }
        for line in ["group 0\n", "group 1\n", "group -5\n", "group x\n", "kill 5\n", "\n"] {
            assert_eq!(Message::read(line), None, "{line:?}");
        }
    }
}
