//! The SQLite store: rows, positions and producer marks of every projection in one file, `store.db`.
//!
//! # Constraints
//! - Rows and positions commit in one transaction, fenced by epoch and old offset (I2, I3).
//! - SQLite has one writer at a time. So a process has one writing connection behind a mutex, shared by the
//!   clones of a [`Store`]; each worker holds a clone and reads on a connection of its own, without waiting.
//! - An acknowledged commit survives a power cut: WAL with `synchronous=FULL` (one fsync per commit).
//!
//! # Format
//! A declared table `t` of projection `p`, version `v`, is the STRICT table `p_vv_t`: the stored key (the declared
//! key, then `topic` and `partition` where the table is partial), then [`Table::slots`](domain::table::Table::slots).
//! Text and JSON are TEXT; integers, times and fixed-point numbers INTEGER; doubles REAL; bytes, bit maps and UUIDs
//! BLOB. Analysts use the SQL views under the plain names, in which parts are merged and fixed-point numbers divided.
//!
//! # Operation
//! | the table has | how a batch is written |
//! |---|---|
//! | no state column | blind: one upsert per row, of the columns that it touches, merged as declared |
//! | a state column | replaced: the worker has loaded and merged the row before |
//!
//! | file | what it holds |
//! |---|---|
//! | `config` | where the file lies and how much memory it may take |
//! | `connection` | opening connections, SQL functions |
//! | `migrate` | numbered migrations, up and down |
//! | `schema` | physical names and DDL from declarations |
//! | `request` | statements from declarations |
//! | `rows` | cells and keys to and from SQLite |
//! | `write` | what happens inside a writing transaction |
//! | `store` | the ports |
//! | `reader`, `difference` | snapshots, digests, the first difference |

mod config;
mod connection;
mod difference;
mod error;
mod migrate;
mod reader;
mod request;
mod rows;
mod schema;
#[allow(clippy::module_inception)]
mod store;
mod write;

#[cfg(test)]
mod tests;

pub use config::{STORE_FILE, StoreConfig};
pub use connection::open_read_only;
pub use difference::{Difference, diff, missing};
pub use reader::Snapshot;
pub use schema::{physical_name, table_ddl};
pub use store::Store;
