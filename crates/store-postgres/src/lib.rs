//! Views and series in Postgres, with TimescaleDB where it is there.
//!
//! # Constraints
//! - Rows, sequences, dead records and positions commit in one transaction, fenced by epoch and old offset (I2, I3).
//!   What is derived is published before COMMIT, when every statement has been answered.
//! - Workers run on threads of their own; connections are served by the runtime that made the [`Database`], so a
//!   connection may pass from worker to worker, and its bytes are written while the worker folds on.
//! - A connection on which anything failed is closed, never given back: no transaction outlives its worker's error.
//!
//! # Format
//! A declared table `t` of projection `p`, version `v`, is the table `p_vv_t`: the stored key (the declared key, then
//! `topic` and `partition` where the table is partial), then [`Table::slots`](domain::table::Table::slots).
//! Text is `text COLLATE "C"` (keys order as their bytes), JSON `json` (kept byte for byte), integers, times and
//! fixed-point numbers `bigint`, bit maps `bit varying` (as long as their bytes), stamps and states `bytea`.
//! Tables with a window or an event time in their key are partitioned by its month, or hypertables.
//!
//! # Operation
//! | the table has | how a batch is written |
//! |---|---|
//! | no state column | blind: one upsert of all rows, merged as declared |
//! | a state column | replaced: the worker has loaded and merged the rows before |
//!
//! | file | what it holds |
//! |---|---|
//! | `config`, `tls` | where the server is, and how it is trusted |
//! | `database` | the pool, and connections that are given back only clean |
//! | `error` | what a worker must do about each SQLSTATE |
//! | `check` | the settings that change what is stored, looked at before work begins |
//! | `migrate`, `comment` | numbered migrations, up and down; the declarations' sentences as comments |
//! | `schema` | physical names and DDL from declarations |
//! | `request` | statements from declarations |
//! | `bookkeeping`, `position`, `sequence` | positions, producers and dead records: statements, parameters, rows |
//! | `rows` | columns of a batch as arrays, rows back as cells |
//! | `month` | the partitions of the months that a flush writes |
//! | `write` | what happens inside a writing transaction |
//! | `store` | the port of workers |
//! | `reader`, `sql` | one moment's rows and positions; analysts' statements |

mod bookkeeping;
mod check;
mod comment;
mod config;
mod database;
mod error;
pub mod migrate;
mod month;
mod position;
mod reader;
mod request;
mod rows;
mod schema;
mod sequence;
pub mod sql;
mod store;
mod tls;
mod write;

pub use config::PostgresConfig;
pub use database::{Database, PoolStatus};
pub use reader::Reader;
pub use schema::{physical_name, table_ddl};
pub use store::PostgresStore;
