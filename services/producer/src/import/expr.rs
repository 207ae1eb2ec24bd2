//! Expressions: how the value of a field comes from a row.

use super::time::TimeFormat;
use crate::text;
use serde_json::{Map, Number, Value};

/// A column of the input, by its place in [`super::Mapping`]'s list of used columns.
pub type ColumnIx = usize;

/// What a row holds in a column.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'r> {
    /// Text, of a CSV file.
    Text(&'r str),
    /// A value, of a JSONL file.
    Json(&'r Value),
}

/// The cells of a row that expressions see.
pub trait Cells {
    /// The cell of a used column; none where the row has no such column.
    fn cell(&self, column: ColumnIx) -> Option<Cell<'_>>;
}

/// Why an expression has no value for a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The column at fault, if it is one.
    pub column: Option<ColumnIx>,
    /// The reason.
    pub reason: String,
}

/// One piece of a template.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Text as it stands.
    Text(String),
    /// A column of the row.
    Column(ColumnIx),
    /// The new value of `first_of`.
    Value,
}

/// Where the value comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The same for every row.
    Constant(Value),
    /// Text and columns, in order; a single column gives its value as it is.
    Template(Vec<Piece>),
    /// A list of expressions; those without a value are left out.
    List(Vec<Expr>),
    /// An object of expressions; those without a value are left out.
    Object(Vec<(String, Expr)>),
}

