//! Schemas as graphs of types, with their logical types.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_avro_fast::schema::{LogicalType, RegularType, SchemaKey, SchemaMut, SchemaNode};
use serde_json::{Map, Value as Json};

pub(super) type TypeKey = SchemaKey;

/// A parsed schema: its types, by key.
#[derive(Debug)]
pub(crate) struct SchemaTree(SchemaMut);

impl SchemaTree {
    /// Parses a schema.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        plain_text(text)?.parse().map(Self).map_err(|error: serde_avro_fast::schema::SchemaError| error.to_string())
    }

    pub(super) fn root(&self) -> TypeKey {
        SchemaKey::root()
    }

    pub(super) fn node(&self, key: TypeKey) -> &SchemaNode {
        &self.0[key]
    }

    /// A hash of what decides how bytes are read and what they mean: names, types, logical types. Docs, defaults and
    /// attributes of others do not count. Good within this process only.
    pub(super) fn identity(&self) -> u64 {
        let mut form = String::new();
        self.write_form(self.root(), &mut HashSet::new(), &mut form);
        let mut hasher = DefaultHasher::new();
        form.hash(&mut hasher);
        hasher.finish()
    }

    fn write_form(&self, key: TypeKey, named: &mut HashSet<String>, form: &mut String) {
        let node = self.node(key);
        form.push_str(&self.describe(key));
        if let Some(name) = node.type_.name() {
            let full = name.fully_qualified_name().to_owned();
            let _ = write!(form, "={full}");
            if !named.insert(full) {
                return;
            }
        }
        let mut inner = |key: TypeKey, label: &str| {
            let _ = write!(form, "({label}:");
            self.write_form(key, named, form);
            form.push(')');
        };
        match &node.type_ {
            RegularType::Array(array) => inner(array.items, "items"),
            RegularType::Map(map) => inner(map.values, "values"),
            RegularType::Union(union) => union.variants.iter().for_each(|branch| inner(*branch, "branch")),
            RegularType::Record(record) => record.fields.iter().for_each(|field| inner(field.type_, &field.name)),
            RegularType::Enum(symbols) => form.push_str(&symbols.symbols.join(",")),
            _ => {}
        }
    }

    /// A type in words: its kind, its name, its logical type.
    pub(super) fn describe(&self, key: TypeKey) -> String {
        let node = self.node(key);
        let words = match &node.type_ {
            RegularType::Null => "null".to_owned(),
            RegularType::Boolean => "boolean".to_owned(),
            RegularType::Int => "int".to_owned(),
            RegularType::Long => "long".to_owned(),
            RegularType::Float => "float".to_owned(),
            RegularType::Double => "double".to_owned(),
            RegularType::Bytes => "bytes".to_owned(),
            RegularType::String => "string".to_owned(),
            RegularType::Array(_) => "array".to_owned(),
            RegularType::Map(_) => "map".to_owned(),
            RegularType::Union(union) => {
                let branches = union.variants.iter().map(|branch| self.describe(*branch));
                format!("[{}]", branches.collect::<Vec<_>>().join(", "))
            }
            RegularType::Record(record) => format!("record {}", record.name.name()),
            RegularType::Enum(symbols) => format!("enum {}", symbols.name.name()),
            RegularType::Fixed(fixed) => format!("fixed({})", fixed.size),
        };
        match &node.logical_type {
            None => words,
            Some(LogicalType::Decimal(decimal)) => {
                format!("{words} decimal({}, {})", decimal.precision, decimal.scale)
            }
            Some(logical) => format!("{words} {}", logical.as_str()),
        }
    }
}

/// This build's schema of an event.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(super) tree: SchemaTree,
    /// The fields that a writer may lack: record's name and field's.
    defaults: HashSet<(String, String)>,
}

impl Reader {
    /// Parses it.
    ///
    /// # Errors
    /// Never in a build whose tests have passed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut defaults = HashSet::new();
        collect_defaults(&json, &mut defaults);
        Ok(Self { tree: SchemaTree::parse(text)?, defaults })
    }

    pub(super) fn has_default(&self, record: &str, field: &str) -> bool {
        self.defaults.contains(&(record.to_owned(), field.to_owned()))
    }
}

