//! The first logical row in which two snapshots differ.

use super::error::Sorted;
use super::reader::{LogicalRows, RowReader, Snapshot};
use domain::Projection;
use domain::cell::{Cell, KeyPart, take_key_part};
use domain::digest::LogicalRow;
use domain::table::Table;
use pipeline::StoreError;
use std::cmp::Ordering;
use std::fmt::{self, Write};

/// Bytes of a value that are shown before it is cut.
const SHOWN: usize = 64;

/// The first difference between two stores of the same table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The bytes of the row's declared key.
    pub row: Vec<u8>,
    /// The row's key, as readable columns.
    pub key: String,
    /// The first column that differs; none where one side has no such row.
    pub column: Option<String>,
    /// The left value, or `no row`.
    pub left: String,
    /// The right value, or `no row`.
    pub right: String,
}

impl Difference {
    /// The same, seen from the other side.
    #[must_use]
    pub fn swapped(mut self) -> Self {
        std::mem::swap(&mut self.left, &mut self.right);
        self
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.table, self.key)?;
        if let Some(column) = &self.column {
            write!(f, " {column}")?;
        }
        write!(f, ": {} against {}", self.left, self.right)
    }
}

/// Compares a table in two snapshots by a merge join over their logical rows, in bounded memory. Each side
/// names the projection under which it holds the table, so that two versions can be compared.
pub fn diff(
    left: (&Snapshot, &Projection),
    right: (&Snapshot, &Projection),
    table: &'static Table,
) -> Result<Option<Difference>, StoreError> {
    join(left, right, table, false)
}

/// The first row on the left that is not on the right just so; rows that are on the right only do not count.
pub fn missing(
    left: (&Snapshot, &Projection),
    right: (&Snapshot, &Projection),
    table: &'static Table,
) -> Result<Option<Difference>, StoreError> {
    join(left, right, table, true)
}

fn join(
    left: (&Snapshot, &Projection),
    right: (&Snapshot, &Projection),
    table: &'static Table,
    right_may_have_more: bool,
) -> Result<Option<Difference>, StoreError> {
    let reader = RowReader::new(table);
    let mut left_statement = left.0.connection().prepare(&reader.scan_sql(left.1)).sorted()?;
    let mut right_statement = right.0.connection().prepare(&reader.scan_sql(right.1)).sorted()?;
    let mut left_rows = LogicalRows::new(table, left_statement.query([]).sorted()?);
    let mut right_rows = LogicalRows::new(table, right_statement.query([]).sorted()?);
    loop {
        let (left, mut right) = (left_rows.next()?, right_rows.next()?);
        if right_may_have_more {
            let Some(left) = &left else { return Ok(None) };
            while right.as_ref().is_some_and(|right| right.key < left.key) {
                right = right_rows.next()?;
            }
        }
        if left.is_none() && right.is_none() {
            return Ok(None);
        }
        let found = compare(table, left.as_ref(), right.as_ref());
        if found.is_some() {
            return Ok(found);
        }
    }
}

/// Both sides were equal so far, so the smaller key is the one that the other side lacks.
fn compare(table: &'static Table, left: Option<&LogicalRow>, right: Option<&LogicalRow>) -> Option<Difference> {
    let order = match (left, right) {
        (Some(left), Some(right)) => left.key.cmp(&right.key),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => return None,
    };
    let (here, gone) = ("a row".to_owned(), "no row".to_owned());
    let row = if order == Ordering::Greater { right? } else { left? };
    let key = show_key(table, &row.key);
    let missing = |left, right| {
        Some(Difference { table: table.name, row: row.key.clone(), key: key.clone(), column: None, left, right })
    };
    match order {
        Ordering::Less => missing(here, gone),
        Ordering::Greater => missing(gone, here),
        Ordering::Equal => {
            let other = right?;
            // Compared by canonical form, as the digest does: 0.0 and -0.0 differ, NaN equals itself.
            let ix = (0..row.cells.len()).find(|ix| canonical(&row.cells[*ix]) != canonical(&other.cells[*ix]))?;
            let column = table.slots().nth(ix).map(|slot| slot.name());
            let (left, right) = (show(&row.cells[ix]), show(&other.cells[ix]));
            Some(Difference { table: table.name, row: row.key.clone(), key: key.clone(), column, left, right })
        }
    }
}

fn canonical(cell: &Cell) -> Vec<u8> {
    let mut bytes = Vec::new();
    cell.encode(&mut bytes);
    bytes
}

fn show_key(table: &Table, mut key: &[u8]) -> String {
    let mut text = String::new();
    for column in table.key {
        let separator = if text.is_empty() { "" } else { ", " };
        let Some(part) = take_key_part(column.ty, &mut key) else { break };
        let _ = match part {
            KeyPart::Text(value) => write!(text, "{separator}{} = {value:?}", column.name),
            KeyPart::Int(value) => write!(text, "{separator}{} = {value}", column.name),
            KeyPart::Uuid(value) => write!(text, "{separator}{} = {value}", column.name),
        };
    }
    text
}

fn show(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Int(value) => value.to_string(),
        Cell::Double(value) => format!("{value:?}"),
        Cell::Text(text) if text.len() > SHOWN => {
            let cut: String = text.chars().take(SHOWN).collect();
            format!("{cut:?}... ({} bytes)", text.len())
        }
        Cell::Text(text) => format!("{text:?}"),
        Cell::Bytes(bytes) => {
            let hex: String = bytes.iter().take(SHOWN / 2).map(|byte| format!("{byte:02x}")).collect();
            if bytes.len() > SHOWN / 2 { format!("x'{hex}'... ({} bytes)", bytes.len()) } else { format!("x'{hex}'") }
        }
        Cell::Uuid(uuid) => uuid.to_string(),
    }
}
