//! The records that a projection could not apply, as its store remembers them.

use super::error::{Sorted, store_error};
use domain::{Projection, TopicPartition};
use pipeline::StoreError;
use pipeline::position::{DeadRow, GENERATION};
use rusqlite::{Connection, Row, params};
use std::ops::Range;

/// An offset is dead once: a second row of it can only stem from a position that an operator took
/// back.
const INSERT: &str = "INSERT OR REPLACE INTO dead_record (projection, version, topic, generation, partition, offset,
 append_us, reason, value_hash, id_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

const OFFSETS: &str = "SELECT offset FROM dead_record WHERE projection = ? AND version = ? AND topic = ?
 AND generation = ? AND partition = ? AND offset >= ? AND offset < ? ORDER BY offset";

const ROWS: &str = "SELECT topic, partition, offset, append_us, reason, value_hash, id_hash FROM dead_record
 WHERE projection = ? AND version = ? AND generation = ? ORDER BY topic, partition, offset";

/// Remembers dead records.
pub(super) fn insert(connection: &Connection, projection: &Projection, dead: &[DeadRow]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(INSERT).sorted()?;
    for DeadRow { tp, offset, append_us, reason, value_hash, id_hash } in dead {
        let row = params![
            projection.name,
            projection.version,
            tp.topic.name(),
            GENERATION,
            tp.partition,
            offset,
            append_us,
            reason,
            value_hash,
            id_hash,
        ];
        statement.execute(row).sorted()?;
    }
    Ok(())
}

/// The offsets of a partition's dead records within a range, ascending.
pub(super) fn offsets(
    connection: &Connection,
    projection: &Projection,
    tp: TopicPartition,
    range: Range<i64>,
) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached(OFFSETS).sorted()?;
    let topic = tp.topic.name();
    let of = params![projection.name, projection.version, topic, GENERATION, tp.partition, range.start, range.end];
    let rows = statement.query_map(of, |row| row.get(0)).sorted()?;
    rows.collect::<rusqlite::Result<Vec<_>>>().sorted()
}

/// Visits the dead records of a projection one at a time, partition by partition, by offset.
pub(super) fn visit(
    connection: &Connection,
    projection: &Projection,
    mut visit: impl FnMut(DeadRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(ROWS).sorted()?;
    let mut rows = statement.query(params![projection.name, projection.version, GENERATION]).sorted()?;
    while let Some(row) = rows.next().sorted()? {
        let tp = super::reader::read_partition(row, 0)?;
        visit(read(row, tp).map_err(|error| store_error(&error))?)?;
    }
    Ok(())
}

fn read(row: &Row<'_>, tp: TopicPartition) -> rusqlite::Result<DeadRow> {
    Ok(DeadRow {
        tp,
        offset: row.get("offset")?,
        append_us: row.get("append_us")?,
        reason: row.get("reason")?,
        value_hash: row.get("value_hash")?,
        id_hash: row.get("id_hash")?,
    })
}
