//! Physical names and DDL, from the declarations.
//!
//! The migrations are hand-kept SQL; a test holds them against what is generated here, so that tables built from
//! declarations (tests, a projection's next version) and tables built by migrations are the same.

pub use domain::projection::physical_name;
use domain::table::{KeyType, Table, Type};
use std::fmt::Write;

/// The SQLite type of a key column.
pub(super) const fn key_type(ty: KeyType) -> &'static str {
    match ty {
        KeyType::Text => "TEXT",
        KeyType::Int | KeyType::TimeUs => "INTEGER",
        KeyType::Uuid => "BLOB",
    }
}

/// The SQLite type of a value column.
pub(super) const fn value_type(ty: Type) -> &'static str {
    match ty {
        Type::Text | Type::Json => "TEXT",
        Type::Int | Type::TimeUs | Type::Fixed => "INTEGER",
        Type::Double => "REAL",
        Type::Bytes | Type::Bits | Type::Uuid => "BLOB",
    }
}

/// Whether rows are narrow enough to lie in the primary key's tree itself (WITHOUT ROWID): one tree to write
/// instead of two. Wide rows would make that tree's pages hold few keys, so they lie in a tree of their own,
/// which grows at its end; the boundary is measured by the store's benchmark.
pub(super) fn clustered(table: &Table) -> bool {
    table.slots().count() <= 10 && !table.has_state()
}

/// The statement that creates a table, with the declaration's sentences as comments.
#[must_use]
pub fn table_ddl(name: &str, table: &Table) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    for column in table.stored_key() {
        lines.push((format!("{} {} NOT NULL", column.name, key_type(column.ty)), column.doc.to_owned()));
    }
    for slot in table.slots() {
        lines.push((format!("{} {}", slot.name(), value_type(slot.ty())), slot.doc()));
    }
    let mut sql = format!("-- {}\nCREATE TABLE {name} (\n", table.doc);
    for (line, doc) in &lines {
        let _ = writeln!(sql, "    {:<36} -- {doc}", format!("{line},"));
    }
    let key: Vec<&str> = table.stored_key().map(|column| column.name).collect();
    let options = if clustered(table) { "STRICT, WITHOUT ROWID" } else { "STRICT" };
    let _ = write!(sql, "    PRIMARY KEY ({})\n) {options};\n", key.join(", "));
    sql
}
