//! The embedded log, looked into without joining a group: also beside the process that writes it.

use anyhow::Result;
use domain::Topic;
use embedded::log::LogView;
use std::collections::BTreeMap;
use std::path::Path;

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
