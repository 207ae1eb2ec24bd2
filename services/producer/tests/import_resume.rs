//! A row counts once, however often and however torn it is imported.
//!
//! The log's side of it is played by [`admitted`]: what a worker's sets of sequence numbers let
//! through.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::{Case, Kept, admitted, block_on, sorted};
use producer::import::{Import, Options};
use serde_json::json;

const MAP: &str = r#"occurred_at = { column = "at", time = "unix" }
[[event]]
type = "AgentProfiled"
first_of = ["who"]
fields = { agent_id = "{value}", kind = "USER" }
[[event]]
type = "AgentHeartbeat"
[event.fields]
agent_id = "{who}"
region_id = "north"
"#;

fn rows(count: usize) -> String {
    let rows = (0..count).map(|row| format!("agent-{},{row}\n", row % 7));
    "who,at\n".to_owned() + &rows.collect::<String>()
}

fn heartbeats(events: &[serde_json::Value]) -> usize {
    events.iter().filter(|event| event.get("region_id").is_some()).count()
}

#[test]
fn a_second_import_publishes_nothing_and_adds_nothing_even_when_it_does() {
    let mut case = Case::new(MAP, "in.csv", rows(100));
    let mut kept = Kept::default();
    case.import(&mut kept).unwrap();
    assert_eq!(kept.records.len(), 107);
    let report = case.import(&mut kept).unwrap();
    assert_eq!((kept.records.len(), report.progress.skipped), (107, 100));
    case.options.again = true;
    case.import(&mut kept).unwrap();
    assert_eq!(kept.records.len(), 214);
    // Also from another folder, without its state.
    std::fs::remove_dir_all(case.path("imports")).unwrap();
    case.import(&mut kept).unwrap();
    assert_eq!(admitted(&kept.records), Kept { records: kept.records[..107].to_vec(), ..Kept::default() }.json());
}

#[test]
fn an_import_that_was_cut_off_goes_on_behind_the_last_acknowledged_batch() {
    let mut case = Case::new(MAP, "in.csv", rows(100));
    case.options.batch_records = 10;
    let mut kept = Kept { fail_after: Some(3), ..Kept::default() };
    assert!(case.import(&mut kept).unwrap_err().to_string().contains("scripted"));
    let done = Import::prepare(case.options.clone()).unwrap().rows_done();
    assert!(done > 10 && done < 100, "{done}");
    kept.fail_after = None;
    let report = case.import(&mut kept).unwrap();
    assert_eq!((report.progress.skipped, kept.records.len()), (done, 107));
    assert_eq!(admitted(&kept.records).len(), 107);
}

/// L7: a batch of which the log took a beginning is published again as a whole, and counts once.
#[test]
fn batch_that_was_taken_in_part_is_published_again_and_counts_once() {
    let mut case = Case::new(MAP, "in.csv", rows(100));
    case.options.batch_records = 10;
    let mut kept = Kept { fail_after: Some(3), taken: 4, ..Kept::default() };
    let message = case.import(&mut kept).unwrap_err().to_string();
    assert!(message.starts_with("rows 24 to 33 are not acknowledged: the log is unavailable"), "{message}");
    assert_eq!(kept.records.len(), 34);
    kept.fail_after = None;
    case.import(&mut kept).unwrap();
    assert_eq!(kept.records.len(), 107 + 4);
    let clean = Case::new(MAP, "in.csv", rows(100)).run().json();
    assert_eq!(sorted(admitted(&kept.records)), sorted(clean));
}

/// I6: a record that the log refuses is one bad row, not the end of the import.
#[test]
fn row_whose_record_the_log_refuses_is_rejected_and_the_others_are_published() {
    let long = "b".repeat(200);
    let case = Case::new(MAP, "in.csv", format!("who,at\na,1\n{long},2\nc,3\n"));
    let mut kept = Kept { max_bytes: Some(250), ..Kept::default() };
    let report = case.import(&mut kept).unwrap();
    let rejects: Vec<_> = report.rejects.iter().map(|reject| (reject.row, reject.line)).collect();
    assert_eq!(rejects, [(2, 3)]);
    assert_eq!(report.rejects[0].reason, "the log refuses the record: too large");
    assert_eq!(report.events, [("AgentProfiled", 2), ("AgentHeartbeat", 2)]);
    assert_eq!(heartbeats(&admitted(&kept.records)), 2);
    // Tried again by the next import, and taken once the log takes it.
    assert_eq!(case.import(&mut kept).unwrap().rejects[0].attempts, 2);
    kept.max_bytes = None;
    assert!(case.import(&mut kept).unwrap().rejects.is_empty());
    assert_eq!(admitted(&kept.records).len(), 6);
}

