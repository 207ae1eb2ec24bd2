//! I7: trouble of one partition stops that partition alone, with its coordinates. I2: a log has an
//! identity.

use super::*;
use pipeline::{LogIdentity, LogRange, TroubleKind};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use tokio_util::sync::CancellationToken;

const PARTITIONS: u32 = 3;
const NO_WAIT: Duration = Duration::from_millis(1);

fn tp(partition: u32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

/// A log whose partitions hold so many records each.
async fn filled(dir: &Path, records: usize, value: usize) -> Log {
    let options = LogOptions { page: PageLimit { bytes: 1 << 20, records: 7 }, ..LogOptions::default() };
    let log = open(dir, PARTITIONS, options);
    // Partition by partition, so that their pages lie one behind the other in the file.
    for partition in 0..PARTITIONS {
        let all = (0..).map(|n| record(TOPIC, &format!("tenant|{n}"), vec![7; value]));
        let of_partition = all.filter(|record| log.shared().place(TOPIC, &record.key).unwrap() == tp(partition));
        log.append(of_partition.take(records).collect()).await.unwrap();
    }
    log
}

/// Removes records by hand, as no version of this program does.
fn remove(dir: &Path, slot: u32, offsets: std::ops::Range<i64>) {
    let conn = Connection::open(dir.join("log.db")).unwrap();
    let ids = [schema::record_id(slot, offsets.start), schema::record_id(slot, offsets.end)];
    assert!(conn.execute("DELETE FROM record WHERE id >= ?1 AND id < ?2", ids).unwrap() > 0);
}

/// What a source handed out: offsets by partition, and troubles.
#[derive(Default)]
struct Seen {
    offsets: BTreeMap<u32, Vec<i64>>,
    troubles: Vec<(u32, i64, TroubleKind, String)>,
}

impl Seen {
    fn count(&self, partition: u32) -> usize {
        self.offsets.get(&partition).map_or(0, Vec::len)
    }
}

/// Reads until nothing more comes, starting each partition at this offset.
async fn drain(source: &mut impl pipeline::Source, from: i64, seen: &mut Seen) {
    loop {
        match source.next(NO_WAIT).await.unwrap() {
            Polled::Assigned(tps) => {
                for tp in tps {
                    source.seek(tp, from).await.unwrap();
                }
            }
            Polled::Page(page) => {
                let offsets = page.records().map(|record| record.offset);
                seen.offsets.entry(page.tp().partition).or_default().extend(offsets);
            }
            Polled::Trouble(trouble) => {
                seen.troubles.push((trouble.tp.partition, trouble.offset, trouble.kind, trouble.text));
            }
            Polled::Revoked(tps) => source.release(&tps).await.unwrap(),
            Polled::Idle => return,
        }
    }
}

#[tokio::test]
async fn records_removed_in_the_middle_stop_their_partition_there_until_the_next_seek() {
    let temp = tempfile::tempdir().unwrap();
    let log = filled(temp.path(), 40, 10).await;
    remove(temp.path(), 1, 10..15);
    let mut source = log.join("group", &[TOPIC], "one").unwrap();
    let mut seen = Seen::default();
    drain(&mut source, 0, &mut seen).await;
    assert_eq!((seen.count(0), seen.count(2)), (40, 40), "the other partitions are read to their end");
    assert_eq!(seen.offsets[&1], (0..10).collect::<Vec<_>>(), "nothing from behind the trouble");
    let (partition, offset, kind, text) = &seen.troubles[0];
    assert_eq!((*partition, *offset, *kind, seen.troubles.len()), (1, 10, TroubleKind::Unreadable, 1), "told once");
    assert!(text.contains("agent.state/1 at offset 10") && text.contains("next one is 15"), "{text}");
    source.seek(tp(1), 15).await.unwrap();
    drain(&mut source, 0, &mut seen).await;
    assert_eq!(seen.count(1), 35);
}

#[tokio::test]
async fn records_removed_at_the_front_or_a_position_behind_the_end_are_out_of_range() {
    let temp = tempfile::tempdir().unwrap();
    let log = filled(temp.path(), 40, 10).await;
    remove(temp.path(), 2, 0..30);
    let mut source = log.join("group", &[TOPIC], "one").unwrap();
    assert_eq!(source.range(tp(2)).await.unwrap(), LogRange { start: 30, end: 40 });
    let mut seen = Seen::default();
    drain(&mut source, 20, &mut seen).await;
    let (partition, offset, kind, text) = seen.troubles.remove(0);
    assert_eq!((partition, offset, kind), (2, 20, TroubleKind::OutOfRange));
    assert!(text.contains("agent.state/2 from offset 30 on"), "{text}");
    assert_eq!((seen.count(0), seen.count(1), seen.count(2)), (20, 20, 0));
    source.seek(tp(0), 41).await.unwrap();
    drain(&mut source, 0, &mut seen).await;
    let (partition, offset, kind, text) = seen.troubles.remove(0);
    assert_eq!((partition, offset, kind), (0, 41, TroubleKind::OutOfRange));
    assert!(text.contains("up to offset 40"), "{text}");
    remove(temp.path(), 1, 38..40);
    source.seek(tp(1), 38).await.unwrap();
    drain(&mut source, 0, &mut seen).await;
    assert_eq!((seen.troubles[0].1, seen.troubles[0].2), (38, TroubleKind::Unreadable), "no silence at a lost end");
}

/// Overwrites a page in the middle of the second of three partitions, as a bad disk does.
async fn damage(dir: &Path) {
    drop(filled(dir, 300, 500).await);
    let conn = Connection::open(dir.join("log.db")).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(conn);
    let bytes = std::fs::read(dir.join("log.db")).unwrap();
    // Partitions lie side by side, so half way through the leaves is the middle of the second one.
    let leaves: Vec<usize> = (1..bytes.len() / 4096).filter(|page| bytes[page * 4096] == 0x0d).collect();
    let page = leaves[leaves.len() / 2];
    let file = OpenOptions::new().write(true).open(dir.join("log.db")).unwrap();
    file.write_all_at(&[0xff; 4096], page as u64 * 4096).unwrap();
}

#[tokio::test]
async fn damaged_page_stops_its_partition_and_the_others_go_on() {
    let temp = tempfile::tempdir().unwrap();
    damage(temp.path()).await;
    let log = open(temp.path(), PARTITIONS, LogOptions::default());
    let mut source = log.join("group", &[TOPIC], "one").unwrap();
    let mut seen = Seen::default();
    drain(&mut source, 0, &mut seen).await;
    assert_eq!((seen.count(0), seen.count(2)), (300, 300));
    let (partition, offset, kind, text) = &seen.troubles[0];
    assert_eq!((*partition, *kind, seen.troubles.len()), (1, TroubleKind::Unreadable, 1));
    assert_eq!(*offset, seen.count(1) as i64, "all before it was handed out");
    assert!(*offset > 0 && *offset < 300 && text.contains("damaged"), "{text}");
    assert_eq!(source.range(tp(1)).await.unwrap(), LogRange { start: 0, end: 300 });
    let found = source.offset_at(tp(1), i64::MAX).await.unwrap();
    assert!(found == 0 || found == 300, "the search ends, whatever it meets: {found}");
}

/// Every reader of the log ends, whatever lies in it.
#[tokio::test]
async fn replay_of_a_log_that_cannot_be_read_ends() {
    let temp = tempfile::tempdir().unwrap();
    damage(temp.path()).await;
    remove(temp.path(), 2, 290..300);
    let bounds = |_| LogRange { start: 0, end: 300 };
    let bounds: BTreeMap<_, _> = (0..PARTITIONS).map(|partition| (tp(partition), bounds(partition))).collect();
    let done = CancellationToken::new();
    let mut replay = Replay::new(LogView::open(temp.path()).unwrap(), bounds, done.clone());
    let mut seen = Seen::default();
    tokio::time::timeout(WAIT, drain(&mut replay, 0, &mut seen)).await.unwrap();
    assert!(done.is_cancelled());
    assert_eq!((seen.count(0), seen.count(2)), (300, 290));
    let parted: BTreeSet<_> = seen.troubles.iter().map(|trouble| trouble.0).collect();
    assert_eq!(parted, BTreeSet::from([1, 2]));
}

#[tokio::test]
async fn halted_partition_is_not_read_until_the_next_seek() {
    let temp = tempfile::tempdir().unwrap();
    let log = filled(temp.path(), 5, 10).await;
    let mut source = log.join("group", &[TOPIC], "one").unwrap();
    assert!(matches!(source.next(WAIT).await.unwrap(), Polled::Assigned(_)));
    source.seek(tp(0), 0).await.unwrap();
    source.seek(tp(1), 0).await.unwrap();
    source.halt(tp(0));
    let mut seen = Seen::default();
    drain(&mut source, 0, &mut seen).await;
    assert_eq!((seen.count(0), seen.count(1)), (0, 5));
    assert!(source.assignment().await.unwrap().contains(&tp(0)), "it stays this member's");
    source.seek(tp(0), 2).await.unwrap();
    drain(&mut source, 0, &mut seen).await;
    assert_eq!(seen.offsets[&0], [2, 3, 4]);
}

/// L5: a log that was put in the place of another one is told from it.
#[tokio::test]
async fn log_keeps_its_identity_and_another_one_has_another() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut found = Vec::new();
    for dir in [&one, &one, &other] {
        let log = open(dir.path(), PARTITIONS, LogOptions::default());
        let mut source = log.join("group", &[TOPIC], "one").unwrap();
        let identity = source.identity(tp(1)).await.unwrap();
        assert_eq!(LogView::open(dir.path()).unwrap().identity(tp(1)).unwrap(), identity);
        assert!(source.identity(tp(PARTITIONS)).await.is_err());
        found.push(identity);
    }
    assert_eq!(found[0], found[1]);
    assert_ne!(found[0].cluster_id, found[2].cluster_id);
    assert_eq!(found[0], LogIdentity { partitions: PARTITIONS, topic_id: String::new(), ..found[0].clone() });
    Connection::open(one.path().join("log.db")).unwrap().execute("UPDATE meta SET cluster_id = x'00'", []).unwrap();
    let error = Log::open(one.path(), &spec(PARTITIONS)).unwrap_err().to_string();
    assert!(error.contains("its id cannot be read"), "never a new id in silence: {error}");
}

/// Where a refill begins: not before the bounds, not behind the end.
#[tokio::test]
async fn replay_finds_the_offset_of_a_time_within_its_bounds() {
    let temp = tempfile::tempdir().unwrap();
    let clock = SetClock::default();
    let log = Log::open_with(temp.path(), &spec(1), LogOptions::default(), clock.clone()).unwrap();
    for time in 0..10 {
        clock.0.store(time, Ordering::Relaxed);
        log.append(one("x")).await.unwrap();
    }
    let bounds = BTreeMap::from([(tp(0), LogRange { start: 3, end: 7 })]);
    let mut replay = Replay::new(LogView::open(temp.path()).unwrap(), bounds, CancellationToken::new());
    for (time, offset) in [(i64::MIN, 3), (2, 3), (5, 5), (7, 7), (i64::MAX, 7)] {
        assert_eq!(replay.offset_at(tp(0), time).await.unwrap(), offset, "{time}");
    }
}
