//! The workers of every role, each on a thread of its own.

use crate::observer::RoleObserver;
use anyhow::Result;
use codec::Schemas;
use domain::Projection;
use embedded::log::{EmbeddedSource, Log};
use embedded::store::Store;
use pipeline::{SystemClock, WorkerOptions};
use runtime::config::Config;
use runtime::health::Health;
use runtime::lifecycle::{BoxError, Supervisor};
use runtime::metrics::Metrics;
use runtime::observe::WorkerObserver;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the workers stand on.
pub struct Roles {
    /// The log.
    pub log: Log,
    /// The stores.
    pub store: Store,
    /// The schemas.
    pub schemas: Arc<Schemas>,
    /// Where they are measured.
    pub metrics: Arc<Metrics>,
    /// Where they say whether they are ready.
    pub health: Health,
}

/// What one worker is started with.
struct Start {
    source: EmbeddedSource,
    log: Log,
    store: Store,
    schemas: Arc<Schemas>,
    observer: RoleObserver,
    options: WorkerOptions,
    cancel: CancellationToken,
}

type Ended = Result<(), BoxError>;

impl Roles {
    /// Starts the workers that the configuration asks for.
    pub fn start(&self, supervisor: &mut Supervisor, config: &Config) -> Result<()> {
        let options = worker_options(config);
        for number in 0..config.roles.ingest_workers {
            self.spawn(supervisor, ("ingest", number), ingest::PROJECTION, &options, |start| {
                let ports = (start.source, start.log, start.store);
                ingest::run(start.schemas, ports, SystemClock::new(), start.observer, start.options, start.cancel)
            })?;
        }
        for number in 0..config.roles.projector_workers {
            self.spawn(supervisor, ("projector", number), projector::PROJECTION, &options, |start| {
                let ports = (start.source, start.log, start.store);
                projector::run(start.schemas, ports, SystemClock::new(), start.observer, start.options, start.cancel)
            })?;
        }
        for number in 0..config.roles.aggregator_workers {
            self.spawn(supervisor, ("aggregator", number), aggregator::PROJECTION, &options, |start| {
                let ports = (start.source, start.log, start.store);
                aggregator::run(start.schemas, ports, SystemClock::new(), start.observer, start.options, start.cancel)
            })?;
        }
        Ok(())
    }

    fn spawn<Fut, E>(
        &self,
        supervisor: &mut Supervisor,
        (role, number): (&'static str, u32),
        projection: &'static Projection,
        options: &WorkerOptions,
        run: impl FnOnce(Start) -> Fut + Send + 'static,
    ) -> Result<()>
    where
        Fut: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let name = format!("{role}-{number}");
        let metrics = self.metrics.worker(role, &name);
        let health = self.health.register(&name);
        let (log, store, schemas) = (self.log.clone(), self.store.clone(), self.schemas.clone());
        let (options, member) = (options.clone(), name.clone());
        supervisor.spawn(&name, move |cancel| async move {
            let source = log.join(projection.name, projection.topics, &member)?;
            let observer = RoleObserver::new(role, WorkerObserver::new(metrics, health));
            let start = Start { source, log, store, schemas, observer, options, cancel };
            let ended: Ended = run(start).await.map_err(Into::into);
            ended
        })?;
        Ok(())
    }
}

/// The options of the loops, from the configuration.
pub fn worker_options(config: &Config) -> WorkerOptions {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let worker = &config.worker;
    WorkerOptions {
        batch_max_records: size(worker.batch_max_records),
        batch_max_bytes: size(worker.batch_max_bytes),
        batch_linger_ms: worker.batch_linger_ms,
        row_cache_bytes: size(worker.row_cache_bytes),
        horizon_ms: worker.horizon_ms,
        horizon_max_entries: size(worker.horizon_max_entries),
        backoff_initial_ms: worker.backoff_initial_ms,
        backoff_max_ms: worker.backoff_max_ms,
        drain_deadline_ms: worker.drain_deadline_ms,
        flood_pause_ms: worker.dead_letter_flood_pause_ms,
        flood_dead_letters: size(worker.dead_letter_flood_limit),
        ..WorkerOptions::default()
    }
}
