//! Schemas that refer to others: fetched with all that they name, and put together into one.

use crate::RegistryError;
use crate::request::{Answer, Body, Requests};
use serde_json::Value as Json;
use std::collections::{BTreeMap, VecDeque};

/// The most schemas that one may refer to, itself or through others (I8).
const MAX_REFERENCES: usize = 64;
/// How deeply references may refer to further ones.
const MAX_DEPTH: usize = 8;

/// The schema in the registry's answer, with what it refers to in its place.
///
/// One that refers to more than is followed, or in circles, comes as far as it was put together: it cannot be read, and
/// that is the fault of the schema, not of the registry. So the codec refuses it by the name that it lacks, and its
/// records do not make the worker wait.
pub(crate) async fn whole(requests: &Requests, body: &Body) -> Result<String, RegistryError> {
    let text = body.field("schema", Json::as_str)?;
    let mut wanted: VecDeque<(Reference, usize)> = references(body)?.into_iter().map(|named| (named, 1)).collect();
    if wanted.is_empty() {
        return Ok(text.to_owned());
    }
    // By subject and version: what several refer to is fetched once, and circles end.
    let mut fetched = BTreeMap::new();
    while let Some((reference, depth)) = wanted.pop_front() {
        if fetched.contains_key(&reference) {
            continue;
        }
        if fetched.len() >= MAX_REFERENCES || depth > MAX_DEPTH {
            tracing::warn!(subject = reference.subject, depth, "a schema refers to more than is followed");
            continue;
        }
        let body = fetch(requests, &reference).await?;
        let further = references(&body)?;
        wanted.extend(further.into_iter().map(|named| (named, depth + 1)));
        fetched.insert(reference, body.field("schema", Json::as_str)?.to_owned());
    }
    let texts: Vec<String> = fetched.into_values().collect();
    Ok(codec::inline_references(text, &texts).unwrap_or_else(|error| {
        tracing::warn!(%error, "a schema cannot be put together with what it refers to");
        text.to_owned()
    }))
}

/// One version of one subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    subject: String,
    version: u64,
}

fn references(body: &Body) -> Result<Vec<Reference>, RegistryError> {
    let Some(all) = body.optional("references", Json::as_array) else { return Ok(Vec::new()) };
    let read = |reference: &Json| {
        let subject = reference.get("subject")?.as_str()?.to_owned();
        let version = reference.get("version")?.as_u64()?;
        Some(Reference { subject, version })
    };
    body.field("references", |_| all.iter().map(read).collect())
}

async fn fetch(requests: &Requests, reference: &Reference) -> Result<Body, RegistryError> {
    let Reference { subject, version } = reference;
    match requests.get(&["subjects", subject, "versions", &version.to_string()]).await? {
        Answer::Body(body) => Ok(body),
        Answer::Absent => Err(RegistryError::Reference { subject: subject.clone(), version: *version }),
        Answer::Refused { url, detail } => Err(RegistryError::NoRegistry { url, detail }),
    }
}
