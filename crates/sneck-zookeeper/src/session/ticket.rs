//! What it takes to end a session from another process.

use sneck_core::{Error, ErrorKind};
use sneck_wire::Secret;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What it takes to end a session from another process: its id and its password.
///
/// Whoever has it can also act as the session, so it goes by ways that nobody else can read. As text it
/// is the id, the password and the timeout in milliseconds, of which the first two are hexadecimal;
/// `Debug` shows the id only.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionTicket {
    pub(crate) id: i64,
    pub(crate) password: Secret,
    pub(crate) timeout: Duration,
}

impl SessionTicket {
    /// The session's id.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// After how long without a sign of life the servers end the session by themselves.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What only the other process should read.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sneck_zookeeper::SessionTicket;
    /// let ticket: SessionTicket = "10000a1b2c3d0001 5ec2e7 30000".parse()?;
    /// assert_eq!(ticket.secret_text(), "10000a1b2c3d0001 5ec2e7 30000");
    /// assert!(!format!("{ticket:?}").contains("5ec2e7"));
    /// # Ok(()) }
    /// ```
    pub fn secret_text(&self) -> String {
        let password: String = self.password.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{:x} {password} {}", self.id, self.timeout.as_millis())
    }
}

impl FromStr for SessionTicket {
    type Err = Error;

    /// Reads a [secret text](SessionTicket::secret_text). The error repeats nothing of it.
    fn from_str(text: &str) -> Result<Self, Error> {
        read(text).ok_or_else(|| Error::new(ErrorKind::Invalid, "this is no ticket of a session"))
    }
}

fn read(text: &str) -> Option<SessionTicket> {
    let mut words = text.split(' ');
    let (id, password, timeout) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !password.is_ascii() || password.len() % 2 == 1 {
        return None;
    }
    let bytes = (0..password.len()).step_by(2);
    let bytes = bytes.map(|at| u8::from_str_radix(&password[at..at + 2], 16).ok());
    Some(SessionTicket {
        id: u64::from_str_radix(id, 16).ok()?.cast_signed(),
        password: Secret::from(bytes.collect::<Option<Vec<u8>>>()?),
        timeout: Duration::from_millis(timeout.parse().ok()?),
    })
}

impl fmt::Debug for SessionTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTicket")
            .field("id", &format_args!("{:#x}", self.id))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ticket_is_refused_and_not_repeated() {
        for text in
            ["", "1 2 3 4", "1 2", "x 00 1", "1 0 1", "1 zz 1", "1 \u{e4}\u{e4} 1", "1 00 x"]
        {
            let error = text.parse::<SessionTicket>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(!error.to_string().contains("zz"));
        }
        let negative = SessionTicket {
            id: -7,
            password: Secret::from([0, 1, 255]),
            timeout: Duration::from_secs(1),
        };
        assert_eq!(negative.secret_text().parse::<SessionTicket>().unwrap(), negative);
    }
}
