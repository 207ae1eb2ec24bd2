//! The mapping: which events a row gives, and how their fields come from its columns.
//!
//! A TOML file, read in one walk that keeps the line of every key, so that a mistake is named where
//! it stands. Columns are interned: an expression knows a column by its place in
//! [`Mapping::columns`], and the reader of the input finds out once where each of them lies.

use super::document::{Lines, Node, Table, wrong};
use super::error::MappingError;
use super::expr::{ColumnIx, Expr, Origin};
use super::mapping_expr::Scope;
use domain::event::EventKind;
use serde_json::{Map, Value};
use toml::de::DeTable;

/// A file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Values between delimiters, quoted by `"`.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

/// How the input is read.
#[derive(Clone, Debug, Default)]
pub struct FileSpec {
    /// The format; from the name of the input where it is not given.
    pub format: Option<Format>,
    /// The delimiter; a comma, or a tab for `.tsv`, where it is not given.
    pub delimiter: Option<u8>,
    /// The columns' names, for a CSV file without a header.
    pub columns: Option<Vec<String>>,
}

/// A column that an expression reads.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name; for JSONL a dotted path reaches into nested objects.
    pub name: String,
    /// The first line of the mapping that names it.
    pub line: usize,
    /// Whether some expression cannot do without it.
    pub required: bool,
}

/// A condition for an event.
#[derive(Clone, Debug)]
pub struct When {
    /// The column looked at.
    pub column: ColumnIx,
    /// Its text must be one of these; where none is given, anything but empty.
    pub is: Vec<String>,
    /// Whether the condition is turned round.
    pub not: bool,
}

/// An event that a row may give.
#[derive(Clone, Debug)]
pub struct Output {
    /// The event.
    pub kind: EventKind,
    /// Its line in the mapping.
    pub line: usize,
    /// Names it: the event, and a hash of its own text, neither its condition nor its place.
    pub name: String,
    /// Its own text as JSON, without the condition.
    pub text: Value,
    /// Its condition as JSON; null where it has none.
    pub condition: Value,
    /// Only rows that meet this give the event.
    pub when: Option<When>,
    /// One event for each new value of these, instead of one a row.
    pub first_of: Vec<Expr>,
    /// When it happened.
    pub occurred_at: Expr,
    /// 0 to 100.
    pub love_resonance: Expr,
    /// The fields, `meta` aside.
    pub fields: Vec<(String, Expr)>,
}

/// A mapping.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// How the input is read.
    pub file: FileSpec,
    /// The tenant, where the mapping names one.
    pub tenant: Option<String>,
    /// The columns that the expressions read.
    pub columns: Vec<Column>,
    /// The events that a row may give.
    pub outputs: Vec<Output>,
    /// BLAKE3 of the text, hexadecimal.
    pub hash: String,
}

impl Mapping {
    /// Reads a mapping.
    ///
    /// # Errors
    /// Names the line, the key and what would be right.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let lines = Lines(text);
        let document = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| lines.at(span.start));
            MappingError { line, reason: error.message().to_owned() }
        })?;
        let root = Table::root(lines, document.get_ref());
        let tenant = root.take("tenant").map(|node| node.text("tenant").map(str::to_owned)).transpose()?;
        let mut scope = Scope::default();
        if let Some(zone) = root.take("time_zone") {
            scope.set_zone(zone)?;
        }
        let file = match root.take("file") {
            Some(node) => file_spec(&node)?,
            None => FileSpec::default(),
        };
        let occurred_at = root.take("occurred_at").map(|node| scope.expr(&node)).transpose()?;
        let events = root.take("event");
        root.finish()?;
        let Some(events) = events else { return wrong(1, "the mapping has no [[event]]: it would import nothing") };
        let outputs = events
            .items()
            .map(|node| output(&mut scope, &node, occurred_at.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if outputs.is_empty() {
            return wrong(
                events.line,
                "`event` must be written as [[event]], one block for each event that a row gives",
            );
        }
        Ok(Self {
            file,
            tenant,
            columns: scope.columns,
            outputs,
            hash: blake3::hash(text.as_bytes()).to_hex().to_string(),
        })
    }
}

fn file_spec(node: &Node<'_>) -> Result<FileSpec, MappingError> {
    let table = node.table("file")?;
    let format = match table.take("format") {
        None => None,
        Some(node) => match node.text("format")? {
            "csv" => Some(Format::Csv),
            "jsonl" => Some(Format::Jsonl),
            other => return wrong(node.line, format!("format `{other}` is unknown: use csv or jsonl")),
        },
    };
    let delimiter = match table.take("delimiter") {
        None => None,
        Some(node) => match node.text("delimiter")?.as_bytes() {
            [byte] => Some(*byte),
            _ => return wrong(node.line, "`delimiter` must be one ASCII character, such as \",\", \";\" or \"\\t\""),
        },
    };
    let header = table.take("header").map(|node| Ok((node.line, node.boolean("header")?))).transpose()?;
    let columns = match table.take("columns") {
        None => None,
        Some(node) => Some(node.texts("columns")?.into_iter().map(|(_, name)| name.to_owned()).collect::<Vec<_>>()),
    };
    match (header, &columns) {
        (Some((line, false)), None) => return wrong(line, "a file without a header needs `columns = [\"...\", ...]`"),
        (Some((line, true)), Some(_)) => {
            return wrong(
                line,
                "`columns` is for files without a header: say `header = false`, or leave `columns` out",
            );
        }
        _ => {}
    }
    table.finish()?;
    Ok(FileSpec { format, delimiter, columns })
}

