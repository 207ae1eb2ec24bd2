//! What can go wrong with an import as a whole. A bad row is no error: it is a [`super::Reject`].
//!
//! Messages are complete: they name their cause, and give none besides that would be printed again.

use pipeline::LogError;
use std::path::PathBuf;
use thiserror::Error;

/// A mistake in a mapping, at a line of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct MappingError {
    /// The line of the mapping, from 1.
    pub line: usize,
    /// What is wrong there, and what would be right.
    pub reason: String,
}

/// An import that cannot start or go on.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The mapping is wrong.
    #[error("mapping {}, {error}", path.display())]
    Mapping {
        /// The mapping's file.
        path: PathBuf,
        /// The mistake.
        error: MappingError,
    },
    /// A file cannot be read or written.
    #[error("{action} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// The input is not a file of its format.
    #[error("{}, line {line}: {reason}", path.display())]
    Format {
        /// The input.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The input changed between the pass that hashes it and the pass that reads it.
    #[error("{} changed while it was imported: import it again", .0.display())]
    Changed(PathBuf),
    /// The schemas of this build cannot be used, or the log cannot be reached at all.
    #[error(transparent)]
    Publish(#[from] LogError),
    /// The log did not acknowledge a batch; it may hold a beginning of it.
    #[error(
        "rows {first} to {last} are not acknowledged: {error}; import the file again once the log is there: it goes on with them, and what the log took of them counts once"
    )]
    Unacknowledged {
        /// The first row of the batch, from 1.
        first: u64,
        /// The last one.
        last: u64,
        /// Why not.
        error: LogError,
    },
    /// The state of an earlier import of this file cannot be read.
    #[error("{} is not readable as the state of an import ({reason}); remove it to begin again: what the log holds already is not doubled", path.display())]
    State {
        /// The state file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl ImportError {
    pub(crate) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |cause| Self::Io { action, path, cause }
    }
}
