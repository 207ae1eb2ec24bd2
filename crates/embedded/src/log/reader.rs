//! Reading `log.db`: pages, ranges, and offsets by time. Blocking reads on a connection of the
//! reader's own.
//!
//! A reader stops at the log end that the writer has published, which it does after the commit: so
//! a page never holds a record that could still vanish.
//!
//! Offsets of this log come without a gap and no record is ever removed. So an offset without a
//! record is damage, never a hole: reading stands before it, and says so (I7).

use super::Shared;
use super::schema::{offset_of, record_id, sql};
use domain::TopicPartition;
use pipeline::ports::{Trouble, TroubleKind};
use pipeline::{LogError, LogRange, Page};
use rusqlite::{Connection, Error, ErrorCode, OptionalExtension as _, Row, params};
use std::sync::Arc;

/// How much a page may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Bytes of keys, values and headers; a single record above that comes alone.
    pub bytes: usize,
    /// Records.
    pub records: usize,
}

/// What reading gave.
#[derive(Debug)]
pub(super) enum Read {
    Page(Page),
    Trouble(Trouble),
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
    ///
    /// # Errors
    /// [`LogError::Fatal`] where the partition cannot be read there; [`LogError::Unavailable`]
    /// where the log cannot.
    pub fn page(&self, tp: TopicPartition, from: i64, limit: PageLimit) -> Result<Page, LogError> {
        match self.read(tp, from, limit)? {
            Read::Page(page) => Ok(page),
            Read::Trouble(trouble) => Err(LogError::Fatal(trouble.text)),
        }
    }

    pub(super) fn read(&self, tp: TopicPartition, from: i64, limit: PageLimit) -> Result<Read, LogError> {
        let slot = self.shared.layout.slot(tp)?;
        read_page(&self.conn, (tp, slot), from, self.shared.end(slot), limit)
    }

    /// What the partition holds now.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] where the log cannot be read.
    pub fn range(&self, tp: TopicPartition) -> Result<LogRange, LogError> {
        let slot = self.shared.layout.slot(tp)?;
        let end = self.shared.end(slot);
        Ok(LogRange { start: start_of(&self.conn, slot, end)?, end })
    }

