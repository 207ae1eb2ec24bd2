//! The migrated database against the declarations, and migrations down and up again.

#![allow(clippy::unwrap_used)]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod common;

use common::Scratch;
use domain::table::{KeyType, Merge, Table, Type};
use store_postgres::migrate::{self, PROJECTIONS};
use store_postgres::{PostgresConfig, physical_name};
use testkit::store_suite::tables::SUITE;

/// Columns as the server tells them: name, type, collation, whether it may be null, place in the primary key.
fn shape(scratch: &Scratch, table: &str) -> Vec<String> {
    scratch.ask(&format!(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), c.collname, a.attnotnull, array_position(i.indkey::int2[], a.attnum)
         FROM pg_attribute AS a JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary
         LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
         WHERE a.attrelid = '{table}'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
         ORDER BY a.attnum"
    ))
}

fn declared(table: &'static Table) -> Vec<String> {
    let collation = |text: bool| if text { "C" } else { "null" };
    let key = table.stored_key().enumerate().map(|(place, column)| {
        let (ty, text) = match column.ty {
            KeyType::Text => ("text", true),
            KeyType::Int | KeyType::TimeUs => ("bigint", false),
            KeyType::Uuid => ("uuid", false),
        };
        format!("{} {ty} {} t {place}", column.name, collation(text))
    });
    let slots = table.slots().map(|slot| {
        let (ty, text) = match slot.ty() {
            Type::Text => ("text", true),
            Type::Json => ("json", false),
            Type::Int | Type::TimeUs | Type::Fixed => ("bigint", false),
            Type::Double => ("double precision", false),
            Type::Bytes => ("bytea", false),
            Type::Bits => ("bit varying", false),
            Type::Uuid => ("uuid", false),
        };
        format!("{} {ty} {} f null", slot.name(), collation(text))
    });
    key.chain(slots).collect()
}

const TABLES: &str = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'schema_migration' ORDER BY relname COLLATE \"C\"";

/// Everything in the schema, with its definition.
fn objects(scratch: &Scratch) -> Vec<String> {
    scratch.ask(
        "SELECT 'relation', relname, relkind, relrowsecurity, relacl, reloptions, obj_description(oid, 'pg_class')
         FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'schema_migration%'
         UNION ALL SELECT 'function', proname, '', false, proacl, proconfig, prosrc FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
         UNION ALL SELECT 'policy', tablename || policyname, '', false, NULL, roles, qual FROM pg_policies
         UNION ALL SELECT 'index', indexname, '', false, NULL, NULL, indexdef FROM pg_indexes WHERE schemaname = 'public'
            AND indexname NOT LIKE 'schema_migration%'
         ORDER BY 1, 2, 7",
    )
}

#[test]
fn migrations_make_the_declared_tables_and_no_others() {
    let scratch = Scratch::migrated();
    let mut expected =
        ["dead_record", "position", "producer", "producer_block", "projection"].map(str::to_owned).to_vec();
    for projection in PROJECTIONS {
        for table in projection.tables {
            let name = physical_name(projection, table);
            assert_eq!(shape(&scratch, &name), declared(table), "{name}");
            expected.push(name);
        }
    }
    expected.sort();
    assert_eq!(scratch.ask(TABLES), expected);
}

#[test]
fn tables_built_from_declarations_are_the_migrated_ones() {
    let (scratch, generated) = (Scratch::migrated(), Scratch::empty());
    generated.runtime.block_on(migrate::up(&generated.config)).unwrap();
    let names: Vec<String> =
        PROJECTIONS.iter().flat_map(|p| p.tables.iter().map(|table| physical_name(p, table))).collect();
    generated.ask(&format!("DROP TABLE {} CASCADE", names.join(", ")));
    for projection in PROJECTIONS {
        generated.runtime.block_on(migrate::create_tables(&generated.config, projection)).unwrap();
    }
    for name in names {
        let how = format!(
            "SELECT relkind, reloptions, pg_get_partkeydef(oid), (SELECT count(*) FROM pg_inherits WHERE inhparent = pg_class.oid)
             FROM pg_class WHERE oid = '{name}'::regclass"
        );
        assert_eq!(generated.ask(&how), scratch.ask(&how), "{name}");
        assert_eq!(shape(&generated, &name), shape(&scratch, &name), "{name}");
    }
}

#[test]
fn migrations_go_down_and_up_again() {
    let scratch = Scratch::migrated();
    let config = &scratch.config;
    let pending = || scratch.runtime.block_on(migrate::pending(config)).unwrap();
    assert_eq!(pending(), []);
    let built = objects(&scratch);
    let all: i64 = scratch.ask("SELECT count(*) FROM schema_migration")[0].parse().unwrap();
    for target in (0..all).rev() {
        let undone = scratch.runtime.block_on(migrate::down(config, target)).unwrap();
        assert_eq!(undone.iter().map(|known| known.number).collect::<Vec<_>>(), [target + 1]);
        assert_eq!(pending().len() as i64, all - target);
    }
    assert_eq!(objects(&scratch), [""; 0]);
    let applied = scratch.runtime.block_on(migrate::up(config)).unwrap();
    assert_eq!(applied.len() as i64, all);
    assert_eq!(objects(&scratch), built);
    assert_eq!(scratch.runtime.block_on(migrate::up(config)).unwrap(), []);
    scratch.runtime.block_on(migrate::down(config, 0)).unwrap();
}

