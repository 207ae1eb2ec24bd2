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
/// | keyspace or table missing or not agreed upon, no permission, wrong password, a guardrail | the same, with what to do |
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

/// Whether the nodes refuse what is written for its size: a key above 64 KiB, a mutation above half a commit log segment,
/// a value above a guardrail. They have no error code for it.
fn is_too_large(kind: &DbError, text: &str) -> bool {
    /// Said of a row or a request, by either kind of node.
    const OF_DATA: [&str; 9] = [
        "oversized mutation",
        "too large for the maximum size",
        "batch too large",
        "longer than maximum of",
        "key size too large",
        "key length of",
        "request size too large",
        "request is too big",
        "frame size exceeds",
    ];
    /// A guardrail of a value's size; others speak of disks, tables, consistency.
    const GUARDRAILS: [&str; 2] = ["_value_size violated", "guardrail column_value_size"];
    let text = text.to_ascii_lowercase();
    match kind {
        DbError::Invalid | DbError::ProtocolError | DbError::ServerError => {
            OF_DATA.iter().chain(&GUARDRAILS).any(|sign| text.contains(sign))
        }
        _ => false,
    }
}

/// What happened, and what an operator can do about it.
fn advice(kind: &DbError, text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    match kind {
        DbError::Invalid if lower.contains("guardrail") => {
            format!("a guardrail of the nodes refuses it ({text}): make room, or raise the guardrail that it names")
        }
        DbError::Invalid if lower.contains("timestamp") => {
            format!("the nodes refuse the time of a write ({text}): set their clocks; write times come from events")
        }
        DbError::Invalid => {
            format!("the nodes do not have the schema that this version expects ({text}): run `sporelog migrate up`")
        }
        DbError::SyntaxError | DbError::ConfigError => {
            format!(
                "the nodes do not take a statement of this version ({text}): use Cassandra 4 or ScyllaDB 5, or newer"
            )
        }
        DbError::Unauthorized => {
            format!("this user may not do that ({text}): grant it SELECT and MODIFY on the keyspace")
        }
        DbError::AuthenticationError => {
            format!("the nodes refuse the user ({text}): give scylla.user and scylla.password of one that may log in")
        }
        DbError::Unavailable { required, alive, .. } => {
            format!("{alive} copies are alive, and {required} must answer ({text}): start the nodes that are down")
        }
        DbError::Overloaded | DbError::RateLimitReached { .. } => {
            format!("the nodes have too much to do ({text}): lower scylla.max_in_flight_statements, or add nodes")
        }
        DbError::IsBootstrapping => format!("a node is starting ({text})"),
        DbError::TruncateError => format!("a table is being truncated ({text})"),
        DbError::WriteFailure { .. } | DbError::ReadFailure { .. } => {
            format!("a node failed at it ({kind}: {text}): look at the nodes' logs")
        }
        DbError::ServerError if lower.contains("schema") => {
            format!("the nodes do not agree on the schema ({text}): wait, or look at `nodetool describecluster`")
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

    /// I7: what waiting or an operator mends is no refusal, however much it sounds like one.
    #[test]
    fn what_sounds_like_size_and_is_not_of_a_row_is_waited_for() {
        let cases = [
            (DbError::ServerError, "the operation took too long", "too long"),
            (DbError::ServerError, "java.lang.OutOfMemoryError: too big a heap", "heap"),
            (DbError::Overloaded, "request queue too large", "max_in_flight_statements"),
            (DbError::Invalid, "Guardrail data_disk_usage violated: disk usage exceeds failure threshold", "make room"),
            (DbError::Invalid, "Cannot provide a timestamp more than 3 days into the future", "set their clocks"),
            (DbError::Invalid, "Undefined column name resonance", "sporelog migrate up"),
            (DbError::Invalid, "Expected 8 or 0 byte long (4)", "sporelog migrate up"),
            (DbError::TruncateError, "Cannot achieve consistency", "truncated"),
            (DbError::IsBootstrapping, "bootstrapping", "starting"),
            (DbError::ServerError, "schema agreement not reached", "describecluster"),
            (DbError::ConfigError, "keyspace is read-only", "Cassandra 4"),
        ];
        for (kind, text, advice) in cases {
            let error = answered(kind, text);
            let StoreError::Unavailable(said) = &error else { panic!("{error}") };
            assert!(said.contains(text) && said.contains(advice), "{said}");
        }
        let few = DbError::Unavailable { consistency: Consistency::LocalQuorum, required: 2, alive: 1 };
        assert!(answered(few, "").to_string().contains("1 copies are alive, and 2 must answer"));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let cases = [
            (DbError::Invalid, "Key length of 70004 is longer than maximum of 65535"),
            (DbError::Invalid, "Rejected an oversized mutation (15000368/4194304) for keyspace: k"),
            (DbError::ServerError, "Encountered an oversized mutation (33/16) for keyspace: k"),
            (DbError::ServerError, "Mutation of 17000000 bytes is too large for the maximum size of 16777216"),
            (DbError::Invalid, "Batch too large"),
            (DbError::Invalid, "Request is too big: length 17000171 exceeds maximum allowed length 16777216."),
            (DbError::Invalid, "Key size too large: 70000 > 65535"),
            (DbError::Invalid, "request size too large (want 200000000, max 100000000)"),
            (DbError::Invalid, "Guardrail column_value_size violated: Value of column 'content' has size 5MiB"),
            (DbError::Invalid, "Guardrail column_text_and_varchar_value_size violated: Value of column content"),
        ];
        for (kind, text) in cases {
            assert!(matches!(answered(kind, text), StoreError::Refused(_)), "{text}");
        }
    }
}
