//! Appends from other processes: a Unix domain socket in the data folder, served by the process that holds it.
//!
//! Only appends travel over it, and their acknowledgements: an answer comes after the record is on disk, and several
//! requests may be in flight. See `frame` for the form.

mod client;
mod frame;
mod server;

pub(crate) use client::{Connection, lost};
pub(crate) use frame::Answer;
pub use server::AppendServer;

use std::path::{Path, PathBuf};

const FILE: &str = "sporelog.sock";

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}
