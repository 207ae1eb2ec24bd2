//! The edges of a log: identity, markers, parked partitions, and what a publisher says.

use super::{GROUP, LogRig, Reader, check_order, numbered, reader, record};
use domain::{TopicPartition, partitioner::partition_for};
use pipeline::{LogError, LogIdentity, OutRecord, Publisher as _, Source as _};
use std::time::Duration;

/// I2: a log says which it is, always the same, and no other log says so.
pub async fn identity_tells_logs_apart(rig: &impl LogRig) {
    let mut one = reader(rig, "one").await;
    let tps: Vec<TopicPartition> = one.owned.iter().copied().collect();
    let identity = one.source.identity(tps[0]).await.unwrap();
    assert!(!identity.cluster_id.is_empty());
    assert_eq!(identity.partitions, rig.partitions());
    rig.publisher().await.publish(numbered(rig, 0, 50)).await.unwrap();
    let mut two = reader(rig, "two").await;
    for tp in tps {
        assert_eq!(one.source.identity(tp).await.unwrap(), identity, "{tp}");
        assert_eq!(two.source.identity(tp).await.unwrap(), identity, "{tp}, of another member");
    }
    let other = rig.other_identity().await.expect("the rig knows another log");
    let told = |identity: &LogIdentity| (identity.cluster_id.clone(), identity.topic_id.clone());
    assert_ne!(told(&other), told(&identity));
}

/// I5: offsets without records are passed to the end, before and behind records and on an otherwise empty partition.
pub async fn markers_are_passed(rig: &impl LogRig) {
    let mut publisher = rig.publisher().await;
    let placed = publisher.publish(vec![record(rig.topic(), "tenant|one", 0_u32.to_be_bytes())]).await.unwrap();
    let tp = placed[0].tp;
    let empty = TopicPartition::new(rig.topic(), (tp.partition + 1) % rig.partitions());
    if !rig.append_marker(tp).await {
        return;
    }
    rig.append_marker(empty).await;
    let mut reader = reader(rig, GROUP).await;
    for round in 1..=3 {
        for tp in [tp, empty] {
            let end = reader.source.range(tp).await.unwrap().end;
            assert!(end > 0);
            reader.until(rig.deadline(), "the end", |reader| reader.passed[&tp] == (end, end)).await;
        }
        assert_eq!(reader.got.len(), round);
        publisher.publish(vec![record(rig.topic(), "tenant|one", (round as u32).to_be_bytes())]).await.unwrap();
        reader.until(rig.deadline(), "the next record", |reader| reader.got.len() > round).await;
        rig.append_marker(tp).await;
    }
}

/// I7: nothing comes of a partition that was halted, the others go on, and a seek reads it again.
pub async fn halted_partition_is_read_after_a_seek(rig: &impl LogRig) {
    let mut publisher = rig.publisher().await;
    publisher.publish(numbered(rig, 0, 200)).await.unwrap();
    let mut reader = reader(rig, GROUP).await;
    reader.until(rig.deadline(), "200 records", |reader| reader.got.len() >= 200).await;
    let tp = reader.got[0].tp;
    for round in 1..=3_u32 {
        reader.source.halt(tp);
        let before = reader.offsets();
        publisher.publish(numbered(rig, round * 200, 200)).await.unwrap();
        let others = |reader: &Reader<_>| reader.got.iter().filter(|got| got.tp != tp).count();
        let added = numbered(rig, round * 200, 200);
        let wanted = added.iter().filter(|out| partition_for(&out.key, rig.partitions()) != tp.partition).count();
        let until = others(&reader) + wanted;
        reader.until(rig.deadline(), "the other partitions", |reader| others(reader) >= until).await;
        assert_eq!(reader.offsets()[&tp], before[&tp], "a halted partition");
        assert!(reader.source.assignment().await.unwrap().contains(&tp), "it stays assigned");
        reader.seek(tp, before[&tp].last().unwrap() + 1).await;
        let all = (round as usize + 1) * 200;
        reader.until(rig.deadline(), "the halted partition", |reader| reader.got.len() >= all).await;
        assert_eq!(reader.got.len(), all);
    }
    check_order(rig, &reader.got);
    for (tp, offsets) in reader.offsets() {
        assert!(offsets.iter().copied().eq(0..offsets.len() as i64), "{tp}: {offsets:?}");
    }
}

/// A publisher says where each record went.
pub async fn publish_says_where(rig: &impl LogRig) {
    let mut publisher = rig.publisher().await;
    let mut placed = Vec::new();
    for batch in 0..3 {
        let records = numbered(rig, batch * 40, 40);
        let at = publisher.publish(records.clone()).await.unwrap();
        assert_eq!(at.len(), records.len());
        placed.extend(records.into_iter().zip(at));
    }
    assert_eq!(publisher.publish(Vec::new()).await.unwrap(), Vec::new());
    let mut reader = reader(rig, GROUP).await;
    reader.until(rig.deadline(), "120 records", |reader| reader.got.len() >= placed.len()).await;
    for (record, at) in placed {
        let got = reader.got.iter().find(|got| (got.tp, got.offset) == (at.tp, at.offset));
        let got = got.unwrap_or_else(|| panic!("nothing is at {} {}", at.tp, at.offset));
        assert_eq!((&got.key, &got.value), (&record.key, &record.value));
    }
}

/// A publish that fails leaves a beginning of each partition's records, says which, and which record is refused.
pub async fn failed_publish_leaves_a_beginning(rig: &impl LogRig) {
    let mut publisher = rig.publisher().await;
    let large = rig.too_large().expect("the rig knows a value that is too large");
    let mut records = numbered(rig, 0, 60);
    records[25].value.clone_from(&large);
    let key = records[25].key.clone();
    let failed = publisher.publish(records.clone()).await.unwrap_err();
    assert!(matches!(failed.error, LogError::Refused(_)), "{}", failed.error);
    assert_eq!(failed.refused, Some(25));
    let mut reader = reader(rig, GROUP).await;
    let taken = failed.placed.iter().flatten().count();
    reader.until(rig.deadline(), "what was taken", |reader| reader.got.len() >= taken).await;
    while reader.step(Duration::from_millis(200)).await {}
    assert_eq!(reader.got.len(), taken, "nothing but what the publisher told of");
    let mut of_key: Vec<&OutRecord> = records[..25].iter().filter(|record| record.key == key).collect();
    of_key.truncate(reader.got.iter().filter(|got| got.key == key).count());
    assert!(
        of_key.iter().map(|record| &record.value).eq(reader
            .got
            .iter()
            .filter(|got| got.key == key)
            .map(|got| &got.value))
    );
    for tp in (0..rig.partitions()).map(|ix| TopicPartition::new(rig.topic(), ix)) {
        let sent = records.iter().filter(|record| partition_for(&record.key, rig.partitions()) == tp.partition);
        let got: Vec<_> = reader.got.iter().filter(|got| got.tp == tp).map(|got| &got.value).collect();
        assert!(sent.map(|record| &record.value).take(got.len()).eq(got.iter().copied()), "{tp}: not a beginning");
    }
    // The publisher goes on.
    publisher.publish(numbered(rig, 100, 20)).await.unwrap();
    reader.until(rig.deadline(), "20 more", |reader| reader.got.len() >= taken + 20).await;
}
