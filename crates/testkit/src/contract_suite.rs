//! What the SQL views, the analysts' contract, answer: every store of views and series passes it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use domain::cell::Cell;
use domain::delta::Deltas;
use domain::fold::{series::SERIES, views::VIEWS};
use domain::stamp::Stamp;
use domain::tables::series::{AGENT_RATE, FIELD_COHERENCE, REGION_RATE};
use domain::tables::views::CONTACT;
use domain::window::{DAY_US, HOUR_US, MINUTE_US};
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

/// Interactions of a region and an agent in a minute, with an impact of one each.
fn rate(deltas: &mut Deltas, region: &str, minute: i64, agent: &str, times: i64) {
    let at = minute * MINUTE_US;
    let impact = times * 1_000_000;
    let mut row = deltas.row(&AGENT_RATE, |key| {
        key.text("t").text(region).int(at).text(agent);
    });
    row.add("interactions", times).add("field_impact_sum", impact);
    let mut row = deltas.row(&REGION_RATE[0], |key| {
        key.text("t").text(region).int(at);
    });
    row.add("interactions", times).add("field_impact_sum", impact);
}

/// Hours and days of agents are what their minutes add up to: of partitions whose windows meet, of late events, of windows
/// before 1970. The rows stay, of tenant `t`.
pub fn hours_and_days_of_agents_are_what_their_minutes_add_up_to(store: &mut impl Asked) {
    // Two partitions, each with agents of its own; the second has a late event for an hour that the first wrote, too.
    let parts = [
        [("north", 59, "a", 1), ("north", 60, "a", 2), ("south", 60, "a", 4), ("north", -1, "a", 8)],
        [("north", 0, "b", 16), ("north", 1_439, "b", 32), ("north", 1_440, "b", 64), ("", 61, "b", 128)],
    ];
    for (part, events) in parts.into_iter().enumerate() {
        let mut deltas = Deltas::new(SERIES.tables);
        deltas.set_scope(TopicPartition::new(Topic::SacredMessages, part as u32));
        for (region, minute, agent, times) in events {
            rate(&mut deltas, region, minute, agent, times);
        }
        deltas.roll_up();
        store.put(&SERIES, &deltas);
    }
    check_hours_and_days(store);
}

/// What [`hours_and_days_of_agents_are_what_their_minutes_add_up_to`] left is seen.
pub fn check_hours_and_days(store: &impl Asked) {
    let ask = |series: &str, size_us: i64| {
        store.ask(&format!(
            "SELECT region_id || '.', window_start / {size_us}, agent_id, interactions, field_impact_sum
             FROM {series} WHERE tenant = 't' ORDER BY region_id, window_start, agent_id"
        ))
    };
    let hours = [
        ". 1 b 128 128",
        "north. -1 a 8 8",
        "north. 0 a 1 1",
        "north. 0 b 16 16",
        "north. 1 a 2 2",
        "north. 23 b 32 32",
        "north. 24 b 64 64",
        "south. 1 a 4 4",
    ];
    assert_eq!(ask("interaction_rate_agent_1h", HOUR_US), hours);
    let days = [
        ". 0 b 128 128",
        "north. -1 a 8 8",
        "north. 0 a 3 3",
        "north. 0 b 48 48",
        "north. 1 b 64 64",
        "south. 0 a 4 4",
    ];
    assert_eq!(ask("interaction_rate_agent_1d", DAY_US), days);
}

/// How one agent of one region over a span of time is asked for by hour: what must not read other windows.
pub const AGENT_HOURS: &str = "SELECT interactions FROM interaction_rate_agent_1h
    WHERE tenant = 't' AND region_id = 'north' AND window_start >= 0 AND window_start < 7200000000 AND agent_id = 'a'";