#[test]
fn from_row_knows_the_values_of_the_rows_before() {
    let mut case = Case::new(MAP, "in.csv", rows(20));
    case.options.from_row = Some(11);
    let kept = case.run();
    assert_eq!(kept.records.len(), 10);
    assert_eq!(kept.field("/meta/producer_seq")[0], 11);
    // What was left out then is published by the next import, and nothing besides.
    case.options.from_row = None;
    let mut rest = Kept::default();
    assert_eq!(case.import(&mut rest).unwrap().progress.skipped, 10);
    assert_eq!(rest.field("/meta/producer_seq").last(), Some(&json!(10)));
    assert_eq!(rest.records.len(), 17);
}

#[test]
fn rejected_rows_are_tried_again_once_the_mapping_is_mended() {
    let text = "who,at\na,1\nb,2 s\nc,3\nd,4 s\ne,5\n";
    let mut case = Case::new(MAP, "in.csv", text);
    let mut kept = Kept::default();
    assert_eq!(case.import(&mut kept).unwrap().rejects.len(), 2);
    // The same again: rejected again, nothing published.
    let report = case.import(&mut kept).unwrap();
    assert_eq!((report.rejects.len(), report.rejects[0].attempts, kept.records.len()), (2, 2, 6));
    case.write("map.toml", MAP.replace("{ column = \"at\", time = \"unix\" }", "7"));
    let report = case.import(&mut kept).unwrap();
    assert!(report.rejects.is_empty(), "{:?}", report.rejects);
    assert_eq!(heartbeats(&admitted(&kept.records)), 5);
    assert_eq!(report.rejects_path.map(|path| path.exists()), Some(false));
    // All of it once more: every row counts once still.
    case.options.again = true;
    case.import(&mut kept).unwrap();
    assert_eq!(heartbeats(&admitted(&kept.records)), 5);
}

#[test]
fn an_event_added_to_the_mapping_is_imported_and_the_others_are_not_doubled() {
    let heartbeat_only = MAP.replace("[[event]]\ntype = \"AgentProfiled\"\nfirst_of = [\"who\"]\nfields = { agent_id = \"{value}\", kind = \"USER\" }\n", "");
    let case = Case::new(&heartbeat_only, "in.csv", rows(10));
    let mut kept = Kept::default();
    case.import(&mut kept).unwrap();
    assert_eq!(kept.records.len(), 10);
    case.write("map.toml", MAP);
    assert!(Import::prepare(case.options.clone()).unwrap().other_mapping());
    case.import(&mut kept).unwrap();
    let events = admitted(&kept.records);
    assert_eq!((events.len(), heartbeats(&events)), (17, 10));
}

#[test]
fn a_file_that_changes_meanwhile_is_noticed() {
    let case = Case::new(MAP, "in.csv", rows(10));
    let import = Import::prepare(case.options.clone()).unwrap();
    case.write("in.csv", rows(11));
    let cancel = tokio_util::sync::CancellationToken::new();
    let error = block_on(import.run(&mut Kept::default(), &common::Standing, &cancel, &mut |_| ())).unwrap_err();
    assert!(error.to_string().contains("changed while it was imported"), "{error}");
}

#[test]
fn torn_state_is_survived_or_named() {
    let case = Case::new(MAP, "in.csv", "who,at\na,1\nb,x\n");
    case.import(&mut Kept::default()).unwrap();
    let id = Import::prepare(case.options.clone()).unwrap().id().to_owned();
    let rejects = case.path("imports").join(format!("{id}.rejects.jsonl"));
    let mut text = std::fs::read_to_string(&rejects).unwrap();
    text.push_str("{\"row\": 3, \"li");
    std::fs::write(&rejects, text).unwrap();
    assert_eq!(case.import(&mut Kept::default()).unwrap().rejects.len(), 1);
    std::fs::write(case.path("imports").join(format!("{id}.json")), "{").unwrap();
    assert!(Import::prepare(case.options.clone()).unwrap_err().to_string().contains("remove it to begin again"));
}

/// The real data, through the real mappings. Fetched by package name, see the scripts under
/// `examples/`.
#[test]
fn the_examples_give_the_counts_of_their_data() {
    let fetch = |script: &str| {
        let output = std::process::Command::new(common::root().join(script)).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let mapping = |name: &str| common::root().join("examples").join(name);
    let college = Options::new(fetch("examples/fetch-collegemsg.sh"), mapping("collegemsg.toml"));
    let (report, shown) = common::dry_run(&college, 3);
    assert_eq!(report.events, [("AgentProfiled", 1_899), ("InteractionRecorded", 59_835)]);
    assert!(report.rejects.is_empty());
    assert_eq!(shown[2]["meta"]["occurred_at"], "2004-04-15T14:56:00Z");
    assert_eq!((&shown[2]["agent_id"], &shown[2]["peer_id"]), (&json!("1"), &json!("2")));
    let dpkg = Options::new(fetch("examples/dpkg-changelog/fetch.sh"), mapping("dpkg.toml"));
    let (report, _) = common::dry_run(&dpkg, 0);
    assert!(report.rejects.is_empty(), "{:?}", report.rejects.first());
    assert!(report.events[0].1 >= 20 && report.events[1].1 > 420, "{:?}", report.events);
}
