//! Schemas of other producers beside ours: what is read, and how what is not is named.

use apache_avro::Schema;
use serde_json::{Value as Json, json};

use super::*;
use crate::{DecodeError, SchemaError, Schemas, embedded, from_json_value};

/// The current schema of a kind, changed.
fn changed(kind: EventKind, change: impl FnOnce(&mut Json)) -> String {
    let mut schema: Json = serde_json::from_str(embedded().unwrap().text(kind)).unwrap();
    change(&mut schema);
    schema.to_string()
}

/// The definition of a field, by its path.
fn field<'j>(schema: &'j mut Json, path: &str) -> &'j mut Json {
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let fields = schema["fields"].as_array_mut().unwrap();
    let found = fields.iter_mut().find(|field| field["name"] == name).unwrap();
    if rest.is_empty() { found } else { field(&mut found["type"], rest) }
}

fn with_type(kind: EventKind, path: &str, ty: &Json) -> String {
    changed(kind, |schema| field(schema, path)["type"] = ty.clone())
}

fn refused(text: &str) -> String {
    Schemas::embedded().unwrap().learn(7, text).unwrap_err().to_string()
}

/// The example of a kind, with changed values, written with a schema of that text; read by a registry's id.
fn read(kind: EventKind, text: &str, change: impl FnOnce(&mut Json)) -> Result<Json, DecodeError> {
    let mut json: Json = serde_json::from_str(embedded().unwrap().example(kind)).unwrap();
    change(&mut json);
    let mut value = vec![0, 0, 0, 0, 7];
    value.extend(from_json_value(&Schema::parse_str(text).unwrap(), &json).unwrap());
    let schemas = Schemas::embedded().unwrap().with_id(7, text).unwrap();
    let event = schemas.decode(&value)?;
    let Event::SporePropagated(_) = event else { return Ok(serde_json::to_value(event.meta()).unwrap()) };
    let Event::SporePropagated(event) = event else { unreachable!() };
    Ok(serde_json::to_value(event).unwrap())
}

/// A datum of `SporePropagated` by hand, whose `meta.occurred_at` has these bytes.
fn propagated(occurred_at: &[u8]) -> Vec<u8> {
    let schemas = Schemas::embedded().unwrap();
    let kind = EventKind::SporePropagated;
    let json = serde_json::from_str(embedded().unwrap().example(kind)).unwrap();
    let value = crate::from_json(&schemas, kind, &json).unwrap();
    let datum = &value[10..];
    let id_end = 1 + 36;
    let old = datum[id_end..].iter().position(|byte| *byte < 0x80).unwrap() + 1;
    [&[0, 0, 0, 0, 7], &datum[..id_end], occurred_at, &datum[id_end + old..]].concat()
}

