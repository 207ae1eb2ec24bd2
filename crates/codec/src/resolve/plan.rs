//! From two schemas to a plan.

use serde_avro_fast::schema::{LogicalType, Record, RegularType, SchemaNode};

use super::schema::{Reader, SchemaTree, TypeKey};
use super::{Field, Mismatch, Number, Plan, Step, symbols};

type Planned = Result<Plan, Mismatch>;

/// Lays the writer's schema beside the reader's.
pub(super) fn resolve(reader: &Reader, writer: &SchemaTree) -> Planned {
    Pair { reader, writer }.types(reader.tree.root(), writer.root(), "")
}

/// Two schemas. Ours are finite trees, so descending in both ends even where the writer's types contain themselves.
struct Pair<'s> {
    reader: &'s Reader,
    writer: &'s SchemaTree,
}

impl Pair<'_> {
    fn mismatch(&self, ours: TypeKey, theirs: TypeKey, path: &str, remedy: &str) -> Mismatch {
        let (ours, theirs) = (self.reader.tree.describe(ours), self.writer.describe(theirs));
        let problem = format!("{theirs} in the writer's schema, {ours} in ours; {remedy}");
        Mismatch { path: path.to_owned(), problem }
    }

    fn types(&self, ours: TypeKey, theirs: TypeKey, path: &str) -> Planned {
        let our_node = self.reader.tree.node(ours);
        let their_node = self.writer.node(theirs);
        if let RegularType::Union(union) = &their_node.type_ {
            return self.writer_union(ours, &union.variants, path);
        }
        if let RegularType::Union(union) = &our_node.type_ {
            return self.reader_union(ours, &union.variants, theirs, path);
        }
        match (&our_node.type_, &their_node.type_) {
            (RegularType::Record(our_record), RegularType::Record(their_record)) => {
                self.records(our_record, their_record, path)
            }
            (RegularType::Array(our_array), RegularType::Array(their_array)) => {
                let items = self.types(our_array.items, their_array.items, &format!("{path}[]"))?;
                Ok(Plan::Array(Box::new(items)))
            }
            (RegularType::Map(our_map), RegularType::Map(their_map)) => {
                let values = self.types(our_map.values, their_map.values, &format!("{path}[]"))?;
                Ok(Plan::Map(Box::new(values)))
            }
            (RegularType::String, RegularType::Enum(theirs_enum)) if !is_uuid(our_node) => {
                let too_many = "more enum symbols are registered than are kept: use a string instead";
                let symbols = symbols::keep(&theirs_enum.symbols);
                symbols.map(Plan::Enum).ok_or_else(|| self.mismatch(ours, theirs, path, too_many))
            }
            _ => leaf(our_node, their_node).map_err(|remedy| self.mismatch(ours, theirs, path, remedy)),
        }
    }

    /// Each branch by itself: a record is refused only where it takes one that cannot be read.
    fn writer_union(&self, ours: TypeKey, branches: &[TypeKey], path: &str) -> Planned {
        let mut plans = Vec::with_capacity(branches.len());
        let mut refused = None;
        let mut is_readable = false;
        for branch in branches {
            plans.push(match self.types(ours, *branch, path) {
                Ok(plan) => {
                    is_readable = true;
                    plan
                }
                Err(mismatch) => {
                    refused = Some(mismatch.clone());
                    Plan::Refused(Box::new(mismatch))
                }
            });
        }
        match refused {
            Some(mismatch) if !is_readable => Err(mismatch),
            _ => Ok(Plan::Union(plans.into())),
        }
    }

    /// The branch of ours that is of their kind, else the first that their type may be promoted to.
    fn reader_union(&self, ours: TypeKey, branches: &[TypeKey], theirs: TypeKey, path: &str) -> Planned {
        let mut of_their_kind = None;
        for branch in branches.iter().filter(|branch| self.is_same_kind(**branch, theirs)) {
            match self.types(*branch, theirs, path) {
                Ok(plan) => return Ok(plan),
                Err(mismatch) => of_their_kind = Some(mismatch),
            }
        }
        for branch in branches.iter().filter(|branch| !self.is_same_kind(**branch, theirs)) {
            if let Ok(plan) = self.types(*branch, theirs, path) {
                return Ok(plan);
            }
        }
        Err(of_their_kind.unwrap_or_else(|| self.mismatch(ours, theirs, path, "write one of our types")))
    }

    fn is_same_kind(&self, ours: TypeKey, theirs: TypeKey) -> bool {
        let (ours, theirs) = (self.reader.tree.node(ours), self.writer.node(theirs));
        std::mem::discriminant(&ours.type_) == std::mem::discriminant(&theirs.type_)
    }

    fn records(&self, ours: &Record, theirs: &Record, path: &str) -> Planned {
        let mut fields = Vec::with_capacity(theirs.fields.len());
        for their_field in &theirs.fields {
            let name = their_field.name.as_str();
            let step = match ours.fields.iter().find(|field| field.name == name) {
                Some(our_field) => Step::Read(self.types(our_field.type_, their_field.type_, &join(path, name))?),
                None => Step::Skip(their_field.type_),
            };
            fields.push(Field { name: name.into(), step });
        }
        for our_field in &ours.fields {
            let name = our_field.name.as_str();
            let is_written = theirs.fields.iter().any(|field| field.name == name);
            if !is_written && !self.reader.has_default(ours.name.name(), name) {
                let ty = self.reader.tree.describe(our_field.type_);
                let problem = format!("missing in the writer's schema, {ty} in ours, which has no default; write it");
                return Err(Mismatch { path: join(path, name), problem });
            }
        }
        Ok(Plan::Record(fields.into()))
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn is_uuid(node: &SchemaNode) -> bool {
    matches!(node.logical_type, Some(LogicalType::Uuid))
}

/// The plan of types that contain no others; else what the writer should do.
fn leaf(ours: &SchemaNode, theirs: &SchemaNode) -> Result<Plan, &'static str> {
    let is_plain = theirs.logical_type.is_none();
    match (&ours.type_, &theirs.type_) {
        (RegularType::Null, RegularType::Null) => Ok(Plan::Null),
        (RegularType::Boolean, RegularType::Boolean) => Ok(Plan::Boolean),
        (RegularType::String, RegularType::Fixed(fixed)) if is_uuid(ours) && is_uuid(theirs) && fixed.size == 16 => {
            Ok(Plan::Uuid)
        }
        (RegularType::String, RegularType::Fixed(_)) if is_uuid(ours) => Err("write uuid on string or on fixed(16)"),
        (RegularType::String, RegularType::String) => Ok(Plan::Text),
        (RegularType::String, RegularType::Bytes) if is_plain => Ok(Plan::Text),
        (RegularType::Bytes, RegularType::String) => Ok(Plan::Bytes),
        (RegularType::Bytes, RegularType::Bytes) if is_plain => Ok(Plan::Bytes),
        (RegularType::String | RegularType::Bytes, RegularType::Bytes) => {
            Err("its bytes mean something else there; write our type")
        }
        (_, RegularType::Null) => Err("ours is never null; write a value"),
        _ => match (number(ours), number(theirs)) {
            (Some(to), Some(from)) => numbers(ours, to, theirs, from),
            _ => Err("write our type"),
        },
    }
}

