//! What workers stand on: the embedded log and store, or a cluster. The role code is the same on both.

mod cluster;
mod embedded;
mod look;
pub mod settings;
mod way;

pub use self::embedded::{Embedded, Folder};
pub use cluster::Cluster;
pub use look::{Held, Identities, Look, Ranges, each_record, positions};
pub use way::Way;

use domain::Projection;
use pipeline::{Publisher, RecordStore, RowStore, SchemaBook, Source};
use runtime::lifecycle::BoxError;

/// One set of adapters. Ports are made in the thread of the worker that uses them.
pub trait Backend: Clone + Send + 'static {
    /// A member of a projection's group.
    type Source: Source;
    /// Where dead letters and derived events go.
    type Publisher: Publisher;
    /// Where ingest writes.
    type Records: RecordStore + Clone + 'static;
    /// Where projector and aggregator write.
    type Rows: RowStore;

    /// The schemas of the events.
    fn schemas(&self) -> SchemaBook;

    /// Joins the group of a projection, under this name.
    fn source(&self, projection: &'static Projection, member: &str) -> Result<Self::Source, BoxError>;

    /// A publisher.
    fn publisher(&self) -> Result<Self::Publisher, BoxError>;

    /// The store of records.
    fn records(&self) -> Result<Self::Records, BoxError>;

    /// The store of views and series.
    fn rows(&self) -> Result<Self::Rows, BoxError>;
}
