//! What a worker is told when something fails, and that nothing is half done.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Scratch, put, with_database};
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::fold::views::VIEWS;
use domain::tables::views::{CONTACT, SPORE_VIEW};
use domain::{Topic, TopicPartition};
use pipeline::{Claim, RowStore as _, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use store_postgres::{Database, PostgresConfig, PostgresStore};
use testkit::store_suite;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

const TP: TopicPartition = TopicPartition::new(Topic::SacredMessages, 0);

fn one_more() -> Deltas {
    let mut rows = Deltas::new(VIEWS.tables);
    let mut row = rows.row(&CONTACT, |key| {
        key.text("t").text("a").text("b");
    });
    row.add("interactions", 1);
    rows
}

fn store(config: PostgresConfig) -> PostgresStore {
    PostgresStore::new(Database::new(config).unwrap())
}

/// Commits one interaction from a position that is read first, under a claim of its own.
async fn step(store: &mut PostgresStore, before_commit: &dyn Fn()) -> Result<(), StoreError> {
    store_suite::put(store, (&VIEWS, TP), &one_more(), before_commit).await
}

async fn next_offset(store: &mut PostgresStore) -> i64 {
    store.positions(&VIEWS, &[TP]).await.unwrap().first().map_or(0, |position| position.next_offset)
}

fn told(error: &StoreError, text: &str) {
    assert!(matches!(error, StoreError::Unavailable(said) if said.contains(text)), "{error:?}, not: {text}");
}

#[test]
fn a_held_lock_and_a_slow_statement_are_outages() {
    let scratch = Scratch::migrated();
    scratch.runtime.block_on(async {
        step(&mut store(scratch.config.clone()), &|| ()).await.unwrap();
        let holder = common::connect(&scratch.config.url).await;
        holder.batch_execute("BEGIN; SELECT * FROM position FOR UPDATE").await.unwrap();
        let mut hasty = store(PostgresConfig { lock_timeout_ms: 200, ..scratch.config.clone() });
        told(&step(&mut hasty, &|| ()).await.unwrap_err(), "another transaction holds the lock");
        let mut slow = store(PostgresConfig { statement_timeout_ms: 200, ..scratch.config.clone() });
        told(&step(&mut slow, &|| ()).await.unwrap_err(), "longer than postgres.statement_timeout_ms");
        holder.batch_execute("ROLLBACK").await.unwrap();
        step(&mut hasty, &|| ()).await.unwrap();
        step(&mut slow, &|| ()).await.unwrap();
        assert_eq!(next_offset(&mut slow).await, 3);
    });
}

#[test]
fn what_is_missing_or_down_is_an_outage_that_says_what_to_do() {
    let scratch = Scratch::empty();
    scratch.runtime.block_on(async {
        let config = scratch.config.clone();
        told(&step(&mut store(config.clone()), &|| ()).await.unwrap_err(), "sporelog migrate up");
        let nowhere = with_database(&config.url, "no_such_database");
        told(&step(&mut store(PostgresConfig::new(nowhere)), &|| ()).await.unwrap_err(), "create it, or correct");
        let closed = PostgresConfig::new("postgres://nobody@127.0.0.1:1/nothing");
        told(&step(&mut store(closed), &|| ()).await.unwrap_err(), "error connecting to server");
        let small = Database::new(PostgresConfig { pool_max: 1, acquire_timeout_ms: 100, ..config }).unwrap();
        small.ping().await.unwrap();
        assert_eq!((small.status().open, small.status().available, small.status().max), (1, 1, 1));
    });
}

#[test]
fn a_pool_that_is_in_use_is_an_outage() {
    let scratch = Scratch::migrated();
    scratch.runtime.block_on(async {
        let config = PostgresConfig { pool_max: 1, acquire_timeout_ms: 100, ..scratch.config.clone() };
        let database = Database::new(config).unwrap();
        let reader = store_postgres::Reader::begin(&database).await.unwrap();
        let mut store = PostgresStore::new(database.clone());
        told(&step(&mut store, &|| ()).await.unwrap_err(), "raise postgres.pool_max");
        reader.close().await;
        step(&mut store, &|| ()).await.unwrap();
    });
}

/// What a trigger of the test raises: a code, and the table and constraint that it names.
const RAISE: &str = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF coalesce(current_setting('test.rule', true), '') = '' THEN
            RAISE EXCEPTION 'so it was said' USING ERRCODE = current_setting('test.code', true);
        END IF;
        RAISE EXCEPTION 'so it was said' USING ERRCODE = current_setting('test.code', true),
            TABLE = TG_TABLE_NAME, CONSTRAINT = current_setting('test.rule', true); END $$;
     CREATE TRIGGER fail BEFORE INSERT ON views_v1_contact FOR EACH ROW
        WHEN (coalesce(current_setting('test.code', true), '') <> '') EXECUTE FUNCTION fail()";

/// I7, S2: what speaks of data is refused, anything else is an outage, and neither leaves anything.
#[test]
fn sqlstates_are_sorted_and_a_refused_row_leaves_nothing() {
    let scratch = Scratch::migrated();
    scratch.ask(RAISE);
    let codes = [
        ("22003", "", None),
        ("23514", "no_foes", None),
        ("54000", "", None),
        ("23514", "", Some("a partition is being attached")),
        ("23502", "", Some("DROP NOT NULL")),
        ("22P03", "", Some("migrate up")),
        ("22021", "", Some("must be UTF8")),
        ("40P01", "", Some("waited for each other")),
        ("40001", "", Some("another transaction was first")),
        ("53100", "", Some("free some space")),
        ("53300", "", Some("max_connections")),
        ("53400", "", Some("raise the setting")),
        ("25006", "", Some("only reads")),
        ("57P01", "", Some("shutting down")),
        ("42501", "", Some("GRANT sporelog_worker")),
        ("42P01", "", Some("migrate up")),
        ("P0001", "", Some("take it away")),
        ("XX000", "", Some("so it was said, SQLSTATE XX000")),
        ("0A000", "", Some("so it was said")),
    ];
    for (code, constraint, advice) in codes {
        scratch.alter(&format!("SET test.code = '{code}'"));
        scratch.alter(&format!("SET test.rule = '{constraint}'"));
        let mut store = scratch.store();
        let error = scratch.runtime.block_on(step(&mut store, &|| ())).unwrap_err();
        match advice {
            Some(advice) => told(&error, advice),
            None => assert!(matches!(&error, StoreError::Refused(said) if said.contains(code)), "{code}: {error:?}"),
        }
        assert_eq!(scratch.runtime.block_on(next_offset(&mut store)), 0, "{code}");
    }
}

/// I7: real rows that no server takes, and a check that somebody put on a table of rows.
#[test]
fn rows_that_no_server_takes_are_refused() {
    let scratch = Scratch::migrated();
    let mut store = scratch.store();
    let refused = |store: &mut PostgresStore, rows: &Deltas, text: &str| {
        let error = scratch.put(store, &VIEWS, rows).unwrap_err();
        assert!(matches!(&error, StoreError::Refused(said) if said.contains(text)), "{error:?}, not: {text}");
    };
    let mut rows = one_more();
    let mut row = rows.row(&CONTACT, |key| {
        key.text("t").text("a").text("b");
    });
    row.merge("interactions", Cell::Int(i64::MAX - 1));
    scratch.put(&mut store, &VIEWS, &rows).unwrap();
    refused(&mut store, &rows, "22003");
    for (column, text, code) in [
        ("content", "a\0b".to_owned(), "22021"),
        ("metadata", "{\"a\":\"\\u0000\"}".to_owned(), "22P05"),
        ("metadata", "{\"a\":".to_owned(), "22P02"),
        ("metadata", "[".repeat(100_000), "54001"),
    ] {
        let mut rows = Deltas::new(VIEWS.tables);
        let mut row = rows.row(&SPORE_VIEW, |key| {
            key.text("t").uuid(Uuid::nil());
        });
        row.merge(column, Cell::Text(text));
        refused(&mut store, &rows, code);
    }
    let long: String = (0..3_000_u32).map(|ix| char::from_u32(0x4e00 + ix * 7).unwrap()).collect();
    let mut rows = Deltas::new(VIEWS.tables);
    let mut row = rows.row(&CONTACT, |key| {
        key.text("t").text("a").text(&long);
    });
    row.add("interactions", 1);
    refused(&mut store, &rows, "54000");
    scratch.ask("ALTER TABLE views_v1_contact ADD CONSTRAINT no_foes CHECK (peer_id <> 'foe')");
    let mut rows = Deltas::new(VIEWS.tables);
    let mut row = rows.row(&CONTACT, |key| {
        key.text("t").text("a").text("foe");
    });
    row.add("interactions", 1);
    refused(&mut store, &rows, "no_foes");
}

/// I7: what an operator did to a table of ours is no row's fault.
#[test]
fn what_was_changed_by_hand_is_an_outage() {
    let scratch = Scratch::migrated();
    let changes = [
        (
            "ALTER TABLE views_v1_contact ALTER relationship_type SET NOT NULL",
            "ALTER TABLE views_v1_contact ALTER relationship_type DROP NOT NULL",
            "DROP NOT NULL",
        ),
        (
            "ALTER TABLE position ADD CONSTRAINT few CHECK (next_offset < 0) NOT VALID",
            "ALTER TABLE position DROP CONSTRAINT few",
            "few",
        ),
        (
            "ALTER TABLE views_v1_contact RENAME interactions TO meetings",
            "ALTER TABLE views_v1_contact RENAME meetings TO interactions",
            "migrate up",
        ),
        (
            "ALTER TABLE views_v1_contact DROP CONSTRAINT views_v1_contact_pkey",
            "ALTER TABLE views_v1_contact ADD PRIMARY KEY (tenant, agent_id, peer_id)",
            "migrate up",
        ),
    ];
    for (applied, change) in (0..).zip(changes) {
        let (done, undone, advice) = change;
        scratch.ask(done);
        let mut store = scratch.store();
        told(&scratch.runtime.block_on(step(&mut store, &|| ())).unwrap_err(), advice);
        scratch.ask(undone);
        scratch.runtime.block_on(step(&mut store, &|| ())).unwrap();
        assert_eq!(scratch.runtime.block_on(next_offset(&mut store)), applied + 1, "{done}");
    }
}

/// I3: whatever the interleaving, every committed interaction is counted once.
#[test]
fn workers_that_take_over_from_each_other_count_everything_once() {
    let scratch = Scratch::migrated();
    let committed = scratch.runtime.block_on(async {
        let local = tokio::task::LocalSet::new();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let mut store = store(scratch.config.clone());
                local.spawn_local(async move {
                    let mut committed = 0;
                    for _ in 0..40 {
                        match step(&mut store, &|| ()).await {
                            Ok(()) => committed += 1,
                            Err(StoreError::Fenced(lost)) => assert_eq!(lost, [TP]),
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                    committed
                })
            })
            .collect();
        local
            .run_until(async {
                let mut sum = 0;
                for worker in workers {
                    sum += worker.await.unwrap();
                }
                sum
            })
            .await
    });
    let found = scratch.ask("SELECT next_offset, applied FROM position");
    assert_eq!(found, [format!("{committed} {committed}")]);
    assert_eq!(scratch.ask("SELECT interactions FROM contact"), [committed.to_string()]);
    assert!(committed > 0);
}

/// What a forwarder does with the next bytes of the client.
const FORWARD: u8 = 0;
const CUT_BEFORE: u8 = 1;
const CUT_BEHIND: u8 = 2;

/// Forwards connections to the server, until it is told to cut one.
async fn forward(server: String, mode: Arc<AtomicU8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(carry(client, server, Arc::clone(&mode)));
        }
    });
    port
}

