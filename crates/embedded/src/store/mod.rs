//! The SQLite store: rows, positions, sequences and dead records of every projection in one file,
//! `store.db`.
//!
//! # Constraints
//! - Rows and positions commit in one transaction, fenced by epoch and old offset (I2, I3).
//! - SQLite has one writer at a time. So a process has one writing connection, lent to one transaction after another and
//!   shared by the clones of a [`Store`]; each worker holds a clone and reads on a connection of its own, without waiting.
//! - Between the statements of a commit and COMMIT derived events are published: the transaction stays open meanwhile, and
//!   the other workers wait for the connection without blocking their threads. A commit that is dropped is rolled back.
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
//! | `writer` | the writing connection and its transactions |
//! | `write` | what a flush writes, in which order |
//! | `position`, `sequences`, `dead` | positions, producers and dead records |
//! | `store` | the ports |
//! | `reader`, `difference` | snapshots, digests, the first difference |

mod config;
mod connection;
mod dead;
mod difference;
mod error;
mod migrate;
mod position;
mod reader;
mod request;
mod rows;
mod schema;
mod sequences;
#[allow(clippy::module_inception)]
mod store;
mod write;
mod writer;

#[cfg(test)]
mod tests;

pub use config::{STORE_FILE, StoreConfig};
pub use connection::open_read_only;
pub use difference::{Difference, diff, missing};
pub use reader::Snapshot;
pub use schema::{physical_name, table_ddl};
pub use store::Store;
