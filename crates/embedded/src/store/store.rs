//! The store behind the ports.

use super::config::StoreConfig;
use super::connection::{open_reader, open_writer};
use super::error::Sorted;
use super::migrate;
use super::reader::Snapshot;
use super::request::{MARK, POSITION, ProjectionSql};
use super::rows::{bind_key, read_cells};
use super::schema::{physical_name, table_ddl};
use super::write;
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::table::{Slot, Table};
use domain::{Projection, TopicPartition};
use pipeline::{Claimed, Flush, Position, RecordStore, RowStore, StoreError};
use rusqlite::{Connection, OptionalExtension, params};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// The rows, positions and marks of all projections, in one SQLite file. Clones share the one writing connection.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    reader: Option<Connection>,
    sql: Vec<Arc<KnownProjection>>,
    records: (&'static str, u32),
}

#[derive(Debug)]
struct Shared {
    config: StoreConfig,
    writer: Mutex<Connection>,
}

#[derive(Debug)]
struct KnownProjection {
    name: &'static str,
    version: u32,
    sql: ProjectionSql,
}

impl Clone for Store {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), reader: None, sql: self.sql.clone(), records: self.records }
    }
}

impl Store {
    /// Opens the store in this file, with default settings; creates it and brings its schema up to date.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_with(StoreConfig::new(path))
    }

    /// Opens the store; creates it and brings its schema up to date.
    pub fn open_with(config: StoreConfig) -> Result<Self, StoreError> {
        let mut writer = open_writer(&config).sorted()?;
        migrate::up(&mut writer)?;
        let records = &domain::fold::records::RECORDS;
        let shared = Arc::new(Shared { config, writer: Mutex::new(writer) });
        Ok(Self { shared, reader: None, sql: Vec::new(), records: (records.name, records.version) })
    }

    /// Takes back the schema migrations above `target` (0: all), with the rows in their tables. The next
    /// [`Store::open`] applies them again.
    pub fn revert(config: &StoreConfig, target: i64) -> Result<(), StoreError> {
        migrate::down(&mut open_writer(config).sorted()?, target)
    }

    /// Creates the tables of a projection from its declarations, where they are not there.
    pub fn create_tables(&self, projection: &Projection) -> Result<(), StoreError> {
        write::transaction(&mut self.writer(), |connection| {
            for table in projection.tables {
                let name = physical_name(projection, table);
                if !connection.table_exists(None, name.as_str()).sorted()? {
                    connection.execute_batch(&table_ddl(&name, table)).sorted()?;
                }
            }
            Ok(())
        })
    }

    /// Makes [`RecordStore::write`] write the tables of this projection, instead of those of `records`.
    #[must_use]
    pub fn with_records(mut self, projection: &Projection) -> Self {
        self.records = (projection.name, projection.version);
        self
    }

    /// What is committed now, as one snapshot: rows and positions that belong together (I12).
    pub fn reader(&self) -> Result<Snapshot, StoreError> {
        Snapshot::begin(open_reader(&self.shared.config).sorted()?)
    }

    /// The id that this store was given when its file was made: offsets kept outside of it belong to this id.
    pub fn id(&self) -> Result<Uuid, StoreError> {
        let id = self.writer().query_row("SELECT id FROM store", [], |row| row.get(0)).sorted()?;
        Ok(Uuid::from_bytes(id))
    }

    /// The settings it was opened with.
    #[must_use]
    pub fn config(&self) -> &StoreConfig {
        &self.shared.config
    }

    // A panic inside a transaction rolls it back while the stack unwinds, so a poisoned lock holds a good connection.
    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => open_reader(&self.shared.config).sorted()?,
        };
        let done = work(&reader);
        if done.is_ok() {
            self.reader = Some(reader);
        }
        done
    }

    fn sql(&mut self, name: &'static str, version: u32, make: impl FnOnce() -> ProjectionSql) -> Arc<KnownProjection> {
        let known = self.sql.iter().find(|known| known.name == name && known.version == version);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let known = Arc::new(KnownProjection { name, version, sql: make() });
        self.sql.push(Arc::clone(&known));
        known
    }

    /// Writes rows of records, as [`RecordStore::write`] does, for a caller that cannot wait.
    ///
    /// # Errors
    /// Those of the store.
    pub fn write_now(&mut self, rows: &Deltas) -> Result<(), StoreError> {
        let (name, version) = self.records;
        let known = self.sql(name, version, || ProjectionSql::of_deltas(name, version, rows));
        write::transaction(&mut self.writer(), |connection| write::rows(connection, &known.sql, rows))
    }

    fn projection_sql(&mut self, projection: &Projection) -> Arc<KnownProjection> {
        self.sql(projection.name, projection.version, || ProjectionSql::new(projection))
    }
}

impl RowStore for Store {
    async fn claim(&mut self, projection: &Projection, tps: &[TopicPartition]) -> Result<Vec<Claimed>, StoreError> {
        write::transaction(&mut self.writer(), |connection| write::claim(connection, projection, tps))
    }

    async fn positions(
        &mut self,
        projection: &Projection,
        tps: &[TopicPartition],
    ) -> Result<Vec<Position>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(POSITION).sorted()?;
            let mut found = Vec::with_capacity(tps.len());
            for tp in tps {
                let of = params![projection.name, projection.version, tp.topic.name(), tp.partition];
                let position = statement.query_row(of, |row| write::read_position(row, *tp)).optional().sorted()?;
                found.extend(position.flatten());
            }
            Ok(found)
        })
    }

    async fn marks(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        producers: &[&str],
    ) -> Result<Vec<Option<i64>>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(MARK).sorted()?;
            let mut mark = |producer: &&str| {
                let of = params![projection.name, projection.version, tp.topic.name(), tp.partition, producer];
                statement.query_row(of, |row| row.get(0)).optional()
            };
            producers.iter().map(&mut mark).collect::<rusqlite::Result<_>>().sorted()
        })
    }

    async fn load(
        &mut self,
        projection: &Projection,
        table: &'static Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<Cell>>>, StoreError> {
        let known = self.projection_sql(projection);
        let sql = known.sql.table(table);
        let slots: Vec<Slot> = table.slots().collect();
        self.read(|connection| {
            let snapshot = connection.unchecked_transaction().sorted()?;
            let mut statement = snapshot.prepare_cached(&sql.load).sorted()?;
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                bind_key(&mut statement, &sql.key, key)?;
                let mut rows = statement.raw_query();
                let row = rows.next().sorted()?;
                found.push(row.map(|row| read_cells(row, 0, &slots)).transpose().sorted()?);
            }
            Ok(found)
        })
    }

    async fn commit(&mut self, flush: &Flush<'_>) -> Result<(), StoreError> {
        let known = self.projection_sql(flush.projection);
        write::transaction(&mut self.writer(), |connection| write::flush(connection, &known.sql, flush))
    }
}

impl RecordStore for Store {
    async fn write(&mut self, rows: &Deltas) -> Result<(), StoreError> {
        self.write_now(rows)
    }
}
