//! What an import is asked for, and what it says of itself.

use super::state::Reject;
use std::path::PathBuf;

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The input.
    pub file: PathBuf,
    /// The mapping.
    pub mapping: PathBuf,
    /// The tenant; else the mapping's, else `default`.
    pub tenant: Option<String>,
    /// Where the state of imports is kept; none keeps it in memory.
    pub state_dir: Option<PathBuf>,
    /// The first row to publish, from 1; else all that no earlier import published, and what was
    /// rejected.
    pub from_row: Option<u64>,
    /// Publishes all rows, though an earlier import did.
    pub again: bool,
    /// Stops once more rows than this are rejected.
    pub max_rejects: u64,
    /// The largest batch, in records; a batch is what one acknowledgement covers.
    pub batch_records: usize,
    /// The largest batch, in bytes of keys and values.
    pub batch_bytes: usize,
}

impl Options {
    /// An import with the usual limits.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>, mapping: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            mapping: mapping.into(),
            tenant: None,
            state_dir: None,
            from_row: None,
            again: false,
            max_rejects: 10_000,
            batch_records: 10_000,
            batch_bytes: 4 << 20,
        }
    }
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows read.
    pub rows: u64,
    /// Of these, rows that an earlier import has published.
    pub skipped: u64,
    /// Rows rejected by this import.
    pub rejected: u64,
    /// Events published and acknowledged.
    pub events: u64,
    /// Bytes of the uncompressed content read.
    pub bytes: u64,
    /// Bytes of the uncompressed content.
    pub total_bytes: u64,
}

/// Why an import ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All rows were read.
    End,
    /// Too many rows were rejected.
    Rejects,
    /// It was told to stop; the next import goes on.
    Cancelled,
}

/// What an import did.
#[derive(Clone, Debug)]
pub struct Report {
    /// How far it came.
    pub progress: Progress,
    /// Why it ended.
    pub stop: Stop,
    /// Events published, by kind, in the order of the mapping.
    pub events: Vec<(&'static str, u64)>,
    /// Every row that is still rejected, also by earlier imports of the same content.
    pub rejects: Vec<Reject>,
    /// Where the rejects are kept.
    pub rejects_path: Option<PathBuf>,
}
