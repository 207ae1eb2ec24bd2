//! How long it takes from append to commit, under a steady load.
//!
//! A producer in a process of its own appends each event at its moment, which the event carries as `occurred_at`; where
//! it falls behind it does not skip moments, so that a stall counts for every event that it held up (no coordinated
//! omission). The worker's observer notes which offset was committed when. Afterwards the topics are read: an event's
//! latency is the first commit behind its offset, minus its moment; and, beside it, minus the broker's append time.

use crate::child::Spec;
use crate::consume;
use crate::input::{Maker, Skew};
use crate::marks::Commit;
use crate::measure::{Measured, Meter, Quantiles};
use crate::worker::{run_watched, schemas};
use domain::{Projection, Topic, TopicPartition};
use hdrhistogram::Histogram;
use pipeline::{Clock as _, SystemClock};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Message};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the producer gathers. It sends a request a partition, so with its default of 5 ms the broker of a small
/// machine does little else than take requests of a few records.
const LINGER_MS: &str = "50";
/// Longer than any latency of a run.
const MAX_US: u64 = 600_000_000;

/// Appends `spec.limit` events of the projection's topics at `rate` events a second.
pub fn produce(spec: &Spec, rate: f64, agents: u64) -> Measured {
    let projection = Projection::named(&spec.projection).unwrap();
    let producer: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", &spec.kafka)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("compression.type", "zstd")
        .set("linger.ms", LINGER_MS)
        .create()
        .unwrap();
    let names: BTreeMap<Topic, String> =
        projection.topics.iter().map(|topic| (*topic, format!("{}{topic}", spec.topics))).collect();
    let mut maker = Maker::new(schemas(), agents, Skew::Zipf, 11);
    let clock = SystemClock::new();
    let (meter, start) = (Meter::process(spec.pids), clock.now_us());
    let (mut sent, mut made) = (0_u64, 0);
    while sent < spec.limit {
        let due = ((clock.now_us() - start) as f64 * rate / 1e6) as u64;
        while sent < due.min(spec.limit) {
            made += 1;
            let record = maker.at(made, start + (sent as f64 * 1e6 / rate) as i64);
            let Some(name) = names.get(&record.topic) else { continue };
            let mut out = BaseRecord::to(name).key(&record.key).payload(&record.value);
            while let Err((_, back)) = producer.send(out) {
                std::thread::sleep(Duration::from_millis(1));
                out = back;
            }
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    meter.spent(sent as usize)
}

/// Runs a worker beside a producer until `spec.limit` events are committed, and gives the latencies.
pub fn run(spec: &Spec, warm_up_s: f64) -> Measured {
    let (mut measured, marks) = run_watched(spec, true);
    let mut commits: BTreeMap<TopicPartition, Vec<Commit>> = BTreeMap::new();
    marks.commits().into_iter().for_each(|commit| commits.entry(commit.0).or_default().push(commit));
    let (mut moments, mut appends) = (histogram(), histogram());
    let (schemas, mut first) = (schemas(), i64::MAX);
    each(spec, |tp, offset, append_us, value| {
        let moment = schemas.decode(value).unwrap().meta().occurred_at;
        first = first.min(moment);
        let of = &commits[&tp];
        let at = of[of.partition_point(|commit| commit.1 <= offset)].2;
        // Topics are read one after another: each begins near the start.
        if moment - first >= (warm_up_s * 1e6) as i64 {
            moments.saturating_record((at - moment).max(0) as u64);
            appends.saturating_record((at - append_us).max(0) as u64);
        }
    });
    measured.latency = vec![quantiles("its moment", &moments), quantiles("append", &appends)];
    measured
}

fn each(spec: &Spec, mut what: impl FnMut(TopicPartition, i64, i64, &[u8])) {
    let projection = Projection::named(&spec.projection).unwrap();
    let consumer = consume::open(spec, projection);
    let mut left = spec.limit;
    while left > 0 {
        let Some(message) = consumer.poll(Duration::from_secs(10)) else { panic!("{left} records are missing") };
        let message = message.unwrap();
        let topic = Topic::from_name(message.topic().strip_prefix(&spec.topics).unwrap()).unwrap();
        let tp = TopicPartition::new(topic, message.partition() as u32);
        let append_us = message.timestamp().to_millis().unwrap() * 1_000;
        what(tp, message.offset(), append_us, message.payload().unwrap());
        left -= 1;
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_US, 3).unwrap()
}

fn quantiles(from: &str, of: &Histogram<u64>) -> Quantiles {
    let ms = |quantile| of.value_at_quantile(quantile) as f64 / 1e3;
    Quantiles {
        from: from.to_owned(),
        count: of.len(),
        p50: ms(0.5),
        p90: ms(0.9),
        p99: ms(0.99),
        p999: ms(0.999),
        max: of.max() as f64 / 1e3,
    }
}
