//! SQLite's errors, sorted by what the worker must do about them (I7).

use pipeline::StoreError;
use rusqlite::{Error, ErrorCode};

/// Sorts an error of SQLite.
///
/// | SQLite says | the worker |
/// |---|---|
/// | busy, locked, I/O, full, cannot open, out of memory | backs off and tries again |
/// | constraint, mismatch, too big | folds the batch again in halves |
/// | damaged, not a database, wrong schema, read-only, anything else | stops, with what to do |
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
        | ErrorCode::SystemIoFailure
        | ErrorCode::DiskFull
        | ErrorCode::CannotOpen
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::OperationInterrupted
        | ErrorCode::OperationAborted
        | ErrorCode::OutOfMemory => StoreError::Unavailable(error.to_string()),
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig => {
            StoreError::Refused(error.to_string())
        }
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            StoreError::Fatal(format!("the store cannot be written ({error}): give this user write access to its file"))
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => damaged(error),
        ErrorCode::SchemaChanged | ErrorCode::Unknown => StoreError::Fatal(format!(
            "the store does not have the tables that this version expects ({error}): \
             start the version that wrote it, or move the file away and start again: the store is rebuilt from the log"
        )),
        _ => StoreError::Fatal(format!("the store failed: {error}")),
    }
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
