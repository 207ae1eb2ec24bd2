//! What other serialisers write, told from the value's first bytes and from the record's headers.
//!
//! What names its schema without doubt is decoded; the rest is refused with the framing's name and what to set at the
//! producer, since a datum read with the wrong schema may look right.
//!
//! | written by | how | |
//! |---|---|---|
//! | Confluent, Redpanda, Karapace | `00`, 4-byte id | decoded |
//! | Avro single-object encoding | `C3 01`, fingerprint | decoded |
//! | Confluent, id in a header | `__value_schema_id`: `00`, 4-byte id | decoded |
//! | | `__value_schema_id`: `01`, a GUID | refused: ids and GUIDs are not told apart by older registries |
//! | Apicurio, id in a header | `apicurio.value.contentId` | decoded: the id of the Confluent API |
//! | | `apicurio.value.globalId` alone | refused: numbers that mean another schema in the Confluent API |
//! | Apicurio, 8-byte ids | `00`, 8-byte id | refused: it does not say which of the two numbers it is |
//! | AWS Glue | `03`, compression, 16-byte version id | refused |
//! | an Avro file, JSON, bare Avro | `Obj 01`; `{`; no frame | refused |

use crate::DecodeError;

/// The pairs of a record's headers.
pub(crate) trait Pairs<'h>: Iterator<Item = (&'h str, &'h [u8])> {}

impl<'h, I: Iterator<Item = (&'h str, &'h [u8])>> Pairs<'h> for I {}

/// What a record's headers say of its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The id of its schema in the Confluent API; the value is the datum alone.
    pub(crate) id: Option<u32>,
    /// A framing that cannot be decoded.
    framing: Option<Framing>,
    /// The kind of the event, by CloudEvents' `ce_type`.
    kind: Option<String>,
}

impl Told {
    /// Reads the headers. Of one name the last counts, as in Kafka's `lastHeader`.
    pub(crate) fn by<'h>(headers: impl Pairs<'h>) -> Self {
        let (mut told, mut content_id, mut global_id) = (Self::default(), None, false);
        for (name, value) in headers {
            match name {
                "__value_schema_id" => match value {
                    [0, id @ ..] if id.len() == 4 => told.id = be(id),
                    _ => told.framing = Some(CONFLUENT_GUID),
                },
                "apicurio.value.contentId" => content_id = be(value),
                "apicurio.value.globalId" => global_id = true,
                "apicurio.value.encoding" if value.eq_ignore_ascii_case(b"JSON") => told.framing = Some(JSON),
                "content-type" | "contentType" => told.framing = by_content_type(value).or(told.framing),
                "ce_type" => told.kind = std::str::from_utf8(value).ok().map(str::to_owned),
                _ => {}
            }
        }
        told.id = told.id.or(content_id);
        if told.id.is_none() && global_id {
            told.framing = Some(APICURIO_GLOBAL);
        }
        told
    }

    /// The error of a value that its own bytes do not explain, as the headers explain it.
    pub(crate) fn explain(self, error: DecodeError) -> DecodeError {
        // What reads as a frame is one, and its error says more than a header.
        let is_framed = matches!(error, DecodeError::UnknownSchema { .. } | DecodeError::UnknownFingerprint { .. });
        match (self.framing, unknown_kind(self.kind.as_deref())) {
            (_, Some(name)) if matches!(error, DecodeError::UnknownFingerprint { .. }) => {
                DecodeError::UnknownKind { name }
            }
            (Some(framing), _) if !is_framed => framing.refused(),
            _ => error,
        }
    }
}

/// The name of a kind of our namespace that this build does not know.
pub(crate) fn unknown_kind(full_name: Option<&str>) -> Option<String> {
    let name = full_name?;
    let (namespace, short) = name.rsplit_once('.')?;
    let is_ours = namespace == NAMESPACE || namespace.strip_prefix(NAMESPACE).is_some_and(|rest| rest.starts_with('.'));
    let is_unknown = !short.is_empty() && domain::event::EventKind::from_name(short).is_none();
    (is_ours && is_unknown).then(|| name.to_owned())
}

/// The namespace of our records.
pub(crate) const NAMESPACE: &str = "io.sporelog";

fn be(bytes: &[u8]) -> Option<u32> {
    match bytes.len() {
        4 => Some(u32::from_be_bytes(bytes.try_into().ok()?)),
        8 => u32::try_from(u64::from_be_bytes(bytes.try_into().ok()?)).ok(),
        _ => None,
    }
}

