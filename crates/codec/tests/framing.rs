//! How records name their schema, and what is said of those that cannot.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use codec::{DecodeError, SchemaError, Schemas, embedded, from_json};
use domain::event::{Event, EventKind};

type Headers<'h> = Vec<(&'h str, &'h [u8])>;

const KIND: EventKind = EventKind::Forgotten;

fn schemas() -> Schemas {
    Schemas::embedded().unwrap()
}

fn datum() -> Vec<u8> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/examples/forgotten.json");
    let json = serde_json::from_str(&std::fs::read_to_string(dir).unwrap()).unwrap();
    from_json(&schemas(), KIND, &json).unwrap()[10..].to_vec()
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [frame, &datum()].concat()
}

fn decode(schemas: &Schemas, value: &[u8], headers: &Headers<'_>) -> Result<EventKind, DecodeError> {
    let mut room = None;
    schemas.decode_record_into(value, headers.iter().copied(), &mut room).map(Event::kind)
}

/// What names its schema without doubt is read, wherever it names it.
#[test]
fn an_id_in_a_header_is_read_where_it_is_of_the_confluent_api() {
    let known = schemas().with_id(7, embedded().unwrap().text(KIND)).unwrap();
    let bare = datum();
    let headers: [Headers<'_>; 4] = [
        vec![("__value_schema_id", &[0, 0, 0, 0, 7])],
        vec![("apicurio.value.contentId", &[0, 0, 0, 0, 0, 0, 0, 7])],
        vec![("apicurio.value.globalId", &[0, 0, 0, 0, 0, 0, 0, 9]), ("apicurio.value.contentId", &[0, 0, 0, 7])],
        vec![("ce_type", b"x"), ("__value_schema_id", &[0, 0, 0, 0, 9]), ("__value_schema_id", &[0, 0, 0, 0, 7])],
    ];
    for headers in &headers {
        assert_eq!(decode(&known, &bare, headers), Ok(KIND), "{headers:?}");
        // An id that is not known yet is asked for, as in a frame.
        assert_eq!(decode(&schemas(), &bare, headers), Err(DecodeError::UnknownSchema { id: 7 }));
        assert_eq!(Schemas::registry_id(&bare, headers.iter().copied()), Some(7));
    }
    // A frame with a known schema is a frame, whatever headers another tool has left.
    let stale = vec![("__value_schema_id", &[0, 0, 0, 0, 99][..])];
    assert_eq!(decode(&known, &framed(&[0, 0, 0, 0, 7]), &stale), Ok(KIND));
}

