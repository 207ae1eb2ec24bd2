//! Snapshots: the rows and positions of one moment, streamed in key order and merged into logical rows.

use super::connection::open_read_only;
use super::error::Sorted;
use super::request::TableSql;
use super::rows::{read_cells, read_key};
use super::schema::physical_name;
use super::{dead, position};
use domain::digest::{Digest, LogicalRow, Merger};
use domain::table::{KeyColumn, PARTIAL_KEY, Slot, Table};
use domain::{Projection, Topic, TopicPartition};
use pipeline::group::GroupPosition;
use pipeline::ports::DedupSettings;
use pipeline::position::{DeadRow, GENERATION};
use pipeline::{Scan, StoreError, StoredRow};
use rusqlite::{Connection, Row, Rows, params};
use std::path::Path;

/// One read transaction on a connection of its own. While it lives, the write-ahead log cannot be cut: keep it
/// no longer than needed.
#[derive(Debug)]
pub struct Snapshot {
    connection: Connection,
}

impl Snapshot {
    /// Opens a snapshot of the store in this file, beside the process that writes it, if there is one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::begin(open_read_only(path).sorted()?)
    }

    pub(super) fn begin(connection: Connection) -> Result<Self, StoreError> {
        // The transaction starts with its first read.
        connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;").sorted()?;
        Ok(Self { connection })
    }

    /// Where a projection stands, in which log, and whether it is parked; sorted by partition. A partition that is parked
    /// without a position is among them, standing where its note says.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn positions(&self, projection: &Projection) -> Result<Vec<GroupPosition>, StoreError> {
        let mut statement = self.connection.prepare(position::POSITIONS).sorted()?;
        let mut rows = statement.query(params![projection.name, projection.version, GENERATION]).sorted()?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().sorted()? {
            let tp = read_partition_named(row)?;
            found.push(position::read_held(row, tp).sorted()?);
        }
        found.sort_unstable_by_key(|held: &GroupPosition| held.position.tp);
        Ok(found)
    }

    /// Visits the records that a projection holds for dead, one at a time: partition by partition, by offset.
    ///
    /// # Errors
    /// Where the store cannot be read, and those of `visit`.
    pub fn dead_rows(
        &self,
        projection: &Projection,
        visit: impl FnMut(DeadRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        dead::visit(&self.connection, projection, visit)
    }

    /// The rules by which the projection's version tells duplicates; none where it has never run.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn settings(&self, projection: &Projection) -> Result<Option<DedupSettings>, StoreError> {
        position::settings(&self.connection, projection)
    }

    /// Visits the stored rows of a table, in key order, one at a time.
    pub fn stored_rows(
        &self,
        projection: &Projection,
        table: &'static Table,
        mut visit: impl FnMut(StoredRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let reader = RowReader::new(table);
        let mut statement = self.connection.prepare(&reader.scan_sql(projection)).sorted()?;
        let mut rows = statement.query([]).sorted()?;
        while let Some(row) = rows.next().sorted()? {
            visit(reader.read(row)?)?;
        }
        Ok(())
    }

    /// Visits the logical rows of a table, in key order, one at a time: parts are merged.
    pub fn rows(
        &self,
        projection: &Projection,
        table: &'static Table,
        mut visit: impl FnMut(LogicalRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sql = RowReader::new(table).scan_sql(projection);
        let mut statement = self.connection.prepare(&sql).sorted()?;
        let mut rows = LogicalRows::new(table, statement.query([]).sorted()?);
        while let Some(row) = rows.next()? {
            visit(row)?;
        }
        Ok(())
    }

    /// The digest of a table (I10).
    pub fn digest(&self, projection: &Projection, table: &'static Table) -> Result<Digest, StoreError> {
        let (mut digest, mut scratch) = (Digest::default(), Vec::new());
        self.rows(projection, table, |row| {
            digest.add_row(table, &row, &mut scratch);
            Ok(())
        })?;
        Ok(digest)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Scan for Snapshot {
    async fn scan(
        &mut self,
        projection: &Projection,
        table: &'static Table,
        visit: &mut dyn FnMut(StoredRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.stored_rows(projection, table, visit)
    }
}

/// How the rows of one table are read.
pub(super) struct RowReader {
    table: &'static Table,
    key: Vec<&'static KeyColumn>,
    slots: Vec<Slot>,
}

impl RowReader {
    pub(super) fn new(table: &'static Table) -> Self {
        Self { table, key: table.key.iter().collect(), slots: table.slots().collect() }
    }

    pub(super) fn scan_sql(&self, projection: &Projection) -> String {
        TableSql::new(&physical_name(projection, self.table), self.table).scan
    }

    pub(super) fn read(&self, row: &Row<'_>) -> Result<StoredRow, StoreError> {
        let mut key = Vec::with_capacity(64);
        read_key(row, 0, &self.key, &mut key).sorted()?;
        let mut next = self.key.len();
        let part = if self.table.partial { Some(read_partition(row, next)?) } else { None };
        next += part.map_or(0, |_| PARTIAL_KEY.len());
        Ok(StoredRow { key, part, cells: read_cells(row, next, &self.slots).sorted()? })
    }
}

/// The logical rows of one table, one after another.
pub(super) struct LogicalRows<'stmt> {
    reader: RowReader,
    merger: Merger,
    rows: Option<Rows<'stmt>>,
}

impl<'stmt> LogicalRows<'stmt> {
    pub(super) fn new(table: &'static Table, rows: Rows<'stmt>) -> Self {
        Self { reader: RowReader::new(table), merger: Merger::new(table), rows: Some(rows) }
    }

    pub(super) fn next(&mut self) -> Result<Option<LogicalRow>, StoreError> {
        while let Some(rows) = &mut self.rows {
            let Some(row) = rows.next().sorted()? else {
                self.rows = None;
                return Ok(self.merger.finish());
            };
            let row = self.reader.read(row)?;
            let ended = self.merger.push(&row.key, row.cells);
            if ended.is_some() {
                return Ok(ended);
            }
        }
        Ok(None)
    }
}

/// The partition in the columns `first` and the one behind it.
pub(super) fn read_partition(row: &Row<'_>, first: usize) -> Result<TopicPartition, StoreError> {
    let name: String = row.get(first).sorted()?;
    partition_of(&name, row.get(first + 1).sorted()?)
}

fn read_partition_named(row: &Row<'_>) -> Result<TopicPartition, StoreError> {
    let name: String = row.get("topic").sorted()?;
    partition_of(&name, row.get("partition").sorted()?)
}

fn partition_of(name: &str, partition: u32) -> Result<TopicPartition, StoreError> {
    let topic = Topic::from_name(name).ok_or_else(|| {
        StoreError::Fatal(format!(
            "the store names the topic {name}, which this version does not know: use a newer one"
        ))
    })?;
    Ok(TopicPartition::new(topic, partition))
}
