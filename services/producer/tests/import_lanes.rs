//! Ids and numbers of imported events depend on content, `[[event]]` and row alone: whatever was
//! imported before, in whichever order, the log ends with the events of one clean import (design 7,
//! I4).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::{Case, Kept, admitted, sorted};
use oorandom::Rand64;
use producer::import::{Continuation, Import};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// How many random orders are tried. Each import waits for the disk a few times.
const SEEDS: u64 = 20;

const HEAD: &str = "occurred_at = { column = \"at\", time = \"unix\" }\n";
const PROFILE: &str = r#"[[event]]
type = "AgentProfiled"
first_of = ["who", "peer"]
fields = { agent_id = "{value}", kind = "USER" }
"#;
const BEAT: &str = r#"[[event]]
type = "AgentHeartbeat"
fields = { agent_id = "{who}", region_id = "north" }
"#;
const NOTE: &str = r#"[[event]]
type = "AgentHeartbeat"
when = { column = "kind", is = ["note"] }
fields = { agent_id = "{who}", region_id = "south" }
"#;
const LEVEL: &str = r#"[[event]]
type = "AgentHeartbeat"
[event.fields]
agent_id = "{who}"
region_id = "north"
coherence_level = { column = "level", as = "float" }
"#;

fn rows(count: usize) -> String {
    let kind = |row| if row % 3 == 0 { "note" } else { "chat" };
    let row = |row| format!("agent-{},agent-{},{},{row}\n", row % 7, row % 11, kind(row));
    "who,peer,kind,at\n".to_owned() + &(0..count).map(row).collect::<String>()
}

fn mapping(outputs: &[&str]) -> String {
    HEAD.to_owned() + &outputs.concat()
}

fn clean(mapping: &str, content: &str) -> Vec<Value> {
    sorted(Case::new(mapping, "in.csv", content).run().json())
}

fn continuations(case: &Case) -> Vec<Continuation> {
    let import = Import::prepare(case.options.clone()).unwrap();
    import.continuations().into_iter().map(|(.., what)| what).collect()
}

/// M2: nothing is passed over that was not published, and what is published twice counts once (I4).
#[test]
fn end_of_a_file_then_the_whole_then_again_publishes_each_row_once() {
    let (mapping, content) = (mapping(&[PROFILE, BEAT]), rows(1_000));
    let mut case = Case::new(&mapping, "in.csv", &content);
    let mut kept = Kept::default();
    case.options.from_row = Some(901);
    assert_eq!(case.import(&mut kept).unwrap().progress.events, 100);
    case.options.from_row = None;
    let report = case.import(&mut kept).unwrap();
    assert_eq!((report.progress.skipped, report.progress.events), (100, 900 + 11));
    // All are published now, each once.
    assert_eq!(sorted(kept.json()), clean(&mapping, &content));
    case.options.again = true;
    case.import(&mut kept).unwrap();
    assert_eq!(kept.records.len(), 2 * (1_000 + 11));
    assert_eq!(sorted(admitted(&kept.records)), clean(&mapping, &content));
}

/// M3: an `[[event]]` is named by what it says, not by where it stands.
#[test]
fn event_of_the_same_type_put_above_keeps_the_old_rows_and_publishes_the_new() {
    let content = rows(50);
    let case = Case::new(&mapping(&[BEAT]), "in.csv", &content);
    let mut kept = Kept::default();
    case.import(&mut kept).unwrap();
    let old = kept.json();
    for outputs in [[NOTE, BEAT], [BEAT, NOTE]] {
        case.write("map.toml", mapping(&outputs));
        case.import(&mut kept).unwrap();
        assert_eq!(kept.records.len(), 50 + 17);
        assert_eq!(sorted(kept.json()), clean(&mapping(&outputs), &content));
    }
    assert_eq!(kept.json()[..50], old);
    // Nor do blanks, comments, the order of keys, or another condition rename it.
    let respelt =
        "# beats\n[[event]]\n  fields = { region_id = 'north', agent_id = \"{who}\" }\n  type = \"AgentHeartbeat\"";
    assert_eq!(clean(&(HEAD.to_owned() + respelt), &content), sorted(old));
    let narrow = BEAT.replace("fields", "when = { column = \"kind\", is = \"note\" }\nfields");
    let all = clean(&mapping(&[BEAT]), &content);
    assert!(clean(&mapping(&[&narrow]), &content).iter().all(|event| all.contains(event)));
}

/// The workers know 1,024 numbers of a producer exactly, so that is how many rows one may have (I4,
/// I9).
#[test]
fn producer_of_a_long_file_has_at_most_1024_numbers_each_once() {
    let kept = Case::new(&mapping(&[PROFILE, NOTE, BEAT]), "in.csv", rows(5_000)).run();
    let mut numbers = HashMap::<_, HashSet<i64>>::new();
    for (record, event) in kept.records.iter().zip(kept.json()) {
        let producer = (record.topic, event["meta"]["producer_id"].as_str().unwrap().to_owned());
        let number = event["meta"]["producer_seq"].as_i64().unwrap();
        assert!(numbers.entry(producer).or_default().insert(number));
    }
    assert_eq!(numbers.values().map(HashSet::len).max(), Some(1_024));
    // So the last row first is no row lost.
    let mut backwards = kept.records.clone();
    backwards.reverse();
    assert_eq!(admitted(&backwards).len(), kept.records.len());
}

