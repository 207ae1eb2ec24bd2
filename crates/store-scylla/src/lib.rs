//! Records in ScyllaDB or Cassandra: what happened, one row per event.
//!
//! # Constraints
//! - There are no transactions. Only idempotent writes are sent (I4): one event per row, the write timestamp from the
//!   event (`USING TIMESTAMP`), nulls left unset, no counters, no lightweight transactions, no reading before writing.
//!   A row may be written any number of times, in any order and by several workers at once, with the same result.
//! - Requests in flight are bounded in number and memory over all clones of a store (I8).
//! - An outage is waited for by the caller, never turned into dead letters (I7).
//!
//! # Format
//! A declared table `t` of projection `p`, version `v`, is the table `p_vv_t` of the keyspace. Text and JSON are
//! `text`; integers, times (microseconds) and fixed-point numbers `bigint`; doubles `double`; bytes and bit maps `blob`;
//! UUIDs `uuid`. Primary keys are in [`layout`]. Rows have no TTL.
//!
//! # Operation
//! Rows of one partition travel in one unlogged batch; single ones travel with a few others that lie on the same node
//! and shard. Every request is prepared and goes to a node (and, with ScyllaDB, to the shard) that holds its rows.
//!
//! Writes carry the time of their event. A row that somebody deletes by hand is therefore hidden from every repetition
//! of its write until the tombstone is collected: to build records again, `TRUNCATE` or use a new keyspace.
//!
//! | file | what it holds |
//! |---|---|
//! | `config`, `tls` | where the nodes are, and what may be in flight |
//! | `check` | settings of the nodes that change what is stored |
//! | `session` | connecting |
//! | `migrate` | keyspace and tables, up and down |
//! | `schema` | physical names, primary keys and DDL from declarations |
//! | `request` | statements from declarations |
//! | `rows` | cells and keys to and from the nodes |
//! | `write` | grouping rows into requests, sending them |
//! | `limits` | what may be in flight |
//! | `scan` | every row, by ranges of tokens |
//! | `store` | the ports |
//! | `query` | operators' questions |

mod check;
mod config;
mod error;
mod limits;
pub mod migrate;
mod query;
mod request;
mod rows;
mod scan;
mod schema;
mod session;
mod store;
mod tls;
mod write;

pub use config::{ConfigError, Consistency, Replication, ScyllaConfig, Tls};
pub use limits::InFlight;
pub use query::{Answer, query_text};
pub use schema::{Layout, layout, physical_name, table_ddl};
pub use store::ScyllaStore;
