//! What goes in comes out: headers, null values, keys and their partitions; also from producers that are not ours.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::partitioner::partition_for;
use log_kafka::{KafkaReplay, KafkaView, NULL_VALUE};
use pipeline::{Headers, LogError, LogRange, OutRecord, Polled, Publisher as _, Source as _};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::time::Duration;
use support::{PARTITIONS, Rig, TOPIC, publish, record};
use testkit::log_suite::Got;
use tokio_util::sync::CancellationToken;

async fn everything(rig: &Rig) -> Vec<Got> {
    let view = KafkaView::open(&rig.config).unwrap();
    let tps = view.partitions(&[TOPIC]).unwrap();
    assert_eq!(tps.len(), PARTITIONS as usize);
    let bounds = tps.iter().map(|tp| (*tp, LogRange { start: 0, end: view.range(*tp).unwrap().end })).collect();
    let done = CancellationToken::new();
    let mut replay = KafkaReplay::new(view, bounds, done.clone()).unwrap();
    let mut all = Vec::new();
    while !done.is_cancelled() {
        match replay.next(Duration::ZERO).await.unwrap() {
            Polled::Assigned(tps) => {
                for tp in tps {
                    replay.seek(tp, 0).await.unwrap();
                }
            }
            Polled::Page(page) => all.extend(page.records().map(|record| Got::of(&record))),
            Polled::Revoked(_) | Polled::Idle => {}
        }
    }
    all
}

#[tokio::test]
async fn a_key_goes_where_our_murmur2_says() {
    let rig = Rig::new().await;
    let keys: Vec<Vec<u8>> = (0..3_000_u32)
        .map(|n| {
            let text = format!("tenant-{}|key-{n}-{}", n % 7, "x".repeat(n as usize % 13));
            [text.as_bytes(), &n.to_be_bytes()[..n as usize % 5]].concat()
        })
        .chain((0..32).map(|length| vec![0xff; length]))
        .collect();
    publish(&rig.config, keys.iter().map(|key| record(key.clone(), "v")).collect()).await;
    let got = everything(&rig).await;
    assert_eq!(got.len(), keys.len());
    for got in got {
        assert_eq!(got.tp.partition, partition_for(&got.key, PARTITIONS), "{:?}", got.key);
    }
    rig.end().await;
}

#[tokio::test]
async fn a_null_value_stays_null_when_it_is_published_again() {
    let rig = Rig::new().await;
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &rig.config.bootstrap).create().unwrap();
    let topic = format!("{}{TOPIC}", rig.config.topic_prefix);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "none", value: None::<&[u8]> })
        .insert(Header { key: "twice", value: Some("1") })
        .insert(Header { key: "twice", value: Some("2") });
    let tombstone = FutureRecord::<[u8], [u8]>::to(&topic).key(b"gone").headers(headers);
    producer.send(tombstone, Duration::from_secs(30)).await.unwrap();
    let keyless = FutureRecord::<[u8], [u8]>::to(&topic).payload(b"no key");
    producer.send(keyless, Duration::from_secs(30)).await.unwrap();

    let first = everything(&rig).await;
    let gone = first.iter().find(|got| got.key == b"gone").unwrap();
    assert!(gone.value.is_empty());
    let pairs: Vec<_> = Headers::pairs(&gone.headers).collect();
    assert_eq!(pairs, [("none", &b""[..]), ("twice", b"1"), ("twice", b"2"), (NULL_VALUE, b"")]);
    assert!(first.iter().any(|got| got.key.is_empty() && got.value == b"no key" && got.headers.is_empty()));

    let mut headers = Headers::default();
    pairs.into_iter().for_each(|(name, value)| headers.push(name, value));
    publish(&rig.config, vec![OutRecord { headers, ..record("gone", "") }]).await;
    let again = everything(&rig).await;
    let gone: Vec<_> = again.iter().filter(|got| got.key == b"gone").collect();
    assert_eq!(gone.len(), 2);
    assert_eq!(gone[0].headers, gone[1].headers);
    rig.end().await;
}

#[tokio::test]
#[allow(unsafe_code, reason = "the safe interface of the client cannot write such a header")]
async fn a_header_name_that_is_not_utf8_does_no_harm() {
    use rdkafka::bindings;
    use rdkafka::producer::{BaseProducer, Producer as _};
    let rig = Rig::new().await;
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &rig.config.bootstrap).create().unwrap();
    let topic = std::ffi::CString::new(format!("{}{TOPIC}", rig.config.topic_prefix)).unwrap();
    let (name, value) = (std::ffi::CString::new([b'n', 0xff, b'n']).unwrap(), b"v");
    let (at, size) = (value.as_ptr().cast_mut().cast(), 1);
    let header = bindings::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 { name: name.as_ptr(), val: at, size: 1 };
    let mem = bindings::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: at, size };
    use bindings::rd_kafka_vtype_t as vtype;
    use bindings::rd_kafka_vu_s__bindgen_ty_1 as union;
    let vu = |vtype, u| bindings::rd_kafka_vu_t { vtype, u };
    let vus = [
        vu(vtype::RD_KAFKA_VTYPE_TOPIC, union { cstr: topic.as_ptr() }),
        vu(vtype::RD_KAFKA_VTYPE_MSGFLAGS, union { i: 2 }),
        vu(vtype::RD_KAFKA_VTYPE_VALUE, union { mem }),
        vu(vtype::RD_KAFKA_VTYPE_HEADER, union { header }),
    ];
    // SAFETY: the arguments live until the end of the call, which copies them (flag 2).
    let error = unsafe { bindings::rd_kafka_produceva(producer.client().native_ptr(), vus.as_ptr(), vus.len()) };
    assert!(error.is_null());
    producer.flush(Duration::from_secs(30)).unwrap();
    let got = everything(&rig).await;
    let pairs: Vec<_> = Headers::pairs(&got[0].headers).collect();
    assert_eq!(pairs, [("n\u{fffd}n", &b"v"[..])]);
    rig.end().await;
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_and_nothing_of_its_batch_is_there() {
    let rig = Rig::new().await;
    let mut publisher = log_kafka::KafkaPublisher::new(&rig.config).unwrap();
    let batch = vec![record("a", "small"), record("b", vec![7; rig.config.max_record_bytes])];
    let refused = publisher.publish(batch).await;
    assert!(matches!(&refused, Err(LogError::Refused(text)) if text.contains("the limit is 8388608")), "{refused:?}");
    assert_eq!(everything(&rig).await, []);
    // Larger than the answer that a fetch asks for, also where it is compressed.
    let noise = |ix: u32| (ix.wrapping_mul(2_654_435_761).rotate_left(ix % 31) >> 11) as u8;
    let value: Vec<u8> = (0..rig.config.max_record_bytes as u32 - 100_000).map(noise).collect();
    publisher.publish(vec![record("a", value.clone())]).await.unwrap();
    let got = everything(&rig).await;
    assert!(got.len() == 1 && got[0].value == value, "it comes back whole");
    rig.end().await;
}
