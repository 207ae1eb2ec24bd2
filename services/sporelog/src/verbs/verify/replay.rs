//! Folding the log again into a scratch store, with the workers' own code.

use anyhow::Result;
use codec::Schemas;
use domain::{Projection, TopicPartition};
use embedded::log::{LogView, Replay};
use embedded::store::Store;
use pipeline::{Committed, LogError, LogRange, Observer, OutRecord, Position, Publisher, SystemClock, WorkerOptions};
use runtime::config::Config;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
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

/// Folds the log from the first offset of each position to its next one; gives the positions reached.
pub async fn replay(
    log: LogView,
    positions: &[Position],
    projection: &'static Projection,
    scratch: Store,
    config: &Config,
) -> Result<Vec<Position>> {
    let bounds = |position: &Position| LogRange { start: position.first_offset, end: position.next_offset };
    let bounds = positions.iter().map(|position| (position.tp, bounds(position))).collect();
    let done = CancellationToken::new();
    let source = Replay::new(log, bounds, done.clone());
    let schemas = Arc::new(Schemas::embedded()?);
    let options = WorkerOptions {
        derives: false,
        drain_deadline_ms: u64::from(u32::MAX),
        flood_dead_letters: usize::MAX,
        ..crate::roles::worker_options(config)
    };
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
