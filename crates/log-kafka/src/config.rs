//! What may be set of the Kafka clients, and what may not.
//!
//! Properties of librdkafka are passed through as they are: addresses, SASL, TLS, sockets. Those on which a guarantee
//! rests are set here, and refused from outside with the reason.

use pipeline::LogError;
use rdkafka::ClientConfig;
use std::collections::BTreeMap;
use thiserror::Error;

/// How to reach and use a cluster.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// Brokers to begin with: `host:port`, separated by commas.
    pub bootstrap: String,
    /// Goes before the name of every topic and group, so that several pipelines can share a cluster.
    pub topic_prefix: String,
    /// Properties of librdkafka, passed through: those of SASL and TLS, for example.
    pub properties: BTreeMap<String, String>,
    /// How brokers name this process in their logs and quotas.
    pub client_id: String,
    /// How long a member may be silent before its partitions go to another one.
    pub session_timeout_ms: u64,
    /// The memory that a member may hold in fetched records: half of it within librdkafka, half handed over.
    pub queue_bytes: usize,
    /// The largest record, in bytes of key, value and headers.
    pub max_record_bytes: usize,
    /// A name that stays the same over restarts of one worker (static membership): its partitions wait for it for a
    /// session timeout. It must be unique in the group.
    pub group_instance_id: Option<String>,
    /// How long a publish may take without an acknowledgement before the publisher fails, with the time that it takes to
    /// be sure that nothing of it is on its way any more.
    pub delivery_timeout_ms: u64,
    /// How long any other request may take.
    pub request_timeout_ms: u64,
    /// How long nothing may come of a partition whose end is ahead before it counts as stalled.
    pub stall_timeout_ms: u64,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            bootstrap: String::new(),
            topic_prefix: String::new(),
            properties: BTreeMap::new(),
            client_id: "sporelog".to_owned(),
            session_timeout_ms: 45_000,
            queue_bytes: 12 << 20,
            max_record_bytes: 8 << 20,
            group_instance_id: None,
            delivery_timeout_ms: 30_000,
            request_timeout_ms: 10_000,
            stall_timeout_ms: 60_000,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// No broker is named.
    #[error("no broker is named: set kafka.bootstrap to host:port of one or more brokers")]
    NoBootstrap,
    /// A property that must stay as it is.
    #[error(
        "the property `{name}` cannot be set: {why}; remove it from kafka.properties, or from the file of \
         kafka.properties_file"
    )]
    Guarded {
        /// The property.
        name: String,
        /// What would break.
        why: &'static str,
    },
    /// A number outside of what works.
    #[error("{name} is {value}: it must be {wanted}")]
    OutOfBounds {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The bounds, in words.
        wanted: &'static str,
    },
}

impl From<ConfigError> for LogError {
    fn from(error: ConfigError) -> Self {
        LogError::Fatal(error.to_string())
    }
}

const POSITIONS: &str = "positions are kept by the stores, and offsets committed only behind what was stored";
const NO_RESET: &str = "a position outside the log must stop the worker, never move it";
const DURABLE: &str = "a record is published when all replicas in sync have it, and retries must neither double nor \
                       reorder it";
const PLACED: &str = "all producers must place a key by murmur2, or the order of its records is lost";
const MEMBER: &str = "members give partitions up one by one, after they were flushed; this needs the classic protocol \
                      with the cooperative assignor, and its timeouts follow from kafka.session_timeout_ms";
const SESSION: &str = "kafka.session_timeout_ms sets it, and the times that must fit to it";
const INSTANCE: &str = "kafka.group_instance_id sets it, for each worker of the process another one";
const GROUP: &str =
    "a group is named after its projection, behind kafka.topic_prefix, and its offsets count under that name";
