//! Folding the log again into a scratch store, with the workers' own code.

use crate::backend::{Look, Ranges};
use anyhow::Result;
use domain::{Projection, TopicPartition};
use embedded::store::Store;
use pipeline::{Committed, LogError, Observer, OutRecord, Position, Publisher, SystemClock, WorkerOptions};
use runtime::config::Config;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use tokio_util::sync::CancellationToken;

/// A rebuild publishes nothing: its dead letters and derived events were published by the live worker.
#[derive(Clone, Copy, Debug)]
struct Nowhere;

impl Publisher for Nowhere {
    async fn publish(&mut self, _: Vec<OutRecord>) -> Result<(), LogError> {
        Ok(())
    }
}

/// Keeps the last committed positions.
#[derive(Clone, Debug, Default)]
struct Positions(Rc<RefCell<BTreeMap<TopicPartition, Position>>>);

impl Observer for Positions {
    fn committed(&self, committed: &Committed<'_>) {
        self.0.borrow_mut().extend(committed.positions.iter().map(|position| (position.tp, *position)));
    }
}

/// Folds these ranges of the log; gives the positions reached.
pub async fn replay<L: Look>(
    look: &L,
    ranges: Ranges,
    projection: &'static Projection,
    scratch: Store,
    config: &Config,
) -> Result<Vec<Position>> {
    let done = CancellationToken::new();
    let source = look.replay(ranges, done.clone()).await?;
    let schemas = look.schemas();
    let options = replay_options(config);
    let (reached, clock) = (Positions::default(), SystemClock::new());
    let ports = (source, Nowhere, scratch);
    if projection.name == ingest::PROJECTION.name {
        ingest::run(schemas, ports, clock, reached.clone(), options, done).await?;
    } else if projection.name == projector::PROJECTION.name {
        projector::run(schemas, ports, clock, reached.clone(), options, done).await?;
    } else {
        aggregator::run(schemas, ports, clock, reached.clone(), options, done).await?;
    }
    let reached = reached.0.borrow().values().copied().collect();
    Ok(reached)
}

/// The workers' options, without what only a live worker does.
pub fn replay_options(config: &Config) -> WorkerOptions {
    WorkerOptions {
        derives: false,
        drain_deadline_ms: u64::from(u32::MAX),
        flood_dead_letters: usize::MAX,
        ..crate::roles::worker_options(config)
    }
}
