//! Every engine answers, keeps its data over a kill, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use engines::{CassandraOptions, Engine, Node, Set, SetOptions};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use support::cql::cql;
use support::{alive, consume, creating, produce, until};

/// What a server answers to a request after which it closes the connection.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn subjects(address: SocketAddr) -> String {
    ask(address, &format!("GET /apis/ccompat/v7/subjects HTTP/1.0\r\nHost: {address}\r\n\r\n"))
}

fn options() -> SetOptions {
    let durable = CassandraOptions { durable: true, ..Default::default() };
    SetOptions { kafka: Some(creating(1)), cassandra: Some(durable), ..SetOptions::all() }
}

fn nodes(set: &Set) -> Vec<&Node> {
    let [kafka] = set.kafka.as_ref().unwrap().brokers() else { panic!("one broker") };
    let (cassandra, postgres) = (set.cassandra.as_deref().unwrap(), set.postgres.as_deref().unwrap());
    vec![kafka, cassandra, postgres, set.registry.as_deref().unwrap(), set.redis.as_deref().unwrap()]
}

/// Writes into every engine that keeps something.
fn write(set: &Set) {
    produce(&set.kafka.as_ref().unwrap().bootstrap(), "kept", "a line");
    let cassandra = set.cassandra.as_ref().unwrap().address();
    cql(cassandra, "create keyspace kept with replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    cql(cassandra, "create table kept.row (id int primary key, word text)");
    cql(cassandra, "insert into kept.row (id, word) values (1, 'mycelium')");
    let postgres = set.postgres.as_ref().unwrap();
    postgres.sql("create extension vector").unwrap();
    postgres.sql("create table kept as select '[1,2]'::vector as v").unwrap();
}

/// Everything that was written is there, and what keeps nothing answers.
fn check(set: &Set) {
    assert_eq!(consume(&set.kafka.as_ref().unwrap().bootstrap(), "kept"), ["a line"]);
    let row = cql(set.cassandra.as_ref().unwrap().address(), "select word from kept.row where id = 1");
    assert!(row.ends_with(b"mycelium"), "{row:?}");
    assert_eq!(set.postgres.as_ref().unwrap().sql("select v <-> '[1,0]' from kept").unwrap(), "2");
    let registry = subjects(set.registry.as_ref().unwrap().address());
    assert!(registry.starts_with("HTTP/1.0 200") && registry.ends_with("[]"), "{registry}");
    assert_eq!(ask(set.redis.as_ref().unwrap().address(), "PING\r\nQUIT\r\n"), "+PONG\r\n+OK\r\n");
}

#[test]
fn every_engine_keeps_its_data_over_a_kill_and_leaves_nothing_behind() {
    let set = Set::start(&options()).unwrap();
    let addresses = set.addresses();
    assert_eq!(addresses.iter().map(|(engine, _)| *engine).collect::<Vec<_>>(), Engine::ALL);
    write(&set);
    check(&set);

    let before: Vec<u32> = nodes(&set).iter().map(|node| node.pid().unwrap()).collect();
    for node in nodes(&set) {
        node.kill().unwrap();
        assert_eq!(node.pid(), None);
    }
    assert!(!before.iter().any(|pid| alive(*pid)), "{before:?}");
    std::thread::scope(|scope| {
        let restarts: Vec<_> = nodes(&set).into_iter().map(|node| scope.spawn(|| node.restart().unwrap())).collect();
        restarts.into_iter().for_each(|restart| restart.join().unwrap());
    });
    assert_eq!(set.addresses(), addresses);
    check(&set);

    let pids: Vec<u32> = nodes(&set).iter().map(|node| node.pid().unwrap()).collect();
    let homes: Vec<_> = pids.iter().map(|pid| fs::read_link(format!("/proc/{pid}/cwd")).unwrap()).collect();
    drop(set);
    assert!(!pids.iter().any(|pid| alive(*pid)), "{pids:?}");
    assert!(!homes.iter().any(|home| home.exists()), "{homes:?}");
}

#[test]
fn two_sets_run_side_by_side() {
    let options = SetOptions::of(&[Engine::Postgres, Engine::Redis]);
    let sets = [Set::start(&options).unwrap(), Set::start(&options).unwrap()];
    for (ix, set) in sets.iter().enumerate() {
        set.postgres.as_ref().unwrap().sql(&format!("create table mine as select {ix} as ix")).unwrap();
    }
    for (ix, set) in sets.iter().enumerate() {
        assert_eq!(set.postgres.as_ref().unwrap().sql("select ix from mine").unwrap(), ix.to_string());
    }
    let [one, other] = sets;
    let gone = [one.postgres.as_deref().unwrap(), one.redis.as_deref().unwrap()].map(|node| node.pid().unwrap());
    drop(one);
    assert!(!gone.iter().any(|pid| alive(*pid)));
    assert_eq!(other.postgres.as_ref().unwrap().sql("select 1").unwrap(), "1");
    assert_eq!(ask(other.redis.as_ref().unwrap().address(), "PING\r\nQUIT\r\n"), "+PONG\r\n+OK\r\n");
}

#[test]
fn a_paused_postgres_is_silent_in_every_process() {
    let set = Set::start(&SetOptions::of(&[Engine::Postgres])).unwrap();
    let postgres = set.postgres.as_ref().unwrap();
    std::thread::scope(|scope| {
        // The session is a process of its own, below the one that was started.
        let session = scope.spawn(|| postgres.sql("select pg_sleep(1), 'woken'").unwrap());
        let sessions = "select count(*) from pg_stat_activity where query like 'select pg_sleep%'";
        until("for the session", || postgres.sql(sessions).unwrap() == "1");
        postgres.pause().unwrap();
        std::thread::park_timeout(std::time::Duration::from_millis(1500));
        assert!(!session.is_finished());
        postgres.resume().unwrap();
        assert_eq!(session.join().unwrap(), "|woken");
    });
    let port = postgres.address();
    postgres.pause().unwrap();
    drop(set);
    TcpListener::bind(port).unwrap();
}

#[test]
fn a_stop_is_in_good_order_and_a_failed_start_says_why() {
    let mut set = Set::start(&SetOptions::of(&[Engine::Redis])).unwrap();
    let redis = set.redis.take().unwrap();
    redis.stop().unwrap();
    assert!(redis.log().contains("Redis is now ready to exit"), "{}", redis.log());
    redis.stop().unwrap();
    assert!(redis.wait_ready().unwrap_err().to_string().contains("Redis is not running"));
    redis.restart().unwrap();

    let mut bad = SetOptions::of(&[Engine::Redis]);
    bad.redis.as_mut().unwrap().settings.push(("port".to_owned(), "nonsense".to_owned()));
    let error = Set::start(&bad).unwrap_err().to_string();
    for part in ["Redis ended while starting", "nonsense", "redis-server"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}
