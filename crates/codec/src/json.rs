//! JSON at the edges: what a person writes and reads, against Avro's dynamic values.
//!
//! | Avro | JSON |
//! |---|---|
//! | union | the value itself, untagged |
//! | missing field, JSON null | the field's default; null where the union holds it |
//! | timestamp-micros | microseconds since the Unix epoch, or RFC 3339 (always RFC 3339 on the way out) |
//! | uuid | 36 characters |
//! | bytes | hexadecimal |
//! | NaN, infinity | a string, on the way out only |

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{Name, RecordSchema, ResolvedSchema, UnionSchema};
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use domain::event::{EventKind, canonical};
use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use crate::encode::encode_once;
use crate::{JsonError, Schemas};

type Names<'s> = HashMap<Name, &'s Schema>;

/// The datum of a JSON document, under the current schema of `kind`, in the frame that `schemas` writes.
///
/// # Errors
/// The path of the first field that does not fit, and why.
pub fn from_json(schemas: &Schemas, kind: EventKind, json: &Json) -> Result<Vec<u8>, JsonError> {
    let schema = parse(schemas.current(kind).json())?;
    let mut out = Vec::new();
    schemas.header(kind).write(&mut out);
    out.extend(from_json_value(&schema, json)?);
    // The dynamic maps have no order; the same document always gives the same bytes.
    let mut event = schemas.decode(&out)?;
    event.sort_maps();
    let mut sorted = Vec::with_capacity(out.len());
    encode_once(schemas, &event, &mut sorted)?;
    Ok(sorted)
}

/// The bare datum of a JSON document under any schema.
///
/// # Errors
/// The path of the first field that does not fit, and why.
pub fn from_json_value(schema: &Schema, json: &Json) -> Result<Vec<u8>, JsonError> {
    let resolved = ResolvedSchema::new(schema).map_err(avro)?;
    let value = Reader { names: resolved.get_names() }.value(schema, json, "")?;
    let writer = GenericDatumWriter::builder(schema).build().map_err(avro)?;
    writer.write_value_to_vec(value).map_err(avro)
}

/// A record's value as its writer wrote it, fields that this build lacks included.
///
/// # Errors
/// The value is no event.
pub fn to_json(schemas: &Schemas, value: &[u8]) -> Result<Json, JsonError> {
    schemas.decode(value)?; // bounds every length before the dynamic reader allocates by it
    let (writer, mut datum) = schemas.open(value)?;
    let schema = parse(writer.schema.json())?;
    let reader = GenericDatumReader::builder(&schema).build().map_err(avro)?;
    Ok(render(&reader.read_value(&mut datum).map_err(avro)?))
}

fn avro(error: apache_avro::Error) -> JsonError {
    JsonError::Avro(error.to_string())
}

fn parse(text: &str) -> Result<Schema, JsonError> {
    Schema::parse_str(text).map_err(avro)
}

