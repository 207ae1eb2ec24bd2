-- The analysts' contract: SQL views under plain names over the tables of the versions in use.
-- Stamps and states are left out. Parts of partial tables are merged: sums are added, and so are counts of distinct
-- members, because the parts hold disjoint members. Fixed-point columns are divided by their scale: views show units,
-- where the tables hold millionths (credits: hundredths). Times are microseconds since 1970 UTC: datetime(created_at / 1000000, 'unixepoch').
-- UUIDs are 16 bytes: hex(spore_id), or uuid_text(spore_id) in sporelog's own connections.

-- Every spore, as it was created.
CREATE VIEW spores AS
SELECT
    tenant, spore_id, origin_agent, created_at, region_id, spore_type, content, content_sealed, content_hash,
    signature, resonance_score, importance, emotional_relevance, emotional_context, tier, tags, related_agents,
    derived_from, loop_id, location_h3, retention_until, embedding_model, embedding, metadata, love_resonance
FROM {records}spores;

-- Spores by the day they were made.
CREATE VIEW spores_by_day AS
SELECT
    tenant, day, shard, created_at, spore_id, origin_agent, spore_type, region_id, resonance_score
FROM {records}spores_by_day;

-- The way of every spore from agent to agent.
CREATE VIEW spore_path AS
SELECT
    tenant, spore_id, hop, to_agent, event_id, from_agent, propagated_at, region_id, resonance, channel
FROM {records}spore_path;

-- Every interaction, one row for each of its two ends.
CREATE VIEW interactions AS
SELECT
    tenant, agent_id, month, interaction_time, peer_id, interaction_id, direction, interaction_type, spore_id,
    loop_id, message, message_sealed, response, response_sealed, context, emotional_tone, field_impact,
    affection_delta, trust_delta, relationship_type, region_id, duration_ms, love_resonance
FROM {records}interactions;

-- Every spore, for analysts.
CREATE VIEW spore AS
SELECT
    tenant, spore_id, origin_agent, created_at, region_id, spore_type, content, content_sealed, content_hash,
    signature, resonance_score, importance, emotional_relevance, emotional_context, tier, tags, related_agents,
    derived_from, loop_id, location_h3, retention_until, embedding_model, embedding, metadata, love_resonance
FROM {views}spore;

-- Which agent received which spore.
CREATE VIEW received AS
SELECT
    tenant, spore_id, to_agent, times, first_at, last_at, hop, resonance / 1e6 AS resonance
FROM {views}received;

-- Directed contact: what agent_id did towards peer_id.
CREATE VIEW contact AS
SELECT
    tenant, agent_id, peer_id, interactions, affection_sum / 1e6 AS affection_sum, trust_sum / 1e6 AS trust_sum,
    field_impact_sum / 1e6 AS field_impact_sum, relationship_type, first_at, last_at
FROM {views}contact;

-- Every agent as it is now.
CREATE VIEW agent AS
SELECT
    tenant, agent_id, kind, name, owner_id, archetype, harmony, sacred_name, sacred_role, constitution, background,
    background_sealed, personality, likes, dislikes, goals, public_key, primary_region, backup_regions, capabilities,
    subscription_tier, private_sealed, tone, mood, energy, location_h3, position, action, emotional_state,
    physical_state, cognitive_load, consciousness_score, status, credits_sum / 1e2 AS credits_sum, changes, first_at,
    last_at
FROM {views}agent;

-- Every change of an agent's state.
CREATE VIEW agent_history AS
SELECT
    tenant, agent_id, occurred_at, event_id, event, tone_from, tone_to, tone_magnitude, trigger_type, trigger_content,
    trigger_content_sealed, mood, energy, location_h3, action, emotional_state, physical_state, cognitive_load,
    consciousness_score, status, credits_delta
FROM {views}agent_history;

-- When each agent was heard, by day.
CREATE VIEW agent_presence AS
SELECT
    tenant, agent_id, day, minutes, heartbeats, last_seen, region_id
FROM {views}agent_presence;

-- How each region resonates, by minute.
CREATE VIEW field_coherence_1m AS
SELECT
    tenant, region_id, window_start, sum(heartbeats) AS heartbeats, sum(reports) AS reports,
    sum(coherence_sum) / 1e6 AS coherence_sum, max(coherence_peak) / 1e6 AS coherence_peak, sum(agents) AS agents
FROM {series}field_coherence_1m
GROUP BY tenant, region_id, window_start;

-- How each region resonates, by hour.
CREATE VIEW field_coherence_1h AS
SELECT
    tenant, region_id, window_start, sum(heartbeats) AS heartbeats, sum(reports) AS reports,
    sum(coherence_sum) / 1e6 AS coherence_sum, max(coherence_peak) / 1e6 AS coherence_peak, sum(agents) AS agents
FROM {series}field_coherence_1h
GROUP BY tenant, region_id, window_start;

-- How each region resonates, by day.
CREATE VIEW field_coherence_1d AS
SELECT
    tenant, region_id, window_start, sum(heartbeats) AS heartbeats, sum(reports) AS reports,
    sum(coherence_sum) / 1e6 AS coherence_sum, max(coherence_peak) / 1e6 AS coherence_peak, sum(agents) AS agents
