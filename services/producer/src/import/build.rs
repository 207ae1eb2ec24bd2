//! From a row to records: friendly JSON, Avro, validity, and the identity that makes a second
//! import add nothing.
//!
//! Each output of the mapping has producers of its own, one per block of rows, whose sequence
//! numbers are the rows (see [`super::identity`]). So an output added to a mapping later is
//! imported while those already in the log are dropped as duplicates, and no row depends on
//! another.

use super::expr::{Bad, Cells, ColumnIx};
use super::identity::Source;
use super::mapping::{Mapping, Output, When, own_id};
use codec::{JsonError, Schemas};
use domain::event::EventKind;
use hashbrown::HashSet;
use pipeline::{Headers, OutRecord};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Why a row gives no events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The field of the event, where it is known.
    pub field: Option<String>,
    /// The column, where it is known.
    pub column: Option<ColumnIx>,
    /// The reason.
    pub reason: String,
}

impl BadRow {
    pub(super) fn whole(reason: impl Into<String>) -> Self {
        Self { field: None, column: None, reason: reason.into() }
    }
}

/// The names of an event's fields, in the order of its schema.
pub(super) fn field_names(kind: EventKind) -> Result<Vec<String>, String> {
    let text = codec::embedded().map_err(|error| error.to_string())?.text(kind);
    let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let fields = schema["fields"].as_array().into_iter().flatten();
    Ok(fields.filter_map(|field| field["name"].as_str()).map(str::to_owned).collect())
}

struct Prepared {
    schema: apache_avro::Schema,
    frame: Vec<u8>,
    /// Names its events, see [`super::lanes`].
    lane: String,
    /// Values of `first_of` that have had their event. Strings, not hashes: a collision would lose
    /// an event.
    seen: HashSet<String>,
}

/// A record, and what it comes from.
#[derive(Debug)]
pub struct Built {
    /// The record.
    pub record: OutRecord,
    /// The place of its `[[event]]` in the mapping.
    pub output: usize,
    /// The row, from 1.
    pub row: u64,
    /// The line of the file where the row begins, from 1.
    pub line: u64,
}

/// Which row, what of it, and when.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The row, from 1.
    pub row: u64,
    /// The line of the file where it begins, from 1.
    pub line: u64,
    /// Of each output, whether its events are wanted; they are in the log already where they are
    /// not.
    pub wanted: &'a [bool],
    /// The time, in microseconds since 1970: nothing may be far ahead of it.
    pub now_us: i64,
}

/// An event of the current row.
struct Given {
    output: usize,
    expr: usize,
    wanted: bool,
    /// The value of `first_of` that it is for.
    value: Option<String>,
}

/// Builds the records of rows.
pub struct Builder<'m> {
    mapping: &'m Mapping,
    schemas: Arc<Schemas>,
    outputs: Vec<Prepared>,
    tenant: String,
    import_id: String,
    given: Vec<Given>,
}

impl<'m> Builder<'m> {
    /// A builder for one import: `import_id` names the file's content and the tenant, `lanes` the
    /// outputs.
    ///
    /// # Errors
    /// The schemas of this build are unusable.
    pub fn new(
        mapping: &'m Mapping,
        lanes: &[String],
        tenant: &str,
        import_id: &str,
        schemas: Arc<Schemas>,
    ) -> Result<Self, JsonError> {
        let mut outputs = Vec::with_capacity(mapping.outputs.len());
        for (output, lane) in mapping.outputs.iter().zip(lanes) {
            let text = codec::embedded()?.text(output.kind);
            let schema = apache_avro::Schema::parse_str(text).map_err(|error| JsonError::Avro(error.to_string()))?;
            let mut frame = Vec::new();
            schemas.header(output.kind).write(&mut frame);
            outputs.push(Prepared { schema, frame, lane: lane.clone(), seen: HashSet::new() });
        }
        let (tenant, import_id) = (tenant.to_owned(), import_id.to_owned());
        Ok(Self { mapping, schemas, outputs, tenant, import_id, given: Vec::new() })
    }

    /// The schemas that records are built with.
    #[must_use]
    pub fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// Appends the records of a row to `out`, all or none. `counts` holds the number of events
    /// given so far by each output of the mapping.
    ///
    /// # Errors
    /// Why the row gives no events.
    pub fn build<R: Cells>(&mut self, row: &R, stamp: Stamp<'_>, out: &mut Vec<Built>) -> Result<(), BadRow> {
        let start = out.len();
        self.given.clear();
        if let Err(bad) = self.row(row, &stamp, out) {
            out.truncate(start);
            return Err(bad);
        }
        for given in self.given.drain(..) {
            if let Some(value) = given.value {
                self.outputs[given.output].seen.insert(value);
            }
        }
        Ok(())
    }

    /// Notes the `first_of` values of a row whose events are not published now.
    pub fn remember<R: Cells>(&mut self, row: &R) {
        for (output, prepared) in self.mapping.outputs.iter().zip(&mut self.outputs) {
            if output.first_of.is_empty() || !met(output.when.as_ref(), row) {
                continue;
            }
            for expr in &output.first_of {
                if let Ok(Some(Value::String(value))) = expr.eval(row, None) {
                    prepared.seen.insert(value);
                }
            }
        }
    }