fn field(path: &str, problem: impl Into<String>) -> JsonError {
    JsonError::Field { path: path.to_owned(), problem: problem.into() }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Reads JSON by a schema.
struct Reader<'n, 's> {
    names: &'n Names<'s>,
}

impl Reader<'_, '_> {
    fn value(&self, schema: &Schema, json: &Json, path: &str) -> Result<Value, JsonError> {
        let wanted = |what: &str| field(path, format!("expected {what}, found {}", shape(json)));
        Ok(match schema {
            Schema::Null => json.as_null().map(|()| Value::Null).ok_or_else(|| wanted("null"))?,
            Schema::Boolean => json.as_bool().map(Value::Boolean).ok_or_else(|| wanted("true or false"))?,
            Schema::Int => {
                let int = json.as_i64().and_then(|int| i32::try_from(int).ok());
                Value::Int(int.ok_or_else(|| wanted("a 32-bit integer"))?)
            }
            Schema::Long => json.as_i64().map(Value::Long).ok_or_else(|| wanted("a 64-bit integer"))?,
            Schema::Float => {
                #[allow(clippy::cast_possible_truncation, reason = "the schema asks for 32 bits")]
                let float = json.as_f64().map(|float| float as f32).filter(|float| float.is_finite());
                Value::Float(float.ok_or_else(|| wanted("a 32-bit number"))?)
            }
            Schema::Double => json.as_f64().map(Value::Double).ok_or_else(|| wanted("a number"))?,
            Schema::String => Value::String(json.as_str().ok_or_else(|| wanted("a string"))?.to_owned()),
            Schema::Bytes => {
                Value::Bytes(json.as_str().and_then(unhex).ok_or_else(|| wanted("hexadecimal digits, two a byte"))?)
            }
            Schema::Uuid(_) => {
                let id = json.as_str().and_then(canonical::parse);
                Value::Uuid(id.ok_or_else(|| wanted("a UUID of 36 characters"))?)
            }
            Schema::TimestampMicros => Value::TimestampMicros(
                micros(json).ok_or_else(|| wanted("microseconds since the Unix epoch, or an RFC 3339 time"))?,
            ),
            Schema::Array(array) => {
                let items = json.as_array().ok_or_else(|| wanted("an array"))?.iter().enumerate();
                let items = items.map(|(at, item)| self.value(&array.items, item, &format!("{path}[{at}]")));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Schema::Map(map) => {
                let entries = json.as_object().ok_or_else(|| wanted("an object"))?.iter();
                let entries =
                    entries.map(|(name, item)| Ok((name.clone(), self.value(&map.types, item, &join(path, name))?)));
                Value::Map(entries.collect::<Result<_, JsonError>>()?)
            }
            Schema::Record(record) => {
                self.record(record, json.as_object().ok_or_else(|| wanted("an object"))?, path)?
            }
            Schema::Union(union) => self.union(union, json, path)?,
            Schema::Ref { name } => {
                let schema = self.names.get(name).ok_or_else(|| field(path, format!("unknown type {name}")))?;
                self.value(schema, json, path)?
            }
            other => return Err(field(path, format!("type {other:?} is not supported"))),
        })
    }

    fn record(&self, record: &RecordSchema, json: &Map<String, Json>, path: &str) -> Result<Value, JsonError> {
        if let Some(name) = json.keys().find(|name| !record.fields.iter().any(|known| known.name == **name)) {
            return Err(field(&join(path, name), format!("unknown field of {}", record.name.name())));
        }
        let mut fields = Vec::with_capacity(record.fields.len());
        for known in &record.fields {
            let path = join(path, &known.name);
            // An explicit null asks for the default too, where null itself does not fit.
            let given = json.get(&known.name).filter(|json| !json.is_null());
            let value = match (given, &known.default) {
                (Some(json), _) => self.value(&known.schema, json, &path)?,
                (None, Some(default)) => self.value(&known.schema, default, &path)?,
                (None, None) => return Err(field(&path, "missing, and has no default")),
            };
            fields.push((known.name.clone(), value));
        }
        Ok(Value::Record(fields))
    }

    /// The first variant of the value's shape; its error, where exactly one has that shape.
    fn union(&self, union: &UnionSchema, json: &Json, path: &str) -> Result<Value, JsonError> {
        let mut problem = None;
        for (at, variant) in (0..).zip(union.variants()) {
            if self.takes(variant, json) {
                match self.value(variant, json, path) {
                    Ok(value) => return Ok(Value::Union(at, Box::new(value))),
                    Err(error) => problem = problem.or(Some(error)),
                }
            }
        }
        Err(problem.unwrap_or_else(|| field(path, format!("{} fits none of the union's types", shape(json)))))
    }

    fn takes(&self, schema: &Schema, json: &Json) -> bool {
        match schema {
            Schema::Null => json.is_null(),
            Schema::Boolean => json.is_boolean(),
            Schema::Array(_) => json.is_array(),
            Schema::Map(_) | Schema::Record(_) => json.is_object(),
            Schema::Ref { name } => self.names.get(name).is_some_and(|schema| self.takes(schema, json)),
            Schema::String | Schema::Bytes | Schema::Uuid(_) => json.is_string(),
            Schema::TimestampMicros => json.is_string() || json.is_number(),
            _ => json.is_number(),
        }
    }
}

fn shape(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(number) if number.is_f64() => "a fraction",
        Json::Number(_) => "an integer",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

fn micros(json: &Json) -> Option<i64> {
    match json {
        Json::String(text) => text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond),
        _ => json.as_i64(),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(value: f64) -> Json {
    serde_json::Number::from_f64(value).map_or_else(|| Json::String(value.to_string()), Json::Number)
}

/// Shows a dynamic value.
fn render(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => (*value).into(),
        Value::Int(value) | Value::Date(value) | Value::TimeMillis(value) => (*value).into(),
        Value::Long(value) => (*value).into(),
        Value::TimestampMicros(us) => {
            Timestamp::from_microsecond(*us).map_or_else(|_| (*us).into(), |time| time.to_string().into())
        }
        Value::TimestampMillis(ms) => {
            Timestamp::from_millisecond(*ms).map_or_else(|_| (*ms).into(), |time| time.to_string().into())
        }
        // The shortest decimal that names the float: 0.12, not 0.11999999731779099.
        Value::Float(value) => value.to_string().parse().map_or(Json::Null, number),
        Value::Double(value) => number(*value),
        Value::String(value) | Value::Enum(_, value) => value.as_str().into(),
        Value::Uuid(value) => value.to_string().into(),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => hex(bytes).into(),
        Value::Union(_, value) => render(value),
        Value::Array(items) => items.iter().map(render).collect(),
        Value::Map(entries) => Json::Object(entries.iter().map(|(name, item)| (name.clone(), render(item))).collect()),
        Value::Record(fields) => Json::Object(fields.iter().map(|(name, item)| (name.clone(), render(item))).collect()),
        other => format!("{other:?}").into(),
    }
}
