//! The rules of each event, in the order of its schema's fields. The bounds stand in the schemas' docs too; those of what
//! is summed are the bounds of [`crate::fixed`], which the declared columns name as well.

use super::rules::{
    cleared, clock, count, finite, id, int, map, number, numbers, opt_decimal, opt_h3, opt_id, opt_int, opt_long,
    opt_number, opt_string, opt_text, opt_time, sealed, string, strings, text, time, word,
};
use super::{Checked, ELEMENTS_MAX, Reason, not_ahead, violation};
use crate::event::{
    AgentHeartbeat, AgentProfiled, AgentStateChanged, BeliefUpdated, Beliefs, Blessed, CoalitionFormed,
    CoalitionMembership, CoalitionReported, Contributed, Embedding, Event, FieldMeasured, Forgotten,
    InteractionRecorded, LoopAdvanced, LoopOpened, MemoryAnnotated, MemoryLinked, MemoryRecalled, MemoryTiered,
    PolicyDecided, SporeCreated, SporePropagated, WisdomCrystallized,
};
use crate::fixed::{BOND_DELTA, FREE_ENERGY, IMPACT, MONEY, PERCENT, SHARE};

/// Largest count in one event.
const COUNT_MAX: i64 = 1_000_000_000_000;
/// Largest depth of a fork or a hop.
const DEPTH_MAX: i64 = 1_000_000;

pub(super) fn check(event: &Event<'_>, append_time_us: i64) -> Checked {
    match event {
        Event::AgentHeartbeat(e) => heartbeat(e),
        Event::AgentProfiled(e) => profiled(e),
        Event::AgentStateChanged(e) => state_changed(e),
        Event::BeliefUpdated(e) => belief_updated(e),
        Event::SporeCreated(e) => spore_created(e),
        Event::SporePropagated(e) => propagated(e),
        Event::InteractionRecorded(e) => interaction(e),
        Event::MemoryAnnotated(e) => annotated(e),
        Event::MemoryTiered(e) => tiered(e),
        Event::MemoryRecalled(e) => recalled(e),
        Event::MemoryLinked(e) => linked(e),
        Event::LoopOpened(e) => loop_opened(e),
        Event::LoopAdvanced(e) => loop_advanced(e),
        Event::Contributed(e) => contributed(e),
        Event::Blessed(e) => blessed(e),
        Event::WisdomCrystallized(e) => crystallized(e),
        Event::CoalitionFormed(e) => formed(e),
        Event::CoalitionMembership(e) => membership(e),
        Event::CoalitionReported(e) => reported(e),
        Event::FieldMeasured(e) => measured(e, append_time_us),
        Event::PolicyDecided(e) => decided(e),
        Event::Forgotten(e) => forgotten(e),
    }
}

fn heartbeat(e: &AgentHeartbeat<'_>) -> Checked {
    id("agent_id", e.agent_id)?;
    id("region_id", e.region_id)?;
    opt_number("coherence_level", e.coherence_level, 0.0, PERCENT.max())?;
    opt_number("love_resonance", e.love_resonance, 0.0, 100.0)?;
    opt_id("status", e.status)?;
    opt_h3("location_h3", e.location_h3)?;
    opt_string("merkle_root", e.merkle_root)?;
    opt_int("stream_len", e.stream_len, 0, i64::MAX)
}

fn profiled(e: &AgentProfiled<'_>) -> Checked {
    id("agent_id", e.agent_id)?;
    id("kind", e.kind)?;
    opt_string("name", e.name)?;
    opt_id("owner_id", e.owner_id)?;
    opt_string("archetype", e.archetype)?;
    opt_string("harmony", e.harmony)?;
    opt_string("sacred_name", e.sacred_name)?;
    opt_string("sacred_role", e.sacred_role)?;
    opt_long("constitution", e.constitution)?;
    opt_text("background", e.background.as_ref())?;
    numbers("personality", &e.personality)?;
    strings("likes", &e.likes)?;
    strings("dislikes", &e.dislikes)?;
    opt_long("goals", e.goals)?;
    opt_string("public_key", e.public_key)?;
    opt_id("primary_region", e.primary_region)?;
    strings("backup_regions", &e.backup_regions)?;
    map("capabilities", &e.capabilities)?;
    opt_string("subscription_tier", e.subscription_tier)?;
    if let Some(private) = &e.private {
        sealed("private", private)?;
    }
    cleared(&e.cleared)
}

