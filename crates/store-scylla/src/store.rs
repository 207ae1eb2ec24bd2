//! The store behind the ports.

use crate::check::check;
use crate::config::ScyllaConfig;
use crate::error::{prepare_error, request_error};
use crate::limits::{InFlight, Limits};
use crate::request::Shape;
use crate::schema::{physical_name, table_ddl};
use crate::session::connect;
use crate::{scan, write};
use domain::Projection;
use domain::delta::Deltas;
use domain::fold::records::RECORDS;
use domain::projection::prefix;
use domain::table::Table;
use pipeline::{RecordStore, Scan, StoreError, StoredRow};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// Records in ScyllaDB or Cassandra. Clones share the connections and what may be in flight.
///
/// Nothing is connected before the first use. The connections live on the runtime of that first use: a worker with a
/// runtime of its own takes a [`ScyllaStore::sibling`].
#[derive(Clone)]
pub struct ScyllaStore {
    config: Arc<ScyllaConfig>,
    limits: Arc<Limits>,
    link: Arc<Link>,
    records: (&'static str, u32),
}

/// The connections, and what was prepared on them.
#[derive(Default)]
struct Link {
    session: OnceCell<Session>,
    prepared: Mutex<Vec<Arc<Prepared>>>,
}

/// A table that was prepared.
pub(crate) struct Prepared {
    projection: &'static str,
    version: u32,
    pub shape: Shape,
    pub insert: PreparedStatement,
    pub scan: PreparedStatement,
}

impl ScyllaStore {
    /// A store with these settings. Nodes that are down show at the first use, as an outage to be waited for.
    #[must_use]
    pub fn new(config: ScyllaConfig) -> Self {
        let limits = Arc::new(Limits::new(config.max_in_flight_statements, config.max_in_flight_bytes));
        Self { config: Arc::new(config), limits, link: Arc::default(), records: (RECORDS.name, RECORDS.version) }
    }

    /// A store with connections of its own and the same limits, for another runtime.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self { link: Arc::default(), ..self.clone() }
    }

    /// Makes [`RecordStore::write`] write the tables of this projection, instead of those of `records`.
    #[must_use]
    pub fn with_records(mut self, projection: &Projection) -> Self {
        self.records = (projection.name, projection.version);
        self
    }

    /// Creates the tables of a projection from its declarations, where they are not there. A table that declares no
    /// time is left out: it could not be written here. The keyspace must be there.
    pub async fn create_tables(&self, projection: &Projection) -> Result<(), StoreError> {
        let session = self.session().await?;
        for table in projection.tables {
            let name = format!("{}.{}", self.config.keyspace, physical_name(projection, table));
            if let Some(cql) = table_ddl(&name, table).filter(|_| !table.partial) {
                session.query_unpaged(cql, ()).await.map_err(|error| request_error(&error))?;
            }
        }
        Ok(())
    }

    /// What is in flight, over all clones and siblings.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.limits.now()
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ScyllaConfig {
        &self.config
    }

    /// The session, connected on first use; a failure to connect is tried again by the next call.
    async fn session(&self) -> Result<&Session, StoreError> {
        self.link.session.get_or_try_init(|| connect(&self.config)).await
    }

    /// The table's statements, prepared on first use.
    async fn prepared(
        &self,
        (projection, version): (&'static str, u32),
        table: &'static Table,
    ) -> Result<Arc<Prepared>, StoreError> {
        let known = |held: &&Arc<Prepared>| {
            held.projection == projection && held.version == version && held.shape.table == table.name
        };
        if let Some(held) = self.statements().iter().find(known) {
            return Ok(Arc::clone(held));
        }
        let prefix = format!("{}.{}", self.config.keyspace, prefix(projection, version));
        let shape = Shape::new(&prefix, table).ok_or_else(|| {
            StoreError::Fatal(format!("{} cannot be kept here: it is no table of events with a time", table.name))
        })?;
        let session = self.session().await?;
        let mut insert = session.prepare(shape.insert.as_str()).await.map_err(|error| prepare_error(&error))?;
        // I4: any write may be repeated, so the driver may repeat it too.
        insert.set_is_idempotent(true);
        let mut scan = session.prepare(shape.scan.as_str()).await.map_err(|error| prepare_error(&error))?;
        scan.set_is_idempotent(true);
        scan.set_page_size(scan::PAGE_ROWS);
        let prepared = Arc::new(Prepared { projection, version, shape, insert, scan });
        self.statements().push(Arc::clone(&prepared));
        Ok(prepared)
    }

    fn statements(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Prepared>>> {
        self.link.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn try_write(&self, rows: &Deltas) -> Result<(), StoreError> {
        let touched: Vec<_> = rows.tables().iter().filter(|delta| !delta.is_empty()).collect();
        if touched.is_empty() {
            return Ok(());
        }
        let mut tables = Vec::with_capacity(touched.len());
        for delta in &touched {
            tables.push(self.prepared(self.records, delta.table()).await?);
        }
        let session = self.session().await?;
        let cluster = session.get_cluster_state();
        let mut requests = Vec::new();
        for (delta, table) in touched.iter().zip(&tables) {
            requests.extend(write::requests(&self.config, &cluster, &table.shape, &table.insert, delta)?);
        }
        write::send_all(session, &self.limits, &requests).await
    }
}

impl RecordStore for ScyllaStore {
    async fn check(&mut self, projection: &Projection) -> Result<(), StoreError> {
        let prefix = prefix(projection.name, projection.version);
        check(self.session().await?, &self.config, &prefix).await?;
        for table in projection.tables {
            self.prepared((projection.name, projection.version), table).await?;
        }
        Ok(())
    }

    async fn write(&mut self, rows: &Deltas) -> Result<(), StoreError> {
        let written = self.try_write(rows).await;
        if let Err(StoreError::Unavailable(_)) = &written {
            // The tables may be others by the next try: dropped, made anew, migrated.
            self.statements().clear();
        }
        written
    }
}

impl Scan for ScyllaStore {
    async fn scan(
        &mut self,
        projection: &Projection,
        table: &'static Table,
        visit: &mut dyn FnMut(StoredRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let prepared = self.prepared((projection.name, projection.version), table).await?;
        scan::scan(self.session().await?, &prepared, visit).await
    }
}

impl fmt::Debug for ScyllaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScyllaStore").field("config", &self.config).field("in_flight", &self.in_flight()).finish()
    }
}
