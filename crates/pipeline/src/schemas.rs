//! The schemas of a worker: those it knows, and the registry that knows the others.
//!
//! A record may name a schema that nobody here has seen: a newer producer's. Folding stops at it and the loop asks the
//! registry, however long that takes; an outage of the registry is no bad data (I7). Only where the registry says that
//! it has no such schema, or where no registry is configured, the record is dead.

use crate::outcome::{DeadKind, DeadReason};
use codec::frame::Header;
use codec::{DecodeError, Schemas};
use domain::event::EventKind;
use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
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

    /// The same, asked of the registry now, whatever it said before.
    fn schema_now(&self, id: u32) -> Answer<'_, Option<Arc<str>>> {
        self.schema(id)
    }

    /// Registers the schema of an event of this kind, unless it is; gives its id.
    fn register<'a>(&'a self, kind: EventKind, text: &'a str) -> Answer<'a, u32>;
}

/// What a worker reads and writes events with. Clones share it.
#[derive(Clone, Debug)]
pub struct SchemaBook {
    schemas: Arc<Schemas>,
    registry: Option<Arc<dyn Resolve>>,
    /// What the registry said when it was asked again, by id. Only ids that are known: bounded as those are (I8).
    confirmed: Arc<Mutex<HashMap<u32, Confirmed>>>,
}

/// The registry's word on an id that it was asked for again.
#[derive(Clone, Debug)]
struct Confirmed {
    at_us: i64,
    said: Result<(), ResolveError>,
}

/// How long that word counts: a flood of damaged records asks once a minute, not once a record.
const CONFIRMED_FOR_US: i64 = 60_000_000;

/// Without a registry.
impl From<Arc<Schemas>> for SchemaBook {
    fn from(schemas: Arc<Schemas>) -> Self {
        Self { schemas, registry: None, confirmed: Arc::default() }
    }
}

impl SchemaBook {
    /// Schemas that grow by what the registry knows.
    #[must_use]
    pub fn with_registry(schemas: Arc<Schemas>, registry: Arc<dyn Resolve>) -> Self {
        Self { schemas, registry: Some(registry), confirmed: Arc::default() }
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

    /// The id that must be confirmed before a record that its schema does not fit is called dead: either the record is
    /// damaged, or the registry was rebuilt and the schema known here is not the one it was written with.
    #[must_use]
    pub fn doubted<'h>(
        &self,
        error: &DecodeError,
        value: &[u8],
        headers: impl Iterator<Item = (&'h str, &'h [u8])>,
        now_us: i64,
    ) -> Option<u32> {
        if !error.is_misfit() || !self.has_registry() {
            return None;
        }
        let id = Schemas::registry_id(value, headers).filter(|id| self.schemas.knows(*id))?;
        match self.last_word(id, now_us) {
            Some(Ok(())) => None,
            Some(Err(_)) | None => Some(id),
        }
    }

    /// Asks the registry again for the schema of a known id, at most once a minute. That it has none now is no doubt: then
    /// the record was written while it had the one that is known.
    ///
    /// # Errors
    /// The registry gave no answer, or gives another schema now: an outage of its contents. The message says what to do.
    pub async fn confirm(&self, id: u32, now_us: i64) -> Result<(), ResolveError> {
        let Some(registry) = &self.registry else { return Ok(()) };
        if let Some(said) = self.last_word(id, now_us) {
            return said;
        }
        // No answer is not remembered: whoever waits asks again, with its own back-off.
        let said = match registry.schema_now(id).await? {
            Some(text) => self.schemas.confirm(id, &text).map_err(|error| ResolveError(error.to_string())),
            None => Ok(()),
        };
        let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.insert(id, Confirmed { at_us: now_us, said: said.clone() });
        said
    }

    fn last_word(&self, id: u32, now_us: i64) -> Option<Result<(), ResolveError>> {
        let confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        let last = confirmed.get(&id)?;
        (now_us.saturating_sub(last.at_us) < CONFIRMED_FOR_US).then(|| last.said.clone())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A registry whose one schema may change.
    #[derive(Debug)]
    struct Rebuilt {
        text: Mutex<Option<Arc<str>>>,
        asked: AtomicUsize,
    }

    impl Resolve for Rebuilt {
        fn schema(&self, _: u32) -> Answer<'_, Option<Arc<str>>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let text = self.text.lock().unwrap().clone();
            Box::pin(async move { Ok(text) })
        }

        fn register<'a>(&'a self, _: EventKind, _: &'a str) -> Answer<'a, u32> {
            Box::pin(async { Err(ResolveError("not asked for".to_owned())) })
        }
    }

    /// I7: a registry rebuilt with other ids is an outage that is waited out, and a damaged record is not; neither asks more
    /// than once a minute.
    #[tokio::test]
    async fn a_misfit_is_dead_only_where_the_registry_confirms_its_schema() {
        let text = |kind| Some(Arc::from(codec::embedded().unwrap().text(kind)));
        let registry = Arc::new(Rebuilt { text: Mutex::new(text(EventKind::Blessed)), asked: AtomicUsize::new(0) });
        let book = SchemaBook::with_registry(Arc::new(Schemas::embedded().unwrap()), registry.clone());
        book.resolve(7).await.unwrap();
        let value = [0, 0, 0, 0, 7, 1, 2, 3];
        let error = book.schemas().decode(&value).unwrap_err();
        let doubted = |at_us| book.doubted(&error, &value, std::iter::empty(), at_us);

        assert_eq!(doubted(0), Some(7));
        book.confirm(7, 0).await.unwrap();
        assert_eq!((doubted(59_999_999), doubted(60_000_000)), (None, Some(7)));

        *registry.text.lock().unwrap() = text(EventKind::LoopOpened);
        for at_us in [60_000_000, 61_000_000, 119_999_999] {
            let said = book.confirm(7, at_us).await.unwrap_err().to_string();
            assert!(said.contains("another schema under id 7") && said.contains("restore it"), "{said}");
            assert_eq!(doubted(at_us), Some(7));
        }
        assert_eq!(registry.asked.load(Ordering::Relaxed), 3, "to learn it, and once a minute");

        *registry.text.lock().unwrap() = None;
        book.confirm(7, 120_000_000).await.unwrap();
        assert_eq!(doubted(120_000_000), None);
        let unknown = DecodeError::UnknownSchema { id: 7 };
        assert_eq!(book.doubted(&unknown, &value, std::iter::empty(), i64::MAX), None);
    }
}
