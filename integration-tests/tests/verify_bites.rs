//! I1: what is stored is a function of the log, and whoever changes it is found out.
//!
//! `verify` after a change by hand: whatever cell, row or count is touched, the exit status is 1 and the row is named.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use domain::projection::PROJECTIONS;
use domain::table::Table;
use domain::{Projection, Topic};
use embedded::store::physical_name;
use integration_tests::workload::Workload;
use integration_tests::{Sporelog, text};
use rusqlite::Connection;
use rusqlite::types::Value;

/// A folder in which every table has rows.
fn filled() -> Sporelog {
    let folder = Sporelog::new();
    folder.append(Workload::mixed(1_500, 3).records);
    folder.settle(&[]);
    assert_eq!(folder.digests().len(), tables().len());
    folder
}

fn tables() -> Vec<(&'static Projection, &'static Table)> {
    PROJECTIONS.iter().flat_map(|projection| projection.tables.iter().map(move |table| (*projection, *table))).collect()
}

fn store(folder: &Sporelog) -> Connection {
    let store = Connection::open(folder.dir().join(embedded::store::STORE_FILE)).unwrap();
    // The process would have taken what lies in the write-ahead log; so does this connection.
    store.pragma_update(None, "foreign_keys", false).unwrap();
    store
}

/// A row that holds something in the column.
struct Target {
    /// The columns of its key and their values, in order.
    key: Vec<(&'static str, Value)>,
    value: Value,
}

fn target(store: &Connection, physical: &str, table: &Table, column: &str) -> Option<Target> {
    let names: Vec<_> = table.key.iter().map(|key| key.name).collect();
    let (list, width) = (names.join(", "), names.len());
    // From the middle, so that it is not the first row by chance.
    let sql = format!(
        "SELECT {list}, {column} FROM {physical} WHERE {column} IS NOT NULL \
         LIMIT 1 OFFSET (SELECT count({column}) / 2 FROM {physical})"
    );
    let row = |row: &rusqlite::Row<'_>| {
        let key =
            names.iter().enumerate().map(|(ix, name)| Ok((*name, row.get(ix)?))).collect::<rusqlite::Result<_>>()?;
        Ok(Target { key, value: row.get(width)? })
    };
    match store.query_row(&sql, [], row) {
        Ok(target) => Some(target),
        Err(rusqlite::Error::QueryReturnedNoRows) => None,
        Err(error) => panic!("{sql}: {error}"),
    }
}

impl Target {
    fn condition(&self) -> String {
        let columns: Vec<_> =
            self.key.iter().enumerate().map(|(ix, (name, _))| format!("{name} = ?{}", ix + 1)).collect();
        columns.join(" AND ")
    }

    fn values(&self) -> Vec<Value> {
        self.key.iter().map(|(_, value)| value.clone()).collect()
    }

    /// The texts of the key that the message must name, beside the tenant.
    fn texts(&self) -> Vec<String> {
        let text = |(_, value): &(&str, Value)| match value {
            Value::Text(text) => Some(text.clone()),
            Value::Blob(uuid) => uuid::Uuid::from_slice(uuid).ok().map(|uuid| uuid.to_string()),
            _ => None,
        };
        self.key.iter().filter_map(text).collect()
    }
}

fn other(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Integer(value) => Value::Integer(value + 1),
        Value::Real(value) => Value::Real(value + 0.5),
        Value::Text(value) => Value::Text(format!("{value}, changed")),
        Value::Blob(value) => Value::Blob(value.iter().map(|byte| !byte).collect()),
    }
}

/// Runs `verify`, which must fail; gives what it printed.
fn bitten(folder: &Sporelog, projection: &str) -> String {
    let output = folder.run(&["verify", "--projection", projection]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}\n{}", text(&output.stderr));
    printed
}

