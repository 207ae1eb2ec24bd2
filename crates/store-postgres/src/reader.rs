//! One moment's rows and positions, streamed in key order.

use crate::PostgresConfig;
use crate::bookkeeping::{ALL_DEAD, ALL_POSITIONS, SETTINGS};
use crate::check::read_settings;
use crate::database::{Database, Session};
use crate::error::Sorted as _;
use crate::position::{Held, read_held, read_partition};
use crate::request::TableSql;
use crate::rows::{read_cells, read_key};
use crate::schema::physical_name;
use crate::sequence::read_dead;
use domain::Projection;
use domain::table::{PARTIAL_KEY, Table};
use futures_util::{TryStreamExt as _, pin_mut};
use pipeline::group::GroupPosition;
use pipeline::ports::DedupSettings;
use pipeline::position::DeadRow;
use pipeline::{Position, Scan, StoreError, StoredRow};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// One read transaction on a connection of its own (I12). While it lives, the server cannot clean up behind it: keep
/// it no longer than needed.
pub struct Reader {
    session: Session,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    /// Begins to read what is committed now, through a connection of its own.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    pub async fn open(config: &PostgresConfig) -> Result<Self, StoreError> {
        Self::begin(&Database::new(PostgresConfig { pool_max: 1, ..config.clone() })?).await
    }

    /// Begins to read what is committed now, through a connection of this pool.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    pub async fn begin(database: &Database) -> Result<Self, StoreError> {
        let session = database.session().await?;
        // The snapshot is taken by the first query.
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
                     SET LOCAL idle_in_transaction_session_timeout = 0; SELECT 1 FROM position LIMIT 1";
        session.replied(session.client()?.batch_execute(begin)).await?;
        Ok(Self { session })
    }

    /// The positions of a projection, each with its log and why it is parked, sorted by partition. A partition that is
    /// parked and was never read stands where its note says.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    pub async fn positions(&self, projection: &Projection) -> Result<Vec<GroupPosition>, StoreError> {
        let parameters: [&(dyn ToSql + Sync); 2] = [&projection.name, &i64::from(projection.version)];
        let rows = self.session.client()?.query(ALL_POSITIONS.as_str(), &parameters).await.sorted()?;
        let held = rows.iter().map(read_held).collect::<Result<Vec<_>, StoreError>>()?;
        let mut positions: Vec<GroupPosition> = held.into_iter().filter_map(known).collect();
        positions.sort_unstable_by_key(|known| known.position.tp);
        Ok(positions)
    }

    /// The rules by which the projection's version tells repeats; none before its first worker.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    pub async fn settings(&self, projection: &Projection) -> Result<Option<DedupSettings>, StoreError> {
        let parameters: [&(dyn ToSql + Sync); 2] = [&projection.name, &i64::from(projection.version)];
        let row = self.session.client()?.query_opt(SETTINGS, &parameters).await.sorted()?;
        row.as_ref().map(read_settings).transpose()
    }

    /// Visits the records that are dead for a projection, by partition and offset: there may be more than fit into memory.
    ///
    /// # Errors
    /// Where the database cannot be reached, and those of `visit`.
    pub async fn dead(
        &self,
        projection: &Projection,
        visit: &mut dyn FnMut(DeadRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let version = i64::from(projection.version);
        let parameters: [&(dyn ToSql + Sync); 2] = [&projection.name, &version];
        let rows = self.session.client()?.query_raw(ALL_DEAD.as_str(), parameters).await.sorted()?;
        pin_mut!(rows);
        while let Some(row) = rows.try_next().await.sorted()? {
            visit(read_dead(&row)?)?;
        }
        Ok(())
    }

    /// Ends the transaction, and gives the connection back.
    pub async fn close(self) {
        if let Ok(client) = self.session.client()
            && client.batch_execute("COMMIT").await.is_ok()
        {
            self.session.give_back();
        }
    }
}

impl Scan for Reader {
    async fn scan(
        &mut self,
        projection: &Projection,
        table: &'static Table,
        visit: &mut dyn FnMut(StoredRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sql = TableSql::new(&physical_name(projection, table), table);
        let client = self.session.client()?;
        let statement = self.session.prepared(&sql.scan).await?;
        let rows = client.query_raw(&statement, std::iter::empty::<&i64>()).await.sorted()?;
        pin_mut!(rows);
        while let Some(row) = rows.try_next().await.sorted()? {
            visit(stored_row(&row, table, &sql)?)?;
        }
        Ok(())
    }
}

/// What is known of a partition that was read or is parked.
fn known(held: Held) -> Option<GroupPosition> {
    let Held { tp, epoch, position, log, parked } = held;
    let at_note = parked.as_ref().map(|note| Position { epoch, ..Position::start(tp, note.offset) });
    Some(GroupPosition { position: position.or(at_note)?, log: log.unwrap_or_default(), parked })
}

fn stored_row(row: &Row, table: &Table, sql: &TableSql) -> Result<StoredRow, StoreError> {
    let unfit = |error: tokio_postgres::Error| {
        StoreError::Fatal(format!("a row of {} is not of the declared form: {error}", sql.name))
    };
    let mut key = Vec::with_capacity(64);
    read_key(row, table.key, &mut key).map_err(unfit)?;
    let first = table.key.len();
    let part = if table.partial { Some(read_partition(row, first)?) } else { None };
    let first = first + part.map_or(0, |_| PARTIAL_KEY.len());
    Ok(StoredRow { key, part, cells: read_cells(row, first, &sql.slots).map_err(unfit)? })
}
