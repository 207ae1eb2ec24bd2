//! Real engines for tests and for development: fetched once, started on free loopback ports, stopped by id.
//!
//! An engine is a value: it serves when `start` returns, and it is gone, with its data, when the value is dropped or
//! its process dies. [`Set`] starts several at once. Each process of an engine is a [`Node`], which can be killed,
//! stopped, paused and started again on the same ports and data; [`proxy::Proxy`] makes the faults of a network.
//!
//! What must be absent: an engine that listens anywhere but on 127.0.0.1, one that outlives us, a process that is
//! found by its name, a port that is not locked, a version that is not pinned.

mod address;
mod cassandra;
mod command;
mod fetch;
mod folder;
mod kafka;
mod node;
mod options;
mod port;
mod postgres;
mod probe;
mod process;
pub mod proxy;
mod redis;
mod registry;
mod set;
mod wait;

pub use address::{Engine, address};
pub use cassandra::Cassandra;
pub use fetch::{Package, fetch};
pub use kafka::Kafka;
pub use node::Node;
pub use options::{
    CassandraOptions, KafkaOptions, PostgresOptions, RedisOptions, RegistryOptions, SASL_PASSWORD, SASL_USER, Settings,
};
pub use postgres::{Postgres, postgres_program};
pub use redis::Redis;
pub use registry::Registry;
pub use set::{Set, SetOptions};

/// `kcat`, to be given its arguments: a Kafka client that is not ours.
///
/// # Errors
/// Where it cannot be fetched.
pub fn kcat() -> anyhow::Result<std::process::Command> {
    let (program, libraries) = fetch::debian(Package::Kcat, "kcat")?;
    let mut command = std::process::Command::new(program);
    command.envs(libraries.map(|libraries| ("LD_LIBRARY_PATH", libraries)));
    Ok(command)
}
