//! SQLite's errors, sorted by what the worker must do about them (I7).

use pipeline::StoreError;
use rusqlite::{Error, ErrorCode, ffi};

/// Sorts an error of SQLite.
///
/// | SQLite says | the worker |
/// |---|---|
/// | busy, locked, I/O, out of memory | backs off and tries again |
/// | full, read-only, cannot open, no permission, no such table, a constraint of our own tables | the same; the message says what to mend |
/// | damaged, not a database, anything else | stops, with what to do |
///
/// Nothing here speaks of a row's data: see [`row_error`].
pub(super) fn store_error(error: &Error) -> StoreError {
    let Some(code) = error.sqlite_error_code() else {
        return match error {
            Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) => damaged(error),
            _ => StoreError::Fatal(format!("the store gave an unexpected answer: {error}")),
        };
    };
    match code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::OperationInterrupted
        | ErrorCode::OperationAborted
        | ErrorCode::OutOfMemory => StoreError::Unavailable(error.to_string()),
        ErrorCode::SystemIoFailure => mend(error, "look at the disk and at the system's log"),
        ErrorCode::DiskFull => mend(error, "free disk space"),
        ErrorCode::CannotOpen => mend(error, "see that its folder exists and that this user may read and write it"),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => mend(
            error,
            "give this user write access to its file and folder, on a file system that is mounted for writing",
        ),
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig => mend(
            error,
            "its positions are kept in tables of sporelog's own: take away whatever was added to them, such as a \
             trigger, or restore the file",
        ),
        ErrorCode::SchemaChanged | ErrorCode::Unknown => mend(
            error,
            "it does not have the tables that this version expects: restore them, or stop, move the file away with its \
             -wal and -shm and start again: the store is rebuilt from the log",
        ),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => damaged(error),
        _ => StoreError::Fatal(format!("the store failed: {error}")),
    }
}

/// Sorts an error of a statement that writes one row of `table`, a projection's. Only a code that
/// speaks of the row's data is a refusal: a value of another type than the column's, none where
/// there must be one, one that is too long.
pub(super) fn row_error(table: &str, error: &Error) -> StoreError {
    match error.sqlite_error() {
        Some(ffi::Error { code: ErrorCode::TypeMismatch | ErrorCode::TooBig, .. }) => {
            StoreError::Refused(error.to_string())
        }
        Some(ffi::Error { code: ErrorCode::ConstraintViolation, extended_code }) => {
            let of_data = matches!(*extended_code, ffi::SQLITE_CONSTRAINT_NOTNULL | ffi::SQLITE_CONSTRAINT_DATATYPE);
            // SQLite names the column. One of another table is a trigger's doing; other constraints
            // our tables have none.
            let text = error.to_string();
            let is_of_table = |word: &str| word.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
            if of_data && text.split_whitespace().any(is_of_table) {
                return StoreError::Refused(text);
            }
            mend(
                error,
                "a constraint, a unique index or a trigger that sporelog did not make refuses rows: take it away",
            )
        }
        _ => store_error(error),
    }
}

fn mend(error: &Error, remedy: &str) -> StoreError {
    StoreError::Unavailable(format!("{error}: {remedy}"))
}

fn damaged(error: &Error) -> StoreError {
    StoreError::Fatal(format!(
        "the store is damaged ({error}): stop every sporelog process, move the file away with its -wal and -shm, \
         and start again: the store is rebuilt from the log"
    ))
}

/// Calls on SQLite, with its errors sorted.
pub(super) trait Sorted<T> {
    /// Sorts the error, if there is one.
    fn sorted(self) -> Result<T, StoreError>;
}

impl<T> Sorted<T> for rusqlite::Result<T> {
    fn sorted(self) -> Result<T, StoreError> {
        self.map_err(|error| store_error(&error))
    }
}
