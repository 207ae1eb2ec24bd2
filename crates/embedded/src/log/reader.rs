//! Reading `log.db`: pages, ranges, and offsets by time. Blocking reads on a connection of the reader's own.
//!
//! A reader stops at the log end that the writer has published, which it does after the commit: so a page never holds
//! a record that could still vanish, and offsets come without a gap.

use super::Shared;
use super::schema::{offset_of, record_id, sql};
use domain::TopicPartition;
use pipeline::{LogError, LogRange, Page};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::sync::Arc;

/// How much a page may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Bytes of keys, values and headers; a single record above that comes alone.
    pub bytes: usize,
    /// Records.
    pub records: usize,
}

/// A reader of the log.
#[derive(Debug)]
pub struct LogReader {
    conn: Connection,
    shared: Arc<Shared>,
}

impl LogReader {
    pub(super) fn new(conn: Connection, shared: Arc<Shared>) -> Self {
        Self { conn, shared }
    }

    /// The records of a partition from this offset on, up to the limit; empty at the log's end.
    pub fn page(&self, tp: TopicPartition, from: i64, limit: PageLimit) -> Result<Page, LogError> {
        let slot = self.shared.layout.slot(tp)?;
        read_page(&self.conn, (tp, slot), from, self.shared.end(slot), limit)
    }

    /// What the partition holds now.
    pub fn range(&self, tp: TopicPartition) -> Result<LogRange, LogError> {
        let slot = self.shared.layout.slot(tp)?;
        let end = self.shared.end(slot);
        let start = self.first_from(slot, 0, end)?.map_or(end, |(offset, _)| offset);
        Ok(LogRange { start, end })
    }

    /// The first offset appended at or after this time (us); the log's end where there is none.
    pub fn offset_at(&self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError> {
        let slot = self.shared.layout.slot(tp)?;
        let LogRange { start, end } = self.range(tp)?;
        // Append times never fall within a partition, so the offsets before the answer are all too early.
        let (mut low, mut high) = (start, end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.first_from(slot, middle, high)? {
                Some((offset, append_us)) if append_us < append_time_us => low = offset + 1,
                Some(_) | None => high = middle,
            }
        }
        Ok(self.first_from(slot, low, end)?.map_or(end, |(offset, _)| offset))
    }

    fn first_from(&self, slot: u32, offset: i64, end: i64) -> Result<Option<(i64, i64)>, LogError> {
        first_from(&self.conn, slot, offset, end)
    }
}

/// The records of a partition from `from` on, up to the limit and before `end`.
pub(super) fn read_page(
    conn: &Connection,
    (tp, slot): (TopicPartition, u32),
    from: i64,
    end: i64,
    limit: PageLimit,
) -> Result<Page, LogError> {
    let mut page = Page::new(tp);
    page.set_log_end(end);
    if from >= end {
        return Ok(page);
    }
    let select =
        "SELECT id, append_us, key, value, headers FROM record WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";
    let mut select = conn.prepare_cached(select).map_err(sql)?;
    let bounds = params![record_id(slot, from.max(0)), record_id(slot, end), limit.records.max(1) as i64];
    let mut rows = select.query(bounds).map_err(sql)?;
    let mut bytes = 0;
    while let Some(row) = rows.next().map_err(sql)? {
        let part = |ix| row.get_ref(ix)?.as_blob().map_err(rusqlite::Error::from);
        let (key, value, headers) = (part(2).map_err(sql)?, part(3).map_err(sql)?, part(4).map_err(sql)?);
        bytes += key.len() + value.len() + headers.len();
        if bytes > limit.bytes && !page.is_empty() {
            break;
        }
        page.push(offset_of(row.get(0).map_err(sql)?), row.get(1).map_err(sql)?, key, value, headers);
    }
    Ok(page)
}

/// Offset and append time of the first record at or after this offset, before `end`.
pub(super) fn first_from(conn: &Connection, slot: u32, offset: i64, end: i64) -> Result<Option<(i64, i64)>, LogError> {
    let select = "SELECT id, append_us FROM record WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1";
    let mut select = conn.prepare_cached(select).map_err(sql)?;
    let bounds = params![record_id(slot, offset), record_id(slot, end)];
    select.query_row(bounds, |row| Ok((offset_of(row.get(0)?), row.get(1)?))).optional().map_err(sql)
}