const BROKERS: &str = "kafka.bootstrap sets it";
const CLIENT: &str = "each worker is shown under a name of its own";
const SIZE: &str = "log.max_record_bytes sets it, for all clients alike";
const DELIVERY: &str = "kafka.delivery_timeout_ms sets it";
const COMMITTED: &str = "records of aborted transactions must never be read";
const BOUNDED: &str = "memory is bounded by kafka.queue_bytes, and queues that nobody reads must not fill";
const READABLE: &str = "what any producer could append must be readable, and a batch larger than this limit is not, \
                        whatever it holds; kafka.queue_bytes bounds what is fetched ahead";
const WHOLE: &str = "bytes that were damaged must be told from bytes as they were written";
const ENDS: &str = "a member would skip the record behind each end that it is told of, and a reader that is told where to \
                    stop needs the ends";
const CREATED: &str = "a topic that a client makes by naming it has the broker's settings and partitions, not those of \
                       topics.yaml: `sporelog topics apply` makes topics";

/// Properties that are set here only, and why.
const GUARDED: &[(&str, &str)] = &[
    ("enable.auto.commit", POSITIONS),
    ("auto.commit.enable", POSITIONS),
    ("auto.commit.interval.ms", POSITIONS),
    ("enable.auto.offset.store", POSITIONS),
    ("offset.store.method", POSITIONS),
    ("auto.offset.reset", NO_RESET),
    ("acks", DURABLE),
    ("request.required.acks", DURABLE),
    ("enable.idempotence", DURABLE),
    ("enable.gapless.guarantee", DURABLE),
    ("max.in.flight.requests.per.connection", DURABLE),
    ("max.in.flight", DURABLE),
    ("retries", DURABLE),
    ("message.send.max.retries", DURABLE),
    ("transactional.id", DURABLE),
    ("queuing.strategy", DURABLE),
    ("partitioner", PLACED),
    ("group.protocol", MEMBER),
    ("group.remote.assignor", MEMBER),
    ("partition.assignment.strategy", MEMBER),
    ("heartbeat.interval.ms", MEMBER),
    ("max.poll.interval.ms", MEMBER),
    ("session.timeout.ms", SESSION),
    ("group.instance.id", INSTANCE),
    ("group.id", GROUP),
    ("bootstrap.servers", BROKERS),
    ("metadata.broker.list", BROKERS),
    ("client.id", CLIENT),
    ("message.max.bytes", SIZE),
    ("message.timeout.ms", DELIVERY),
    ("delivery.timeout.ms", DELIVERY),
    ("isolation.level", COMMITTED),
    ("enable.partition.eof", ENDS),
    ("check.crcs", WHOLE),
    ("receive.message.max.bytes", READABLE),
    ("fetch.max.bytes", BOUNDED),
    ("allow.auto.create.topics", CREATED),
    ("statistics.interval.ms", BOUNDED),
    ("queued.max.messages.kbytes", BOUNDED),
    ("fetch.queue.backoff.ms", BOUNDED),
];

/// The largest batch that is read, unpacked. librdkafka holds a decompressed batch to the limit of an answer; a zstd frame
/// without a size is tried in steps of three, so what surely fits is a third of this. It bounds one batch only: fetches are
/// bounded by `fetch.max.bytes`.
const LARGEST_BATCH_BYTES: usize = 512 << 20;

/// How many answers of fetches fit into what is read ahead.
const FETCHES_AHEAD: usize = 8;

/// Room beside the bytes of key, value and headers: the batch around a record, and what a compression adds to bytes that
/// it cannot make smaller. Topics must take a record of the largest size and this much, see `topics.yaml`.
pub(crate) const ENVELOPE_BYTES: usize = 1 << 20;

