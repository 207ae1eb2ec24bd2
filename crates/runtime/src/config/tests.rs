//! Layering, refusals and the generated page.

use super::*;
use std::path::PathBuf;

fn with_file(text: &str) -> (tempfile::TempDir, Layers) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE_NAME), text).unwrap();
    let layers = Layers { working_dir: dir.path().to_owned(), ..Layers::default() };
    (dir, layers)
}

fn with_env(name: &str, value: &str) -> Layers {
    let mut layers = Layers::default();
    layers.environment.insert(name.to_owned(), value.to_owned());
    layers.working_dir = PathBuf::from("/nonexistent");
    layers
}

fn refusal(layers: &Layers) -> String {
    load(layers).unwrap_err().to_string()
}

#[test]
fn without_any_layer_the_defaults_stand() {
    let layers = Layers { working_dir: PathBuf::from("/nonexistent"), ..Layers::default() };
    let config = load(&layers).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.worker.batch_max_records, 10_000);
}

#[test]
fn later_layers_win_key_by_key() {
    let (_dir, mut layers) = with_file(
        "[worker]\nbatch_max_records = 1\nbatch_linger_ms = 2\n[dedup]\nwindow_ms = 3\n[data]\ndir = \"from-file\"\n",
    );
    layers.environment.insert("SPORELOG__WORKER__BATCH_LINGER_MS".into(), "20".into());
    layers.environment.insert("SPORELOG__DEDUP__WINDOW_MS".into(), "30".into());
    layers.environment.insert("SPORELOG__HTTP__ENABLED".into(), "false".into());
    layers.environment.insert("HOME".into(), "/root".into());
    layers.environment.insert("SPORELOG_CONFIG".into(), "not a key".into());
    layers.set("dedup.window_ms", "300", "--set");
    layers.set("telemetry.log_format", "json", "--log-format");
    let config = load(&layers).unwrap();
    assert_eq!(config.worker.batch_max_records, 1);
    assert_eq!(config.worker.batch_linger_ms, 20);
    assert_eq!(config.dedup.window_ms, 300);
    assert_eq!(config.data.dir, PathBuf::from("from-file"));
    assert!(!config.http.enabled);
    assert_eq!(config.telemetry.log_format, LogFormat::Json);
    assert_eq!(config.worker.drain_deadline_ms, 4_000);
}

#[test]
fn a_numeric_path_stays_text() {
    assert_eq!(load(&with_env("SPORELOG__DATA__DIR", "0123")).unwrap().data.dir, PathBuf::from("0123"));
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_one() {
    let (dir, layers) = with_file("[worker]\nbatch_max_record = 1\n");
    let message = refusal(&layers);
    assert!(message.contains("unknown key worker.batch_max_record in "), "{message}");
    assert!(message.contains(&dir.path().join(FILE_NAME).display().to_string()), "{message}");
    assert!(message.contains("did you mean worker.batch_max_records?"), "{message}");

    let message = refusal(&with_env("SPORELOG__DATA__DIRR", "x"));
    assert!(message.contains("in SPORELOG__DATA__DIRR: did you mean SPORELOG__DATA__DIR?"), "{message}");

    let mut layers = with_env("X", "y");
    layers.set("http.batch_linger_ms", "1", "--set");
    let message = refusal(&layers);
    assert!(message.contains("in --set: did you mean worker.batch_linger_ms?"), "{message}");

    let (_dir, layers) = with_file("zzzzzzzz = 1\n");
    assert!(refusal(&layers).contains("docs/configuration.md"));
}

#[test]
fn a_wrong_value_is_refused_with_its_key_and_place() {
    let message = refusal(&with_env("SPORELOG__WORKER__BATCH_MAX_RECORDS", "many"));
    assert!(message.starts_with("worker.batch_max_records in SPORELOG__WORKER__BATCH_MAX_RECORDS: "), "{message}");
    let (_dir, layers) = with_file("[worker]\nbatch_max_records = -5\n");
    let message = refusal(&layers);
    assert!(message.starts_with("worker.batch_max_records in "), "{message}");
    for (key, value, flag) in [
        ("http.listen", "nowhere", "--listen"),
        ("telemetry.log_format", "xml", "--log-format"),
        ("worker.batch_max_records", "0", "--set"),
        ("roles.ingest_workers", "65", "--set"),
        ("worker.backoff_initial_ms", "6000", "--set"),
        ("worker.park_retry_ms", "60001", "--set"),
        ("worker.park_retry_max_ms", "0", "--set"),
        ("dedup.window_ms", "0", "--set"),
        ("dedup.window_ms", "86400001", "--set"),
        ("dedup.max_records", "0", "--set"),
        ("dedup.max_records", "10000001", "--set"),
        ("dedup.forget_after_ms", "1000", "--set"),
        ("worker.dead_letter_flood_limit", "10001", "--set"),
        ("worker", "1", "--set"),
    ] {
        let mut layers = with_env("X", "y");
        layers.set(key, value, flag);
        let message = refusal(&layers);
        assert!(message.starts_with(&format!("{key} in {flag}: ")), "{message}");
    }
}

#[test]
fn a_file_that_is_missing_or_malformed_is_named() {
    let layers = Layers { file: Some(PathBuf::from("nowhere.toml")), ..Layers::default() };
    assert!(refusal(&layers).contains("nowhere.toml does not exist"));
    let (_dir, layers) = with_file("[worker\n");
    assert!(refusal(&layers).contains("sporelog.toml cannot be read: "));
}

#[test]
fn every_option_is_documented_and_numbers_have_a_range_or_unit() {
    let all = options();
    assert!(all.len() > 25, "{all:?}");
    for option in &all {
        assert!(option.doc.ends_with('.'), "{option:?}");
        assert!(!option.values.is_empty(), "{option:?}");
    }
    let listen = all.iter().find(|option| option.key == "http.listen").unwrap();
    assert_eq!(listen.default.as_deref(), Some("\"127.0.0.1:8787\""));
    assert_eq!(listen.variable(), "SPORELOG__HTTP__LISTEN");
}

#[test]
fn the_page_is_made_from_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == markdown(),
        "docs/configuration.md is stale: run `sporelog docs configuration > docs/configuration.md`"
    );
}

