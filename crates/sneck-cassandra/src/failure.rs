//! What a failed statement means for a lock.

use scylla::errors::{
    BadQuery, ConnectionError, ConnectionPoolError, ConnectionSetupRequestError,
    ConnectionSetupRequestErrorKind, DbError, ExecutionError, NewSessionError, PrepareError,
    RequestAttemptError,
};
use sneck_core::{Error, ErrorKind};
use std::error::Error as StdError;

/// A statement that has no result.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) fate: Fate,
}

/// What became of the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was not sent, or was refused before anything was done.
    NotDone,
    /// The coordinator could not tell in time. It may have been applied, or be applied by whoever
    /// touches the partition next.
    Undecided,
    /// The coordinator said nothing. It may still do it, at any time.
    Silent,
}

impl Failure {
    /// What a failed execution means; `doing` says what was being done.
    pub(crate) fn of(error: &ExecutionError, doing: &str) -> Failure {
        let (kind, fate, hint) = match error {
            ExecutionError::RequestTimeout(_) => (ErrorKind::Unavailable, Fate::Silent, None),
            ExecutionError::LastAttemptError(attempt) => of_attempt(attempt),
            ExecutionError::ConnectionPoolError(pool) => (of_pool(pool), Fate::NotDone, None),
            ExecutionError::EmptyPlan => (ErrorKind::Unavailable, Fate::NotDone, None),
            ExecutionError::PrepareError(error) => (of_prepare(error), Fate::NotDone, None),
            ExecutionError::BadQuery(BadQuery::SerializationError(_)) => {
                (ErrorKind::Internal, Fate::NotDone, None)
            }
            _ => (ErrorKind::Unavailable, Fate::Undecided, None),
        };
        let mut failure = Error::new(kind, format!("{doing}: {}", text(error)));
        if let Some(hint) = hint.or_else(|| tablets_hint(error)) {
            failure = failure.with_hint(hint);
        }
        if fate != Fate::NotDone {
            failure = failure.with_unknown_outcome();
        }
        Failure { error: failure, fate }
    }

    /// For an answer that does not have the form it must have.
    pub(crate) fn strange(doing: &str, what: &str) -> Failure {
        let text = format!("{doing}: {what}");
        let error = Error::new(ErrorKind::Protocol, text).with_unknown_outcome();
        Failure { error, fate: Fate::Undecided }
    }
}

type Meaning = (ErrorKind, Fate, Option<&'static str>);

fn of_attempt(error: &RequestAttemptError) -> Meaning {
    match error {
        RequestAttemptError::DbError(error, _) => of_server(error),
        RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_) => {
            (ErrorKind::Internal, Fate::NotDone, None)
        }
        RequestAttemptError::UnableToAllocStreamId => (ErrorKind::Unavailable, Fate::NotDone, None),
        // A broken connection, or an answer that cannot be read.
        _ => (ErrorKind::Unavailable, Fate::Silent, None),
    }
}

fn of_server(error: &DbError) -> Meaning {
    match error {
        DbError::Unauthorized => (
            ErrorKind::Denied,
            Fate::NotDone,
            Some("grant SELECT and MODIFY on the table to this user"),
        ),
        DbError::AuthenticationError => (ErrorKind::Denied, Fate::NotDone, None),
        DbError::Invalid | DbError::ConfigError => (ErrorKind::Refused, Fate::NotDone, None),
        DbError::SyntaxError | DbError::ProtocolError => {
            (ErrorKind::Protocol, Fate::NotDone, Some("sneck needs Cassandra 3.0.24 or later"))
        }
        // Even `Unavailable` is no certain no: a round of Paxos may have been begun, and found too few
        // replicas alive only when it was to be finished.
        _ => (ErrorKind::Unavailable, Fate::Undecided, None),
    }
}

fn tablets_hint(error: &ExecutionError) -> Option<&'static str> {
    let refused = error.to_string().to_ascii_lowercase();
    let tablets = refused.contains("tablets") && refused.contains("lwt");
    tablets.then_some(
        "this ScyllaDB has no conditional statements in keyspaces with tablets; create the keyspace \
         WITH tablets = {'enabled': false}",
    )
}

/// What a session that cannot be opened means.
pub(crate) fn of_connect(error: &NewSessionError) -> Error {
    let failure = Error::new(kind_of_connect(error), format!("cannot connect: {}", text(error)));
    match failure.kind() {
        ErrorKind::Denied => failure.with_hint("check user and password in the URL"),
        ErrorKind::Protocol => {
            failure.with_hint("check host and port; sneck speaks version 4 of the native protocol")
        }
        _ => failure,
    }
}

fn kind_of_connect(error: &(dyn StdError + 'static)) -> ErrorKind {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(pool) = error.downcast_ref::<ConnectionPoolError>() {
            return of_pool(pool);
        }
        if let Some(connection) = error.downcast_ref::<ConnectionError>() {
            return of_connection(connection);
        }
        if let Some(NewSessionError::IllegalConfig(_)) = error.downcast_ref() {
            return ErrorKind::Invalid;
        }
        at = error.source();
    }
    ErrorKind::Unavailable
}

fn of_pool(error: &ConnectionPoolError) -> ErrorKind {
    match error {
        ConnectionPoolError::Broken { last_connection_error } => {
            of_connection(last_connection_error)
        }
        _ => ErrorKind::Unavailable,
    }
}

fn of_connection(error: &ConnectionError) -> ErrorKind {
    match error {
        ConnectionError::ConnectionSetupRequestError(setup) => of_setup(setup),
        _ => ErrorKind::Unavailable,
    }
}

/// Who was reached, and answered, but not as it must be.
fn of_setup(error: &ConnectionSetupRequestError) -> ErrorKind {
    match &error.error {
        ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, _)
        | ConnectionSetupRequestErrorKind::DbError(DbError::Unauthorized, _)
        | ConnectionSetupRequestErrorKind::StartAuthSessionError(_)
        | ConnectionSetupRequestErrorKind::AuthChallengeEvaluationError(_)
        | ConnectionSetupRequestErrorKind::AuthFinishError(_)
        | ConnectionSetupRequestErrorKind::MissingAuthentication => ErrorKind::Denied,
        ConnectionSetupRequestErrorKind::DbError(
            DbError::Overloaded | DbError::IsBootstrapping | DbError::ServerError,
            _,
        )
        | ConnectionSetupRequestErrorKind::UnableToAllocStreamId => ErrorKind::Unavailable,
        _ => ErrorKind::Protocol,
    }
}

pub(crate) fn of_prepare(error: &PrepareError) -> ErrorKind {
    match error {
        PrepareError::ConnectionPoolError(pool) => of_pool(pool),
        PrepareError::AllAttemptsFailed { first_attempt } => of_attempt(first_attempt).0,
        _ => ErrorKind::Protocol,
    }
}

/// One line without control characters, and not without end: servers may say what they like.
pub(crate) fn text(error: &dyn StdError) -> String {
    const TEXT_MAX: usize = 400;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let text = error.to_string();
    let cut = if text.chars().count() > TEXT_MAX { "..." } else { "" };
    text.chars().take(TEXT_MAX).map(clean).collect::<String>() + cut
}
