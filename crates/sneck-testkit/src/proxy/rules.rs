//! What to do to which request: armed by a test, used up by the traffic.

use sneck_wire::OpCode;
use tokio::sync::watch;

/// What happens to the connection once a frame was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It goes on, as if the frame had never been.
    Nothing,
    /// It is reset, both ways.
    Reset,
}

/// A rule that was armed; dropping this does not disarm it.
#[derive(Debug, Clone)]
pub struct Rule {
    fired: watch::Receiver<bool>,
}

impl Rule {
    /// Whether the frame was lost already.
    pub fn has_fired(&self) -> bool {
        *self.fired.borrow()
    }

    /// Returns when the frame was lost; never, if the rule is forgotten before.
    pub async fn fired(&mut self) {
        if self.fired.wait_for(|fired| *fired).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Request,
    Reply,
}

/// A rule that has found its request.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) then: Then,
    fired: watch::Sender<bool>,
}

impl Fate {
    /// Says that the frame is lost now.
    pub(super) fn fulfil(self) -> Then {
        self.fired.send_replace(true);
        self.then
    }
}

#[derive(Debug)]
struct Armed {
    what: What,
    op: i32,
    until: u64,
    fate: Fate,
}

/// The armed rules of a proxy.
#[derive(Debug, Default)]
pub(super) struct Rules {
    armed: Vec<Armed>,
    pub(super) events_to_swallow: u64,
}

impl Rules {
    pub(super) fn add(&mut self, what: What, op: OpCode, nth: u64, then: Then) -> Rule {
        assert!(nth > 0, "requests are counted from 1");
        let (sender, receiver) = watch::channel(false);
        let fate = Fate { then, fired: sender };
        self.armed.push(Armed { what, op: op.code(), until: nth, fate });
        Rule { fired: receiver }
    }

    /// Counts a request, and returns what the rules have in store for it and for its reply.
    pub(super) fn on_request(&mut self, op: i32) -> (Option<Fate>, Option<Fate>) {
        for rule in self.armed.iter_mut().filter(|rule| rule.op == op) {
            rule.until -= 1;
        }
        let mut due = self.armed.extract_if(.., |rule| rule.until == 0).collect::<Vec<_>>();
        let mut take = |what| {
            let at = due.iter().position(|rule| rule.what == what)?;
            Some(due.swap_remove(at).fate)
        };
        (take(What::Request), take(What::Reply))
    }

    /// Whether the event that has come is to be lost.
    pub(super) fn on_event(&mut self) -> bool {
        let swallow = self.events_to_swallow > 0;
        self.events_to_swallow -= u64::from(swallow);
        swallow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nth_of_its_kind() {
        let mut rules = Rules::default();
        let rule = rules.add(What::Reply, OpCode::Create, 2, Then::Reset);
        assert!(rules.on_request(OpCode::Create.code()).1.is_none());
        assert!(rules.on_request(OpCode::Delete.code()).1.is_none());
        let fate = rules.on_request(OpCode::Create.code()).1.unwrap();
        assert!(!rule.has_fired());
        assert_eq!(fate.fulfil(), Then::Reset);
        assert!(rule.has_fired());
        assert!(rules.on_request(OpCode::Create.code()).1.is_none());
    }
}
