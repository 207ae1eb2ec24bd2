//! What a scrape shows, and the generated page.

use super::*;
use pipeline::Paused;

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|held| held == line), "{line} is not in\n{text}");
}

#[test]
fn a_commit_shows_in_the_scrape() {
    let metrics = Metrics::new().unwrap();
    let worker = metrics.worker("projector", "projector-0");
    worker.committed(&Commit {
        outcomes: [7, 2, 0, 1, 0, 0, 0],
        records: 10,
        bytes: 2_000,
        rows: 5,
        commit_us: 3_000,
        latency_us: [40_000, 20_000],
    });
    let position = CommittedPosition { next_offset: 10, watermark_us: Some(1_000_000), gap: 0, lost: 2 };
    worker.position("agent.state", 3, &position);
    worker.lag("agent.state", 3, 4);
    worker.dead("invalid");
    let text = metrics.render(3_500_000);
    let partition = r#"partition="3",role="projector",topic="agent.state",worker="projector-0""#;
    has(&text, r#"sporelog_records_total{outcome="applied",role="projector",worker="projector-0"} 7"#);
    has(&text, &format!("sporelog_lag_records{{{partition}}} 4"));
    has(&text, &format!("sporelog_watermark_age_seconds{{{partition}}} 2.5"));
    has(&text, &format!("sporelog_accounting_gap{{{partition}}} 0"));
    has(&text, &format!("sporelog_position_lost_records{{{partition}}} 2"));
    has(&text, r#"sporelog_end_to_end_latency_seconds_count{role="projector",worker="projector-0"} 2"#);
    has(&text, r#"sporelog_dead_letters_total{reason="invalid",role="projector",worker="projector-0"} 1"#);
    let snapshot = &metrics.snapshot()[0];
    assert_eq!((snapshot.outcomes, snapshot.lag_records, snapshot.partitions), ([7, 2, 0, 1, 0, 0, 0], 4, 1));
}

#[test]
fn a_partition_given_up_vanishes() {
    let metrics = Metrics::new().unwrap();
    let worker = metrics.worker("ingest", "ingest-0");
    let position = CommittedPosition { next_offset: 1, watermark_us: Some(0), ..CommittedPosition::default() };
    worker.position("agent.state", 0, &position);
    worker.position("agent.state", 1, &position);
    let _ = metrics.render(0);
    worker.owned(&[("agent.state", 1)]);
    let text = metrics.render(0);
    assert!(!text.contains(r#"partition="0""#), "{text}");
    assert!(text.contains(r#"partition="1""#), "{text}");
}

#[test]
fn one_reason_is_paused_at_a_time() {
    let metrics = Metrics::new().unwrap();
    let worker = metrics.worker("ingest", "ingest-0");
    worker.paused(Some(Paused::Log));
    worker.paused(Some(Paused::Store));
    let text = metrics.render(0);
    has(&text, r#"sporelog_paused{reason="log",role="ingest",worker="ingest-0"} 0"#);
    has(&text, r#"sporelog_paused{reason="store",role="ingest",worker="ingest-0"} 1"#);
    worker.paused(None);
    has(&metrics.render(0), r#"sporelog_paused{reason="store",role="ingest",worker="ingest-0"} 0"#);
}

#[test]
fn names_are_unique_and_the_page_is_made_from_them() {
    let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(page == markdown(), "docs/metrics.md is stale: run `sporelog docs metrics > docs/metrics.md`");
}

#[test]
fn a_pool_is_asked_at_each_scrape() {
    let metrics = Metrics::new().unwrap();
    metrics.pool("postgres", || PoolUse { in_use: 3, idle: 1, waiting: 2 });
    let text = metrics.render(0);
    for line in ["state=\"in_use\",store=\"postgres\"} 3", "state=\"idle\",store=\"postgres\"} 1", "state=\"waiting\""]
    {
        assert!(text.contains(line), "{text}");
    }
}

/// Alerts name what exists: metrics, their labels, and the section of the operations page that says what to do.
#[test]
fn alerts_name_declared_metrics_and_sections_of_the_page() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let read = |path: &str| std::fs::read_to_string(format!("{root}{path}")).unwrap();
    let rules: serde_json::Value = serde_saphyr::from_str(&read("deploy/alerts.yaml")).unwrap();
    let page = read("docs/operations.md");
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 9);
    for rule in rules {
        let text = |field: &serde_json::Value| field.as_str().unwrap_or_default().to_owned();
        let (alert, expr) = (text(&rule["alert"]), text(&rule["expr"]));
        let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let names = expr.split(|char| !is_part(char)).filter(|word| word.starts_with("sporelog_"));
        let metrics: Vec<_> = names
            .map(|name| {
                let base = name.trim_end_matches("_bucket");
                ALL.iter().find(|metric| metric.name == base).unwrap_or_else(|| panic!("{alert}: no metric {name}"))
            })
            .collect();
        assert!(!metrics.is_empty(), "{alert} has no metric");
        let annotations = format!("{} {}", rule["annotations"]["summary"], rule["annotations"]["description"]);
        for label in annotations.split("$labels.").skip(1).map(|rest| rest.split(|char| !is_part(char)).next()) {
            // Prometheus adds the scraped process's address.
            let label = label.unwrap();
            let known = label == "instance" || metrics.iter().any(|metric| metric.labels.contains(&label));
            assert!(known, "{alert}: no label {label}");
        }
        let description = text(&rule["annotations"]["description"]);
        let section = description.split("docs/operations.md, ").nth(1).unwrap_or_default().trim_end_matches('.');
        let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
        let found = headings.into_iter().any(|heading| heading.replace('`', "") == section);
        assert!(section.is_empty() || found, "{alert}: docs/operations.md has no section {section:?}");
        assert!(!section.is_empty() || description.contains("/readyz"), "{alert} names no section");
    }
}

/// I7: every cause for which a partition is parked has its section, which says what to do.
#[test]
fn every_park_cause_has_a_section_in_the_operations_page() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = std::fs::read_to_string(path).unwrap();
    for label in pipeline::ParkCause::LABELS {
        assert!(page.lines().any(|line| line == format!("### `{label}`")), "no section for {label}");
    }
}
