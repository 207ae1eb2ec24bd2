//! The workers of each role, each on a thread of its own.

use crate::backend::Backend;
use crate::backend::settings::size;
use crate::observer::RoleObserver;
use anyhow::Result;
use domain::topics::TopicSpec;
use pipeline::{SystemClock, WorkerOptions};
use runtime::config::{Config, RolesSection};
use runtime::health::Health;
use runtime::lifecycle::{BoxError, Supervisor};
use runtime::metrics::Metrics;
use runtime::observe::WorkerObserver;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writes records.
    Ingest,
    /// Writes views.
    Projector,
    /// Writes series.
    Aggregator,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Ingest, Role::Projector, Role::Aggregator];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Ingest => "ingest",
            Role::Projector => "projector",
            Role::Aggregator => "aggregator",
        }
    }

    /// How many workers of it run in one process.
    pub const fn workers(self, roles: &RolesSection) -> u32 {
        match self {
            Role::Ingest => roles.ingest_workers,
            Role::Projector => roles.projector_workers,
            Role::Aggregator => roles.aggregator_workers,
        }
    }

    /// Sets how many workers of it run in one process.
    pub const fn set_workers(self, roles: &mut RolesSection, workers: u32) {
        match self {
            Role::Ingest => roles.ingest_workers = workers,
            Role::Projector => roles.projector_workers = workers,
            Role::Aggregator => roles.aggregator_workers = workers,
        }
    }
}

/// What the workers of a process share.
pub struct Roles<B> {
    /// What they stand on.
    pub backend: B,
    /// Where they are measured.
    pub metrics: Arc<Metrics>,
    /// Where they say whether they are ready.
    pub health: Health,
}

impl<B: Backend> Roles<B> {
    /// Starts as many workers of these roles as the configuration asks for.
    pub fn start(&self, supervisor: &mut Supervisor, roles: &[Role], config: &Config) -> Result<()> {
        let options = worker_options(config)?;
        for role in roles {
            for number in 0..role.workers(&config.roles) {
                self.spawn(supervisor, *role, number, options.clone())?;
            }
        }
        Ok(())
    }

    fn spawn(&self, supervisor: &mut Supervisor, role: Role, number: u32, options: WorkerOptions) -> Result<()> {
        let name = format!("{}-{number}", role.name());
        let observer = WorkerObserver::new(self.metrics.worker(role.name(), &name), self.health.register(&name));
        let (backend, member) = (self.backend.clone(), name.clone());
        supervisor.spawn(&name, move |cancel| async move {
            let observer = RoleObserver::new(role.name(), observer);
            run(backend, role, &member, (observer, options, cancel)).await
        })?;
        Ok(())
    }
}

async fn run<B: Backend>(
    backend: B,
    role: Role,
    member: &str,
    (observer, options, cancel): (RoleObserver, WorkerOptions, CancellationToken),
) -> Result<(), BoxError> {
    let (schemas, publisher, clock) = (backend.schemas(), backend.publisher()?, SystemClock::new());
    match role {
        Role::Ingest => {
            let ports = (backend.source(ingest::PROJECTION, member)?, publisher, backend.records()?);
            ingest::run(schemas, ports, clock, observer, options, cancel).await?;
        }
        Role::Projector => {
            let ports = (backend.source(projector::PROJECTION, member)?, publisher, backend.rows()?);
            projector::run(schemas, ports, clock, observer, options, cancel).await?;
        }
        Role::Aggregator => {
            let ports = (backend.source(aggregator::PROJECTION, member)?, publisher, backend.rows()?);
            aggregator::run(schemas, ports, clock, observer, options, cancel).await?;
        }
    }
    Ok(())
}

/// The options of the loops, from the configuration and the topics that it names.
///
/// # Errors
/// Where the topics file cannot be read.
pub fn worker_options(config: &Config) -> Result<WorkerOptions> {
    let topics = runtime::topics::load(config.log.topics_file.as_deref(), &config.log.profile)?;
    Ok(options_of(config, &topics))
}

fn options_of(config: &Config, topics: &[TopicSpec]) -> WorkerOptions {
    let (worker, dedup) = (&config.worker, &config.dedup);
    WorkerOptions {
        batch_max_records: size(worker.batch_max_records),
        batch_max_bytes: size(worker.batch_max_bytes),
        batch_linger_ms: worker.batch_linger_ms,
        row_cache_bytes: size(worker.row_cache_bytes),
        dedup_window_ms: dedup.window_ms,
        dedup_max_records: u32::try_from(dedup.max_records).unwrap_or(u32::MAX),
        dedup_forget_after_ms: dedup.forget_after_ms,
        retention_us: runtime::topics::retention_us(topics),
        max_record_bytes: size(config.log.max_record_bytes),
        park_retry_ms: worker.park_retry_ms,
        park_retry_max_ms: worker.park_retry_max_ms,
        backoff_initial_ms: worker.backoff_initial_ms,
        backoff_max_ms: worker.backoff_max_ms,
        drain_deadline_ms: worker.drain_deadline_ms,
        flood_pause_ms: worker.dead_letter_flood_pause_ms,
        flood_dead_letters: size(worker.dead_letter_flood_limit),
        ..WorkerOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Topic;

    #[test]
    fn options_of_several_sections_reach_the_loop() {
        let mut config = Config::default();
        config.dedup.window_ms = 7;
        config.dedup.max_records = 8;
        config.dedup.forget_after_ms = 60_000;
        config.log.max_record_bytes = 4_096;
        (config.worker.park_retry_ms, config.worker.park_retry_max_ms) = (200, 300);
        let options = worker_options(&config).unwrap();
        assert_eq!((options.dedup_window_ms, options.dedup_max_records), (7, 8));
        assert_eq!((options.dedup_forget_after_ms, options.max_record_bytes), (60_000, 4_096));
        assert_eq!((options.park_retry_ms, options.park_retry_max_ms), (200, 300));
        assert_eq!(options.retention_us[Topic::AgentPresence as usize], 7 * 86_400_000_000);
        config.log.topics_file = Some("nowhere.yaml".into());
        assert!(worker_options(&config).unwrap_err().to_string().contains("nowhere.yaml"));
    }
}
