//! What happens inside a writing transaction.

use super::error::{Sorted, row_error};
use super::request::{ProjectionSql, TableSql, Touched};
use super::rows::{bind_cells, bind_key};
use super::{dead, position, sequences};
use domain::delta::{Deltas, TableDelta};
use pipeline::StoreError;
use pipeline::position::Flush;
use rusqlite::{CachedStatement, Connection};

/// Writes all of a flush: positions first, so that a worker that was fenced writes nothing else
/// (I3).
pub(super) fn flush(connection: &Connection, sql: &ProjectionSql, flush: &Flush<'_>) -> Result<(), StoreError> {
    position::advance(connection, flush.projection, flush.advances)?;
    sequences::change(connection, flush.projection, flush.sequences)?;
    dead::insert(connection, flush.projection, flush.dead)?;
    rows(connection, sql, flush.rows)
}

/// Writes the rows of all tables, each table's in key order.
pub(super) fn rows(connection: &Connection, sql: &ProjectionSql, deltas: &Deltas) -> Result<(), StoreError> {
    deltas
        .tables()
        .iter()
        .filter(|delta| !delta.is_empty())
        .try_for_each(|delta| table_rows(connection, sql.table(delta.table()), delta))
}

/// Statements kept at hand per table and commit; rows that touch yet other columns are written
/// whole.
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
        let written = bind_cells(statement, first, touched.of(delta.cells(ix))).and_then(|()| statement.raw_execute());
        written.map_err(|error| row_error(sql.name(), &error))?;
    }
    Ok(())
}
