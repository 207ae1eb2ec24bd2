//! Rows to and from the nodes. Values go from the deltas into the request as they lie, without copies of our own.
//!
//! A null cell is *unset*, not null: a null would be a tombstone, and would take away what another write of the row
//! had set. So a row that is written twice is the union of both (I4).

use crate::request::{Shape, WrittenAt};
use domain::cell::{Cell, KeyPart, KeyWriter, take_key_part};
use domain::table::{KeyType, Slot, Type};
use pipeline::{StoreError, StoredRow};
use scylla::deserialize::row::ColumnIterator;
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use uuid::Uuid;

/// The longest text or bytes in a key, and the longest partition key, that the nodes take.
const KEY_MAX_BYTES: usize = u16::MAX as usize;

/// A row that is to be written: it fits its table.
#[derive(Debug)]
pub(crate) struct RowRef<'a> {
    shape: &'a Shape,
    key: &'a [u8],
    cells: &'a [Cell],
    /// The write timestamp.
    written_at: i64,
    /// How many bytes of the key are the partition key.
    partition_bytes: usize,
    /// About what the row takes in a request, and in the nodes' own count of a batch.
    pub bytes: usize,
}

impl<'a> RowRef<'a> {
    /// Looks the row over before anything is sent: a row that does not fit is refused here.
    pub(crate) fn new(shape: &'a Shape, key: &'a [u8], cells: &'a [Cell]) -> Result<Self, StoreError> {
        let (mut rest, mut written_at, mut partition_bytes) = (key, None, 0);
        for (ix, column) in shape.key.iter().enumerate() {
            let before = rest.len();
            let part = take_key_part(column.ty, &mut rest).ok_or_else(|| unfit(shape, column.name))?;
            if before - rest.len() > KEY_MAX_BYTES {
                return Err(too_long(shape, column.name, before - rest.len()));
            }
            if let (KeyPart::Int(value), WrittenAt::Key(at)) = (part, shape.written_at)
                && at == ix
            {
                written_at = Some(value);
            }
            if ix + 1 == shape.partition {
                partition_bytes = key.len() - rest.len();
            }
        }
        if !rest.is_empty() || cells.len() != shape.slots.len() {
            return Err(StoreError::Refused(format!("a row of {} does not have the declared columns", shape.table)));
        }
        // Each part of a partition key of several columns takes three bytes more.
        if partition_bytes + 3 * shape.partition > KEY_MAX_BYTES {
            return Err(too_long(shape, "the partition key", partition_bytes));
        }
        let mut bytes = key.len() + 8 + 4 * (shape.key.len() + cells.len());
        for (slot, cell) in shape.slots.iter().zip(cells) {
            bytes += size(*slot, cell).ok_or_else(|| unfit(shape, slot.column.name))?;
        }
        if let WrittenAt::Slot(ix) = shape.written_at
            && let Cell::Int(value) = cells[ix]
        {
            written_at = Some(value);
        }
        let without_time = || StoreError::Refused(format!("a row of {} does not say when it was written", shape.table));
        Ok(Self { shape, key, cells, written_at: written_at.ok_or_else(without_time)?, partition_bytes, bytes })
    }

    /// The bytes of the partition key: equal for rows of one partition.
    pub(crate) fn partition(&self) -> &'a [u8] {
        &self.key[..self.partition_bytes]
    }

    fn write(&self, writer: &mut RowWriter<'_>) -> Result<(), Misfit> {
        let mut key = self.key;
        for column in &self.shape.key {
            let cell = writer.make_cell_writer();
            match take_key_part(column.ty, &mut key).ok_or(Misfit)? {
                KeyPart::Text(text) => cell.set_value(text.as_bytes()),
                KeyPart::Int(value) => cell.set_value(&value.to_be_bytes()),
                KeyPart::Uuid(uuid) => cell.set_value(uuid.as_bytes()),
            }
            .map_err(|_| Misfit)?;
        }
        for value in self.cells {
            let cell = writer.make_cell_writer();
            match value {
                Cell::Null => Ok(cell.set_unset()),
                Cell::Int(value) => cell.set_value(&value.to_be_bytes()),
                Cell::Double(value) => cell.set_value(&value.to_bits().to_be_bytes()),
                Cell::Text(text) => cell.set_value(text.as_bytes()),
                Cell::Bytes(bytes) => cell.set_value(bytes),
                Cell::Uuid(uuid) => cell.set_value(uuid.as_bytes()),
            }
            .map_err(|_| Misfit)?;
        }
        writer.make_cell_writer().set_value(&self.written_at.to_be_bytes()).map_err(|_| Misfit)?;
        Ok(())
    }
}