/// Azure's serialisers name the schema in the content type.
fn by_content_type(value: &[u8]) -> Option<Framing> {
    let is_json = value.starts_with(b"application/json");
    if value.starts_with(b"avro/binary+") { Some(AZURE) } else { is_json.then_some(JSON) }
}

/// A framing that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Framing {
    name: &'static str,
    remedy: &'static str,
}

impl Framing {
    const fn refused(self) -> DecodeError {
        DecodeError::Framing { framing: self.name, remedy: self.remedy }
    }
}

const CONFLUENT_GUID: Framing = Framing {
    name: "Confluent's framing with a GUID in the header __value_schema_id",
    remedy: "set value.schema.id.serializer to io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer at the \
             producer",
};
const APICURIO_GLOBAL: Framing = Framing {
    name: "Apicurio's framing with the header apicurio.value.globalId alone",
    remedy: "set apicurio.registry.use-id=contentId at the producer: global ids are not those of the Confluent API",
};
const APICURIO_LONG: Framing = Framing {
    name: "Apicurio's framing with ids of 8 bytes",
    remedy: "set apicurio.registry.id-handler=io.apicurio.registry.serde.Legacy4ByteIdHandler (later versions: \
             Default4ByteIdHandler) and apicurio.registry.use-id=contentId at the producer",
};
const GLUE: Framing = Framing {
    name: "AWS Glue's framing (0x03, compression, version id)",
    remedy: "use a serialiser of the Confluent API at the producer, or Avro's single-object encoding",
};
const CLOUDERA: Framing = Framing {
    name: "the framing of Cloudera's (Hortonworks') registry",
    remedy: "use a serialiser of the Confluent API at the producer, or Avro's single-object encoding",
};
const AZURE: Framing = Framing {
    name: "Azure's framing with the schema's id in the header content-type",
    remedy: "use a serialiser of the Confluent API at the producer, or Avro's single-object encoding",
};
const CONTAINER: Framing = Framing {
    name: "an Avro object container file",
    remedy: "write one event a record, in Confluent framing or Avro's single-object encoding; `sporelog import` reads files",
};
const JSON: Framing = Framing {
    name: "JSON text",
    remedy: "write Avro in Confluent framing or single-object encoding; `sporelog import` turns JSON into events",
};
const BARE: Framing = Framing {
    name: "a bare Avro datum, without a frame that names its schema",
    remedy: "write it in Confluent framing (00, schema id) or Avro's single-object encoding (C3 01, fingerprint)",
};

/// The error of a value of another serialiser's, by its first bytes.
pub(crate) fn in_value(value: &[u8]) -> Option<DecodeError> {
    let framing = match value {
        [b'O', b'b', b'j', 1, ..] => CONTAINER,
        [3, 0 | 5, ..] if value.len() >= 18 => GLUE,
        [1, rest @ ..] | [2 | 3, rest @ ..] if is_cloudera(value[0], rest) => CLOUDERA,
        // The first field of our events is a UUID as text: its length, then 36 characters.
        [72, id @ ..] if id.get(..36).is_some_and(is_uuid) => BARE,
        _ if is_json(value) => JSON,
        _ => return None,
    };
    Some(framing.refused())
}

/// The error of a value whose id is none that a registry gives: Apicurio's ids of 8 bytes begin like id 0.
pub(crate) fn in_id_zero(datum: &[u8]) -> Option<DecodeError> {
    let is_long = datum.first_chunk::<4>().is_some_and(|low| *low != [0; 4]);
    is_long.then(|| APICURIO_LONG.refused())
}

/// Protocol 1: metadata id (8 bytes) and version (4); 2: version id (8 bytes); 3: version id (4 bytes). All of them small.
fn is_cloudera(protocol: u8, rest: &[u8]) -> bool {
    match protocol {
        1 | 2 => rest.first_chunk::<4>() == Some(&[0; 4]) && rest.len() > 8,
        _ => rest.first_chunk::<2>() == Some(&[0; 2]) && rest.len() > 4,
    }
}

fn is_uuid(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| domain::event::canonical::parse(text).is_some())
}

/// An object, or an array of them, as text.
fn is_json(value: &[u8]) -> bool {
    let start = value.trim_ascii_start();
    let second = start.get(1..).unwrap_or_default().trim_ascii_start().first();
    matches!((start.first(), second), (Some(b'{'), Some(b'"' | b'}')) | (Some(b'['), Some(b'{' | b']')))
}
