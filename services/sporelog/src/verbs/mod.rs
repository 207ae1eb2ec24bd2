//! The verbs: a file or folder each, with `Args` and `run`.

pub mod completions;
pub mod deadletter;
pub mod docs;
pub mod schema;
pub mod sql;
pub mod topics;
pub mod up;
pub mod verify;
