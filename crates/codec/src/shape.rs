//! The shape of a schema: what lies where in a datum, for [`crate::positional`].

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// A schema, reduced to what a decoder must know. Names are left out where nothing depends on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    Bytes,
    Record { names: Box<[Box<str>]>, fields: Box<[Shape]> },
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Box<[Shape]>),
}

impl Shape {
    /// The shape of a schema; none where it is made of something that our events do not use (enums, fixed, recursion).
    pub(crate) fn of(text: &str) -> Option<Self> {
        Self::parse(&serde_json::from_str(text).ok()?, &mut BTreeMap::new())
    }

    /// `named` holds the records met so far, by their short names: all of ours are in one namespace.
    fn parse<'j>(schema: &'j Json, named: &mut BTreeMap<&'j str, Self>) -> Option<Self> {
        match schema {
            Json::String(name) => Self::primitive(name).or_else(|| named.get(short(name)).cloned()),
            Json::Array(branches) => {
                let branches = branches.iter().map(|branch| Self::parse(branch, named));
                Some(Shape::Union(branches.collect::<Option<_>>()?))
            }
            Json::Object(object) => match object.get("type")? {
                Json::String(ty) if ty == "record" => {
                    let (mut names, mut fields) = (Vec::new(), Vec::new());
                    for field in object.get("fields")?.as_array()? {
                        names.push(field.get("name")?.as_str()?.into());
                        fields.push(Self::parse(field.get("type")?, named)?);
                    }
                    let record = Shape::Record { names: names.into(), fields: fields.into() };
                    named.insert(short(object.get("name")?.as_str()?), record.clone());
                    Some(record)
                }
                Json::String(ty) if ty == "array" => {
                    Some(Shape::Array(Box::new(Self::parse(object.get("items")?, named)?)))
                }
                Json::String(ty) if ty == "map" => {
                    Some(Shape::Map(Box::new(Self::parse(object.get("values")?, named)?)))
                }
                // A logical type lies as the type that it stands on.
                ty => Self::parse(ty, named),
            },
            _ => None,
        }
    }

    fn primitive(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Shape::Null,
            "boolean" => Shape::Boolean,
            "int" => Shape::Int,
            "long" => Shape::Long,
            "float" => Shape::Float,
            "double" => Shape::Double,
            "string" => Shape::Text,
            "bytes" => Shape::Bytes,
            _ => return None,
        })
    }
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
