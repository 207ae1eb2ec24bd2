//! What happens between the statements of a commit and COMMIT: a publish that is awaited, fails, or
//! takes too long.

#![allow(clippy::unwrap_used)]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod common;

use common::Scratch;
use domain::delta::Deltas;
use domain::fold::views::VIEWS;
use domain::tables::views::CONTACT;
use domain::{Topic, TopicPartition};
use pipeline::{Abort, Advance, BeforeCommit, Claim, Flush, Position, RowStore as _, StoreError};
use std::cell::Cell;
use std::time::Duration;
use store_postgres::{Database, PostgresConfig, PostgresStore};
use testkit::store_suite;

type Publishing<'a> = futures_util::future::LocalBoxFuture<'a, Result<(), Abort>>;

const TP: TopicPartition = TopicPartition::new(Topic::SacredMessages, 0);
const COUNT: &str = "SELECT coalesce(sum(interactions), 0) FROM contact";

fn one_more() -> Deltas {
    let mut rows = Deltas::new(VIEWS.tables);
    let mut row = rows.row(&CONTACT, |key| {
        key.text("t").text("a").text("b");
    });
    row.add("interactions", 1);
    rows
}

/// Commits one interaction under a fresh claim.
async fn step(store: &mut PostgresStore, before_commit: BeforeCommit<'_>) -> Result<(), StoreError> {
    let claimed = store.claim(&VIEWS, &[Claim { tp: TP, log: store_suite::log() }]).await?.remove(0);
    let from = claimed.position.map(|position| position.next_offset);
    let mut to = Position { epoch: claimed.epoch, ..claimed.position.unwrap_or(Position::start(TP, 0)) };
    to.next_offset += 1;
    to.counts.applied += 1;
    let (advances, rows) = ([Advance { from, to }], one_more());
    // It borrows for longer than what is made here.
    let before_commit = || -> Publishing<'_> { before_commit() };
    let flush = Flush {
        projection: &VIEWS,
        advances: &advances,
        sequences: &[],
        dead: &[],
        rows: &rows,
        before_commit: &before_commit,
    };
    store.commit(&flush).await
}

async fn committed(store: &mut PostgresStore) -> i64 {
    store.positions(&VIEWS, &[TP]).await.unwrap().first().map_or(0, |position| position.next_offset)
}

/// I6: what could not be published leaves nothing behind, and the connection serves on.
#[test]
fn a_publish_that_fails_rolls_back_and_leaves_the_connection() {
    let scratch = Scratch::migrated();
    scratch.runtime.block_on(async {
        let database = Database::new(PostgresConfig { pool_max: 1, ..scratch.config.clone() }).unwrap();
        let mut store = PostgresStore::new(database.clone());
        step(&mut store, &pipeline::nothing_before_commit).await.unwrap();
        let backend = backend(&database).await;
        let aborted = step(&mut store, &|| Box::pin(async { Err(Abort) })).await;
        assert!(matches!(aborted, Err(StoreError::Aborted)), "{aborted:?}");
        assert_eq!(committed(&mut store).await, 1);
        assert_eq!(self::backend(&database).await, backend, "the same connection");
        step(&mut store, &pipeline::nothing_before_commit).await.unwrap();
        assert_eq!(committed(&mut store).await, 2);
    });
    assert_eq!(scratch.ask(COUNT), ["2"]);
}

/// The server's processes that serve a pool.
async fn backend(database: &Database) -> Vec<String> {
    database.ping().await.unwrap();
    let client = common::connect(&database.config().url).await;
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'sporelog' AND datname = current_database()";
    common::ask(&client, sql).await.unwrap()
}

/// I6: a cause that the store refuses has derived nothing, and nothing is visible while the publish
/// is under way.
#[test]
fn a_publish_begins_when_every_statement_has_been_answered() {
    let scratch = Scratch::migrated();
    scratch.ask("ALTER TABLE views_v1_contact ADD CONSTRAINT few CHECK (interactions < 2)");
    let called = Cell::new(0);
    scratch.runtime.block_on(async {
        let mut store = PostgresStore::new(Database::new(scratch.config.clone()).unwrap());
        let watcher = common::connect(&scratch.config.url).await;
        let publish = || -> Publishing<'_> {
            called.set(called.get() + 1);
            Box::pin(async {
                assert_eq!(common::ask(&watcher, COUNT).await.unwrap(), ["0"]);
                let idle = "SELECT state FROM pg_stat_activity WHERE application_name = 'sporelog'
                    AND datname = current_database() AND backend_xid IS NOT NULL";
                assert_eq!(common::ask(&watcher, idle).await.unwrap(), ["idle in transaction"]);
                Ok(())
            })
        };
        step(&mut store, &publish).await.unwrap();
        let refused = step(&mut store, &publish).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
        assert_eq!((called.get(), committed(&mut store).await), (1, 1));
    });
}

/// I3: the server ends a transaction that stands idle for too long: an outage that names the
/// setting, and is tried again.
#[test]
fn a_publish_that_outlasts_the_idle_timeout_is_an_outage_and_commits_nothing() {
    let scratch = Scratch::migrated();
    scratch.runtime.block_on(async {
        let config = PostgresConfig { idle_in_transaction_timeout_ms: 200, ..scratch.config.clone() };
        let mut store = PostgresStore::new(Database::new(config).unwrap());
        let slow = || -> Publishing<'_> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(1_500)).await;
                Ok(())
            })
        };
        let error = step(&mut store, &slow).await.unwrap_err();
        let named = "postgres.idle_in_transaction_timeout_ms (200)";
        assert!(matches!(&error, StoreError::Unavailable(text) if text.contains(named)), "{error:?}");
        assert_eq!(committed(&mut store).await, 0);
        // Neither does one that fails afterwards.
        let failing = || -> Publishing<'_> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(1_500)).await;
                Err(Abort)
            })
        };
        let error = step(&mut store, &failing).await.unwrap_err();
        assert!(matches!(error, StoreError::Aborted), "{error:?}");
        step(&mut store, &pipeline::nothing_before_commit).await.unwrap();
        assert_eq!(committed(&mut store).await, 1);
    });
    assert_eq!(scratch.ask(COUNT), ["1"]);
}

/// I3: a worker that is stopped while it publishes leaves no transaction, and no lock, behind.
#[test]
fn a_commit_that_is_dropped_rolls_back() {
    let scratch = Scratch::migrated();
    scratch.runtime.block_on(async {
        let mut store = PostgresStore::new(Database::new(scratch.config.clone()).unwrap());
        let endless = || -> Publishing<'_> { Box::pin(std::future::pending()) };
        let dropped = tokio::time::timeout(Duration::from_millis(500), step(&mut store, &endless)).await;
        assert!(dropped.is_err());
        step(&mut store, &pipeline::nothing_before_commit).await.unwrap();
        assert_eq!(committed(&mut store).await, 1);
    });
    assert_eq!(scratch.ask(COUNT), ["1"]);
}
