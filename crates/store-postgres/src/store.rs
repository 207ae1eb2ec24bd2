//! The store behind the port of workers.

use crate::bookkeeping::{CLAIM, DEAD, FORGET, NOTE_PARKED, POSITIONS, SEQUENCES, SETTINGS, STORE_SETTINGS};
use crate::check;
use crate::database::{Database, Session};
use crate::month::Months;
use crate::position::{Held, read_held};
use crate::request::ProjectionSql;
use crate::rows::{Keys, read_cells};
use crate::sequence::{read_sequence, without_nul};
use crate::write;
use domain::cell::Cell;
use domain::table::Table;
use domain::{Projection, TopicPartition};
use pipeline::dedup::StoredSequence;
use pipeline::ports::{DedupSettings, Silent};
use pipeline::position::{Claim, ParkNote};
use pipeline::{Claimed, Flush, Position, RowStore, StoreError};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Keys that one statement loads.
const LOADED: usize = 10_000;

/// The rows, positions and sequences of views and series. A worker holds a clone; each call takes a connection of the
/// pool, which keeps its prepared statements.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Database,
    sql: Vec<Arc<ProjectionSql>>,
    months: Months,
}

impl PostgresStore {
    /// A store over this database, whose schema `migrate::up` has brought up to date.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, sql: Vec::new(), months: Months::default() }
    }

    /// The pool behind it.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    fn sql(&mut self, projection: &Projection) -> Arc<ProjectionSql> {
        let held = |sql: &&Arc<ProjectionSql>| sql.name == projection.name && sql.version == projection.version;
        if let Some(sql) = self.sql.iter().find(held) {
            return Arc::clone(sql);
        }
        let sql = Arc::new(ProjectionSql::new(projection));
        self.sql.push(Arc::clone(&sql));
        sql
    }

    /// One statement, by itself.
    async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        let session = self.database.session().await?;
        let statement = session.prepared(sql).await?;
        let rows = session.replied(session.client()?.query(&statement, parameters)).await?;
        session.give_back();
        Ok(rows)
    }

    /// Statements of one partition: its key, then what else the statement wants.
    async fn of_partition(
        &self,
        sql: &str,
        (projection, tp): (&Projection, TopicPartition),
        more: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let (version, partition) = (i64::from(projection.version), i64::from(tp.partition));
        let topic = tp.topic.name();
        let key: [&(dyn ToSql + Sync); 4] = [&projection.name, &version, &topic, &partition];
        self.query(sql, &[&key, more].concat()).await
    }

    /// The rules stored with a projection's version.
    async fn stored_settings(&self, projection: &Projection) -> Result<Option<DedupSettings>, StoreError> {
        let rows = self.query(SETTINGS, &[&projection.name, &i64::from(projection.version)]).await?;
        rows.first().map(check::read_settings).transpose()
    }
}

/// What rows of the table of positions say, in the order of these partitions.
fn in_order(rows: &[Row], tps: impl Iterator<Item = TopicPartition>) -> Result<Vec<Held>, StoreError> {
    let found = rows.iter().map(|row| read_held(row).map(|held| (held.tp, held)));
    let mut found = found.collect::<Result<HashMap<_, _>, StoreError>>()?;
    Ok(tps.filter_map(|tp| found.remove(&tp)).collect())
}

impl RowStore for PostgresStore {
    async fn check(&mut self, projection: &Projection) -> Result<(), StoreError> {
        let session = self.database.session().await?;
        check::check(&session, self.database.config(), projection).await?;
        session.give_back();
        Ok(())
    }

    async fn settings(&mut self, projection: &Projection, wanted: DedupSettings) -> Result<DedupSettings, StoreError> {
        if let Some(stored) = self.stored_settings(projection).await? {
            return Ok(stored);
        }
        let DedupSettings { window_ms, max_records } = wanted;
        let version = i64::from(projection.version);
        self.query(STORE_SETTINGS, &[&projection.name, &version, &window_ms, &max_records]).await?;
        // Another worker may have been first: a statement of its own sees which.
        Ok(self.stored_settings(projection).await?.unwrap_or(wanted))
    }

    async fn claim(&mut self, projection: &Projection, claims: &[Claim]) -> Result<Vec<Claimed>, StoreError> {
        let topics: Vec<&str> = claims.iter().map(|claim| claim.tp.topic.name()).collect();
        let partitions: Vec<i64> = claims.iter().map(|claim| claim.tp.partition.into()).collect();
        let clusters: Vec<&str> = claims.iter().map(|claim| claim.log.cluster_id.as_str()).collect();
        let ids: Vec<&str> = claims.iter().map(|claim| claim.log.topic_id.as_str()).collect();
        let counts: Vec<i64> = claims.iter().map(|claim| claim.log.partitions.into()).collect();
        let version = i64::from(projection.version);
        let parameters: [&(dyn ToSql + Sync); 7] =
            [&projection.name, &version, &topics, &partitions, &clusters, &ids, &counts];
        let rows = self.query(&CLAIM, &parameters).await?;
        let held = in_order(&rows, claims.iter().map(|claim| claim.tp))?;
        Ok(held.into_iter().map(Held::claimed).collect())
    }