FROM {series}field_coherence_1d
GROUP BY tenant, region_id, window_start;

-- Interactions that each agent began, by minute.
CREATE VIEW interaction_rate_agent_1m AS
SELECT
    tenant, region_id, window_start, agent_id, interactions, field_impact_sum / 1e6 AS field_impact_sum
FROM {series}interaction_rate_agent_1m;

-- Interactions that each agent began, by hour.
CREATE VIEW interaction_rate_agent_1h AS
SELECT
    tenant, region_id, window_start, agent_id, interactions, field_impact_sum / 1e6 AS field_impact_sum
FROM {series}interaction_rate_agent_1h;

-- Interactions that each agent began, by day.
CREATE VIEW interaction_rate_agent_1d AS
SELECT
    tenant, region_id, window_start, agent_id, interactions, field_impact_sum / 1e6 AS field_impact_sum
FROM {series}interaction_rate_agent_1d;

-- Interactions in each region, by minute.
CREATE VIEW interaction_rate_region_1m AS
SELECT
    tenant, region_id, window_start, sum(interactions) AS interactions,
    sum(field_impact_sum) / 1e6 AS field_impact_sum
FROM {series}interaction_rate_region_1m
GROUP BY tenant, region_id, window_start;

-- Interactions in each region, by hour.
CREATE VIEW interaction_rate_region_1h AS
SELECT
    tenant, region_id, window_start, sum(interactions) AS interactions,
    sum(field_impact_sum) / 1e6 AS field_impact_sum
FROM {series}interaction_rate_region_1h
GROUP BY tenant, region_id, window_start;

-- Interactions in each region, by day.
CREATE VIEW interaction_rate_region_1d AS
SELECT
    tenant, region_id, window_start, sum(interactions) AS interactions,
    sum(field_impact_sum) / 1e6 AS field_impact_sum
FROM {series}interaction_rate_region_1d
GROUP BY tenant, region_id, window_start;

-- How fast spores are made and passed on in each region, by minute.
CREATE VIEW spore_velocity_1m AS
SELECT
    tenant, region_id, window_start, sum(created) AS created, sum(propagated) AS propagated
FROM {series}spore_velocity_1m
GROUP BY tenant, region_id, window_start;

-- Both directions of contact: a row for each of the two ends of every pair that ever met.
-- sent and received are seen from agent_id; affection and trust add up both directions and are clamped here,
-- -100..100 and 0..100; relationship_type is the one that was written last.
CREATE VIEW tie AS
SELECT
    c.tenant, c.agent_id, c.peer_id, c.interactions AS sent,
    CASE WHEN c.agent_id = c.peer_id THEN c.interactions ELSE coalesce(r.interactions, 0) END AS received,
    max(-100.0, min(100.0, (coalesce(c.affection_sum, 0) + coalesce(r.affection_sum, 0)) / 1e6)) AS affection,
    max(0.0, min(100.0, (coalesce(c.trust_sum, 0) + coalesce(r.trust_sum, 0)) / 1e6)) AS trust,
    (coalesce(c.field_impact_sum, 0) + coalesce(r.field_impact_sum, 0)) / 1e6 AS field_impact,
    min(c.first_at, coalesce(r.first_at, c.first_at)) AS first_at,
    max(c.last_at, coalesce(r.last_at, c.last_at)) AS last_at,
    CASE WHEN r.relationship_type_stamp > coalesce(c.relationship_type_stamp, x'')
        THEN r.relationship_type ELSE c.relationship_type END AS relationship_type
FROM {views}contact AS c
LEFT JOIN {views}contact AS r
    ON r.tenant = c.tenant AND r.agent_id = c.peer_id AND r.peer_id = c.agent_id AND r.agent_id <> r.peer_id
UNION ALL
-- The other end of contact that was never returned.
SELECT
    c.tenant, c.peer_id, c.agent_id, 0, c.interactions,
    max(-100.0, min(100.0, coalesce(c.affection_sum, 0) / 1e6)),
    max(0.0, min(100.0, coalesce(c.trust_sum, 0) / 1e6)),
    coalesce(c.field_impact_sum, 0) / 1e6,
    c.first_at, c.last_at, c.relationship_type
FROM {views}contact AS c
WHERE NOT EXISTS (
    SELECT 1 FROM {views}contact AS r
    WHERE r.tenant = c.tenant AND r.agent_id = c.peer_id AND r.peer_id = c.agent_id
);

-- How far every projection has come, and whether its account is closed: gap is 0 always (I5). last_append_us is the append
-- time of the last record passed; behind is a part of duplicate, unknown a part of ignored. parked_cause says why a
-- partition is not read on, if it is not (I7).
CREATE VIEW freshness AS
SELECT
    projection, version, topic, partition, first_offset, next_offset, watermark_us, last_append_us,
    applied, duplicate, ignored, dead, holes, lost,
    next_offset - first_offset - (applied + duplicate + ignored + dead + holes + lost) AS gap, epoch,
    behind, unknown, parked_cause, parked_offset, parked_text, parked_since_us
FROM position;