/// What is done with the value.
#[derive(Clone, Debug)]
pub enum Step {
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`, also yes/no, y/n, t/f, 1/0.
    Bool,
    /// Text, where a JSONL file has a number or another value.
    Text,
    /// A time, to microseconds since 1970.
    Time(TimeFormat),
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// Without white space at the ends.
    Trim,
    /// A list, cut at this separator; parts are trimmed, empty ones left out.
    Split(String),
    /// JSON written in text.
    Json,
    /// See [`text::content_hash`].
    Blake3,
    /// See [`text::signature`].
    Signature,
}

/// An expression of a mapping.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Its line in the mapping.
    pub line: usize,
    /// Where the value comes from.
    pub origin: Origin,
    /// What is done with it, in order.
    pub steps: Vec<Step>,
    /// Whether an empty or missing column leaves the field out instead of rejecting the row.
    pub optional: bool,
    /// What stands in for an empty or missing column.
    pub default: Option<Value>,
}

impl Expr {
    /// The value for a row; `value` is what `first_of` found.
    ///
    /// # Errors
    /// Names the column and says why the row has no such value.
    pub fn eval<R: Cells>(&self, row: &R, value: Option<&str>) -> Result<Option<Value>, Bad> {
        let start = match &self.origin {
            Origin::Constant(constant) => Some(constant.clone()),
            Origin::Template(pieces) => match template(pieces, row, value) {
                Ok(value) => Some(value),
                Err(_) if self.default.is_some() => return Ok(self.default.clone()),
                Err(_) if self.optional => None,
                Err(bad) => return Err(bad),
            },
            Origin::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.extend(item.eval(row, value)?);
                }
                Some(Value::Array(list))
            }
            Origin::Object(entries) => {
                let mut object = Map::new();
                for (name, entry) in entries {
                    if let Some(value) = entry.eval(row, value)? {
                        object.insert(name.clone(), value);
                    }
                }
                Some(Value::Object(object))
            }
        };
        let Some(mut result) = start else { return Ok(None) };
        for step in &self.steps {
            result = step.apply(result).map_err(|reason| Bad { column: self.column(), reason })?;
        }
        Ok(Some(result))
    }

    /// The first column that the expression reads.
    #[must_use]
    pub fn column(&self) -> Option<ColumnIx> {
        match &self.origin {
            Origin::Constant(_) => None,
            Origin::Template(pieces) => pieces.iter().find_map(|piece| match piece {
                Piece::Column(column) => Some(*column),
                Piece::Text(_) | Piece::Value => None,
            }),
            Origin::List(items) => items.iter().find_map(Self::column),
            Origin::Object(entries) => entries.iter().find_map(|(_, entry)| entry.column()),
        }
    }
}

fn template<R: Cells>(pieces: &[Piece], row: &R, value: Option<&str>) -> Result<Value, Bad> {
    if let [Piece::Column(column)] = pieces {
        return match filled(row, *column)? {
            Cell::Text(text) => Ok(Value::from(text)),
            Cell::Json(json) => Ok(json.clone()),
        };
    }
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Value => out.push_str(value.unwrap_or_default()),
            Piece::Column(column) => match filled(row, *column)? {
                Cell::Text(text) => out.push_str(text),
                Cell::Json(Value::String(text)) => out.push_str(text),
                Cell::Json(other) => out.push_str(&other.to_string()),
            },
        }
    }
    Ok(Value::String(out))
}

fn filled<R: Cells>(row: &R, column: ColumnIx) -> Result<Cell<'_>, Bad> {
    let bad = |reason: &str| Err(Bad { column: Some(column), reason: reason.to_owned() });
    match row.cell(column) {
        None => bad("is missing (say `optional = true` where that may be)"),
        Some(cell) if cell.is_empty() => bad("is empty (say `optional = true` where that may be)"),
        Some(cell) => Ok(cell),
    }
}

impl Cell<'_> {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Cell::Text(text) => text.is_empty(),
            Cell::Json(Value::Null) => true,
            Cell::Json(Value::String(text)) => text.is_empty(),
            Cell::Json(_) => false,
        }
    }

    /// The text of it: of a JSON string its content, of any other JSON value its JSON.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Cell::Text(text) => (*text).into(),
            Cell::Json(Value::String(text)) => text.as_str().into(),
            Cell::Json(other) => other.to_string().into(),
        }
    }
}

impl Step {
    fn apply(&self, value: Value) -> Result<Value, String> {
        let text = match value {
            Value::String(text) => text,
            Value::Number(_) if matches!(self, Step::Float) => return Ok(value),
            Value::Bool(_) if matches!(self, Step::Bool) => return Ok(value),
            other => other.to_string(),
        };
        Ok(match self {
            Step::Int => int(&text)?.into(),
            Step::Float => float(&text)?.into(),
            Step::Bool => boolean(&text)?.into(),
            Step::Text => text.into(),
            Step::Time(format) => format.parse(&text)?.into(),
            Step::Lower => text.to_lowercase().into(),
            Step::Upper => text.to_uppercase().into(),
            Step::Trim => text.trim().into(),
            Step::Split(separator) => {
                text.split(separator.as_str()).map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect()
            }
            Step::Json => {
                serde_json::from_str(&text).map_err(|error| format!("{} is no JSON: {error}", shown(&text)))?
            }
            Step::Blake3 => text::content_hash(&text).into(),
            Step::Signature => text::signature(&text).into(),
        })
    }
}

fn int(text: &str) -> Result<i64, String> {
    let refused = || format!("{} is no whole number", shown(text));
    let trimmed = text.trim();
    if let Ok(whole) = trimmed.parse() {
        return Ok(whole);
    }
    // "3.0" is whole, as spreadsheets and data frames write it.
    match trimmed.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => Ok(number as i64),
        _ => Err(refused()),
    }
}

fn float(text: &str) -> Result<Number, String> {
    let refused = || format!("{} is no finite number", shown(text));
    text.trim().parse::<f64>().ok().and_then(Number::from_f64).ok_or_else(refused)
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "t" | "1" => Ok(true),
        "false" | "no" | "n" | "f" | "0" => Ok(false),
        _ => Err(format!("{} is neither true nor false", shown(text))),
    }
}

/// Text for a message: quoted, and cut where it is long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("`{}...`", &text[..at]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
#[path = "expr_tests.rs"]
mod tests;
