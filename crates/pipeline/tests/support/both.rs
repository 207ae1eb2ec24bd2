//! What the tests of the loop's edges share: both loops on a stage, and what they say of parked partitions.

use super::{Running, Stage};
use domain::fold::{records::RECORDS, views::VIEWS};
use domain::{Topic, TopicPartition};
use pipeline::{GroupPosition, Observer, Parked, Position, Source as _};
use std::cell::RefCell;
use std::rc::Rc;
use testkit::events::{Events, START_US};

/// What a worker says of parked partitions.
#[derive(Clone, Default)]
pub struct Told(pub Rc<RefCell<Vec<String>>>);

impl Observer for Told {
    fn parked(&self, parked: &Parked) {
        self.0.borrow_mut().push(format!("parked {} {}: {parked}", parked.tp, parked.cause.label()));
    }

    fn unparked(&self, tp: TopicPartition) {
        self.0.borrow_mut().push(format!("unparked {tp}"));
    }
}

impl Told {
    pub fn says(&self, words: &str) -> bool {
        self.0.borrow().iter().any(|said| said.contains(words))
    }
}

/// A stage of many partitions with interactions of many agents.
pub fn populated(partitions: u32, n: u128) -> Stage {
    let mut stage = Stage::new(partitions);
    for id in 0..n {
        let from = format!("a{}", id % 97);
        let record = stage.events.interaction(Events::meta(id, START_US, None), &from, "b");
        stage.log.append(record);
    }
    stage
}

pub fn start(stage: &Stage, ingest: bool) -> (Running, Told) {
    let told = Told::default();
    let worker = if ingest {
        stage.start_ingest_observed(stage.store.clone(), told.clone())
    } else {
        stage.start_observed(&VIEWS, told.clone())
    };
    stage.assign_all(&worker, if ingest { &RECORDS } else { &VIEWS });
    (worker, told)
}

/// The committed positions of either loop.
pub async fn positions(stage: &Stage, ingest: bool) -> Vec<Position> {
    if !ingest {
        return stage.store.positions_held();
    }
    let tps = stage.log.partitions(RECORDS.topics);
    let offsets = stage.log.join(RECORDS.name).committed(&tps).await.unwrap();
    offsets.iter().map(|offset| GroupPosition::from_offset(offset).unwrap().position).collect()
}

pub async fn applied(stage: &Stage, ingest: bool) -> i64 {
    positions(stage, ingest).await.iter().map(|position| position.counts.applied).sum()
}

pub async fn until_applied(stage: &Stage, ingest: bool, n: i64) {
    for _ in 0..200_000 {
        if applied(stage, ingest).await >= n {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{} of {n} applied", applied(stage, ingest).await);
}

pub async fn turn() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

/// The partition of interactions that holds most, and how many.
pub fn busiest(stage: &Stage) -> (TopicPartition, i64) {
    let tps = stage.log.partitions(&[Topic::SacredMessages]);
    let count = |tp: &TopicPartition| stage.log.end_of(*tp);
    let tp = tps.into_iter().max_by_key(count).unwrap();
    (tp, stage.log.end_of(tp))
}
