//! The views: spores, who received them, contact, agents, their history and presence.

use super::cells::{json, json_list, json_pairs, seal, text};
use super::records::spore_columns;
use super::stamp;
use crate::cell::Cell;
use crate::delta::{Deltas, RowMut};
use crate::event::{
    AgentHeartbeat, AgentProfiled, AgentStateChanged, Contributed, Event, EventKind, InteractionRecorded, Meta,
    SporeCreated, SporePropagated, Text, derived_id,
};
use crate::fixed::{BOND_DELTA, IMPACT, MONEY, SHARE};
use crate::projection::{Emit, Folded, Origin, Projection};
use crate::stamp::Stamp;
use crate::tables::views::{
    AGENT_HISTORY, AGENT_PRESENCE, AGENT_VIEW, CONTACT, CONTACT_DAY, MINUTE_MAP_BYTES, RECEIVED, SPORE_VIEW,
};
use crate::topic::Topic;
use crate::window;

/// The views, written by the projector.
pub static VIEWS: Projection = Projection {
    name: "views",
    version: 1,
    topics: &[
        Topic::AgentPresence,
        Topic::SporeCreated,
        Topic::SporePropagated,
        Topic::FieldCoherence,
        Topic::SacredMessages,
        Topic::WisdomInsights,
        Topic::AgentState,
        Topic::MemoryLifecycle,
        Topic::LoopLifecycle,
        Topic::CoalitionLifecycle,
        Topic::PolicyAudit,
    ],
    tables: &[&SPORE_VIEW, &RECEIVED, &CONTACT, &AGENT_VIEW, &AGENT_HISTORY, &AGENT_PRESENCE, &CONTACT_DAY],
    fold,
    derive: Some(derive),
};

fn fold(event: &Event<'_>, rows: &mut Deltas) -> Folded {
    match event {
        Event::SporeCreated(spore) => {
            let mut row = rows.row(&SPORE_VIEW, |key| {
                key.text(spore.meta.tenant_id).uuid(spore.spore_id);
            });
            spore_columns(&mut row, spore);
        }
        Event::SporePropagated(hop) => received(hop, rows),
        Event::InteractionRecorded(interaction) => {
            contact(interaction, rows);
            contact_day(interaction, rows);
        }
        Event::AgentProfiled(profile) => profiled(profile, rows),
        Event::AgentStateChanged(change) => {
            state_changed(change, rows);
            history(change, rows);
        }
        Event::AgentHeartbeat(heartbeat) => presence(heartbeat, rows),
        _ => return Folded::Ignored,
    }
    Folded::Applied
}

fn received(hop: &SporePropagated<'_>, rows: &mut Deltas) {
    rows.row(&RECEIVED, |key| {
        key.text(hop.meta.tenant_id).uuid(hop.spore_id).text(hop.to_agent);
    })
    .add("times", 1)
    .merge("first_at", Cell::Int(hop.meta.occurred_at))
    .merge("last_at", Cell::Int(hop.meta.occurred_at))
    .merge("hop", Cell::Int(hop.hop.into()))
    .merge("resonance", Cell::Int(SHARE.units(hop.resonance)));
}

fn contact(event: &InteractionRecorded<'_>, rows: &mut Deltas) {
    let mut row = rows.row(&CONTACT, |key| {
        key.text(event.meta.tenant_id).text(event.agent_id).text(event.peer_id);
    });
    row.add("interactions", 1)
        .add("affection_sum", BOND_DELTA.units(event.affection_delta))
        .add("trust_sum", BOND_DELTA.units(event.trust_delta))
        .add("field_impact_sum", IMPACT.units(event.field_impact));
    if event.relationship_type.is_some() {
        row.latest("relationship_type", Cell::text(event.relationship_type), &stamp(&event.meta));
    }
    row.merge("first_at", Cell::Int(event.meta.occurred_at)).merge("last_at", Cell::Int(event.meta.occurred_at));
}