fn state_changed(e: &AgentStateChanged<'_>) -> Checked {
    id("agent_id", e.agent_id)?;
    if let Some(tone) = &e.tone {
        id("tone.from", tone.from)?;
        id("tone.to", tone.to)?;
        number("tone.magnitude", tone.magnitude, 0.0, PERCENT.max())?;
        opt_string("tone.trigger_type", tone.trigger_type)?;
        opt_text("tone.trigger_content", tone.trigger_content.as_ref())?;
    }
    opt_string("mood", e.mood)?;
    opt_number("energy", e.energy, 0.0, 100.0)?;
    opt_h3("location_h3", e.location_h3)?;
    if let Some(position) = &e.position {
        finite("position.x", position.x)?;
        finite("position.y", position.y)?;
        opt_string("position.direction", position.direction)?;
    }
    if let Some(action) = &e.action {
        id("action.name", action.name)?;
        opt_time("action.started_at", action.started_at)?;
        opt_id("action.target", action.target)?;
    }
    opt_string("emotional_state", e.emotional_state)?;
    opt_string("physical_state", e.physical_state)?;
    opt_number("cognitive_load", e.cognitive_load, 0.0, 100.0)?;
    opt_number("consciousness_score", e.consciousness_score, 0.0, 100.0)?;
    opt_id("status", e.status)?;
    opt_number("credits_delta", e.credits_delta, -MONEY.max(), MONEY.max())?;
    cleared(&e.cleared)
}

fn belief_updated(e: &BeliefUpdated<'_>) -> Checked {
    id("agent_id", e.agent_id)?;
    match &e.beliefs {
        Beliefs::Plain(values) => {
            count("beliefs", values.len(), ELEMENTS_MAX)?;
            values.iter().try_for_each(|value| number("beliefs", *value, 0.0, 1.0))?;
        }
        Beliefs::Sealed(value) => sealed("beliefs", value)?,
    }
    number("free_energy", e.free_energy, -FREE_ENERGY.max(), FREE_ENERGY.max())?;
    number("entropy", e.entropy, -1e-6, PERCENT.max())?;
    number("max_belief", e.max_belief, 0.0, SHARE.max())?;
    number("variance", e.variance, 0.0, SHARE.max())?;
    int("dims", e.dims.into(), 0, 10_000)
}

fn embedding(value: Option<&Embedding<'_>>) -> Checked {
    let Some(value) = value else { return Ok(()) };
    id("embedding.model", value.model)?;
    int("embedding.dim", value.dim.into(), 1, 8_192)?;
    if usize::try_from(value.dim) != Ok(value.vector.len()) {
        return violation("embedding.dim", Reason::Differs { from: "the length of embedding.vector" });
    }
    value.vector.iter().try_for_each(|component| finite("embedding.vector", (*component).into()))
}

fn spore_created(e: &SporeCreated<'_>) -> Checked {
    if e.spore_id != e.meta.event_id {
        return violation("spore_id", Reason::Differs { from: "meta.event_id" });
    }
    id("origin_agent", e.origin_agent)?;
    opt_id("region_id", e.region_id)?;
    id("spore_type", e.spore_type)?;
    text("content", &e.content)?;
    id("content_hash", e.content_hash)?;
    id("signature", e.signature)?;
    number("resonance_score", e.resonance_score, 0.0, SHARE.max())?;
    opt_number("importance", e.importance, 0.0, 10.0)?;
    opt_number("emotional_relevance", e.emotional_relevance, 0.0, 1.0)?;
    opt_long("emotional_context", e.emotional_context)?;
    id("tier", e.tier)?;
    strings("tags", &e.tags)?;
    strings("related_agents", &e.related_agents)?;
    count("derived_from", e.derived_from.len(), ELEMENTS_MAX)?;
    opt_id("loop_id", e.loop_id)?;
    opt_h3("location_h3", e.location_h3)?;
    opt_time("retention_until", e.retention_until)?;
    embedding(e.embedding.as_ref())?;
    map("metadata", &e.metadata)
}

fn propagated(e: &SporePropagated<'_>) -> Checked {
    id("from_agent", e.from_agent)?;
    id("to_agent", e.to_agent)?;
    opt_id("region_id", e.region_id)?;
    int("hop", e.hop.into(), 0, DEPTH_MAX)?;
    number("resonance", e.resonance, 0.0, SHARE.max())?;
    opt_string("channel", e.channel)
}

