//! The pipeline: ports, admission, the one worker loop and the ack ledger. It names no adapter.

pub mod admission;
mod ahead;
pub mod backoff;
pub mod batch;
pub mod clock;
mod commit;
pub mod deadletter;
pub mod env;
pub mod error;
pub mod flood;
pub mod folder;
pub mod ingest;
pub mod ledger;
pub mod migration;
pub mod observer;
pub mod options;
pub mod outcome;
pub mod ports;
pub mod position;
pub mod record;
pub mod row_cache;
pub mod scan;
pub mod schemas;
pub mod worker;

pub use clock::SystemClock;
pub use error::{LogError, StoreError};
pub use observer::{Committed, Observer, Paused, Step, Unobserved};
pub use options::WorkerOptions;
pub use outcome::{DeadKind, DeadReason, Outcome};
pub use ports::{Clock, GroupOffset, LogRange, Polled, Publisher, RecordStore, RowStore, Scan, Source, StoredRow};
pub use position::{Advance, Claimed, Counts, Flush, Mark, Position};
pub use record::{Headers, OutRecord, Page, Record};
pub use schemas::{Resolve, ResolveError, SchemaBook};
pub use worker::{Worker, WorkerError};
