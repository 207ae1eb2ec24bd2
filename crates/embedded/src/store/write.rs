//! What happens inside a writing transaction.

use super::error::Sorted;
use super::request::{ADVANCE, CLAIM, ProjectionSql, RAISE_MARK, TableSql, Touched};
use super::rows::{bind_cells, bind_key};
use domain::delta::{Deltas, TableDelta};
use domain::{Projection, TopicPartition};
use pipeline::{Advance, Claimed, Counts, Flush, Mark, Position, StoreError};
use rusqlite::{CachedStatement, Connection, Row, TransactionBehavior, params};

/// Runs `work` in one transaction that holds the write lock from its start; rolls back where it fails.
pub(super) fn transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).sorted()?;
    let done = work(&transaction)?;
    transaction.commit().sorted()?;
    Ok(done)
}

/// Raises each partition's epoch.
pub(super) fn claim(
    connection: &Connection,
    projection: &Projection,
    tps: &[TopicPartition],
) -> Result<Vec<Claimed>, StoreError> {
    let mut statement = connection.prepare_cached(CLAIM).sorted()?;
    tps.iter()
        .map(|tp| {
            let of = params![projection.name, projection.version, tp.topic.name(), tp.partition];
            statement
                .query_row(of, |row| Ok(Claimed { tp: *tp, epoch: row.get(0)?, position: read_position(row, *tp)? }))
        })
        .collect::<rusqlite::Result<_>>()
        .sorted()
}

/// A position from the columns that [`super::request::POSITION`] names; none before the first commit.
pub(super) fn read_position(row: &Row<'_>, tp: TopicPartition) -> rusqlite::Result<Option<Position>> {
    let (Some(first_offset), Some(next_offset)) = (row.get(1)?, row.get(2)?) else { return Ok(None) };
    let time = |ix| row.get::<_, Option<i64>>(ix).map(|time| time.unwrap_or(i64::MIN));
    let counts = Counts {
        applied: row.get(5)?,
        duplicate: row.get(6)?,
        ignored: row.get(7)?,
        dead: row.get(8)?,
        holes: row.get(9)?,
    };
    let epoch = row.get(0)?;
    let (watermark_us, last_append_us) = (time(3)?, time(4)?);
    Ok(Some(Position { tp, first_offset, next_offset, epoch, watermark_us, last_append_us, counts }))
}

/// Writes all of a flush: positions first, so that a worker that was fenced writes nothing else (I3).
pub(super) fn flush(connection: &Connection, sql: &ProjectionSql, flush: &Flush<'_>) -> Result<(), StoreError> {
    advance(connection, flush.projection, flush.advances)?;
    raise_marks(connection, flush.projection, flush.marks)?;
    rows(connection, sql, flush.rows)?;
    (flush.before_commit)();
    Ok(())
}

fn advance(connection: &Connection, projection: &Projection, advances: &[Advance]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(ADVANCE).sorted()?;
    let mut order: Vec<&Advance> = advances.iter().collect();
    order.sort_unstable_by_key(|advance| advance.to.tp);
    let mut lost = Vec::new();
    for Advance { from, to } in order {
        let time = |us: i64| (us != i64::MIN).then_some(us);
        let counts = to.counts;
        let moved = statement
            .execute(params![
                to.first_offset,
                to.next_offset,
                time(to.watermark_us),
                time(to.last_append_us),
                counts.applied,
                counts.duplicate,
                counts.ignored,
                counts.dead,
                counts.holes,
                projection.name,
                projection.version,
                to.tp.topic.name(),
                to.tp.partition,
                to.epoch,
                from,
            ])
            .sorted()?;
        if moved != 1 {
            lost.push(to.tp);
        }
    }
    if lost.is_empty() { Ok(()) } else { Err(StoreError::Fenced(lost)) }
}

fn raise_marks(connection: &Connection, projection: &Projection, marks: &[Mark]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(RAISE_MARK).sorted()?;
    let mut order: Vec<&Mark> = marks.iter().collect();
    order.sort_unstable_by(|a, b| (a.tp, &a.producer_id).cmp(&(b.tp, &b.producer_id)));
    for mark in order {
        let (topic, partition) = (mark.tp.topic.name(), mark.tp.partition);
        let values = params![projection.name, projection.version, topic, partition, mark.producer_id, mark.seq];
        statement.execute(values).sorted()?;
    }
    Ok(())
}

/// Writes the rows of all tables, each table's in key order.
pub(super) fn rows(connection: &Connection, sql: &ProjectionSql, deltas: &Deltas) -> Result<(), StoreError> {
    deltas
        .tables()
        .iter()
        .filter(|delta| !delta.is_empty())
        .try_for_each(|delta| table_rows(connection, sql.table(delta.table()), delta))
}

/// Statements kept at hand per table and commit; rows that touch yet other columns are written whole.
const SHAPES: usize = 16;

fn table_rows(connection: &Connection, sql: &TableSql, delta: &TableDelta) -> Result<(), StoreError> {
    let mut whole = connection.prepare_cached(&sql.upsert(Touched::ALL)).sorted()?;
    let mut shapes: Vec<(Touched, CachedStatement<'_>)> = Vec::new();
    for ix in delta.sorted() {
        let mut touched = sql.touched(delta.cells(ix));
        let mut at = shapes.iter().position(|(held, _)| *held == touched);
        if at.is_none() && touched != Touched::ALL {
            if shapes.len() < SHAPES {
                at = Some(shapes.len());
                shapes.push((touched, connection.prepare_cached(&sql.upsert(touched)).sorted()?));
            } else {
                touched = Touched::ALL;
            }
        }
        let statement = at.map_or(&mut whole, |at| &mut shapes[at].1);
        let first = bind_key(statement, &sql.key, delta.key(ix))?;
        bind_cells(statement, first, touched.of(delta.cells(ix))).sorted()?;
        statement.raw_execute().sorted()?;
    }
    Ok(())
}
