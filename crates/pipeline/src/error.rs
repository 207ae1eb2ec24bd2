//! What can go wrong at the ports, sorted by what the worker must do about it.

use crate::ports::Placed;
use domain::TopicPartition;
use thiserror::Error;

/// An error of the log.
#[derive(Debug, Error)]
pub enum LogError {
    /// The log is down or slow: back off and try again (I7).
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// The partition is no longer this member's: what was in flight for it is discarded.
    #[error("{0} is not assigned to this member any more")]
    NotOwner(TopicPartition),
    /// The log refuses the record itself, for example its size.
    #[error("the log refuses the record: {0}")]
    Refused(String),
    /// A setting of one topic would change what is stored: its partitions are parked until it is mended.
    #[error("{0}")]
    Setting(String),
    /// Nothing that a retry mends, and no matter of one partition: the message says what to do.
    #[error("{0}")]
    Fatal(String),
}

/// Records that were not published, or not all of them.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct Unpublished {
    /// Why.
    #[source]
    pub error: LogError,
    /// The place of the record that the log refuses, where it is one record's fault.
    pub refused: Option<usize>,
    /// Where each record went, as far as it was taken: of each partition a beginning. Shorter than the records, or empty,
    /// where the rest was not taken.
    pub placed: Vec<Option<Placed>>,
}

impl From<LogError> for Unpublished {
    fn from(error: LogError) -> Self {
        Self { error, refused: None, placed: Vec::new() }
    }
}

/// An error of a store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The store is down, slow, deadlocked or full: back off and try again (I7).
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store refuses the batch for its content, by a code that speaks of a row's data and of nothing that an operator
    /// can mend: it is folded again in halves down to the bad record (I7).
    #[error("the store refuses the batch: {0}")]
    Refused(String),
    /// Another worker claimed these partitions: every uncommitted fold and cached row is discarded (I3).
    #[error("another worker has claimed {} of the partitions, {} among them", .0.len(), .0.first().map_or(String::new(), ToString::to_string))]
    Fenced(Vec<TopicPartition>),
    /// The reply to a commit was lost: the position tells whether it happened.
    #[error("the reply to a commit was lost: {0}")]
    Unknown(String),
    /// The transaction was rolled back, since [`crate::Flush::before_commit`] failed.
    #[error("rolled back, since what had to be published before was not")]
    Aborted,
    /// Nothing that a retry mends: the message says what to do.
    #[error("{0}")]
    Fatal(String),
}
