//! What has been examined, and what was found.

use crate::visible::visible;
use serde::Serialize;

/// One thing that was examined. The fields are those of the JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// The server it is about; `None` for all of them together.
    server: Option<String>,
    check: &'static str,
    pub(crate) verdict: Verdict,
    says: String,
    hint: Option<String>,
}

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and might surprise.
    Warning,
    /// It does not work.
    Failure,
    /// It could not be learnt.
    Unknown,
}

impl Check {
    /// Something about all servers together, or about a server once [`at`](Check::at) has said which.
    pub(crate) fn new(check: &'static str, verdict: Verdict, says: impl AsRef<str>) -> Self {
        Check { server: None, check, verdict, says: visible(says.as_ref()), hint: None }
    }

    /// Says which server it is about.
    #[must_use]
    pub(crate) fn at(mut self, server: &str) -> Self {
        self.server = Some(server.to_owned());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The checks as lines for people, under the server they are about; `together` is what all servers are
/// called.
pub(crate) fn lines(checks: &[Check], together: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut about = None;
    for check in checks {
        if about != Some(&check.server) {
            about = Some(&check.server);
            lines.push(match &check.server {
                Some(server) => format!("server {server}"),
                None => together.to_owned(),
            });
        }
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failure => "failure",
            Verdict::Unknown => "unknown",
        };
        lines.push(format!("  {verdict:8} {:11} {}", check.check, check.says));
        lines.extend(check.hint.iter().map(|hint| format!("{:23}hint: {hint}", "")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_stand_under_what_they_are_about() {
        let checks = [
            Check::new("name", Verdict::Ok, "resolves\n").at("h:1"),
            Check::new("version", Verdict::Warning, "old").at("h:1").with_hint("upgrade"),
            Check::new("session", Verdict::Failure, "none"),
        ];
        assert_eq!(
            lines(&checks, "ensemble"),
            [
                "server h:1",
                "  ok       name        resolves\u{fffd}",
                "  warning  version     old",
                "                       hint: upgrade",
                "ensemble",
                "  failure  session     none",
            ]
        );
        assert_eq!(
            serde_json::to_value(&checks[1]).unwrap(),
            serde_json::json!({"server": "h:1", "check": "version", "verdict": "warning",
                               "says": "old", "hint": "upgrade"})
        );
    }
}
