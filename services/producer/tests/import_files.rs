//! What the importer reads: headers, delimiters, gzip, JSONL, odd files; and what it makes of first appearances.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::{Case, Kept};
use serde_json::json;
use std::io::Write;

const CONTACTS: &str = r#"
occurred_at = { column = "at", time = "unix" }
[[event]]
type = "AgentProfiled"
first_of = ["a", "b"]
fields = { agent_id = "{value}", kind = "USER" }
[[event]]
type = "InteractionRecorded"
[event.fields]
agent_id = "{a}"
peer_id = "{b}"
interaction_type = "message"
field_impact = 0
affection_delta = 0
trust_delta = 0
"#;
const ROWS: &str = "a,b,at\nx,y,1\nx,x,2\nz,y,2\n";

fn gz(content: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn one_profile_for_each_new_value_and_one_interaction_a_row() {
    let kept = Case::new(CONTACTS, "in.csv", ROWS).run();
    let agents = kept.field("/agent_id");
    assert_eq!(agents, [json!("x"), json!("y"), json!("x"), json!("x"), json!("z"), json!("z")]);
    assert_eq!(kept.field("/meta/producer_seq"), [1, 1, 1, 2, 3, 3].map(|seq| json!(seq)));
    let events = kept.json();
    assert_eq!(events[2]["interaction_id"], events[2]["meta"]["event_id"]);
    assert_eq!(events[2]["meta"]["occurred_at"], "1970-01-01T00:00:01Z");
    assert_eq!(events[2]["meta"]["love_resonance"], 50);
    assert_eq!(kept.records[2].key, b"default|x");
    let producer = events[2]["meta"]["producer_id"].as_str().unwrap();
    assert!(producer.starts_with("import/") && producer.ends_with("/0.0/0"), "{producer}");
    assert!(producer.contains("/InteractionRecorded."), "{producer}");
}

#[test]
fn gzip_gives_the_same_events_as_plain() {
    let plain = Case::new(CONTACTS, "in.csv", ROWS).run();
    let packed = Case::new(CONTACTS, "other.csv.gz", gz(ROWS)).run();
    let two_members = Case::new(CONTACTS, "in.csv", [gz("a,b,at\nx,y,1\n"), gz("x,x,2\nz,y,2\n")].concat()).run();
    assert_eq!(plain.records, packed.records);
    assert_eq!(plain.records, two_members.records);
}

#[test]
fn a_file_without_header_and_with_another_delimiter() {
    let mapping =
        format!("file = {{ header = false, columns = [\"a\", \"b\", \"at\"], delimiter = \";\" }}\n{CONTACTS}");
    let kept = Case::new(&mapping, "in.csv", "x;y;1\n\"z;1\";y;2\n").run();
    assert_eq!(kept.field("/agent_id")[4], "z;1");
    let tabs = Case::new(CONTACTS, "in.tsv", "a\tb\tat\nx\ty\t1\n").run();
    assert_eq!(tabs.records.len(), 3);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data() {
    let kept = Case::new(CONTACTS, "in.csv", "\u{feff}a,b,at\r\nx,y,1\r\n").run();
    assert_eq!(kept.field("/agent_id"), [json!("x"), json!("y"), json!("x")]);
}

#[test]
fn jsonl_has_types_nested_objects_and_blank_lines() {
    let mapping = r#"
[[event]]
type = "AgentHeartbeat"
occurred_at = { column = "when", time = "rfc3339", zone = "Europe/Berlin" }
love_resonance = { column = "love", default = 7 }
[event.fields]
agent_id = "{who.name}"
region_id = { template = "{who.place}/{n}", as = "lower" }
coherence_level = { column = "level", optional = true }
stream_len = "{n}"
"#;
    let lines = r#"
{"when": "2024-07-01 12:00:00", "who": {"name": "ada", "place": "North"}, "level": 3.5, "n": 4}

{"when": "2024-07-01T12:00:00Z", "who": {"name": "bob", "place": "North"}, "n": 5, "love": 99}
"#;
    let events = Case::new(mapping, "in.jsonl.gz", gz(lines)).run().json();
    assert_eq!(events[0]["meta"]["occurred_at"], "2024-07-01T10:00:00Z");
    assert_eq!((&events[0]["coherence_level"], &events[0]["region_id"]), (&json!(3.5), &json!("north/4")));
    assert_eq!((&events[1]["coherence_level"], &events[1]["stream_len"]), (&json!(null), &json!(5)));
    assert_eq!((&events[0]["meta"]["love_resonance"], &events[1]["meta"]["love_resonance"]), (&json!(7), &json!(99)));
}

#[test]
fn conditions_lists_objects_and_hashes() {
    let mapping = r#"
tenant = "grove"
time_zone = "Asia/Tokyo"
occurred_at = { column = "day", time = "%Y-%m-%d" }
[[event]]
type = "SporeCreated"
when = { column = "kind", is = ["note", "memo"] }
[event.fields]
origin_agent = "{who}"
spore_type = { column = "kind", as = ["upper", "lower"] }
content = "{text}"
content_hash = { column = "text", as = "blake3" }
signature = { column = "text", as = "signature" }
resonance_score = { column = "score", as = "float" }
tags = { column = "tags", split = ";", optional = true }
metadata = { source = "file {{x}}", note = { column = "note", optional = true } }
"#;
    let rows = "day,kind,who,text,score,tags,note\n2024-01-02,note,a,Be  kind,0.5,x; y,\n2024-01-02,chat,a,no,0.5,,\n2024-01-02,memo,a,be kind,1,,n\n";
    let kept = Case::new(mapping, "in.csv", rows).run();
    let events = kept.json();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["meta"]["occurred_at"], "2024-01-01T15:00:00Z");
    assert_eq!(events[0]["signature"], events[1]["signature"]);
    assert_ne!(events[0]["content_hash"], events[1]["content_hash"]);
    assert_eq!((&events[0]["tags"], &events[1]["tags"]), (&json!(["x", "y"]), &json!([])));
    assert_eq!(events[0]["metadata"], json!({"source": "file {x}"}));
    assert_eq!(kept.field("/meta/tenant_id"), [json!("grove"), json!("grove")]);
    assert_eq!(kept.field("/meta/producer_seq"), [json!(1), json!(3)]);
}

#[test]
fn a_dry_run_shows_and_counts_and_keeps_nothing() {
    let case = Case::new(CONTACTS, "in.csv", ROWS);
    std::fs::create_dir(case.path("imports")).unwrap();
    let (report, shown) = common::dry_run(&case.options, 2);
    assert_eq!(report.events, [("AgentProfiled", 3), ("InteractionRecorded", 3)]);
    assert_eq!(shown.len(), 2);
    assert_eq!(std::fs::read_dir(case.path("imports")).unwrap().count(), 0);
}

#[test]
fn tenants_and_contents_have_their_own_ids() {
    let mut case = Case::new(CONTACTS, "in.csv", ROWS);
    let first = case.run().field("/meta/event_id");
    case.options.tenant = Some("other".into());
    let other = case.run().field("/meta/event_id");
    assert!(first.iter().all(|id| !other.contains(id)));
    let mut kept = Kept::default();
    case.import(&mut kept).unwrap();
    assert!(kept.records.is_empty(), "the same tenant again");
}