#[test]
fn a_schema_of_ones_own_holds_everything() {
    let scratch = Scratch::empty();
    let config = PostgresConfig { schema: "spore log".to_owned(), ..scratch.config.clone() };
    scratch.runtime.block_on(migrate::up(&config)).unwrap();
    scratch.runtime.block_on(migrate::create_tables(&config, &SUITE)).unwrap();
    assert_eq!(scratch.ask(TABLES), [""; 0]);
    let _guard = scratch.runtime.enter();
    let mut store = store_postgres::PostgresStore::new(store_postgres::Database::new(config.clone()).unwrap());
    scratch.runtime.block_on(testkit::store_suite::row_store(&mut store));
    scratch.runtime.block_on(migrate::down(&config, 0)).unwrap();
}

#[test]
fn one_migrator_works_at_a_time() {
    let scratch = Scratch::empty();
    let config = &scratch.config;
    let [a, b, c] = scratch.runtime.block_on(async {
        let (a, b, c) = tokio::join!(migrate::up(config), migrate::up(config), migrate::up(config));
        [a.unwrap(), b.unwrap(), c.unwrap()]
    });
    let mut counts = [a.len(), b.len(), c.len()];
    counts.sort_unstable();
    assert_eq!((counts[0], counts[1]), (0, 0));
    assert!(counts[2] > 0);
}

#[test]
fn an_edited_or_newer_database_is_refused_with_what_to_do() {
    let scratch = Scratch::migrated();
    let up = || scratch.runtime.block_on(migrate::up(&scratch.config));
    scratch.ask("UPDATE schema_migration SET checksum = 'x' WHERE number = 3");
    assert!(up().unwrap_err().to_string().contains("another text of migration 0003_series"));
    scratch.ask("INSERT INTO schema_migration VALUES (98, 'from_the_future', ''), (99, 'and_beyond', '')");
    assert!(up().unwrap_err().to_string().contains("newer version"));
}

#[test]
fn the_contract_shows_every_declared_column_without_stamps_and_states() {
    let scratch = Scratch::migrated();
    for projection in PROJECTIONS {
        for table in projection.tables {
            let columns = table.columns.iter().filter(|column| !matches!(column.merge, Merge::State(_)));
            let expected: Vec<&str> =
                table.key.iter().map(|column| column.name).chain(columns.map(|column| column.name)).collect();
            let found = scratch.ask(&format!(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'public.{}'::regclass AND attnum > 0 ORDER BY attnum",
                table.name
            ));
            assert_eq!(found, expected, "view {}", table.name);
        }
    }
    let silent = scratch.ask(
        "SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0
            AND NOT a.attisdropped AND c.relname <> 'schema_migration'
            AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)",
    );
    assert_eq!(silent, [""; 0], "columns without a comment");
}

/// S9: the edition with compression cannot be fetched by tests: its statements are held as text. The other one is run in
/// `timescale.rs`.
#[test]
fn hypertables_are_made_as_their_documentation_says() {
    let scratch = Scratch::migrated();
    let sql = |compressed: bool| {
        format!(
            "SELECT hypertable_statements('series_v1_interaction_rate_agent_1m', 'window_start', 'tenant, region_id', \
             {compressed})"
        )
    };
    let expected = [
        "SELECT create_hypertable('series_v1_interaction_rate_agent_1m'::regclass, 'window_start'::name, \
         chunk_time_interval => 2592000000000::bigint)",
        "SELECT set_integer_now_func('series_v1_interaction_rate_agent_1m'::regclass, 'now_us'::regproc)",
        "ALTER TABLE series_v1_interaction_rate_agent_1m SET (timescaledb.compress, \
         timescaledb.compress_segmentby = 'tenant, region_id', timescaledb.compress_orderby = 'window_start, agent_id')",
        "SELECT add_compression_policy('series_v1_interaction_rate_agent_1m'::regclass, \
         compress_after => 7776000000000::bigint)",
    ];
    assert_eq!(scratch.ask(&sql(true)), expected);
    assert_eq!(scratch.ask(&sql(false)), expected[..2], "the Apache edition refuses the others");
    scratch.ask("CREATE TABLE plain (at bigint PRIMARY KEY); SELECT ensure_month('plain', 'at', 0, 1)");
    assert_eq!(scratch.ask("SELECT count(*) FROM pg_inherits WHERE inhparent = 'plain'::regclass"), ["0"]);
}

/// I2: another deployment's tables in `public`, which is in every search path, are not taken for our own.
#[test]
fn a_schema_beside_a_migrated_public_is_migrated_itself() {
    let scratch = Scratch::migrated();
    let config = PostgresConfig { schema: "other".to_owned(), ..scratch.config.clone() };
    assert!(!scratch.runtime.block_on(migrate::pending(&config)).unwrap().is_empty());
    let applied = scratch.runtime.block_on(migrate::up(&config)).unwrap();
    assert!(!applied.is_empty());
    assert_eq!(scratch.ask("SELECT to_regclass('other.position') IS NOT NULL"), ["t"]);
}
