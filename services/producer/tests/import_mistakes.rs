//! What the importer refuses, and how it says so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::{Case, Kept};
use producer::import::{Mapping, Stop};
use serde_json::json;

const MAP: &str = r#"[[event]]
type = "AgentHeartbeat"
occurred_at = { column = "at", time = "unix" }
[event.fields]
agent_id = "{who}"
region_id = "north"
coherence_level = { column = "level", as = "float", optional = true }
"#;

fn mistake(mapping: &str) -> String {
    Mapping::parse(mapping).unwrap_err().to_string()
}

fn changed(from: &str, to: &str) -> String {
    assert!(MAP.contains(from));
    mistake(&MAP.replace(from, to))
}

#[test]
fn a_mistake_in_a_mapping_names_its_line() {
    assert_eq!(mistake("").split(':').next(), Some("line 1"));
    assert!(mistake("x = [").starts_with("line 1: "));
    assert!(changed("AgentHeartbeat", "AgentHeart").starts_with("line 2: `AgentHeart` is no event"));
    assert!(changed("AgentHeartbeat", "Contributed").contains("derived by the workers"));
    assert!(
        changed("region_id", "regoin_id")
            .starts_with("line 6: AgentHeartbeat has no field `regoin_id`: it has agent_id, region_id")
    );
    assert!(changed("region_id = \"north\"", "meta = {}").starts_with("line 6: `meta` is set by the importer"));
    assert!(changed("\"float\"", "\"double\"").starts_with("line 7: `double` is no conversion: use int, float"));
    assert!(
        changed("optional = true", "option = true")
            .starts_with("line 7: `option` is unknown in an expression: it takes")
    );
    assert!(changed("time = \"unix\"", "time = \"iso\"").starts_with("line 3: `iso` is no time format"));
    assert!(
        changed("time = \"unix\"", "time = \"unix\", zone = \"Nowhere\"")
            .starts_with("line 3: `Nowhere` is no time zone")
    );
    assert!(changed("{who}", "{who").starts_with("line 5: `{who` has a brace without its partner"));
    assert!(changed("{who}", "{}").starts_with("line 5: a column has a name"));
    assert!(changed("type =", "typo =").starts_with("line 1: [[event]] needs `type`"));
    assert!(
        mistake(&format!("file = {{ header = false }}\n{MAP}"))
            .starts_with("line 1: a file without a header needs `columns")
    );
    assert!(
        mistake(&MAP.replace("occurred_at = { column = \"at\", time = \"unix\" }\n", ""))
            .contains("`occurred_at` is missing")
    );
}

#[test]
fn a_column_that_the_file_lacks_is_named_with_the_mapping_line() {
    let message = Case::new(MAP, "in.csv", "whom,at\nx,1\n").refused();
    assert!(message.contains("map.toml, line 5: the file has no column `who`: it has whom, at"), "{message}");
    let twice = Case::new(MAP, "in.csv", "who,who,at\nx,x,1\n").refused();
    assert!(twice.contains("more than one column `who`"), "{twice}");
    // An optional one may be missing.
    assert_eq!(Case::new(MAP, "in.csv", "who,at\nx,1\n").run().records.len(), 1);
}

#[test]
fn files_that_are_none() {
    assert!(Case::new(MAP, "in.txt", "who,at\n").refused().contains("the name tells no format"));
    assert!(Case::new(MAP, "in.csv", "").refused().contains("the file is empty"));
    assert!(Case::new(MAP, "in.csv.gz", [0x1f, 0x8b, 8, 0, 0, 0]).refused().contains("cannot read"));
    let mut case = Case::new(MAP, "in.csv", "who,at\n");
    case.options.file = case.path("absent.csv");
    assert!(case.refused().contains("cannot open"));
}

#[test]
fn rejects_name_line_column_and_reason_and_the_good_rows_pass() {
    let rows = b"who,at,level\na,1,5\n\"b\nb\",x,5\nc,1,high\nd,1,101\n,1,\ne,1\nf\xff,1,\ng,1,6\nh,99999999999,6\n";
    let case = Case::new(MAP, "in.csv", rows);
    let mut kept = Kept::default();
    let report = case.import(&mut kept).unwrap();
    assert_eq!(kept.field("/agent_id"), [json!("a"), json!("g")]);
    let seen: Vec<_> =
        report.rejects.iter().map(|reject| (reject.line, reject.column.as_deref(), reject.reason.as_str())).collect();
    assert_eq!(
        seen,
        [
            (3, Some("at"), "`x` is no number of seconds (or milli-, microseconds) since 1970 in range"),
            (5, Some("level"), "`high` is no finite number"),
            (6, Some("level"), "101 is outside 0..=100 (line 7 of the mapping)"),
            (7, Some("who"), "is empty (say `optional = true` where that may be)"),
            (8, None, "2 fields where 3 are expected"),
            (9, Some("who"), "is not UTF-8"),
            (11, Some("at"), report.rejects[6].reason.as_str()),
        ]
    );
    assert!(report.rejects[6].reason.contains("ahead"), "{}", report.rejects[6].reason);
    assert_eq!(report.rejects[0].raw, "\"b\nb\",x,5");
    assert_eq!(report.rejects[2].field.as_deref(), Some("coherence_level"));
    let text = std::fs::read_to_string(report.rejects_path.unwrap()).unwrap();
    assert_eq!(text.lines().count(), 7);
}

#[test]
fn bad_json_lines_are_rejected() {
    let case = Case::new(
        MAP,
        "in.jsonl",
        "{\"who\": \"a\", \"at\": 1}\n{\"who\": \n[1]\n{\"who\": 5, \"at\": 1}\n{\"at\": 1}\n",
    );
    let mut kept = Kept::default();
    let report = case.import(&mut kept).unwrap();
    assert_eq!(kept.records.len(), 1);
    let reasons: Vec<_> = report.rejects.iter().map(|reject| (reject.line, reject.reason.as_str())).collect();
    assert!(reasons[0].1.starts_with("not JSON, at column"));
    assert_eq!(reasons[1], (3, "not a JSON object"));
    assert_eq!(reasons[2], (4, "expected a string, found an integer (line 5 of the mapping)"));
    assert_eq!(reasons[3], (5, "is missing (say `optional = true` where that may be)"));
}

#[test]
fn too_many_rejects_stop_the_import() {
    let mut case = Case::new(MAP, "in.csv", "who,at\na,1\nb,x\nc,x\nd,1\n");
    case.options.max_rejects = 1;
    let mut kept = Kept::default();
    let report = case.import(&mut kept).unwrap();
    assert_eq!((report.stop, report.rejects.len(), kept.records.len()), (Stop::Rejects, 2, 1));
}

#[test]
fn the_mapping_of_the_how_to_is_one() {
    let page = std::fs::read_to_string(common::root().join("docs/howto/import-your-data.md")).unwrap();
    let mapping = page.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let rows = "a;b;2024-05-01 10:00;hello;1.5;\nb;a;2024-05-01 10:01;;;\n";
    let kept = Case::new(mapping, "in.csv", rows).run();
    assert_eq!(kept.field("/agent_id"), [json!("a"), json!("b"), json!("a")]);
    assert_eq!(kept.field("/meta/occurred_at")[2], "2024-05-01T08:00:00Z");
}