/// The line that names the row.
fn named(printed: &str, table: &Table, target: &Target, more: &str) {
    let line = printed.lines().find(|line| line.contains(&format!("folded again: {} [", table.name)));
    let line = line.unwrap_or_else(|| panic!("no row of {} is named in:\n{printed}", table.name));
    for part in target.texts().iter().map(String::as_str).chain([more]) {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

#[test]
fn one_changed_cell_in_any_table_is_named() {
    let (original, folder) = (filled(), Sporelog::new());
    let mut changed = 0;
    for (projection, table) in tables() {
        folder.restore(&original);
        let physical = physical_name(projection, table);
        let column = {
            let store = store(&folder);
            let names = table.columns.iter().map(|column| column.name);
            let found = names.clone().find_map(|name| Some((name, target(&store, &physical, table, name)?)));
            let (name, target) = found.unwrap_or_else(|| panic!("{physical} is empty"));
            let mut values = target.values();
            values.push(other(&target.value));
            let sql = format!("UPDATE {physical} SET {name} = ?{} WHERE {}", values.len(), target.condition());
            assert!(store.execute(&sql, rusqlite::params_from_iter(values)).unwrap() >= 1);
            (name, target)
        };
        named(&bitten(&folder, projection.name), table, &column.1, column.0);
        changed += 1;
    }
    assert_eq!(changed, tables().len());
    integration_tests::say!("one cell changed in each of {changed} tables: each named by verify");
}

#[test]
fn a_row_that_is_gone_or_invented_is_named() {
    let (original, folder) = (filled(), Sporelog::new());
    for (projection, table) in tables() {
        let physical = physical_name(projection, table);
        let first = table.columns[0].name;

        folder.restore(&original);
        let gone = {
            let store = store(&folder);
            let gone = target(&store, &physical, table, first).unwrap();
            let sql = format!("DELETE FROM {physical} WHERE {}", gone.condition());
            assert!(store.execute(&sql, rusqlite::params_from_iter(gone.values())).unwrap() >= 1);
            gone
        };
        let printed = bitten(&folder, projection.name);
        named(&printed, table, &gone, "no row against a row");
        assert!(printed.contains("is missing") || printed.contains("events write this row, from"), "{printed}");

        folder.restore(&original);
        let twin = {
            let store = store(&folder);
            let mut twin = target(&store, &physical, table, first).unwrap();
            let statement = store.prepare(&format!("SELECT * FROM {physical}")).unwrap();
            let copied = statement.column_names().map(|name| if name == "tenant" { "'other'" } else { name });
            let copied = copied.collect::<Vec<_>>().join(", ");
            let sql =
                format!("INSERT INTO {physical} SELECT {copied} FROM {physical} WHERE {} LIMIT 1", twin.condition());
            assert_eq!(store.execute(&sql, rusqlite::params_from_iter(twin.values())).unwrap(), 1);
            twin.key[0].1 = Value::Text("other".to_owned());
            twin
        };
        let printed = bitten(&folder, projection.name);
        named(&printed, table, &twin, "a row against no row");
        assert!(printed.contains("no event in the log writes this row"), "{printed}");
    }
}

/// A store whose `contact` lacks what the last interaction added, though the position says that it was applied.
#[test]
fn the_event_that_a_row_lacks_is_named() {
    let folder = Sporelog::new();
    let mut records = Workload::mixed(1_500, 3).records;
    let last = records.iter().rposition(|record| record.topic == Topic::SacredMessages).unwrap();
    let last = records.remove(last);
    let id = codec::Schemas::embedded().unwrap().decode(&last.value).unwrap().meta().event_id.to_string();
    folder.append(records);
    folder.settle(&[]);
    let before = folder.copy();
    folder.append(vec![last]);
    folder.settle(&[]);
    {
        let store = store(&folder);
        let file = before.dir().join(embedded::store::STORE_FILE);
        store.execute("ATTACH DATABASE ?1 AS before", [file.to_string_lossy()]).unwrap();
        let replace =
            "DELETE FROM views_v1_contact; INSERT INTO views_v1_contact SELECT * FROM before.views_v1_contact";
        store.execute_batch(replace).unwrap();
    }
    let printed = bitten(&folder, "views");
    let lacks = |line: &str| line.contains("had not been applied") || line.contains("is missing");
    assert!(printed.lines().any(|line| lacks(line) && line.contains(&id)), "{id}: {printed}");
}

#[test]
fn a_changed_account_is_named() {
    let (original, folder) = (filled(), Sporelog::new());
    for change in
        ["applied = applied + 1", "duplicate = duplicate + 1, applied = applied - 1", "next_offset = next_offset - 1"]
    {
        for projection in ["views", "series"] {
            folder.restore(&original);
            let sql = format!(
                "UPDATE position SET {change} WHERE projection = ?1 AND topic = 'sacred.messages' AND partition = 0"
            );
            assert_eq!(store(&folder).execute(&sql, [projection]).unwrap(), 1);
            let printed = bitten(&folder, projection);
            assert!(printed.contains("the account of sacred.messages/0 differs"), "{printed}");
        }
    }
}

#[test]
fn unchanged_it_passes_beside_a_running_process_too() {
    let folder = filled();
    let at_rest = folder.digests();
    let _running = folder.up_ready(&[]);
    assert_eq!(folder.digests(), at_rest);
}

/// As in `sporelog verify | head -1`.
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = filled();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = folder.command(&["verify"]).stdout(writer).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
}
