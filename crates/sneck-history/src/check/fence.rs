//! P1: a resource that checks tokens has one writer after the other, and no update is lost.
//!
//! The rule of the fence is Kleppmann's: a token below the largest one seen is refused. A read
//! raises the fence as well; else the holder before could still write between the new one's read
//! and its write, and that update would be lost with all tokens in order.
//!
//! The oracle for lost updates is Jepsen's read-sleep-write, made linear: each write names the
//! version it replaces, so that an update is lost exactly when a write replaces another version
//! than the newest. One pass, O(n).

use std::collections::HashMap;

use super::Checker;
use crate::report::{Count, Property, Report};
use crate::story::Story;
use crate::{Entry, Event};

#[derive(Debug, Default)]
pub(super) struct Fence {
    resources: HashMap<usize, Resource>,
    /// By lock and token, the attempt that used it first.
    users: HashMap<(usize, u64), (u64, u64)>,
}

#[derive(Debug, Default)]
struct Resource {
    token_max: u64,
    token_seq: u64,
    /// The `seq` of the last write that was let pass.
    version: u64,
}

/// A read or a write, in what matters to the fence.
struct Access<'a> {
    seq: u64,
    verb: &'a str,
    lock: usize,
    attempt: u64,
    token: u64,
    admitted: bool,
}

impl Checker for Fence {
    fn see(&mut self, entry: &Entry, story: &Story, report: &mut Report) {
        let seq = entry.seq;
        match &entry.event {
            Event::Read { lock, attempt, token: Some(token), admitted, .. } => {
                let (lock, verb) = (story.lock(lock), "read");
                let (attempt, token, admitted) = (*attempt, *token, *admitted);
                self.access(&Access { seq, verb, lock, attempt, token, admitted }, story, report);
            }
            Event::Write { lock, attempt, token, base, admitted } => {
                let (lock, verb) = (story.lock(lock), "write");
                let (attempt, admitted) = (*attempt, *admitted);
                if let Some(token) = *token {
                    let access = Access { seq, verb, lock, attempt, token, admitted };
                    self.access(&access, story, report);
                }
                if admitted {
                    self.replace(seq, lock, *base, token.is_some(), story, report);
                }
            }
            _ => {}
        }
    }
}

impl Fence {
    fn access(&mut self, access: &Access<'_>, story: &Story, report: &mut Report) {
        let Access { seq, verb, lock, attempt, token, admitted } = *access;
        let resource = self.resources.entry(lock).or_default();
        let name = story.name(lock);
        let below = token < resource.token_max;
        if admitted == below {
            let (did, max) = (if admitted { "admitted" } else { "refused" }, resource.token_max);
            let sentence = format!(
                "the resource of {name:?} {did} a {verb} under token {token} when {max} was the \
                 largest it had seen"
            );
            report.violate(Property::FencedExclusion, &[resource.token_seq, seq], sentence);
        }
        if !admitted {
            return;
        }
        if token > resource.token_max {
            (resource.token_max, resource.token_seq) = (token, seq);
        }
        let (user, since) = *self.users.entry((lock, token)).or_insert((attempt, seq));
        let granted = story.attempt(attempt).and_then(|attempt| attempt.token());
        let sentence = if user != attempt {
            format!("attempts {user} and {attempt} both reached {name:?} under token {token}")
        } else if granted != Some(token) {
            let granted = granted.map_or("none".to_owned(), |token| token.to_string());
            format!(
                "attempt {attempt} reached {name:?} under token {token}; granted to it was {granted}"
            )
        } else {
            return;
        };
        report.violate(Property::FencedExclusion, &[since, seq], sentence);
    }

    fn replace(
        &mut self,
        seq: u64,
        lock: usize,
        base: Option<u64>,
        fenced: bool,
        story: &Story,
        report: &mut Report,
    ) {
        let resource = self.resources.entry(lock).or_default();
        let lost = resource.version;
        resource.version = seq;
        if base.is_none_or(|base| base == lost) {
            return;
        }
        if !fenced {
            return report.add(Count::UnfencedLostUpdates, 1);
        }
        let base = base.unwrap_or_default();
        let name = story.name(lock);
        let sentence = format!(
            "a write to {name:?} replaced version {base} when {lost} was there: it is lost"
        );
        report.violate(Property::FencedExclusion, &[lost, seq], sentence);
    }
}
