//! Where the engines that a test is to use answer.

/// An engine that tests talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Kafka or Redpanda: `host:port`.
    Kafka,
    /// Cassandra or ScyllaDB: `host:port`.
    Cassandra,
    /// Postgres, with or without TimescaleDB: a `postgres://` URL of a role that may create databases and roles.
    Postgres,
    /// A schema registry that speaks the Confluent API: the URL under which `/subjects` lies.
    Registry,
    /// Redis: a `redis://` URL.
    Redis,
}

impl Engine {
    /// Every engine.
    pub const ALL: [Engine; 5] = [Engine::Kafka, Engine::Cassandra, Engine::Postgres, Engine::Registry, Engine::Redis];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Engine::Kafka => "kafka",
            Engine::Cassandra => "cassandra",
            Engine::Postgres => "postgres",
            Engine::Registry => "registry",
            Engine::Redis => "redis",
        }
    }

    /// The environment variable that holds its address.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Engine::Kafka => "SPORELOG_TEST_KAFKA",
            Engine::Cassandra => "SPORELOG_TEST_CASSANDRA",
            Engine::Postgres => "SPORELOG_TEST_POSTGRES",
            Engine::Registry => "SPORELOG_TEST_REGISTRY",
            Engine::Redis => "SPORELOG_TEST_REDIS",
        }
    }
}

/// The address of a running engine.
///
/// # Panics
/// Where the environment does not give it: a missing engine is a failure, never a skipped test.
#[must_use]
pub fn address(engine: Engine) -> String {
    let variable = engine.variable();
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: run the tests with `make test`, or under `cargo run -p engines -- run -- COMMAND`"
        )
    })
}
