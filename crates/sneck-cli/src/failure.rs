//! Why a command came to nothing: the exit code, the sentence, and what to do about it.

use crate::exit;
use std::error::Error;
use std::fmt;

/// Why a command came to nothing.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// Empty when there is nothing to be said, or nobody to say it to.
    text: String,
    hint: Option<String>,
    /// An outcome that was to be expected, such as a lock that is taken: not said when quiet.
    expected: bool,
}

impl Failure {
    /// A failure with this exit code.
    pub(crate) fn new(code: u8, text: impl Into<String>) -> Self {
        Failure { code, text: text.into(), hint: None, expected: false }
    }

    /// Wrong usage.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Failure::new(exit::USAGE, text)
    }

    /// Something the system below us refused.
    pub(crate) fn system(doing: &str, error: impl fmt::Display) -> Self {
        Failure::new(exit::INTERNAL, format!("{doing}: {error}"))
    }

    /// Nobody reads standard output any more.
    pub(crate) fn broken_pipe() -> Self {
        Failure::new(exit::of_broken_pipe(), "")
    }

    /// The same with another exit code.
    #[must_use]
    pub(crate) fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Says what the reader could do.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An outcome that was to be expected.
    #[must_use]
    pub(crate) fn expected(mut self) -> Self {
        self.expected = true;
        self
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// What happened.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether it is silent when quiet.
    pub(crate) fn is_expected(&self) -> bool {
        self.expected
    }
}

/// An error with all that led to it.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

impl From<sneck::Error> for Failure {
    fn from(error: sneck::Error) -> Self {
        let failure = Failure::new(exit::of_error(error.kind()), error.to_string());
        let doctor = "`sneck doctor` examines the servers";
        let hint = match error.hint() {
            None if failure.code == exit::UNAVAILABLE => Some(doctor),
            hint => hint,
        };
        Failure { hint: hint.map(str::to_owned), ..failure }
    }
}
