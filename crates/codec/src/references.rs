//! One schema out of one that refers to others.
//!
//! A registry may keep a type in a subject of its own and let schemas refer to it by name. A decoder needs the whole:
//! here every name that the schema does not define is replaced, where it is first met, by its definition.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use crate::SchemaError;

/// Deepest nesting of a schema's text: ours have less than 20 levels.
const MAX_DEPTH: usize = 100;
/// The largest schema that comes out of it, bytes. Names are expanded once, so it is about the sum of what went in.
const MAX_BYTES: usize = 1 << 20;

/// The schema with the definitions of what it refers to in their places. `references` are the texts of the schemas that it
/// names, directly or through others, in any order.
///
/// # Errors
/// A text is no JSON, nests too deeply, or grows too large. Names that nothing defines stay: who parses it names them.
pub fn inline_references(schema: &str, references: &[impl AsRef<str>]) -> Result<String, SchemaError> {
    let mut definitions = BTreeMap::new();
    let mut parse = |text: &str| -> Result<Json, SchemaError> {
        let json = serde_json::from_str(text).map_err(|error| invalid(&error.to_string()))?;
        flatten(json, "", 0, &mut definitions)
    };
    let root = parse(schema)?;
    for reference in references {
        parse(reference.as_ref())?;
    }
    let mut inlining = Inlining { definitions: &definitions, met: BTreeSet::new(), bytes: 0 };
    inlining.expand(root, 0).map(|json| json.to_string())
}

/// Refuses a schema whose types contain each other so often, or so deeply, that walking it takes for ever: forty records,
/// each of which contains the one before twice, are a trillion. Parsers walk it without such a bound.
///
/// # Errors
/// Its types nest too deeply, or too often.
pub(crate) fn check_size(schema: &Json) -> Result<(), SchemaError> {
    let mut definitions = BTreeMap::new();
    let root = flatten(schema.clone(), "", 0, &mut definitions)?;
    let mut measuring = Measuring { definitions: &definitions, known: BTreeMap::new() };
    match measuring.values_in(&root, 0)? {
        0..=MAX_VALUES => Ok(()),
        _ => Err(invalid("its types contain each other too often")),
    }
}

/// The most types that a schema may have, each counted as often as it is contained: ours have a hundred.
const MAX_VALUES: u64 = 100_000;
/// Longest chain of types that contain each other. Each level is a few frames of the stack, here and in the parser.
const MAX_CHAIN: usize = 200;

struct Measuring<'d> {
    definitions: &'d BTreeMap<String, Json>,
    /// What a name stands for in all; none while it is being measured, for types that contain themselves.
    known: BTreeMap<String, Option<u64>>,
}

impl Measuring<'_> {
    fn values_in(&mut self, schema: &Json, depth: usize) -> Result<u64, SchemaError> {
        if depth > MAX_CHAIN {
            return Err(invalid("its types contain each other too deeply"));
        }
        match schema {
            Json::String(name) => self.values_in_named(name, depth),
            Json::Array(branches) => self.sum(branches.iter(), depth),
            Json::Object(object) => {
                let fields = object.get("fields").and_then(Json::as_array).into_iter().flatten();
                let inner = ["type", "items", "values"].iter().filter_map(|key| object.get(*key));
                let types = fields.filter_map(|field| field.get("type")).chain(inner);
                self.sum(types, depth)
            }
            _ => Ok(1),
        }
    }

    fn sum<'j>(&mut self, types: impl Iterator<Item = &'j Json>, depth: usize) -> Result<u64, SchemaError> {
        let mut values: u64 = 1;
        for ty in types {
            values = values.saturating_add(self.values_in(ty, depth + 1)?);
        }
        Ok(values)
    }

    fn values_in_named(&mut self, name: &str, depth: usize) -> Result<u64, SchemaError> {
        let Some(definition) = self.definitions.get(name) else { return Ok(1) };
        if let Some(known) = self.known.get(name) {
            return Ok(known.unwrap_or(1));
        }
        self.known.insert(name.to_owned(), None);
        let values = self.values_in(definition, depth + 1)?;
        self.known.insert(name.to_owned(), Some(values));
        Ok(values)
    }
}

fn invalid(detail: &str) -> SchemaError {
    SchemaError::Invalid { name: "of a registry".to_owned(), detail: detail.to_owned() }
}

/// Takes every named type out of a schema and leaves its full name. Namespaces are inherited as Avro says.
fn flatten(
    schema: Json,
    namespace: &str,
    depth: usize,
    definitions: &mut BTreeMap<String, Json>,
) -> Result<Json, SchemaError> {
    if depth > MAX_DEPTH {
        return Err(invalid("it nests too deeply"));
    }
    match schema {
        Json::String(name) => Ok(Json::String(qualify(&name, namespace))),
        Json::Array(branches) => {
            let branches = branches.into_iter().map(|branch| flatten(branch, namespace, depth + 1, definitions));
            Ok(Json::Array(branches.collect::<Result<_, _>>()?))
        }
        Json::Object(object) => flatten_object(object, namespace, depth, definitions),
        other => Ok(other),
    }
}

