//! What tests need: a clock that is advanced by hand, a log and stores in memory with a script of faults, and
//! small events. Development only: nothing that runs in production depends on it.

pub mod clock;
pub mod contract_suite;
pub mod events;
pub mod log_suite;
pub mod mem_log;
pub mod mem_store;
pub mod store_suite;

pub use clock::ManualClock;
pub use mem_log::{MemLog, MemSource};
pub use mem_store::MemStore;
