//! Numbered migrations, up and down, and the record of those that were applied.
//!
//! A migration is reviewed SQL. `{records}`, `{views}` and `{series}` in it stand for what the physical names of
//! that projection begin with (`views_v1_`): a version v+1 is built beside v. Each runs in a transaction together
//! with its record, so a crash leaves it done or not begun.

use super::error::Sorted;
use super::writer::transaction;
use domain::projection::{PROJECTIONS, prefix};
use pipeline::migration::Migration;
use pipeline::{StoreError, migrations};
use rusqlite::{Connection, OptionalExtension, params};

static MIGRATIONS: &[Migration] = migrations! { "sql":
    1 "0001_core";
    2 "0002_records";
    3 "0003_views";
    4 "0004_series";
    5 "0005_contract";
    6 "0006_contact_day";
    7 "0007_store";
    8 "0008_rates_at_read";
};

const RECORD: &str = "CREATE TABLE IF NOT EXISTS migration (
    number   INTEGER NOT NULL PRIMARY KEY, -- From 1, without gaps.
    name     TEXT NOT NULL,                -- The file.
    checksum TEXT NOT NULL                 -- The hash of its text: what was applied must not be edited afterwards.
) STRICT;";

/// Applies what has not been applied.
pub(super) fn up(connection: &mut Connection) -> Result<(), StoreError> {
    let applied = applied(connection)?;
    check(connection, applied)?;
    for migration in &MIGRATIONS[applied.min(MIGRATIONS.len())..] {
        transaction(connection, |connection| {
            connection.execute_batch(RECORD).sorted()?;
            connection.execute_batch(&render(migration.up)).sorted()?;
            let row = params![migration.number, migration.name, migration.checksum()];
            connection.execute("INSERT INTO migration VALUES (?, ?, ?)", row).sorted()?;
            Ok(())
        })?;
    }
    Ok(())
}

/// Takes back the migrations above `target`, the newest first.
pub(super) fn down(connection: &mut Connection, target: i64) -> Result<(), StoreError> {
    let applied = applied(connection)?;
    check(connection, applied)?;
    let target = target.max(0);
    for migration in MIGRATIONS[..applied].iter().rev().filter(|migration| i64::from(migration.number) > target) {
        transaction(connection, |connection| {
            connection.execute_batch(&render(migration.down)).sorted()?;
            connection.execute("DELETE FROM migration WHERE number = ?", [migration.number]).sorted()?;
            Ok(())
        })?;
    }
    Ok(())
}

fn applied(connection: &Connection) -> Result<usize, StoreError> {
    if !connection.table_exists(None, "migration").sorted()? {
        return Ok(0);
    }
    let newest: i64 =
        connection.query_row("SELECT coalesce(max(number), 0) FROM migration", [], |row| row.get(0)).sorted()?;
    usize::try_from(newest).map_err(|_| StoreError::Fatal(format!("the store names migration {newest}")))
}

fn check(connection: &Connection, applied: usize) -> Result<(), StoreError> {
    if applied > MIGRATIONS.len() {
        return Err(StoreError::Fatal(format!(
            "the store was written by a newer version (migration {applied}; this one knows {}): \
             install that version, or use another data folder",
            MIGRATIONS.len()
        )));
    }
    for migration in &MIGRATIONS[..applied] {
        let sql = "SELECT checksum FROM migration WHERE number = ?";
        let held: Option<String> =
            connection.query_row(sql, [migration.number], |row| row.get(0)).optional().sorted()?;
        if held.as_deref() != Some(migration.checksum().as_str()) {
            return Err(StoreError::Fatal(format!(
                "the store was built with another text of migration {}: start the version that built it, \
                 or move the file away and start again: the store is rebuilt from the log",
                migration.name
            )));
        }
    }
    Ok(())
}

fn render(sql: &str) -> String {
    PROJECTIONS.iter().fold(sql.to_owned(), |sql, projection| {
        sql.replace(&format!("{{{}}}", projection.name), &prefix(projection.name, projection.version))
    })
}
