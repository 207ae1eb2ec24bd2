//! The rules that changes of a schema must keep, by example.

use std::fs;
use std::path::Path;

use domain::event::EventKind;

use super::*;
use crate::embedded;

const BASE: &str = r#"{"type":"record","name":"Seen","namespace":"io.sporelog","fields":[
  {"name":"id","type":"string","doc":"d"},
  {"name":"count","type":"int","doc":"d"},
  {"name":"mood","type":["null","string"],"default":null,"doc":"d"},
  {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]},"doc":"d"},
  {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"},"doc":"d"},
  {"name":"inner","type":{"type":"record","name":"Inner","fields":[{"name":"x","type":"double","doc":"d"}]},"doc":"d"}
]}"#;

/// The first finding of `BASE` with `from` replaced.
fn mutate(from: &str, to: &str) -> (String, String) {
    assert!(BASE.contains(from), "{from}");
    let found = check("Seen", &BASE.replacen(from, to, 1), &[(1, BASE)]);
    assert!(!found.is_empty(), "{from} -> {to} passed");
    assert!(found.iter().all(|finding| !finding.remedy.is_empty()));
    (found[0].field.clone(), found[0].problem.clone())
}

#[test]
fn each_breaking_change_is_refused_by_name() {
    let cases = [
        (r#"{"name":"id","type":"string","doc":"d"},"#, "", "id", "was removed"),
        (r#""name":"id""#, r#""name":"identity""#, "identity", "added without a default"),
        (r#"{"name":"count""#, r#"{"name":"extra","type":"int","doc":"d"},{"name":"count""#, "extra", "added without"),
        (r#""type":"int""#, r#""type":"long""#, "count", "from int to long"),
        (r#"["A","B"]"#, r#"["A","B","C"]"#, "kind", "symbol C was added"),
        (r#"["null","string"]"#, r#"["null","string","int"]"#, "mood", "took in int"),
        (r#""default":null"#, r#""default":"calm""#, "mood", "not of its type"),
        (r#","default":null"#, "", "mood", "lost its default"),
        ("timestamp-micros", "timestamp-millis", "at", "timestamp-millis"),
        (r#""name":"x","type":"double""#, r#""name":"x","type":"float""#, "inner.x", "from double to float"),
        (r#""name":"Seen""#, r#""name":"Sighted""#, "", "renamed"),
    ];
    for (from, to, field, problem) in cases {
        let found = mutate(from, to);
        assert_eq!(found.0, field, "{from}: {}", found.1);
        assert!(found.1.contains(problem), "{from}: {}", found.1);
    }
}

#[test]
fn a_rename_is_called_a_rename() {
    let found = check("Seen", &BASE.replacen(r#""name":"id""#, r#""name":"identity""#, 1), &[(1, BASE)]);
    assert!(found.iter().any(|finding| finding.field == "id" && finding.problem.contains("renamed to identity")));
}

#[test]
fn what_is_compatible_passes() {
    let added = BASE.replacen(
        r#"{"name":"count""#,
        r#"{"name":"extra","type":["null","int"],"default":null,"doc":"d"},{"name":"count""#,
        1,
    );
    assert_eq!(check("Seen", &added, &[(1, BASE)]), []);
    assert_eq!(check("Seen", BASE, &[(1, &added), (2, BASE)]), [], "a field with a default may go");
    let broken = check("Seen", "{", &[(1, BASE)]);
    assert!(broken[0].problem.contains("no JSON"));
}

#[test]
fn a_message_says_where_and_what_to_do() {
    let found = check("Seen", &BASE.replacen(r#""type":"int""#, r#""type":"long""#, 1), &[(3, BASE)]);
    assert_eq!(
        found[0].to_string(),
        "Seen.count against version 3: its type changed from int to long; \
         restore the type, and add a new field with a default for the new one"
    );
}

#[test]
fn our_schemas_are_full_transitive() {
    let embedded = embedded().unwrap();
    for kind in EventKind::ALL {
        assert_eq!(check(kind.name(), embedded.text(*kind), embedded.frozen(*kind)), [], "{kind}");
    }
}

fn schemas_dir() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

#[test]
fn our_directory_is_clean() {
    let report = check_dir(&schemas_dir()).unwrap();
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!((report.events, report.versions), (22, 24));
}

#[test]
fn a_directory_is_told_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("frozen")).unwrap();
    fs::write(dir.path().join("seen.avsc"), BASE.replacen(r#","doc":"d"}"#, "}", 1)).unwrap();
    let report = check_dir(dir.path()).unwrap();
    let all = report.complaints.join("\n");
    for part in ["vocabulary.json", "copy it to frozen/seen.v1.avsc", "Seen.id: has no doc", "examples/seen.json"] {
        assert!(all.contains(part), "{part}: {all}");
    }
}
