//! Physical names, the shape of primary keys, and DDL from the declarations.
//!
//! A declaration states a row's key in order. What a partition of this store is (which of those columns, from the
//! first on, rows share that lie together), which way they are clustered, and which column holds the event's time is
//! stated here, table by table.

pub use domain::projection::physical_name;
use domain::table::{KeyType, Table, Type};
use std::fmt::Write;

/// How a declared table lies in this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How many columns of the key, from the first on, are the partition key.
    pub partition: usize,
    /// The clustering column that runs from the newest to the oldest, if one does.
    pub newest_first: Option<&'static str>,
    /// The column of the key or among the values that holds the event's `occurred_at`: the write timestamp (I4).
    pub written_at: &'static str,
}

const fn layout_of(partition: usize, newest_first: Option<&'static str>, written_at: &'static str) -> Layout {
    Layout { partition, newest_first, written_at }
}

/// How the records lie.
const RECORDS: [(&str, Layout); 4] = [
    ("spores", layout_of(2, None, "created_at")),
    ("spores_by_day", layout_of(3, Some("created_at"), "created_at")),
    ("spore_path", layout_of(2, None, "propagated_at")),
    ("interactions", layout_of(3, Some("interaction_time"), "interaction_time")),
];

/// How a table lies. A table that is not one of the records is partitioned by its first two columns and written with
/// the first time that it declares; none where it declares no time: such a table cannot be written here.
#[must_use]
pub fn layout(table: &'static Table) -> Option<Layout> {
    if let Some((_, layout)) = RECORDS.iter().find(|(name, _)| *name == table.name) {
        return Some(*layout);
    }
    let key = table.key.iter().filter(|column| column.ty == KeyType::TimeUs).map(|column| column.name);
    let values = table.columns.iter().filter(|column| column.ty == Type::TimeUs).map(|column| column.name);
    let written_at = key.chain(values).next()?;
    Some(layout_of(table.key.len().min(2), None, written_at))
}

/// The CQL type of a key column.
pub(crate) const fn key_type(ty: KeyType) -> &'static str {
    match ty {
        KeyType::Text => "text",
        KeyType::Int | KeyType::TimeUs => "bigint",
        KeyType::Uuid => "uuid",
    }
}

/// The CQL type of a value column.
pub(crate) const fn value_type(ty: Type) -> &'static str {
    match ty {
        Type::Text | Type::Json => "text",
        Type::Int | Type::TimeUs | Type::Fixed => "bigint",
        Type::Double => "double",
        Type::Bytes | Type::Bits => "blob",
        Type::Uuid => "uuid",
    }
}

/// The statement that creates a table where it is not there, with the declaration's sentences as comments; none for a
/// table that cannot be written here.
#[must_use]
pub fn table_ddl(name: &str, table: &'static Table) -> Option<String> {
    let layout = layout(table)?;
    let key = table.stored_key().map(|column| (column.name.to_owned(), key_type(column.ty), column.doc.to_owned()));
    let slots = table.slots().map(|slot| (slot.name(), value_type(slot.ty()), slot.doc()));
    let mut cql = format!("-- {}\nCREATE TABLE IF NOT EXISTS {name} (\n", table.doc);
    for (column, ty, doc) in key.chain(slots) {
        let _ = writeln!(cql, "    {:<28} -- {doc}", format!("{column} {ty},"));
    }
    let names: Vec<&str> = table.stored_key().map(|column| column.name).collect();
    let (partition, clustering) = names.split_at(layout.partition);
    let clustering: String = clustering.iter().map(|name| format!(", {name}")).collect();
    let _ = write!(cql, "    PRIMARY KEY (({}){clustering})\n) WITH ", partition.join(", "));
    if let Some(order) = clustering_order(layout, &names) {
        let _ = write!(cql, "CLUSTERING ORDER BY ({order})\n  AND ");
    }
    let _ = writeln!(cql, "comment = '{}';", table.doc.replace('\'', "''"));
    Some(cql)
}

fn clustering_order(layout: Layout, key: &[&str]) -> Option<String> {
    let newest_first = layout.newest_first?;
    let way = |name: &&str| format!("{name} {}", if *name == newest_first { "DESC" } else { "ASC" });
    Some(key[layout.partition..].iter().map(way).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::fold::records::RECORDS as PROJECTION;

    #[test]
    fn every_record_has_a_layout_that_fits_its_declaration() {
        assert_eq!(PROJECTION.tables.len(), RECORDS.len());
        for table in PROJECTION.tables {
            let (_, layout) = RECORDS.iter().find(|(name, _)| *name == table.name).unwrap();
            assert!(layout.partition <= table.key.len(), "{}", table.name);
            let clustering = &table.key[layout.partition..];
            assert!(layout.newest_first.is_none_or(|name| clustering.iter().any(|column| column.name == name)));
            let key = table.key.iter().any(|c| c.name == layout.written_at && c.ty == KeyType::TimeUs);
            let value = table.columns.iter().any(|c| c.name == layout.written_at && c.ty == Type::TimeUs);
            assert!(key || value, "{} has no time {}", table.name, layout.written_at);
        }
    }
}
