//! Where this server differs from Apache's on purpose.

use sneck_wire::OpCode;

use crate::side::Seen;
use crate::steps::Step;

/// Why a difference is as it should be, if it is.
pub(crate) fn reason(
    step: &Step,
    theirs: &[(usize, Seen)],
    ours: &[(usize, Seen)],
) -> Option<&'static str> {
    match step {
        Step::SetWatches { .. } if lacks_events_only(theirs, ours) => Some(CATCHING_UP),
        Step::Ask { op, body, .. }
            if *op == OpCode::GetAllChildrenNumber.code() && body[..] == [0; 4] =>
        {
            Some(EMPTY_PATH)
        }
        _ => None,
    }
}

const EMPTY_PATH: &str =
    "the empty path is the root, and the root is not below itself, as it is for Apache";
const CATCHING_UP: &str =
    "who may not read a node does not hear either what happened to it between two connections";

/// Whether the only difference is that we do not send some of the events.
fn lacks_events_only(theirs: &[(usize, Seen)], ours: &[(usize, Seen)]) -> bool {
    let mut ours = ours.iter().peekable();
    for seen in theirs {
        if ours.peek() == Some(&seen) {
            ours.next();
        } else if !matches!(seen, (_, Seen::Event { .. })) {
            return false;
        }
    }
    ours.next().is_none()
}
