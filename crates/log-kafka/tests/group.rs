//! A member of a group under pressure, in rebalances, and when things are missing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::TopicPartition;
use domain::partitioner::partition_for;
use log_kafka::{KafkaPublisher, KafkaSource, KafkaView};
use pipeline::ports::{Trouble, TroubleKind};
use pipeline::{GroupOffset, LogError, Polled, Publisher as _, Source as _};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::{DEADLINE, PARTITIONS, Rig, TOPIC, publish, record, spec, tp};
use testkit::log_suite::Reader;
use tokio::time::{Instant, sleep, timeout};

const POLL: Duration = Duration::from_millis(20);

async fn whole(rig: &Rig, group: &str) -> Reader<KafkaSource> {
    let mut reader = Reader::new(rig.source(group));
    reader.until(DEADLINE, "all partitions", |reader| reader.owned.len() == PARTITIONS as usize).await;
    reader
}

fn offsets<'a>(readers: impl IntoIterator<Item = &'a Reader<KafkaSource>>) -> BTreeMap<TopicPartition, Vec<i64>> {
    let mut all = BTreeMap::<_, Vec<i64>>::new();
    for got in readers.into_iter().flat_map(|reader| &reader.got) {
        all.entry(got.tp).or_default().push(got.offset);
    }
    all
}

#[tokio::test]
async fn a_worker_that_takes_nothing_stays_a_member_and_bounds_its_memory() {
    let mut rig = Rig::new().await;
    rig.config.queue_bytes = 512 << 10;
    let total = 30_000_usize;
    for batch in 0..30 {
        let records = (0..1_000).map(|n| record(format!("k{}", batch * 1_000 + n), vec![n as u8; 700]));
        publish(&rig.config, records.collect()).await;
    }
    let mut reader = whole(&rig, "slow").await;
    // Longer than the session timeout and the poll interval (12 s): the thread must go on polling on its own.
    let until = Instant::now() + Duration::from_secs(16);
    let mut largest = 0;
    while Instant::now() < until {
        largest = largest.max(reader.source.queued_bytes());
        sleep(POLL).await;
    }
    // Half of the queue, and at most one more hand-over of up to a quarter.
    assert!((1..1 << 20).contains(&largest), "{largest} bytes were queued");
    reader.until(DEADLINE, "everything", |reader| reader.got.len() >= total).await;
    assert!(!reader.step(Duration::from_millis(500)).await, "nothing is read twice");
    assert!(reader.revoked.is_empty(), "it was never thrown out");
    for (tp, offsets) in offsets([&reader]) {
        assert!(offsets.iter().copied().eq(0..offsets.len() as i64), "{tp}: a gap or a repeat");
    }
    rig.end().await;
}

