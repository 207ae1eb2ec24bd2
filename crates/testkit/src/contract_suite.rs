//! What the SQL views, the analysts' contract, answer: every store of views and series passes it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use domain::cell::Cell;
use domain::delta::Deltas;
use domain::fold::{series::SERIES, views::VIEWS};
use domain::stamp::Stamp;
use domain::tables::series::FIELD_COHERENCE;
use domain::tables::views::CONTACT;
use domain::{Projection, Topic, TopicPartition};
use uuid::Uuid;

/// A store that is asked by SQL.
pub trait Asked {
    /// Writes rows under a fresh claim of partition 0 of a topic, always the same.
    fn put(&mut self, projection: &'static Projection, rows: &Deltas);

    /// The answer to a statement: a line per row, columns separated by blanks, whole numbers without a point.
    fn ask(&self, sql: &str) -> Vec<String>;
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

/// A tie is contact, seen from both ends. The rows stay, of tenant `t`.
pub fn a_tie_is_contact_seen_from_both_ends(store: &mut impl Asked) {
    let mut deltas = Deltas::new(VIEWS.tables);
    contact(&mut deltas, "a", "b", 90, ("friend", 5));
    contact(&mut deltas, "a", "b", 20, ("rival", 7));
    contact(&mut deltas, "b", "a", -5, ("foe", 6));
    contact(&mut deltas, "c", "a", -300, ("stranger", 1));
    contact(&mut deltas, "d", "d", 1, ("self", 1));
    store.put(&VIEWS, &deltas);
    let sql = "SELECT agent_id, peer_id, sent, received, affection, trust, field_impact, first_at, last_at,
        relationship_type FROM tie ORDER BY 1, 2";
    let expected = [
        "a b 2 1 100 1.5 0.75 5 7 rival",
        "a c 0 1 -100 0.5 0.25 1 1 stranger",
        "b a 1 2 100 1.5 0.75 5 7 rival",
        "c a 1 0 -100 0.5 0.25 1 1 stranger",
        "d d 1 1 1 0.5 0.25 1 1 self",
    ];
    assert_eq!(store.ask(sql), expected);
    assert_eq!(store.ask("SELECT sum(affection_sum) FROM contact"), ["-194"]);
}

/// The parts of a series are summed, and every offset is accounted for (I5).
pub fn parts_are_summed_and_freshness_closes_the_account(store: &mut impl Asked) {
    for (partition, level) in [(0, 40_000_000), (1, 70_000_000)] {
        let mut deltas = Deltas::new(SERIES.tables);
        deltas.set_scope(TopicPartition::new(Topic::AgentPresence, partition));
        let mut row = deltas.row(&FIELD_COHERENCE[0], |key| {
            key.text("t").text("north").int(60_000_000);
        });
        row.add("heartbeats", 3).add("coherence_sum", level).merge("coherence_peak", Cell::Int(level));
        row.merge("agents", Cell::Int(2));
        store.put(&SERIES, &deltas);
    }
    let sql = "SELECT heartbeats, coherence_sum, coherence_peak, agents FROM field_coherence_1m";
    assert_eq!(store.ask(sql), ["6 110 70 4"]);
    let sql = "SELECT next_offset, applied, gap, epoch FROM freshness WHERE projection = 'series'";
    assert_eq!(store.ask(sql), ["2 2 0 2"]);
}