fn contact_day(event: &InteractionRecorded<'_>, rows: &mut Deltas) {
    let day = window::start(event.meta.occurred_at, window::DAY_US);
    let mut row = rows.row(&CONTACT_DAY, |key| {
        key.text(event.meta.tenant_id).text(event.agent_id).text(event.peer_id).int(day);
    });
    mark_minute(&mut row, event.meta.occurred_at);
    row.add("interactions", 1);
}

/// Writes registers: null means unchanged, unless the field is named as cleared.
struct Registers<'r, 'e> {
    row: RowMut<'r>,
    stamp: Stamp,
    cleared: &'e [&'e str],
}

impl Registers<'_, '_> {
    fn set(&mut self, name: &'static str, value: Cell) -> &mut Self {
        if !value.is_null() || self.cleared.contains(&name) {
            self.row.latest(name, value, &self.stamp);
        }
        self
    }

    /// A text field: its plain and its sealed column change together.
    fn set_text(&mut self, names: [&'static str; 2], value: Option<&Text<'_>>) -> &mut Self {
        if value.is_some() || self.cleared.contains(&names[0]) {
            let (plain, sealed) = text(value);
            self.row.latest(names[0], plain, &self.stamp).latest(names[1], sealed, &self.stamp);
        }
        self
    }
}

fn agent_row<'r>(meta: &Meta<'_>, agent_id: &str, rows: &'r mut Deltas) -> RowMut<'r> {
    let mut row = rows.row(&AGENT_VIEW, |key| {
        key.text(meta.tenant_id).text(agent_id);
    });
    row.add("changes", 1).merge("first_at", Cell::Int(meta.occurred_at)).merge("last_at", Cell::Int(meta.occurred_at));
    row
}

fn profiled(event: &AgentProfiled<'_>, rows: &mut Deltas) {
    let row = agent_row(&event.meta, event.agent_id, rows);
    let mut registers = Registers { row, stamp: stamp(&event.meta), cleared: &event.cleared };
    registers
        .set("kind", Cell::Text(event.kind.to_owned()))
        .set("name", Cell::text(event.name))
        .set("owner_id", Cell::text(event.owner_id))
        .set("archetype", Cell::text(event.archetype))
        .set("harmony", Cell::text(event.harmony))
        .set("sacred_name", Cell::text(event.sacred_name))
        .set("sacred_role", Cell::text(event.sacred_role))
        .set("constitution", Cell::text(event.constitution))
        .set_text(["background", "background_sealed"], event.background.as_ref())
        .set("personality", json_pairs(&event.personality))
        .set("likes", json_list(&event.likes))
        .set("dislikes", json_list(&event.dislikes))
        .set("goals", Cell::text(event.goals))
        .set("public_key", Cell::text(event.public_key))
        .set("primary_region", Cell::text(event.primary_region))
        .set("backup_regions", json_list(&event.backup_regions))
        .set("capabilities", json_pairs(&event.capabilities))
        .set("subscription_tier", Cell::text(event.subscription_tier));
    if let Some(sealed) = &event.private {
        registers.set("private_sealed", Cell::Bytes(seal(sealed)));
    } else if event.cleared.contains(&"private") {
        registers.row.latest("private_sealed", Cell::Null, &registers.stamp);
    }
}

fn state_changed(event: &AgentStateChanged<'_>, rows: &mut Deltas) {
    let row = agent_row(&event.meta, event.agent_id, rows);
    let mut registers = Registers { row, stamp: stamp(&event.meta), cleared: &event.cleared };
    registers
        .set("tone", Cell::text(event.tone.as_ref().map(|tone| tone.to)))
        .set("mood", Cell::text(event.mood))
        .set("energy", Cell::double(event.energy))
        .set("location_h3", Cell::text(event.location_h3))
        .set("position", event.position.as_ref().map_or(Cell::Null, json))
        .set("action", event.action.as_ref().map_or(Cell::Null, json))
        .set("emotional_state", Cell::text(event.emotional_state))
        .set("physical_state", Cell::text(event.physical_state))
        .set("cognitive_load", Cell::double(event.cognitive_load))
        .set("consciousness_score", Cell::double(event.consciousness_score))
        .set("status", Cell::text(event.status));
    if let Some(delta) = event.credits_delta {
        registers.row.add("credits_sum", MONEY.units(delta));
    }
}

fn history(event: &AgentStateChanged<'_>, rows: &mut Deltas) {
    let mut row = rows.row(&AGENT_HISTORY, |key| {
        key.text(event.meta.tenant_id).text(event.agent_id).int(event.meta.occurred_at).uuid(event.meta.event_id);
    });
    row.merge("event", Cell::Text("AgentStateChanged".to_owned()));
    if let Some(tone) = &event.tone {
        let (trigger, trigger_sealed) = text(tone.trigger_content.as_ref());
        row.merge("tone_from", Cell::Text(tone.from.to_owned()))
            .merge("tone_to", Cell::Text(tone.to.to_owned()))
            .merge("tone_magnitude", Cell::Double(tone.magnitude))
            .merge("trigger_type", Cell::text(tone.trigger_type))
            .merge("trigger_content", trigger)
            .merge("trigger_content_sealed", trigger_sealed);
    }
    row.merge("mood", Cell::text(event.mood))
        .merge("energy", Cell::double(event.energy))
        .merge("location_h3", Cell::text(event.location_h3))
        .merge("action", event.action.as_ref().map_or(Cell::Null, json))
        .merge("emotional_state", Cell::text(event.emotional_state))
        .merge("physical_state", Cell::text(event.physical_state))
        .merge("cognitive_load", Cell::double(event.cognitive_load))
        .merge("consciousness_score", Cell::double(event.consciousness_score))
        .merge("status", Cell::text(event.status))
        .merge("credits_delta", Cell::double(event.credits_delta));
}

/// Sets the bit of a time's minute in the row's map of the day.
fn mark_minute(row: &mut RowMut<'_>, time_us: i64) {
    let cell = row.in_place("minutes");
    if cell.is_null() {
        *cell = Cell::Bytes(vec![0; MINUTE_MAP_BYTES]);
    }
    if let Cell::Bytes(map) = cell {
        let minute = window::minute_of_day(time_us);
        map[minute / 8] |= 0x80 >> (minute % 8);
    }
}

fn presence(event: &AgentHeartbeat<'_>, rows: &mut Deltas) {
    let occurred_at = event.meta.occurred_at;
    let mut row = rows.row(&AGENT_PRESENCE, |key| {
        key.text(event.meta.tenant_id).text(event.agent_id).int(window::start(occurred_at, window::DAY_US));
    });
    mark_minute(&mut row, occurred_at);
    row.add("heartbeats", 1).merge("last_seen", Cell::Int(occurred_at));
    row.latest("region_id", Cell::Text(event.region_id.to_owned()), &stamp(&event.meta));
}

/// The bytes of a spore's text that a contribution carries at most.
const CONTRIBUTION_BYTES: usize = 4_096;

/// A spore is a contribution to whatever says the same: one event, under the signature's key.
fn derive(event: &Event<'_>, origin: Origin<'_>, emit: &mut Emit<'_>) {
    let Event::SporeCreated(spore) = event else { return };
    let content = match &spore.content {
        Text::Plain(plain) => Text::Plain(cut(plain, CONTRIBUTION_BYTES)),
        Text::Sealed(sealed) => Text::Sealed(*sealed),
    };
    let Some(slot) = EventKind::Contributed.derived_slot() else { return };
    emit(&Event::Contributed(contribution(spore, content, origin, slot)));
}

fn contribution<'a>(spore: &SporeCreated<'a>, content: Text<'a>, origin: Origin<'a>, slot: i64) -> Contributed<'a> {
    Contributed {
        meta: Meta {
            event_id: derived_id(spore.meta.tenant_id, "Contributed", &spore.meta.event_id.to_string()),
            producer_id: origin.producer_id,
            producer_seq: Some(origin.seq(slot)),
            base_version: None,
            causation_id: Some(spore.meta.event_id),
            ..spore.meta.clone()
        },
        signature: spore.signature,
        spore_id: spore.spore_id,
        agent_id: spore.origin_agent,
        region_id: spore.region_id,
        resonance: spore.resonance_score,
        created_at: spore.meta.occurred_at,
        content,
    }
}

/// The longest prefix of at most `max` bytes that ends between characters.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}
