//! What a caller may choose about each engine. The defaults suit tests on a small machine.

/// Settings of an engine's own, by name; each replaces ours of the same name.
pub type Settings = Vec<(String, String)>;

/// Kafka.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// 1 or 3. With three, internal topics have three replicas and topics need two in sync.
    pub brokers: usize,
    /// A further listener that wants PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512: user [`SASL_USER`], password
    /// [`SASL_PASSWORD`].
    pub sasl: bool,
    /// A further listener that is reached, and advertised, through a [`Proxy`](crate::proxy::Proxy) per broker.
    pub proxied: bool,
    /// Heap of each broker in MiB.
    pub heap_mb: u32,
    /// Lines of `server.properties`.
    pub settings: Settings,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { brokers: 1, sasl: false, proxied: false, heap_mb: 512, settings: Vec::new() }
    }
}

/// The user of the listener that wants SASL.
pub const SASL_USER: &str = "sporelog";
/// The password of [`SASL_USER`].
pub const SASL_PASSWORD: &str = "not-a-secret";

/// Cassandra.
#[derive(Clone, Debug)]
pub struct CassandraOptions {
    /// Heap in MiB.
    pub heap_mb: u32,
    /// Acknowledge a write only when it is on disk. Without it, the default of Cassandra, a kill loses what was
    /// acknowledged in the last moments before it.
    pub durable: bool,
    /// Top-level entries of `cassandra.yaml`; a value is YAML.
    pub settings: Settings,
}

impl Default for CassandraOptions {
    fn default() -> Self {
        Self { heap_mb: 1024, durable: false, settings: Vec::new() }
    }
}

/// Postgres.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// Parameters, as in `postgresql.conf`.
    pub settings: Settings,
}

/// The schema registry.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// Heap in MiB.
    pub heap_mb: u32,
    /// System properties.
    pub settings: Settings,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self { heap_mb: 512, settings: Vec::new() }
    }
}

/// Redis.
#[derive(Clone, Debug, Default)]
pub struct RedisOptions {
    /// Directives of `redis.conf`.
    pub settings: Settings,
}

/// Settings by name: ours, replaced and completed by the caller's.
pub(crate) struct Merged(Vec<(String, String)>);

impl Merged {
    pub(crate) fn new<'a>(ours: impl IntoIterator<Item = (&'a str, String)>, theirs: &Settings) -> Self {
        let replaced = |name: &str| theirs.iter().any(|(other, _)| other == name);
        let ours = ours.into_iter().filter(|(name, _)| !replaced(name)).map(|(name, value)| (name.to_owned(), value));
        Self(ours.chain(theirs.iter().cloned()).collect())
    }

    /// A line for each.
    pub(crate) fn lines(&self, separator: &str) -> String {
        self.each(|name, value| format!("{name}{separator}{value}\n")).collect()
    }

    /// An argument for each.
    pub(crate) fn each<'a>(
        &'a self,
        argument: impl Fn(&str, &str) -> String + 'a,
    ) -> impl Iterator<Item = String> + 'a {
        self.0.iter().map(move |(name, value)| argument(name, value))
    }
}