/// I3: what a zombie runs must end before its partitions are another's.
#[test]
fn a_statement_may_not_outlive_the_session() {
    let (_dir, mut layers) = with_file("[kafka]\nbootstrap = \"k:9092\"\nsession_timeout_ms = 10000\n");
    layers.set("kafka.delivery_timeout_ms", "1000", "--set");
    for key in ["statement_timeout_ms", "idle_in_transaction_timeout_ms"] {
        layers.set("postgres.statement_timeout_ms", "9999", "--set");
        layers.set("postgres.idle_in_transaction_timeout_ms", "9999", "--set");
        load(&layers).unwrap();
        layers.set(&format!("postgres.{key}"), "10000", "--set");
        let refused = refusal(&layers);
        assert!(refused.contains(&format!("postgres.{key}")), "{refused}");
        assert!(refused.contains("kafka.session_timeout_ms (10000)"), "{refused}");
    }
}

#[test]
fn properties_of_several_lines_come_through_file_and_environment() {
    let (_dir, layers) = with_file("[kafka]\nproperties = \"\"\"\na.b = 1\nc = d\n\"\"\"\n");
    assert_eq!(load(&layers).unwrap().kafka.properties, "a.b = 1\nc = d\n");
    let layers = with_env("SPORELOG__KAFKA__PROPERTIES", "a.b=1\nc=d");
    assert_eq!(load(&layers).unwrap().kafka.properties, "a.b=1\nc=d");
}

/// I7: an outage of the log must end as the log's, not as a transaction that the database ended.
#[test]
fn publishing_may_not_outlive_its_transaction() {
    let (_dir, mut layers) = with_file("[kafka]\nbootstrap = \"k:9092\"\n");
    load(&layers).unwrap();
    layers.set("postgres.idle_in_transaction_timeout_ms", "20000", "--set");
    layers.set("kafka.delivery_timeout_ms", "19999", "--set");
    load(&layers).unwrap();
    layers.set("kafka.delivery_timeout_ms", "20000", "--set");
    let refused = refusal(&layers);
    assert!(refused.starts_with("kafka.delivery_timeout_ms in --set: 20000 is not below "), "{refused}");
    assert!(refused.contains("postgres.idle_in_transaction_timeout_ms (20000)"), "{refused}");
    let mut embedded = with_env("X", "y");
    embedded.set("kafka.delivery_timeout_ms", "20000", "--set");
    load(&embedded).unwrap();
}

#[test]
fn names_of_former_options_are_refused() {
    for (former, meant) in [("worker.dedup_window_ms", "dedup.window_ms"), ("worker.horizon_ms", "")] {
        let mut layers = with_env("X", "y");
        layers.set(former, "1", "--set");
        let message = refusal(&layers);
        assert!(message.starts_with(&format!("unknown key {former} in --set")), "{message}");
        assert!(message.contains(meant), "{message}");
    }
}
