//! Every example and every frozen version, through every path.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use codec::{DecodeError, Encoder, JsonError, Schemas, from_json, from_json_value, to_json};
use domain::event::{Event, EventKind};
use domain::validity;
use serde_json::{Value as Json, json};

fn file(kind: EventKind) -> String {
    let mut name = String::new();
    for letter in kind.name().chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

fn example(kind: EventKind) -> Json {
    let text = std::fs::read_to_string(dir().join(format!("examples/{}.json", file(kind)))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn schemas() -> Schemas {
    Schemas::embedded().unwrap()
}

fn encode(event: &Event<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(Arc::new(schemas())).encode(event, &mut out).unwrap();
    out
}

#[test]
fn examples_are_decoded_encoded_and_shown() {
    let schemas = schemas();
    for kind in EventKind::ALL {
        let json = example(*kind);
        let value = from_json(&schemas, *kind, &json).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let event = schemas.decode(&value).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(event.kind(), *kind);
        assert_eq!(schemas.kind(&value), Ok(*kind));

        let again = encode(&event);
        assert_eq!(schemas.decode(&again).unwrap(), event, "{kind}");

        let shown = to_json(&schemas, &value).unwrap();
        let back = from_json(&schemas, *kind, &shown).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(schemas.decode(&back).unwrap(), event, "{kind}: {shown:#}");
    }
}

#[test]
fn examples_are_valid_under_their_own_key() {
    let schemas = schemas();
    for kind in EventKind::ALL {
        let value = from_json(&schemas, *kind, &example(*kind)).unwrap();
        let event = schemas.decode(&value).unwrap();
        let mut key = Vec::new();
        event.key(&mut key);
        let append_time_us = event.meta().occurred_at + 1_000;
        assert_eq!(validity::check(&event, &key, append_time_us), Ok(()), "{kind}");
    }
}

/// A value in an older version's frame, from the example less what that version lacks.
fn frozen_value(kind: EventKind, text: &str) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(text).unwrap();
    let apache_avro::Schema::Record(record) = &schema else { panic!("{kind} is no record") };
    let Json::Object(mut json) = example(kind) else { panic!("{kind}") };
    json.retain(|name, _| record.fields.iter().any(|field| field.name == *name));
    let mut value = vec![0xC3, 0x01];
    value.extend(text.parse::<serde_avro_fast::Schema>().unwrap().rabin_fingerprint());
    value.extend(from_json_value(&schema, &Json::Object(json)).unwrap());
    value
}

#[test]
fn every_frozen_version_is_decoded() {
    let schemas = schemas();
    for kind in EventKind::ALL {
        for (version, text) in codec::embedded().unwrap().frozen(*kind) {
            let value = frozen_value(*kind, text);
            let event = schemas.decode(&value).unwrap_or_else(|error| panic!("{kind} v{version}: {error}"));
            assert_eq!(event.kind(), *kind);
            match (&event, version) {
                (Event::AgentHeartbeat(beat), 1) => assert_eq!(beat.stream_len, None),
                (Event::InteractionRecorded(met), 1) => assert_eq!(met.duration_ms, None),
                (Event::InteractionRecorded(met), 2) => assert_eq!(met.duration_ms, Some(4_200)),
                _ => {}
            }
            assert_eq!(schemas.decode(&encode(&event)).unwrap(), event);
        }
    }
}

#[test]
fn a_registry_id_frames_both_ways() {
    let kind = EventKind::SporePropagated;
    let current = codec::embedded().unwrap().text(kind);
    let schemas = Arc::new(schemas().with_id(41, current).unwrap());
    let value = from_json(&schemas, kind, &example(kind)).unwrap();
    assert_eq!(value[..5], [0, 0, 0, 0, 41]);
    let mut out = Vec::new();
    Encoder::new(schemas.clone()).encode(&schemas.decode(&value).unwrap(), &mut out).unwrap();
    assert_eq!(out, value);
    assert_eq!(self::schemas().decode(&value), Err(DecodeError::UnknownSchema { id: 41 }));
}

#[test]
fn an_id_learned_while_shared_is_read_and_written() {
    let kind = EventKind::SporePropagated;
    let schemas = Arc::new(schemas());
    let plain = from_json(&schemas, kind, &example(kind)).unwrap();
    let mut encoder = Encoder::new(schemas.clone());
    assert!(!schemas.knows(41));
    schemas.learn(41, codec::embedded().unwrap().text(kind)).unwrap();
    let mut out = Vec::new();
    encoder.encode(&schemas.decode(&plain).unwrap(), &mut out).unwrap();
    assert_eq!((&out[..5], &out[5..]), (&[0, 0, 0, 0, 41][..], &plain[10..]));
    assert_eq!(schemas.decode(&out).unwrap(), schemas.decode(&plain).unwrap());
}

#[test]
fn a_newer_writer_is_read() {
    let kind = EventKind::SporePropagated;
    let mut schema: Json = serde_json::from_str(codec::embedded().unwrap().text(kind)).unwrap();
    let fields = schema["fields"].as_array_mut().unwrap();
    fields.insert(1, json!({"name": "novelty", "type": ["null", "string"], "default": null, "doc": "new"}));
    let text = schema.to_string();
    let schemas = schemas().with_id(9, &text).unwrap();
    let mut json = example(kind);
    json["novelty"] = json!("unheard of");
    let parsed = apache_avro::Schema::parse_str(&text).unwrap();
    let mut value = vec![0, 0, 0, 0, 9];
    value.extend(from_json_value(&parsed, &json).unwrap());
    let Event::SporePropagated(event) = schemas.decode(&value).unwrap() else { panic!() };
    assert_eq!(event.to_agent, "agent-oak");
    assert_eq!(to_json(&schemas, &value).unwrap()["novelty"], "unheard of");
    assert!(schemas.with_id(10, r#"{"type":"record","name":"Nothing","fields":[]}"#).is_err());
}

#[test]
fn broken_values_have_typed_errors() {
    let schemas = schemas();
    let value = from_json(&schemas, EventKind::Forgotten, &example(EventKind::Forgotten)).unwrap();
    let mut longer = value.clone();
    longer.extend([1, 2]);
    assert_eq!(schemas.decode(&longer), Err(DecodeError::Trailing { bytes: 2 }));
    for len in 10..value.len() {
        assert!(matches!(schemas.decode(&value[..len]), Err(DecodeError::Malformed { .. })), "{len}");
    }
    let mut unknown = value.clone();
    unknown[2] ^= 1;
    assert!(matches!(schemas.decode(&unknown), Err(DecodeError::UnknownFingerprint { .. })));
    let small = self::schemas().with_max_len(8);
    assert_eq!(small.decode(&value), Err(DecodeError::Oversize { len: value.len(), max: 8 }));
    assert_eq!(schemas.decode(&[]), Err(DecodeError::Empty));
}

#[test]
fn json_errors_name_the_field() {
    let schemas = schemas();
    let kind = EventKind::InteractionRecorded;
    let refused = |change: &dyn Fn(&mut Json)| {
        let mut json = example(kind);
        change(&mut json);
        match from_json(&schemas, kind, &json) {
            Err(JsonError::Field { path, problem }) => (path, problem),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&|json| json["trust_delta"] = json!("much")).0, "trust_delta");
    assert_eq!(refused(&|json| json["meta"]["occurred_at"] = json!("yesterday")).0, "meta.occurred_at");
    assert_eq!(refused(&|json| json["meta"]["event_id"] = json!("{01939f5e}")).0, "meta.event_id");
    assert_eq!(refused(&|json| json["context"]["weather"] = json!(1)).0, "context.weather");
    assert_eq!(refused(&|json| json["colour"] = json!("red")).0, "colour");
    let (path, problem) = refused(&|json| drop(json.as_object_mut().unwrap().remove("peer_id")));
    assert_eq!((path.as_str(), problem.as_str()), ("peer_id", "missing, and has no default"));
    let sealed = json!({"key_ref": "k", "nonce": "xyz", "ciphertext": ""});
    assert_eq!(refused(&|json| json["message"] = sealed.clone()).0, "message.nonce");
}

#[test]
fn json_may_leave_out_what_has_a_default() {
    let schemas = schemas();
    let json = json!({
        "meta": {
            "event_id": "01939f5e-7c1a-7b3d-8e2f-0a1b2c3d0001", "occurred_at": "2026-11-21T05:00:00.000001Z",
            "tenant_id": "grove", "producer_id": "test", "love_resonance": 50
        },
        "agent_id": "willow",
        "source_id": "01939f5e-7c1a-7b3d-8e2f-0a1b2c3d0002",
        "target_id": "01939f5e-7c1a-7b3d-8e2f-0a1b2c3d0003",
        "relationship_type": "supports"
    });
    let value = from_json(&schemas, EventKind::MemoryLinked, &json).unwrap();
    let Event::MemoryLinked(event) = schemas.decode(&value).unwrap() else { panic!() };
    assert_eq!((event.confidence, event.retracted, event.metadata.len()), (0.5, false, 0));
    assert_eq!(event.meta.occurred_at, 1_795_237_200_000_001);
    assert_eq!(to_json(&schemas, &value).unwrap()["meta"]["occurred_at"], "2026-11-21T05:00:00.000001Z");
}
