//! Folding the log again into a scratch store, with the workers' own code and the rules that the
//! rows were made by.

use super::judged::{Judged, Judging};
use crate::backend::{Look, Ranges};
use anyhow::Result;
use domain::{Projection, TopicPartition};
use embedded::store::Store;
use pipeline::{
    Committed, DedupSettings, KnownDead, Observer, OutRecord, Parked, Placed, Position, Publisher, SystemClock,
    Unpublished, WorkerOptions,
};
use runtime::config::Config;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A parked partition of a replay is not tried again: nobody mends it meanwhile, and it is told.
const NEVER_MS: u64 = 365 * 86_400_000;

/// A rebuild publishes nothing: its dead letters and derived events were published by the live
/// worker.
#[derive(Clone, Copy, Debug)]
struct Nowhere;

impl Publisher for Nowhere {
    async fn publish(&mut self, _: Vec<OutRecord>) -> Result<Vec<Placed>, Unpublished> {
        Ok(Vec::new())
    }
}

/// Keeps the last committed positions, and what cannot be read.
#[derive(Clone, Debug, Default)]
struct Watch(Rc<RefCell<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    positions: BTreeMap<TopicPartition, Position>,
    parked: BTreeMap<TopicPartition, Parked>,
}

impl Observer for Watch {
    fn committed(&self, committed: &Committed<'_>) {
        self.0.borrow_mut().positions.extend(committed.positions.iter().map(|position| (position.tp, *position)));
    }

    fn parked(&self, parked: &Parked) {
        self.0.borrow_mut().parked.insert(parked.tp, parked.clone());
    }
}

/// How far a replay came.
#[derive(Debug, Default)]
pub struct Reached {
    /// The positions reached.
    pub positions: Vec<Position>,
    /// The partitions that cannot be read up to their bound.
    pub parked: Vec<Parked>,
    /// Records held for dead that today's rules would apply.
    pub judged: Judged,
}

/// Folds these ranges of the log.
pub async fn replay<L: Look>(
    look: &L,
    ranges: Ranges,
    projection: &'static Projection,
    scratch: Store,
    options: &WorkerOptions,
) -> Result<Reached> {
    let done = CancellationToken::new();
    let schemas = look.schemas();
    let source = look.replay(ranges, done.clone()).await?;
    let (source, judged) = Judging::new(source, projection, schemas.clone(), options);
    let (watch, clock, options) = (Watch::default(), SystemClock::new(), options.clone());
    let ports = (source, Nowhere, scratch);
    if projection.name == ingest::PROJECTION.name {
        ingest::run(schemas, ports, clock, watch.clone(), options, done).await?;
    } else if projection.name == projector::PROJECTION.name {
        projector::run(schemas, ports, clock, watch.clone(), options, done).await?;
    } else {
        aggregator::run(schemas, ports, clock, watch.clone(), options, done).await?;
    }
    let seen = watch.0.take();
    let (positions, parked) = (seen.positions.into_values().collect(), seen.parked.into_values().collect());
    Ok(Reached { positions, parked, judged: judged.take() })
}

/// The workers' options, without what only a live worker does; `stored` are the rules that the rows
/// were made by.
pub fn replay_options(config: &Config, stored: Option<DedupSettings>, dead: KnownDead) -> Result<WorkerOptions> {
    let configured = crate::roles::worker_options(config)?;
    let (mut dedup_window_ms, mut dedup_max_records) = (configured.dedup_window_ms, configured.dedup_max_records);
    if let Some(DedupSettings { window_ms, max_records }) = stored {
        dedup_window_ms = u64::try_from(window_ms)?;
        dedup_max_records = u32::try_from(max_records)?;
    }
    Ok(WorkerOptions {
        derives: false,
        drain_deadline_ms: u64::from(u32::MAX),
        flood_dead_letters: usize::MAX,
        park_retry_ms: NEVER_MS,
        park_retry_max_ms: NEVER_MS,
        known_dead: Some(Arc::new(dead)),
        dedup_window_ms,
        dedup_max_records,
        ..configured
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows were made by the stored rules: another window in the configuration would make other
    /// rows.
    #[test]
    fn stored_rules_win_over_configured_ones() {
        let mut config = Config::default();
        (config.dedup.window_ms, config.dedup.max_records) = (1, 2);
        let options = |stored| replay_options(&config, stored, KnownDead::new()).unwrap();
        let stored = DedupSettings { window_ms: 7, max_records: 8 };
        assert_eq!(options(Some(stored)).dedup_settings(), stored);
        assert_eq!(options(None).dedup_settings(), DedupSettings { window_ms: 1, max_records: 2 });
    }
}
