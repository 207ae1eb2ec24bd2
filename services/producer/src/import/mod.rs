//! Imports a file: CSV or JSONL, by a mapping, as events.
//!
//! What makes a second import of the same content add nothing (design 8, Duplicates): event ids are UUIDv5 of
//! content, output and row; producers are named after the content, and their sequence numbers are the rows, so the
//! high-water marks of the workers drop what they have seen. See [`build`] and [`state`].

pub mod build;
mod document;
mod error;
pub mod expr;
mod input;
pub mod mapping;
mod mapping_expr;
mod options;
mod run;
pub mod state;
mod tee;
pub mod time;

pub use error::{ImportError, MappingError};
pub use mapping::Mapping;
pub use options::{Options, Progress, Report, Stop};
pub use run::Import;
pub use state::Reject;
