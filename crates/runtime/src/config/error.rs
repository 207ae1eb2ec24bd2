//! What can be wrong with a configuration. Every message names the key, and the file or variable it came from.

use std::path::PathBuf;
use thiserror::Error;

/// A configuration that is refused.
#[derive(Debug, Error, PartialEq)]
pub enum ConfigError {
    /// The file named on the command line is not there.
    #[error("the configuration file {} does not exist: create it, or leave --config out", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read or is not TOML.
    #[error("the configuration file {} cannot be read: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A key that no option has.
    #[error("unknown key {key} in {origin}{}", suggestion(.nearest))]
    Unknown {
        /// The key, with dots.
        key: String,
        /// The file, variable or flag.
        origin: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong type.
    #[error("{key} in {origin}: {reason}")]
    Invalid {
        /// The key, with dots.
        key: String,
        /// The file, variable or flag.
        origin: String,
        /// What is wrong.
        reason: String,
    },
}

fn suggestion(nearest: &Option<String>) -> String {
    let known = "docs/configuration.md lists every key";
    nearest.as_ref().map_or_else(|| format!(": {known}"), |key| format!(": did you mean {key}? ({known})"))
}
