//! What a place in line asks of the servers, and what comes of it.

use crate::error::RequestError;
use crate::session::{Created, Node};
use sneck_core::{Loss, Token, Waiting};
use sneck_wire::{CreateMode, MultiResult};

/// What to ask the servers next. The first group is about a place in a line, the second about the permits
/// of a semaphore.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Create a node at this path, to which the server adds a number, and list the lock's children, both
    /// at once.
    Enter(String),
    /// Create this node as a container.
    MakeParent(String),
    /// List the lock's children on a server that has caught up.
    Find,
    /// Read this node, found by the claim's id.
    Adopt(String),
    /// List the lock's children.
    List,
    /// Read this node, which is ahead of ours, and watch it; before that, but at once, the same with our own.
    Watch { ahead: String, own: Option<String> },
    /// Read our node, to see that it is there.
    Own(String),
    /// Delete this node, which is ours.
    Remove(String),
    /// Delete the one node, which is ours, and create the other, in one transaction.
    Downgrade { from: String, to: String },
    /// Write beside our node, which has this version, who we are: somebody who asked for the lock back
    /// wrote over it.
    Describe { path: String, version: i32 },

    /// Read the number of permits in this node, and list its children, both at once.
    Look(String),
    /// Create this node, to be kept while nobody uses it.
    MakeKept(String),
    /// Read the number of permits in this node and list the permits that are held below the other; watch
    /// both.
    Count { semaphore: String, leases: String },
    /// Take permits and give up the place in line, in one transaction.
    Take(Take),
    /// List the permits that are held on a server that has caught up.
    FindLeases(String),
    /// Read these nodes, which are our permits.
    OwnLeases(Vec<String>),
    /// Delete these nodes, which are our permits, in one transaction.
    Return(Vec<String>),
}

/// Taking permits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Take {
    /// The node with the number of permits, and the version in which that was read.
    pub(crate) semaphore: String,
    pub(crate) version: i32,
    /// The number to be written there, if there is none yet.
    pub(crate) number: Option<String>,
    /// The paths of the new nodes, and how they are created.
    pub(crate) leases: Vec<String>,
    pub(crate) mode: CreateMode,
    /// The place in line, which is given up.
    pub(crate) place: String,
}

/// What a step came to.
#[derive(Debug)]
pub(crate) enum Answer {
    Entered { created: Result<Created, RequestError>, children: Result<Vec<String>, RequestError> },
    ParentMade(Result<(), RequestError>),
    Found(Result<Vec<String>, RequestError>),
    Adopted { node: Result<Node, RequestError>, session_id: i64 },
    Listed(Result<Vec<String>, RequestError>),
    Watched { ahead: Result<Node, RequestError>, own: Option<Result<Node, RequestError>> },
    Own(Result<Node, RequestError>),
    Removed(Result<(), RequestError>),
    Downgraded(Result<Vec<MultiResult>, RequestError>),
    Described(Result<(), RequestError>),

    Looked { number: Result<Node, RequestError>, children: Result<Vec<String>, RequestError> },
    Counted { number: Result<Node, RequestError>, leases: Result<Vec<String>, RequestError> },
    Taken(Result<Vec<MultiResult>, RequestError>),
    FoundLeases(Result<Vec<String>, RequestError>),
    OwnLeases(Result<Vec<Node>, RequestError>),
    Returned(Result<Vec<MultiResult>, RequestError>),
}

impl Answer {
    /// Whether the session turned out to be over before this claim had anything on it.
    pub(crate) fn wants_another_session(&self) -> bool {
        matches!(
            self,
            Answer::Entered { created: Err(RequestError::Over { .. }), .. }
                | Answer::ParentMade(Err(RequestError::Over { .. }))
                | Answer::Looked { number: Err(RequestError::Over { .. }), .. }
        )
    }
}

/// Where the machine is when there is nothing to ask just now.
#[derive(Debug)]
pub(crate) enum Spot {
    /// Admitted.
    Held(Token),
    /// Behind what is watched.
    Behind(Waiting),
    /// Without a place, for good.
    Gone(Loss),
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Do(Step),
    Done(Spot),
}
