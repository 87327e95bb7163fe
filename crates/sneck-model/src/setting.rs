//! A small world to be explored: who is in it, and what may go wrong.

use sneck_core::Mode;

use crate::world::Faults;

/// A small world to be explored.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// As what each client takes the lock.
    pub modes: Vec<Mode>,
    /// How often each takes it.
    pub lives: u8,
    /// Whether the lock's node is there from the beginning.
    pub with_parents: bool,
    /// Whether holders write to a resource, once for each hold.
    pub writes: bool,
    /// What may go wrong.
    pub faults: Faults,
    /// A deliberate bug in what is shipped.
    pub mutant: Option<&'static str>,
}

impl Setting {
    /// The same with a deliberate bug.
    #[must_use]
    pub fn with_mutant(mut self, mutant: &'static str) -> Self {
        self.mutant = Some(mutant);
        self
    }

    /// Lets what runs on this thread have its deliberate bug.
    pub(crate) fn choose_mutant(&self) {
        sneck_core::mutants::choose(self.mutant);
        sneck_server::mutants::choose(self.mutant);
    }

    /// As many grants as are counted, of those that there can be.
    pub(crate) fn grants_possible(&self) -> u8 {
        u8::try_from(self.modes.len()).unwrap_or(u8::MAX).saturating_mul(self.lives).min(3)
    }
}