/// Commits what was read, as ingest does; being refused is benign.
async fn commit(reader: &mut Reader<KafkaSource>) {
    let ends: BTreeMap<_, _> = reader.got.iter().map(|got| (got.tp, got.offset + 1)).collect();
    let ends = ends.into_iter().filter(|(tp, _)| reader.owned.contains(tp));
    let offsets: Vec<_> =
        ends.map(|(tp, next_offset)| GroupOffset { tp, next_offset, metadata: String::new() }).collect();
    match reader.source.commit(&offsets).await {
        Ok(()) | Err(LogError::NotOwner(_) | LogError::Unavailable(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_and_every_partition_flows_on() {
    let rig = Rig::new().await;
    let mut publisher = KafkaPublisher::new(&rig.config).unwrap();
    let (mut one, mut gone, mut sent) = (whole(&rig, "storm").await, Vec::new(), 0_u32);
    for round in 0..4 {
        let mut others = vec![Reader::new(rig.source("storm")), Reader::new(rig.source("storm"))];
        let until = Instant::now() + Duration::from_secs(4);
        while Instant::now() < until {
            let records = (0..20).map(|n| record(format!("k{n}"), (sent + n).to_be_bytes())).collect();
            publisher.publish(records).await.unwrap();
            sent += 20;
            one.step(POLL).await;
            for other in &mut others {
                other.step(POLL).await;
            }
        }
        let owned: BTreeSet<_> = others.iter().chain([&one]).flat_map(|reader| reader.owned.clone()).collect();
        assert_eq!(owned.len(), PARTITIONS as usize, "round {round}: everything is owned while three are there");
        for mut other in others {
            commit(&mut other).await;
            gone.extend(std::mem::take(&mut other.got));
        }
        commit(&mut one).await;
    }
    one.until(DEADLINE, "everything back", |one| one.owned.len() == PARTITIONS as usize).await;
    publisher.publish((0..20).map(|n| record(format!("k{n}"), "end")).collect()).await.unwrap();
    one.until(DEADLINE, "the last records of every key", |one| {
        one.got.iter().filter(|got| got.value == b"end").map(|got| &got.key).collect::<BTreeSet<_>>().len() == 20
    })
    .await;
    assert_eq!(one.troubles, []);
    let mut all = BTreeMap::<_, BTreeSet<i64>>::new();
    for got in one.got.iter().chain(&gone) {
        all.entry(got.tp).or_default().insert(got.offset);
    }
    for (tp, offsets) in &all {
        assert!(offsets.iter().copied().eq(0..offsets.len() as i64), "{tp}: a record was read by nobody");
    }
    assert_eq!(all.values().map(BTreeSet::len).sum::<usize>(), sent as usize + 20);
    rig.end().await;
}

#[tokio::test]
async fn a_worker_that_does_not_release_loses_what_was_revoked() {
    let rig = Rig::new().await;
    let mut stuck = whole(&rig, "stuck").await;
    let mut other = Reader::new(rig.source("stuck"));
    // Half of the session timeout, and some rounds of the group.
    other.until(DEADLINE, "a share without a release", |other| other.owned.len() >= 2).await;
    let lost = *other.owned.first().unwrap();
    let offset = GroupOffset { tp: lost, next_offset: 0, metadata: String::new() };
    let refused = stuck.source.commit(&[offset]).await;
    assert!(matches!(refused, Err(LogError::NotOwner(tp)) if tp == lost), "{refused:?}");
    assert!(!stuck.source.assignment().await.unwrap().contains(&lost));
    stuck.until(DEADLINE, "what it lost is told", |stuck| stuck.revoked.contains(&lost)).await;
    assert_eq!(stuck.revoked, other.owned);
    rig.end().await;
}

#[tokio::test]
async fn positions_are_mirrored_for_those_who_watch_the_lag() {
    let rig = Rig::new().await;
    publish(&rig.config, vec![record("k", "v")]).await;
    let mut reader = whole(&rig, "mirrored").await;
    reader.until(DEADLINE, "the record", |reader| reader.got.len() == 1).await;
    let at = reader.got[0].tp;
    reader.source.mirror(&[(at, 1)]);
    let seen = async {
        loop {
            let committed = tokio::task::spawn_blocking({
                let config = rig.config.clone();
                move || KafkaView::open(&config).unwrap().committed("mirrored", &[at]).unwrap()
            });
            if committed.await.unwrap().iter().any(|offset| offset.next_offset == 1) {
                break;
            }
            reader.step(POLL).await;
        }
    };
    timeout(DEADLINE, seen).await.expect("mirrored");
    rig.end().await;
}

#[tokio::test]
async fn a_missing_topic_is_named_until_it_is_there() {
    let config = support::config();
    let mut source = KafkaSource::join(&config, "early", &[TOPIC]).unwrap();
    let named = async {
        loop {
            match source.next(DEADLINE).await {
                Err(LogError::Unavailable(text)) => break text,
                Ok(Polled::Idle) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let text = timeout(DEADLINE, named).await.expect("an error");
    assert!(text.contains(&config.topic_prefix) && text.contains("sporelog topics apply"), "{text}");
    let rig = Rig::with(config, vec![spec(TOPIC, PARTITIONS, &[])]).await;
    let assigned = async { while !matches!(source.next(DEADLINE).await, Ok(Polled::Assigned(_))) {} };
    timeout(DEADLINE, assigned).await.expect("assigned once the topic is there");
    rig.end().await;
}

#[tokio::test]
async fn brokers_that_are_gone_are_an_outage() {
    let mut config = support::config();
    // A port of our own that nobody listens at.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    config.bootstrap = format!("127.0.0.1:{port}");
    config.delivery_timeout_ms = 1_000;
    let mut source = KafkaSource::join(&config, "alone", &[TOPIC]).unwrap();
    let told = timeout(DEADLINE, source.next(DEADLINE)).await.unwrap();
    assert!(matches!(&told, Err(LogError::Unavailable(text)) if text.contains("kafka.bootstrap")), "{told:?}");
    let mut publisher = KafkaPublisher::new(&config).unwrap();
    let failed = publisher.publish(vec![record("k", "v")]).await;
    assert!(matches!(&failed, Err(failed) if matches!(failed.error, LogError::Unavailable(_))), "{failed:?}");
}

async fn delete_below(rig: &Rig, at: TopicPartition, offset: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &rig.config.bootstrap).create().unwrap();
    let mut list = TopicPartitionList::new();
    let topic = support::name(&rig.config);
    list.add_partition_offset(&topic, at.partition as i32, Offset::Offset(offset)).unwrap();
    admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
}

/// I7: records that are gone ahead of a position are trouble of that partition; the others go on, and nothing is reset.
#[tokio::test]
async fn offset_out_of_range_is_trouble_of_its_partition() {
    let rig = Rig::new().await;
    publish(&rig.config, (0..10).map(|n| record("k", format!("{n}"))).collect()).await;
    let mut reader = whole(&rig, "late").await;
    reader.until(DEADLINE, "10 records", |reader| reader.got.len() == 10).await;
    let at = reader.got[0].tp;
    delete_below(&rig, at, 6).await;
    assert_eq!(reader.source.range(at).await.unwrap().start, 6);
    for (round, wrong) in [2, 50, 3].into_iter().enumerate() {
        reader.got.clear();
        reader.seek(at, wrong).await;
        reader.until(DEADLINE, "trouble", |reader| !reader.troubles.is_empty()).await;
        let Trouble { tp, offset, kind, .. } = reader.troubles[0];
        assert_eq!((tp, offset, kind), (at, wrong, TroubleKind::OutOfRange), "{:?}", reader.troubles);
        publish(&rig.config, (0..40).map(|n| record(format!("k{n}"), "v")).collect()).await;
        let others = (0..40).filter(|n| partition_for(format!("k{n}").as_bytes(), PARTITIONS) != at.partition).count();
        reader.until(DEADLINE, "the others", |reader| reader.got.len() >= others).await;
        assert!(reader.got.iter().all(|got| got.tp != at) && reader.troubles.len() == 1);
        let end = reader.source.range(at).await.unwrap().end;
        reader.seek(at, 6).await;
        reader.until(DEADLINE, "what is there", |reader| reader.passed[&at].0 == end).await;
        let offsets = reader.got.iter().filter(|got| got.tp == at).map(|got| got.offset);
        assert!(offsets.eq(6..end), "round {round}");
    }
    rig.end().await;
}

/// I7: a reader of the log that is told where to end ends, although what it wants is gone.
#[tokio::test]
async fn replay_of_records_that_are_gone_ends_with_trouble() {
    let mut rig = Rig::new().await;
    rig.config.stall_timeout_ms = 3_000;
    publish(&rig.config, (0..40).map(|n| record(format!("k{n}"), "v")).collect()).await;
    let view = KafkaView::open(&rig.config).unwrap();
    let tps: Vec<TopicPartition> = (0..PARTITIONS).map(tp).collect();
    let bounds: BTreeMap<_, _> = tps.iter().map(|tp| (*tp, view.range(*tp).unwrap())).collect();
    delete_below(&rig, tps[2], 1).await;
    let (got, troubles) = support::replay(&rig.config, bounds.clone()).await;
    let wanted = bounds.iter().filter(|(tp, _)| **tp != tps[2]).map(|(_, range)| range.end).sum::<i64>();
    assert_eq!(got.len() as i64, wanted, "the others are read");
    assert_eq!(troubles.len(), 1);
    assert_eq!((troubles[0].tp, troubles[0].offset, troubles[0].kind), (tps[2], 0, TroubleKind::OutOfRange));
    // The topic is gone altogether.
    let config = rig.config.clone();
    rig.end().await;
    let (got, troubles) = support::replay(&config, bounds).await;
    assert_eq!((got.len(), troubles.len()), (0, PARTITIONS as usize), "{troubles:?}");
}
