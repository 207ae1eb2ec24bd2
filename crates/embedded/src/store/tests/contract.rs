//! The SQL views: parts summed, fixed point divided, ties and freshness.

use super::*;
use domain::stamp::Stamp;
use domain::tables::series::FIELD_COHERENCE;
use domain::tables::views::CONTACT;
use uuid::Uuid;

fn view<T: rusqlite::types::FromSql>(path: &std::path::Path, sql: &str) -> Vec<Vec<T>> {
    let connection = super::super::open_read_only(path).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|ix| row.get(ix)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

fn contact(deltas: &mut Deltas, from: &str, to: &str, affection: i64, kind: (&str, i64)) {
    let mut row = deltas.row(&CONTACT, |key| {
        key.text("t").text(from).text(to);
    });
    row.add("interactions", 1).add("affection_sum", affection * 1_000_000).add("trust_sum", 500_000);
    row.add("field_impact_sum", 250_000);
    row.latest("relationship_type", Cell::Text(kind.0.into()), &Stamp::new(None, 0, kind.1, Uuid::nil()));
    row.merge("first_at", Cell::Int(kind.1)).merge("last_at", Cell::Int(kind.1));
}

#[test]
fn a_tie_is_contact_seen_from_both_ends() {
    let (held, mut store) = scratch();
    let views = Projection::named("views").unwrap();
    let mut deltas = Deltas::new(views.tables);
    contact(&mut deltas, "a", "b", 90, ("friend", 5));
    contact(&mut deltas, "a", "b", 20, ("rival", 7));
    contact(&mut deltas, "b", "a", -5, ("foe", 6));
    contact(&mut deltas, "c", "a", -300, ("stranger", 1));
    contact(&mut deltas, "d", "d", 1, ("self", 1));
    put(&mut store, views, &deltas);
    let sql = "SELECT agent_id, peer_id, sent, received, affection, trust, field_impact, first_at, last_at,
        relationship_type FROM tie ORDER BY 1, 2";
    let found: Vec<String> = view::<rusqlite::types::Value>(&held.path, sql)
        .iter()
        .map(|row| {
            let cells = row.iter().map(|cell| match cell {
                rusqlite::types::Value::Integer(value) => value.to_string(),
                rusqlite::types::Value::Real(value) => format!("{value:?}"),
                rusqlite::types::Value::Text(text) => text.clone(),
                other => format!("{other:?}"),
            });
            cells.collect::<Vec<_>>().join(" ")
        })
        .collect();
    let expected = [
        "a b 2 1 100.0 1.5 0.75 5 7 rival",
        "a c 0 1 -100.0 0.5 0.25 1 1 stranger",
        "b a 1 2 100.0 1.5 0.75 5 7 rival",
        "c a 1 0 -100.0 0.5 0.25 1 1 stranger",
        "d d 1 1 1.0 0.5 0.25 1 1 self",
    ];
    assert_eq!(found, expected);
    let plan = view::<rusqlite::types::Value>(
        &held.path,
        "EXPLAIN QUERY PLAN SELECT * FROM tie WHERE tenant = 't' AND agent_id = 'a'",
    );
    let scans = format!("{plan:?}").matches("SCAN c").count();
    assert_eq!(scans, 0, "a tie of one agent is found by index: {plan:?}");
    assert_eq!(view::<f64>(&held.path, "SELECT sum(affection_sum) FROM contact"), [[-194.0]]);
}

#[test]
fn parts_are_summed_and_freshness_closes_the_account() {
    let (held, mut store) = scratch();
    let series = Projection::named("series").unwrap();
    for (partition, level) in [(0, 40_000_000), (1, 70_000_000)] {
        let mut deltas = Deltas::new(series.tables);
        deltas.set_scope(TopicPartition::new(Topic::AgentPresence, partition));
        let mut row = deltas.row(&FIELD_COHERENCE[0], |key| {
            key.text("t").text("north").int(60_000_000);
        });
        row.add("heartbeats", 3).add("coherence_sum", level).merge("coherence_peak", Cell::Int(level));
        row.merge("agents", Cell::Int(2));
        put(&mut store, series, &deltas);
    }
    let sql = "SELECT heartbeats, coherence_sum, coherence_peak, agents FROM field_coherence_1m";
    assert_eq!(
        view::<f64>(&held.path, &sql.replace("heartbeats,", "heartbeats + 0.0,").replace("agents", "agents + 0.0")),
        [[6.0, 110.0, 70.0, 4.0]]
    );
    let sql = "SELECT next_offset, applied, gap, epoch FROM freshness WHERE projection = 'series'";
    assert_eq!(view::<i64>(&held.path, sql), [[2, 2, 0, 2]]);
}
