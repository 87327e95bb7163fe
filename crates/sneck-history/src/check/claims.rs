//! P15: nobody claims more of a store than it can keep.
//!
//! Some stores cannot exclude without a fence. Their histories are judged by the same checkers; what
//! they do not claim is counted instead. So what is to be judged here is the claim: the header's,
//! what clients were told, and that the fence, which is all that is left, was there. O(n).

use super::Checker;
use crate::report::{Property, Report};
use crate::story::Story;
use crate::{Claims, Entry, Event};

#[derive(Debug, Default)]
pub(super) struct HonestClaims {
    unfenced: bool,
}

impl Checker for HonestClaims {
    fn see(&mut self, entry: &Entry, story: &Story, report: &mut Report) {
        let header = &story.header;
        match &entry.event {
            Event::Joined { promised } if exceeds(*promised, header.claims) => {
                let client = entry.client.unwrap_or_default();
                let sentence = format!(
                    "client {client} was promised {}, and the history claims {}",
                    words(*promised),
                    words(header.claims)
                );
                report.violate(Property::HonestClaims, &[entry.seq], sentence);
            }
            Event::Write { lock, token: None, admitted: true, .. }
                if !header.claims.exclusion && !header.unfenced && !self.unfenced =>
            {
                // One is enough: a client that shows no token never does.
                self.unfenced = true;
                let sentence = format!(
                    "{lock:?} was written without a token, on a store that claims no exclusion \
                     without one"
                );
                report.violate(Property::HonestClaims, &[entry.seq], sentence);
            }
            _ => {}
        }
    }

    fn conclude(&mut self, story: &Story, report: &mut Report) {
        let (store, claims) = (story.header.store, story.header.claims);
        if exceeds(claims, store.claims_max()) {
            let sentence = format!(
                "the header claims {} of {store:?}, which can keep {}",
                words(claims),
                words(store.claims_max())
            );
            report.violate(Property::HonestClaims, &[], sentence);
        }
    }
}

fn exceeds(claims: Claims, most: Claims) -> bool {
    (claims.exclusion && !most.exclusion) || (claims.fifo && !most.fifo)
}

fn words(claims: Claims) -> &'static str {
    match (claims.exclusion, claims.fifo) {
        (true, true) => "exclusion and order",
        (true, false) => "exclusion and no order",
        (false, true) => "order and no exclusion",
        (false, false) => "neither exclusion nor order",
    }
}
