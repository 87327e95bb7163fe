//! What must hold of the names of nodes, whoever made them.
//!
//! No part of the interface: this is for `sneck-fuzz`, and only there with the feature `fuzzing`.

use super::dialect::{Dialect, Kind, Pattern, Place};
use sneck_core::{ClaimId, Mode};

/// What a server appends to a name of our own.
const NUMBER: &str = "0000000007";

/// Reads the name of a node in every dialect; behind a first line, also in the one of that pattern.
///
/// # Panics
/// Where there is a defect.
pub fn node_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (pattern, child) = text.split_once('\n').unwrap_or(("", text));
    let known = [Dialect::Curator, Dialect::Kazoo, Dialect::Go, Dialect::CuratorLatch];
    known.iter().for_each(|dialect| read(dialect, child));
    if let Ok(pattern) = Pattern::parse(pattern) {
        assert_eq!(Pattern::parse(&pattern.to_string()).ok(), Some(pattern));
        read(&Dialect::Custom(pattern), child);
    }
    if let Some(dialect) = Dialect::spoken_by(child) {
        assert!(known.iter().any(|known| known.any_place(child).is_some()), "{dialect}");
    }
}

fn read(dialect: &Dialect, child: &str) {
    for kind in [Kind::Mutex, Kind::ReadWrite] {
        let Some(place) = dialect.place(kind, child) else { continue };
        // kazoo has one line for all, and so its mutexes wait for readers.
        let is_guest = *dialect == Dialect::Kazoo && place.mode == Mode::Shared;
        assert!(Kind::of(place.mode) == kind || is_guest, "{dialect:?} {child:?}");
        if place.mode == Mode::Write && dialect.has(Mode::Shared) {
            let reader = dialect.as_reader(child).expect("a writer can become a reader");
            let as_reader = Place { mode: Mode::Shared, ..place };
            assert_eq!(dialect.place(kind, &reader), Some(as_reader), "{dialect:?} {child:?}");
        }
    }
    // What looks most like the name of a stranger is one of our own beside it.
    let id = dialect.claim(child).unwrap_or(ClaimId::from_u128(1));
    let neighbour = ClaimId::from_u128(id.as_u128() ^ 1);
    for mode in [Mode::Exclusive, Mode::Write, Mode::Shared] {
        if dialect.has(mode) {
            let own = dialect.entry(mode, id) + NUMBER;
            assert_eq!(dialect.claim(&own), Some(id), "{dialect:?}");
            let place = dialect.place(Kind::of(mode), &own);
            assert_eq!(place.map(|place| place.mode), Some(mode), "{dialect:?} {own:?}");
            assert!(!own.starts_with(&dialect.mark(neighbour)), "{dialect:?}");
        }
    }
}
