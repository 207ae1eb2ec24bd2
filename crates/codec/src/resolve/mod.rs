//! Reading what was written with another schema than ours.
//!
//! When a schema becomes known, [`plan`] lays it beside this build's schema of the same event, once, and says for every
//! field how its bytes become what our struct holds; [`decode`] then goes by that plan, and borrows from the datum.
//!
//! A plan follows Avro's resolution (fields by name, defaults, promotions, unions) and is stricter in one point: Avro lets
//! a reader ignore logical types, and so store milliseconds as microseconds. Here a unit is converted where that is exact,
//! or the field is refused by name with both types.
//!
//! | ours | theirs | |
//! |---|---|---|
//! | timestamp-micros | timestamp-micros | as it is |
//! | | timestamp-millis | times 1,000 |
//! | | timestamp-nanos | over 1,000, where that leaves nothing; else the record is refused |
//! | | plain long, local-timestamp-*, date, time-*, ... | refused: no instant, or of no known unit |
//! | plain number | a number of a smaller type, plain | promoted |
//! | | with any logical type | refused |
//! | string | string of whatever logical type, plain bytes | as it is |
//! | | enum | the symbol |
//! | uuid | string, uuid on fixed(16) | the canonical form |
//! | bytes | plain bytes, string | as it is |

mod decode;
mod plan;
mod schema;
mod symbols;

#[cfg(test)]
mod tests;

use std::fmt;

use domain::event::{Event, EventKind};

use schema::SchemaTree;

pub(crate) use schema::{Reader, plain_text};

/// How the bytes of another schema become an event of ours.
#[derive(Debug)]
pub(crate) struct Resolved {
    writer: SchemaTree,
    root: Plan,
    /// Of everything that decides what the bytes mean, logical types included: a fingerprint leaves those out.
    pub(crate) identity: u64,
}

impl Resolved {
    /// Lays a writer's schema beside ours.
    ///
    /// # Errors
    /// It cannot be parsed, or no record of it can be read.
    pub(crate) fn new(reader: &Reader, text: &str) -> Result<Self, Unresolved> {
        let writer = SchemaTree::parse(text).map_err(Unresolved::Invalid)?;
        let identity = writer.identity();
        let root = plan::resolve(reader, &writer).map_err(Unresolved::Mismatch)?;
        Ok(Self { writer, root, identity })
    }

    /// The event in a datum.
    ///
    /// # Errors
    /// Field and problem.
    pub(crate) fn decode<'a>(
        &self,
        kind: EventKind,
        datum: &'a [u8],
        room: &mut Option<Event<'a>>,
    ) -> Result<usize, DatumError> {
        decode::decode(self, kind, datum, room)
    }
}

/// The identity of a schema, where it parses: see [`Resolved::identity`].
pub(crate) fn identity(text: &str) -> Option<u64> {
    SchemaTree::parse(text).ok().map(|tree| tree.identity())
}

/// Why no plan can be made.
#[derive(Debug)]
pub(crate) enum Unresolved {
    Invalid(String),
    Mismatch(Mismatch),
}

/// A field whose types do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Its path, such as `meta.occurred_at`; empty for the record itself.
    pub(crate) path: String,
    /// What is wrong, with both types.
    pub(crate) problem: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_at(&self.path, &self.problem, f)
    }
}

fn write_at(path: &str, problem: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if path.is_empty() { f.write_str(problem) } else { write!(f, "{path}: {problem}") }
}

/// What is wrong with a datum, and where.
#[derive(Debug)]
pub(crate) struct DatumError {
    path: String,
    problem: String,
}

impl DatumError {
    fn new(problem: impl Into<String>) -> Self {
        Self { path: String::new(), problem: problem.into() }
    }

    /// The same error, seen from the record or the list around it.
    fn within(mut self, outer: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{outer}{separator}{}", self.path);
        self
    }
}

impl fmt::Display for DatumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_at(&self.path, &self.problem, f)
    }
}

impl std::error::Error for DatumError {}

impl serde::de::Error for DatumError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

/// How the bytes of one type of the writer's become a value of ours.
#[derive(Debug)]
enum Plan {
    Null,
    Boolean,
    Number {
        from: Number,
        to: Number,
    },
    /// A timestamp in milliseconds.
    Millis,
    /// A timestamp in nanoseconds.
    Nanos,
    Text,
    Bytes,
    /// Sixteen bytes that are a UUID.
    Uuid,
    Enum(Box<[&'static str]>),
    Record(Box<[Field]>),
    Array(Box<Plan>),
    Map(Box<Plan>),
    /// By the writer's branch.
    Union(Box<[Plan]>),
    /// A branch that we cannot read: an error for the record that takes it.
    Refused(Box<Mismatch>),
}

/// A field of the writer's record, in its order.
#[derive(Debug)]
struct Field {
    name: Box<str>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Read(Plan),
    /// We have no such field: its bytes are those of this type of the writer's.
    Skip(schema::TypeKey),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Number {
    Int,
    Long,
    Float,
    Double,
}
