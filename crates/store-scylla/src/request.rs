//! Statements, from the declarations.

use crate::schema::layout;
use domain::table::{KeyColumn, Slot, Table};

/// What is known of a table before any statement is prepared.
#[derive(Debug)]
pub(crate) struct Shape {
    /// The table's plain name.
    pub table: &'static str,
    /// The declared key.
    pub key: Vec<&'static KeyColumn>,
    /// The value columns.
    pub slots: Vec<Slot>,
    /// How many columns of the key are the partition key.
    pub partition: usize,
    /// Where the write timestamp lies.
    pub written_at: WrittenAt,
    /// The statement that writes a row: its key, its slots, its write timestamp.
    pub insert: String,
    /// The statement that reads the rows of a range of tokens: `(start, end]`.
    pub scan: String,
}

/// Where the write timestamp of a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrittenAt {
    /// In this column of the key.
    Key(usize),
    /// In this slot.
    Slot(usize),
}

impl Shape {
    /// The shape of a table whose physical name, with its keyspace, begins with `prefix`; none for a table that cannot
    /// be written here.
    pub(crate) fn new(prefix: &str, table: &'static Table) -> Option<Self> {
        let layout = layout(table).filter(|_| !table.partial)?;
        let key: Vec<&'static KeyColumn> = table.key.iter().collect();
        let slots: Vec<Slot> = table.slots().collect();
        let in_key = key.iter().position(|column| column.name == layout.written_at).map(WrittenAt::Key);
        let in_slots = || slots.iter().position(|slot| slot.name() == layout.written_at).map(WrittenAt::Slot);
        let written_at = in_key.or_else(in_slots)?;
        let names: Vec<String> =
            key.iter().map(|column| column.name.to_owned()).chain(slots.iter().map(Slot::name)).collect();
        let partition: Vec<&str> = key[..layout.partition].iter().map(|column| column.name).collect();
        let (name, partition, columns) = (format!("{prefix}{}", table.name), partition.join(", "), names.join(", "));
        let marks = vec!["?"; names.len()].join(", ");
        Some(Self {
            table: table.name,
            partition: layout.partition,
            insert: format!("INSERT INTO {name} ({columns}) VALUES ({marks}) USING TIMESTAMP ?"),
            scan: format!("SELECT {columns} FROM {name} WHERE token({partition}) > ? AND token({partition}) <= ?"),
            key,
            slots,
            written_at,
        })
    }
}
