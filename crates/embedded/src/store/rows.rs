//! Cells and keys to and from SQLite. Values are bound as they lie, without copies of our own.

use domain::cell::{Cell, KeyPart, KeyWriter, take_key_part};
use domain::table::{KeyColumn, Slot, Type};
use pipeline::StoreError;
use rusqlite::types::{ToSql, ToSqlOutput, Type as SqlType, ValueRef};
use rusqlite::{Error, Result, Row, Statement};
use uuid::Uuid;

use super::error::store_error;

struct CellRef<'a>(&'a Cell);

impl ToSql for CellRef<'_> {
    #[inline]
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Cell::Null => ValueRef::Null,
            Cell::Int(value) => ValueRef::Integer(*value),
            Cell::Double(value) => ValueRef::Real(*value),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Bytes(bytes) => ValueRef::Blob(bytes),
            Cell::Uuid(uuid) => ValueRef::Blob(uuid.as_bytes()),
        }))
    }
}

/// Binds a key's columns from its bytes, from parameter 1 on; gives back the next parameter.
pub(super) fn bind_key(
    statement: &mut Statement<'_>,
    columns: &[&'static KeyColumn],
    mut key: &[u8],
) -> std::result::Result<usize, StoreError> {
    for (ix, column) in columns.iter().enumerate() {
        let bound = match take_key_part(column.ty, &mut key) {
            Some(KeyPart::Text(text)) => statement.raw_bind_parameter(ix + 1, text),
            Some(KeyPart::Int(value)) => statement.raw_bind_parameter(ix + 1, value),
            Some(KeyPart::Uuid(uuid)) => statement.raw_bind_parameter(ix + 1, &uuid.as_bytes()[..]),
            None => return Err(StoreError::Refused(format!("a row's key does not fit the column {}", column.name))),
        };
        bound.map_err(|error| store_error(&error))?;
    }
    if !key.is_empty() {
        return Err(StoreError::Refused(format!("a row's key has {} bytes too many", key.len())));
    }
    Ok(columns.len() + 1)
}

/// Binds cells, from parameter `first` on.
pub(super) fn bind_cells<'c>(
    statement: &mut Statement<'_>,
    first: usize,
    cells: impl Iterator<Item = &'c Cell>,
) -> Result<()> {
    for (ix, cell) in cells.enumerate() {
        statement.raw_bind_parameter(first + ix, CellRef(cell))?;
    }
    Ok(())
}

/// Reads a row's cells, from column `first` on.
pub(super) fn read_cells(row: &Row<'_>, first: usize, slots: &[Slot]) -> Result<Vec<Cell>> {
    slots.iter().enumerate().map(|(ix, slot)| read_cell(row, first + ix, slot.ty())).collect()
}

fn read_cell(row: &Row<'_>, ix: usize, ty: Type) -> Result<Cell> {
    let cell = match (ty, row.get_ref(ix)?) {
        (_, ValueRef::Null) => Cell::Null,
        (Type::Int | Type::TimeUs | Type::Fixed, ValueRef::Integer(value)) => Cell::Int(value),
        (Type::Double, ValueRef::Real(value)) => Cell::Double(value),
        (Type::Text | Type::Json, ValueRef::Text(text)) => Cell::Text(utf8(ix, text)?.to_owned()),
        (Type::Bytes | Type::Bits, ValueRef::Blob(bytes)) => Cell::Bytes(bytes.to_vec()),
        (Type::Uuid, ValueRef::Blob(bytes)) => Cell::Uuid(uuid(ix, bytes)?),
        (_, other) => return Err(unfit(row, ix, other)),
    };
    Ok(cell)
}

/// Appends the canonical bytes of a row's key columns, read from column `first` on.
pub(super) fn read_key(row: &Row<'_>, first: usize, columns: &[&'static KeyColumn], out: &mut Vec<u8>) -> Result<()> {
    let mut key = KeyWriter::new(out);
    for (ix, column) in columns.iter().enumerate() {
        let ix = first + ix;
        let value = row.get_ref(ix)?;
        let cell = match value {
            ValueRef::Integer(value) => Cell::Int(value),
            ValueRef::Text(text) => {
                if column.ty == domain::table::KeyType::Text {
                    key.text(utf8(ix, text)?);
                    continue;
                }
                Cell::Null
            }
            ValueRef::Blob(bytes) => Cell::Uuid(uuid(ix, bytes)?),
            _ => Cell::Null,
        };
        if key.cell(column, &cell).is_none() {
            return Err(unfit(row, ix, value));
        }
    }
    Ok(())
}

fn utf8(ix: usize, text: &[u8]) -> Result<&str> {
    std::str::from_utf8(text).map_err(|error| Error::FromSqlConversionFailure(ix, SqlType::Text, Box::new(error)))
}

fn uuid(ix: usize, bytes: &[u8]) -> Result<Uuid> {
    Uuid::from_slice(bytes).map_err(|error| Error::FromSqlConversionFailure(ix, SqlType::Blob, Box::new(error)))
}

fn unfit(row: &Row<'_>, ix: usize, value: ValueRef<'_>) -> Error {
    let name = row.as_ref().column_name(ix).map_or_else(|_| String::new(), str::to_owned);
    Error::InvalidColumnType(ix, name, value.data_type())
}
