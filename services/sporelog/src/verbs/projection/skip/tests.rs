//! Plans that are refused, and a skip on the embedded log.

use super::plan::Plan;
use super::*;
use crate::backend::positions;
use domain::Topic;
use domain::topics::TopicSpec;
use pipeline::{Claim, Counts, GroupPosition, LogIdentity, LogRange, OutRecord, Position, RowStore as _};

const TP: TopicPartition = TopicPartition::new(Topic::SacredMessages, 0);

fn log_of(cluster_id: &str) -> LogIdentity {
    LogIdentity { cluster_id: cluster_id.to_owned(), topic_id: String::new(), partitions: 1 }
}

fn planned(log: &str, range: LogRange, to: i64) -> Result<Plan> {
    let counts = Counts { applied: 4, ..Counts::default() };
    let position = Position { next_offset: 14, counts, ..Position::start(TP, 10) };
    let held = GroupPosition { position, log: log_of("a"), parked: None };
    Plan::check(projector::PROJECTION, (TP, Some(held)), Ok(log_of(log)), range, to)
}

/// I7: a skip loses what it says, and nothing else.
#[test]
fn what_would_lose_more_than_is_meant_is_refused() {
    let range = LogRange { start: 16, end: 30 };
    let plan = planned("a", range, 20).unwrap();
    assert_eq!((plan.from(), plan.lost(), plan.still_held()), (14, 6, 4));
    let text = plan.to_string();
    assert!(text.contains("the offsets 14 to 19 of sacred.messages/0: 6 are counted as lost, 4 of them"), "{text}");
    assert!(text.contains("log: cluster a, 1 partitions") && text.contains("is parked at offset 14"), "{text}");
    for (log, to, said) in [
        ("a", 14, "never back to 14"),
        ("a", 3, "never back to 3"),
        ("a", 31, "ends at offset 30"),
        ("b", 20, "never carried over to another log"),
    ] {
        let refused = planned(log, range, to).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    let setting = Plan::check(projector::PROJECTION, (TP, None), Err("CreateTime".to_owned()), range, 20);
    assert!(setting.unwrap_err().to_string().contains("CreateTime"));
}

/// I5: the account closes behind a skip, and the window begins anew, since what was passed over may
/// be unreadable.
#[test]
fn the_account_counts_what_was_passed_over() {
    let plan = planned("a", LogRange { start: 10, end: 30 }, 20).unwrap();
    let moved = plan.advance(plan.position);
    assert_eq!((moved.next_offset, moved.counts.lost, moved.gap()), (20, 6, 0));
    assert_eq!((moved.last, moved.window_from), (None, Some(20)));
}

#[test]
fn the_order_is_a_valid_event_with_coordinates_and_reason() {
    let plan = planned("a", LogRange { start: 10, end: 30 }, 20).unwrap();
    let order = Order { actor: "ann".to_owned(), reason: "no \"replica\"".to_owned() };
    let schemas = Arc::new(codec::Schemas::embedded().unwrap());
    let record = event::record(&schemas, &plan, &order, 1_764_000_000_000_000).unwrap();
    assert_eq!((record.topic, record.key.as_slice()), (Topic::PolicyAudit, &b"_operator|projection:views"[..]));
    let event = codec::to_json(&schemas, &record.value).unwrap();
    assert_eq!((&event["actor_id"], &event["action"]), (&"ann".into(), &"skip".into()));
    let decision: serde_json::Value = serde_json::from_str(event["decision"].as_str().unwrap()).unwrap();
    assert_eq!((&decision["from"], &decision["to"], &decision["lost"]), (&14.into(), &20.into(), &6.into()));
    assert_eq!(decision["reason"], "no \"replica\"");
}

/// A folder with three records of one topic, of which views have claimed the partition and nobody
/// has read any.
async fn folder() -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.data.dir = dir.path().to_owned();
    let topics = runtime::topics::load(None, "local").unwrap();
    let log = Log::open(dir.path(), &topics).unwrap();
    let record = |key: &[u8]| OutRecord {
        topic: Topic::SacredMessages,
        key: key.to_vec(),
        value: b"junk".to_vec(),
        headers: Default::default(),
    };
    log.append(vec![record(b"t|k"); 3]).await.unwrap();
    let tp = home(&topics);
    let mut store = Store::open(dir.path().join(STORE_FILE)).unwrap();
    let partitions = log.partitions(tp.topic).unwrap();
    let cluster_id = log.cluster_id().to_string();
    let claim = Claim { tp, log: LogIdentity { cluster_id, topic_id: String::new(), partitions } };
    store.claim(projector::PROJECTION, &[claim]).await.unwrap();
    (dir, config)
}

fn home(topics: &[TopicSpec]) -> TopicPartition {
    let partitions = topics.iter().find(|spec| spec.topic == Topic::SacredMessages).unwrap().partitions;
    TopicPartition::new(Topic::SacredMessages, domain::partitioner::partition_for(b"t|k", partitions))
}

fn args(projection: &str, tp: TopicPartition, to: i64, yes: bool) -> Args {
    let (projection, reason) = (projection.to_owned(), "a test".to_owned());
    Args { projection, partition: tp, to, reason, yes, json: true }
}

/// I2, I4, I5: the order is in the log, and both kinds of position have moved with a closed
/// account.
#[tokio::test]
async fn a_skip_moves_the_position_and_is_an_event() {
    let (dir, config) = folder().await;
    let tp = home(&runtime::topics::load(None, "local").unwrap());
    for name in ["views", "records"] {
        let projection = Projection::named(name).unwrap();
        let undone = run(args(name, tp, 2, false), config.clone()).await.unwrap();
        assert_eq!(undone, ExitCode::from(UNDONE));
        assert_eq!(run(args(name, tp, 2, true), config.clone()).await.unwrap(), ExitCode::SUCCESS);
        let look = Folder::new(dir.path().to_owned()).unwrap();
        let held = positions(&look, projection, &[tp]).await.unwrap();
        let held = held.iter().find(|held| held.position.tp == tp).unwrap();
        assert_eq!((held.position.next_offset, held.position.counts.lost, held.position.gap()), (2, 2, 0), "{name}");
        let again = run(args(name, tp, 2, true), config.clone()).await.unwrap_err().to_string();
        assert!(again.contains("never back"), "{again}");
    }
    let look = Folder::new(dir.path().to_owned()).unwrap();
    let audit = crate::backend::Look::partitions(&look, &[Topic::PolicyAudit]).await.unwrap();
    let ranges = crate::backend::Look::ranges(&look, &audit).await.unwrap();
    assert_eq!(ranges.values().map(|range| range.end).sum::<i64>(), 2, "an event for each");
}

#[tokio::test]
async fn a_folder_in_use_is_not_skipped() {
    let (dir, config) = folder().await;
    let tp = home(&runtime::topics::load(None, "local").unwrap());
    let held = DataFolder::open(dir.path()).unwrap();
    let refused = run(args("views", tp, 2, true), config).await.unwrap_err();
    assert!(format!("{refused:#}").contains("is in use by"), "{refused:#}");
    drop(held);
}

#[test]
fn a_reason_is_needed() {
    use clap::Parser as _;
    let parse = |reason: &[&str]| {
        let order = ["sporelog", "projection", "skip", "views", "agent.state/3", "--to", "9"];
        crate::cli::Cli::try_parse_from(order.iter().chain(reason)).map(drop)
    };
    assert!(parse(&["--reason", "why"]).is_ok());
    assert!(parse(&[]).is_err() && parse(&["--reason", ""]).is_err());
}
