//! A datum to an event, by a plan. What is wrong is said with the path of the field.

use std::cell::Cell;

use domain::event::{Event, EventKind};
use serde::Deserializer;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_avro_fast::schema::RegularType;

use super::schema::{SchemaTree, TypeKey};
use super::{DatumError, Field, Number, Plan, Resolved, Step};
use crate::positional;
use crate::schemas::{MAX_SEQ_LEN, event};

/// Deepest nesting of what is skipped: of what is read, our own schemas are the bound.
const MAX_SKIP_DEPTH: usize = 64;
/// Values passed over for each byte of a datum: one has a byte, and stands in a few records that have none of their own.
const STEPS_PER_BYTE: usize = 8;

/// The event in a datum; the number of bytes that follow it.
pub(super) fn decode<'a>(
    resolved: &Resolved,
    kind: EventKind,
    mut datum: &'a [u8],
    room: &mut Option<Event<'a>>,
) -> Result<usize, DatumError> {
    let most = MAX_SEQ_LEN.saturating_add(datum.len().saturating_mul(STEPS_PER_BYTE));
    let context = Context { writer: &resolved.writer, steps_left: Cell::new(most) };
    event(kind, Datum { plan: &resolved.root, context: &context, rest: &mut datum }, room)?;
    Ok(datum.len())
}

/// What the whole datum shares.
struct Context<'p> {
    writer: &'p SchemaTree,
    /// Values that may still be passed over. A stranger's type may hold values without bytes, and nest them in each other, so
    /// that neither the datum's length nor its depth bounds the work (I8).
    steps_left: Cell<usize>,
}

impl Context<'_> {
    fn step(&self) -> Result<(), DatumError> {
        let left = self.steps_left.get().checked_sub(1);
        self.steps_left.set(left.ok_or_else(|| DatumError::new("more values than its length accounts for"))?);
        Ok(())
    }
}

/// What lies ahead, and how to read it.
struct Datum<'p, 'r, 'de> {
    plan: &'p Plan,
    context: &'p Context<'p>,
    rest: &'r mut &'de [u8],
}