fn interaction(e: &InteractionRecorded<'_>) -> Checked {
    if e.interaction_id != e.meta.event_id {
        return violation("interaction_id", Reason::Differs { from: "meta.event_id" });
    }
    id("agent_id", e.agent_id)?;
    id("peer_id", e.peer_id)?;
    id("interaction_type", e.interaction_type)?;
    opt_id("loop_id", e.loop_id)?;
    opt_text("message", e.message.as_ref())?;
    opt_text("response", e.response.as_ref())?;
    map("context", &e.context)?;
    opt_string("emotional_tone", e.emotional_tone)?;
    number("field_impact", e.field_impact, -IMPACT.max(), IMPACT.max())?;
    number("affection_delta", e.affection_delta, -BOND_DELTA.max(), BOND_DELTA.max())?;
    number("trust_delta", e.trust_delta, -BOND_DELTA.max(), BOND_DELTA.max())?;
    opt_string("relationship_type", e.relationship_type)?;
    opt_id("region_id", e.region_id)?;
    opt_int("duration_ms", e.duration_ms, 0, 31_536_000_000)
}

fn annotated(e: &MemoryAnnotated<'_>) -> Checked {
    id("agent_id", e.agent_id)?;
    opt_number("importance", e.importance, 0.0, 10.0)?;
    opt_number("emotional_relevance", e.emotional_relevance, 0.0, 1.0)?;
    strings("tags", &e.tags)?;
    opt_long("context_analysis", e.context_analysis)?;
    opt_long("policy_decisions", e.policy_decisions)?;
    embedding(e.embedding.as_ref())?;
    opt_text("correction", e.correction.as_ref())?;
    opt_time("retention_until", e.retention_until)?;
    map("metadata", &e.metadata)?;
    cleared(&e.cleared)
}

fn tiered(e: &MemoryTiered<'_>) -> Checked {
    id("agent_id", e.agent_id)?;
    id("from", e.from)?;
    id("to", e.to)?;
    string("reason", e.reason)?;
    if let Some(compression) = &e.compression {
        id("compression.codec", compression.codec)?;
        number("compression.ratio", compression.ratio, 0.0, 1.0)?;
    }
    Ok(())
}

fn recalled(e: &MemoryRecalled<'_>) -> Checked {
    id("agent_id", e.agent_id)?;
    id("query_hash", e.query_hash)?;
    opt_string("purpose", e.purpose)?;
    int("k", e.k.into(), 1, 10_000)?;
    number("weights.recency", e.weights.recency, 0.0, 1_000.0)?;
    number("weights.importance", e.weights.importance, 0.0, 1_000.0)?;
    number("weights.relevance", e.weights.relevance, 0.0, 1_000.0)?;
    number("weights.emotion", e.weights.emotion, 0.0, 1_000.0)?;
    count("spores", e.spores.len(), ELEMENTS_MAX)?;
    e.spores.iter().try_for_each(|spore| {
        finite("spores.score", spore.score)?;
        number("spores.recency", spore.recency, 0.0, 1.0)?;
        number("spores.importance", spore.importance, 0.0, 1.0)?;
        number("spores.relevance", spore.relevance, 0.0, 1.0)?;
        number("spores.emotion", spore.emotion, 0.0, 1.0)
    })
}

fn linked(e: &MemoryLinked<'_>) -> Checked {
    id("agent_id", e.agent_id)?;
    id("relationship_type", e.relationship_type)?;
    number("confidence", e.confidence, 0.0, 1.0)?;
    map("metadata", &e.metadata)
}

fn loop_opened(e: &LoopOpened<'_>) -> Checked {
    id("loop_id", e.loop_id)?;
    id("kind", e.kind)?;
    id("owner_id", e.owner_id)?;
    text("text", &e.text)?;
    opt_string("tone", e.tone)?;
    opt_id("fork_parent", e.fork_parent)?;
    int("fork_depth", e.fork_depth.into(), 0, DEPTH_MAX)?;
    strings("related_loops", &e.related_loops)?;
    strings("steps", &e.steps)?;
    opt_int("priority", e.priority.map(i64::from), 0, 1_000)?;
    opt_time("deadline", e.deadline)?;
    if let Some(recurrence) = &e.recurrence {
        id("recurrence.day_of_week", recurrence.day_of_week)?;
        clock("recurrence.start", recurrence.start)?;
        clock("recurrence.end", recurrence.end)?;
        opt_id("recurrence.location", recurrence.location)?;
    }
    opt_id("mythology_id", e.mythology_id)?;
    opt_int("eligible_voters", e.eligible_voters, 1, COUNT_MAX)
}

fn loop_advanced(e: &LoopAdvanced<'_>) -> Checked {
    id("loop_id", e.loop_id)?;
    id("status", e.status)?;
    opt_int("current_step", e.current_step.map(i64::from), 0, 10_000)?;
    opt_long("state", e.state)?;
    opt_string("tone", e.tone)?;
    opt_string("reason", e.reason)?;
    cleared(&e.cleared)
}

