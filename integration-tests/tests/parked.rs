//! I7 on a real broker: one partition of 59 in trouble is parked, for each cause in turn; the others apply everything;
//! lag and readiness tell; the cause mended, it goes on by itself, or after the command that the message names.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use domain::{Topic, TopicPartition, partitioner};
use integration_tests::cluster::{Addresses, Cluster};
use integration_tests::running::{Running, get};
use integration_tests::wait::until;
use integration_tests::{run_async, workload};
use pipeline::{Headers, OutRecord};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use std::net::SocketAddr;
use std::time::Duration;
use testkit::events::{Events, START_US};

const CONFIG: &str = "[worker]\npark_retry_ms = 300\npark_retry_max_ms = 600\nbackoff_max_ms = 500\n";
const ROLES: [&str; 3] = ["ingest", "projector", "aggregator"];
/// The agent whose partition gets into trouble.
const VICTIM: &str = "victim";
const PARTITIONS: u32 = 10;
const WAIT: Duration = Duration::from_secs(10);

/// A pipeline with workers, and the means to make trouble.
struct Rig {
    cluster: Cluster,
    workers: Vec<(&'static str, Running, SocketAddr)>,
    events: Events,
    next_id: u128,
}

impl Rig {
    fn new() -> Self {
        let cluster = Cluster::wide(&Addresses::shared(), CONFIG);
        Self { cluster, workers: Vec::new(), events: workload::events(), next_id: 0 }
    }

    fn start(&mut self) {
        for role in ROLES {
            let mut process = self.cluster.start(role, &[]);
            let http = process.http();
            self.workers.push((role, process, http));
        }
    }

    fn stop(&mut self) {
        for (_, process, _) in self.workers.drain(..) {
            process.interrupt();
            assert!(process.wait().success());
        }
    }

    /// Interactions of a hundred agents, and some of the victim.
    fn append(&mut self) {
        let mut records = Vec::new();
        for n in 0..120_u128 {
            let agent = if n % 6 == 0 { VICTIM.to_owned() } else { format!("agent-{n}") };
            records.push(self.events.interaction(Events::meta(self.next_id + n, START_US, None), &agent, "b"));
        }
        self.next_id += 120;
        self.cluster.append(records);
    }

    fn victim() -> TopicPartition {
        let partition = partitioner::partition_for(format!("t|{VICTIM}").as_bytes(), PARTITIONS);
        TopicPartition::new(Topic::SacredMessages, partition)
    }

    fn topic(&self, topic: Topic) -> String {
        format!("{}.{topic}", self.cluster.name())
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.cluster.kafka().bootstrap);
        client
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    /// Sets one configuration of a topic beside those that `topics apply` sets again.
    fn configure(&self, topic: Topic, name: &str, value: &str) {
        let topic = self.topic(topic);
        let alter = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set(name, value);
        run_async(async {
            let done = self.admin().alter_configs([&alter], &AdminOptions::new()).await.unwrap();
            done.into_iter().for_each(|done| drop(done.unwrap()));
        });
    }

    fn end(&self, tp: TopicPartition) -> i64 {
        let consumer: BaseConsumer = self.client().set("group.id", "nobody").create().unwrap();
        consumer.fetch_watermarks(&self.topic(tp.topic), tp.partition as i32, WAIT).unwrap().1
    }

    /// Waits until every worker says that the partition is parked for this cause, is ready all the same, and the others'
    /// records are applied.
    fn is_parked(&mut self, tp: TopicPartition, words: &str) {
        self.is_parked_in(&ROLES, tp, words);
    }

    fn is_parked_in(&mut self, roles: &[&str], tp: TopicPartition, words: &str) {
        for (role, process, http) in self.workers.iter_mut().filter(|(role, ..)| roles.contains(role)) {
            until(&format!("for {role} to park {tp}: {words}"), || {
                let (status, body) = get(*http, "/readyz");
                let told = body.contains("degraded") && body.contains(&tp.to_string()) && body.contains(words);
                (status == 200 && told).then_some(())
            });
            assert!(process.is_alive());
            let metrics = get(*http, "/metrics").1;
            let parked = metrics.lines().find(|line| line.starts_with("sporelog_partition_parked{"));
            assert!(parked.is_some_and(|line| line.contains(tp.topic.name())), "{role}: {metrics}");
        }
        let lag = self.cluster.run(&["lag"]);
        let told = String::from_utf8_lossy(&lag.stdout).into_owned();
        assert!(!lag.status.success() && told.contains(&tp.to_string()), "{told}");
    }

    /// Waits until nobody is degraded and everything is applied.
    fn goes_on(&self) {
        for (role, _, http) in &self.workers {
            until(&format!("for {role} to go on"), || {
                let (status, body) = get(*http, "/readyz");
                (status == 200 && !body.contains("degraded")).then_some(())
            });
        }
        self.cluster.settle();
    }

    fn applied(&self) -> i64 {
        self.cluster.number("SELECT coalesce(sum(applied), 0)::bigint FROM position WHERE projection = 'views'")
    }

