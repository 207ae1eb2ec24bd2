//! The domain: events, topics, declared tables and pure folds. No I/O, no async, no clock.

pub mod cell;
pub mod delta;
pub mod digest;
pub mod distinct;
pub mod event;
pub mod fixed;
pub mod fold;
pub mod merge;
pub mod partitioner;
pub mod projection;
pub mod stamp;
pub mod table;
pub mod tables;
pub mod topic;
pub mod topics;
pub mod validity;
pub mod window;

/// The largest record that a log takes by default, bytes: key, value and headers. The one number behind the log's limit
/// (`log.max_record_bytes`), the decoder's and the topics' `max.message.bytes`: what the log took, every reader must read.
pub const MAX_RECORD_BYTES: usize = 8 << 20;

pub use projection::{Folded, Projection};
pub use topic::{Topic, TopicPartition};