impl KafkaConfig {
    /// Whether everything is as it must be.
    ///
    /// # Errors
    /// Names what is not, and why it must be otherwise.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.bootstrap.trim().is_empty() {
            return Err(ConfigError::NoBootstrap);
        }
        for name in self.properties.keys() {
            if let Some((_, why)) = GUARDED.iter().find(|(guarded, _)| guarded == name) {
                return Err(ConfigError::Guarded { name: name.clone(), why });
            }
        }
        let bounds = |name, value: u64, fits: bool, wanted| {
            if fits { Ok(()) } else { Err(ConfigError::OutOfBounds { name, value, wanted }) }
        };
        let (session, queue, record) = (self.session_timeout_ms, self.queue_bytes as u64, self.max_record_bytes as u64);
        bounds("kafka.session_timeout_ms", session, (1_000..=1_800_000).contains(&session), "1000 to 1800000")?;
        bounds("kafka.queue_bytes", queue, (65_536..2 << 30).contains(&queue), "65536 to 2147483647")?;
        bounds("log.max_record_bytes", record, (1_024..=64 << 20).contains(&record), "1024 to 67108864")?;
        let delivery = self.delivery_timeout_ms;
        bounds("kafka.delivery_timeout_ms", delivery, (100..=3_600_000).contains(&delivery), "100 to 3600000")?;
        let request = self.request_timeout_ms;
        // No option sets it: only who builds the client can.
        bounds(
            "the timeout of requests to the brokers, in milliseconds,",
            request,
            (100..=300_000).contains(&request),
            "100 to 300000",
        )
    }

    /// The largest batch that the producers make: topics must take it.
    pub(crate) fn largest_batch_bytes(&self) -> usize {
        self.max_record_bytes + ENVELOPE_BYTES
    }

    /// How long a member may take to flush revoked partitions before they go without it: others of the group wait.
    pub(crate) fn release_timeout_ms(&self) -> u64 {
        self.session_timeout_ms / 2
    }

    /// The properties that all clients share.
    pub(crate) fn client(&self) -> Result<ClientConfig, ConfigError> {
        self.check()?;
        let mut client = ClientConfig::new();
        client
            .set("reconnect.backoff.max.ms", "2000")
            .set("socket.keepalive.enable", "true")
            // A topic that is created later is found after that long.
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("socket.timeout.ms", self.request_timeout_ms.max(1_000).to_string());
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        client
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", &self.client_id)
            .set("message.max.bytes", self.largest_batch_bytes().to_string())
            .set("allow.auto.create.topics", "false")
            .set("statistics.interval.ms", "0");
        Ok(client)
    }

    /// The properties of a consumer that assigns itself, or asks.
    pub(crate) fn reader(&self, group: &str) -> Result<ClientConfig, ConfigError> {
        let mut client = self.client()?;
        let prefetch = self.queue_bytes / 2;
        // The answer to a fetch is held compressed, and then once more, several times as large. One batch that is larger
        // comes all the same: alone, in an answer that must be taken.
        let fetch = (prefetch / FETCHES_AHEAD).clamp(1 << 20, 64 << 20);
        client
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            // The default stops fetching for a second whenever the queue was full.
            .set("fetch.queue.backoff.ms", "20")
            .set("queued.max.messages.kbytes", (prefetch / 1024).max(1).to_string())
            // Of a consumer this only raises the next one.
            .set("message.max.bytes", fetch.to_string())
            .set("fetch.max.bytes", fetch.to_string())
            .set("receive.message.max.bytes", LARGEST_BATCH_BYTES.to_string());
        // A broker that answers as soon as it has a record answers for every few records, which costs it, and whoever
        // asks, more than the records do. Who waits longer waits in front of a partition that was just assigned, too.
        self.unless_given(&mut client, &["fetch.min.bytes"], "65536");
        self.unless_given(&mut client, &["fetch.wait.max.ms"], "20");
        Ok(client)
    }

    /// Sets the first of these names of a property, unless one of them was passed through.
    fn unless_given(&self, client: &mut ClientConfig, names: &[&str], value: &str) {
        if !names.iter().any(|name| self.properties.contains_key(*name)) {
            client.set(names[0], value);
        }
    }

    /// The properties of a member of a group.
    pub(crate) fn member(&self, group: &str) -> Result<ClientConfig, ConfigError> {
        let mut client = self.reader(group)?;
        let session = self.session_timeout_ms;
        client
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session.to_string())
            .set("heartbeat.interval.ms", (session / 10).clamp(100, 3_000).to_string())
            .set("max.poll.interval.ms", (session * 2).max(10_000).to_string())
            // Trap: librdkafka takes the end of a partition for a record, if messages are taken many at a time, and goes on
            // behind the next one after a rebalance.
            .set("enable.partition.eof", "false");
        if let Some(instance) = &self.group_instance_id {
            client.set("group.instance.id", instance);
        }
        Ok(client)
    }

    /// The properties of a producer.
    pub(crate) fn producer(&self) -> Result<ClientConfig, ConfigError> {
        let mut client = self.client()?;
        self.unless_given(&mut client, &["compression.type", "compression.codec"], "zstd");
        self.unless_given(&mut client, &["linger.ms", "queue.buffering.max.ms"], "2");
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            // A refused batch stops the producer, and so what is behind it: else a failed publish would leave its end.
            .set("enable.gapless.guarantee", "true")
            // Records must not time out one by one, the first ones while the last ones are sent: the publisher has a
            // deadline of its own.
            .set("message.timeout.ms", "0");
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> KafkaConfig {
        let properties = [(name.to_owned(), value.to_owned())].into();
        KafkaConfig { bootstrap: "localhost:9092".to_owned(), properties, ..KafkaConfig::default() }
    }

    #[test]
    fn properties_pass_through_to_every_client() {
        let config = with("sasl.mechanism", "SCRAM-SHA-256");
        for client in [config.client(), config.reader("g"), config.member("g"), config.producer()] {
            let client = client.unwrap();
            assert_eq!(client.get("sasl.mechanism"), Some("SCRAM-SHA-256"));
            client.create_native_config().unwrap();
        }
    }

    #[test]
    fn what_would_break_a_guarantee_is_refused_with_the_reason() {
        for (name, _) in GUARDED {
            let error = with(name, "x").check().unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&format!("`{name}`")) && text.contains("remove it"), "{text}");
        }
        assert_eq!(with("linger.ms", "50").producer().unwrap().get("linger.ms"), Some("50"));
        assert_eq!(with("fetch.min.bytes", "1").member("g").unwrap().get("fetch.min.bytes"), Some("1"));
    }

    #[test]
    fn guarded_properties_exist() {
        for (name, _) in GUARDED {
            let refused = ClientConfig::new().set(*name, "no such value").create_native_config();
            let unknown = matches!(&refused, Err(error) if error.to_string().contains("No such configuration"));
            assert!(!unknown, "{name}");
        }
    }

    /// Trap: the limit of an answer also limits an unpacked batch, and bytes are unchecked by default.
    #[test]
    fn readers_take_large_batches_and_check_bytes() {
        let config = KafkaConfig { queue_bytes: 1 << 20, ..with("linger.ms", "2") };
        for client in [config.reader("g").unwrap(), config.member("g").unwrap()] {
            let number = |name| client.get(name).unwrap().parse::<usize>().unwrap();
            assert!(number("receive.message.max.bytes") >= 3 * (170 << 20));
            assert!(number("fetch.max.bytes") <= 1 << 20);
            assert_eq!(client.get("check.crcs"), Some("true"));
        }
        assert_eq!(config.member("g").unwrap().get("enable.partition.eof"), Some("false"), "records would be skipped");
    }

    #[test]
    fn producer_never_times_out_single_records() {
        let client = with("linger.ms", "2").producer().unwrap();
        assert_eq!(client.get("message.timeout.ms"), Some("0"));
        assert_eq!(client.get("enable.gapless.guarantee"), Some("true"));
        client.create_native_config().unwrap();
    }

    #[test]
    fn bounds_are_named() {
        assert_eq!(KafkaConfig::default().check(), Err(ConfigError::NoBootstrap));
        let config = KafkaConfig { session_timeout_ms: 10, ..with("a", "b") };
        assert!(config.check().unwrap_err().to_string().contains("kafka.session_timeout_ms is 10"));
        let config = KafkaConfig { max_record_bytes: 10, ..with("a", "b") };
        assert!(config.check().unwrap_err().to_string().contains("log.max_record_bytes is 10"));
    }
}