    /// Waits until the projector has applied this many events.
    fn until_applied(&self, n: i64) {
        until(&format!("for {n} events to be applied, {} are", self.applied()), || (self.applied() >= n).then_some(()));
    }
}

/// L3: records deleted ahead of the position: the message's own command passes them, and they count as lost.
#[test]
fn a_partition_whose_records_were_deleted_waits_for_an_order() {
    let mut rig = Rig::new();
    rig.append();
    rig.start();
    rig.until_applied(120);
    rig.cluster.settle();
    rig.stop();
    rig.append();
    let tp = Rig::victim();
    let (end, name) = (rig.end(tp), rig.topic(tp.topic));
    let mut cut = TopicPartitionList::new();
    cut.add_partition_offset(&name, tp.partition as i32, Offset::Offset(end)).unwrap();
    run_async(async {
        rig.admin().delete_records(&cut, &AdminOptions::new()).await.unwrap();
    });
    rig.append();
    rig.start();
    rig.is_parked(tp, "projection skip");
    let before = rig.applied();
    rig.append();
    until("for the others to go on", || (rig.applied() > before).then_some(()));
    let (tp_text, to) = (tp.to_string(), end.to_string());
    let skip = |projection| {
        rig.cluster.ok(&["projection", "skip", projection, &tp_text, "--to", &to, "--reason", "deleted", "--yes"]);
    };
    ["views", "series"].into_iter().for_each(skip);
    let lost = "SELECT count(*) FROM position WHERE lost > 0";
    assert_eq!(rig.cluster.number(lost), 2);
    // Ingest resumes from its group, which must have no members when its offset is moved.
    rig.stop();
    rig.cluster.ok(&["projection", "skip", "records", &tp_text, "--to", &to, "--reason", "deleted", "--yes"]);
    rig.start();
    rig.goes_on();
    let gap = rig.cluster.number("SELECT coalesce(sum(abs(gap)), 0)::bigint FROM freshness");
    assert_eq!(gap, 0, "I5");
}

/// L14: a topic whose times are its producers' waits, says what to do, and goes on by itself.
#[test]
fn a_topic_with_producers_times_waits_for_topics_apply() {
    let mut rig = Rig::new();
    rig.configure(Topic::SacredMessages, "message.timestamp.type", "CreateTime");
    rig.append();
    rig.start();
    rig.is_parked(Rig::victim(), "topics apply");
    rig.cluster.ok(&["topics", "apply"]);
    rig.goes_on();
    assert_eq!(rig.applied(), 120);
}

/// L2: a dead letter that the log refuses parks its record's partition; when the topic is mended it goes on by itself.
#[test]
fn a_letter_that_the_log_refuses_waits_for_topics_apply() {
    let mut rig = Rig::new();
    rig.configure(Topic::DeadLetter, "max.message.bytes", "1000");
    let tp = Rig::victim();
    // Random, so that compression does not make it fit.
    let mut random = oorandom::Rand32::new(7);
    let value = (0..5_000).map(|_| random.rand_u32() as u8).collect();
    let key = format!("t|{VICTIM}").into_bytes();
    rig.cluster.append(vec![OutRecord { topic: tp.topic, key, value, headers: Headers::default() }]);
    rig.append();
    rig.start();
    rig.is_parked(tp, "dead letter");
    let others = 120 - rig.end(tp) + 1;
    rig.until_applied(others);
    assert_eq!(rig.applied(), others);
    rig.cluster.ok(&["topics", "apply"]);
    rig.goes_on();
    assert_eq!((rig.applied(), rig.cluster.dead_letters()), (120, 3), "one letter of each projection");
}

/// L5: a topic that was deleted and made again is another log: nothing of it is applied.
#[test]
fn a_topic_made_again_is_another_log() {
    let mut rig = Rig::new();
    rig.append();
    rig.start();
    rig.until_applied(120);
    rig.cluster.settle();
    rig.stop();
    let name = rig.topic(Topic::SacredMessages);
    run_async(async {
        rig.admin().delete_topics(&[&name], &AdminOptions::new()).await.unwrap();
    });
    until("for the topic to be gone and made again", || {
        let applied = rig.cluster.run(&["topics", "apply"]);
        applied.status.success().then_some(())
    });
    rig.append();
    rig.append();
    rig.append();
    rig.start();
    // With a topic Kafka deletes its groups' offsets: ingest has no position of the former one, and begins anew.
    rig.is_parked_in(&["projector", "aggregator"], Rig::victim(), "another log");
    assert_eq!(rig.applied(), 120, "nothing of another log is applied");
}

/// I9: a topic that was given more partitions is parked as a whole, and no record is judged misplaced by it.
#[test]
fn a_topic_with_more_partitions_is_parked() {
    let mut rig = Rig::new();
    rig.append();
    rig.start();
    rig.until_applied(120);
    rig.cluster.settle();
    rig.stop();
    let name = rig.topic(Topic::SacredMessages);
    run_async(async {
        let more = NewPartitions::new(&name, PARTITIONS as usize + 1);
        rig.admin().create_partitions([&more], &AdminOptions::new()).await.unwrap();
    });
    rig.append();
    rig.start();
    rig.is_parked(Rig::victim(), "partitions");
    assert_eq!((rig.applied(), rig.cluster.dead_letters()), (120, 0));
}
