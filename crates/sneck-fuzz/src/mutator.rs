//! Mutants: inputs that are almost right, which is where decoders go wrong.
//!
//! Our own, because it has to run on a stable compiler, in every test run, and to do the same each
//! time. `bolero`, which also offers one front for many engines, tries a corpus as it is and then
//! bytes by chance on a stable compiler, of which next to none get past the first length.

use crate::random::Random;

/// The longest mutant.
const BYTES_MAX: usize = 64 << 10;
/// How many changes a mutant may have.
const CHANGES_MAX: usize = 5;
/// Numbers at which code changes its mind: lengths, counts, flags, operations, borders.
const NUMBERS: [i32; 16] = [
    0,
    1,
    -1,
    2,
    4,
    14,
    16,
    100,
    0x7f,
    0xff,
    0x1_0000,
    0xf_ffff,
    0x10_0000,
    i32::MAX,
    i32::MIN,
    i32::MIN + 1,
];

/// Makes a mutant of one of the inputs in a corpus.
pub fn mutant(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let Some(last) = corpus.len().checked_sub(1) else { return Vec::new() };
    let mut bytes = corpus[random.below(last + 1)].clone();
    for _ in 0..=random.below(CHANGES_MAX) {
        change(&mut bytes, corpus, random);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let length = random.below(16.min(bytes.len() - at + 1));
    match random.below(9) {
        0 => flip(bytes, at, random),
        1 => replace(bytes, at, &[random.number().to_be_bytes()[0]]),
        2 => replace(bytes, at, &random.pick(&NUMBERS).to_be_bytes()),
        // A length or a count is mostly a small number, and one more or less is worth a try.
        3 => nudge(bytes, at, random),
        4 => insert(bytes, at, &random.number().to_be_bytes()[..1 + random.below(8)]),
        5 => {
            bytes.drain(at..at + length);
        }
        6 => {
            let again = bytes[at..at + length].to_vec();
            insert(bytes, at, &again);
        }
        7 => bytes.truncate(at),
        // The rest of another input, as a conversation that goes on otherwise.
        _ => {
            let other = random.pick(corpus);
            let from = random.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

fn flip(bytes: &mut [u8], at: usize, random: &mut Random) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn nudge(bytes: &mut [u8], at: usize, random: &mut Random) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = byte.wrapping_add(*random.pick(&[1, 0xff, 4, 0xfc]));
    }
}

fn replace(bytes: &mut [u8], at: usize, by: &[u8]) {
    for (byte, by) in bytes[at..].iter_mut().zip(by) {
        *byte = *by;
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.splice(at..at, new.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_its_mutants() {
        let corpus = [b"one input".to_vec(), b"and another".to_vec(), Vec::new()];
        let some = |seed| -> Vec<_> {
            let mut random = Random::new(seed);
            (0..1_000).map(|_| mutant(&corpus, &mut random)).collect()
        };
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        let different: std::collections::BTreeSet<_> = some(1).into_iter().collect();
        assert!(different.len() > 500, "{} of 1000 differ", different.len());
    }
}
