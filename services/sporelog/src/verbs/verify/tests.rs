//! Against a data folder with a small population's events, and what an operator or a disk may do to
//! it.

use super::*;
use crate::verbs::verify::replay::replay;
use domain::Topic;
use domain::TopicPartition;
use embedded::log::Log;
use embedded::store::{STORE_FILE, Store};
use pipeline::{Clock as _, KnownDead, SystemClock, WorkerOptions};
use producer::simulate::{Options, Pace, Population, Simulation};
use rusqlite::params;
use tokio_util::sync::CancellationToken;

const START_US: i64 = 1_767_225_600_000_000;

struct Place {
    dir: tempfile::TempDir,
    config: Config,
}

impl Place {
    /// A folder whose log holds some hundred events.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.data.dir = dir.path().to_owned();
        let topics = runtime::topics::load(None, "local").unwrap();
        let mut log = Log::open(dir.path(), &topics).unwrap();
        let (clock, population) = (SystemClock::new(), Population::new(&Options::new(1, 20)).unwrap());
        let pace = Pace::History { start_us: START_US, end_us: clock.now_us(), rate_per_s: 1.0 };
        let mut simulation = Simulation { population, pace, events: Some(400), length: None };
        simulation.run(&mut log, &clock, &CancellationToken::new(), &mut |_| ()).await.unwrap();
        Self { dir, config }
    }

    fn folder(&self) -> Folder {
        Folder::new(self.dir.path().to_owned()).unwrap()
    }

    fn options(&self, dead: KnownDead) -> WorkerOptions {
        replay_options(&self.config, None, dead).unwrap()
    }

    /// Folds the whole log into the folder's own store, as a worker that published nothing.
    async fn fold(&self, projection: &'static Projection, options: &WorkerOptions) {
        let (look, store) = (self.folder(), Store::open(self.dir.path().join(STORE_FILE)).unwrap());
        let tps = look.partitions(projection.topics).await.unwrap();
        let ranges = look.ranges(&tps).await.unwrap();
        let reached = replay(&look, ranges, projection, store, options).await.unwrap();
        assert!(reached.parked.is_empty(), "{:?}", reached.parked);
    }

    async fn verify(&self, projection: &'static Projection) -> (Verdict, String) {
        let mut out = Vec::new();
        let verdict = verify(&self.folder(), projection, &self.config, &mut out).await.unwrap();
        (verdict, String::from_utf8(out).unwrap())
    }

    fn sql(&self, file: &str, sql: &str, params: impl rusqlite::Params) {
        rusqlite::Connection::open(self.dir.path().join(file)).unwrap().execute(sql, params).unwrap();
    }

    /// A partition of the topic that holds records, and how many.
    async fn busiest(&self, topic: Topic) -> (TopicPartition, i64) {
        let look = self.folder();
        let ranges = look.ranges(&look.partitions(&[topic]).await.unwrap()).await.unwrap();
        ranges.into_iter().map(|(tp, range)| (tp, range.end)).max_by_key(|(_, end)| *end).unwrap()
    }
}

fn word<'a>(text: &'a str, table: &str) -> &'a str {
    let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(table));
    line.unwrap_or_else(|| panic!("{text}")).split_whitespace().nth(2).unwrap()
}

/// I1: a store that holds what the log says is equal; one row less is a difference that is named.
#[tokio::test]
async fn equal_and_different_stores_are_told_apart() {
    let place = Place::new().await;
    place.fold(projector::PROJECTION, &place.options(KnownDead::new())).await;
    let (verdict, text) = place.verify(projector::PROJECTION).await;
    assert_eq!(verdict, Verdict::Equal, "{text}");
    let one = "DELETE FROM views_v1_spore WHERE spore_id = (SELECT spore_id FROM views_v1_spore LIMIT 1)";
    place.sql(STORE_FILE, one, []);
    let (verdict, text) = place.verify(projector::PROJECTION).await;
    assert!(verdict == Verdict::Differs && text.contains("spore.created/"), "{text}");
    assert_eq!((word(&text, "spore"), word(&text, "agent")), ("DIFFERENT", "equal"), "{text}");
}

