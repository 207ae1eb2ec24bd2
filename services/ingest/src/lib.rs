//! Ingest: the log into records of what happened.
//!
//! poll -> decode -> fold -> write -> acknowledge -> commit the offset behind the contiguous prefix: the loop is
//! [`pipeline::ingest::Ingest`]; what is ingest's own is [`domain::fold::records`].

use domain::fold::records::RECORDS;
use pipeline::ingest::Ingest;
use pipeline::{Clock, Observer, Publisher, RecordStore, SchemaBook, Source, WorkerError, WorkerOptions};
use tokio_util::sync::CancellationToken;

/// The records that it writes, and with their name the consumer group that it joins.
pub static PROJECTION: &domain::Projection = &RECORDS;

/// Runs one ingest worker until `cancel`, over a log, a publisher for dead letters and a store.
///
/// # Errors
/// Where waiting cannot help; the message says what to do.
pub async fn run(
    schemas: impl Into<SchemaBook>,
    ports: (impl Source, impl Publisher, impl RecordStore + Clone + 'static),
    clock: impl Clock,
    observer: impl Observer,
    options: WorkerOptions,
    cancel: CancellationToken,
) -> Result<(), WorkerError> {
    Ingest::new(PROJECTION, schemas, ports, clock, observer, options, cancel).run().await
}
