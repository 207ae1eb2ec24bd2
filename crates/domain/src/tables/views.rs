//! The views: what is, folded from what happened.

use super::records::SPORE_COLUMNS;
use super::{AGENT, SPORE, TENANT, text_key, time_key, uuid_key};
use crate::fixed::{BOND_DELTA, COUNT, IMPACT, MONEY, SHARE};
use crate::table::Merge::{Latest, Max, Min, Once, Or, Sum};
use crate::table::{Column, Table, Type};
use crate::topic::Topic;

/// Every spore.
pub static SPORE_VIEW: Table = Table {
    name: "spore",
    ix: 0,
    topics: &[Topic::SporeCreated],
    partial: false,
    key: &[TENANT, SPORE],
    columns: &SPORE_COLUMNS,
    rollup: None,
    doc: "Every spore, for analysts.",
};

/// Who received which spore.
pub static RECEIVED: Table = Table {
    name: "received",
    ix: 1,
    topics: &[Topic::SporePropagated],
    partial: false,
    key: &[TENANT, SPORE, text_key("to_agent", "The agent that received it.")],
    columns: &[
        Column::new("times", Type::Int, Sum, "How often it was received.").quantity(COUNT),
        Column::new("first_at", Type::TimeUs, Min, "When it was first received (valid time).").unit("us"),
        Column::new("last_at", Type::TimeUs, Max, "When it was last received (valid time).").unit("us"),
        Column::new("hop", Type::Int, Min, "The shortest way from its origin.").unit("hops"),
        Column::new("resonance", Type::Fixed, Max, "The strongest resonance on arrival.")
            .quantity(SHARE)
            .unit("millionths"),
    ],
    rollup: None,
    doc: "Which agent received which spore.",
};

/// Directed contact between two agents.
pub static CONTACT: Table = Table {
    name: "contact",
    ix: 2,
    topics: &[Topic::SacredMessages],
    partial: false,
    key: &[TENANT, AGENT, text_key("peer_id", "The agent at the other end.")],
    columns: &[
        Column::new("interactions", Type::Int, Sum, "How often agent_id acted upon peer_id.").quantity(COUNT),
        Column::new("affection_sum", Type::Fixed, Sum, "The sum of affection, not clamped.")
            .quantity(BOND_DELTA)
            .unit("millionths"),
        Column::new("trust_sum", Type::Fixed, Sum, "The sum of trust, not clamped.")
            .quantity(BOND_DELTA)
            .unit("millionths"),
        Column::new("field_impact_sum", Type::Fixed, Sum, "The sum of field impact.")
            .quantity(IMPACT)
            .unit("millionths"),
        Column::new("relationship_type", Type::Text, Latest, "What the two are to each other."),
        Column::new("first_at", Type::TimeUs, Min, "The first interaction (valid time).").unit("us"),
        Column::new("last_at", Type::TimeUs, Max, "The last interaction (valid time).").unit("us"),
    ],
    rollup: None,
    doc: "Directed contact: what agent_id did towards peer_id.",
};

/// Every agent.
pub static AGENT_VIEW: Table = Table {
    name: "agent",
    ix: 3,
    topics: &[Topic::AgentState],
    partial: false,
    key: &[TENANT, AGENT],
    columns: &[
        Column::new("kind", Type::Text, Latest, "AGENT, CHARACTER, USER or SERVICE."),
        Column::new("name", Type::Text, Latest, "Its name.").personal(),
        Column::new("owner_id", Type::Text, Latest, "Who owns it."),
        Column::new("archetype", Type::Text, Latest, "Its archetype."),
        Column::new("harmony", Type::Text, Latest, "Its harmony."),
        Column::new("sacred_name", Type::Text, Latest, "Its sacred name.").personal(),
        Column::new("sacred_role", Type::Text, Latest, "Its sacred role."),
        Column::new("constitution", Type::Text, Latest, "The rules it lives by."),
        Column::new("background", Type::Text, Latest, "Its background; null where it is sealed.").personal(),
        Column::new("background_sealed", Type::Bytes, Latest, "Its background, sealed.").personal(),
        Column::new("personality", Type::Json, Latest, "Its traits, a JSON object.").personal(),
        Column::new("likes", Type::Json, Latest, "What it likes, a JSON array.").personal(),
        Column::new("dislikes", Type::Json, Latest, "What it dislikes, a JSON array.").personal(),
        Column::new("goals", Type::Text, Latest, "What it wants.").personal(),
        Column::new("public_key", Type::Text, Latest, "The key its events are signed with."),
        Column::new("primary_region", Type::Text, Latest, "Its home region."),
        Column::new("backup_regions", Type::Json, Latest, "Where it goes in need, a JSON array."),
        Column::new("capabilities", Type::Json, Latest, "What it can do, a JSON object."),
        Column::new("subscription_tier", Type::Text, Latest, "Its tier."),
        Column::new("private_sealed", Type::Bytes, Latest, "E-mail and user name, sealed.").personal(),
        Column::new("tone", Type::Text, Latest, "Its tone now.").personal(),
        Column::new("mood", Type::Text, Latest, "Its mood now.").personal(),
        Column::new("energy", Type::Double, Latest, "Its energy now.").unit("0..100"),
        Column::new("location_h3", Type::Text, Latest, "The H3 cell it is in.").personal(),
        Column::new("position", Type::Json, Latest, "Where it stands: x, y, direction.").personal(),
        Column::new("action", Type::Json, Latest, "What it does: name, started_at, target."),
        Column::new("emotional_state", Type::Text, Latest, "Its emotional state.").personal(),
        Column::new("physical_state", Type::Text, Latest, "Its physical state.").personal(),
        Column::new("cognitive_load", Type::Double, Latest, "Its cognitive load."),
        Column::new("consciousness_score", Type::Double, Latest, "Its consciousness score."),
        Column::new("status", Type::Text, Latest, "active, inactive or suspended."),
        Column::new("credits_sum", Type::Fixed, Sum, "The sum of its credit changes.")
            .quantity(MONEY)
            .unit("hundredths"),
        Column::new("changes", Type::Int, Sum, "How many events changed it.").quantity(COUNT),
        Column::new("first_at", Type::TimeUs, Min, "The first event about it (valid time).").unit("us"),
        Column::new("last_at", Type::TimeUs, Max, "The last event about it (valid time).").unit("us"),
    ],
    rollup: None,
    doc: "Every agent as it is now.",
};

