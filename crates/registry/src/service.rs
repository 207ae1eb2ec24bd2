//! The registry as the rest sees it: ids and schemas, remembered.

use crate::references;
use crate::request::{Answer, Requests};
use crate::{RegistryConfig, RegistryError};
use codec::Schemas;
use domain::event::EventKind;
use moka::Expiry;
use moka::future::Cache;
use pipeline::{Resolve, ResolveError};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest id: the Confluent API has 32 bits with a sign.
const MAX_ID: u32 = i32::MAX as u32;
/// What an entry of the cache costs besides its text, about, bytes.
const ENTRY_BYTES: usize = 128;

/// What the registry said about an id: its schema, or that there is none.
type Known = Option<Arc<str>>;

/// A client of one registry. Clones share what it said; any thread may ask.
#[derive(Clone, Debug)]
pub struct Registry {
    requests: Requests,
    /// Look-ups of one id at the same time make one request. Bounded by bytes (I8); a schema that was put out of it is
    /// asked for again.
    known: Cache<u32, Known>,
    topic_prefix: String,
}

/// A schema is for ever; that there is none is believed for a short time only.
struct Lifetime {
    absent: Duration,
}

impl Expiry<u32, Known> for Lifetime {
    fn expire_after_create(&self, _id: &u32, known: &Known, _at: Instant) -> Option<Duration> {
        known.is_none().then_some(self.absent)
    }
}

impl Registry {
    /// A client of the registry. Asks nothing yet.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(config: &RegistryConfig) -> Result<Self, RegistryError> {
        let weight = |_: &u32, known: &Known| {
            u32::try_from(ENTRY_BYTES + known.as_ref().map_or(0, |text| text.len())).unwrap_or(u32::MAX)
        };
        let known = Cache::builder()
            .max_capacity(config.cache_bytes)
            .weigher(weight)
            .expire_after(Lifetime { absent: Duration::from_millis(config.absent_ttl_ms) })
            .build();
        Ok(Self { requests: Requests::new(config)?, known, topic_prefix: config.topic_prefix.clone() })
    }

    /// The schema under an id; none where the registry says that it has none.
    ///
    /// # Errors
    /// It gave no answer; the message says what to do.
    pub async fn schema(&self, id: u32) -> Result<Option<Arc<str>>, RegistryError> {
        // Half of all junk that looks like a frame names an id that no registry gives: it is not asked for.
        if id > MAX_ID {
            return Ok(None);
        }
        let looked_up = self.known.try_get_with(id, self.look_up(id)).await;
        looked_up.map_err(|error| RegistryError::clone(&error))
    }

    /// The same, asked of the registry now, whatever it said before: it may have been rebuilt since.
    ///
    /// # Errors
    /// It gave no answer; the message says what to do.
    pub async fn schema_now(&self, id: u32) -> Result<Option<Arc<str>>, RegistryError> {
        if id > MAX_ID {
            return Ok(None);
        }
        let known = self.look_up(id).await?;
        self.known.insert(id, known.clone()).await;
        Ok(known)
    }

    async fn look_up(&self, id: u32) -> Result<Known, RegistryError> {
        match self.requests.get(&["schemas", "ids", &id.to_string()]).await? {
            Answer::Absent => Ok(None),
            Answer::Body(body) => references::whole(&self.requests, &body).await.map(|text| Some(text.into())),
            Answer::Refused { url, detail } => Err(RegistryError::NoRegistry { url, detail }),
        }
    }

    /// Registers a schema under a subject, unless it is; gives its id.
    ///
    /// # Errors
    /// The registry gave no answer, or refuses the schema; the message says what to do.
    pub async fn register(&self, subject: &str, text: &str) -> Result<u32, RegistryError> {
        // Others send a file's text without the line end, and some registries tell the two apart.
        let body = json!({ "schema": text.trim() });
        match self.requests.post(&["subjects", subject, "versions"], &body).await? {
            Answer::Body(body) => body.field("id", |id| u32::try_from(id.as_u64()?).ok()),
            Answer::Refused { url, detail } => Err(RegistryError::Refused { subject: subject.to_owned(), url, detail }),
            Answer::Absent => {
                let detail = "it has no such subject and creates none".to_owned();
                Err(RegistryError::Refused { subject: subject.to_owned(), url: format!("subjects/{subject}"), detail })
            }
        }
    }

    /// Whether the registry would take the schema as the subject's next version, by the level configured there.
    ///
    /// # Errors
    /// It gave no answer; the message says what to do.
    pub async fn compatible(&self, subject: &str, text: &str) -> Result<bool, RegistryError> {
        let path = ["compatibility", "subjects", subject, "versions", "latest"];
        match self.requests.post(&path, &json!({ "schema": text })).await? {
            // A subject without versions takes anything.
            Answer::Absent => Ok(true),
            Answer::Refused { .. } => Ok(false),
            Answer::Body(body) => body.field("is_compatible", Json::as_bool),
        }
    }

    /// The subject of an event's schema, with the configured prefix.
    #[must_use]
    pub fn subject(&self, kind: EventKind) -> String {
        subject(&self.topic_prefix, kind)
    }
}

/// The subject of an event's schema by TopicRecordNameStrategy: `<prefix><topic>-<record full name>`.
#[must_use]
pub fn subject(topic_prefix: &str, kind: EventKind) -> String {
    format!("{topic_prefix}{}-{NAMESPACE}.{}", kind.topic(), kind.name())
}

/// The namespace of our records; a test holds it against the schemas.
const NAMESPACE: &str = "io.sporelog";

/// Registers the current schema of every event and learns the ids, so that events are written in Confluent framing.
///
/// # Errors
/// The registry gave no answer, or refuses a schema; the message says what to do. What was learned stays.
pub async fn register_all(registry: &Registry, schemas: &Schemas) -> Result<(), RegistryError> {
    let embedded = codec::embedded()?;
    for kind in EventKind::ALL {
        let text = embedded.text(*kind);
        let id = registry.register(&registry.subject(*kind), text).await?;
        schemas.learn(id, text)?;
    }
    Ok(())
}

impl Resolve for Registry {
    fn schema(&self, id: u32) -> pipeline::schemas::Answer<'_, Option<Arc<str>>> {
        Box::pin(async move { Registry::schema(self, id).await.map_err(|error| ResolveError(error.to_string())) })
    }

    fn schema_now(&self, id: u32) -> pipeline::schemas::Answer<'_, Option<Arc<str>>> {
        Box::pin(async move { Registry::schema_now(self, id).await.map_err(|error| ResolveError(error.to_string())) })
    }

    fn register<'a>(&'a self, kind: EventKind, text: &'a str) -> pipeline::schemas::Answer<'a, u32> {
        Box::pin(async move {
            let subject = self.subject(kind);
            Registry::register(self, &subject, text).await.map_err(|error| ResolveError(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_name_the_record_of_the_schema() {
        for kind in EventKind::ALL {
            let schema: Json = serde_json::from_str(codec::embedded().unwrap().text(*kind)).unwrap();
            let full = format!("{}.{}", schema["namespace"].as_str().unwrap(), schema["name"].as_str().unwrap());
            assert_eq!(subject("dev.", *kind), format!("dev.{}-{full}", kind.topic()));
        }
        assert_eq!(subject("", EventKind::SporeCreated), "spore.created-io.sporelog.SporeCreated");
    }
}