impl<'p, 'r, 'de> Datum<'p, 'r, 'de> {
    fn visit_number<V: Visitor<'de>>(self, from: Number, to: Number, visitor: V) -> Result<V::Value, DatumError> {
        let value = match from {
            Number::Int | Number::Long => varint(self.rest)?,
            Number::Float => {
                let float = f32::from_le_bytes(array(self.rest)?);
                return if to == Number::Float { visitor.visit_f32(float) } else { visitor.visit_f64(float.into()) };
            }
            Number::Double => return visitor.visit_f64(f64::from_le_bytes(array(self.rest)?)),
        };
        if from == Number::Int && i32::try_from(value).is_err() {
            return Err(DatumError::new(format!("{value} is no 32-bit integer")));
        }
        match to {
            Number::Int => visitor.visit_i32(value as i32),
            Number::Long => visitor.visit_i64(value),
            Number::Float => visitor.visit_f32(value as f32),
            Number::Double => visitor.visit_f64(value as f64),
        }
    }

    fn items(self, plan: &'p Plan) -> Items<'p, 'r, 'de> {
        Items { plan, context: self.context, rest: self.rest, left: 0, met: 0, key: None }
    }

    /// The plan of the branch that follows, where the writer has a union.
    fn branch(&mut self, branches: &'p [Plan]) -> Result<&'p Plan, DatumError> {
        let branch = varint(self.rest)?;
        let plan = usize::try_from(branch).ok().and_then(|branch| branches.get(branch));
        plan.ok_or_else(|| DatumError::new(format!("branch {branch} of a union of {}", branches.len())))
    }
}

impl<'de> Deserializer<'de> for Datum<'_, '_, 'de> {
    type Error = DatumError;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        match self.plan {
            Plan::Null => visitor.visit_unit(),
            Plan::Boolean => match array(self.rest)? {
                [bit @ 0..=1] => visitor.visit_bool(bit == 1),
                [byte] => Err(DatumError::new(format!("byte {byte:#04x} is no boolean"))),
            },
            Plan::Number { from, to } => self.visit_number(*from, *to, visitor),
            Plan::Millis => {
                let millis = varint(self.rest)?;
                let micros = millis.checked_mul(1_000);
                let too_large = || DatumError::new(format!("{millis} ms are more than 64 bits of microseconds hold"));
                visitor.visit_i64(micros.ok_or_else(too_large)?)
            }
            Plan::Nanos => match varint(self.rest)? {
                nanos if nanos % 1_000 == 0 => visitor.visit_i64(nanos / 1_000),
                nanos => Err(DatumError::new(format!("{nanos} ns are no whole microseconds; write timestamp-micros"))),
            },
            Plan::Text => visitor.visit_borrowed_str(text(self.rest)?),
            Plan::Bytes => visitor.visit_borrowed_bytes(sized(self.rest)?),
            Plan::Uuid => {
                let id = uuid::Uuid::from_bytes(array(self.rest)?);
                visitor.visit_str(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))
            }
            Plan::Enum(symbols) => {
                let symbol = varint(self.rest)?;
                let named = usize::try_from(symbol).ok().and_then(|symbol| symbols.get(symbol));
                let unknown = || DatumError::new(format!("symbol {symbol} of an enum of {}", symbols.len()));
                visitor.visit_borrowed_str(named.ok_or_else(unknown)?)
            }
            Plan::Record(fields) => {
                visitor.visit_map(Fields { fields: fields.iter(), value: None, context: self.context, rest: self.rest })
            }
            Plan::Array(plan) => visitor.visit_seq(self.items(plan)),
            Plan::Map(plan) => visitor.visit_map(self.items(plan)),
            Plan::Union(branches) => {
                self.plan = self.branch(branches)?;
                self.deserialize_any(visitor)
            }
            Plan::Refused(mismatch) => Err(DatumError::new(mismatch.problem.clone())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, DatumError> {
        if let Plan::Union(branches) = self.plan {
            self.plan = self.branch(branches)?;
        }
        match self.plan {
            Plan::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The fields of a record, in the writer's order.
struct Fields<'p, 'r, 'de> {
    fields: std::slice::Iter<'p, Field>,
    /// The field whose name was given last.
    value: Option<(&'p str, &'p Plan)>,
    context: &'p Context<'p>,
    rest: &'r mut &'de [u8],
}

impl<'de> MapAccess<'de> for Fields<'_, '_, 'de> {
    type Error = DatumError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DatumError> {
        for field in self.fields.by_ref() {
            match &field.step {
                Step::Read(plan) => {
                    self.value = Some((&field.name, plan));
                    return seed.deserialize(StrDeserializer::<DatumError>::new(&field.name)).map(Some);
                }
                Step::Skip(key) => {
                    skip(self.context, *key, self.rest, 0).map_err(|error| error.within(&field.name))?;
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DatumError> {
        let Some((name, plan)) = self.value.take() else {
            return Err(DatumError::new("a value was asked for before its name"));
        };
        let datum = Datum { plan, context: self.context, rest: self.rest };
        seed.deserialize(datum).map_err(|error| error.within(name))
    }
}

/// The items of an array or a map, in blocks.
struct Items<'p, 'r, 'de> {
    plan: &'p Plan,
    context: &'p Context<'p>,
    rest: &'r mut &'de [u8],
    /// Of the block.
    left: usize,
    /// Of all blocks so far.
    met: usize,
    /// The name of the map's entry whose value is next.
    key: Option<&'de str>,
}

impl<'de> Items<'_, '_, 'de> {
    fn is_at_end(&mut self) -> Result<bool, DatumError> {
        if self.left == 0 {
            (self.left, _) = block(self.rest)?;
            self.met = self.met.saturating_add(self.left);
            if self.met > MAX_SEQ_LEN {
                return Err(DatumError::new(format!("{} elements, more than {MAX_SEQ_LEN}", self.met)));
            }
        }
        let is_at_end = self.left == 0;
        self.left = self.left.saturating_sub(1);
        Ok(is_at_end)
    }

    fn datum(&mut self) -> Datum<'_, '_, 'de> {
        Datum { plan: self.plan, context: self.context, rest: self.rest }
    }
}

impl<'de> SeqAccess<'de> for Items<'_, '_, 'de> {
    type Error = DatumError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DatumError> {
        if self.is_at_end()? {
            return Ok(None);
        }
        let at = self.met - self.left - 1;
        seed.deserialize(self.datum()).map(Some).map_err(|error| error.within(&format!("[{at}]")))
    }
}

impl<'de> MapAccess<'de> for Items<'_, '_, 'de> {
    type Error = DatumError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DatumError> {
        if self.is_at_end()? {
            return Ok(None);
        }
        let key = text(self.rest)?;
        self.key = Some(key);
        seed.deserialize(serde::de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DatumError> {
        let key = self.key.take().unwrap_or_default();
        // The name is a stranger's: its beginning suffices to find it.
        let named = |error: DatumError| error.within(&key.escape_debug().take(40).collect::<String>());
        seed.deserialize(self.datum()).map_err(named)
    }
}

/// Passes over a value of the writer's that we have no field for.
fn skip(context: &Context<'_>, key: TypeKey, rest: &mut &[u8], depth: usize) -> Result<(), DatumError> {
    if depth > MAX_SKIP_DEPTH {
        return Err(DatumError::new(format!("nested deeper than {MAX_SKIP_DEPTH}")));
    }
    context.step()?;
    match &context.writer.node(key).type_ {
        RegularType::Null => Ok(()),
        RegularType::Boolean => take(rest, 1),
        RegularType::Int | RegularType::Long | RegularType::Enum(_) => varint(rest).map(drop),
        RegularType::Float => take(rest, 4),
        RegularType::Double => take(rest, 8),
        RegularType::Bytes | RegularType::String => sized(rest).map(drop),
        RegularType::Fixed(fixed) => take(rest, fixed.size),
        RegularType::Record(record) => {
            record.fields.iter().try_for_each(|field| skip(context, field.type_, rest, depth + 1))
        }
        RegularType::Union(union) => {
            let branch = varint(rest)?;
            let chosen = usize::try_from(branch).ok().and_then(|branch| union.variants.get(branch));
            let unknown = || DatumError::new(format!("branch {branch} of a union of {}", union.variants.len()));
            skip(context, *chosen.ok_or_else(unknown)?, rest, depth + 1)
        }
        RegularType::Array(array) => skip_items(rest, |rest| skip(context, array.items, rest, depth + 1)),
        RegularType::Map(map) => skip_items(rest, |rest| {
            sized(rest)?;
            skip(context, map.values, rest, depth + 1)
        }),
    }
}

fn skip_items<'de>(
    rest: &mut &'de [u8],
    mut skip_one: impl FnMut(&mut &'de [u8]) -> Result<(), DatumError>,
) -> Result<(), DatumError> {
    loop {
        let (count, bytes) = block(rest)?;
        if count == 0 {
            return Ok(());
        }
        if let Some(bytes) = bytes {
            take(rest, bytes)?;
            continue;
        }
        for _ in 0..count {
            skip_one(rest)?;
        }
    }
}

/// The head of a block: the number of its items, and its size in bytes where that is given.
fn block(rest: &mut &[u8]) -> Result<(usize, Option<usize>), DatumError> {
    let count = varint(rest)?;
    let mut bytes = None;
    if count < 0 {
        let size = usize::try_from(varint(rest)?);
        bytes = Some(size.map_err(|_| DatumError::new("a block of a negative size"))?);
    }
    let count = usize::try_from(count.unsigned_abs());
    Ok((count.map_err(|_| DatumError::new("more elements than memory holds"))?, bytes))
}

const ENDS: &str = "the value ends within it";

fn varint(rest: &mut &[u8]) -> Result<i64, DatumError> {
    let is_whole = rest.iter().take(10).any(|byte| *byte < 0x80);
    let problem = if is_whole || rest.len() >= 10 { "an integer of more than 64 bits" } else { ENDS };
    positional::varint(rest).map_err(|_| DatumError::new(problem))
}

fn take(rest: &mut &[u8], len: usize) -> Result<(), DatumError> {
    positional::take(rest, len).map(drop).map_err(|_| DatumError::new(ENDS))
}

fn sized<'de>(rest: &mut &'de [u8]) -> Result<&'de [u8], DatumError> {
    let len = varint(rest)?;
    let len = usize::try_from(len).map_err(|_| DatumError::new(format!("a length of {len}")))?;
    positional::take(rest, len).map_err(|_| DatumError::new(ENDS))
}

fn text<'de>(rest: &mut &'de [u8]) -> Result<&'de str, DatumError> {
    std::str::from_utf8(sized(rest)?).map_err(|error| DatumError::new(format!("not UTF-8: {error}")))
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], DatumError> {
    positional::array(rest).map_err(|_| DatumError::new(ENDS))
}