fn flatten_object(
    mut object: Map<String, Json>,
    namespace: &str,
    depth: usize,
    definitions: &mut BTreeMap<String, Json>,
) -> Result<Json, SchemaError> {
    let is_named = matches!(object.get("type").and_then(Json::as_str), Some("record" | "error" | "enum" | "fixed"));
    let full = is_named.then(|| {
        let name = object.get("name").and_then(Json::as_str).unwrap_or_default();
        let own = object.get("namespace").and_then(Json::as_str).unwrap_or(namespace);
        if name.contains('.') || own.is_empty() { name.to_owned() } else { format!("{own}.{name}") }
    });
    let inner = match &full {
        Some(full) => full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned(),
        None => namespace.to_owned(),
    };
    for key in ["items", "values"] {
        if let Some(ty) = object.remove(key) {
            object.insert(key.to_owned(), flatten(ty, &inner, depth + 1, definitions)?);
        }
    }
    if let Some(Json::Array(fields)) = object.get_mut("fields") {
        for field in fields {
            if let Some(ty) = field.get_mut("type") {
                *ty = flatten(ty.take(), &inner, depth + 1, definitions)?;
            }
        }
    }
    let Some(full) = full else {
        if let Some(ty) = object.remove("type") {
            object.insert("type".to_owned(), flatten(ty, &inner, depth + 1, definitions)?);
        }
        return Ok(Json::Object(object));
    };
    object.remove("namespace");
    object.insert("name".to_owned(), full.clone().into());
    // A type without a namespace must not inherit the one of where it is put.
    if !full.contains('.') {
        object.insert("namespace".to_owned(), "".into());
    }
    definitions.entry(full.clone()).or_insert(Json::Object(object));
    Ok(Json::String(full))
}

