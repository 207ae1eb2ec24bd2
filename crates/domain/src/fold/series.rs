//! The series: windows over event time. Nothing is dropped for being late.

use crate::delta::Deltas;
use crate::distinct;
use crate::event::{AgentHeartbeat, Event, InteractionRecorded, Meta};
use crate::fixed::{IMPACT, PERCENT};
use crate::projection::{Folded, Projection};
use crate::tables::series::{AGENT_RATE, FIELD_COHERENCE, REGION_RATE, SPORE_VELOCITY};
use crate::topic::Topic;
use crate::{cell::Cell, window};

/// The series, written by the aggregator.
pub static SERIES: Projection = Projection {
    name: "series",
    version: 1,
    topics: &[Topic::AgentPresence, Topic::SporeCreated, Topic::SporePropagated, Topic::SacredMessages],
    tables: &[
        &FIELD_COHERENCE[0],
        &FIELD_COHERENCE[1],
        &FIELD_COHERENCE[2],
        &AGENT_RATE,
        &REGION_RATE[0],
        &REGION_RATE[1],
        &REGION_RATE[2],
        &SPORE_VELOCITY,
    ],
    fold,
    derive: None,
};

// Windows are folded by the minute alone: hours and days are what their minutes add up to.

fn fold(event: &Event<'_>, rows: &mut Deltas) -> Folded {
    match event {
        Event::AgentHeartbeat(heartbeat) => field_coherence(heartbeat, rows),
        Event::InteractionRecorded(interaction) => interaction_rate(interaction, rows),
        Event::SporeCreated(spore) => velocity(&spore.meta, spore.region_id, "created", rows),
        Event::SporePropagated(hop) => velocity(&hop.meta, hop.region_id, "propagated", rows),
        _ => return Folded::Ignored,
    }
    Folded::Applied
}

fn field_coherence(heartbeat: &AgentHeartbeat<'_>, rows: &mut Deltas) {
    let level = heartbeat.coherence_level.map(|level| PERCENT.units(level));
    let start = window::start(heartbeat.meta.occurred_at, window::MINUTE_US);
    let mut row = rows.row(&FIELD_COHERENCE[0], |key| {
        key.text(heartbeat.meta.tenant_id).text(heartbeat.region_id).int(start);
    });
    row.add("heartbeats", 1).add("reports", i64::from(level.is_some()));
    row.add("coherence_sum", level.unwrap_or(0)).merge("coherence_peak", Cell::int(level));
    let state = row.in_place("agents_state");
    if state.is_null() {
        *state = Cell::Bytes(Vec::new());
    }
    if let Cell::Bytes(set) = state {
        distinct::insert(set, distinct::hash(heartbeat.agent_id.as_bytes()));
    }
}

fn interaction_rate(event: &InteractionRecorded<'_>, rows: &mut Deltas) {
    let region = event.region_id.unwrap_or_default();
    let impact = IMPACT.units(event.field_impact);
    let start = window::start(event.meta.occurred_at, window::MINUTE_US);
    rows.row(&AGENT_RATE, |key| {
        key.text(event.meta.tenant_id).text(region).int(start).text(event.agent_id);
    })
    .add("interactions", 1)
    .add("field_impact_sum", impact);
    rows.row(&REGION_RATE[0], |key| {
        key.text(event.meta.tenant_id).text(region).int(start);
    })
    .add("interactions", 1)
    .add("field_impact_sum", impact);
}

fn velocity(meta: &Meta<'_>, region: Option<&str>, column: &'static str, rows: &mut Deltas) {
    let start = window::start(meta.occurred_at, window::MINUTE_US);
    rows.row(&SPORE_VELOCITY, |key| {
        key.text(meta.tenant_id).text(region.unwrap_or_default()).int(start);
    })
    .add(column, 1);
}
