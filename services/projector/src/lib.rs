//! The projector: the log into views that say what is.
//!
//! poll -> decode -> deduplicate -> fold -> load -> write rows and position -> publish -> COMMIT -> caches: the loop is
//! [`pipeline::Worker`]; what is the projector's own is [`domain::fold::views`].

use domain::fold::views::VIEWS;
use pipeline::{Clock, Observer, Publisher, RowStore, SchemaBook, Source, Worker, WorkerError, WorkerOptions};
use tokio_util::sync::CancellationToken;

/// The projection that it writes, and with its name the consumer group that it joins.
pub static PROJECTION: &domain::Projection = &VIEWS;

/// Runs one projector until `cancel`, over a log, a publisher and a store.
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
