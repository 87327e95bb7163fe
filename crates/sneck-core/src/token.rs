//! The fencing token.

use std::fmt;
use std::num::NonZeroU64;

/// What grows with every grant of one lock, to be checked by the resource the lock guards.
///
/// A process can be paused between "I hold the lock" and "write", for longer than any lease. Only the
/// resource can tell such a late write from a timely one, by refusing a token smaller than the
/// largest it has seen. Tokens of different locks, or of different stores, are not comparable.
///
/// On ZooKeeper the number is the transaction id (czxid) that created the holder's node. It is never
/// zero, so zero may stand for "no token yet" in the resource.
///
/// ```
/// use sneck_core::Token;
/// let token = Token::new(7).expect("not zero");
/// assert!(token < Token::new(8).expect("not zero"));
/// assert_eq!(token.to_string(), "7");
/// ```
///
/// # What a resource compares
///
/// A token is the store's number and, where a process [shares](crate::Sharing) a place among its own
/// holds, the [turn](Token::turn): 0 for the first hold of the place, and one more for each that follows.
///
/// * Locks that are not shared: [`get`](Token::get), 64 bits. The turn is always 0.
/// * Shared ones: both, the number first. That is the order of tokens, and of [`wide`](Token::wide), 128
///   bits. [`packed`](Token::packed) has both in 64 bits, where they fit.
/// * A resource that compares `get` alone still refuses every late write of *another* process, and of
///   another place. It cannot tell holds apart that one process had from one place.
///
/// Which of the three it is must not change from one write to the next.
///
/// Readers that join a shared place have the number of that place, and other processes may read under larger
/// ones meanwhile. A resource that checks the tokens of readers, too, refuses a read whose token is smaller
/// than that of a *write* it has seen, and a write whose token is smaller than any it has seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    number: NonZeroU64,
    /// Compared after the number, as it comes after it here.
    turn: u32,
}

/// Bits of a packed token that are the turn's.
const TURN_BITS: u32 = 12;

impl Token {
    /// The token with this value, of a first turn; `None` for zero.
    pub const fn new(value: u64) -> Option<Self> {
        match NonZeroU64::new(value) {
            Some(number) => Some(Token { number, turn: 0 }),
            None => None,
        }
    }

    /// The token of another hold from the same place.
    #[must_use]
    pub const fn with_turn(self, turn: u32) -> Self {
        Token { turn, ..self }
    }

    /// The store's number, to be sent with each write to the guarded resource.
    pub const fn get(self) -> u64 {
        self.number.get()
    }

    /// How many holds of the same process had the place before.
    pub const fn turn(self) -> u32 {
        self.turn
    }

    /// Number and turn as one number of the same order.
    ///
    /// ```
    /// use sneck_core::Token;
    /// let token = Token::new(7).expect("not zero");
    /// assert!(token.with_turn(1).wide() > token.wide());
    /// assert!(token.with_turn(u32::MAX).wide() < Token::new(8).expect("not zero").wide());
    /// ```
    pub const fn wide(self) -> u128 {
        (self.number.get() as u128) << u32::BITS | self.turn as u128
    }

    /// Number and turn as one number of the same order, in 64 bits; `None` where they do not fit, which is
    /// when the number has more than 52 bits or the turn is 4,096 or more.
    ///
    /// On ZooKeeper the number fits until the ensemble has had a million leaders; on sneck's own server it
    /// never does, as its numbers begin far above that. The turn fits where
    /// [`Sharing::turns`](crate::Sharing::turns) says so. It is never to be compared with
    /// [`get`](Token::get).
    ///
    /// ```
    /// use sneck_core::Token;
    /// let token = Token::new(7).expect("not zero");
    /// assert_eq!(token.with_turn(2).packed(), Some(7 << 12 | 2));
    /// assert_eq!(token.with_turn(4_096).packed(), None);
    /// ```
    pub const fn packed(self) -> Option<u64> {
        let number = self.number.get();
        let fits = number >> (u64::BITS - TURN_BITS) == 0 && self.turn >> TURN_BITS == 0;
        if fits { Some(number << TURN_BITS | self.turn as u64) } else { None }
    }
}

impl fmt::Display for Token {
    /// The number; after a turn other than the first, a plus and the turn.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)?;
        if self.turn > 0 { write!(f, "+{}", self.turn) } else { Ok(()) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({self})")
    }
}

impl From<Token> for u64 {
    fn from(token: Token) -> u64 {
        token.get()
    }
}
