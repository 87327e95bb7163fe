//! The guarded resource: a register that checks fencing tokens, and who judges the scenarios.

use std::sync::{Mutex, PoisonError};

/// Takes a write only if its token is not smaller than the largest it has seen.
#[derive(Debug, Default)]
pub(crate) struct Register(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    largest: u64,
    writer: u64,
    writes: usize,
}

impl Register {
    /// Writes in the name of a grant that is told from all others by `writer`.
    ///
    /// # Panics
    /// When two grants have the same token, against which no resource can help itself.
    pub(crate) fn write(&self, token: u64, writer: u64) -> Result<(), String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            token != state.largest || writer == state.writer,
            "two grants with the token {token}"
        );
        if token < state.largest {
            return Err(format!("token {token} is smaller than {}", state.largest));
        }
        *state = State { largest: token, writer, writes: state.writes + 1 };
        Ok(())
    }

    /// How many writes it took.
    pub(crate) fn writes(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).writes
    }
}

#[test]
fn it_refuses_the_late_and_cries_over_twins() {
    let register = Register::default();
    register.write(5, 1).unwrap();
    register.write(5, 1).unwrap();
    assert!(register.write(4, 2).is_err());
    let twin = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| register.write(5, 2)));
    assert!(twin.is_err());
    assert_eq!(register.writes(), 2);
}
