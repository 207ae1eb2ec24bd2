//! Expressions as they are written in a mapping.

use super::document::{Node, Table, wrong};
use super::error::MappingError;
use super::expr::{ColumnIx, Expr, Origin, Piece, Step};
use super::mapping::Column;
use super::time::TimeFormat;
use toml::de::DeValue;

const STEPS: &str = "int, float, bool, text, lower, upper, trim, json, blake3 or signature";

/// What an expression may refer to.
#[derive(Debug)]
pub(super) struct Scope {
    /// The columns seen so far.
    pub(super) columns: Vec<Column>,
    /// Whether `{value}` stands for the new value of `first_of`.
    pub(super) has_value: bool,
    zone: String,
}

impl Default for Scope {
    fn default() -> Self {
        Self { columns: Vec::new(), has_value: false, zone: "UTC".to_owned() }
    }
}

impl Scope {
    /// The zone of times that name none.
    pub(super) fn set_zone(&mut self, node: Node<'_>) -> Result<(), MappingError> {
        let zone = node.text("time_zone")?;
        TimeFormat::new("unix", zone).map_err(|reason| MappingError { line: node.line, reason })?;
        zone.clone_into(&mut self.zone);
        Ok(())
    }

    /// Interns a column.
    pub(super) fn column(&mut self, line: usize, name: &str, required: bool) -> Result<ColumnIx, MappingError> {
        if name.is_empty() {
            return wrong(line, "a column has a name: `{}` has none (a brace itself is written `{{` or `}}`)");
        }
        if let Some(ix) = self.columns.iter().position(|column| column.name == name) {
            let known = &mut self.columns[ix];
            if required && !known.required {
                known.required = true;
                known.line = line;
            }
            return Ok(ix);
        }
        self.columns.push(Column { name: name.to_owned(), line, required });
        Ok(self.columns.len() - 1)
    }

    /// A column by its bare name, or a template.
    pub(super) fn column_or_template(&mut self, line: usize, text: &str) -> Result<Expr, MappingError> {
        let pieces = if text.contains('{') {
            self.pieces(line, text, true)?
        } else {
            vec![Piece::Column(self.column(line, text, true)?)]
        };
        Ok(Expr { line, origin: Origin::Template(pieces), steps: vec![Step::Text], optional: true, default: None })
    }

    /// Any expression: text is a template, an array a list, a table an expression or an object.
    pub(super) fn expr(&mut self, node: &Node<'_>) -> Result<Expr, MappingError> {
        let plain = |origin| Expr { line: node.line, origin, steps: Vec::new(), optional: false, default: None };
        match node.value {
            DeValue::String(text) => Ok(plain(self.template(node.line, text, true)?)),
            DeValue::Array(_) => {
                let items = node.items().map(|item| self.expr(&item)).collect::<Result<_, _>>()?;
                Ok(plain(Origin::List(items)))
            }
            DeValue::Table(_) => {
                let table = node.table("an expression")?;
                if ["column", "template", "constant"].iter().any(|key| table.has(key)) {
                    return self.spelled_out(table);
                }
                let entries = table.entries().into_iter();
                let entries = entries.map(|(name, node)| Ok((name.to_owned(), self.expr(&node)?)));
                Ok(plain(Origin::Object(entries.collect::<Result<_, MappingError>>()?)))
            }
            _ => Ok(plain(Origin::Constant(node.json()?))),
        }
    }

    /// `{ column | template | constant = ..., as = ..., time = ..., split = ..., optional = ..., default = ... }`
    fn spelled_out(&mut self, table: Table<'_>) -> Result<Expr, MappingError> {
        let optional = table.take("optional").map_or(Ok(false), |node| node.boolean("optional"))?;
        let default = table.take("default").map(|node| node.json()).transpose()?;
        let required = !optional && default.is_none();
        let mut origins = Vec::new();
        if let Some(node) = table.take("column") {
            origins.push(Origin::Template(vec![Piece::Column(self.column(
                node.line,
                node.text("column")?,
                required,
            )?)]));
        }
        if let Some(node) = table.take("template") {
            origins.push(self.template(node.line, node.text("template")?, required)?);
        }
        if let Some(node) = table.take("constant") {
            origins.push(Origin::Constant(node.json()?));
        }
        let line = table.line;
        let steps = self.steps(&table)?;
        table.finish()?;
        match (origins.pop(), origins.pop()) {
            (Some(origin), None) => Ok(Expr { line, origin, steps, optional, default }),
            _ => wrong(line, "an expression has one of `column`, `template` and `constant`"),
        }
    }

    fn steps(&self, table: &Table<'_>) -> Result<Vec<Step>, MappingError> {
        let mut steps = Vec::new();
        if let Some(node) = table.take("as") {
            for (line, name) in node.texts("as")? {
                steps.push(match name {
                    "int" => Step::Int,
                    "float" => Step::Float,
                    "bool" => Step::Bool,
                    "text" => Step::Text,
                    "lower" => Step::Lower,
                    "upper" => Step::Upper,
                    "trim" => Step::Trim,
                    "json" => Step::Json,
                    "blake3" => Step::Blake3,
                    "signature" => Step::Signature,
                    other => {
                        return wrong(
                            line,
                            format!("`{other}` is no conversion: use {STEPS}, or the keys `time` and `split`"),
                        );
                    }
                });
            }
        }
        let zone = table.take("zone");
        if let Some(node) = table.take("time") {
            let name = zone.as_ref().map_or(Ok(self.zone.as_str()), |zone| zone.text("zone"))?;
            let format =
                TimeFormat::new(node.text("time")?, name).map_err(|reason| MappingError { line: node.line, reason })?;
            steps.push(Step::Time(format));
        } else if let Some(zone) = zone {
            return wrong(zone.line, "`zone` goes with `time`");
        }
        if let Some(node) = table.take("split") {
            match node.text("split")? {
                "" => return wrong(node.line, "`split` needs a separator"),
                separator => steps.push(Step::Split(separator.to_owned())),
            }
        }
        Ok(steps)
    }

    fn template(&mut self, line: usize, text: &str, required: bool) -> Result<Origin, MappingError> {
        let pieces = self.pieces(line, text, required)?;
        Ok(match pieces.as_slice() {
            [] => Origin::Constant("".into()),
            [Piece::Text(text)] => Origin::Constant(text.as_str().into()),
            _ => Origin::Template(pieces),
        })
    }

    fn pieces(&mut self, line: usize, text: &str, required: bool) -> Result<Vec<Piece>, MappingError> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(doubled) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = doubled;
                continue;
            }
            let closed = if brace == "{" { after.split_once('}') } else { None };
            let Some((name, after)) = closed else {
                return wrong(
                    line,
                    format!("`{text}` has a brace without its partner (a brace itself is written `{{{{` or `}}}}`)"),
                );
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            let is_value = self.has_value && name == "value";
            pieces.push(if is_value { Piece::Value } else { Piece::Column(self.column(line, name, required)?) });
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(pieces)
    }
}
