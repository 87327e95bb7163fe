//! The small worlds that are explored.

use sneck_core::{Mode, Permits};

use crate::setting::Setting;
use crate::world::Faults;

const NONE: Faults = Faults {
    breaks: 0,
    lapses: 0,
    cancels: 0,
    robberies: 0,
    reaps: 0,
    restarts: 0,
    rechecks: 0,
    downgrades: 0,
};

/// Those of the tests, each of which is gone through in seconds.
pub fn small() -> Vec<Setting> {
    let (writer, reader) = (Mode::Write, Mode::Shared);
    vec![
        mutex("mutex-twice", 2, 2, NONE),
        mutex("mutex-break", 2, 1, Faults { breaks: 1, ..NONE }),
        mutex("mutex-break-cancel", 2, 1, Faults { breaks: 1, cancels: 1, ..NONE }),
        writing(mutex("mutex-lapse", 2, 1, Faults { lapses: 1, ..NONE })),
        mutex("mutex-restart", 2, 1, Faults { restarts: 1, ..NONE }),
        mutex("mutex-rob", 2, 1, Faults { robberies: 1, rechecks: 1, ..NONE }),
        bare(mutex("mutex-reap", 2, 2, Faults { reaps: 1, ..NONE })),
        mutex("mutex-3-cancel", 3, 1, Faults { cancels: 1, ..NONE }),
        shared("rw-wrr", &[writer, reader, reader], NONE),
        shared("rw-wwr", &[writer, writer, reader], NONE),
        shared("rw-downgrade", &[writer, writer], Faults { downgrades: 1, cancels: 1, ..NONE }),
        permits("permits", 3, 1, 2, NONE),
    ]
}

/// Those for a long run: 10^7 states and more, each.
pub fn large() -> Vec<Setting> {
    let (writer, reader) = (Mode::Write, Mode::Shared);
    let all = Faults { breaks: 1, lapses: 1, cancels: 1, restarts: 1, ..NONE };
    vec![
        writing(mutex("mutex-3-all", 3, 1, all)),
        writing(mutex("mutex-2-twice-all", 2, 2, Faults { breaks: 2, lapses: 2, ..all })),
        shared("rw-wrw-all", &[writer, reader, writer], Faults { downgrades: 1, ..all }),
        permits("permits-all", 3, 1, 2, all),
        permits("permits-two-of-two", 2, 2, 2, Faults { breaks: 2, ..all }),
    ]
}

fn mutex(name: &'static str, clients: usize, lives: u8, faults: Faults) -> Setting {
    let modes = vec![Mode::Exclusive; clients];
    Setting { name, modes, lives, with_parents: true, writes: false, faults, mutant: None }
}

fn shared(name: &'static str, modes: &[Mode], faults: Faults) -> Setting {
    Setting { modes: modes.to_vec(), ..mutex(name, 0, 1, faults) }
}

fn permits(name: &'static str, clients: usize, take: u32, of: u32, faults: Faults) -> Setting {
    let mode = Permits::new(take, of).map(Mode::Permits).unwrap_or(Mode::Exclusive);
    Setting { modes: vec![mode; clients], ..mutex(name, 0, 1, faults) }
}

/// With writes to a resource.
fn writing(setting: Setting) -> Setting {
    Setting { writes: true, ..setting }
}

/// Without the lock's node in the beginning.
fn bare(setting: Setting) -> Setting {
    Setting { with_parents: false, ..setting }
}
