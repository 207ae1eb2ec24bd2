//! Configuration: one tree of structs, filled in layers.
//!
//! Defaults < TOML file < environment (`SPORELOG__SECTION__KEY`) < command line. The structs are the only
//! declaration: the table of options, its documentation, the known keys and the permitted ranges are all read
//! from their schema (see [`options`]).

mod check;
mod cluster;
mod error;
mod load;
mod options;
mod sections;

pub use cluster::{KafkaSection, PostgresSection, RegistrySection, ScyllaSection};
pub use error::ConfigError;
pub use load::{FILE_NAME, Layers, load};
pub use options::{OptionDoc, markdown, options};
pub use sections::{
    Config, DataSection, DedupSection, HttpSection, LogFormat, LogSection, RolesSection, SimulateSection,
    TelemetrySection, WorkerSection,
};

#[cfg(test)]
mod tests;
