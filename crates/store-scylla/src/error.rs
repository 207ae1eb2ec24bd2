//! The driver's errors, sorted by what the worker must do about them (I7).

use pipeline::StoreError;
use scylla::errors::{
    BadQuery, DbError, ExecutionError, NewSessionError, NextPageError, NextRowError, PagerExecutionError, PrepareError,
    RequestAttemptError,
};

/// Sorts the failure of a request.
///
/// | what happened | the worker |
/// |---|---|
/// | node down, connection cut, timeout, overload, too few copies alive | backs off and tries again |
/// | keyspace or table missing, no permission, wrong password | the same, with what to do |
/// | a value or a row that is too large, a value that does not fit its column | folds the batch again in halves |
///
/// Whatever else a node calls invalid is taken for a difference of schema, not for bad data: an outage must never turn
/// into dead letters.
pub(crate) fn request_error(error: &ExecutionError) -> StoreError {
    match error {
        ExecutionError::BadQuery(BadQuery::SerializationError(_) | BadQuery::ValuesTooLongForKey(..)) => {
            StoreError::Refused(error.to_string())
        }
        ExecutionError::LastAttemptError(attempt) => attempt_error(attempt),
        ExecutionError::PrepareError(prepare) => prepare_error(prepare),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Sorts the failure of one attempt.
pub(crate) fn attempt_error(error: &RequestAttemptError) -> StoreError {
    match error {
        RequestAttemptError::SerializationError(_) | RequestAttemptError::CqlRequestSerialization(_) => {
            StoreError::Refused(error.to_string())
        }
        RequestAttemptError::DbError(kind, text) if is_too_large(kind, text) => StoreError::Refused(text.clone()),
        RequestAttemptError::DbError(kind, text) => StoreError::Unavailable(advice(kind, text)),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Sorts a failure to prepare a statement: data has no part in it.
pub(crate) fn prepare_error(error: &PrepareError) -> StoreError {
    match error {
        PrepareError::AllAttemptsFailed { first_attempt: RequestAttemptError::DbError(kind, text) } => {
            StoreError::Unavailable(advice(kind, text))
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Sorts a failure to read on.
pub(crate) fn pager_error(error: &PagerExecutionError) -> StoreError {
    match error {
        PagerExecutionError::PrepareError(prepare) => prepare_error(prepare),
        PagerExecutionError::NextPageError(NextPageError::RequestFailure(failure)) => {
            request_error(&failure.clone().into_execution_error())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Sorts a failure to read the next row.
pub(crate) fn row_error(error: &NextRowError) -> StoreError {
    match error {
        NextRowError::NextPageError(NextPageError::RequestFailure(failure)) => {
            request_error(&failure.clone().into_execution_error())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Sorts a failure to connect.
pub(crate) fn connect_error(nodes: &[String], error: &NewSessionError) -> StoreError {
    let text = error.to_string();
    let what_to_do = if text.contains("uthenticat") || text.contains("credentials") {
        ": give scylla.user and scylla.password of a user that may log in"
    } else {
        ""
    };
    StoreError::Unavailable(format!("no connection to {}: {text}{what_to_do}", nodes.join(", ")))
}

/// Whether the nodes refuse what is written for its size. They have no error code for it.
fn is_too_large(kind: &DbError, text: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "oversized",
        "too large",
        "too big",
        "too long",
        "longer than maximum",
        "exceeds maximum",
        "exceeds the maximum",
    ];
    let invalid = matches!(kind, DbError::Invalid | DbError::ProtocolError | DbError::ServerError);
    let text = text.to_ascii_lowercase();
    invalid && SIGNS.iter().any(|sign| text.contains(sign))
}

fn advice(kind: &DbError, text: &str) -> String {
    match kind {
        DbError::Invalid => {
            format!("the nodes do not have the schema that this version expects ({text}): run `sporelog migrate up`")
        }
        DbError::Unauthorized => {
            format!("this user may not do that ({text}): grant it SELECT and MODIFY on the keyspace")
        }
        DbError::AuthenticationError => {
            format!("the nodes refuse the user ({text}): give scylla.user and scylla.password of one that may log in")
        }
        _ => format!("{kind} ({text})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scylla::errors::{BrokenConnectionErrorKind, WriteType};
    use scylla::statement::Consistency;
    use std::time::Duration;

    fn answered(kind: DbError, text: &str) -> StoreError {
        request_error(&ExecutionError::LastAttemptError(RequestAttemptError::DbError(kind, text.to_owned())))
    }

    #[test]
    fn outages_are_waited_for() {
        let timeout = DbError::WriteTimeout {
            consistency: Consistency::LocalQuorum,
            received: 1,
            required: 2,
            write_type: WriteType::Simple,
        };
        let few = DbError::Unavailable { consistency: Consistency::LocalQuorum, required: 2, alive: 1 };
        let broken = BrokenConnectionErrorKind::KeepaliveTimeout(std::net::Ipv4Addr::LOCALHOST.into()).into();
        let errors = [
            answered(timeout, "timed out"),
            answered(few, "cannot achieve consistency"),
            answered(DbError::Overloaded, "too many requests"),
            answered(DbError::IsBootstrapping, ""),
            answered(DbError::ServerError, "java.lang.RuntimeException"),
            request_error(&ExecutionError::RequestTimeout(Duration::from_secs(1))),
            request_error(&ExecutionError::EmptyPlan),
            request_error(&ExecutionError::LastAttemptError(RequestAttemptError::BrokenConnectionError(broken))),
            request_error(&ExecutionError::LastAttemptError(RequestAttemptError::UnableToAllocStreamId)),
        ];
        for error in errors {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        }
    }

    #[test]
    fn what_an_operator_must_mend_says_how() {
        let cases = [
            (DbError::Invalid, "unconfigured table records_v1_spores", "sporelog migrate up"),
            (DbError::Unauthorized, "User a has no MODIFY permission", "grant"),
            (DbError::AuthenticationError, "Provided username a and/or password are incorrect", "scylla.password"),
        ];
        for (kind, text, advice) in cases {
            let error = answered(kind, text);
            let StoreError::Unavailable(said) = &error else { panic!("{error}") };
            assert!(said.contains(text) && said.contains(advice), "{said}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let texts = [
            "Key length of 70004 is longer than maximum of 65535",
            "Rejected an oversized mutation (15000368/4194304) for keyspace: k",
            "Batch too large",
        ];
        for text in texts {
            assert!(matches!(answered(DbError::Invalid, text), StoreError::Refused(_)), "{text}");
        }
    }
}
