//! S9: the store on TimescaleDB. The Apache edition, which has neither compression nor policies, is
//! fetched and run; another server is tried where `SPORELOG_TEST_TIMESCALE` holds its URL.

#![allow(clippy::unwrap_used)]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod common;

use common::Scratch;
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::fold::views::VIEWS;
use domain::tables::views::AGENT_HISTORY;
use domain::window::DAY_US;
use engines::{Package, Postgres, PostgresOptions};
use pipeline::RowStore as _;
use store_postgres::migrate::{self, PROJECTIONS};
use store_postgres::{Database, PostgresStore};
use testkit::store_suite::{self, merges, tables::SUITE};
use uuid::Uuid;

/// A server with TimescaleDB: the one given, or one that is started; none where the machine's
/// archive has none.
fn server() -> Option<(String, Option<Postgres>)> {
    if let Ok(url) = std::env::var("SPORELOG_TEST_TIMESCALE") {
        return Some((url, None));
    }
    if !Package::Timescale.is_offered() {
        eprintln!("not run: TimescaleDB comes from Debian's archive; give SPORELOG_TEST_TIMESCALE, a server's URL");
        return None;
    }
    let started = Postgres::start_with_timescale(&PostgresOptions::default()).unwrap();
    Some((started.url(), Some(started)))
}

fn history(months: i64) -> Deltas {
    let mut deltas = Deltas::new(VIEWS.tables);
    for month in 0..months {
        let mut row = deltas.row(&AGENT_HISTORY, |key| {
            key.text("t").text("a").int(month * 31 * DAY_US).uuid(Uuid::from_u128(month as u128));
        });
        row.merge("mood", Cell::Text("calm".into()));
    }
    deltas
}

#[test]
fn the_store_on_timescaledb_passes_what_it_passes_on_postgres() {
    let Some((url, _server)) = server() else { return };
    let scratch = Scratch::empty_on(url, "");
    let config = &scratch.config;
    scratch.runtime.block_on(migrate::up(config)).unwrap();
    assert_eq!(scratch.runtime.block_on(migrate::up(config)).unwrap(), [], "again");
    let edition = scratch.ask(
        "SELECT extversion, current_setting('timescaledb.license') FROM pg_extension
        WHERE extname = 'timescaledb'",
    );
    let hypertables = "SELECT count(*) FROM timescaledb_information.hypertables";
    let compressed = format!("{hypertables} WHERE compression_enabled");
    let (all, compressed) = (scratch.ask(hypertables), scratch.ask(&compressed));
    println!("TimescaleDB {edition:?}: {} hypertables, {} of them compressed", all[0], compressed[0]);
    assert_ne!(all, ["0"]);
    assert_eq!(compressed, if edition[0].ends_with("apache") { vec!["0".to_owned()] } else { all });
    scratch.runtime.block_on(async {
        let mut store = PostgresStore::new(Database::new(config.clone()).unwrap());
        store.check(&VIEWS).await.unwrap();
    });
    // An old event is written like a new one, and again, whatever chunk it lies in.
    let mut store = scratch.store();
    for _ in 0..2 {
        scratch.put(&mut store, &VIEWS, &history(30)).unwrap();
    }
    assert_eq!(scratch.ask("SELECT count(*) FROM agent_history"), ["30"]);
    let chunks = scratch.ask("SELECT count(*) > 20 FROM timescaledb_information.chunks");
    assert_eq!(chunks, ["t"]);
    scratch.runtime.block_on(migrate::create_tables(config, &SUITE)).unwrap();
    scratch.runtime.block_on(store_suite::row_store(&mut scratch.store()));
    merges::merge_as_memory_does(&scratch.runtime, &SUITE, scratch.store(), 16);
    for projection in PROJECTIONS {
        merges::merge_as_memory_does(&scratch.runtime, projection, scratch.store(), 8);
    }
    scratch.runtime.block_on(migrate::down(config, 0)).unwrap();
}

/// I7: a worker that met the limit of unpacked rows would wait for ever.
#[test]
fn sessions_lift_the_limit_of_unpacked_rows() {
    let Some((url, _server)) = server() else { return };
    let scratch = Scratch::empty_on(url, "");
    scratch.runtime.block_on(migrate::up(&scratch.config)).unwrap();
    let limit = "timescaledb.max_tuples_decompressed_per_dml_transaction";
    scratch.ask(&format!(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.relationship_type = current_setting('{limit}'); RETURN NEW; END $$;
         CREATE TRIGGER note BEFORE INSERT ON views_v1_contact FOR EACH ROW EXECUTE FUNCTION note()"
    ));
    let mut rows = Deltas::new(VIEWS.tables);
    let mut row = rows.row(&domain::tables::views::CONTACT, |key| {
        key.text("t").text("a").text("b");
    });
    row.add("interactions", 1);
    scratch.put(&mut scratch.store(), &VIEWS, &rows).unwrap();
    assert_eq!(scratch.ask("SELECT relationship_type FROM contact"), ["0"]);
}