/// Every change of an agent's state.
pub static AGENT_HISTORY: Table = Table {
    name: "agent_history",
    ix: 4,
    topics: &[Topic::AgentState],
    partial: false,
    key: &[
        TENANT,
        AGENT,
        time_key("occurred_at", "When it changed (valid time)."),
        uuid_key("event_id", "The event that changed it."),
    ],
    columns: &[
        Column::new("event", Type::Text, Once, "The kind of event."),
        Column::new("tone_from", Type::Text, Once, "The tone before.").personal(),
        Column::new("tone_to", Type::Text, Once, "The tone after.").personal(),
        Column::new("tone_magnitude", Type::Double, Once, "How large the shift was."),
        Column::new("trigger_type", Type::Text, Once, "What kind of thing caused the shift."),
        Column::new("trigger_content", Type::Text, Once, "What caused the shift; null where it is sealed.").personal(),
        Column::new("trigger_content_sealed", Type::Bytes, Once, "What caused the shift, sealed.").personal(),
        Column::new("mood", Type::Text, Once, "The mood.").personal(),
        Column::new("energy", Type::Double, Once, "The energy.").unit("0..100"),
        Column::new("location_h3", Type::Text, Once, "The H3 cell.").personal(),
        Column::new("action", Type::Json, Once, "The action: name, started_at, target."),
        Column::new("emotional_state", Type::Text, Once, "The emotional state.").personal(),
        Column::new("physical_state", Type::Text, Once, "The physical state.").personal(),
        Column::new("cognitive_load", Type::Double, Once, "The cognitive load."),
        Column::new("consciousness_score", Type::Double, Once, "The consciousness score."),
        Column::new("status", Type::Text, Once, "The status."),
        Column::new("credits_delta", Type::Double, Once, "The change of credits."),
    ],
    rollup: None,
    doc: "Every change of an agent's state.",
};

/// The length of a day's minute map in bytes: 1,440 bits.
pub const MINUTE_MAP_BYTES: usize = 180;

/// When an agent was heard.
pub static AGENT_PRESENCE: Table = Table {
    name: "agent_presence",
    ix: 5,
    topics: &[Topic::AgentPresence],
    partial: false,
    key: &[TENANT, AGENT, time_key("day", "The UTC day.")],
    columns: &[
        Column::new("minutes", Type::Bits, Or, "A bit per minute of the day in which it was heard.").unit("1,440 bits"),
        Column::new("heartbeats", Type::Int, Sum, "How often it was heard.").quantity(COUNT),
        Column::new("last_seen", Type::TimeUs, Max, "When it was last heard (valid time).").unit("us"),
        Column::new("region_id", Type::Text, Latest, "The region it was heard from."),
    ],
    rollup: None,
    doc: "When each agent was heard, by day.",
};

/// On which minutes of a day two agents were in direct contact.
pub static CONTACT_DAY: Table = Table {
    name: "contact_day",
    ix: 6,
    topics: &[Topic::SacredMessages],
    partial: false,
    key: &[TENANT, AGENT, text_key("peer_id", "The agent at the other end."), time_key("day", "The UTC day.")],
    columns: &[
        Column::new("minutes", Type::Bits, Or, "A bit per minute of the day in which agent_id acted upon peer_id.")
            .unit("1,440 bits"),
        Column::new("interactions", Type::Int, Sum, "How often agent_id acted upon peer_id on that day.")
            .quantity(COUNT),
    ],
    rollup: None,
    doc: "On which minutes of each day two agents were in direct contact.",
};
