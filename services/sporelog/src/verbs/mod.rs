//! The verbs: a file or folder each, with `Args` and `run`.

pub mod completions;
pub mod deadletter;
pub mod docs;
pub mod doctor;
pub mod import;
pub mod lag;
pub mod migrate;
pub mod projection;
pub mod role;
pub mod schema;
pub mod simulate;
pub mod sql;
pub mod topics;
pub mod up;
pub mod verify;
