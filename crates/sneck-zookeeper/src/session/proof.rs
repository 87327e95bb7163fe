//! Which answers prove that the quorum holds our session.

use sneck_wire::{ErrorCode, MultiOp, Request};

/// The request whose answer proves that the quorum holds our session: a transaction that changes nothing.
pub(crate) fn proof_request() -> Request {
    Request::Multi(vec![MultiOp::Check { path: "/".into(), version: -1 }])
}

/// Whether a write with this result was decided by the leader, rather than refused on the way to it.
pub(crate) fn is_from_leader(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::OK
            | ErrorCode::NO_NODE
            | ErrorCode::NODE_EXISTS
            | ErrorCode::NOT_EMPTY
            | ErrorCode::BAD_VERSION
    )
}