fn qualify(name: &str, namespace: &str) -> String {
    let is_whole = name.contains('.') || namespace.is_empty() || is_built_in(name);
    if is_whole { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn is_built_in(name: &str) -> bool {
    matches!(
        name,
        "null"
            | "boolean"
            | "int"
            | "long"
            | "float"
            | "double"
            | "bytes"
            | "string"
            | "array"
            | "map"
            | "record"
            | "error"
            | "enum"
            | "fixed"
    )
}

struct Inlining<'d> {
    definitions: &'d BTreeMap<String, Json>,
    met: BTreeSet<String>,
    bytes: usize,
}

impl Inlining<'_> {
    /// Puts each definition where its name is first met, in the order of the text: Avro wants it before any other use.
    fn expand(&mut self, schema: Json, depth: usize) -> Result<Json, SchemaError> {
        if depth > MAX_DEPTH {
            return Err(invalid("what it refers to nests too deeply"));
        }
        match schema {
            Json::String(name) => match self.definition(&name) {
                Some((name, definition)) => {
                    self.bytes += definition.to_string().len();
                    if self.bytes > MAX_BYTES {
                        return Err(invalid("with all that it refers to it has more than 1 MiB"));
                    }
                    self.met.insert(name);
                    self.expand_object(definition, depth + 1)
                }
                None => Ok(Json::String(name)),
            },
            Json::Array(branches) => {
                let branches = branches.into_iter().map(|branch| self.expand(branch, depth + 1));
                Ok(Json::Array(branches.collect::<Result<_, _>>()?))
            }
            object => self.expand_object(object, depth),
        }
    }

    fn expand_object(&mut self, mut schema: Json, depth: usize) -> Result<Json, SchemaError> {
        let Some(object) = schema.as_object_mut() else { return Ok(schema) };
        for key in ["type", "items", "values"] {
            if let Some(ty) = object.get_mut(key) {
                *ty = self.expand(ty.take(), depth + 1)?;
            }
        }
        for field in object.get_mut("fields").and_then(Json::as_array_mut).into_iter().flatten() {
            if let Some(ty) = field.get_mut("type") {
                *ty = self.expand(ty.take(), depth + 1)?;
            }
        }
        Ok(schema)
    }

    /// The definition of a name that was not met yet. A name without dots may also be one of no namespace.
    fn definition(&self, name: &str) -> Option<(String, Json)> {
        if self.met.contains(name) {
            return None;
        }
        self.definitions.get(name).map(|definition| (name.to_owned(), definition.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::EventKind;

    /// An event's schema without its `Meta`, and that.
    fn split(kind: EventKind) -> (Json, Json) {
        let mut schema: Json = serde_json::from_str(crate::embedded().unwrap().text(kind)).unwrap();
        let meta = schema["fields"][0]["type"].take();
        schema["fields"][0]["type"] = "Meta".into();
        (schema, meta)
    }

    /// A2: what is put together is the schema that it was.
    #[test]
    fn every_schema_split_from_its_meta_is_put_together_again() {
        for kind in EventKind::ALL {
            let (schema, meta) = split(*kind);
            let whole = inline_references(&schema.to_string(), &[meta.to_string()]).unwrap();
            let ours = crate::embedded().unwrap().text(*kind);
            assert_eq!(crate::resolve::identity(&whole), crate::resolve::identity(ours), "{kind}: {whole}");
            assert_eq!(crate::resolve::identity(&schema.to_string()), None, "{kind} cannot be read without it");
        }
    }

    #[test]
    fn definitions_are_found_through_others_and_put_before_their_first_use() {
        let root = r#"{"type":"record","name":"a.R","fields":[
            {"name":"x","type":["null","b.S"]},{"name":"y","type":{"type":"array","items":"b.T"}},{"name":"z","type":"b.S"}]}"#;
        let s = r#"{"type":"record","name":"S","namespace":"b","fields":[{"name":"t","type":"T"},{"name":"n","type":"Bare"}]}"#;
        let t = r#"{"type":"enum","name":"T","namespace":"b","symbols":["A"]}"#;
        let bare = r#"{"type":"fixed","name":"b.Bare","size":2}"#;
        for order in [[s, t, bare], [bare, t, s]] {
            let whole = inline_references(root, &order).unwrap();
            assert!(crate::resolve::identity(&whole).is_some(), "{whole}");
            assert_eq!(whole.matches("symbols").count(), 1, "{whole}");
        }
    }

    #[test]
    fn types_of_one_name_in_two_namespaces_stay_apart() {
        let root = r#"{"type":"record","name":"R","namespace":"a","fields":[
            {"name":"x","type":"Meta"},{"name":"y","type":"b.Meta"}]}"#;
        let ours = r#"{"type":"fixed","name":"Meta","namespace":"a","size":1}"#;
        let other = r#"{"type":"fixed","name":"Meta","namespace":"b","size":2}"#;
        let whole = inline_references(root, &[other, ours]).unwrap();
        let json: Json = serde_json::from_str(&whole).unwrap();
        assert_eq!((&json["fields"][0]["type"]["size"], &json["fields"][1]["type"]["size"]), (&1.into(), &2.into()));
    }

    /// I8: types that refer to each other end, and what grows is refused.
    #[test]
    fn circles_end_and_nesting_is_bounded() {
        let a = r#"{"type":"record","name":"A","fields":[{"name":"b","type":["null","B"]}]}"#;
        let b = r#"{"type":"record","name":"B","fields":[{"name":"a","type":["null","A"]}]}"#;
        assert!(crate::resolve::identity(&inline_references(a, &[b]).unwrap()).is_some());
        let deep: Vec<String> = (0..200)
            .map(|n| format!(r#"{{"type":"record","name":"N{n}","fields":[{{"name":"f","type":"N{}"}}]}}"#, n + 1))
            .collect();
        assert!(inline_references(&deep[0], &deep[1..]).is_err());
        assert!(inline_references("{", &[b]).is_err());
        let unknown = inline_references(a, &[] as &[&str]).unwrap();
        assert!(unknown.contains("\"B\""), "{unknown}");
    }

    /// I8: a schema of a few lines cannot keep a worker busy for ever, nor end its stack.
    #[test]
    fn types_that_contain_each_other_too_often_or_too_deeply_are_refused() {
        let record = |name: String, inner: &Json, again: Json| {
            serde_json::json!({"type": "record", "name": name, "fields": [
                {"name": "a", "type": inner}, {"name": "b", "type": again}]})
        };
        let nested = |levels: usize, twice: bool| {
            (0..levels).fold(serde_json::json!("int"), |inner, level| {
                let again = if level > 0 && twice { format!("N{}", level - 1) } else { "int".to_owned() };
                record(format!("N{level}"), &inner, again.into())
            })
        };
        assert!(check_size(&nested(10, true)).is_ok());
        assert!(check_size(&nested(24, true)).unwrap_err().to_string().contains("too often"));
        assert!(check_size(&nested(24, false)).is_ok());
        assert!(check_size(&nested(120, false)).unwrap_err().to_string().contains("too deeply"));
        let chain: Vec<Json> =
            (0..5_000).map(|n| record(format!("N{n}"), &format!("N{}", n + 1).into(), "int".into())).collect();
        assert!(check_size(&Json::Array(chain)).unwrap_err().to_string().contains("too deeply"));
        let itself = record(
            "N".to_owned(),
            &serde_json::json!(["null", "N"]),
            serde_json::json!({"type": "array", "items": "N"}),
        );
        assert!(check_size(&itself).is_ok());
        for kind in EventKind::ALL {
            assert!(check_size(&serde_json::from_str(crate::embedded().unwrap().text(*kind)).unwrap()).is_ok());
        }
    }
}
