//! The migrated database against the declarations, and migrations down and up again.

use super::*;

/// A column as SQLite tells it: name, type, whether it may be null, place in the primary key (0: not in it).
type Shape = (String, String, bool, i64);

fn shape(connection: &Connection, table: &str) -> Vec<Shape> {
    let sql = "SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?) ORDER BY cid";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Whether a table is STRICT and WITHOUT ROWID.
fn options(connection: &Connection, table: &str) -> Option<(bool, bool)> {
    let sql = "SELECT strict, wr FROM pragma_table_list WHERE name = ? AND type = 'table'";
    connection.query_row(sql, [table], |row| Ok((row.get(0)?, row.get(1)?))).ok()
}

fn declared(table: &'static Table) -> Vec<Shape> {
    let key = table.stored_key().zip(1..);
    let key = key.map(|(column, place)| (column.name.to_owned(), schema::key_type(column.ty).to_owned(), true, place));
    let slots = table.slots().map(|slot| (slot.name(), schema::value_type(slot.ty()).to_owned(), false, 0));
    key.chain(slots).collect()
}

fn objects(connection: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE name <> 'migration' ORDER BY name";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

fn migrated() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate::up(&mut connection).unwrap();
    connection
}

#[test]
fn migrations_make_the_declared_tables() {
    let connection = migrated();
    for projection in PROJECTIONS {
        for table in projection.tables {
            let name = physical_name(projection, table);
            let options = options(&connection, &name);
            assert_eq!(options, Some((true, schema::clustered(table))), "{name}: (strict, without rowid)");
            let (expected, found) = (declared(table), shape(&connection, &name));
            for (ix, column) in expected.iter().enumerate() {
                assert_eq!(found.get(ix), Some(column), "table {name}, column {}", column.0);
            }
            assert_eq!(found.len(), expected.len(), "table {name} has columns that are not declared: {found:?}");
        }
    }
}

#[test]
fn migrations_make_no_other_tables() {
    let connection = migrated();
    let mut expected =
        ["dead_record", "position", "producer", "producer_block", "projection", "store"].map(str::to_owned).to_vec();
    for projection in PROJECTIONS {
        expected.extend(projection.tables.iter().map(|table| physical_name(projection, table)));
    }
    expected.sort();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'migration' ORDER BY name";
    let found: Vec<String> =
        connection.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(found, expected);
}

#[test]
fn tables_built_from_declarations_are_the_migrated_ones() {
    let generated = Connection::open_in_memory().unwrap();
    let connection = migrated();
    for projection in PROJECTIONS {
        for table in projection.tables {
            let name = physical_name(projection, table);
            generated.execute_batch(&super::super::table_ddl(&name, table)).unwrap();
            assert_eq!(shape(&generated, &name), shape(&connection, &name), "{name}");
            assert_eq!(options(&generated, &name), options(&connection, &name), "{name}");
        }
    }
}

#[test]
fn migrations_go_down_and_up_again() {
    let mut connection = migrated();
    let built = objects(&connection);
    for target in (0..=5).rev() {
        migrate::down(&mut connection, target).unwrap();
        let left: i64 = connection.query_row("SELECT count(*) FROM migration", [], |row| row.get(0)).unwrap();
        assert_eq!(left, target);
    }
    assert_eq!(objects(&connection), []);
    migrate::up(&mut connection).unwrap();
    assert_eq!(objects(&connection), built);
}

#[test]
fn an_edited_migration_is_refused() {
    let mut connection = migrated();
    connection.execute("UPDATE migration SET checksum = 'x' WHERE number = 3", []).unwrap();
    let error = migrate::up(&mut connection).unwrap_err();
    assert!(matches!(&error, StoreError::Fatal(text) if text.contains("0003_views")), "{error}");
}

#[test]
fn the_contract_shows_every_declared_column_without_stamps_and_states() {
    let connection = migrated();
    for projection in PROJECTIONS {
        for table in projection.tables {
            let columns = table.columns.iter().filter(|column| !matches!(column.merge, Merge::State(_)));
            let expected: Vec<&str> =
                table.key.iter().map(|column| column.name).chain(columns.map(|column| column.name)).collect();
            let found: Vec<String> = shape(&connection, table.name).into_iter().map(|column| column.0).collect();
            assert_eq!(found, expected, "view {}", table.name);
        }
    }
}
