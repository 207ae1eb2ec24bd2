//! The pipeline: ports, deduplication, the one worker loop and the ack ledger. It names no adapter.

pub mod backoff;
pub mod batch;
pub mod clock;
pub mod deadletter;
pub mod dedup;
pub mod env;
pub mod error;
pub mod flood;
pub mod folder;
pub mod group;
pub mod ingest;
pub mod ledger;
pub mod migration;
pub mod observer;
pub mod options;
pub mod outcome;
mod owned;
pub mod park;
mod parking;
pub mod ports;
pub mod position;
pub mod record;
pub mod row_cache;
pub mod scan;
pub mod schemas;
pub mod worker;

pub use clock::SystemClock;
pub use dedup::{SequenceChange, SequenceHead, StoredSequence};
pub use error::{LogError, StoreError, Unpublished};
pub use group::GroupPosition;
pub use observer::{Committed, Observer, Paused, Step, Unobserved};
pub use options::{KnownDead, WorkerOptions};
pub use outcome::{DeadKind, DeadReason, Outcome};
pub use owned::{check_range, compare_logs};
pub use park::{ParkCause, Parked};
pub use ports::{
    Abort, BeforeCommit, Clock, DedupSettings, GroupOffset, LogRange, Placed, Polled, Publisher, RecordStore, RowStore,
    Scan, Silent, Source, StoredRow, Trouble, TroubleKind, nothing_before_commit,
};
pub use position::{
    Advance, Claim, Claimed, Counts, DeadRow, Flush, GENERATION, LastRecord, LogIdentity, ParkNote, Position,
};
pub use record::{Headers, NULL_VALUE, OutRecord, Page, Record};
pub use schemas::{Resolve, ResolveError, SchemaBook};
pub use worker::{Worker, WorkerError};
