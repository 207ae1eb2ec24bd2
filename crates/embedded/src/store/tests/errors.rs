//! I7: which errors are an outage with a remedy, which speak of a row, which stop the worker.

use super::*;
use crate::store::error::{row_error, store_error};
use rusqlite::ffi;
use testkit::store_suite::tables::NUMBERS;

fn failure(extended_code: i32, text: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), Some(text.to_owned()))
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Outage,
    Data,
    Stop,
}

fn kind(error: &StoreError) -> Kind {
    match error {
        StoreError::Unavailable(_) => Kind::Outage,
        StoreError::Refused(_) => Kind::Data,
        StoreError::Fatal(_) => Kind::Stop,
        other => panic!("{other:?}"),
    }
}

/// Code, the message, what it is where it comes from a row's statement, and from any other one.
const CODES: &[(i32, &str, Kind, Kind)] = &[
    (ffi::SQLITE_MISMATCH, "datatype mismatch", Kind::Data, Kind::Outage),
    (ffi::SQLITE_TOOBIG, "string or blob too big", Kind::Data, Kind::Outage),
    (ffi::SQLITE_CONSTRAINT_NOTNULL, "NOT NULL constraint failed: t.a", Kind::Data, Kind::Outage),
    (ffi::SQLITE_CONSTRAINT_DATATYPE, "cannot store TEXT value in INTEGER column t.a", Kind::Data, Kind::Outage),
    (ffi::SQLITE_CONSTRAINT_NOTNULL, "NOT NULL constraint failed: audit.a", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_CONSTRAINT_CHECK, "CHECK constraint failed: a > 0", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: t.b", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_CONSTRAINT_TRIGGER, "no", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_BUSY, "database is locked", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_FULL, "database or disk is full", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_IOERR_WRITE, "disk I/O error", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_READONLY, "attempt to write a readonly database", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_PERM, "access permission denied", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_AUTH, "not authorized", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_CANTOPEN, "unable to open database file", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_ERROR, "no such table: t", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_SCHEMA, "database schema has changed", Kind::Outage, Kind::Outage),
    (ffi::SQLITE_CORRUPT, "database disk image is malformed", Kind::Stop, Kind::Stop),
    (ffi::SQLITE_NOTADB, "file is not a database", Kind::Stop, Kind::Stop),
    (ffi::SQLITE_MISUSE, "bad parameter or other API misuse", Kind::Stop, Kind::Stop),
];

#[test]
fn code_decides_and_only_one_of_the_rows_data_is_a_refusal() {
    for (code, text, of_row, of_others) in CODES {
        let error = failure(*code, text);
        assert_eq!(kind(&row_error("t", &error)), *of_row, "{text}, of a row");
        assert_eq!(kind(&store_error(&error)), *of_others, "{text}, of another statement");
    }
}

#[test]
fn outage_says_what_to_mend() {
    let remedies = [
        (ffi::SQLITE_FULL, "free disk space"),
        (ffi::SQLITE_READONLY, "write access"),
        (ffi::SQLITE_PERM, "write access"),
        (ffi::SQLITE_CANTOPEN, "may read and write"),
        (ffi::SQLITE_ERROR, "move the file away"),
        (ffi::SQLITE_CONSTRAINT_TRIGGER, "trigger"),
    ];
    for (code, remedy) in remedies {
        let text = row_error("t", &failure(code, "what SQLite says")).to_string();
        assert!(text.contains(remedy) && text.contains("what SQLite says"), "{text}");
    }
}

fn number(value: Cell) -> Deltas {
    let mut deltas = Deltas::new(SUITE.tables);
    deltas
        .row(&NUMBERS, |writer| {
            writer.text("t").text("k");
        })
        .merge("total", value);
    deltas
}

/// Runs SQL on the writing connection, as something outside may do to the file.
async fn tamper(store: &Store, sql: &str) {
    store.shared.writer.lock().await.execute_batch(sql).unwrap();
}

async fn outcome(store: &mut Store, rows: &Deltas) -> Result<(), StoreError> {
    let claimed = store.claim(&SUITE, &[Claim { tp: tp(0), log: log_of("log") }]).await?.remove(0);
    commit(store, &SUITE, &[step(&claimed)], rows, &nothing_before_commit).await
}

#[tokio::test]
async fn value_of_another_type_is_refused_and_a_trigger_or_a_full_file_is_not() {
    let (_held, mut store) = scratch();
    let refused = outcome(&mut store, &number(Cell::Text("x".into()))).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");

    let table = physical_name(&SUITE, &NUMBERS);
    let trigger = format!("CREATE TRIGGER guard BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'not today'); END");
    tamper(&store, &trigger).await;
    let outage = outcome(&mut store, &number(Cell::Int(1))).await;
    assert!(matches!(&outage, Err(StoreError::Unavailable(text)) if text.contains("not today")), "{outage:?}");
    tamper(&store, "DROP TRIGGER guard").await;

    tamper(&store, "CREATE TABLE audit (a INTEGER NOT NULL) STRICT").await;
    let trigger = format!("CREATE TRIGGER guard AFTER INSERT ON {table} BEGIN INSERT INTO audit VALUES (NULL); END");
    tamper(&store, &trigger).await;
    let outage = outcome(&mut store, &number(Cell::Int(1))).await;
    assert!(matches!(outage, Err(StoreError::Unavailable(_))), "a row of another table: {outage:?}");
    tamper(&store, "DROP TRIGGER guard; DROP TABLE audit").await;

    tamper(&store, "CREATE TRIGGER guard BEFORE UPDATE ON position BEGIN SELECT RAISE(ABORT, 'mine'); END").await;
    let outage = outcome(&mut store, &number(Cell::Int(1))).await;
    assert!(matches!(outage, Err(StoreError::Unavailable(_))), "our own table: {outage:?}");
    tamper(&store, "DROP TRIGGER guard").await;
    outcome(&mut store, &number(Cell::Int(1))).await.unwrap();
}

#[tokio::test]
async fn full_file_is_an_outage_and_goes_on_when_there_is_room() {
    let (_held, mut store) = scratch();
    let mut rows = Deltas::new(SUITE.tables);
    for ix in 0..5_000 {
        let mut row = rows.row(&NUMBERS, |writer| {
            writer.text("t").text(&format!("{ix:0100}"));
        });
        row.add("total", 1);
    }
    // No page more than there are now.
    tamper(&store, "PRAGMA max_page_count = 1").await;
    let outage = outcome(&mut store, &rows).await;
    assert!(matches!(&outage, Err(StoreError::Unavailable(text)) if text.contains("free disk space")), "{outage:?}");
    tamper(&store, "PRAGMA max_page_count = 1000000").await;
    outcome(&mut store, &rows).await.unwrap();
}

#[tokio::test]
async fn store_that_cannot_be_written_is_an_outage_at_the_check() {
    let (held, mut store) = scratch();
    store.check(&SUITE).await.unwrap();
    tamper(&store, "PRAGMA query_only = 1").await;
    let outage = outcome(&mut store, &number(Cell::Int(1))).await;
    assert!(matches!(&outage, Err(StoreError::Unavailable(text)) if text.contains("write access")), "{outage:?}");
    tamper(&store, "PRAGMA query_only = 0").await;
    outcome(&mut store, &number(Cell::Int(1))).await.unwrap();
    std::fs::rename(&held.path, held.path.with_extension("away")).unwrap();
    let outage = store.check(&SUITE).await;
    assert!(matches!(&outage, Err(StoreError::Unavailable(text)) if text.contains("put it back")), "{outage:?}");
}
