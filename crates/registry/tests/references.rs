//! Schemas with references, from a registry that answers by a script.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use codec::{SchemaError, Schemas};
use domain::event::EventKind;
use registry::{Registry, RegistryConfig, RegistryError};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Script {
    answers: Mutex<BTreeMap<String, Json>>,
    requests: AtomicUsize,
}

async fn answer(State(script): State<Arc<Script>>, uri: Uri) -> (StatusCode, String) {
    script.requests.fetch_add(1, Ordering::Relaxed);
    match script.answers.lock().unwrap().get(uri.path()) {
        Some(json) => (StatusCode::OK, json.to_string()),
        None => (StatusCode::NOT_FOUND, r#"{"error_code":40402,"message":"no such version"}"#.to_owned()),
    }
}

impl Script {
    async fn start() -> (Arc<Self>, Registry) {
        let script = Arc::new(Script::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (script, Registry::new(&RegistryConfig::new(url)).unwrap())
    }

    /// What the registry holds under an id.
    fn put_id(&self, id: u32, schema: &Json, references: &[(&str, &str, u64)]) {
        self.put(format!("/schemas/ids/{id}"), schema, references);
    }

    fn put_subject(&self, subject: &str, version: u64, schema: &Json, references: &[(&str, &str, u64)]) {
        self.put(format!("/subjects/{subject}/versions/{version}"), schema, references);
    }

    fn put(&self, path: String, schema: &Json, references: &[(&str, &str, u64)]) {
        let references: Vec<Json> = references
            .iter()
            .map(|(name, subject, version)| json!({"name": name, "subject": subject, "version": version}))
            .collect();
        let answer = json!({ "schema": schema.to_string(), "references": references });
        self.answers.lock().unwrap().insert(path, answer);
    }
}

/// An event's schema whose `meta` lies in a subject of its own, and that.
fn split(kind: EventKind) -> (Json, Json) {
    let mut schema: Json = serde_json::from_str(codec::embedded().unwrap().text(kind)).unwrap();
    let meta = schema["fields"][0]["type"].take();
    schema["fields"][0]["type"] = "io.sporelog.Meta".into();
    (schema, meta)
}

fn refers(name: &str) -> Json {
    json!({"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", name]}]})
}

/// A2: what a schema refers to is fetched, through others too, and once; the whole is the schema of this build.
#[tokio::test]
async fn references_are_fetched_and_put_in_their_place() {
    let (script, registry) = Script::start().await;
    let (schema, mut meta) = split(EventKind::Blessed);
    let id_type = meta["fields"][0]["type"].take();
    assert_eq!(id_type["logicalType"], "uuid");
    // Meta refers to nothing by name in Avro, but registries allow further references all the same.
    meta["fields"][0]["type"] = id_type;
    let wrapped = json!({"type": "record", "name": "io.sporelog.Unused", "fields": []});
    script.put_id(5, &schema, &[("io.sporelog.Meta", "meta", 3), ("io.sporelog.Unused", "unused", 1)]);
    script.put_subject("meta", 3, &meta, &[("io.sporelog.Unused", "unused", 1)]);
    script.put_subject("unused", 1, &wrapped, &[]);
    let text = registry.schema(5).await.unwrap().unwrap();
    assert_eq!(script.requests.load(Ordering::Relaxed), 3);
    let schemas = Schemas::embedded().unwrap();
    schemas.learn(5, &text).unwrap();
    assert_eq!(schemas.header(EventKind::Blessed), codec::frame::Header::Id(5), "it is the schema of this build");
    registry.schema(5).await.unwrap();
    assert_eq!(script.requests.load(Ordering::Relaxed), 3, "remembered");
}

/// I7: a reference that the registry has lost can be restored there, so the worker waits and says what for.
#[tokio::test]
async fn a_lost_reference_is_an_outage_that_names_it() {
    let (script, registry) = Script::start().await;
    let (schema, meta) = split(EventKind::Blessed);
    script.put_id(5, &schema, &[("io.sporelog.Meta", "meta", 3)]);
    let error = registry.schema(5).await.unwrap_err();
    assert_eq!(error, RegistryError::Reference { subject: "meta".to_owned(), version: 3 });
    assert!(error.to_string().contains("restore it"), "{error}");
    script.put_subject("meta", 3, &meta, &[]);
    assert!(registry.schema(5).await.unwrap().is_some(), "an outage is not remembered");
}

/// I8: circles and chains without end are a fault of the schema: bounded requests, then a schema that cannot be read.
#[tokio::test]
async fn circles_and_long_chains_end() {
    let (script, registry) = Script::start().await;
    script.put_id(6, &refers("A"), &[("A", "a", 1)]);
    script.put_subject("a", 1, &refers("B"), &[("B", "b", 1)]);
    script.put_subject("b", 1, &refers("A"), &[("A", "a", 1)]);
    let text = registry.schema(6).await.unwrap().unwrap();
    assert_eq!(script.requests.swap(0, Ordering::Relaxed), 3);
    assert!(matches!(Schemas::embedded().unwrap().learn(6, &text), Err(SchemaError::UnknownEvent { .. })));

    let (schema, _) = split(EventKind::Blessed);
    script.put_id(7, &schema, &[("io.sporelog.Meta", "chain", 0)]);
    for version in 0..100 {
        script.put_subject("chain", version, &refers("X"), &[("X", "chain", version + 1)]);
    }
    let text = registry.schema(7).await.unwrap().unwrap();
    assert_eq!(script.requests.swap(0, Ordering::Relaxed), 9, "the id and eight deep");
    let error = Schemas::embedded().unwrap().learn(7, &text).unwrap_err().to_string();
    assert!(error.contains("Meta"), "{error}");

    let many: Vec<(&str, &str, u64)> = (0..200).map(|version| ("X", "wide", version)).collect();
    script.put_id(8, &schema, &many);
    for version in 0..200 {
        script.put_subject("wide", version, &refers("Y"), &[]);
    }
    registry.schema(8).await.unwrap();
    assert_eq!(script.requests.load(Ordering::Relaxed), 65, "the id and 64 references");
}

/// A4: whoever doubts what is remembered asks past it.
#[tokio::test]
async fn schema_now_asks_past_what_is_remembered() {
    let (script, registry) = Script::start().await;
    let text = |kind| serde_json::from_str(codec::embedded().unwrap().text(kind)).unwrap();
    let kind_of = |text: Option<Arc<str>>| {
        let json: Json = serde_json::from_str(&text.unwrap()).unwrap();
        json["name"].as_str().unwrap().to_owned()
    };
    script.put_id(9, &text(EventKind::Blessed), &[]);
    assert_eq!(kind_of(registry.schema(9).await.unwrap()), "Blessed");
    script.put_id(9, &text(EventKind::LoopOpened), &[]);
    assert_eq!(kind_of(registry.schema(9).await.unwrap()), "Blessed");
    assert_eq!(kind_of(registry.schema_now(9).await.unwrap()), "LoopOpened");
    assert_eq!(kind_of(registry.schema(9).await.unwrap()), "LoopOpened", "and is believed from then on");
}