/// What does not is refused by the name of its framing, with what to set at the producer.
#[test]
fn framings_of_others_are_refused_by_name() {
    let guid = [1; 17];
    let none = Headers::new();
    let cases: [(Vec<u8>, Headers<'_>, &str, &str); 12] = [
        (datum(), vec![("__value_schema_id", &guid)], "GUID", "PrefixSchemaIdSerializer"),
        (datum(), vec![("apicurio.value.globalId", &[0, 0, 0, 0, 0, 0, 0, 7])], "globalId", "use-id=contentId"),
        (framed(&[0, 0, 0, 0, 0, 0, 0, 0, 7]), none.clone(), "8 bytes", "Legacy4ByteIdHandler"),
        (framed(&[&[3, 0][..], &[9; 16]].concat()), none.clone(), "AWS Glue", "single-object"),
        (framed(&[&[3, 5][..], &[9; 16]].concat()), none.clone(), "AWS Glue", "Confluent API"),
        (framed(&[1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1]), none.clone(), "Cloudera", "Confluent API"),
        (framed(&[3, 0, 0, 0, 4])[..10].to_vec(), none.clone(), "Cloudera", "Confluent API"),
        (framed(b"Obj\x01"), none.clone(), "container file", "one event a record"),
        (br#" {"meta": 1}"#.to_vec(), none.clone(), "JSON", "Avro"),
        (b"[{}]".to_vec(), none.clone(), "JSON", "Avro"),
        (datum(), none, "bare Avro", "single-object"),
        (datum(), vec![("content-type", b"avro/binary+0123")], "Azure", "Confluent API"),
    ];
    for (value, headers, name, remedy) in cases {
        let error = decode(&schemas(), &value, &headers).unwrap_err();
        assert!(matches!(error, DecodeError::Framing { .. }), "{name}: {error}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(remedy), "{name}: {text}");
    }
    // Junk is still junk, and zeros ask for no framing.
    assert_eq!(decode(&schemas(), &[9, 9, 9], &vec![]), Err(DecodeError::WrongMagic { byte: 9 }));
    assert_eq!(decode(&schemas(), &[0; 64], &vec![]), Err(DecodeError::UnknownSchema { id: 0 }));
}

/// I7: a kind that a newer build appends is told from what nobody knows, from its schema or from its header.
#[test]
fn a_kind_of_our_namespace_that_is_unknown_is_told_apart() {
    let schemas = schemas();
    let newer = r#"{"type":"record","name":"SporeSung","namespace":"io.sporelog","fields":[]}"#;
    assert_eq!(decode(&schemas, &framed(&[0, 0, 0, 0, 9]), &vec![]), Err(DecodeError::UnknownSchema { id: 9 }));
    schemas.learn(9, newer).unwrap();
    let unknown = Err(DecodeError::UnknownKind { name: "io.sporelog.SporeSung".to_owned() });
    assert_eq!(decode(&schemas, &framed(&[0, 0, 0, 0, 9]), &vec![]), unknown);
    assert!(schemas.knows(9), "the registry is not asked for it again");
    schemas.learn(9, newer).unwrap();
    schemas
        .learn(10, &newer.replace(r#""SporeSung","namespace":"io.sporelog""#, r#""io.sporelog.v2.SporeSung""#))
        .unwrap();
    assert!(matches!(decode(&schemas, &framed(&[0, 0, 0, 0, 10]), &vec![]), Err(DecodeError::UnknownKind { .. })));

    let fingerprint = framed(&[0xC3, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
    let told = |kind: &'static [u8]| decode(&schemas, &fingerprint, &vec![("ce_type", kind)]);
    assert_eq!(told(b"io.sporelog.SporeSung"), unknown);
    for other in [&b"io.sporelog.Forgotten"[..], b"com.example.SporeSung", b"io.sporelogs.SporeSung", b"\xff"] {
        assert!(matches!(told(other), Err(DecodeError::UnknownFingerprint { .. })));
    }
}

/// What cannot be read is learned too, and says why without the registry.
#[test]
fn a_schema_that_cannot_be_read_is_remembered_with_its_reason() {
    let schemas = schemas();
    for (id, text, part) in [
        (11, r#"{"type":"record","name":"com.example.Order","fields":[]}"#, "com.example.Order is none of our events"),
        (12, r#"["null","string"]"#, "that is a union is none of our events"),
        (13, "syntax = \"proto3\";", "does not parse"),
        (14, r#"{"type":"record","name":"io.sporelog.Blessed","fields":[]}"#, "Blessed.meta: missing"),
    ] {
        let learned = schemas.learn(id, text).unwrap_err().to_string();
        assert!(learned.contains(part), "{learned}");
        assert!(schemas.knows(id));
        let error = decode(&schemas, &framed(&[0, 0, 0, 0, id as u8]), &vec![]).unwrap_err();
        assert!(matches!(&error, DecodeError::Schema { id: named, .. } if *named == id), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// A4: a registry that was rebuilt is found out by asking again.
#[test]
fn an_id_given_away_again_is_not_confirmed() {
    let text = embedded().unwrap().text(KIND);
    let schemas = schemas().with_id(7, text).unwrap();
    schemas.confirm(7, text).unwrap();
    schemas.confirm(7, &text.replace("\"doc\"", "\"comment\"")).unwrap();
    schemas.confirm(8, text).unwrap();
    let other = embedded().unwrap().text(EventKind::Blessed);
    let millis = text.replace("timestamp-micros", "timestamp-millis");
    for another in [other, &millis, "no schema"] {
        let error = schemas.confirm(7, another).unwrap_err();
        assert_eq!(error, SchemaError::IdReused { id: 7, known: "Forgotten".to_owned() });
        assert!(error.to_string().contains("under id 7") && error.to_string().contains("restore it"), "{error}");
    }
    let misfit = decode(&schemas, &framed(&[0, 0, 0, 0, 7])[..20], &vec![]).unwrap_err();
    assert!(misfit.is_misfit(), "{misfit}");
    assert!(!decode(&schemas, &framed(&[0, 0, 0, 0, 8]), &vec![]).unwrap_err().is_misfit());
}

/// L11: what a log takes by default is read by default, and a smaller limit names the option.
#[test]
fn the_largest_record_of_a_log_is_read() {
    assert_eq!(codec::DEFAULT_MAX_LEN, domain::MAX_RECORD_BYTES);
    let value = [&framed(&[0xC3, 1])[..], &vec![0; domain::MAX_RECORD_BYTES]].concat();
    let error = decode(&schemas(), &value[..domain::MAX_RECORD_BYTES], &vec![]).unwrap_err();
    assert!(!matches!(error, DecodeError::Oversize { .. }), "{error}");
    let error = decode(&schemas(), &value[..domain::MAX_RECORD_BYTES + 1], &vec![]).unwrap_err();
    assert_eq!(error, DecodeError::Oversize { len: domain::MAX_RECORD_BYTES + 1, max: domain::MAX_RECORD_BYTES });
    assert!(error.to_string().contains("log.max_record_bytes"), "{error}");
}
