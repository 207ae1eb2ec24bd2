//! Snapshots: digests, positions of the same moment, and the first difference.

use super::*;
use domain::digest::Digest;
use domain::table::{KeyType, Type};
use testkit::store_suite::logical;
use uuid::Uuid;

/// Two rows in every table of a projection, each column filled; partial tables get two parts of each row.
fn filled(projection: &'static Projection) -> Deltas {
    let mut deltas = Deltas::new(projection.tables);
    for (table, n, partition) in
        projection.tables.iter().flat_map(|table| [(table, 1, 0), (table, 2, 0), (table, 2, 1)])
    {
        deltas.set_scope(TopicPartition::new(Topic::SacredMessages, partition));
        let mut row = deltas.row(table, |key| {
            for column in table.key {
                match column.ty {
                    KeyType::Text => key.text(["", "one", "two"][n]),
                    KeyType::Int | KeyType::TimeUs => key.int(n as i64),
                    KeyType::Uuid => key.uuid(Uuid::from_u128(n as u128)),
                };
            }
        });
        for column in table.columns {
            let value = match column.ty {
                Type::Text | Type::Json => Cell::Text(format!("{n}")),
                Type::Int | Type::TimeUs | Type::Fixed => Cell::Int(n as i64),
                Type::Double => Cell::Double(n as f64 / 4.0),
                Type::Bytes | Type::Bits => Cell::Bytes(vec![0, n as u8, 0, 0, 0, 0, 0, 0, 0]),
                Type::Uuid => Cell::Uuid(Uuid::from_u128(n as u128)),
            };
            if column.merge == Merge::Latest {
                let stamp = domain::stamp::Stamp::new(None, 1, n as i64, Uuid::nil());
                row.latest(column.name, value, &stamp);
            } else {
                row.merge(column.name, value);
            }
        }
    }
    for delta in deltas.tables_mut().iter_mut().filter(|delta| delta.table().has_state()) {
        (0..delta.len()).for_each(|ix| delta.complete_row(ix, None));
    }
    deltas
}

#[test]
fn a_snapshot_shows_the_rows_of_memory_and_their_digest() {
    for projection in PROJECTIONS {
        let (_held, mut store) = scratch();
        let deltas = filled(projection);
        put(&mut store, projection, &deltas);
        let snapshot = store.reader().unwrap();
        for table in projection.tables {
            let expected = logical(&deltas, table);
            assert_eq!(all_rows(&snapshot, projection, table), expected, "{}", table.name);
            let mut digest = Digest::default();
            expected.iter().for_each(|row| digest.add_row(table, row, &mut Vec::new()));
            assert_eq!(snapshot.digest(projection, table).unwrap(), digest, "{}", table.name);
            let mut parts = 0;
            let mut count = |row: pipeline::StoredRow| {
                parts += i32::from(row.part.is_some());
                Ok(())
            };
            snapshot.stored_rows(projection, table, &mut count).unwrap();
            assert_eq!(parts, if table.partial { 3 } else { 0 }, "{}", table.name);
        }
    }
}

#[test]
fn a_snapshot_holds_still() {
    let (_held, mut store) = scratch();
    let views = Projection::named("views").unwrap();
    let table = views.tables[0];
    put(&mut store, views, &Deltas::new(views.tables));
    let before = store.reader().unwrap();
    put(&mut store, views, &filled(views));
    let after = store.reader().unwrap();
    assert_eq!(before.digest(views, table).unwrap().rows, 0);
    assert_eq!(before.positions(views).unwrap()[0].position.next_offset, 1);
    assert_eq!(after.digest(views, table).unwrap().rows, 2);
    assert_eq!(after.positions(views).unwrap()[0].position.next_offset, 2);
}

/// Changes one cell of the second row of each table, then removes the row, and looks at what is named.
#[test]
fn the_first_difference_is_named() {
    for projection in PROJECTIONS {
        let (_left, mut store) = scratch();
        let (right, mut other) = scratch();
        let deltas = filled(projection);
        put(&mut store, projection, &deltas);
        put(&mut other, projection, &deltas);
        let left = store.reader().unwrap();
        for table in projection.tables {
            let found = diff((&left, projection), (&other.reader().unwrap(), projection), table).unwrap();
            assert_eq!(found, None);
            let slot = table.slots().last().unwrap();
            let (name, column) = (physical_name(projection, table), slot.name());
            let last_key = table.key[table.key.len() - 1].name;
            let connection = Connection::open(&right.path).unwrap();
            let second = format!("{last_key} = (SELECT max({last_key}) FROM {name})");
            connection.execute(&format!("UPDATE {name} SET {column} = NULL WHERE {second}"), []).unwrap();
            let found = diff((&left, projection), (&other.reader().unwrap(), projection), table).unwrap();
            let found = found.unwrap();
            assert_eq!((found.table, found.column.as_deref()), (table.name, Some(column.as_str())));
            assert!(found.key.contains(last_key) && found.key.contains('2') | found.key.contains("two"), "{found}");
            assert_eq!(found.right, "null");
            connection.execute(&format!("DELETE FROM {name} WHERE {second}"), []).unwrap();
            let found = diff((&left, projection), (&other.reader().unwrap(), projection), table).unwrap().unwrap();
            assert_eq!((found.column, found.left.as_str(), found.right.as_str()), (None, "a row", "no row"));
            let found = diff((&other.reader().unwrap(), projection), (&left, projection), table).unwrap().unwrap();
            assert_eq!((found.left.as_str(), found.right.as_str()), ("no row", "a row"));
        }
    }
}