async fn carry(client: TcpStream, server: TcpStream, mode: Arc<AtomicU8>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut bytes = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
        match mode.load(Ordering::SeqCst) {
            CUT_BEFORE => break,
            CUT_BEHIND => {
                back.abort();
                to_server.write_all(&bytes[..length]).await.unwrap();
                break;
            }
            _ => to_server.write_all(&bytes[..length]).await.unwrap(),
        }
    }
    back.abort();
}

#[test]
fn a_commit_without_a_reply_is_unknown_and_the_position_tells() {
    let scratch = Scratch::migrated();
    scratch.runtime.block_on(async {
        let (scheme, rest) = scratch.config.url.split_once("://").unwrap();
        let (user, host) = rest.split_once('@').unwrap();
        let (host, database) = host.split_once('/').unwrap();
        let mode = Arc::new(AtomicU8::new(FORWARD));
        let port = forward(host.to_owned(), Arc::clone(&mode)).await;
        let url = format!("{scheme}://{user}@127.0.0.1:{port}/{database}");
        let mut store = store(PostgresConfig::new(url));
        let mut direct = self::store(scratch.config.clone());
        for (cut, committed) in [(CUT_BEFORE, 0), (CUT_BEHIND, 1)] {
            let error = step(&mut store, &|| mode.store(cut, Ordering::SeqCst)).await.unwrap_err();
            assert!(matches!(error, StoreError::Unknown(_)), "{error:?}");
            mode.store(FORWARD, Ordering::SeqCst);
            // A claim waits for the lost transaction, whatever becomes of it.
            direct.claim(&VIEWS, &[Claim { tp: TP, log: store_suite::log() }]).await.unwrap();
            assert_eq!(next_offset(&mut store).await, committed, "{cut}");
        }
        put(&mut store, &VIEWS, &one_more()).await.unwrap();
        assert_eq!(next_offset(&mut store).await, 2);
    });
}
