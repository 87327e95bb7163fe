//! The fencing token.

use std::fmt;
use std::num::NonZeroU64;

/// A number that grows with every grant of one lock, to be checked by the resource the lock guards.
///
/// A process can be paused between "I hold the lock" and "write", for longer than any lease. Only the
/// resource can tell such a late write from a timely one, by refusing a token smaller than the
/// largest it has seen. Tokens of different locks, or of different stores, are not comparable.
///
/// On ZooKeeper the token is the transaction id (czxid) that created the holder's node. It is never
/// zero, so zero may stand for "no token yet" in the resource.
///
/// ```
/// use sneck_core::Token;
/// let token = Token::new(7).expect("not zero");
/// assert!(token < Token::new(8).expect("not zero"));
/// assert_eq!(token.to_string(), "7");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(NonZeroU64);

impl Token {
    /// The token with this value; `None` for zero.
    pub const fn new(value: u64) -> Option<Self> {
        match NonZeroU64::new(value) {
            Some(value) => Some(Token(value)),
            None => None,
        }
    }

    /// The value, to be sent with each write to the guarded resource.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.0)
    }
}

impl From<Token> for u64 {
    fn from(token: Token) -> u64 {
        token.get()
    }
}