fn collect_defaults(schema: &Json, defaults: &mut HashSet<(String, String)>) {
    match schema {
        Json::Array(items) => items.iter().for_each(|item| collect_defaults(item, defaults)),
        Json::Object(object) => {
            let record = object.get("name").and_then(Json::as_str).unwrap_or_default();
            for field in object.get("fields").and_then(Json::as_array).into_iter().flatten() {
                if let (Some(name), Some(_)) = (field.get("name").and_then(Json::as_str), field.get("default")) {
                    defaults.insert((record.to_owned(), name.to_owned()));
                }
            }
            for key in ["fields", "type", "items", "values"] {
                if let Some(inner) = object.get(key) {
                    collect_defaults(inner, defaults);
                }
            }
        }
        _ => {}
    }
}

/// The text of a schema, as [`plain`] makes it.
///
/// # Errors
/// It is no JSON, or its types contain each other without end.
pub(crate) fn plain_text(text: &str) -> Result<String, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let plain = plain(json);
    crate::references::check_size(&plain).map_err(|error| error.to_string())?;
    Ok(plain.to_string())
}

/// A schema in the form that every library reads, with its logical types where they are looked for.
///
/// - `{"name": "at", "type": "long", "logicalType": "timestamp-millis"}`: written beside the type of the field rather than
///   within it, where most libraries pass over it. It says what the unit is, so it is heard.
/// - `{"type": {"type": "long"}}` is the inner type, and `error` another word for `record`.
/// - `adjust-to-utc: false` makes a timestamp a local one.
fn plain(schema: Json) -> Json {
    match schema {
        Json::Array(items) => items.into_iter().map(plain).collect(),
        Json::Object(object) => plain_object(object),
        leaf => leaf,
    }
}

fn plain_object(mut object: Map<String, Json>) -> Json {
    let is_field = object.contains_key("name") && !object.get("type").is_some_and(is_named_kind);
    if let Some(ty) = object.remove("type") {
        let ty = plain(ty);
        if is_field {
            let logical = object.get("logicalType").cloned();
            let ty = if let Some(logical) = logical { with_logical(ty, &logical, &object) } else { ty };
            object.insert("type".to_owned(), ty);
            return Json::Object(object);
        }
        if ty.is_object() || ty.is_array() {
            return match object.get("logicalType") {
                Some(logical) => with_logical(ty, logical, &object),
                None => ty,
            };
        }
        let ty = if ty == "error" { "record".into() } else { ty };
        object.insert("type".to_owned(), ty);
    }
    for key in ["fields", "items", "values"] {
        if let Some(inner) = object.remove(key) {
            object.insert(key.to_owned(), plain(inner));
        }
    }
    localise(&mut object);
    Json::Object(object)
}

fn is_named_kind(ty: &Json) -> bool {
    matches!(ty.as_str(), Some("record" | "error" | "enum" | "fixed"))
}

/// The type under a logical type that was written beside it; of a union its one branch that is not null.
fn with_logical(ty: Json, logical: &Json, from: &Map<String, Json>) -> Json {
    match ty {
        Json::Array(branches) => {
            let others = branches.iter().filter(|branch| branch.as_str() != Some("null")).count();
            let put = |branch: Json| {
                let is_other = branch.as_str() != Some("null");
                if is_other && others == 1 { with_logical(branch, logical, from) } else { branch }
            };
            branches.into_iter().map(put).collect()
        }
        Json::Object(object) if object.contains_key("logicalType") => Json::Object(object),
        Json::Object(mut object) => {
            copy_logical(logical, from, &mut object);
            Json::Object(object)
        }
        name => {
            let mut object = Map::new();
            // A name of a type defined elsewhere cannot take attributes.
            if !name.as_str().is_some_and(is_primitive) {
                return name;
            }
            object.insert("type".to_owned(), name);
            copy_logical(logical, from, &mut object);
            Json::Object(object)
        }
    }
}

fn is_primitive(name: &str) -> bool {
    matches!(name, "int" | "long" | "float" | "double" | "bytes" | "string" | "boolean")
}

fn copy_logical(logical: &Json, from: &Map<String, Json>, to: &mut Map<String, Json>) {
    to.insert("logicalType".to_owned(), logical.clone());
    for key in ["precision", "scale", "adjust-to-utc"] {
        if let Some(value) = from.get(key) {
            to.insert(key.to_owned(), value.clone());
        }
    }
    localise(to);
}

fn localise(object: &mut Map<String, Json>) {
    let is_local = object.get("adjust-to-utc").and_then(Json::as_bool) == Some(false);
    let logical = object.get("logicalType").and_then(Json::as_str).unwrap_or_default();
    if is_local && logical.starts_with("timestamp-") {
        let local = format!("local-{logical}");
        object.insert("logicalType".to_owned(), local.into());
    }
}
