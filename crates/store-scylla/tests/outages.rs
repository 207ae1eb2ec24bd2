//! Outages are waited for, say what happened and what to do, and end by themselves (I7).

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod support;

use engines::proxy::Proxy;
use engines::{Engine, address};
use pipeline::{RecordStore, StoreError};
use std::net::{TcpListener, ToSocketAddrs as _};
use std::time::Duration;
use store_scylla::{ScyllaConfig, ScyllaStore, migrate};
use support::{Keyspace, config, events, on_keyspace, runtime};

fn unavailable(written: Result<(), StoreError>) -> String {
    match written {
        Err(StoreError::Unavailable(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nodes_that_are_down_or_silent_show_at_the_first_write() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = dead.local_addr().unwrap().to_string();
    let config = ScyllaConfig { connect_timeout_ms: 300, ..ScyllaConfig::new([&address]) };
    let rows = events::deltas(0..10);
    let mut store = ScyllaStore::new(config);
    runtime().block_on(async {
        assert!(unavailable(store.write(&rows).await).contains(&address), "nobody answers");
        drop(dead);
        assert!(unavailable(store.write(&rows).await).contains(&address), "nobody listens");
    });
}

#[test]
fn a_keyspace_or_table_that_is_missing_says_what_to_do_and_is_found_once_it_is_there() {
    let keyspace = Keyspace(config());
    let mut store = ScyllaStore::new(keyspace.0.clone());
    let rows = events::deltas(0..10);
    runtime().block_on(async {
        assert!(unavailable(store.write(&rows).await).contains("sporelog migrate up"));
        migrate::up(&keyspace.0).await.unwrap();
        store.write(&rows).await.unwrap();
        // The statements are prepared; the tables go and come back under them.
        migrate::down(&keyspace.0, 0).await.unwrap();
        assert!(unavailable(store.write(&rows).await).contains("sporelog migrate up"));
        migrate::up(&keyspace.0).await.unwrap();
        store.write(&rows).await.unwrap();
    });
}

/// Writes until it succeeds, as a worker does.
async fn write_until_it_works(store: &mut ScyllaStore, number: u64) {
    let rows = events::deltas(number..number + 50);
    for _ in 0..100 {
        match store.write(&rows).await {
            Ok(()) => return,
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the store does not come back");
}

#[test]
fn silence_and_cut_connections_are_waited_for_and_end_by_themselves() {
    on_keyspace(|config| async move {
        let node = address(Engine::Cassandra).to_socket_addrs().unwrap().next().unwrap();
        let proxy = Proxy::start(node).unwrap();
        let nodes = vec![proxy.address().to_string()];
        let mut store = ScyllaStore::new(ScyllaConfig { nodes, request_timeout_ms: 1_000, ..config });
        write_until_it_works(&mut store, 0).await;
        // What is answered comes long after anybody waits for it.
        proxy.delay(Duration::from_secs(5));
        assert!(unavailable(store.write(&events::deltas(50..100)).await).contains("timeout"));
        assert_eq!(store.in_flight().statements, 0, "nothing is left in flight");
        proxy.delay(Duration::ZERO);
        write_until_it_works(&mut store, 100).await;
        proxy.refuse(true).unwrap();
        proxy.cut();
        unavailable(store.write(&events::deltas(150..200)).await);
        proxy.refuse(false).unwrap();
        write_until_it_works(&mut store, 200).await;
    });
}

/// Each worker has a runtime of its own: when one ends, its sibling's connections live on.
#[test]
fn siblings_live_on_runtimes_of_their_own() {
    on_keyspace(|config| async move {
        let store = ScyllaStore::new(config);
        for number in 0..2 {
            let mut sibling = store.sibling();
            let worker =
                std::thread::spawn(move || runtime().block_on(sibling.write(&events::deltas(number..number + 9))));
            worker.join().unwrap().unwrap();
        }
        let mut store = store;
        store.write(&events::deltas(0..9)).await.unwrap();
    });
}