    async fn note_parked(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        note: &ParkNote,
    ) -> Result<(), StoreError> {
        let (cause, text) = (without_nul(&note.cause), without_nul(&note.text));
        let note: [&(dyn ToSql + Sync); 4] = [&cause, &note.offset, &text, &note.since_us];
        self.of_partition(&NOTE_PARKED, (projection, tp), &note).await.map(drop)
    }

    async fn positions(
        &mut self,
        projection: &Projection,
        tps: &[TopicPartition],
    ) -> Result<Vec<Position>, StoreError> {
        let topics: Vec<&str> = tps.iter().map(|tp| tp.topic.name()).collect();
        let partitions: Vec<i64> = tps.iter().map(|tp| tp.partition.into()).collect();
        let version = i64::from(projection.version);
        let rows = self.query(&POSITIONS, &[&projection.name, &version, &topics, &partitions]).await?;
        let held = in_order(&rows, tps.iter().copied())?;
        Ok(held.into_iter().filter_map(|held| held.position).collect())
    }

    async fn sequences(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        producers: &[(&str, &str)],
    ) -> Result<Vec<Option<StoredSequence>>, StoreError> {
        let mut found = vec![None; producers.len()];
        let (tenants, ids): (Vec<&str>, Vec<&str>) = producers.iter().copied().unzip();
        for row in self.of_partition(&SEQUENCES, (projection, tp), &[&tenants, &ids]).await? {
            let (place, sequence) = read_sequence(&row)?;
            if let Some(found) = found.get_mut(place) {
                *found = Some(sequence);
            }
        }
        Ok(found)
    }

    async fn forget_producers(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        silent: Silent,
    ) -> Result<(), StoreError> {
        let times: [&(dyn ToSql + Sync); 2] = [&silent.sets_before_us, &silent.floors_before_us];
        self.of_partition(&FORGET, (projection, tp), &times).await.map(drop)
    }

    async fn dead(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        offsets: Range<i64>,
    ) -> Result<Vec<i64>, StoreError> {
        let rows = self.of_partition(&DEAD, (projection, tp), &[&offsets.start, &offsets.end]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn load(
        &mut self,
        projection: &Projection,
        table: &'static Table,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<Cell>>>, StoreError> {
        let mut found = vec![None; keys.len()];
        if keys.is_empty() {
            return Ok(found);
        }
        let known = self.sql(projection);
        let sql = known.table(table);
        let keys = Keys::split(&sql.key, keys.iter().copied())?;
        let session = self.database.session().await?;
        let statement = session.prepared(&sql.load).await?;
        for first in (0..keys.len()).step_by(LOADED) {
            let rows = first..keys.len().min(first + LOADED);
            let columns: Vec<_> = (0..sql.key.len()).map(|ix| keys.column(ix, rows.clone())).collect();
            let columns: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as _).collect();
            for row in session.replied(session.client()?.query(&statement, &columns)).await? {
                let (place, cells) = placed(&row, sql)?;
                if let Some(found) = found.get_mut(first + place) {
                    *found = Some(cells);
                }
            }
        }
        Session::give_back(session);
        Ok(found)
    }

    async fn commit(&mut self, flush: &Flush<'_>) -> Result<(), StoreError> {
        let sql = self.sql(flush.projection);
        let session = self.database.session().await?;
        let done = write::commit(&session, &sql, &mut self.months, flush).await;
        // A transaction that was fenced or aborted was rolled back; after anything else that failed, the connection is
        // closed.
        if matches!(done, Ok(()) | Err(StoreError::Fenced(_) | StoreError::Aborted)) {
            session.give_back();
        }
        done
    }
}

/// The place of a loaded row among the keys asked for (counted from 1 by the server), and its cells.
fn placed(row: &Row, sql: &crate::request::TableSql) -> Result<(usize, Vec<Cell>), StoreError> {
    let read = || -> Result<(i64, Vec<Cell>), tokio_postgres::Error> {
        Ok((row.try_get(0)?, read_cells(row, 1, &sql.slots)?))
    };
    let (place, cells) = read()
        .map_err(|error| StoreError::Fatal(format!("a row of {} is not of the declared form: {error}", sql.name)))?;
    Ok((place.saturating_sub(1) as usize, cells))
}