    fn row<R: Cells>(&mut self, row: &R, stamp: &Stamp<'_>, out: &mut Vec<Built>) -> Result<(), BadRow> {
        for (ix, output) in self.mapping.outputs.iter().enumerate() {
            if !met(output.when.as_ref(), row) {
                continue;
            }
            let wanted = stamp.wanted.get(ix).copied().unwrap_or(true);
            if output.first_of.is_empty() {
                self.give(row, Given { output: ix, expr: 0, wanted, value: None }, stamp, out)?;
                continue;
            }
            for (expr, first_of) in output.first_of.iter().enumerate() {
                let value = match first_of.eval(row, None) {
                    Ok(Some(Value::String(value))) => value,
                    Err(bad) if wanted => return Err(failed("first_of", bad)),
                    _ => continue,
                };
                let known = self.outputs[ix].seen.contains(&value)
                    || self.given.iter().any(|given| given.output == ix && given.value.as_ref() == Some(&value));
                if !known {
                    self.give(row, Given { output: ix, expr, wanted, value: Some(value) }, stamp, out)?;
                }
            }
        }
        Ok(())
    }

    /// Notes an event of the row, and builds it where it is wanted.
    fn give<R: Cells>(&mut self, row: &R, given: Given, stamp: &Stamp<'_>, out: &mut Vec<Built>) -> Result<(), BadRow> {
        if given.wanted {
            let record = self.event(row, &given, stamp)?;
            out.push(Built { record, output: given.output, row: stamp.row, line: stamp.line });
        }
        self.given.push(given);
        Ok(())
    }

    fn event<R: Cells>(&self, row: &R, given: &Given, stamp: &Stamp<'_>) -> Result<OutRecord, BadRow> {
        let output = &self.mapping.outputs[given.output];
        let prepared = &self.outputs[given.output];
        let is_alike = |other: &&Given| other.expr == given.expr && self.outputs[other.output].lane == prepared.lane;
        let source = Source {
            tenant: &self.tenant,
            import_id: &self.import_id,
            lane: &prepared.lane,
            expr: given.expr,
            ordinal: self.given.iter().filter(is_alike).count(),
            row: stamp.row,
        };
        let id = source.event_id().to_string();
        let value = given.value.as_deref();
        let eval = |name: &str, expr: &super::expr::Expr| expr.eval(row, value).map_err(|bad| failed(name, bad));
        let mut fields = Map::new();
        fields.insert(
            "meta".to_owned(),
            json!({
                "event_id": id,
                "occurred_at": eval("occurred_at", &output.occurred_at)?,
                "tenant_id": self.tenant,
                "producer_id": source.producer_id(),
                "producer_seq": stamp.row,
                "love_resonance": eval("love_resonance", &output.love_resonance)?,
            }),
        );
        for (name, expr) in &output.fields {
            if let Some(value) = eval(name, expr)? {
                fields.insert(name.clone(), value);
            }
        }
        if let Some(own) = own_id(output.kind) {
            fields.insert(own.to_owned(), id.into());
        }
        self.encode(output, prepared, &Value::Object(fields), stamp.now_us)
    }

    fn encode(&self, output: &Output, prepared: &Prepared, json: &Value, now_us: i64) -> Result<OutRecord, BadRow> {
        let blame = |path: &str, reason: String| {
            let field = path.strip_prefix("meta.").unwrap_or(path);
            let top = field.split(['.', '[']).next().unwrap_or(field);
            let expr = match top {
                "occurred_at" => Some(&output.occurred_at),
                "love_resonance" => Some(&output.love_resonance),
                _ => output.fields.iter().find(|(name, _)| name == top).map(|(_, expr)| expr),
            };
            let hint = expr.map_or(String::new(), |expr| format!(" (line {} of the mapping)", expr.line));
            BadRow {
                field: Some(field.to_owned()),
                column: expr.and_then(super::expr::Expr::column),
                reason: reason + &hint,
            }
        };
        let datum = codec::from_json_value(&prepared.schema, json).map_err(|error| match error {
            JsonError::Field { path, problem } => blame(&path, problem),
            other => BadRow::whole(other.to_string()),
        })?;
        let mut value = Vec::with_capacity(prepared.frame.len() + datum.len());
        value.extend_from_slice(&prepared.frame);
        value.extend_from_slice(&datum);
        let mut key = Vec::new();
        {
            let event = self.schemas.decode(&value).map_err(|error| BadRow::whole(error.to_string()))?;
            event.key(&mut key);
            domain::validity::check(&event, &key, now_us)
                .map_err(|violation| blame(violation.field, violation.reason.to_string()))?;
        }
        Ok(OutRecord { topic: output.kind.topic(), key, value, headers: Headers::default() })
    }
}

fn failed(field: &str, bad: Bad) -> BadRow {
    BadRow { field: Some(field.to_owned()), column: bad.column, reason: bad.reason }
}

fn met<R: Cells>(when: Option<&When>, row: &R) -> bool {
    let Some(when) = when else { return true };
    let cell = row.cell(when.column);
    let holds = match (&cell, when.is.is_empty()) {
        (Some(cell), true) => !cell.is_empty(),
        (Some(cell), false) => when.is.iter().any(|text| *text == cell.text()),
        (None, _) => false,
    };
    holds != when.not
}