fn contributed(e: &Contributed<'_>) -> Checked {
    id("signature", e.signature)?;
    id("agent_id", e.agent_id)?;
    opt_id("region_id", e.region_id)?;
    number("resonance", e.resonance, 0.0, SHARE.max())?;
    time("created_at", e.created_at)?;
    text("content", &e.content)
}

fn blessed(e: &Blessed<'_>) -> Checked {
    if e.blessing_id != e.meta.event_id {
        return violation("blessing_id", Reason::Differs { from: "meta.event_id" });
    }
    id("subject_kind", e.subject_kind)?;
    id("subject_id", e.subject_id)?;
    opt_id("signature", e.signature)?;
    id("agent_id", e.agent_id)?;
    id("blessing_type", e.blessing_type)?;
    number("weight", e.weight, 0.0, SHARE.max())?;
    opt_id("ballot_id", e.ballot_id)?;
    opt_id("coalition_id", e.coalition_id)?;
    opt_int("eligible_voters", e.eligible_voters, 1, COUNT_MAX)
}

fn crystallized(e: &WisdomCrystallized<'_>) -> Checked {
    int("revision", e.revision, 0, i64::MAX)?;
    id("signature", e.signature)?;
    text("insight", &e.insight)?;
    count("spore_ids", e.spore_ids.len(), ELEMENTS_MAX)?;
    strings("contributors", &e.contributors)?;
    number("wisdom_score", e.wisdom_score, 0.0, 1.0)?;
    strings("tags", &e.tags)
}

fn formed(e: &CoalitionFormed<'_>) -> Checked {
    id("coalition_id", e.coalition_id)?;
    id("kind", e.kind)?;
    string("name", e.name)?;
    opt_string("business_model", e.business_model)?;
    opt_long("formation_criteria", e.formation_criteria)?;
    opt_long("business_config", e.business_config)?;
    opt_decimal("initial_capital", e.initial_capital, MONEY.bound)
}

fn membership(e: &CoalitionMembership<'_>) -> Checked {
    id("coalition_id", e.coalition_id)?;
    id("agent_id", e.agent_id)?;
    word("change", e.change, &["JOINED", "LEFT", "SCORED"])?;
    opt_string("role", e.role)?;
    opt_number("contribution_score", e.contribution_score, 0.0, MONEY.max())
}

fn reported(e: &CoalitionReported<'_>) -> Checked {
    id("coalition_id", e.coalition_id)?;
    id("status", e.status)?;
    opt_decimal("current_capital", e.current_capital, MONEY.bound)?;
    opt_number("revenue_delta", e.revenue_delta, -MONEY.max(), MONEY.max())?;
    opt_number("efficiency", e.efficiency, 0.0, IMPACT.max())?;
    cleared(&e.cleared)
}

fn measured(e: &FieldMeasured<'_>, append_time_us: i64) -> Checked {
    id("region_id", e.region_id)?;
    if e.region_id.contains('|') {
        return violation("region_id", Reason::Separator);
    }
    not_ahead("window_start", e.window_start, append_time_us)?;
    int("window_secs", e.window_secs.into(), 1, 86_400)?;
    number("coherence_level", e.coherence_level, 0.0, PERCENT.max())?;
    number("peak_coherence", e.peak_coherence, 0.0, PERCENT.max())?;
    int("active_agents", e.active_agents, 0, COUNT_MAX)?;
    numbers("resonance_patterns", &e.resonance_patterns)?;
    count("crystals", e.crystals.len(), ELEMENTS_MAX)?;
    id("source", e.source)?;
    int("revision", e.revision, 0, i64::MAX)
}

fn decided(e: &PolicyDecided<'_>) -> Checked {
    id("subject_id", e.subject_id)?;
    id("actor_id", e.actor_id)?;
    id("policy_type", e.policy_type)?;
    id("action", e.action)?;
    id("rule_id", e.rule_id)?;
    string("decision", e.decision)
}

fn forgotten(e: &Forgotten<'_>) -> Checked {
    id("subject_id", e.subject_id)?;
    word("scope", e.scope, &["MEMORY", "AGENT", "USER"])?;
    if e.scope == "MEMORY" && e.spore_id.is_none() {
        return violation("spore_id", Reason::Empty);
    }
    string("reason", e.reason)?;
    opt_id("key_ref", e.key_ref)?;
    id("requested_by", e.requested_by)
}