/// A store's refusal is no function of the log: what is dead is taken from the rows, and listed
/// where today's rules would apply it.
#[tokio::test]
async fn dead_records_are_those_of_the_store() {
    let place = Place::new().await;
    let (tp, records) = place.busiest(Topic::SporeCreated).await;
    assert!(records > 1);
    let dead = KnownDead::from([(tp, [(1, "refused: too long for the index".to_owned())].into())]);
    place.fold(projector::PROJECTION, &place.options(dead)).await;
    let (verdict, text) = place.verify(projector::PROJECTION).await;
    assert_eq!(verdict, Verdict::Equal, "{text}");
    assert!(text.contains("1 records are dead that today's rules would apply"), "{text}");
    assert!(text.contains(&format!("{tp}/1: refused: too long")), "{text}");
    // Without the row, the record's own rules apply: the guard that is tested here.
    place.sql(STORE_FILE, "DELETE FROM dead_record", []);
    assert_eq!(place.verify(projector::PROJECTION).await.0, Verdict::Differs);
}

/// S5: what has expired is left out, table by topic, and the rest is compared in full.
#[tokio::test]
async fn expired_topics_are_compared_as_far_as_they_reach() {
    let place = Place::new().await;
    for projection in [projector::PROJECTION, aggregator::PROJECTION] {
        place.fold(projection, &place.options(KnownDead::new())).await;
    }
    for topic in [Topic::SacredMessages, Topic::SporeCreated] {
        expire(&place, topic).await;
    }
    let (verdict, text) = place.verify(projector::PROJECTION).await;
    assert_eq!(verdict, Verdict::Partly, "{text}");
    assert_eq!(word(&text, "agent"), "equal", "another topic: {text}");
    assert_eq!(word(&text, "spore"), "partly", "a row for each event: {text}");
    assert!(text.contains("sacred.messages: first records have expired"), "{text}");
    let (verdict, text) = place.verify(aggregator::PROJECTION).await;
    assert_eq!(verdict, Verdict::Partly, "{text}");
    assert_eq!(word(&text, "field_coherence_1m"), "equal", "{text}");
    // A row of what is left that is missing is still a difference.
    place.sql(STORE_FILE, "DELETE FROM views_v1_spore", []);
    let (verdict, text) = place.verify(projector::PROJECTION).await;
    assert_eq!((verdict, word(&text, "spore")), (Verdict::Differs, "DIFFERENT"), "{text}");
}

/// What an operator passed over, and what belongs to another log, is left out and said; the account
/// of the rest is compared.
#[tokio::test]
async fn skipped_and_foreign_partitions_are_left_out() {
    let place = Place::new().await;
    place.fold(projector::PROJECTION, &place.options(KnownDead::new())).await;
    let (spores, _) = place.busiest(Topic::SporeCreated).await;
    let (messages, _) = place.busiest(Topic::SacredMessages).await;
    let skipped = "UPDATE position SET lost = lost + 1, applied = applied - 1 WHERE topic = ?1 AND partition = ?2";
    place.sql(STORE_FILE, skipped, params![spores.topic.name(), spores.partition]);
    let foreign = "UPDATE position SET cluster_id = 'gone' WHERE topic = ?1 AND partition = ?2";
    place.sql(STORE_FILE, foreign, params![messages.topic.name(), messages.partition]);
    let (verdict, text) = place.verify(projector::PROJECTION).await;
    assert_eq!(verdict, Verdict::Partly, "{text}");
    assert!(text.contains("passed over by an operator") && text.contains("another log (cluster \"gone\""), "{text}");
    assert_eq!((word(&text, "spore"), word(&text, "agent")), ("partly", "equal"), "{text}");
    place.sql(STORE_FILE, "UPDATE position SET applied = applied - 1 WHERE topic = 'agent.state' AND applied > 0", []);
    let (verdict, text) = place.verify(projector::PROJECTION).await;
    assert!(verdict == Verdict::Differs && text.contains("does not close"), "{text}");
}

/// The first record of every partition of a topic goes.
async fn expire(place: &Place, topic: Topic) {
    let look = place.folder();
    for tp in look.partitions(&[topic]).await.unwrap() {
        let sql = "DELETE FROM record WHERE id = (SELECT (first_slot + ?2) << 40 FROM topic WHERE name = ?1)";
        place.sql("log.db", sql, params![topic.name(), tp.partition]);
    }
}
