//! The records: what happened, one row per event (two for an interaction), as ingest writes them.

use super::{AGENT, SPORE, TENANT, int_key, text_key, time_key, uuid_key};
use crate::table::{Column, Merge::Once, Table, Type};
use crate::topic::Topic;

/// The columns of a spore, in records and in the view.
pub const SPORE_COLUMNS: [Column; 23] = [
    Column::new("origin_agent", Type::Text, Once, "The agent that made it."),
    Column::new("created_at", Type::TimeUs, Once, "When it was made (valid time).").unit("us"),
    Column::new("region_id", Type::Text, Once, "The region where it was made."),
    Column::new("spore_type", Type::Text, Once, "What it is: whisper, observation, reflection, plan, insight, ..."),
    Column::new("content", Type::Text, Once, "The text; null where it is sealed.").personal(),
    Column::new("content_sealed", Type::Bytes, Once, "The sealed text; null where it is plain.").personal(),
    Column::new("content_hash", Type::Text, Once, "The hash of the text."),
    Column::new("signature", Type::Text, Once, "The hash of the normalised text: equal for what says the same."),
    Column::new("resonance_score", Type::Double, Once, "How strongly it resonates.").unit("0..1"),
    Column::new("importance", Type::Double, Once, "How important its maker held it.").unit("0..10"),
    Column::new("emotional_relevance", Type::Double, Once, "How much feeling it carries."),
    Column::new("emotional_context", Type::Text, Once, "The feeling it was made in.").personal(),
    Column::new("tier", Type::Text, Once, "The memory tier at creation."),
    Column::new("tags", Type::Json, Once, "Tags, a JSON array."),
    Column::new("related_agents", Type::Json, Once, "Agents it speaks of, a JSON array."),
    Column::new("derived_from", Type::Json, Once, "Spores it was made from, a JSON array."),
    Column::new("loop_id", Type::Text, Once, "The loop it belongs to."),
    Column::new("location_h3", Type::Text, Once, "The H3 cell where it was made.").personal(),
    Column::new("retention_until", Type::TimeUs, Once, "Until when it is to be kept.").unit("us"),
    Column::new("embedding_model", Type::Text, Once, "The model of the embedding."),
    Column::new("embedding", Type::Bytes, Once, "The embedding.").unit("f32 little-endian").personal(),
    Column::new("metadata", Type::Json, Once, "Further pairs, a JSON object.").personal(),
    Column::new("love_resonance", Type::Int, Once, "The writer's resonance.").unit("0..100"),
];

/// Every spore.
pub static SPORES: Table = Table {
    name: "spores",
    ix: 0,
    topics: &[Topic::SporeCreated],
    partial: false,
    key: &[TENANT, SPORE],
    columns: &SPORE_COLUMNS,
    rollup: None,
    doc: "Every spore, as it was created.",
};

/// The number of shards of a day in `spores_by_day`.
pub const DAY_SHARDS: i64 = 16;

/// Spores by day, newest first.
pub static SPORES_BY_DAY: Table = Table {
    name: "spores_by_day",
    ix: 1,
    topics: &[Topic::SporeCreated],
    partial: false,
    key: &[
        TENANT,
        time_key("day", "The UTC day."),
        int_key("shard", "A number from 0 to 15, from the spore's id, that spreads a day."),
        time_key("created_at", "When it was made (valid time)."),
        SPORE,
    ],
    columns: &[
        Column::new("origin_agent", Type::Text, Once, "The agent that made it."),
        Column::new("spore_type", Type::Text, Once, "What it is."),
        Column::new("region_id", Type::Text, Once, "The region where it was made."),
        Column::new("resonance_score", Type::Double, Once, "How strongly it resonates.").unit("0..1"),
    ],
    rollup: None,
    doc: "Spores by the day they were made.",
};

/// The way of every spore.
pub static SPORE_PATH: Table = Table {
    name: "spore_path",
    ix: 2,
    topics: &[Topic::SporePropagated],
    partial: false,
    key: &[
        TENANT,
        SPORE,
        int_key("hop", "The number of hops from its origin."),
        text_key("to_agent", "The agent that received it."),
        uuid_key("event_id", "The propagation."),
    ],
    columns: &[
        Column::new("from_agent", Type::Text, Once, "The agent that passed it on."),
        Column::new("propagated_at", Type::TimeUs, Once, "When it was passed on (valid time).").unit("us"),
        Column::new("region_id", Type::Text, Once, "The region where it was passed on."),
        Column::new("resonance", Type::Double, Once, "How strongly it resonated on arrival."),
        Column::new("channel", Type::Text, Once, "The way it was passed on."),
    ],
    rollup: None,
    doc: "The way of every spore from agent to agent.",
};

/// Every interaction, seen from both ends.
pub static INTERACTIONS: Table = Table {
    name: "interactions",
    ix: 3,
    topics: &[Topic::SacredMessages],
    partial: false,
    key: &[
        TENANT,
        AGENT,
        time_key("month", "The first moment of the UTC month."),
        time_key("interaction_time", "When it happened (valid time)."),
        text_key("peer_id", "The agent at the other end."),
        uuid_key("interaction_id", "The interaction."),
    ],
    columns: &[
        Column::new("direction", Type::Text, Once, "'out' where agent_id acted, 'in' where it was acted upon."),
        Column::new("interaction_type", Type::Text, Once, "What kind of interaction it was."),
        Column::new("spore_id", Type::Uuid, Once, "The spore that it carried."),
        Column::new("loop_id", Type::Text, Once, "The loop it belongs to."),
        Column::new("message", Type::Text, Once, "What was said; null where it is sealed.").personal(),
        Column::new("message_sealed", Type::Bytes, Once, "What was said, sealed.").personal(),
        Column::new("response", Type::Text, Once, "What was answered; null where it is sealed.").personal(),
        Column::new("response_sealed", Type::Bytes, Once, "What was answered, sealed.").personal(),
        Column::new("context", Type::Json, Once, "Further pairs, a JSON object.").personal(),
        Column::new("emotional_tone", Type::Text, Once, "Its tone.").personal(),
        Column::new("field_impact", Type::Double, Once, "What it did to the field."),
        Column::new("affection_delta", Type::Double, Once, "What it did to affection.").unit("-100..100"),
        Column::new("trust_delta", Type::Double, Once, "What it did to trust.").unit("-100..100"),
        Column::new("relationship_type", Type::Text, Once, "What the two are to each other."),
        Column::new("region_id", Type::Text, Once, "The region where it happened."),
        Column::new("duration_ms", Type::Int, Once, "How long it took.").unit("ms"),
        Column::new("love_resonance", Type::Int, Once, "The writer's resonance.").unit("0..100"),
    ],
    rollup: None,
    doc: "Every interaction, one row for each of its two ends.",
};
