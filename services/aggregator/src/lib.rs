//! The aggregator: the log into windowed series.
//!
//! poll -> decode -> deduplicate -> fold -> load -> write rows and position -> publish -> COMMIT: the loop is
//! [`pipeline::Worker`]; what is the aggregator's own is [`domain::fold::series`].

use domain::fold::series::SERIES;
use pipeline::{Clock, Observer, Publisher, RowStore, SchemaBook, Source, Worker, WorkerError, WorkerOptions};
use tokio_util::sync::CancellationToken;

/// The projection that it writes, and with its name the consumer group that it joins.
pub static PROJECTION: &domain::Projection = &SERIES;

/// Runs one aggregator until `cancel`, over a log, a publisher and a store.
///
/// # Errors
/// Where waiting cannot help; the message says what to do.
pub async fn run(
    schemas: impl Into<SchemaBook>,
    ports: (impl Source, impl Publisher, impl RowStore),
    clock: impl Clock,
    observer: impl Observer,
    options: WorkerOptions,
    cancel: CancellationToken,
) -> Result<(), WorkerError> {
    Worker::new(PROJECTION, schemas, ports, clock, observer, options, cancel).run().await
}
