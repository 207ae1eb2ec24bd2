//! The floor of every consumer: the bare client, polled in a loop, without a group; and the same with a borrowed decode.
//!
//! The decode is by hand: schema id, then straight into the struct, without validity, duplicates or account.

use crate::child::Spec;
use crate::measure::{Measured, Meter};
use domain::Projection;
use domain::event::{AgentHeartbeat, AgentStateChanged, EventKind, InteractionRecorded, SporeCreated, SporePropagated};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_avro_fast::Schema;
use std::hint::black_box;
use std::time::Duration;

/// Reads the topics of a projection from their start to `limit` records.
pub fn run(spec: &Spec, decode: bool) -> Measured {
    let projection = Projection::named(&spec.projection).unwrap();
    let decoder = Decoder::new();
    let meter = Meter::process(spec.pids);
    let consumer = open(spec, projection);
    let (mut events, mut bytes) = (0, 0);
    while events < spec.limit {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        let value = message.payload().unwrap();
        if decode {
            decoder.decode(value);
        }
        bytes += value.len();
        events += 1;
    }
    black_box(bytes);
    meter.spent(events as usize)
}

/// A consumer of every partition of the topics, from the start.
pub fn open(spec: &Spec, projection: &Projection) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &spec.kafka)
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        // With the default a full queue stops fetching for a second.
        .set("fetch.queue.backoff.ms", "20")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    for topic in projection.topics {
        let name = format!("{}{topic}", spec.topics);
        let metadata = consumer.fetch_metadata(Some(&name), Duration::from_secs(30)).unwrap();
        for partition in metadata.topics()[0].partitions() {
            all.add_partition_offset(&name, partition.id(), Offset::Beginning).unwrap();
        }
    }
    consumer.assign(&all).unwrap();
    consumer
}

/// Schemas by their ids, for the events of the input.
struct Decoder([(u32, Schema); 5]);

impl Decoder {
    fn new() -> Self {
        let of = |kind: EventKind| (crate::input::id(kind), codec::embedded().unwrap().text(kind).parse().unwrap());
        Self(
            [
                EventKind::InteractionRecorded,
                EventKind::AgentHeartbeat,
                EventKind::SporePropagated,
                EventKind::AgentStateChanged,
                EventKind::SporeCreated,
            ]
            .map(of),
        )
    }

    fn decode(&self, value: &[u8]) {
        let (head, datum) = value.split_at(5);
        let id = u32::from_be_bytes(head[1..].try_into().unwrap());
        let at = self.0.iter().position(|(known, _)| *known == id).unwrap();
        let schema = &self.0[at].1;
        match at {
            0 => drop(black_box(serde_avro_fast::from_datum_slice::<InteractionRecorded<'_>>(datum, schema).unwrap())),
            1 => drop(black_box(serde_avro_fast::from_datum_slice::<AgentHeartbeat<'_>>(datum, schema).unwrap())),
            2 => drop(black_box(serde_avro_fast::from_datum_slice::<SporePropagated<'_>>(datum, schema).unwrap())),
            3 => drop(black_box(serde_avro_fast::from_datum_slice::<AgentStateChanged<'_>>(datum, schema).unwrap())),
            _ => drop(black_box(serde_avro_fast::from_datum_slice::<SporeCreated<'_>>(datum, schema).unwrap())),
        }
    }
}
