//! The embedded log and store: one data folder, one process.

use super::{Backend, Held, Identities, Look, Ranges};
use anyhow::Result;
use codec::Schemas;
use domain::{Projection, Topic, TopicPartition};
use embedded::log::{EmbeddedSource, Log, LogView, Replay};
use embedded::store::{STORE_FILE, Snapshot, Store};
use pipeline::{DedupSettings, GroupOffset, GroupPosition, KnownDead, LogError, SchemaBook};
use runtime::lifecycle::BoxError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The log and the store of a data folder that this process holds.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The log.
    pub log: Log,
    /// The stores, all in one file.
    pub store: Store,
    /// The schemas.
    pub schemas: SchemaBook,
}

impl Backend for Embedded {
    type Source = EmbeddedSource;
    type Publisher = Log;
    type Records = Store;
    type Rows = Store;

    fn schemas(&self) -> SchemaBook {
        self.schemas.clone()
    }

    fn source(&self, projection: &'static Projection, member: &str) -> Result<EmbeddedSource, BoxError> {
        Ok(self.log.join(projection.name, projection.topics, member)?)
    }

    fn publisher(&self) -> Result<Log, BoxError> {
        Ok(self.log.clone())
    }

    fn records(&self) -> Result<Store, BoxError> {
        Ok(self.store.clone())
    }

    fn rows(&self) -> Result<Store, BoxError> {
        Ok(self.store.clone())
    }
}

/// A data folder, which another process may hold.
#[derive(Clone, Debug)]
pub struct Folder {
    dir: PathBuf,
    schemas: SchemaBook,
}

impl Folder {
    /// The data folder `dir`.
    pub fn new(dir: PathBuf) -> Result<Self> {
        Ok(Self { dir, schemas: Arc::new(Schemas::embedded()?).into() })
    }

    /// The folder's path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn view(&self) -> Result<LogView> {
        Ok(LogView::open(&self.dir)?)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::open(&self.dir.join(STORE_FILE))?)
    }
}

impl Look for Folder {
    type Replay = Replay;
    type Rows = Snapshot;
    type Records = Snapshot;

    fn schemas(&self) -> SchemaBook {
        self.schemas.clone()
    }

    async fn partitions(&self, topics: &[Topic]) -> Result<Vec<TopicPartition>> {
        Ok(self.view()?.partitions(topics))
    }

    async fn ranges(&self, tps: &[TopicPartition]) -> Result<Ranges> {
        let view = self.view()?;
        tps.iter().map(|tp| Ok((*tp, view.range(*tp)?))).collect()
    }

    async fn identities(&self, tps: &[TopicPartition]) -> Result<Identities> {
        let view = self.view()?;
        tps.iter()
            .map(|tp| match view.identity(*tp) {
                Ok(log) => Ok((*tp, Ok(log))),
                Err(LogError::Setting(text)) => Ok((*tp, Err(text))),
                Err(error) => Err(error.into()),
            })
            .collect()
    }

    async fn committed(&self, projection: &Projection, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>> {
        Ok(self.view()?.committed(projection.name, tps)?)
    }

    async fn replay(&self, ranges: Ranges, done: CancellationToken) -> Result<Replay> {
        Ok(Replay::new(self.view()?, ranges, done))
    }

    async fn rows(&self) -> Result<Snapshot> {
        self.snapshot()
    }

    async fn records(&self) -> Result<Snapshot> {
        self.snapshot()
    }
}

impl Held for Snapshot {
    async fn positions(&self, projection: &Projection) -> Result<Vec<GroupPosition>> {
        Ok(Snapshot::positions(self, projection)?)
    }

    async fn settings(&self, projection: &Projection) -> Result<Option<DedupSettings>> {
        Ok(Snapshot::settings(self, projection)?)
    }

    async fn known_dead(&self, projection: &Projection) -> Result<KnownDead> {
        let mut known = KnownDead::new();
        self.dead_rows(projection, |dead| {
            known.entry(dead.tp).or_default().insert(dead.offset, dead.reason);
            Ok(())
        })?;
        Ok(known)
    }
}
