//! The world around an ensemble: what comes to its members, what comes of it, and what befalls them.

use super::{Happening, World};
use crate::ensemble::{Effect, Ensemble};
use crate::nic::{Down, Up};
use crate::plan::Trouble;
use crate::words;

impl<'a> World<'a> {
    /// Until when nothing of this kind happens, as the member is stopped.
    pub(super) fn stopped_until(&self, happening: &Happening, at_ms: u64) -> Option<u64> {
        let ensemble = self.ensemble.as_ref()?;
        match happening {
            Happening::Member(turn) => ensemble.stopped_until(turn, at_ms),
            Happening::AtServer(
                Up::Open(connection, _) | Up::Bytes(connection, _) | Up::Close(connection),
            ) => ensemble.is_stopped_until(self.wires.get(connection)?.server, at_ms),
            _ => None,
        }
    }

    /// Does something to the ensemble, and lets happen what comes of it.
    pub(super) fn at_ensemble(&mut self, at_ms: u64, act: impl FnOnce(&mut Ensemble<'a>)) {
        if let Some(ensemble) = &mut self.ensemble {
            act(ensemble);
            self.settle(at_ms);
        }
    }

    /// Something has come to a member on a connection.
    pub(super) fn at_member(&mut self, at_ms: u64, connection: u64, up: Up) {
        let Some(wire) = self.wires.get(&connection) else { return };
        let (client, server) = (wire.client as u64, wire.server);
        let Some(ensemble) = &mut self.ensemble else { return };
        match up {
            Up::Open(..) => ensemble.opened(server, connection, at_ms),
            Up::Bytes(_, bytes) if ensemble.knows(server, connection) => {
                let said = || {
                    let said = words::of_client(&bytes);
                    format!("client {} -> member {}: {said}", client + 1, server + 1)
                };
                self.trace.note(at_ms, &[1, connection], &bytes, said);
                ensemble.received(server, connection, &bytes, at_ms);
            }
            Up::Bytes(..) => return self.send_down(connection, at_ms, Down::Closed(connection)),
            _ => {
                self.wires.remove(&connection);
                ensemble.closed(server, connection, at_ms);
            }
        }
        self.settle(at_ms);
    }

    /// Lets happen what has come of what the ensemble did.
    pub(super) fn settle(&mut self, at_ms: u64) {
        let effects = self.ensemble.as_mut().map(Ensemble::take_effects).unwrap_or_default();
        for effect in effects {
            match effect {
                Effect::Will(due_ms, turn) => self.will(due_ms, Happening::Member(turn)),
                Effect::Refused(to) => self.send_down(to, at_ms, Down::Refused(to)),
                Effect::Accepted(to) => self.send_down(to, at_ms, Down::Accepted(to)),
                Effect::Sent(sent) => self.show_one(at_ms, sent),
                Effect::Broken(connections) => {
                    connections.into_iter().for_each(|one| self.break_off(one, at_ms));
                }
                Effect::Committed(entry) => self.durable(at_ms, &entry.decided.written),
                Effect::Note(text) => {
                    let words = || text.clone();
                    self.trace.note(at_ms, &[4], text.as_bytes(), words);
                }
            }
        }
    }

    /// Lets a fault begin. What befalls clients is the same as ever.
    pub(super) fn befall_ensemble(&mut self, at_ms: u64, number: usize) {
        let fault = &self.plan.faults[number];
        let (what, until_ms) = (fault.what, fault.end_ms());
        let Some(ensemble) = &mut self.ensemble else { return };
        let of = match what {
            Trouble::KillServer { .. } | Trouble::PauseServer => ensemble.all(),
            Trouble::KillMember { who, .. }
            | Trouble::PauseMember(who)
            | Trouble::CutOff { who, .. }
            | Trouble::Lag { who, .. } => ensemble.who(who).into_iter().collect(),
            of_clients => return self.befall(at_ms, until_ms, of_clients),
        };
        for member in of {
            match what {
                Trouble::KillServer { kept, .. } | Trouble::KillMember { kept, .. } => {
                    if ensemble.is_up(member) {
                        ensemble.kill(member, kept, at_ms);
                        self.killed.entry(number).or_default().push(member);
                    }
                }
                Trouble::CutOff { inbound, outbound, .. } => {
                    ensemble.cut_off(member, (inbound, outbound), (at_ms, until_ms));
                }
                Trouble::Lag { ms, .. } => ensemble.lag(member, ms, until_ms),
                _ => ensemble.stop(member, until_ms),
            }
        }
        self.settle(at_ms);
    }

    /// Starts those members again that a fault has killed.
    pub(super) fn start_killed(&mut self, at_ms: u64, fault: usize) {
        for member in self.killed.remove(&fault).unwrap_or_default() {
            self.at_ensemble(at_ms, |ensemble| ensemble.start(member, at_ms));
        }
    }
}
