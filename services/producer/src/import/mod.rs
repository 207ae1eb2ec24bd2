//! Imports a file: CSV or JSONL, by a mapping, as events.
//!
//! What makes a second import of the same content add nothing (design 7, Duplicates): event ids are
//! UUIDv5 of content, `[[event]]` and row; producers are named after content, `[[event]]` and block
//! of rows, and their sequence numbers are the rows, so the workers' sets of numbers drop what they
//! have seen. See `identity`, `lanes`, [`state`].

pub mod build;
mod document;
mod error;
pub mod expr;
mod identity;
mod input;
mod lanes;
pub mod mapping;
mod mapping_expr;
mod options;
mod pass;
pub mod ranges;
mod run;
pub mod state;
mod tee;
pub mod time;

pub use error::{ImportError, MappingError};
pub use lanes::{Continuation, SavedOutput};
pub use mapping::Mapping;
pub use options::{Options, Progress, Report, Stop};
pub use run::Import;
pub use state::Reject;
