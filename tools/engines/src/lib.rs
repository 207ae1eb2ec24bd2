//! Real engines for tests and for development: fetched once, started on free loopback ports, stopped by id.

mod address;

pub use address::{Engine, address};
