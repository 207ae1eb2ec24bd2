//! Schemas as JSON: their fields, their named types, their defaults.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::Finding;

pub(super) type Types<'s> = HashMap<&'s str, &'s Json>;

/// Fields whose default is not of their type.
pub(super) fn defaults(schema: &Json) -> Vec<Finding> {
    let types = named_types(schema);
    let mut findings = Vec::new();
    for_each_field(schema, "", &mut |path, field| {
        if let (Some(default), Some(of)) = (field.get("default"), field.get("type"))
            && !fits(default, of, &types)
        {
            findings.push(Finding {
                field: path.to_owned(),
                problem: format!("its default {default} is not of its type {}", describe(of, &types)),
                remedy: "give a default of the type (of a union: of its first type)".to_owned(),
            });
        }
    });
    findings
}

/// Calls `each` with path and definition of every field, depth first.
pub(super) fn for_each_field(schema: &Json, path: &str, each: &mut dyn FnMut(&str, &Map<String, Json>)) {
    match schema {
        Json::Array(variants) => variants.iter().for_each(|variant| for_each_field(variant, path, each)),
        Json::Object(object) => {
            for field in object.get("fields").and_then(Json::as_array).into_iter().flatten() {
                if let Some(field) = field.as_object()
                    && let Some(name) = text(field, "name")
                {
                    let path = join(path, name);
                    each(&path, field);
                    if let Some(of) = field.get("type") {
                        for_each_field(of, &path, each);
                    }
                }
            }
            for inner in ["items", "values", "type"].iter().filter_map(|key| object.get(*key)) {
                if !inner.is_string() {
                    for_each_field(inner, path, each);
                }
            }
        }
        _ => {}
    }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

pub(super) fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

pub(super) fn text<'j>(object: &'j Map<String, Json>, key: &str) -> Option<&'j str> {
    object.get(key).and_then(Json::as_str)
}

pub(super) fn fields(record: &Map<String, Json>) -> Vec<(&str, &Map<String, Json>)> {
    let fields = record.get("fields").and_then(Json::as_array).into_iter().flatten();
    fields.filter_map(Json::as_object).filter_map(|field| Some((text(field, "name")?, field))).collect()
}

/// Every named type of a schema, by its short name: our files use each name once.
pub(super) fn named_types(schema: &Json) -> Types<'_> {
    fn collect<'s>(schema: &'s Json, types: &mut Types<'s>) {
        match schema {
            Json::Array(items) => items.iter().for_each(|item| collect(item, types)),
            Json::Object(object) => {
                if let (Some(name), "record" | "enum" | "fixed") = (text(object, "name"), kind(schema)) {
                    types.insert(short(name), schema);
                }
                for key in ["type", "items", "values", "fields"] {
                    if let Some(inner) = object.get(key) {
                        collect(inner, types);
                    }
                }
            }
            _ => {}
        }
    }
    let mut types = Types::new();
    collect(schema, &mut types);
    types
}

/// A reference to a named type, or `{"type": {...}}`, replaced by what it stands for.
pub(super) fn expand<'s>(schema: &'s Json, types: &Types<'s>) -> &'s Json {
    match schema {
        Json::String(name) => types.get(short(name)).copied().unwrap_or(schema),
        Json::Object(object) => match object.get("type") {
            Some(inner @ (Json::Object(_) | Json::Array(_))) => expand(inner, types),
            _ => schema,
        },
        _ => schema,
    }
}

pub(super) fn kind(schema: &Json) -> &str {
    match schema {
        Json::String(name) => name,
        Json::Object(object) => text(object, "type").unwrap_or_default(),
        _ => "union",
    }
}

/// A type in words: its kind, its logical type, its name and size.
pub(super) fn describe(schema: &Json, types: &Types<'_>) -> String {
    match expand(schema, types) {
        Json::Array(variants) => {
            let variants: Vec<_> = variants.iter().map(|variant| describe(variant, types)).collect();
            format!("[{}]", variants.join(", "))
        }
        Json::Object(object) => {
            let mut words = kind(expand(schema, types)).to_owned();
            for key in ["logicalType", "name", "size", "precision", "scale"] {
                if let Some(value) = object.get(key) {
                    words = format!("{words} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                }
            }
            words
        }
        other => kind(other).to_owned(),
    }
}

/// Whether a default is of a type; of a union's first type.
pub(super) fn fits(default: &Json, of: &Json, types: &Types<'_>) -> bool {
    let of = expand(of, types);
    if let Json::Array(variants) = of {
        return variants.first().is_some_and(|first| fits(default, first, types));
    }
    match kind(of) {
        "null" => default.is_null(),
        "boolean" => default.is_boolean(),
        "int" => default.as_i64().is_some_and(|int| i32::try_from(int).is_ok()),
        "long" => default.is_i64(),
        "float" | "double" => default.is_number(),
        "string" | "bytes" | "fixed" | "enum" => default.is_string(),
        "array" => default.is_array(),
        "map" | "record" => default.is_object(),
        _ => true,
    }
}
