//! The store behind the port of workers.

use crate::database::{Database, Session};
use crate::month::Months;
use crate::request::{MARKS, ProjectionSql, claim, positions};
use crate::rows::{Keys, read_cells};
use crate::write;
use domain::cell::Cell;
use domain::table::Table;
use domain::{Projection, TopicPartition};
use pipeline::{Claimed, Flush, Position, RowStore, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Keys that one statement loads.
const LOADED: usize = 10_000;

/// The rows, positions and marks of views and series. A worker holds a clone; each call takes a connection of the
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

    async fn of_partitions(
        &self,
        sql: &str,
        projection: &Projection,
        tps: &[TopicPartition],
    ) -> Result<Vec<Claimed>, StoreError> {
        let topics: Vec<&str> = tps.iter().map(|tp| tp.topic.name()).collect();
        let partitions: Vec<i64> = tps.iter().map(|tp| tp.partition.into()).collect();
        let parameters: [&(dyn ToSql + Sync); 4] =
            [&projection.name, &i64::from(projection.version), &topics, &partitions];
        let rows = self.query(sql, &parameters).await?;
        let mut found = rows
            .iter()
            .map(|row| write::read_claim(row).map(|claimed| (claimed.tp, claimed)))
            .collect::<Result<HashMap<_, _>, StoreError>>()?;
        Ok(tps.iter().filter_map(|tp| found.remove(tp)).collect())
    }
}

impl RowStore for PostgresStore {
    async fn claim(&mut self, projection: &Projection, tps: &[TopicPartition]) -> Result<Vec<Claimed>, StoreError> {
        self.of_partitions(&claim(), projection, tps).await
    }

    async fn positions(
        &mut self,
        projection: &Projection,
        tps: &[TopicPartition],
    ) -> Result<Vec<Position>, StoreError> {
        let found = self.of_partitions(&positions(), projection, tps).await?;
        Ok(found.into_iter().filter_map(|claimed| claimed.position).collect())
    }

    async fn marks(
        &mut self,
        projection: &Projection,
        tp: TopicPartition,
        producers: &[&str],
    ) -> Result<Vec<Option<i64>>, StoreError> {
        let (version, partition) = (i64::from(projection.version), i64::from(tp.partition));
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&projection.name, &version, &tp.topic.name(), &partition, &producers];
        let rows = self.query(MARKS, &parameters).await?;
        let found: HashMap<&str, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        Ok(producers.iter().map(|producer| found.get(producer).copied()).collect())
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
        // A fenced transaction was rolled back; after anything else that failed, the connection is closed.
        if matches!(done, Ok(()) | Err(StoreError::Fenced(_))) {
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