impl SerializeRow for RowRef<'_> {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        if context.columns().len() != self.shape.key.len() + self.cells.len() + 1 {
            return Err(SerializationError::new(Misfit));
        }
        self.write(writer).map_err(SerializationError::new)
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// A row that does not fit the statement. [`RowRef::new`] lets none pass.
#[derive(Debug, thiserror::Error)]
#[error("the row does not fit its table")]
struct Misfit;

/// What a cell takes, with the timestamp that the nodes keep beside it; none where it does not fit the column.
fn size(slot: Slot, cell: &Cell) -> Option<usize> {
    match (slot.ty(), cell) {
        (_, Cell::Null) => Some(0),
        (Type::Int | Type::TimeUs | Type::Fixed, Cell::Int(_)) | (Type::Double, Cell::Double(_)) => Some(8 + 8),
        (Type::Text | Type::Json, Cell::Text(text)) => Some(8 + text.len()),
        (Type::Bytes | Type::Bits, Cell::Bytes(bytes)) => Some(8 + bytes.len()),
        (Type::Uuid, Cell::Uuid(_)) => Some(8 + 16),
        _ => None,
    }
}

fn unfit(shape: &Shape, column: &str) -> StoreError {
    StoreError::Refused(format!("a row of {} does not fit the column {column}", shape.table))
}

fn too_long(shape: &Shape, column: &str, bytes: usize) -> StoreError {
    StoreError::Refused(format!(
        "{column} of a row of {} has {bytes} bytes: the nodes take {KEY_MAX_BYTES} in a key",
        shape.table
    ))
}

/// Reads a row: the key's columns, then the slots.
pub(crate) fn read_row(shape: &Shape, columns: ColumnIterator<'_, '_>) -> Result<StoredRow, StoreError> {
    let broken =
        |what: &dyn std::fmt::Display| StoreError::Fatal(format!("a row of {} cannot be read: {what}", shape.table));
    let mut key = Vec::with_capacity(64);
    let mut cells = Vec::with_capacity(shape.slots.len());
    let mut columns = columns.map(|column| column.map(|column| column.slice.map(|slice| slice.as_slice())));
    for column in &shape.key {
        let value = columns.next().transpose().map_err(|error| broken(&error))?.flatten();
        value.and_then(|value| read_key(column.ty, value, &mut key)).ok_or_else(|| broken(&column.name))?;
    }
    for slot in &shape.slots {
        let value = columns.next().transpose().map_err(|error| broken(&error))?.flatten();
        let cell = value.map_or(Some(Cell::Null), |value| read_cell(slot.ty(), value));
        cells.push(cell.ok_or_else(|| broken(&slot.name()))?);
    }
    Ok(StoredRow { key, part: None, cells })
}

fn read_key(ty: KeyType, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut key = KeyWriter::new(out);
    match ty {
        KeyType::Text => key.text(std::str::from_utf8(value).ok()?),
        KeyType::Int | KeyType::TimeUs => key.int(i64::from_be_bytes(value.try_into().ok()?)),
        KeyType::Uuid => key.uuid(Uuid::from_slice(value).ok()?),
    };
    Some(())
}

fn read_cell(ty: Type, value: &[u8]) -> Option<Cell> {
    Some(match ty {
        Type::Int | Type::TimeUs | Type::Fixed => Cell::Int(i64::from_be_bytes(value.try_into().ok()?)),
        Type::Double => Cell::Double(f64::from_bits(u64::from_be_bytes(value.try_into().ok()?))),
        Type::Text | Type::Json => Cell::Text(std::str::from_utf8(value).ok()?.to_owned()),
        Type::Bytes | Type::Bits => Cell::Bytes(value.to_vec()),
        Type::Uuid => Cell::Uuid(Uuid::from_slice(value).ok()?),
    })
}
