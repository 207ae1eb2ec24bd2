//! What each reason to wait or park says, and a folder that is well.

use super::*;
use crate::backend::Folder;
use domain::Topic;
use domain::TopicPartition;
use domain::topics::{Change, Plan, Refusal};
use embedded::log::Log;
use embedded::store::{STORE_FILE, Store};
use pipeline::{Counts, DedupSettings, GroupPosition, LogIdentity, ParkCause, ParkNote, Position, RowStore as _};

const TP: TopicPartition = TopicPartition::new(Topic::AgentState, 3);

fn held(counts: Counts, max_append_us: i64) -> GroupPosition {
    let position = Position { next_offset: counts.total(), counts, max_append_us, ..Position::start(TP, 0) };
    GroupPosition { position, log: LogIdentity::default(), parked: None }
}

/// I7: each cause for which a partition is parked has its line.
#[test]
fn every_cause_of_parking_has_its_line() {
    let note = |cause: &str| ParkNote { cause: cause.to_owned(), offset: 7, text: format!("do {cause}"), since_us: 1 };
    let notes: Vec<_> = ParkCause::LABELS.iter().map(|label| note(label)).collect();
    let mut found = Vec::new();
    positions::tell_parked(projector::PROJECTION, 60, &notes, &mut found);
    for label in ParkCause::LABELS {
        let line = found.iter().find(|finding| finding.subject == format!("parked, {label}")).unwrap();
        assert_eq!((line.level, line.text.as_str()), (Level::Problem, format!("do {label}").as_str()));
    }
    let many: Vec<_> = (0..60).map(|_| note("partition_count")).collect();
    found.clear();
    positions::tell_parked(projector::PROJECTION, 60, &many, &mut found);
    assert!(found.len() < 30 && found.last().unwrap().text.contains("40 more"), "{found:?}");
}

#[test]
fn accounts_clocks_and_rules_are_judged() {
    let config = Config::default();
    let judged = |held: GroupPosition| {
        let mut found = Vec::new();
        positions::tell_account(projector::PROJECTION, &[held], &config, &mut found);
        positions::tell_clock(projector::PROJECTION, &[held_at(400_000_000)], 1, &mut found);
        found.iter().map(|finding| (finding.level, finding.subject.clone())).collect::<Vec<_>>()
    };
    let clock = (Level::Problem, "clock".to_owned());
    assert_eq!(judged(held(Counts { applied: 9, ..Counts::default() }, 0)), std::slice::from_ref(&clock));
    let bad =
        Counts { applied: 1, duplicate: 1, behind: 1, ignored: 1, unknown: 1, dead: 1, lost: 1, ..Counts::default() };
    let subjects: Vec<_> = judged(held(bad, 0)).into_iter().map(|(_, subject)| subject).collect();
    assert_eq!(subjects, ["dead", "behind", "unknown", "lost", "clock"]);
    let flood = Counts { applied: 5_000, dead: 5_000, ..Counts::default() };
    assert_eq!(judged(held(flood, 0))[0], (Level::Problem, "dead".to_owned()));
    let mut open = held(Counts { applied: 2, ..Counts::default() }, 0);
    open.position.next_offset = 3;
    assert_eq!(judged(open)[0].0, Level::Problem, "the account does not close");

    let rules = |window_ms, max_records| {
        positions::judge_dedup(projector::PROJECTION, Some(DedupSettings { window_ms, max_records }), &config)
    };
    assert_eq!(rules(120_000, 57_000).level, Level::Ok);
    let other = rules(7, 57_000);
    assert!(other.level == Level::Problem && other.text.contains("dedup.window_ms = 7"), "{other}");
}

fn held_at(max_append_us: i64) -> GroupPosition {
    held(Counts::default(), max_append_us)
}

#[test]
fn topics_that_change_what_is_stored_are_problems() {
    let configure = |name: &str| Change::Configure {
        topic: Topic::AgentState,
        name: name.to_owned(),
        from: Some("a".to_owned()),
        to: "b".to_owned(),
    };
    let grow = Refusal::Grow { topic: Topic::AgentState, from: 1, to: 2 };
    let plan = Plan {
        changes: vec![configure("message.timestamp.type"), configure("retention.ms")],
        refusals: vec![grow, Refusal::Delete(Topic::SporeCreated)],
    };
    let mut found = Vec::new();
    log::judge(&plan, 11, &mut found);
    let levels: Vec<_> = found.iter().map(|finding| finding.level).collect();
    assert_eq!(levels, [Level::Problem, Level::Warning, Level::Problem, Level::Warning]);
    assert!(found[0].text.contains("`sporelog topics apply`"), "{}", found[0]);
    found.clear();
    log::judge(&Plan::default(), 11, &mut found);
    assert_eq!(found[0].level, Level::Ok);
}

async fn examine(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    on_embedded(config, SystemClock::new().now_us(), &mut found).await;
    found
}

#[tokio::test]
async fn a_folder_is_well_until_something_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.data.dir = dir.path().to_owned();
    let fresh = examine(&config).await;
    assert!(fresh.iter().any(|finding| finding.text.contains("there is no log yet")), "{fresh:?}");

    let topics = runtime::topics::load(None, "local").unwrap();
    let log = Log::open(dir.path(), &topics).unwrap();
    let mut store = Store::open(dir.path().join(STORE_FILE)).unwrap();
    let problems = |found: &[Finding]| -> Vec<String> {
        found.iter().filter(|one| one.level == Level::Problem).map(ToString::to_string).collect()
    };
    let well = examine(&config).await;
    // The disk of the machine that runs the test is its own affair.
    assert!(problems(&well).iter().all(|line| line.contains(" disk ")), "{well:?}");
    assert_eq!(well.iter().filter(|finding| finding.subject == "positions").count(), PROJECTIONS.len());

    let note = ParkNote { cause: "unreadable".into(), offset: 0, text: "damaged: do this".into(), since_us: 1 };
    store.note_parked(projector::PROJECTION, TP, &note).await.unwrap();
    config.log.profile = String::new();
    let ill = problems(&examine(&config).await);
    assert!(ill.iter().any(|line| line.contains("views") && line.contains("damaged: do this")), "{ill:?}");
    assert!(ill.iter().any(|line| line.contains("has 10 partitions, and the topics file wants 100")), "{ill:?}");
    drop((log, store, Folder::new(dir.path().to_owned())));
}

#[test]
fn json_and_lines_hold_the_same() {
    let found = [Finding::problem("views", "dedup", "two\nlines"), Finding::ok("log", "here", "answers")];
    let text = |json| {
        let mut out = Vec::new();
        print(&found, json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert!(
        text(false)
            .contains("problem  views     dedup: two lines\nok       log       here: answers\n2 looked at: 1 problems")
    );
    let list: serde_json::Value = serde_json::from_str(&text(true)).unwrap();
    assert_eq!((&list[0]["level"], &list[1]["area"]), (&"problem".into(), &"log".into()));
}