    /// The first offset appended at or after this time (us); the log's end where there is none.
    ///
    /// # Errors
    /// As [`LogReader::range`].
    pub fn offset_at(&self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError> {
        let range = self.range(tp)?;
        offset_at(&self.conn, self.shared.layout.slot(tp)?, range, append_time_us)
    }
}

/// The records of a partition from `from` on, up to the limit and before `end`.
pub(super) fn read_page(
    conn: &Connection,
    (tp, slot): (TopicPartition, u32),
    from: i64,
    end: i64,
    limit: PageLimit,
) -> Result<Read, LogError> {
    let mut page = Page::new(tp);
    page.set_log_end(end);
    if from < 0 || from > end {
        let text = format!("log.db holds {tp} up to offset {end}");
        return Ok(Read::Trouble(Trouble { tp, offset: from, kind: TroubleKind::OutOfRange, text }));
    }
    if from == end {
        return Ok(Read::Page(page));
    }
    let standing = match fill(conn, slot, from, end, limit, &mut page) {
        Ok(None) => return Ok(Read::Page(page)),
        Ok(Some(standing)) => standing,
        Err(error) if is_damage(&error) => Standing::Damaged(error),
        Err(error) => return Err(sql(error)),
    };
    // What lies before the trouble is handed out first; the next read begins at it.
    if page.is_empty() { standing.trouble(conn, tp, slot, from).map(Read::Trouble) } else { Ok(Read::Page(page)) }
}

/// Why reading stands before its end.
enum Standing {
    /// There is no record at the offset; the next one that there is.
    Missing(Option<i64>),
    Damaged(Error),
}

impl Standing {
    fn trouble(self, conn: &Connection, tp: TopicPartition, slot: u32, offset: i64) -> Result<Trouble, LogError> {
        let (kind, text) = match self {
            Self::Damaged(error) => {
                let text = format!("log.db is damaged at {tp}, offset {offset} or soon behind it ({error})");
                (TroubleKind::Unreadable, text)
            }
            Self::Missing(Some(next)) if start_of(conn, slot, next + 1)? == next => {
                let text = format!("log.db holds {tp} from offset {next} on: records before it were removed");
                (TroubleKind::OutOfRange, text)
            }
            Self::Missing(Some(next)) => {
                let text = format!(
                    "log.db has no record of {tp} at offset {offset}, the next one is {next}: records were removed"
                );
                (TroubleKind::Unreadable, text)
            }
            Self::Missing(None) => {
                let text =
                    format!("log.db has no record of {tp} at offset {offset} or behind it: records were removed");
                (TroubleKind::Unreadable, text)
            }
        };
        Ok(Trouble { tp, offset, kind, text })
    }
}

/// Fills a page with records side by side, from `from` on. Says where the one that is due is
/// missing.
fn fill(
    conn: &Connection,
    slot: u32,
    from: i64,
    end: i64,
    limit: PageLimit,
    page: &mut Page,
) -> rusqlite::Result<Option<Standing>> {
    let select =
        "SELECT id, append_us, key, value, headers FROM record WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";
    let mut select = conn.prepare_cached(select)?;
    let most = limit.records.max(1);
    let mut rows = select.query(params![record_id(slot, from), record_id(slot, end), most as i64])?;
    let (mut due, mut bytes) = (from, 0);
    while let Some(row) = rows.next()? {
        let offset = offset_of(row.get(0)?);
        if offset != due {
            return Ok(Some(Standing::Missing(Some(offset))));
        }
        let (key, value, headers) = (blob(row, 2)?, blob(row, 3)?, blob(row, 4)?);
        bytes += key.len() + value.len() + headers.len();
        if bytes > limit.bytes && !page.is_empty() {
            return Ok(None);
        }
        page.push(offset, row.get(1)?, key, value, headers);
        due += 1;
    }
    let is_complete = due == end || page.len() == most;
    Ok(if is_complete { None } else { Some(Standing::Missing(None)) })
}

fn blob<'r>(row: &'r Row<'_>, ix: usize) -> rusqlite::Result<&'r [u8]> {
    row.get_ref(ix)?.as_blob().map_err(Error::from)
}

/// Whether an error says that what is stored there cannot be read: it concerns those records. A
/// file that is no database at all, or a disk that fails, concerns the whole log.
fn is_damage(error: &Error) -> bool {
    match error {
        Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) | Error::IntegralValueOutOfRange(..) => true,
        _ => error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt),
    }
}

/// The first offset of a partition, before `end`; `end` where there is none.
pub(super) fn start_of(conn: &Connection, slot: u32, end: i64) -> Result<i64, LogError> {
    match first_from(conn, slot, 0, end) {
        Ok(first) => Ok(first.map_or(end, |(offset, _)| offset)),
        // Where it cannot be read nothing was removed, as far as anybody can know: reading from 0
        // names the damage.
        Err(error) if is_damage(&error) => Ok(0),
        Err(error) => Err(sql(error)),
    }
}

/// The first offset within a range that was appended at or after this time; the range's end where
/// there is none. Where the search meets damage, the range's start: reading from there names it.
pub(super) fn offset_at(conn: &Connection, slot: u32, range: LogRange, append_time_us: i64) -> Result<i64, LogError> {
    match search(conn, slot, range, append_time_us) {
        Err(error) if is_damage(&error) => Ok(range.start),
        found => found.map_err(sql),
    }
}

fn search(conn: &Connection, slot: u32, range: LogRange, append_time_us: i64) -> rusqlite::Result<i64> {
    // Append times never fall within a partition, so the offsets before the answer are all too
    // early.
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        match first_from(conn, slot, middle, high)? {
            Some((offset, append_us)) if append_us < append_time_us => low = offset + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(first_from(conn, slot, low, range.end)?.map_or(range.end, |(offset, _)| offset))
}

/// Offset and append time of the first record at or after this offset, before `end`.
fn first_from(conn: &Connection, slot: u32, offset: i64, end: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    let select = "SELECT id, append_us FROM record WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1";
    let mut select = conn.prepare_cached(select)?;
    let bounds = params![record_id(slot, offset), record_id(slot, end)];
    select.query_row(bounds, |row| Ok((offset_of(row.get(0)?), row.get(1)?))).optional()
}
