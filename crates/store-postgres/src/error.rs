//! Postgres' errors, sorted by what the worker must do about them (I7).

use deadpool_postgres::{PoolError, TimeoutType};
use pipeline::StoreError;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

/// Sorts an error.
///
/// | Postgres says | the worker |
/// |---|---|
/// | data exception (22), constraint (23), program limit (54) | folds the batch again in halves |
/// | anything else, and every lost connection | backs off, tries again, and says what an operator can do |
///
/// Nothing is fatal: what is missing (a table, a grant, disk) may be there at the next attempt.
pub(crate) fn store_error(error: &Error) -> StoreError {
    match error.as_db_error() {
        None => StoreError::Unavailable(with_cause(error)),
        Some(said) if matches!(&said.code().code()[..2], "22" | "23" | "54") => StoreError::Refused(told(said)),
        Some(said) => match what_to_do(said.code().code()) {
            "" => StoreError::Unavailable(told(said)),
            advice => StoreError::Unavailable(format!("{advice} ({})", told(said))),
        },
    }
}

/// Sorts an error of COMMIT. A refusal means that nothing was committed; a session that ended, or no reply at all,
/// says nothing about it.
pub(crate) fn commit_error(error: &Error) -> StoreError {
    match error.as_db_error() {
        Some(said) if matches!(said.parsed_severity(), Some(Severity::Error)) => store_error(error),
        Some(said) => StoreError::Unknown(told(said)),
        None => StoreError::Unknown(with_cause(error)),
    }
}

/// Sorts an error of the pool of connections to `place`.
pub(crate) fn pool_error(error: &PoolError, place: &str) -> StoreError {
    const ADVICE: &str = "check that the server of postgres.url is up and can be reached from here";
    match error {
        PoolError::Backend(error) if error.as_db_error().is_none() => {
            StoreError::Unavailable(format!("no connection to postgres at {place}: {}: {ADVICE}", with_cause(error)))
        }
        PoolError::Timeout(TimeoutType::Create) => {
            StoreError::Unavailable(format!("no answer from postgres at {place} in time: {ADVICE}"))
        }
        PoolError::Backend(error) => store_error(error),
        PoolError::Timeout(_) => {
            StoreError::Unavailable("no connection of the pool became free in time: raise postgres.pool_max".to_owned())
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// No reply within the time that the server allows itself.
pub(crate) fn no_reply() -> String {
    "no reply within the statement timeout and five seconds".to_owned()
}

fn what_to_do(code: &str) -> &'static str {
    match code {
        "40P01" => "two transactions waited for each other, and this one was ended",
        "40001" => "another transaction was first",
        "55P03" => "another transaction holds the lock",
        "57014" => "the statement took longer than postgres.statement_timeout_ms",
        "25P03" => "the transaction stood idle longer than postgres.idle_in_transaction_timeout_ms",
        "53100" => "the server's disk is full: free some space",
        "53300" => "the server has no connection left: raise its max_connections or lower postgres.pool_max",
        "25006" => "the server only reads: it is a standby, or switching over",
        "57P03" => "the server is starting up or recovering",
        "57P01" | "57P02" => "the server is shutting down",
        "3D000" => "the database does not exist: create it, or correct postgres.url",
        "28000" | "28P01" => "the server does not let this user in: correct postgres.url or pg_hba.conf",
        "42501" => "this user may not do that: GRANT sporelog_worker TO it",
        "3F000" | "42P01" | "42703" | "42883" | "42704" => {
            "the database lacks what this version expects: run `sporelog migrate up`"
        }
        _ => "",
    }
}

/// What the server said, without values of the row (they may be personal).
fn told(error: &DbError) -> String {
    let mut text = format!("{}, SQLSTATE {}", error.message(), error.code().code());
    for (name, value) in [
        ("table", error.table()),
        ("column", error.column()),
        ("constraint", error.constraint()),
        ("hint", error.hint()),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(", {name} {value}"));
        }
    }
    text
}

fn with_cause(error: &Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Results of the driver, with their errors sorted.
pub(crate) trait Sorted<T> {
    /// Sorts the error, if there is one.
    fn sorted(self) -> Result<T, StoreError>;
}

impl<T> Sorted<T> for Result<T, Error> {
    fn sorted(self) -> Result<T, StoreError> {
        self.map_err(|error| store_error(&error))
    }
}
