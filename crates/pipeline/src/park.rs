//! Parked partitions: trouble of one partition stops that partition alone (I7).
//!
//! A parked partition is neither read nor committed. It stays assigned, so that nobody else takes it over into the same
//! trouble, and it is tried again with a long back-off; leaving is a claim, which looks at everything anew.

use crate::position::{LastRecord, LogIdentity, ParkNote};
use domain::TopicPartition;
use std::fmt;

/// Why a partition is parked. A closed set: its labels are labels of metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParkCause {
    /// The position lies outside the log.
    OutOfRange {
        /// The first offset in the log.
        start: i64,
        /// The log's end.
        end: i64,
    },
    /// The position belongs to another log: another cluster, or a topic that was made again (I2).
    AnotherLog {
        /// The log of the position.
        stored: LogIdentity,
        /// The log that is there.
        found: LogIdentity,
    },
    /// The log was cut and written anew: the record before the position is another one (I2).
    AnotherRecord {
        /// The record that the projection passed.
        passed: LastRecord,
        /// The first record that the log holds from there on.
        found: LastRecord,
    },
    /// The topic has another number of partitions than the position was made with: keys lie elsewhere (I9).
    PartitionCount {
        /// The number that is stored with the position.
        stored: u32,
        /// The number that the topic has.
        found: u32,
    },
    /// The log gives something that cannot be read: a damaged or oversized batch.
    Unreadable(String),
    /// The end of the log is ahead, and neither a record nor a passed offset comes.
    Stalled(String),
    /// The log refuses the dead letter of the record at the position (I6).
    LetterRefused(String),
    /// A setting of the topic would change what is stored: what it is, and what to do.
    Setting(String),
}

impl ParkCause {
    /// Every label.
    pub const LABELS: [&str; 8] = [
        "out_of_range",
        "another_log",
        "another_record",
        "partition_count",
        "unreadable",
        "stalled",
        "letter_refused",
        "setting",
    ];

    /// The label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            ParkCause::OutOfRange { .. } => "out_of_range",
            ParkCause::AnotherLog { .. } => "another_log",
            ParkCause::AnotherRecord { .. } => "another_record",
            ParkCause::PartitionCount { .. } => "partition_count",
            ParkCause::Unreadable(_) => "unreadable",
            ParkCause::Stalled(_) => "stalled",
            ParkCause::LetterRefused(_) => "letter_refused",
            ParkCause::Setting(_) => "setting",
        }
    }
}

/// A partition that is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The projection.
    pub projection: &'static str,
    /// The partition.
    pub tp: TopicPartition,
    /// The offset at which it stands.
    pub offset: i64,
    /// Why.
    pub cause: ParkCause,
    /// Since when, in us.
    pub since_us: i64,
}

impl Parked {
    /// What is kept for those who look from outside.
    #[must_use]
    pub fn note(&self) -> ParkNote {
        let cause = self.cause.label().to_owned();
        ParkNote { cause, offset: self.offset, text: self.to_string(), since_us: self.since_us }
    }

    /// The order by which an operator leaves an offset behind.
    fn skip(&self, to: &str) -> String {
        let Self { projection, tp, .. } = self;
        format!("`sporelog projection skip {projection} {tp} --to {to} --reason TEXT`")
    }
}

impl fmt::Display for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { projection, tp, offset, .. } = self;
        write!(f, "{projection}: {tp} is parked at offset {offset}: ")?;
        match &self.cause {
            ParkCause::OutOfRange { start, end } if offset < start => write!(
                f,
                "the log begins at offset {start} by now, so records are missing. Restore them from an archive, or go on \
                 without them by {}: a worker never resets a position by itself",
                self.skip(&start.to_string())
            ),
            ParkCause::OutOfRange { end, .. } => write!(
                f,
                "the log ends at offset {end}, before the position: it is another log, or was cut. Restore the log that \
                 the position belongs to, or remove this projection's data and fold the log again: a worker never \
                 resets a position by itself"
            ),
            ParkCause::AnotherLog { stored, found } => write!(
                f,
                "the position belongs to another log (cluster {:?}, topic id {:?}; here are cluster {:?}, topic id {:?}). \
                 Point the configuration at the log it belongs to, or remove this projection's data and fold this log",
                stored.cluster_id, stored.topic_id, found.cluster_id, found.topic_id
            ),
            ParkCause::AnotherRecord { passed, found } => write!(
                f,
                "the record before the position is not the one that was passed (offset {}, appended at {} us; the log \
                 has offset {}, appended at {} us): the log was cut or replaced. Restore it, or remove this \
                 projection's data and fold this log",
                passed.offset, passed.append_us, found.offset, found.append_us
            ),
            ParkCause::PartitionCount { stored, found } => write!(
                f,
                "the topic has {found} partitions, and had {stored}: keys lie in other partitions now, and the order of \
                 a key's records is lost. Partitions are never added in place: give the topic back its {stored} \
                 partitions from a copy, or fold this log into new data",
            ),
            ParkCause::Unreadable(text) => write!(
                f,
                "{text}. Restore the log's file from a replica, or go on behind it by {}",
                self.skip("OFFSET")
            ),
            ParkCause::Stalled(text) => write!(f, "{text}. Look at the brokers' logs for this partition's leader"),
            ParkCause::LetterRefused(text) => write!(
                f,
                "its dead letter cannot be published: {text}. Mend the topic {} (`sporelog topics check` compares it), or \
                 go on without the record by {}",
                domain::Topic::DeadLetter,
                self.skip(&(offset + 1).to_string())
            ),
            ParkCause::Setting(text) => f.write_str(text),
        }
    }
}
