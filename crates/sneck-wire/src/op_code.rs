//! The numbers of the operations, and their names.

use std::fmt;

use crate::DecodeError;

/// Declares the operations once, so that number, name and conversion cannot drift apart.
macro_rules! op_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $name:literal;)*) => {
        /// What a request asks for, by its number on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum OpCode {
            $($(#[$doc])* $variant = $code,)*
        }

        impl OpCode {
            /// Every operation, in no promised order.
            pub const ALL: &'static [OpCode] = &[$(Self::$variant,)*];

            /// The name ZooKeeper's own documentation uses, such as `getChildren2`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl TryFrom<i32> for OpCode {
            type Error = DecodeError;

            /// # Errors
            /// [`DecodeError::UnknownOp`].
            fn try_from(code: i32) -> Result<Self, DecodeError> {
                match code {
                    $($code => Ok(Self::$variant),)*
                    _ => Err(DecodeError::UnknownOp(code)),
                }
            }
        }
    };
}

op_codes! {
    /// A watch event; only ever sent by a server, and never as an operation.
    Notification = 0, "notification";
    /// Create a node; answers its path.
    Create = 1, "create";
    /// Delete a node.
    Delete = 2, "delete";
    /// Read a node's stat, or learn that there is no node.
    Exists = 3, "exists";
    /// Read a node's data and stat.
    GetData = 4, "getData";
    /// Replace a node's data.
    SetData = 5, "setData";
    /// Read a node's access list and stat.
    GetAcl = 6, "getACL";
    /// Replace a node's access list.
    SetAcl = 7, "setACL";
    /// List a node's children.
    GetChildren = 8, "getChildren";
    /// Wait until the server has caught up with the leader.
    Sync = 9, "sync";
    /// Keep the session alive.
    Ping = 11, "ping";
    /// List a node's children and read its stat.
    GetChildren2 = 12, "getChildren2";
    /// Compare a node's version; only meaningful inside a multi.
    Check = 13, "check";
    /// Several writes, all or none.
    Multi = 14, "multi";
    /// Create a node; answers its path and stat.
    Create2 = 15, "create2";
    /// Change the members of the ensemble.
    Reconfig = 16, "reconfig";
    /// Ask whether a watch is set.
    CheckWatches = 17, "checkWatches";
    /// Remove a watch.
    RemoveWatches = 18, "removeWatches";
    /// Create a node that the server deletes once its last child is gone.
    CreateContainer = 19, "createContainer";
    /// Delete an empty container; servers do it themselves, clients never ask.
    DeleteContainer = 20, "deleteContainer";
    /// Create a node that the server deletes when it is old and childless.
    CreateTtl = 21, "createTTL";
    /// Several reads at once.
    MultiRead = 22, "multiRead";
    /// Add an identity to the connection.
    Auth = 100, "auth";
    /// Set one-shot watches again after a reconnect.
    SetWatches = 101, "setWatches";
    /// One step of a SASL exchange.
    Sasl = 102, "sasl";
    /// List the session's ephemeral nodes.
    GetEphemerals = 103, "getEphemerals";
    /// Count all descendants of a node.
    GetAllChildrenNumber = 104, "getAllChildrenNumber";
    /// Set one-shot and persistent watches again after a reconnect.
    SetWatches2 = 105, "setWatches2";
    /// Set a persistent watch.
    AddWatch = 106, "addWatch";
    /// List the identities of the connection.
    WhoAmI = 107, "whoAmI";
    /// Open a session; a number for logs, as the handshake has no request header.
    CreateSession = -10, "createSession";
    /// Close the session.
    CloseSession = -11, "closeSession";
}

impl OpCode {
    /// The number on the wire.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// Whether clients write nodes with it, so that the leader and a quorum of its followers decide on it. On the
    /// beginning and the end of a session they decide, too, but neither is one of these.
    pub const fn is_write(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Create2
                | Self::CreateContainer
                | Self::CreateTtl
                | Self::Delete
                | Self::SetData
                | Self::SetAcl
                | Self::Multi
        )
    }
}

impl From<OpCode> for i32 {
    fn from(op: OpCode) -> i32 {
        op.code()
    }
}

impl fmt::Display for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_convert_both_ways() {
        for &op in OpCode::ALL {
            assert_eq!(OpCode::try_from(op.code()), Ok(op));
        }
        assert_eq!(OpCode::try_from(10), Err(DecodeError::UnknownOp(10)));
    }

    #[test]
    fn the_numbers_are_zookeepers() {
        let numbers: Vec<i32> = OpCode::ALL.iter().map(|op| op.code()).collect();
        let expected: Vec<i32> =
            (0..=9).chain(11..=22).chain(100..=107).chain([-10, -11]).collect();
        assert_eq!(numbers, expected);
        // Within the ranges two could still have changed places.
        let named = [
            (OpCode::SetData, 5),
            (OpCode::GetChildren2, 12),
            (OpCode::Create2, 15),
            (OpCode::RemoveWatches, 18),
            (OpCode::CreateContainer, 19),
            (OpCode::CreateTtl, 21),
            (OpCode::SetWatches, 101),
            (OpCode::GetEphemerals, 103),
            (OpCode::SetWatches2, 105),
            (OpCode::CloseSession, -11),
        ];
        for (op, number) in named {
            assert_eq!(op.code(), number, "{op}");
        }
    }
}
