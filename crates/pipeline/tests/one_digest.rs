//! I10: the same records give the same digest, whatever the partitions, batches, workers and take-overs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use domain::Projection;
use domain::digest::Digest;
use domain::fold::{records::RECORDS, series::SERIES, views::VIEWS};
use pipeline::OutRecord;
use proptest::prelude::*;
use support::{Running, Stage, local};
use testkit::events::{Events, START_US};

/// One way to run the same records.
#[derive(Clone, Copy, Debug)]
struct Way {
    partitions: u32,
    batch: usize,
    workers: usize,
    handovers: usize,
    zombies: bool,
    refusals: bool,
}

const PLAIN: Way = Way { partitions: 1, batch: 10_000, workers: 1, handovers: 0, zombies: false, refusals: false };

fn records(stage: &mut Stage, seeds: &[(u8, u8, u16)]) -> Vec<OutRecord> {
    let make = |(ix, (from, to, minute)): (usize, &(u8, u8, u16))| {
        let occurred_at = START_US - i64::from(*minute) * 60_000_000;
        // Every seventh record repeats the one before it: a producer's retry.
        let id = if ix % 7 == 6 { ix - 1 } else { ix } as u128 + 1;
        let meta = Events::meta(id, occurred_at, None);
        let (from, to) = (format!("a{}", from % 9), format!("a{}", to % 9));
        match ix % 7 {
            0..3 => stage.events.interaction(meta, &from, &to),
            _ => stage.events.heartbeat(meta, &from, &to, f64::from(minute % 100)),
        }
    };
    seeds.iter().enumerate().map(make).collect()
}

async fn run(projection: &'static Projection, seeds: &[(u8, u8, u16)], way: Way) -> Vec<(&'static str, Digest)> {
    let mut stage = Stage::new(way.partitions);
    stage.options.batch_max_records = way.batch;
    // Deduplication reads log time, and waiting advances it here: the ways must not differ in that.
    stage.options.dedup_window_ms = 1_000_000_000;
    stage.store.slow_down();
    if way.refusals {
        // No single record writes more than six rows: a batch of more is folded again in halves, and so is the one behind.
        let mut tries = 0;
        stage.store.script(move |rows| {
            tries += 1;
            let refused = rows.rows() > 6 && tries % 3 == 0;
            refused.then(|| pipeline::StoreError::Refused("now and then".to_owned()))
        });
    }
    let records = records(&mut stage, seeds);
    let expected = records.iter().filter(|record| projection.topics.contains(&record.topic)).count() as i64;
    let tps = stage.log.partitions(projection.topics);
    let workers: Vec<Running> = (0..way.workers).map(|_| stage.start(projection)).collect();
    let mut owner = vec![0; tps.len()];
    stage.log.assign(workers[0].id, &tps);
    let mut records = records.into_iter();
    let chunk = records.len() / (way.handovers + 1) + 1;
    loop {
        let mut appended = 0;
        records.by_ref().take(chunk).for_each(|record| {
            stage.log.append(record);
            appended += 1;
        });
        if appended == 0 {
            break;
        }
        for _ in 0..appended {
            tokio::task::yield_now().await;
        }
        for (ix, tp) in tps.iter().enumerate() {
            let next = (owner[ix] + 1 + ix) % way.workers;
            if next != owner[ix] {
                stage.log.revoke(workers[owner[ix]].id, &[*tp], !way.zombies);
                stage.log.assign(workers[next].id, &[*tp]);
                owner[ix] = next;
            }
        }
    }
    stage.until_accounted(expected).await;
    for worker in workers {
        worker.stop().await.unwrap();
    }
    assert!(stage.store.positions_held().iter().all(|position| position.gap() == 0), "I5");
    stage.store.digests(projection)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_it_is_run(
        seeds in proptest::collection::vec((any::<u8>(), any::<u8>(), 0..5_000_u16), 1..400),
        partitions in 1..10_u32,
        batch in prop_oneof![Just(1_usize), Just(7), Just(64), Just(10_000)],
        workers in 1..4_usize,
        handovers in 0..6_usize,
        zombies in any::<bool>(),
        refusals in any::<bool>(),
    ) {
        let way = Way { partitions, batch, workers, handovers, zombies, refusals };
        for projection in [&VIEWS, &SERIES] {
            local(async {
                let plain = run(projection, &seeds, PLAIN).await;
                assert!(plain.iter().any(|(_, digest)| digest.rows > 0));
                assert_eq!(run(projection, &seeds, way).await, plain, "{way:?}");
            });
        }
    }
}

/// I4: records come out the same when writes fail, are refused or happen twice.
#[test]
fn ingest_converges_whatever_the_store_does() {
    local(async {
        let mut digests = Vec::new();
        for faults in [false, true] {
            let mut stage = Stage::new(3);
            stage.options.batch_max_records = 50;
            stage.interactions(0, 1_000);
            let mut tries = 0;
            stage.store.script(move |_| {
                tries += 1;
                (faults && tries % 3 == 0).then(|| pipeline::StoreError::Unavailable("write timeout".to_owned()))
            });
            let worker = stage.start_ingest(stage.store.clone());
            stage.assign_all(&worker, &RECORDS);
            stage.until(|| stage.store.rows("interactions") == 2_000).await;
            worker.stop().await.unwrap();
            digests.push(stage.store.digests(&RECORDS));
        }
        assert_eq!(digests[0], digests[1]);
    });
}

/// I7, I5: a record that the store refuses costs one dead letter; the offset's account closes over it.
#[test]
fn ingest_halves_a_refused_chunk_down_to_the_bad_record() {
    local(async {
        let mut stage = Stage::new(1);
        for id in 0..1_000_u128 {
            let peer = if id == 678 { "bad" } else { "good" };
            let record = stage.events.interaction(Events::meta(id, START_US, None), "a", peer);
            stage.log.append(record);
        }
        stage.store.script(|rows| {
            let interactions = &rows.tables()[3];
            let bad = (0..interactions.len()).any(|ix| interactions.key(ix).windows(4).any(|part| part == b"bad\0"));
            bad.then(|| pipeline::StoreError::Refused("the peer is bad".to_owned()))
        });
        let worker = stage.start_ingest(stage.store.clone());
        let tps = stage.assign_all(&worker, &RECORDS);
        stage.until(|| stage.store.rows("interactions") == 2 * 999).await;
        worker.stop().await.unwrap();
        let mut reader = stage.log.join(RECORDS.name);
        let offsets = pipeline::Source::committed(&mut reader, &tps).await.unwrap();
        let offset = offsets.iter().find(|offset| offset.next_offset == 1_000).unwrap();
        let position = pipeline::GroupPosition::from_offset(offset).unwrap().position;
        assert_eq!((position.counts.applied, position.counts.dead, position.gap()), (999, 1, 0));
        let letters = stage.log.records(domain::Topic::DeadLetter);
        let letter = pipeline::deadletter::DeadLetter::parse(letters[0].headers.as_bytes()).unwrap();
        assert_eq!((letters.len(), letter.offset), (1, 678));
    });
}
