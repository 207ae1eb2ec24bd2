//! The schemas of a worker: those it knows, and the registry that knows the others.
//!
//! A record may name a schema that nobody here has seen: a newer producer's. Folding stops at it and the loop asks the
//! registry, however long that takes; an outage of the registry is no bad data (I7). Only where the registry says that
//! it has no such schema, or where no registry is configured, the record is dead.

use crate::outcome::{DeadKind, DeadReason};
use codec::frame::Header;
use codec::{DecodeError, Schemas};
use domain::event::EventKind;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use thiserror::Error;

/// The registry gave no answer: down, slow, or not as it must be. Waiting may help; the message says what else does.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ResolveError(pub String);

/// What a registry answers, in its own time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ResolveError>> + Send + 'a>>;

/// A schema registry. An answer comes within a bounded time, as an error if need be.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The schema under this id; none where the registry says for sure that it has none.
    fn schema(&self, id: u32) -> Answer<'_, Option<Arc<str>>>;

    /// Registers the schema of an event of this kind, unless it is; gives its id.
    fn register<'a>(&'a self, kind: EventKind, text: &'a str) -> Answer<'a, u32>;
}

/// What a worker reads and writes events with. Clones share it.
#[derive(Clone, Debug)]
pub struct SchemaBook {
    schemas: Arc<Schemas>,
    registry: Option<Arc<dyn Resolve>>,
}

/// Without a registry.
impl From<Arc<Schemas>> for SchemaBook {
    fn from(schemas: Arc<Schemas>) -> Self {
        Self { schemas, registry: None }
    }
}

impl SchemaBook {
    /// Schemas that grow by what the registry knows.
    #[must_use]
    pub fn with_registry(schemas: Arc<Schemas>, registry: Arc<dyn Resolve>) -> Self {
        Self { schemas, registry: Some(registry) }
    }

    /// The schemas known so far.
    #[must_use]
    pub fn schemas(&self) -> &Arc<Schemas> {
        &self.schemas
    }

    /// Whether unknown ids can be asked for.
    #[must_use]
    pub fn has_registry(&self) -> bool {
        self.registry.is_some()
    }

    /// Whether events of the kind must be registered before they can be written.
    #[must_use]
    pub fn is_unregistered(&self, kind: EventKind) -> bool {
        self.has_registry() && !matches!(self.schemas.header(kind), Header::Id(_))
    }

    /// Learns the schema under an id. Gives the reason why records with it are dead, where they are.
    ///
    /// # Errors
    /// The registry gave no answer.
    pub async fn resolve(&self, id: u32) -> Result<Option<DeadReason>, ResolveError> {
        let text = match &self.registry {
            Some(registry) => registry.schema(id).await?,
            None => None,
        };
        let learned = match text {
            Some(text) => self.schemas.learn(id, &text).map_err(|error| error.to_string()),
            None => Err(DecodeError::UnknownSchema { id }.to_string()),
        };
        Ok(learned.err().map(|text| DeadReason { kind: DeadKind::Undecodable, text }))
    }

    /// Registers the current schema of a kind and learns its id, so that events are written with it. Does nothing
    /// without a registry.
    ///
    /// # Errors
    /// The registry gave no answer, or refuses the schema.
    pub async fn register(&self, kind: EventKind) -> Result<(), ResolveError> {
        let Some(registry) = &self.registry else { return Ok(()) };
        let text = codec::embedded().map_err(|error| ResolveError(error.to_string()))?.text(kind);
        let id = registry.register(kind, text).await?;
        self.schemas.learn(id, text).map_err(|error| ResolveError(error.to_string()))
    }
}