#[test]
fn row_that_meets_two_conditions_of_one_text_gives_two_events() {
    let chat = NOTE.replace("[\"note\"]", "[\"chat\", \"note\"]");
    let content = rows(30);
    let both = clean(&mapping(&[NOTE, &chat]), &content);
    let ids: HashSet<_> = both.iter().map(|event| event["meta"]["event_id"].to_string()).collect();
    assert_eq!((both.len(), ids.len()), (40, 40));
    assert_eq!(both, clean(&mapping(&[&chat, NOTE]), &content), "in either order");
}

/// I4: a mended row has the number that it always had, and rows that were good are neither doubled
/// nor lost.
#[test]
fn event_mended_for_its_rejected_rows_keeps_its_name() {
    let content = "who,level,at\na,1,1\nb,high,2\nc,3,3\nd,,4\ne,5,5\n";
    let mut case = Case::new(&mapping(&[LEVEL]), "in.csv", content);
    let mut kept = Kept::default();
    assert_eq!(case.import(&mut kept).unwrap().rejects.len(), 2);
    let good = kept.json();
    // A field that no row was rejected for: other events.
    case.write("map.toml", mapping(&[&LEVEL.replace("north", "east")]));
    assert_eq!(continuations(&case), [Continuation::New]);
    // The field that rows were rejected for: the same events, mended twice.
    let optional = LEVEL.replace("as = \"float\"", "as = \"float\", optional = true");
    case.write("map.toml", mapping(&[&optional]));
    assert_eq!(continuations(&case), [Continuation::Mended]);
    let report = case.import(&mut kept).unwrap();
    assert_eq!((report.rejects.len(), report.progress.skipped, report.progress.events), (1, 3, 1));
    case.write("map.toml", mapping(&[&LEVEL.replace("{ column = \"level\", as = \"float\" }", "50.0")]));
    assert_eq!(continuations(&case), [Continuation::Mended]);
    assert!(case.import(&mut kept).unwrap().rejects.is_empty());
    assert_eq!(continuations(&case), [Continuation::Same]);
    case.options.again = true;
    case.import(&mut kept).unwrap();
    let events = admitted(&kept.records);
    assert_eq!(events[..3], good);
    let meta = |name: &str| events.iter().map(|event| event["meta"][name].clone()).collect::<Vec<_>>();
    assert_eq!(meta("producer_seq"), [1, 3, 5, 4, 2]);
    let producers: HashSet<_> = meta("producer_id").iter().map(Value::to_string).collect();
    assert_eq!(producers.len(), 1);
}

#[test]
fn rejected_row_is_tried_again_without_the_file_of_rejects() {
    let case = Case::new(&mapping(&[BEAT]), "in.csv", "who,at\na,1\nb,x\nc,3\n");
    let mut kept = Kept::default();
    let rejects = case.import(&mut kept).unwrap().rejects_path.unwrap();
    std::fs::remove_file(rejects).unwrap();
    case.write("map.toml", mapping(&[BEAT]).replace("{ column = \"at\", time = \"unix\" }", "7"));
    case.import(&mut kept).unwrap();
    assert_eq!(kept.field("/agent_id"), ["a", "c", "b"]);
}

#[test]
fn rows_told_apart_in_another_way_are_not_passed_over() {
    let with_header = mapping(&[BEAT]);
    let without = "file = { header = false, columns = [\"who\", \"at\"] }\n".to_owned() + &with_header;
    let case = Case::new(&with_header, "in.csv", "who,at\na,1\nb,2\n");
    let mut kept = Kept::default();
    case.import(&mut kept).unwrap();
    case.write("map.toml", without);
    // The header is a bad row now, and the last row has a number that was never published.
    let report = case.import(&mut kept).unwrap();
    assert_eq!((report.rejects.len(), report.progress.skipped), (1, 0));
    assert_eq!(kept.field("/meta/producer_seq").last(), Some(&3.into()));
}

/// I4: any partial imports, in any order, with failures, re-ordered outputs and other conditions:
/// one clean import.
#[test]
fn imports_of_any_parts_in_any_order_end_as_one_clean_import() {
    let content = rows(300);
    let wide = NOTE.replace("[\"note\"]", "[\"note\", \"chat\"]");
    let ends = mapping(&[PROFILE, BEAT, &wide]);
    let expected = clean(&ends, &content);
    for seed in 0..SEEDS {
        let mut dice = Rand64::new(seed.into());
        let mut below = |n: u64| dice.rand_range(0..n);
        let mut case = Case::new(&ends, "in.csv", &content);
        let mut kept = Kept::default();
        for _ in 0..6 {
            let note = if below(2) == 0 { NOTE } else { &wide };
            let mut outputs = vec![PROFILE, BEAT, note];
            outputs.rotate_left(below(3) as usize);
            outputs.truncate(1 + below(3) as usize);
            case.write("map.toml", mapping(&outputs));
            case.options.batch_records = 200 + below(800) as usize;
            case.options.from_row = (below(2) == 0).then(|| 1 + below(300));
            case.options.again = below(4) == 0;
            let left = below(4) as usize;
            kept.taken = below(200) as usize;
            kept.fail_after = (below(2) == 0).then_some(kept.batches + left);
            let _ = case.import(&mut kept);
        }
        case.write("map.toml", &ends);
        (case.options.from_row, case.options.again, kept.fail_after) = (None, false, None);
        case.import(&mut kept).unwrap();
        assert_eq!(sorted(admitted(&kept.records)), expected, "seed {seed}");
    }
}
