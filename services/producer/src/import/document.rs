//! A TOML document that knows its lines, and tables that notice keys nobody asked for.

use super::error::MappingError;
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text of a document, to turn places into lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'t>(pub(super) &'t str);

impl Lines<'_> {
    pub(super) fn at(&self, offset: usize) -> usize {
        self.0.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }
}

/// A mistake at a line.
pub(super) fn wrong<T>(line: usize, reason: impl Into<String>) -> Result<T, MappingError> {
    Err(MappingError { line, reason: reason.into() })
}

/// A value with its line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'d> {
    pub(super) line: usize,
    pub(super) value: &'d DeValue<'d>,
    lines: Lines<'d>,
}

impl<'d> Node<'d> {
    fn new(lines: Lines<'d>, value: &'d Spanned<DeValue<'d>>) -> Self {
        Self { line: lines.at(value.span().start), value: value.get_ref(), lines }
    }

    /// The text, or a mistake that says what `what` must be.
    pub(super) fn text(&self, what: &str) -> Result<&'d str, MappingError> {
        match self.value {
            DeValue::String(text) => Ok(text),
            other => wrong(self.line, format!("`{what}` must be a string, not {}", other.type_str())),
        }
    }

    pub(super) fn boolean(&self, what: &str) -> Result<bool, MappingError> {
        match self.value {
            DeValue::Boolean(value) => Ok(*value),
            other => wrong(self.line, format!("`{what}` must be true or false, not {}", other.type_str())),
        }
    }

    /// A list of texts; a single text counts as a list of one.
    pub(super) fn texts(&self, what: &str) -> Result<Vec<(usize, &'d str)>, MappingError> {
        match self.value {
            DeValue::Array(_) => self.items().map(|item| Ok((item.line, item.text(what)?))).collect(),
            _ => Ok(vec![(self.line, self.text(what)?)]),
        }
    }

    /// The items, if it is an array.
    pub(super) fn items(&self) -> impl Iterator<Item = Node<'d>> + use<'d> {
        let lines = self.lines;
        let items = match self.value {
            DeValue::Array(items) => Some(items),
            _ => None,
        };
        items.into_iter().flat_map(|items| items.iter()).map(move |item| Node::new(lines, item))
    }

    pub(super) fn table(&self, what: &'d str) -> Result<Table<'d>, MappingError> {
        match self.value {
            DeValue::Table(table) => {
                Ok(Table { line: self.line, what, table, lines: self.lines, used: RefCell::default() })
            }
            other => wrong(self.line, format!("`{what}` must be a table, not {}", other.type_str())),
        }
    }

    /// The value as JSON, for a constant.
    pub(super) fn json(&self) -> Result<Value, MappingError> {
        Ok(match self.value {
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(value) => Value::from(*value),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::from(number),
                Err(_) => return wrong(self.line, format!("`{number}` is out of range")),
            },
            DeValue::Float(number) => match number.as_str().parse().ok().and_then(Number::from_f64) {
                Some(number) => Value::Number(number),
                None => return wrong(self.line, format!("`{}` is no finite number", number.as_str())),
            },
            DeValue::Datetime(_) => {
                return wrong(self.line, "write a time as text: { constant = \"...\", time = \"rfc3339\" }");
            }
            DeValue::Array(_) => self.items().map(|item| item.json()).collect::<Result<Vec<_>, _>>()?.into(),
            DeValue::Table(_) => {
                let entries = self.table("constant")?.entries();
                let entries = entries.into_iter().map(|(name, node)| Ok((name.to_owned(), node.json()?)));
                Value::Object(entries.collect::<Result<Map<_, _>, MappingError>>()?)
            }
        })
    }
}

/// A table whose keys are taken one by one.
#[derive(Debug)]
pub(super) struct Table<'d> {
    pub(super) line: usize,
    what: &'d str,
    table: &'d DeTable<'d>,
    lines: Lines<'d>,
    used: RefCell<Vec<&'static str>>,
}

impl<'d> Table<'d> {
    pub(super) fn root(lines: Lines<'d>, table: &'d DeTable<'d>) -> Self {
        Self { line: 1, what: "the mapping", table, lines, used: RefCell::default() }
    }

    /// Whether the table has that key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value under a key.
    pub(super) fn take(&self, key: &'static str) -> Option<Node<'d>> {
        self.used.borrow_mut().push(key);
        self.table.get(key).map(|value| Node::new(self.lines, value))
    }

    /// All entries, in order of their names.
    pub(super) fn entries(&self) -> Vec<(&'d str, Node<'d>)> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), Node::new(self.lines, value))).collect()
    }

    /// Refuses keys that were never taken.
    pub(super) fn finish(self) -> Result<(), MappingError> {
        let used = self.used.borrow();
        match self.table.iter().find(|(key, _)| !used.contains(&key.get_ref().as_ref())) {
            None => Ok(()),
            Some((key, _)) => wrong(
                self.lines.at(key.span().start),
                format!("`{}` is unknown in {}: it takes {}", key.get_ref(), self.what, used.join(", ")),
            ),
        }
    }
}
