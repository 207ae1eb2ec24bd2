//! The store behind the ports.

use super::config::StoreConfig;
use super::connection::{open_reader, open_writer};
use super::error::Sorted;
use super::migrate;
use super::reader::Snapshot;
use super::request::ProjectionSql;
use super::rows::{bind_key, read_cells};
use super::schema::{physical_name, table_ddl};
use super::writer::{self, Writer};
use super::{dead, position, sequences, write};
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::table::{Slot, Table};
use domain::{Projection, TopicPartition};
use pipeline::dedup::StoredSequence;
use pipeline::ports::{Abort, DedupSettings, Silent};
use pipeline::position::{Claim, Claimed, Flush, ParkNote, Position};
use pipeline::{RecordStore, RowStore, StoreError};
use rusqlite::Connection;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// The rows, positions, sequences and dead records of all projections, in one SQLite file. Clones share the one writing connection.
#[derive(Debug)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
    reader: Option<Connection>,
    sql: Vec<Arc<KnownProjection>>,
    records: (&'static str, u32),
}

#[derive(Debug)]
pub(super) struct Shared {
    config: StoreConfig,
    pub(super) writer: Writer,
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
        let shared = Arc::new(Shared { config, writer: Writer::new(writer) });
        Ok(Self { shared, reader: None, sql: Vec::new(), records: (records.name, records.version) })
    }

    /// Takes back the schema migrations above `target` (0: all), with the rows in their tables. The next
    /// [`Store::open`] applies them again.
    pub fn revert(config: &StoreConfig, target: i64) -> Result<(), StoreError> {
        migrate::down(&mut open_writer(config).sorted()?, target)
    }

    /// Creates the tables of a projection from its declarations, where they are not there.
    pub fn create_tables(&self, projection: &Projection) -> Result<(), StoreError> {
        writer::transaction(&mut self.shared.writer.lock_now(), |connection| {
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
        let reader = open_reader(&self.shared.config).sorted()?;
        let id = reader.query_row("SELECT id FROM store", [], |row| row.get(0)).sorted()?;
        Ok(Uuid::from_bytes(id))
    }

    /// States from which log the records come, whose positions are not kept here but in that log. Gives back the other log
    /// that they came from before, if there is one: a log that was put in the place of another has no positions, and its
    /// records must not be written among those of the other (I2). To be called before records are written.
    ///
    /// # Errors
    /// Those of the store.
    pub fn bind_log(&self, log: Uuid) -> Result<Option<Uuid>, StoreError> {
        let held: [u8; 16] = writer::transaction(&mut self.shared.writer.lock_now(), |connection| {
            let bind = "UPDATE store SET log_id = coalesce(log_id, ?) RETURNING log_id";
            connection.query_row(bind, [log.as_bytes()], |row| row.get(0)).sorted()
        })?;
        let held = Uuid::from_bytes(held);
        Ok((held != log).then_some(held))
    }

    /// The settings it was opened with.
    #[must_use]
    pub fn config(&self) -> &StoreConfig {
        &self.shared.config
    }

    async fn check_file(&self) -> Result<(), StoreError> {
        let path = &self.shared.config.path;
        if !path.exists() {
            let path = path.display();
            return Err(StoreError::Unavailable(format!(
                "{path} was moved or removed while it is in use: put it back, or restart sporelog, which makes a new one \
                 and fills it from the log"
            )));
        }
        // Takes the write lock, which a file that cannot be written refuses.
        self.shared.writer.transact(|_| Ok(())).await
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

    /// Writes rows of records, as [`RecordStore::write`] does, for a caller that is no future; it waits on its thread, on
    /// which therefore no commit of this store may be under way.
    ///
    /// # Errors
    /// Those of the store.
    pub fn write_now(&mut self, rows: &Deltas) -> Result<(), StoreError> {
        let known = self.records_sql(rows);
        writer::transaction(&mut self.shared.writer.lock_now(), |connection| write::rows(connection, &known.sql, rows))
    }

    fn records_sql(&mut self, rows: &Deltas) -> Arc<KnownProjection> {
        let (name, version) = self.records;
        self.sql(name, version, || ProjectionSql::of_deltas(name, version, rows))
    }

    fn projection_sql(&mut self, projection: &Projection) -> Arc<KnownProjection> {
        self.sql(projection.name, projection.version, || ProjectionSql::new(projection))
    }
}

impl RowStore for Store {
    async fn check(&mut self, _: &Projection) -> Result<(), StoreError> {
        self.check_file().await
    }

    async fn settings(&mut self, projection: &Projection, wanted: DedupSettings) -> Result<DedupSettings, StoreError> {
        let store = |connection: &Connection| {
            position::store_settings(connection, projection, wanted)?;
            Ok(position::settings(connection, projection)?.unwrap_or(wanted))
        };
        self.shared.writer.transact(store).await
    }

    async fn claim(&mut self, projection: &Projection, claims: &[Claim]) -> Result<Vec<Claimed>, StoreError> {
        self.shared.writer.transact(|connection| position::claim(connection, projection, claims)).await
    }

    async fn note_parked(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        note: &ParkNote,
    ) -> Result<(), StoreError> {
        self.shared.writer.transact(|connection| position::note_parked(connection, projection, tp, note)).await
    }

    async fn positions(
        &mut self,
        projection: &Projection,
        tps: &[TopicPartition],
    ) -> Result<Vec<Position>, StoreError> {
        self.read(|connection| position::positions(connection, projection, tps))
    }

    async fn sequences(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        producers: &[(&str, &str)],
    ) -> Result<Vec<Option<StoredSequence>>, StoreError> {
        self.read(|connection| sequences::load(connection, projection, tp, producers))
    }

    async fn forget_producers(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        silent: Silent,
    ) -> Result<(), StoreError> {
        self.shared.writer.transact(|connection| sequences::forget(connection, projection, tp, silent)).await
    }

    async fn dead(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        offsets: Range<i64>,
    ) -> Result<Vec<i64>, StoreError> {
        self.read(|connection| dead::offsets(connection, projection, tp, offsets))
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

    /// A commit that is dropped, or whose publishing fails, is rolled back: the transaction ends with the future.
    async fn commit(&mut self, flush: &Flush<'_>) -> Result<(), StoreError> {
        let known = self.projection_sql(flush.projection);
        let mut connection = self.shared.writer.lock().await;
        let transaction = writer::begin(&mut connection)?;
        write::flush(&transaction, &known.sql, flush)?;
        // Behind the statements: a cause that the store refuses has derived nothing (design 2).
        (flush.before_commit)().await.map_err(|Abort| StoreError::Aborted)?;
        transaction.commit().sorted()
    }
}

impl RecordStore for Store {
    async fn check(&mut self, _: &Projection) -> Result<(), StoreError> {
        self.check_file().await
    }

    async fn write(&mut self, rows: &Deltas) -> Result<(), StoreError> {
        let known = self.records_sql(rows);
        self.shared.writer.transact(|connection| write::rows(connection, &known.sql, rows)).await
    }
}
