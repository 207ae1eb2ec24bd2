//! The records: one row per event, two for an interaction.

use super::cells::{floats, json, json_list, json_pairs, text};
use crate::cell::{Cell, KeyWriter};
use crate::delta::{Deltas, RowMut};
use crate::event::{Event, InteractionRecorded, SporeCreated, SporePropagated};
use crate::projection::{Folded, Projection};
use crate::tables::records::{DAY_SHARDS, INTERACTIONS, SPORE_PATH, SPORES, SPORES_BY_DAY};
use crate::topic::Topic;
use crate::window;

/// The records, written by ingest.
pub static RECORDS: Projection = Projection {
    name: "records",
    version: 1,
    topics: &[Topic::SporeCreated, Topic::SporePropagated, Topic::SacredMessages],
    tables: &[&SPORES, &SPORES_BY_DAY, &SPORE_PATH, &INTERACTIONS],
    fold,
    derive: None,
};

fn fold(event: &Event<'_>, rows: &mut Deltas) -> Folded {
    match event {
        Event::SporeCreated(spore) => {
            spore_created(spore, rows);
            spore_by_day(spore, rows);
        }
        Event::SporePropagated(hop) => spore_propagated(hop, rows),
        Event::InteractionRecorded(interaction) => {
            let (from, to) = (interaction.agent_id, interaction.peer_id);
            interaction_end(interaction, (from, to), "out", rows);
            interaction_end(interaction, (to, from), "in", rows);
        }
        _ => return Folded::Ignored,
    }
    Folded::Applied
}

/// Writes the columns of a spore: records and the view have the same.
pub(super) fn spore_columns(row: &mut RowMut<'_>, spore: &SporeCreated<'_>) {
    let (content, sealed) = text(Some(&spore.content));
    row.merge("origin_agent", Cell::Text(spore.origin_agent.to_owned()))
        .merge("created_at", Cell::Int(spore.meta.occurred_at))
        .merge("region_id", Cell::text(spore.region_id))
        .merge("spore_type", Cell::Text(spore.spore_type.to_owned()))
        .merge("content", content)
        .merge("content_sealed", sealed)
        .merge("content_hash", Cell::Text(spore.content_hash.to_owned()))
        .merge("signature", Cell::Text(spore.signature.to_owned()))
        .merge("resonance_score", Cell::Double(spore.resonance_score))
        .merge("importance", Cell::double(spore.importance))
        .merge("emotional_relevance", Cell::double(spore.emotional_relevance))
        .merge("emotional_context", Cell::text(spore.emotional_context))
        .merge("tier", Cell::Text(spore.tier.to_owned()))
        .merge("tags", json(&spore.tags))
        .merge("related_agents", json(&spore.related_agents))
        .merge("derived_from", json_list(&spore.derived_from))
        .merge("loop_id", Cell::text(spore.loop_id))
        .merge("location_h3", Cell::text(spore.location_h3))
        .merge("retention_until", Cell::int(spore.retention_until));
    if let Some(embedding) = &spore.embedding {
        row.merge("embedding_model", Cell::Text(embedding.model.to_owned()))
            .merge("embedding", floats(&embedding.vector));
    }
    row.merge("metadata", json_pairs(&spore.metadata))
        .merge("love_resonance", Cell::Int(spore.meta.love_resonance.into()));
}

fn spore_created(spore: &SporeCreated<'_>, rows: &mut Deltas) {
    let mut row = rows.row(&SPORES, |key: &mut KeyWriter<'_>| {
        key.text(spore.meta.tenant_id).uuid(spore.spore_id);
    });
    spore_columns(&mut row, spore);
}

fn spore_by_day(spore: &SporeCreated<'_>, rows: &mut Deltas) {
    let created_at = spore.meta.occurred_at;
    let shard = (spore.spore_id.as_u128() % DAY_SHARDS as u128) as i64;
    let mut row = rows.row(&SPORES_BY_DAY, |key| {
        key.text(spore.meta.tenant_id).int(window::start(created_at, window::DAY_US));
        key.int(shard).int(created_at).uuid(spore.spore_id);
    });
    row.merge("origin_agent", Cell::Text(spore.origin_agent.to_owned()))
        .merge("spore_type", Cell::Text(spore.spore_type.to_owned()))
        .merge("region_id", Cell::text(spore.region_id))
        .merge("resonance_score", Cell::Double(spore.resonance_score));
}

fn spore_propagated(hop: &SporePropagated<'_>, rows: &mut Deltas) {
    let mut row = rows.row(&SPORE_PATH, |key| {
        key.text(hop.meta.tenant_id).uuid(hop.spore_id).int(hop.hop.into());
        key.text(hop.to_agent).uuid(hop.meta.event_id);
    });
    row.merge("from_agent", Cell::Text(hop.from_agent.to_owned()))
        .merge("propagated_at", Cell::Int(hop.meta.occurred_at))
        .merge("region_id", Cell::text(hop.region_id))
        .merge("resonance", Cell::Double(hop.resonance))
        .merge("channel", Cell::text(hop.channel));
}

fn interaction_end(event: &InteractionRecorded<'_>, (agent, peer): (&str, &str), direction: &str, rows: &mut Deltas) {
    let occurred_at = event.meta.occurred_at;
    let mut row = rows.row(&INTERACTIONS, |key| {
        key.text(event.meta.tenant_id).text(agent).int(window::month_start(occurred_at));
        key.int(occurred_at).text(peer).uuid(event.interaction_id);
    });
    let (message, message_sealed) = text(event.message.as_ref());
    let (response, response_sealed) = text(event.response.as_ref());
    row.merge("direction", Cell::Text(direction.to_owned()))
        .merge("interaction_type", Cell::Text(event.interaction_type.to_owned()))
        .merge("spore_id", event.spore_id.map_or(Cell::Null, Cell::Uuid))
        .merge("loop_id", Cell::text(event.loop_id))
        .merge("message", message)
        .merge("message_sealed", message_sealed)
        .merge("response", response)
        .merge("response_sealed", response_sealed)
        .merge("context", json_pairs(&event.context))
        .merge("emotional_tone", Cell::text(event.emotional_tone))
        .merge("field_impact", Cell::Double(event.field_impact))
        .merge("affection_delta", Cell::Double(event.affection_delta))
        .merge("trust_delta", Cell::Double(event.trust_delta))
        .merge("relationship_type", Cell::text(event.relationship_type))
        .merge("region_id", Cell::text(event.region_id))
        .merge("duration_ms", Cell::int(event.duration_ms))
        .merge("love_resonance", Cell::Int(event.meta.love_resonance.into()));
}
