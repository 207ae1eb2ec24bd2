//! What goes in comes out: headers, null values, keys and their partitions; also from producers that are not ours.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use domain::Topic;
use domain::partitioner::partition_for;
use pipeline::record::NULL_VALUE;
use pipeline::{DeadKind, DeadReason, Headers, LogError, OutRecord, Publisher as _, Record, deadletter};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::time::Duration;
use support::{PARTITIONS, Rig, TOPIC, everything, publish, record, spec, tp};

/// Bytes that no compression makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| next()).collect()
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
    let got = everything(&rig.config).await;
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

    let first = everything(&rig.config).await;
    let gone = first.iter().find(|got| got.key == b"gone").unwrap();
    assert!(gone.value.is_empty());
    let pairs: Vec<_> = Headers::pairs(&gone.headers).collect();
    assert_eq!(pairs, [("none", &b""[..]), ("twice", b"1"), ("twice", b"2"), (NULL_VALUE, b"")]);
    assert!(first.iter().any(|got| got.key.is_empty() && got.value == b"no key" && got.headers.is_empty()));

    let mut headers = Headers::default();
    pairs.into_iter().for_each(|(name, value)| headers.push(name, value));
    publish(&rig.config, vec![OutRecord { headers, ..record("gone", "") }]).await;
    let again = everything(&rig.config).await;
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
    let got = everything(&rig.config).await;
    let pairs: Vec<_> = Headers::pairs(&got[0].headers).collect();
    assert_eq!(pairs, [("n\u{fffd}n", &b"v"[..])]);
    rig.end().await;
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_and_nothing_of_its_batch_is_there() {
    let rig = Rig::new().await;
    let mut publisher = log_kafka::KafkaPublisher::new(&rig.config).unwrap();
    let batch = vec![record("a", "small"), record("b", vec![7; rig.config.max_record_bytes])];
    let refused = publisher.publish(batch).await.unwrap_err();
    let LogError::Refused(text) = &refused.error else { panic!("{refused:?}") };
    assert!(text.contains("the limit is 8388608") && refused.refused == Some(1), "{text}");
    assert_eq!(everything(&rig.config).await, []);
    // Larger than the answer that a fetch asks for, also where it is compressed.
    let value = noise(rig.config.max_record_bytes - 1);
    publisher.publish(vec![record("a", value.clone())]).await.unwrap();
    let got = everything(&rig.config).await;
    assert!(got.len() == 1 && got[0].value == value, "it comes back whole");
    rig.end().await;
}

/// I6: the dead letter of the largest record, and of a larger one of a foreign producer, fits in any compression.
#[tokio::test]
async fn dead_letter_of_the_largest_record_is_taken() {
    let mut rig = Rig::with(support::config(), vec![spec(TOPIC, 1, &[]), spec(Topic::DeadLetter, 1, &[])]).await;
    let reason = DeadReason { kind: DeadKind::Undecodable, text: "the first byte is 0x78".to_owned() };
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        rig.config.properties.insert("compression.type".to_owned(), compression.to_owned());
        let mut publisher = log_kafka::KafkaPublisher::new(&rig.config).unwrap();
        let max = rig.config.max_record_bytes;
        for bytes in [max - 1, 20 << 20] {
            let value = noise(bytes);
            let held = Record { tp: tp(0), offset: 0, append_time_us: 1, key: b"k", value: &value, headers: b"" };
            let letter = deadletter::dead_letter(&held, "views", &reason, max);
            let placed = publisher.publish(vec![letter]).await;
            assert!(placed.is_ok(), "{compression}, {bytes} bytes: {:?}", placed.err());
        }
    }
    rig.end().await;
}
