//! Several engines, started at once.

use crate::address::Engine;
use crate::cassandra::Cassandra;
use crate::fetch::{Package, fetch};
use crate::kafka::Kafka;
use crate::options::{CassandraOptions, KafkaOptions, PostgresOptions, RedisOptions, RegistryOptions};
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::registry::Registry;
use anyhow::Result;
use std::thread::{Scope, ScopedJoinHandle};

/// Which engines, and how. The default is none.
#[derive(Clone, Debug, Default)]
pub struct SetOptions {
    /// Kafka, where it is to run.
    pub kafka: Option<KafkaOptions>,
    /// Cassandra, where it is to run.
    pub cassandra: Option<CassandraOptions>,
    /// Postgres, where it is to run.
    pub postgres: Option<PostgresOptions>,
    /// The schema registry, where it is to run.
    pub registry: Option<RegistryOptions>,
    /// Redis, where it is to run.
    pub redis: Option<RedisOptions>,
}

impl SetOptions {
    /// These engines, with their default options.
    #[must_use]
    pub fn of(engines: &[Engine]) -> Self {
        let has = |engine| engines.contains(&engine);
        Self {
            kafka: has(Engine::Kafka).then(KafkaOptions::default),
            cassandra: has(Engine::Cassandra).then(CassandraOptions::default),
            postgres: has(Engine::Postgres).then(PostgresOptions::default),
            registry: has(Engine::Registry).then(RegistryOptions::default),
            redis: has(Engine::Redis).then(RedisOptions::default),
        }
    }

    /// Every engine, with its default options.
    #[must_use]
    pub fn all() -> Self {
        Self::of(&Engine::ALL)
    }
}

/// Running engines. All are stopped when it is dropped.
#[derive(Debug)]
pub struct Set {
    /// Kafka, where it was asked for.
    pub kafka: Option<Kafka>,
    /// Cassandra, where it was asked for.
    pub cassandra: Option<Cassandra>,
    /// Postgres, where it was asked for.
    pub postgres: Option<Postgres>,
    /// The schema registry, where it was asked for.
    pub registry: Option<Registry>,
    /// Redis, where it was asked for.
    pub redis: Option<Redis>,
}

impl Set {
    /// Starts engines beside each other and waits until all serve; where one fails, the others are stopped.
    ///
    /// # Errors
    /// The first failure.
    pub fn start(options: &SetOptions) -> Result<Self> {
        // One after the other: package clients do not gain from running at once, and their lines would mix.
        let wanted = [
            (options.kafka.is_some(), Package::Kafka),
            (options.cassandra.is_some(), Package::Cassandra),
            (options.postgres.is_some(), Package::Postgres),
            (options.registry.is_some(), Package::Registry),
        ];
        for (_, package) in wanted.into_iter().filter(|(wanted, _)| *wanted) {
            fetch(package)?;
        }
        std::thread::scope(|scope| {
            let kafka = begin(scope, options.kafka.as_ref(), Kafka::start);
            let cassandra = begin(scope, options.cassandra.as_ref(), Cassandra::start);
            let postgres = begin(scope, options.postgres.as_ref(), Postgres::start);
            let registry = begin(scope, options.registry.as_ref(), Registry::start);
            let redis = begin(scope, options.redis.as_ref(), Redis::start);
            Ok(Self {
                kafka: end(kafka)?,
                cassandra: end(cassandra)?,
                postgres: end(postgres)?,
                registry: end(registry)?,
                redis: end(redis)?,
            })
        })
    }

    /// The address of each engine that runs, as [`address`](crate::address()) gives it to tests.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Engine, String)> {
        let all = [
            (Engine::Kafka, self.kafka.as_ref().map(Kafka::bootstrap)),
            (Engine::Cassandra, self.cassandra.as_ref().map(|engine| engine.address().to_string())),
            (Engine::Postgres, self.postgres.as_ref().map(Postgres::url)),
            (Engine::Registry, self.registry.as_ref().map(Registry::url)),
            (Engine::Redis, self.redis.as_ref().map(Redis::url)),
        ];
        all.into_iter().filter_map(|(engine, address)| Some((engine, address?))).collect()
    }
}

type Starting<'scope, T> = Option<ScopedJoinHandle<'scope, Result<T>>>;

fn begin<'scope, O: Sync, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    options: Option<&'scope O>,
    start: fn(&O) -> Result<T>,
) -> Starting<'scope, T> {
    options.map(|options| scope.spawn(move || start(options)))
}

fn end<T>(starting: Starting<'_, T>) -> Result<Option<T>> {
    starting.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).transpose()
}
