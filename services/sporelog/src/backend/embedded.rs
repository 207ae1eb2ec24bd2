//! The embedded log and store: one data folder, one process.

use super::Backend;
use codec::Schemas;
use domain::Projection;
use embedded::log::{EmbeddedSource, Log};
use embedded::store::Store;
use runtime::lifecycle::BoxError;
use std::sync::Arc;

/// The log and the store of a data folder that this process holds.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The log.
    pub log: Log,
    /// The stores, all in one file.
    pub store: Store,
    /// The schemas.
    pub schemas: Arc<Schemas>,
}

impl Backend for Embedded {
    type Source = EmbeddedSource;
    type Publisher = Log;
    type Records = Store;
    type Rows = Store;

    fn schemas(&self) -> Arc<Schemas> {
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
