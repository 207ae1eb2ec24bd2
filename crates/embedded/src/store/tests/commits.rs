//! Statements, publish, COMMIT (design 2): what is seen of a commit whose transaction is open, and
//! what ends it.

use super::*;
use pipeline::Abort;
use std::sync::mpsc;
use std::time::Duration;
use testkit::store_suite::tables::NUMBERS;
use tokio::sync::oneshot;

const WAIT: Duration = Duration::from_secs(30);

fn number(key: &str, value: i64) -> Deltas {
    let mut deltas = Deltas::new(SUITE.tables);
    deltas
        .row(&NUMBERS, |writer| {
            writer.text("t").text(key);
        })
        .add("total", value);
    deltas
}

fn numbers(store: &Store) -> usize {
    all_rows(&store.reader().unwrap(), &SUITE, &NUMBERS).len()
}

#[tokio::test]
async fn nothing_of_a_commit_is_seen_while_it_publishes() {
    let (_held, mut store) = scratch();
    let claimed = claim(&mut store, &SUITE, tp(0), "log").await;
    let other = store.clone();
    let before_commit = || {
        assert_eq!((numbers(&other), other.reader().unwrap().positions(&SUITE).unwrap().len()), (0, 0));
        nothing_before_commit()
    };
    commit(&mut store, &SUITE, &[step(&claimed)], &number("a", 1), &before_commit).await.unwrap();
    assert_eq!((numbers(&store), store.reader().unwrap().positions(&SUITE).unwrap().len()), (1, 1));
}

#[tokio::test]
async fn failed_publish_rolls_back_and_the_store_goes_on() {
    let (_held, mut store) = scratch();
    let claimed = claim(&mut store, &SUITE, tp(0), "log").await;
    let failing: BeforeCommit<'_> = &|| Box::pin(std::future::ready(Err(Abort)));
    let failed = commit(&mut store, &SUITE, &[step(&claimed)], &number("a", 1), failing).await;
    assert!(matches!(failed, Err(StoreError::Aborted)), "{failed:?}");
    assert_eq!((numbers(&store), store.reader().unwrap().positions(&SUITE).unwrap().len()), (0, 0));
    let again = commit(&mut store, &SUITE, &[step(&claimed)], &number("a", 1), &nothing_before_commit).await;
    again.unwrap();
    assert_eq!(numbers(&store), 1);
}

/// What the store refuses has derived nothing.
#[tokio::test]
async fn refused_and_fenced_batches_publish_nothing() {
    let (_held, mut store) = scratch();
    let claimed = claim(&mut store, &SUITE, tp(0), "log").await;
    let mut bad = number("a", 1);
    bad.row(&NUMBERS, |writer| {
        writer.text("t").text("b");
    })
    .merge("total", Cell::Text("no number".into()));
    let refused = commit(&mut store, &SUITE, &[step(&claimed)], &bad, &|| panic!("published")).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    claim(&mut store, &SUITE, tp(0), "log").await;
    let fenced = commit(&mut store, &SUITE, &[step(&claimed)], &number("a", 1), &|| panic!("published")).await;
    assert!(matches!(&fenced, Err(StoreError::Fenced(tps)) if *tps == [tp(0)]), "{fenced:?}");
}

/// The other worker's thread is not blocked meanwhile: its runtime goes on with other work.
#[test]
fn second_worker_waits_without_blocking_its_thread_and_commits_after() {
    let (_held, store) = scratch();
    let (mut first, mut second) = (store.clone(), store.clone());
    let (publishing, at_publish) = mpsc::channel();
    let (go_on, may_go_on) = oneshot::channel();
    let worker = std::thread::spawn(move || {
        runtime().block_on(async {
            let claimed = claim(&mut first, &SUITE, tp(0), "log").await;
            let may_go_on = std::cell::Cell::new(Some(may_go_on));
            let before_commit: BeforeCommit<'_> = &|| {
                let may_go_on = may_go_on.take();
                publishing.send(()).unwrap();
                Box::pin(async move {
                    may_go_on.unwrap().await.unwrap();
                    Ok(())
                })
            };
            commit(&mut first, &SUITE, &[step(&claimed)], &number("a", 1), before_commit).await.unwrap();
        });
    });
    at_publish.recv_timeout(WAIT).unwrap();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut waits = Box::pin(claim(&mut second, &SUITE, tp(1), "log"));
        let waited = tokio::time::timeout(Duration::from_millis(50), &mut waits).await;
        assert!(waited.is_err(), "it does not get between the statements and COMMIT, and its thread goes on");
        assert_eq!(numbers(&store), 0);
        go_on.send(()).unwrap();
        let claimed = tokio::time::timeout(WAIT, &mut waits).await.unwrap();
        drop(waits);
        assert_eq!(numbers(&store), 1, "the first one is through");
        commit(&mut second, &SUITE, &[step(&claimed)], &number("b", 1), &nothing_before_commit).await.unwrap();
    });
    worker.join().unwrap();
    assert_eq!(numbers(&store), 2);
}

#[tokio::test]
async fn dropped_commit_leaves_no_open_transaction() {
    let (_held, mut store) = scratch();
    let mut other = store.clone();
    let claimed = claim(&mut store, &SUITE, tp(0), "log").await;
    let advances = [step(&claimed)];
    let rows = number("a", 1);
    {
        let for_ever: BeforeCommit<'_> = &|| Box::pin(std::future::pending());
        let waits = commit(&mut store, &SUITE, &advances, &rows, for_ever);
        assert!(tokio::time::timeout(Duration::from_millis(50), waits).await.is_err());
    }
    assert!(other.shared.writer.lock().await.is_autocommit());
    assert_eq!(numbers(&other), 0);
    commit(&mut other, &SUITE, &advances, &rows, &nothing_before_commit).await.unwrap();
    assert_eq!(numbers(&other), 1);
}

/// Also inside of a runtime, also of a task whose turn is used up.
#[tokio::test]
async fn caller_that_is_no_future_waits_on_its_thread() {
    let (_held, store) = scratch();
    let mut sync = store.clone().with_records(&SUITE);
    let lent = store.shared.writer.lock().await;
    let writes = std::thread::spawn(move || {
        let runtime = runtime();
        runtime.block_on(async {
            while tokio::task::coop::has_budget_remaining() {
                tokio::task::consume_budget().await;
                if !tokio::task::coop::has_budget_remaining() {
                    break;
                }
            }
            sync.write_now(&number("a", 1)).unwrap();
        });
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!writes.is_finished());
    drop(lent);
    writes.join().unwrap();
    assert_eq!(numbers(&store), 1);
}
