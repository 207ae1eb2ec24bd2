//! A database per test, dropped at its end.
#![allow(clippy::unwrap_used, missing_docs, reason = "helpers of tests fail by panicking")]

use domain::delta::Deltas;
use domain::{Projection, Topic, TopicPartition};
use engines::{Engine, address};
use pipeline::StoreError;
use store_postgres::{Database, PostgresConfig, PostgresStore, migrate};
use testkit::store_suite;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// A runtime whose connections are served while the test thread does something else.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A database of its own.
pub struct Scratch {
    pub runtime: Runtime,
    pub config: PostgresConfig,
    name: String,
    server: String,
}

impl Scratch {
    /// A new empty database.
    pub fn empty() -> Self {
        Self::empty_on(address(Engine::Postgres), "")
    }

    /// A new empty database of a server, with these options of CREATE DATABASE.
    pub fn empty_on(server: String, options: &str) -> Self {
        let runtime = runtime();
        let name = format!("sporelog_test_{}", Uuid::now_v7().simple());
        runtime.block_on(async {
            let admin = connect(&server).await;
            admin.batch_execute(&format!("CREATE DATABASE {name} {options}")).await.unwrap();
        });
        let config = PostgresConfig::new(with_database(&server, &name));
        Self { runtime, config, name, server }
    }

    /// A migrated database.
    pub fn migrated() -> Self {
        let scratch = Self::empty();
        scratch.runtime.block_on(migrate::up(&scratch.config)).unwrap();
        scratch
    }

    #[allow(dead_code, reason = "few tests change settings")]
    /// Changes a setting of the database, for connections that begin afterwards.
    pub fn alter(&self, change: &str) {
        self.runtime.block_on(async {
            let admin = connect(&self.server).await;
            admin.batch_execute(&format!("ALTER DATABASE {} {change}", self.name)).await.unwrap();
        });
    }

    /// A store over it.
    pub fn store(&self) -> PostgresStore {
        let _guard = self.runtime.enter();
        PostgresStore::new(Database::new(self.config.clone()).unwrap())
    }

    /// A plain connection to it.
    pub fn client(&self) -> Client {
        self.runtime.block_on(connect(&self.config.url))
    }

    /// The answer to a statement, as text: a line per row, columns separated by blanks.
    pub fn ask(&self, sql: &str) -> Vec<String> {
        let client = self.client();
        self.runtime.block_on(ask(&client, sql)).unwrap()
    }

    /// Writes rows under a fresh claim of partition 0 of a topic.
    pub fn put(&self, store: &mut PostgresStore, projection: &Projection, rows: &Deltas) -> Result<(), StoreError> {
        self.runtime.block_on(put(store, projection, rows))
    }
}

/// Writes rows under a fresh claim of partition 0 of a topic.
pub async fn put(store: &mut PostgresStore, projection: &Projection, rows: &Deltas) -> Result<(), StoreError> {
    put_at(store, projection, TopicPartition::new(Topic::SacredMessages, 0), rows).await
}

/// Writes rows under a fresh claim of a partition.
pub async fn put_at(
    store: &mut PostgresStore,
    projection: &Projection,
    tp: TopicPartition,
    rows: &Deltas,
) -> Result<(), StoreError> {
    store_suite::put(store, (projection, tp), rows, &|| ()).await
}

/// The answer to a statement, as text.
pub async fn ask(client: &Client, sql: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    let messages = client.simple_query(sql).await?;
    let rows = messages.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let line = |row: &tokio_postgres::SimpleQueryRow| {
        (0..row.len()).map(|ix| row.get(ix).unwrap_or("null").to_owned()).collect::<Vec<_>>().join(" ")
    };
    Ok(rows.map(line).collect())
}

pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The server's URL with another database.
pub fn with_database(server: &str, name: &str) -> String {
    let (front, query) = server.split_once('?').map_or((server, None), |(front, query)| (front, Some(query)));
    let host_at = front.find("://").map_or(0, |at| at + 3);
    let front = front[host_at..].find('/').map_or(front, |at| &front[..host_at + at]);
    query.map_or_else(|| format!("{front}/{name}"), |query| format!("{front}/{name}?{query}"))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        self.runtime.block_on(async {
            let admin = connect(&server).await;
            admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        });
    }
}
