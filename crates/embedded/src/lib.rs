//! The embedded adapters: the SQLite log and the SQLite stores.

pub mod appender;
pub mod folder;
pub mod log;
pub mod socket;
pub mod store;