fn output(scope: &mut Scope, node: &Node<'_>, occurred_at: Option<&Expr>) -> Result<Output, MappingError> {
    let table = node.table("[[event]]")?;
    let Some(kind) = table.take("type") else {
        return wrong(table.line, "[[event]] needs `type`, such as \"InteractionRecorded\"");
    };
    let kind = event_kind(&kind)?;
    let first_of = match table.take("first_of") {
        None => Vec::new(),
        Some(node) => node
            .texts("first_of")?
            .into_iter()
            .map(|(line, text)| scope.column_or_template(line, text))
            .collect::<Result<_, _>>()?,
    };
    scope.has_value = !first_of.is_empty();
    let when = table.take("when").map(|node| condition(scope, &node)).transpose()?;
    let occurred_at = match (table.take("occurred_at"), occurred_at) {
        (Some(node), _) => scope.expr(&node)?,
        (None, Some(expr)) => expr.clone(),
        (None, None) => {
            return wrong(
                table.line,
                "`occurred_at` is missing: it says when the event happened, such as { column = \"...\", time = \"rfc3339\" }",
            );
        }
    };
    let love_resonance = match table.take("love_resonance") {
        Some(node) => scope.expr(&node)?,
        None => Expr {
            line: table.line,
            origin: Origin::Constant(50.into()),
            steps: Vec::new(),
            optional: false,
            default: None,
        },
    };
    let fields = match table.take("fields") {
        Some(node) => fields(scope, kind, &node)?,
        None => return wrong(table.line, "[[event]] needs a table `fields`: field = expression"),
    };
    table.finish()?;
    scope.has_value = false;
    let (text, condition) = own_text(node)?;
    let hash = blake3::hash(text.to_string().as_bytes()).to_hex();
    let name = format!("{kind}.{}", &hash[..16]);
    Ok(Output { kind, line: node.line, name, text, condition, when, first_of, occurred_at, love_resonance, fields })
}

/// The text of an `[[event]]` as it means: order of keys, comments and blanks aside. And its
/// condition.
fn own_text(node: &Node<'_>) -> Result<(Value, Value), MappingError> {
    let mut text = Map::new();
    let mut condition = Value::Null;
    for (key, node) in node.table("[[event]]")?.entries() {
        if key == "when" {
            condition = node.json()?;
        } else {
            text.insert(key.to_owned(), node.json()?);
        }
    }
    Ok((Value::Object(text), condition))
}

fn event_kind(node: &Node<'_>) -> Result<EventKind, MappingError> {
    let name = node.text("type")?;
    match EventKind::from_name(name) {
        Some(kind) if kind.derived() => {
            wrong(node.line, format!("{name} is derived by the workers and cannot be imported"))
        }
        Some(kind) => Ok(kind),
        None => {
            let names: Vec<_> = EventKind::ALL.iter().filter(|kind| !kind.derived()).map(|kind| kind.name()).collect();
            wrong(node.line, format!("`{name}` is no event: use one of {}", names.join(", ")))
        }
    }
}

fn fields(scope: &mut Scope, kind: EventKind, node: &Node<'_>) -> Result<Vec<(String, Expr)>, MappingError> {
    let known = super::build::field_names(kind).map_err(|reason| MappingError { line: node.line, reason })?;
    let own = own_id(kind);
    let mut fields = Vec::new();
    for (name, node) in node.table("fields")?.entries() {
        if name == "meta" || Some(name) == own {
            return wrong(node.line, format!("`{name}` is set by the importer: leave it out"));
        }
        if !known.iter().any(|field| field == name) {
            let known: Vec<_> =
                known.iter().map(String::as_str).filter(|field| *field != "meta" && Some(*field) != own).collect();
            return wrong(node.line, format!("{kind} has no field `{name}`: it has {}", known.join(", ")));
        }
        fields.push((name.to_owned(), scope.expr(&node)?));
    }
    Ok(fields)
}

/// The field that repeats `meta.event_id`, or is minted with it.
pub(super) fn own_id(kind: EventKind) -> Option<&'static str> {
    match kind {
        EventKind::SporeCreated => Some("spore_id"),
        EventKind::InteractionRecorded => Some("interaction_id"),
        EventKind::Blessed => Some("blessing_id"),
        _ => None,
    }
}

fn condition(scope: &mut Scope, node: &Node<'_>) -> Result<When, MappingError> {
    let table = node.table("when")?;
    let Some(column) = table.take("column") else { return wrong(node.line, "`when` needs `column`") };
    let column = scope.column(column.line, column.text("column")?, false)?;
    let (is, is_not) = (table.take("is"), table.take("is_not"));
    let (node, not) = match (is, is_not) {
        (Some(node), Some(_)) => return wrong(node.line, "`when` takes `is` or `is_not`, not both"),
        (Some(node), None) => (Some(node), false),
        (None, Some(node)) => (Some(node), true),
        (None, None) => (None, false),
    };
    let is = match node {
        Some(node) => node.texts("is")?.into_iter().map(|(_, text)| text.to_owned()).collect(),
        None => Vec::new(),
    };
    table.finish()?;
    Ok(When { column, is, not })
}
