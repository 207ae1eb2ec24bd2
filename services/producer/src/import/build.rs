//! From a row to records: friendly JSON, Avro, validity, and the identity that makes a second import add nothing.
//!
//! Each output of the mapping (`InteractionRecorded.1`, `AgentProfiled.2`, ...) is a producer of its own, whose
//! sequence numbers are the rows. So the numbers rise whatever else the mapping gives, an output added to a mapping
//! later is imported while those already in the log are dropped as duplicates, and no row depends on another.

use super::expr::{Bad, Cells, ColumnIx};
use super::mapping::{Mapping, Output, When, own_id};
use codec::{JsonError, Schemas};
use domain::event::EventKind;
use hashbrown::HashSet;
use pipeline::{Headers, OutRecord};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// The namespace of the namespaces of imports.
const NAMESPACE: Uuid = Uuid::from_u128(0x5b1d_6a0e_2f5c_5c0b_9a57_73c0_6f1e_4d10);

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

/// One way for an event to come from a row.
struct Lane {
    /// `Kind.n`.
    name: String,
    producer: String,
}

struct Prepared {
    schema: apache_avro::Schema,
    frame: Vec<u8>,
    lanes: Vec<Lane>,
    /// Values of `first_of` that have had their event. Strings, not hashes: a collision would lose an event.
    seen: HashSet<String>,
}

/// Builds the records of rows.
pub struct Builder<'m> {
    mapping: &'m Mapping,
    schemas: Arc<Schemas>,
    outputs: Vec<Prepared>,
    tenant: String,
    namespace: Uuid,
    fresh: Vec<(usize, String)>,
    given: Vec<usize>,
}

impl<'m> Builder<'m> {
    /// A builder for one import: `import_id` names the file's content and the tenant.
    ///
    /// # Errors
    /// The schemas of this build are unusable.
    pub fn new(mapping: &'m Mapping, tenant: &str, import_id: &str, schemas: Arc<Schemas>) -> Result<Self, JsonError> {
        let mut counts = vec![0; EventKind::ALL.len()];
        let mut outputs = Vec::with_capacity(mapping.outputs.len());
        for output in &mapping.outputs {
            let text = codec::embedded()?.text(output.kind);
            let schema = apache_avro::Schema::parse_str(text).map_err(|error| JsonError::Avro(error.to_string()))?;
            let mut frame = Vec::new();
            schemas.header(output.kind).write(&mut frame);
            let lanes = (0..output.per_row()).map(|_| {
                let count: &mut usize = &mut counts[output.kind as usize];
                *count += 1;
                let name = format!("{}.{count}", output.kind);
                Lane { producer: format!("import/{import_id}/{name}"), name }
            });
            outputs.push(Prepared { schema, frame, lanes: lanes.collect(), seen: HashSet::new() });
        }
        let namespace = Uuid::new_v5(&NAMESPACE, import_id.as_bytes());
        Ok(Self {
            mapping,
            schemas,
            outputs,
            tenant: tenant.to_owned(),
            namespace,
            fresh: Vec::new(),
            given: Vec::new(),
        })
    }

    /// The schemas that records are built with.
    #[must_use]
    pub fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// Appends the records of a row to `out`, all or none. `attempt` is 0, or how often the row was rejected before:
    /// then its records go under a producer of that attempt, because the high-water mark of the first has passed it.
    /// `counts` holds the number of events given so far by each output of the mapping.
    ///
    /// # Errors
    /// Why the row gives no events.
    pub fn build<R: Cells>(
        &mut self,
        row: &R,
        number: u64,
        attempt: u32,
        now_us: i64,
        out: &mut Vec<OutRecord>,
        counts: &mut [u64],
    ) -> Result<(), BadRow> {
        let start = out.len();
        self.fresh.clear();
        self.given.clear();
        let built = self.row(row, &Stamp { number, attempt, now_us }, out);
        match built {
            Ok(()) => {
                self.given.iter().for_each(|output| counts[*output] += 1);
                for (output, value) in self.fresh.drain(..) {
                    self.outputs[output].seen.insert(value);
                }
            }
            Err(_) => out.truncate(start),
        }
        built
    }

    /// Notes the `first_of` values of a row whose events are in the log already.
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

    fn row<R: Cells>(&mut self, row: &R, stamp: &Stamp, out: &mut Vec<OutRecord>) -> Result<(), BadRow> {
        for (ix, output) in self.mapping.outputs.iter().enumerate() {
            if !met(output.when.as_ref(), row) {
                continue;
            }
            if output.first_of.is_empty() {
                let record = self.event(row, output, ix, 0, None, stamp)?;
                out.push(record);
                self.given.push(ix);
                continue;
            }
            for (lane, expr) in output.first_of.iter().enumerate() {
                let found = expr.eval(row, None).map_err(|bad| failed("first_of", bad))?;
                let Some(Value::String(value)) = found else { continue };
                let known = self.outputs[ix].seen.contains(&value)
                    || self.fresh.iter().any(|(at, held)| *at == ix && *held == value);
                if !known {
                    let record = self.event(row, output, ix, lane, Some(&value), stamp)?;
                    out.push(record);
                    self.given.push(ix);
                    self.fresh.push((ix, value));
                }
            }
        }
        Ok(())
    }

    fn event<R: Cells>(
        &self,
        row: &R,
        output: &Output,
        ix: usize,
        lane: usize,
        value: Option<&str>,
        stamp: &Stamp,
    ) -> Result<OutRecord, BadRow> {
        let prepared = &self.outputs[ix];
        let lane = &prepared.lanes[lane];
        let id = Uuid::new_v5(&self.namespace, format!("{}/{}", lane.name, stamp.number).as_bytes()).to_string();
        let eval = |name: &str, expr: &super::expr::Expr| expr.eval(row, value).map_err(|bad| failed(name, bad));
        let producer = match stamp.attempt {
            0 => lane.producer.clone(),
            attempt => format!("{}/retry.{attempt}", lane.producer),
        };
        let mut fields = Map::new();
        fields.insert(
            "meta".to_owned(),
            json!({
                "event_id": id,
                "occurred_at": eval("occurred_at", &output.occurred_at)?,
                "tenant_id": self.tenant,
                "producer_id": producer,
                "producer_seq": stamp.number + 1,
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

/// Which row, which time, and when.
struct Stamp {
    number: u64,
    attempt: u32,
    now_us: i64,
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