fn zigzag(value: i64) -> Vec<u8> {
    let mut rest = (value as u64) << 1 ^ (value >> 63) as u64;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

fn occurred_at(ty: &Json, value: i64) -> Result<i64, String> {
    let text = with_type(EventKind::SporePropagated, "meta.occurred_at", ty);
    let schemas = Schemas::embedded().unwrap().with_id(7, &text).map_err(|error| error.to_string())?;
    let value = propagated(&zigzag(value));
    let event = schemas.decode(&value).map_err(|error| error.to_string())?;
    Ok(event.meta().occurred_at)
}

/// A1: units convert where that is exact, else the field is refused with both types; never is a wrong unit stored.
#[test]
fn timestamps_convert_or_are_refused_by_name() {
    let logical = |name: &str| json!({"type": "long", "logicalType": name});
    assert_eq!(occurred_at(&logical("timestamp-micros"), 1_764_000_000_123_456), Ok(1_764_000_000_123_456));
    assert_eq!(occurred_at(&logical("timestamp-millis"), 1_764_000_000_123), Ok(1_764_000_000_123_000));
    assert_eq!(occurred_at(&logical("timestamp-nanos"), 1_764_000_000_123_456_000), Ok(1_764_000_000_123_456));
    let uneven = occurred_at(&logical("timestamp-nanos"), 1).unwrap_err();
    assert!(uneven.contains("meta.occurred_at: 1 ns are no whole microseconds"), "{uneven}");
    let large = occurred_at(&logical("timestamp-millis"), i64::MAX).unwrap_err();
    assert!(large.contains("meta.occurred_at: 9223372036854775807 ms"), "{large}");
    for name in ["local-timestamp-micros", "local-timestamp-millis", "time-micros", "made-up"] {
        let error = occurred_at(&logical(name), 1).unwrap_err();
        let both = format!(
            "SporePropagated.meta.occurred_at: long {name} in the writer's schema, long timestamp-micros in ours"
        );
        assert!(error.starts_with(&both), "{error}");
    }
    for ty in [
        json!("long"),
        json!("int"),
        json!("double"),
        json!("string"),
        json!({"type": "int", "logicalType": "date"}),
        json!({"type": "int", "logicalType": "time-millis"}),
        json!({"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6}),
        json!({"type": "long", "logicalType": "timestamp-micros", "adjust-to-utc": false}),
    ] {
        let error = occurred_at(&ty, 1).unwrap_err();
        assert!(error.starts_with("SporePropagated.meta.occurred_at: "), "{ty}: {error}");
    }
}

/// A1: most libraries pass over a logical type beside the type of a field; it says the unit all the same.
#[test]
fn a_logical_type_beside_the_type_of_a_field_is_heard() {
    let kind = EventKind::SporePropagated;
    let beside = changed(kind, |schema| {
        let field = field(schema, "meta.occurred_at");
        field["type"] = json!("long");
        field["logicalType"] = json!("timestamp-millis");
    });
    let schemas = Schemas::embedded().unwrap().with_id(7, &beside).unwrap();
    assert_eq!(schemas.decode(&propagated(&zigzag(5))).unwrap().meta().occurred_at, 5_000);
    let nested = json!({"type": {"type": "long", "logicalType": "timestamp-millis"}});
    assert_eq!(occurred_at(&nested, 5), Ok(5_000));
}

/// A1: the same in arrays, maps, unions and nested records, and for numbers that are plain in ours.
#[test]
fn units_are_compared_wherever_they_stand() {
    let millis = json!({"type": "long", "logicalType": "timestamp-millis"});
    let cases = [
        (EventKind::SporeCreated, "retention_until", json!(["null", "long"]), "retention_until: long in the writer's"),
        (EventKind::LoopOpened, "deadline", json!(["null", {"type": "int", "logicalType": "date"}]), "int date"),
        (
            EventKind::InteractionRecorded,
            "duration_ms",
            json!(["null", {"type": "long", "logicalType": "time-micros"}]),
            "long time-micros",
        ),
        (EventKind::SporePropagated, "meta.base_version", millis.clone(), "long timestamp-millis"),
        (
            EventKind::FieldMeasured,
            "resonance_patterns",
            json!({"type": "map", "values": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}}),
            "bytes decimal(4, 2)",
        ),
        (
            EventKind::CoalitionFormed,
            "initial_capital",
            json!(["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}]),
            "bytes decimal(9, 3)",
        ),
        (
            EventKind::CoalitionReported,
            "revenue_delta",
            json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
            "double",
        ),
        (
            EventKind::WisdomCrystallized,
            "spore_ids",
            json!({"type": "array", "items": {"type": "fixed", "name": "F", "size": 8}}),
            "spore_ids[]: fixed(8)",
        ),
        (
            EventKind::SporeCreated,
            "spore_id",
            json!({"type": "fixed", "name": "F", "size": 16}),
            "spore_id: fixed(16) in the writer's",
        ),
    ];
    for (kind, path, ty, part) in cases {
        let text = with_type(kind, path, &ty);
        let schemas = Schemas::embedded().unwrap();
        // A union that may be null is read where it is: then its record is refused.
        let message = match schemas.learn(7, &text) {
            Err(error) => error.to_string(),
            Ok(()) => {
                let mut value = vec![0, 0, 0, 0, 7];
                let example = serde_json::from_str(embedded().unwrap().example(kind)).unwrap();
                let ours = crate::from_json(&schemas, kind, &example).unwrap();
                value.extend(&ours[10..]);
                schemas.decode(&value).unwrap_err().to_string()
            }
        };
        assert!(message.contains(part), "{kind}.{path}: {message}");
    }
    // What converts does so in a union as well, and null stays null.
    let text = with_type(EventKind::SporeCreated, "retention_until", &json!(["null", millis]));
    assert!(Schemas::embedded().unwrap().learn(7, &text).is_ok());
}

/// A1: a fingerprint leaves logical types out, so that a schema may have ours and mean something else.
#[test]
fn a_schema_of_our_fingerprint_with_other_units_is_not_taken_for_ours() {
    let millis = json!({"type": "long", "logicalType": "timestamp-millis"});
    let kind = EventKind::SporePropagated;
    let text = with_type(kind, "meta.occurred_at", &millis);
    let fingerprint = |text: &str| *text.parse::<serde_avro_fast::Schema>().unwrap().rabin_fingerprint();
    assert_eq!(fingerprint(&text), fingerprint(embedded().unwrap().text(kind)));
    let schemas = Schemas::embedded().unwrap().with_id(7, &text).unwrap();
    assert_eq!(schemas.header(kind), crate::frame::Header::Fingerprint(embedded().unwrap().fingerprint(kind)));
    let reused = schemas.learn(7, embedded().unwrap().text(kind)).unwrap_err();
    assert!(matches!(reused, SchemaError::IdReused { id: 7, .. }), "{reused}");
}

/// A3: an enum's symbol where we have a string; it outlives the schemas that it came from only as text.
#[test]
fn an_enum_is_read_as_its_symbol() {
    let ty = json!(["null", {"type": "enum", "name": "Channel", "symbols": ["WALK", "RIVER"]}]);
    let text = with_type(EventKind::SporePropagated, "channel", &ty);
    let mut value = vec![0, 0, 0, 0, 7];
    let schemas = Schemas::embedded().unwrap();
    let example = serde_json::from_str(embedded().unwrap().example(EventKind::SporePropagated)).unwrap();
    let ours = crate::from_json(&schemas, EventKind::SporePropagated, &example).unwrap();
    let Event::SporePropagated(event) = schemas.decode(&ours).unwrap() else { panic!() };
    let tail = event.channel.map_or(1, |channel| 2 + channel.len());
    value.extend(&ours[10..ours.len() - tail]);
    value.extend([2, 2]);
    schemas.learn(7, &text).unwrap();
    let Event::SporePropagated(event) = schemas.decode(&value).unwrap() else { panic!() };
    assert_eq!(event.channel, Some("RIVER"));
    *value.last_mut().unwrap() = 8;
    let error = schemas.decode(&value).unwrap_err().to_string();
    assert!(error.contains("channel: symbol 4 of an enum of 2"), "{error}");
}

/// A3: a UUID of sixteen bytes is the id that its text is.
#[test]
fn a_uuid_on_fixed_is_read_as_its_canonical_text() {
    let fixed = json!({"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"});
    let text = changed(EventKind::SporePropagated, |schema| {
        field(schema, "meta.event_id")["type"] = fixed.clone();
        field(schema, "spore_id")["type"] = json!("Id");
    });
    let schemas = Schemas::embedded().unwrap();
    let example = serde_json::from_str(embedded().unwrap().example(EventKind::SporePropagated)).unwrap();
    let ours = crate::from_json(&schemas, EventKind::SporePropagated, &example).unwrap();
    let Event::SporePropagated(wanted) = schemas.decode(&ours).unwrap() else { panic!() };
    let swap = |bytes: Vec<u8>, id: uuid::Uuid| {
        let as_text = [&[72][..], id.to_string().as_bytes()].concat();
        let at = bytes.windows(37).position(|part| part == as_text).unwrap();
        [&bytes[..at], id.as_bytes(), &bytes[at + 37..]].concat()
    };
    let datum = swap(swap(ours[10..].to_vec(), wanted.meta.event_id), wanted.spore_id);
    schemas.learn(7, &text).unwrap();
    let value = [&[0, 0, 0, 0, 7], &datum[..]].concat();
    let Event::SporePropagated(event) = schemas.decode(&value).unwrap() else { panic!() };
    assert_eq!(event, wanted);
}

#[test]
fn numbers_are_promoted_as_avro_allows_and_no_further() {
    let kind = EventKind::SporePropagated;
    for ty in ["int", "long", "float", "double"] {
        let text = with_type(kind, "resonance", &json!(ty));
        let read = read(kind, &text, |json| json["resonance"] = json!(1)).unwrap();
        assert_eq!(read["resonance"], json!(1.0), "{ty}");
    }
    let error = refused(&with_type(kind, "hop", &json!("long")));
    assert!(error.contains("hop: long in the writer's schema, int in ours; a larger type"), "{error}");
    let bytes = with_type(kind, "to_agent", &json!("bytes"));
    let read = read(kind, &bytes, |json| json["to_agent"] = json!("6f616b")).unwrap();
    assert_eq!(read["to_agent"], "oak");
}

/// A3: no message speaks of how this program borrows.
#[test]
fn what_cannot_be_read_is_named_with_both_types() {
    let kind = EventKind::SporePropagated;
    for (path, ty, wanted) in [
        (
            "to_agent",
            json!({"type": "array", "items": "string"}),
            "to_agent: array in the writer's schema, string in ours",
        ),
        ("to_agent", json!({"type": "fixed", "name": "F", "size": 3}), "to_agent: fixed(3) in the writer's schema"),
        ("to_agent", json!("null"), "to_agent: null in the writer's schema, string in ours; ours is never null"),
        (
            "spore_id",
            json!({"type": "enum", "name": "E", "symbols": ["A"]}),
            "spore_id: enum E in the writer's schema, string uuid in ours",
        ),
        ("resonance", json!("boolean"), "resonance: boolean in the writer's schema, double in ours"),
        ("meta", json!("string"), "meta: string in the writer's schema, record Meta in ours"),
    ] {
        let error = refused(&with_type(kind, path, &ty));
        assert!(error.starts_with(&format!("SporePropagated.{wanted}")), "{error}");
        assert!(!error.contains("borrowed"), "{error}");
    }
    let lacking = changed(kind, |schema| {
        schema["fields"].as_array_mut().unwrap().retain(|field| field["name"] != "to_agent");
    });
    let error = refused(&lacking);
    assert!(error.contains("SporePropagated.to_agent: missing in the writer's schema, string in ours"), "{error}");
    let nullable = with_type(kind, "to_agent", &json!(["null", "string"]));
    assert_eq!(read(kind, &nullable, |_| ()).unwrap()["to_agent"], "agent-oak");
    let schemas = Schemas::embedded().unwrap().with_id(7, &nullable).unwrap();
    let value = propagated(&zigzag(5));
    let at = value.windows(10).position(|part| part == b"\x12agent-oak").unwrap();
    let with_null = [&value[..at], &[0], &value[at + 10..]].concat();
    let error = schemas.decode(&with_null).unwrap_err().to_string();
    assert!(error.contains("to_agent: null in the writer's schema, string in ours"), "{error}");
}

#[test]
fn a_broken_datum_names_the_path_of_its_field() {
    let schemas = Schemas::embedded().unwrap();
    let kind = EventKind::MemoryRecalled;
    let example = serde_json::from_str(embedded().unwrap().example(kind)).unwrap();
    let value = crate::from_json(&schemas, kind, &example).unwrap();
    let error = schemas.decode(&value[..value.len() - 3]).unwrap_err().to_string();
    assert!(error.starts_with("malformed MemoryRecalled: spores"), "{error}");
    assert!(error.contains("[") && error.ends_with("the value ends within it"), "{error}");
    let mut shouting = value.clone();
    shouting[11] = b'z';
    let error = schemas.decode(&shouting).unwrap_err().to_string();
    assert_eq!(error, "malformed MemoryRecalled: meta.event_id: not a UUID of 36 characters");
}

/// I8: fields that we lack are passed over, whatever they hold, and types that contain themselves end.
#[test]
fn fields_that_we_lack_are_passed_over() {
    let kind = EventKind::SporePropagated;
    let tree = json!({"type": "record", "name": "Tree", "fields": [
        {"name": "leaves", "type": {"type": "array", "items": "Tree"}},
        {"name": "size", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "more", "type": {"type": "map", "values": ["null", "float", {"type": "fixed", "name": "Two", "size": 2}]}}
    ]});
    let text = changed(kind, |schema| {
        schema["fields"].as_array_mut().unwrap().push(json!({"name": "tree", "type": tree}));
    });
    let schemas = Schemas::embedded().unwrap();
    let example = serde_json::from_str(embedded().unwrap().example(kind)).unwrap();
    let ours = crate::from_json(&schemas, kind, &example).unwrap();
    schemas.learn(7, &text).unwrap();
    let leaf = [&[0][..], &[2, 9], &[2], &[2, 2, b'k', 4, 1, 2, 0]].concat();
    let whole = [&[2][..], &leaf, &[0], &[0], &[0], &[0]].concat();
    let value = [&[0, 0, 0, 0, 7], &ours[10..], &whole].concat();
    assert_eq!(schemas.decode(&value).unwrap(), schemas.decode(&ours).unwrap());
    let endless = [&[0, 0, 0, 0, 7], &ours[10..], &[2; 5_000]].concat();
    let error = schemas.decode(&endless).unwrap_err().to_string();
    assert!(error.contains("tree: nested deeper than 64"), "{error}");
}

/// I8: values without bytes cannot be counted by bytes; passing over them ends all the same.
#[test]
fn values_without_bytes_are_passed_over_in_bounded_time() {
    let kind = EventKind::SporePropagated;
    let schemas = Schemas::embedded().unwrap();
    let example = serde_json::from_str(embedded().unwrap().example(kind)).unwrap();
    let ours = crate::from_json(&schemas, kind, &example).unwrap();
    let nulls = json!({"type": "array", "items": {"type": "array", "items": "null"}});
    let twice = (0..14).fold(json!("null"), |inner, level| {
        let again = if level == 0 { json!("null") } else { json!(format!("N{}", level - 1)) };
        let fields = json!([{"name": "a", "type": inner}, {"name": "b", "type": again}]);
        json!({"type": "record", "name": format!("N{level}"), "fields": fields})
    });
    // Ten thousand arrays of as many nulls as a count of three bytes says; and as many records of 2^14 in no byte at all.
    let records = json!({"type": "array", "items": twice});
    let many = [&zigzag(10_000)[..], &[&zigzag(90_000)[..], &[0]].concat().repeat(10_000), &[0]].concat();
    for (id, ty, tail) in [(8, nulls, many), (9, records, [&zigzag(10_000)[..], &[0]].concat())] {
        let text = changed(kind, |schema| {
            schema["fields"].as_array_mut().unwrap().push(json!({"name": "more", "type": ty}));
        });
        schemas.learn(id, &text).unwrap();
        let value = [&[0, 0, 0, 0, id as u8], &ours[10..], &tail].concat();
        let error = schemas.decode(&value).unwrap_err().to_string();
        assert!(error.contains("more: more values than its length accounts for"), "{error}");
    }
}
