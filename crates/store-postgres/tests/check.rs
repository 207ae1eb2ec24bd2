//! What is looked at before work begins, on a real server.

#![allow(clippy::unwrap_used)]

mod common;

use common::Scratch;
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::fold::views::VIEWS;
use domain::tables::views::SPORE_VIEW;
use engines::{Engine, address};
use pipeline::{RowStore as _, StoreError};
use store_postgres::{Database, PostgresConfig, PostgresStore, migrate};
use uuid::Uuid;

fn told(result: Result<(), StoreError>, text: &str) {
    match result {
        Err(StoreError::Unavailable(said)) if said.contains(text) => {}
        other => panic!("{other:?}, not: {text}"),
    }
}

fn check(scratch: &Scratch, config: &PostgresConfig) -> Result<(), StoreError> {
    scratch.runtime.block_on(async {
        let mut store = PostgresStore::new(Database::new(config.clone()).unwrap());
        store.check(&VIEWS).await
    })
}

/// I7: a setting that changes what is stored stops work before it begins, and says what to do;
/// mended, it goes on.
#[test]
fn settings_that_change_what_is_stored_are_outages_until_they_are_mended() {
    let scratch = Scratch::migrated();
    check(&scratch, &scratch.config).unwrap();
    let migrated = || scratch.runtime.block_on(migrate::up(&scratch.config)).map(drop);
    for (setting, value, remedy) in [
        ("default_transaction_read_only", "on", "default_transaction_read_only off"),
        ("session_replication_role", "replica", "RESET session_replication_role"),
    ] {
        scratch.alter(&format!("SET {setting} = {value}"));
        told(check(&scratch, &scratch.config), remedy);
        told(migrated(), remedy);
        scratch.alter(&format!("RESET {setting}"));
        check(&scratch, &scratch.config).unwrap();
        migrated().unwrap();
    }
}

/// I7, S2: a database that cannot hold every character is no reason for dead letters.
#[test]
fn a_database_that_is_not_utf8_is_an_outage_everywhere() {
    let options = "ENCODING 'LATIN1' LOCALE_PROVIDER 'libc' LOCALE 'C' TEMPLATE template0";
    let scratch = Scratch::empty_on(address(Engine::Postgres), options);
    told(scratch.runtime.block_on(migrate::up(&scratch.config)).map(drop), "must be UTF8");
    told(check(&scratch, &scratch.config), "must be UTF8");
}

/// I3: whatever the server, the database or the user has set, a session has our time-outs and
/// isolation.
#[test]
fn sessions_are_alike_whatever_the_database_sets() {
    let scratch = Scratch::migrated();
    for setting in [
        "default_transaction_isolation = 'serializable'",
        "idle_in_transaction_session_timeout = '1s'",
        "statement_timeout = '1s'",
        "row_security = off",
        "synchronous_commit = off",
        "standard_conforming_strings = off",
        "search_path = pg_catalog",
        "client_encoding = 'LATIN1'",
    ] {
        scratch.alter(&format!("SET {setting}"));
    }
    check(&scratch, &scratch.config).unwrap();
    let mut rows = Deltas::new(VIEWS.tables);
    let mut row = rows.row(&SPORE_VIEW, |key| {
        key.text("t").uuid(Uuid::nil());
    });
    row.merge("content", Cell::Text("\u{6f22} \u{20ac}".into()));
    scratch.put(&mut scratch.store(), &VIEWS, &rows).unwrap();
}

/// I2, I7: a database that is not migrated, in part, or in another schema.
#[test]
fn what_is_missing_is_an_outage_that_says_what_to_do() {
    let scratch = Scratch::empty();
    told(check(&scratch, &scratch.config), "sporelog migrate up");
    scratch.runtime.block_on(migrate::up(&scratch.config)).unwrap();
    check(&scratch, &scratch.config).unwrap();
    let other = PostgresConfig { schema: "other".to_owned(), ..scratch.config.clone() };
    told(check(&scratch, &other), "sporelog migrate up");
    scratch.ask("ALTER TABLE views_v1_contact RENAME TO views_v1_contacts");
    told(check(&scratch, &scratch.config), "no table views_v1_contact: run");
    scratch.ask("ALTER TABLE views_v1_contacts RENAME TO views_v1_contact");
    scratch.ask("INSERT INTO schema_migration VALUES (98, 'from_the_future', '')");
    told(check(&scratch, &scratch.config), "newer version");
}