fn number(node: &SchemaNode) -> Option<Number> {
    match node.type_ {
        RegularType::Int => Some(Number::Int),
        RegularType::Long => Some(Number::Long),
        RegularType::Float => Some(Number::Float),
        RegularType::Double => Some(Number::Double),
        _ => None,
    }
}

/// Numbers of the same unit, and units that convert exactly.
fn numbers(ours: &SchemaNode, to: Number, theirs: &SchemaNode, from: Number) -> Result<Plan, &'static str> {
    match (&ours.logical_type, &theirs.logical_type) {
        (None, None) if from <= to => Ok(Plan::Number { from, to }),
        (None, None) => Err("a larger type does not fit a smaller one; write our type"),
        (None, Some(_)) => {
            Err("ours is a plain number, whose unit its name or doc says; write that without a logical type")
        }
        (Some(LogicalType::TimestampMicros), Some(unit)) if to == Number::Long && from == Number::Long => {
            match unit.as_str() {
                "timestamp-micros" => Ok(Plan::Number { from, to }),
                "timestamp-millis" => Ok(Plan::Millis),
                "timestamp-nanos" => Ok(Plan::Nanos),
                _ => Err("that is no instant of UTC; write timestamp-micros, timestamp-millis or timestamp-nanos"),
            }
        }
        (Some(LogicalType::TimestampMicros), _) => Err(
            "its unit is not stated; write long with logicalType timestamp-micros, timestamp-millis or timestamp-nanos",
        ),
        (Some(our_unit), Some(their_unit)) if our_unit.as_str() == their_unit.as_str() && from == to => {
            Ok(Plan::Number { from, to })
        }
        (Some(_), _) => Err("the units differ; write our type"),
    }
}
