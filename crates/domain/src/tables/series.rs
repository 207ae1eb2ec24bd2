//! The series: windowed aggregates over event time.

use super::{AGENT, REGION, TENANT, WINDOW};
use crate::fixed::{COUNT, IMPACT, PERCENT};
use crate::table::Merge::{CountOf, Max, State, Sum};
use crate::table::{Column, KeyColumn, Rollup, StateKind, Table, Type};
use crate::topic::Topic;
use crate::window::{DAY_US, HOUR_US};

const COHERENCE_COLUMNS: [Column; 6] = [
    Column::new("heartbeats", Type::Int, Sum, "How many heartbeats were heard.").quantity(COUNT),
    Column::new("reports", Type::Int, Sum, "How many of them reported a coherence level.").quantity(COUNT),
    Column::new("coherence_sum", Type::Fixed, Sum, "The sum of the levels reported.")
        .quantity(PERCENT)
        .unit("millionths of 0..100"),
    Column::new("coherence_peak", Type::Fixed, Max, "The largest level reported.")
        .quantity(PERCENT)
        .unit("millionths of 0..100"),
    Column::new("agents_state", Type::Bytes, State(StateKind::Distinct), "The set of agents heard."),
    Column::new("agents", Type::Int, CountOf("agents_state"), "How many agents were heard; exact to 4,096 per part."),
];

const RATE_COLUMNS: [Column; 2] = [
    Column::new("interactions", Type::Int, Sum, "How many interactions there were.").quantity(COUNT),
    Column::new("field_impact_sum", Type::Fixed, Sum, "The sum of field impact.").quantity(IMPACT).unit("millionths"),
];

const REGION_KEY: &[KeyColumn] = &[TENANT, REGION, WINDOW];
const AGENT_KEY: &[KeyColumn] = &[TENANT, REGION, WINDOW, AGENT];

const fn coherence(name: &'static str, ix: usize, rollup: Option<Rollup>, doc: &'static str) -> Table {
    let topics = &[Topic::AgentPresence];
    Table { name, ix, topics, partial: true, key: REGION_KEY, columns: &COHERENCE_COLUMNS, rollup, doc }
}

const fn region_rate(name: &'static str, ix: usize, rollup: Option<Rollup>, doc: &'static str) -> Table {
    let topics = &[Topic::SacredMessages];
    Table { name, ix, topics, partial: true, key: REGION_KEY, columns: &RATE_COLUMNS, rollup, doc }
}

const fn hourly(into: usize) -> Option<Rollup> {
    Some(Rollup { into, size_us: HOUR_US })
}

const fn daily(into: usize) -> Option<Rollup> {
    Some(Rollup { into, size_us: DAY_US })
}

/// Field coherence by minute, hour and day.
pub static FIELD_COHERENCE: [Table; 3] = [
    coherence("field_coherence_1m", 0, hourly(1), "How each region resonates, by minute."),
    coherence("field_coherence_1h", 1, daily(2), "How each region resonates, by hour."),
    coherence("field_coherence_1d", 2, None, "How each region resonates, by day."),
];

/// Interactions of each agent by minute. Hours and days are summed at read: an agent's rows of a batch hardly ever meet
/// in a larger window, so that storing those too would cost three rows an event instead of one.
pub static AGENT_RATE: Table = Table {
    name: "interaction_rate_agent_1m",
    ix: 3,
    topics: &[Topic::SacredMessages],
    partial: false,
    key: AGENT_KEY,
    columns: &RATE_COLUMNS,
    rollup: None,
    doc: "Interactions that each agent began, by minute.",
};

/// Interactions in each region by minute, hour and day.
pub static REGION_RATE: [Table; 3] = [
    region_rate("interaction_rate_region_1m", 4, hourly(5), "Interactions in each region, by minute."),
    region_rate("interaction_rate_region_1h", 5, daily(6), "Interactions in each region, by hour."),
    region_rate("interaction_rate_region_1d", 6, None, "Interactions in each region, by day."),
];

/// Spores created and propagated in each region by minute.
pub static SPORE_VELOCITY: Table = Table {
    name: "spore_velocity_1m",
    ix: 7,
    topics: &[Topic::SporeCreated, Topic::SporePropagated],
    partial: true,
    key: REGION_KEY,
    columns: &[
        Column::new("created", Type::Int, Sum, "How many spores were created.").quantity(COUNT),
        Column::new("propagated", Type::Int, Sum, "How many times a spore was passed on.").quantity(COUNT),
    ],
    rollup: None,
    doc: "How fast spores are made and passed on in each region, by minute.",
};
