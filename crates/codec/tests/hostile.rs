//! No bytes make the decoder panic or allocate out of proportion.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use codec::{Schemas, from_json, to_json};
use domain::event::EventKind;
use proptest::prelude::*;
use serde_json::Value as Json;

fn valid(kind: EventKind) -> Vec<u8> {
    let schemas = Schemas::embedded().unwrap();
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/examples");
    for entry in std::fs::read_dir(dir).unwrap() {
        let stem = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        if stem.replace('_', "") == kind.name().to_lowercase() {
            let text = std::fs::read_to_string(format!("{dir}/{stem}.json")).unwrap();
            let json: Json = serde_json::from_str(&text).unwrap();
            return from_json(&schemas, kind, &json).unwrap();
        }
    }
    panic!("{kind} has no example")
}

fn foreign() -> Schemas {
    let mut schema: Json = serde_json::from_str(codec::embedded().unwrap().text(EventKind::SporePropagated)).unwrap();
    let tree = r#"{"type":"record","name":"Tree","fields":[
        {"name":"leaves","type":{"type":"array","items":"Tree"}},
        {"name":"more","type":{"type":"map","values":["null","float",{"type":"fixed","name":"Two","size":2}]}}]}"#;
    let tree: Json = serde_json::from_str(tree).unwrap();
    schema["fields"].as_array_mut().unwrap().push(serde_json::json!({"name": "tree", "type": tree}));
    let text = schema.to_string().replace("timestamp-micros", "timestamp-millis");
    Schemas::embedded().unwrap().with_id(7, &text).unwrap()
}

fn any_kind() -> impl Strategy<Value = EventKind> {
    prop::sample::select(EventKind::ALL)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        drop(Schemas::embedded().unwrap().decode(&bytes));
    }

    #[test]
    fn arbitrary_datums_do_not_panic(kind in any_kind(), bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let schemas = Schemas::embedded().unwrap();
        let mut value = Vec::new();
        schemas.header(kind).write(&mut value);
        value.extend(bytes);
        drop(schemas.decode(&value));
    }

    /// A foreign schema with everything that is converted or passed over.
    #[test]
    fn arbitrary_datums_of_a_foreign_schema_do_not_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..256),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let schemas = foreign();
        drop(schemas.decode(&[&[0, 0, 0, 0, 7], &bytes[..]].concat()));
        let mut value = [&[0, 0, 0, 0, 7], &valid(EventKind::SporePropagated)[10..], &bytes[..]].concat();
        for (at, byte) in changes {
            let at = 5 + at.index(value.len() - 5);
            value[at] = byte;
        }
        drop(schemas.decode(&value));
    }

    #[test]
    fn mutated_values_do_not_panic(
        kind in any_kind(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let schemas = Schemas::embedded().unwrap();
        let mut value = valid(kind);
        for (at, byte) in changes {
            let at = 10 + at.index(value.len() - 10);
            value[at] = byte;
        }
        if !keep {
            value.truncate(10 + cut.index(value.len() - 10));
        }
        if schemas.decode(&value).is_ok() {
            prop_assert!(to_json(&schemas, &value).is_ok());
        }
    }
}

#[test]
fn a_huge_count_is_refused_at_once() {
    let schemas = Schemas::embedded().unwrap();
    // Any run of bytes replaced by a zigzag varint of about 2^62 must end in an error, not in an allocation.
    let huge = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
    for kind in EventKind::ALL {
        let value = valid(*kind);
        for at in 10..value.len() - 1 {
            let mut hostile = value[..at].to_vec();
            hostile.extend(huge);
            hostile.extend(&value[at + 1..]);
            drop(schemas.decode(&hostile));
        }
    }
}
