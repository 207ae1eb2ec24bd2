//! The embedded log, looked into without joining a group: also beside the process that writes it.

use anyhow::Result;
use domain::{Topic, TopicPartition};
use embedded::log::{LogView, Replay};
use pipeline::{LogRange, Polled, Record, Source as _};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How many partitions each topic of a log has; none where the folder holds no log yet.
pub fn partitions(dir: &Path) -> Result<Option<BTreeMap<Topic, u32>>> {
    if !dir.join("log.db").is_file() {
        return Ok(None);
    }
    let mut counts = BTreeMap::new();
    for tp in LogView::open(dir)?.partitions(Topic::ALL) {
        *counts.entry(tp.topic).or_insert(0) += 1;
    }
    Ok(Some(counts))
}

/// Calls `visit` with every record that a topic holds now, in offset order within each partition.
pub async fn each_record(dir: &Path, topic: Topic, mut visit: impl FnMut(&Record<'_>)) -> Result<()> {
    let view = LogView::open(dir)?;
    let mut bounds = BTreeMap::new();
    for tp in view.partitions(&[topic]) {
        bounds.insert(tp, LogRange { start: 0, end: view.end(tp)? });
    }
    let partitions: Vec<TopicPartition> = bounds.keys().copied().collect();
    let done = CancellationToken::new();
    let mut replay = Replay::new(view, bounds, done.clone());
    for tp in partitions {
        replay.seek(tp, 0).await?;
    }
    while !done.is_cancelled() {
        if let Polled::Page(page) = replay.next(Duration::ZERO).await? {
            page.records().for_each(|record| visit(&record));
        }
    }
    Ok(())
}
