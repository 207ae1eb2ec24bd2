//! Physical names and DDL, from the declarations.
//!
//! The migrations are hand-kept SQL; a test holds them against what is generated here, so that tables built from
//! declarations (tests, a projection's next version) and tables built by migrations are the same.

pub use domain::projection::physical_name;
use domain::table::{KeyColumn, KeyType, Merge, Table, Type};
use std::fmt::Write;

/// The type of a key column. Text compares by its bytes, as the keys of all stores do.
pub(crate) const fn key_type(ty: KeyType) -> &'static str {
    match ty {
        KeyType::Text => "text",
        KeyType::Int | KeyType::TimeUs => "bigint",
        KeyType::Uuid => "uuid",
    }
}

/// The type of a value column.
pub(crate) const fn value_type(ty: Type) -> &'static str {
    match ty {
        Type::Text => "text",
        Type::Json => "json",
        Type::Int | Type::TimeUs | Type::Fixed => "bigint",
        Type::Double => "double precision",
        Type::Bytes => "bytea",
        Type::Bits => "bit varying",
        Type::Uuid => "uuid",
    }
}

/// All text compares alike, so that any two columns can be joined.
fn collated(ty: &str) -> String {
    if ty == "text" { "text COLLATE \"C\"".to_owned() } else { ty.to_owned() }
}

/// The place, in the key, of the time by whose month a table is partitioned.
pub(crate) fn month_key(table: &Table) -> Option<usize> {
    let is_time =
        |column: &KeyColumn| column.ty == KeyType::TimeUs && matches!(column.name, "window_start" | "occurred_at");
    table.key.iter().position(is_time)
}

/// Whether rows change after they were written: then pages keep room for the next version of a row.
pub(crate) fn changes(table: &Table) -> bool {
    table.columns.iter().any(|column| column.merge != Merge::Once)
}

/// The columns of a key in front of its time, but for the tenant's members that are too many: what compressed rows of a
/// hypertable are grouped by.
fn segments(table: &Table, month: usize) -> String {
    let names: Vec<&str> = table.key[..month].iter().map(|column| column.name).collect();
    names.join(", ")
}

/// The statements that create a table: by month where its key has one.
#[must_use]
pub fn table_ddl(name: &str, table: &Table, hypertables: bool) -> String {
    let mut sql = format!("CREATE TABLE {name} (\n");
    for column in table.stored_key() {
        let _ = writeln!(sql, "    {} {} NOT NULL,", column.name, collated(key_type(column.ty)));
    }
    for slot in table.slots() {
        let _ = writeln!(sql, "    {} {},", slot.name(), collated(value_type(slot.ty())));
    }
    let key: Vec<&str> = table.stored_key().map(|column| column.name).collect();
    let _ = write!(sql, "    PRIMARY KEY ({})\n)", key.join(", "));
    match month_key(table) {
        Some(month) => {
            let (column, segments) = (table.key[month].name, segments(table, month));
            let partitioned = if hypertables { String::new() } else { format!(" PARTITION BY RANGE ({column})") };
            let _ = writeln!(sql, "{partitioned};\nSELECT store_by_month('{name}', '{column}', '{segments}');");
        }
        None if changes(table) => sql.push_str(" WITH (fillfactor = 85);\n"),
        None => sql.push_str(";\n"),
    }
    sql
}
