//! The migrated keyspace against the declarations, migrations down, up again and side by side, and questions.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod support;

use domain::fold::records::RECORDS;
use domain::table::{KeyType, Type};
use pipeline::{RecordStore, StoreError};
use scylla::client::session_builder::SessionBuilder;
use store_scylla::{Answer, ScyllaConfig, ScyllaStore, layout, migrate, physical_name, query_text};
use support::{Keyspace, config, events, on_keyspace, runtime};

async fn ask(config: &ScyllaConfig, cql: &str) -> Vec<Vec<String>> {
    let Answer { rows, more, .. } = query_text(config, cql, 10_000).await.unwrap();
    assert!(!more);
    rows.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect()
}

/// A column as the nodes tell it: name, type, kind, place in its part of the key, order.
type Shape = (String, &'static str, &'static str, String, &'static str);

fn declared(table: &'static domain::table::Table) -> Vec<Shape> {
    let layout = layout(table).unwrap();
    let key = table.stored_key().enumerate().map(|(ix, column)| {
        let ty = match column.ty {
            KeyType::Text => "text",
            KeyType::Int | KeyType::TimeUs => "bigint",
            KeyType::Uuid => "uuid",
        };
        let partition = ix < layout.partition;
        let kind = if partition { "partition_key" } else { "clustering" };
        let place = if partition { ix } else { ix - layout.partition };
        let newest_first = layout.newest_first == Some(column.name);
        let order = if partition {
            "none"
        } else if newest_first {
            "desc"
        } else {
            "asc"
        };
        (column.name.to_owned(), ty, kind, place.to_string(), order)
    });
    let slots = table.slots().map(|slot| {
        let ty = match slot.ty() {
            Type::Text | Type::Json => "text",
            Type::Int | Type::TimeUs | Type::Fixed => "bigint",
            Type::Double => "double",
            Type::Bytes | Type::Bits => "blob",
            Type::Uuid => "uuid",
        };
        (slot.name(), ty, "regular", "-1".to_owned(), "none")
    });
    let mut columns: Vec<Shape> = key.chain(slots).collect();
    columns.sort();
    columns
}

#[test]
fn migrations_make_the_declared_tables_and_no_others() {
    on_keyspace(|config| async move {
        let keyspace = &config.keyspace;
        let tables = "SELECT table_name, comment, default_time_to_live FROM system_schema.tables WHERE keyspace_name";
        let mut expected: Vec<Vec<String>> = RECORDS
            .tables
            .iter()
            .map(|table| vec![physical_name(&RECORDS, table), table.doc.to_owned(), "0".to_owned()])
            .collect();
        expected.sort();
        let mut found = ask(&config, &format!("{tables} = '{keyspace}'")).await;
        found.retain(|row| row[0] != "schema_migration");
        assert_eq!(found, expected);
        for table in RECORDS.tables {
            let columns = "SELECT column_name, type, kind, position, clustering_order FROM system_schema.columns";
            let name = physical_name(&RECORDS, table);
            let of = format!("{columns} WHERE keyspace_name = '{keyspace}' AND table_name = '{name}'");
            let mut found = ask(&config, &of).await;
            found.sort();
            let expected: Vec<Vec<String>> = declared(table)
                .into_iter()
                .map(|(name, ty, kind, place, order)| vec![name, ty.into(), kind.into(), place, order.into()])
                .collect();
            assert_eq!(found, expected, "{name}");
        }
    });
}

#[test]
fn migrations_go_down_and_up_again() {
    let keyspace = Keyspace(config());
    let config = &keyspace.0;
    runtime().block_on(async {
        assert_eq!(migrate::pending(config).await.unwrap(), ["0001_records"]);
        assert_eq!(migrate::down(config, 0).await.unwrap(), [""; 0]);
        assert_eq!(migrate::up(config).await.unwrap(), ["0001_records"]);
        assert_eq!(migrate::up(config).await.unwrap(), [""; 0]);
        assert_eq!(migrate::pending(config).await.unwrap(), [""; 0]);
        assert_eq!(migrate::down(config, 1).await.unwrap(), [""; 0]);
        assert_eq!(migrate::down(config, 0).await.unwrap(), ["0001_records"]);
        assert_eq!(migrate::pending(config).await.unwrap(), ["0001_records"]);
    });
}

#[test]
fn several_may_migrate_at_once() {
    let keyspace = Keyspace(config());
    let migrants: Vec<_> = (0..3)
        .map(|_| {
            let config = keyspace.0.clone();
            std::thread::spawn(move || runtime().block_on(migrate::up(&config)))
        })
        .collect();
    for migrant in migrants {
        migrant.join().unwrap().unwrap();
    }
    runtime().block_on(async {
        assert_eq!(migrate::pending(&keyspace.0).await.unwrap(), [""; 0]);
        ScyllaStore::new(keyspace.0.clone()).write(&events::deltas(0..9)).await.unwrap();
    });
}

#[test]
fn questions_are_answered_and_nothing_but_questions() {
    on_keyspace(|config| async move {
        ScyllaStore::new(config.clone()).write(&events::deltas(0..30)).await.unwrap();
        let select = "select tenant, created_at, content, importance from records_v1_spores";
        let all = query_text(&config, select, 100).await.unwrap();
        assert_eq!(all.columns, ["tenant", "created_at", "content", "importance"]);
        assert_eq!((all.rows.len(), all.more), (10, false));
        assert!(all.rows.iter().any(|row| row[3].is_none()) && all.rows.iter().any(|row| row[3].is_some()));
        let some = query_text(&config, select, 3).await.unwrap();
        assert_eq!((some.rows.len(), some.more), (3, true));
        for cql in ["TRUNCATE records_v1_spores", "", "insert into x (a) values (1)", "-- select\ndrop table x"] {
            let refused = query_text(&config, cql, 1).await;
            assert!(matches!(refused, Err(StoreError::Refused(_))), "{cql}: {refused:?}");
        }
        let unknown = query_text(&config, "SELECT * FROM nowhere", 1).await;
        assert!(unknown.is_err_and(|error| error.to_string().contains("nowhere")));
    });
}

/// Runs a statement as an operator would.
async fn change(config: &ScyllaConfig, cql: &str) {
    let session = SessionBuilder::new().known_nodes(&config.nodes).build().await.unwrap();
    session.query_unpaged(cql, ()).await.unwrap();
}

/// I7: settings that lose rows stop migrations and workers, and say which statement mends them.
#[test]
fn settings_that_lose_rows_are_outages_until_they_are_mended() {
    on_keyspace(|config| async move {
        let keyspace = config.keyspace.clone();
        let mut store = ScyllaStore::new(config.clone());
        store.check(&RECORDS).await.unwrap();
        let table = format!("{keyspace}.{}", physical_name(&RECORDS, RECORDS.tables[0]));
        let cases = [
            (
                format!("ALTER KEYSPACE {keyspace} WITH durable_writes = false"),
                format!("ALTER KEYSPACE {keyspace} WITH durable_writes = true"),
                "durable_writes = true",
            ),
            (
                format!("ALTER TABLE {table} WITH default_time_to_live = 60"),
                format!("ALTER TABLE {table} WITH default_time_to_live = 0"),
                "default_time_to_live = 0",
            ),
        ];
        for (done, undone, remedy) in cases {
            change(&config, &done).await;
            for outcome in [store.check(&RECORDS).await, migrate::up(&config).await.map(drop)] {
                let text = outcome.unwrap_err().to_string();
                assert!(text.contains("unavailable") && text.contains(remedy), "{text}");
            }
            change(&config, &undone).await;
            store.check(&RECORDS).await.unwrap();
        }
        let three = ScyllaConfig { replication: store_scylla::Replication::Simple(3), ..config };
        let text = ScyllaStore::new(three).check(&RECORDS).await.unwrap_err().to_string();
        assert!(text.contains("keeps 1 copies of a row") && text.contains("ALTER KEYSPACE"), "{text}");
    });
}

#[test]
fn a_keyspace_that_is_missing_is_an_outage_that_says_what_to_do() {
    let keyspace = Keyspace(config());
    let checked = runtime().block_on(ScyllaStore::new(keyspace.0.clone()).check(&RECORDS));
    let text = checked.unwrap_err().to_string();
    assert!(text.contains("there is no keyspace") && text.contains("sporelog migrate up"), "{text}");
}
