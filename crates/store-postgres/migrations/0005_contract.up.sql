-- The analysts' contract: SQL views under plain names over the tables of the versions in use.
-- Stamps and states are left out. Parts of partial tables are merged: sums are added, and so are counts of distinct
-- members, because the parts hold disjoint members. Fixed-point columns are divided by their scale: views show units, where
-- the tables hold millionths (credits: hundredths). JSON is shown as jsonb. Times are microseconds since 1970 UTC: time_text(created_at).
-- A view acts with the rights of who asks, so that row-level security holds. Hypertables cannot have it beside compression;
-- the views over them filter by themselves, and readers have no grant on the tables: monthly_reader and monthly_seen
-- (in braces) stand for either.

-- Whether who asks may see the rows of this tenant: where views filter by themselves.
CREATE FUNCTION sees(tenant text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT tenant = current_setting('sporelog.tenant', true)
        OR pg_has_role(current_user, 'sporelog_worker', 'MEMBER') OR pg_has_role(current_user, 'sporelog_migrator', 'MEMBER')
$$;
COMMENT ON FUNCTION sees IS 'Whether who asks may see the rows of this tenant.';

-- A stored time as ISO 8601 in UTC.
CREATE FUNCTION time_text(us bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char(timestamp '1970-01-01' + us * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
COMMENT ON FUNCTION time_text IS 'A stored time (microseconds since 1970) as ISO 8601 in UTC.';

-- Every spore, for analysts.
CREATE VIEW spore WITH (security_invoker) AS
SELECT
    tenant, spore_id, origin_agent, created_at, region_id, spore_type, content, content_sealed, content_hash,
    signature, resonance_score, importance, emotional_relevance, emotional_context, tier, tags::jsonb,
    related_agents::jsonb, derived_from::jsonb, loop_id, location_h3, retention_until, embedding_model, embedding,
    metadata::jsonb, love_resonance
FROM {views}spore;

-- Which agent received which spore.
CREATE VIEW received WITH (security_invoker) AS
SELECT
    tenant, spore_id, to_agent, times, first_at, last_at, hop, resonance / 1e6::float8 AS resonance
FROM {views}received;

-- Directed contact: what agent_id did towards peer_id.
CREATE VIEW contact WITH (security_invoker) AS
SELECT
    tenant, agent_id, peer_id, interactions, affection_sum / 1e6::float8 AS affection_sum,
    trust_sum / 1e6::float8 AS trust_sum, field_impact_sum / 1e6::float8 AS field_impact_sum, relationship_type,
    first_at, last_at
FROM {views}contact;

-- Every agent as it is now.
CREATE VIEW agent WITH (security_invoker) AS
SELECT
    tenant, agent_id, kind, name, owner_id, archetype, harmony, sacred_name, sacred_role, constitution, background,
    background_sealed, personality::jsonb, likes::jsonb, dislikes::jsonb, goals, public_key, primary_region,
    backup_regions::jsonb, capabilities::jsonb, subscription_tier, private_sealed, tone, mood, energy, location_h3,
    position::jsonb, action::jsonb, emotional_state, physical_state, cognitive_load, consciousness_score, status,
    credits_sum / 1e2::float8 AS credits_sum, changes, first_at, last_at
FROM {views}agent;

-- Every change of an agent's state.
CREATE VIEW agent_history {monthly_reader} AS
SELECT
    tenant, agent_id, occurred_at, event_id, event, tone_from, tone_to, tone_magnitude, trigger_type,
    trigger_content, trigger_content_sealed, mood, energy, location_h3, action::jsonb, emotional_state,
    physical_state, cognitive_load, consciousness_score, status, credits_delta
FROM {views}agent_history WHERE {monthly_seen};

-- When each agent was heard, by day.
CREATE VIEW agent_presence WITH (security_invoker) AS
SELECT
    tenant, agent_id, day, minutes, heartbeats, last_seen, region_id
FROM {views}agent_presence;

-- How each region resonates, by minute.
CREATE VIEW field_coherence_1m {monthly_reader} AS
SELECT
    tenant, region_id, window_start, sum(heartbeats)::bigint AS heartbeats, sum(reports)::bigint AS reports,
    (sum(coherence_sum) / 1e6)::float8 AS coherence_sum, (max(coherence_peak) / 1e6)::float8 AS coherence_peak,
    sum(agents)::bigint AS agents
FROM {series}field_coherence_1m WHERE {monthly_seen}
GROUP BY tenant, region_id, window_start;

-- How each region resonates, by hour.
CREATE VIEW field_coherence_1h {monthly_reader} AS
SELECT
    tenant, region_id, window_start, sum(heartbeats)::bigint AS heartbeats, sum(reports)::bigint AS reports,
    (sum(coherence_sum) / 1e6)::float8 AS coherence_sum, (max(coherence_peak) / 1e6)::float8 AS coherence_peak,
    sum(agents)::bigint AS agents
FROM {series}field_coherence_1h WHERE {monthly_seen}
GROUP BY tenant, region_id, window_start;

-- How each region resonates, by day.
CREATE VIEW field_coherence_1d {monthly_reader} AS
SELECT
    tenant, region_id, window_start, sum(heartbeats)::bigint AS heartbeats, sum(reports)::bigint AS reports,
    (sum(coherence_sum) / 1e6)::float8 AS coherence_sum, (max(coherence_peak) / 1e6)::float8 AS coherence_peak,
    sum(agents)::bigint AS agents
FROM {series}field_coherence_1d WHERE {monthly_seen}
GROUP BY tenant, region_id, window_start;

-- Interactions that each agent began, by minute.
CREATE VIEW interaction_rate_agent_1m {monthly_reader} AS
SELECT
    tenant, region_id, window_start, agent_id, interactions, field_impact_sum / 1e6::float8 AS field_impact_sum
FROM {series}interaction_rate_agent_1m WHERE {monthly_seen};

-- Interactions that each agent began, by hour.
CREATE VIEW interaction_rate_agent_1h {monthly_reader} AS
SELECT
    tenant, region_id, window_start, agent_id, interactions, field_impact_sum / 1e6::float8 AS field_impact_sum
FROM {series}interaction_rate_agent_1h WHERE {monthly_seen};

-- Interactions that each agent began, by day.
CREATE VIEW interaction_rate_agent_1d {monthly_reader} AS
SELECT
    tenant, region_id, window_start, agent_id, interactions, field_impact_sum / 1e6::float8 AS field_impact_sum
FROM {series}interaction_rate_agent_1d WHERE {monthly_seen};

-- Interactions in each region, by minute.
CREATE VIEW interaction_rate_region_1m {monthly_reader} AS
SELECT
    tenant, region_id, window_start, sum(interactions)::bigint AS interactions,
    (sum(field_impact_sum) / 1e6)::float8 AS field_impact_sum
FROM {series}interaction_rate_region_1m WHERE {monthly_seen}
GROUP BY tenant, region_id, window_start;

-- Interactions in each region, by hour.
CREATE VIEW interaction_rate_region_1h {monthly_reader} AS
SELECT
    tenant, region_id, window_start, sum(interactions)::bigint AS interactions,
    (sum(field_impact_sum) / 1e6)::float8 AS field_impact_sum
FROM {series}interaction_rate_region_1h WHERE {monthly_seen}
GROUP BY tenant, region_id, window_start;

-- Interactions in each region, by day.
CREATE VIEW interaction_rate_region_1d {monthly_reader} AS
SELECT
    tenant, region_id, window_start, sum(interactions)::bigint AS interactions,
    (sum(field_impact_sum) / 1e6)::float8 AS field_impact_sum
FROM {series}interaction_rate_region_1d WHERE {monthly_seen}
GROUP BY tenant, region_id, window_start;

-- How fast spores are made and passed on in each region, by minute.
CREATE VIEW spore_velocity_1m {monthly_reader} AS
SELECT
    tenant, region_id, window_start, sum(created)::bigint AS created, sum(propagated)::bigint AS propagated
FROM {series}spore_velocity_1m WHERE {monthly_seen}
GROUP BY tenant, region_id, window_start;

-- On which minutes of each day two agents were in direct contact.
CREATE VIEW contact_day WITH (security_invoker) AS
SELECT tenant, agent_id, peer_id, day, minutes, interactions
FROM {views}contact_day;

-- Both directions of contact: a row for each of the two ends of every pair that ever met.
-- sent and received are seen from agent_id; affection and trust add up both directions and are clamped here,
-- -100..100 and 0..100; relationship_type is the one that was written last.
CREATE VIEW tie WITH (security_invoker) AS
SELECT
    c.tenant, c.agent_id, c.peer_id, c.interactions AS sent,
    CASE WHEN c.agent_id = c.peer_id THEN c.interactions ELSE coalesce(r.interactions, 0) END AS received,
    greatest(-100, least(100, (coalesce(c.affection_sum, 0) + coalesce(r.affection_sum, 0)) / 1e6::float8)) AS affection,
    greatest(0, least(100, (coalesce(c.trust_sum, 0) + coalesce(r.trust_sum, 0)) / 1e6::float8)) AS trust,
    (coalesce(c.field_impact_sum, 0) + coalesce(r.field_impact_sum, 0)) / 1e6::float8 AS field_impact,
    least(c.first_at, r.first_at) AS first_at,
    greatest(c.last_at, r.last_at) AS last_at,
    CASE WHEN r.relationship_type_stamp > coalesce(c.relationship_type_stamp, '')
        THEN r.relationship_type ELSE c.relationship_type END AS relationship_type
FROM {views}contact AS c
LEFT JOIN {views}contact AS r
    ON r.tenant = c.tenant AND r.agent_id = c.peer_id AND r.peer_id = c.agent_id AND r.agent_id <> r.peer_id
UNION ALL
-- The other end of contact that was never returned.
SELECT
    c.tenant, c.peer_id, c.agent_id, 0, c.interactions,
    greatest(-100, least(100, coalesce(c.affection_sum, 0) / 1e6::float8)),
    greatest(0, least(100, coalesce(c.trust_sum, 0) / 1e6::float8)),
    coalesce(c.field_impact_sum, 0) / 1e6::float8,
    c.first_at, c.last_at, c.relationship_type
FROM {views}contact AS c
WHERE NOT EXISTS (
    SELECT FROM {views}contact AS r
    WHERE r.tenant = c.tenant AND r.agent_id = c.peer_id AND r.peer_id = c.agent_id
);
COMMENT ON VIEW tie IS
    'Who is tied to whom, both directions of contact in one row, with affection and trust clamped.';
COMMENT ON COLUMN tie.sent IS 'How often agent_id acted upon peer_id.';
COMMENT ON COLUMN tie.received IS 'How often peer_id acted upon agent_id.';
COMMENT ON COLUMN tie.affection IS 'Affection of both directions together, clamped. Unit: -100..100.';
COMMENT ON COLUMN tie.trust IS 'Trust of both directions together, clamped. Unit: 0..100.';
COMMENT ON COLUMN tie.field_impact IS 'The sum of field impact of both directions.';
COMMENT ON COLUMN tie.relationship_type IS 'What the two are to each other, as it was written last by either.';

-- How far every projection has come, and whether its account is closed: gap is 0 always (I5).
CREATE VIEW freshness WITH (security_invoker) AS
SELECT
    projection, version, topic, generation, partition, first_offset, next_offset, watermark_us, last_append_us,
    applied, duplicate, behind, ignored, unknown, dead, holes, lost,
    next_offset - first_offset - (applied + duplicate + ignored + dead + holes + lost) AS gap, epoch,
    parked_cause, parked_offset, parked_since_us
FROM position;
COMMENT ON VIEW freshness IS
    'How far each projection is, by topic and partition: its position, watermark and account.';
COMMENT ON COLUMN freshness.last_append_us IS 'The append time of the last record passed: how old answers are. Unit: us.';
COMMENT ON COLUMN freshness.gap IS 'Offsets passed but not accounted for: 0 always.';
COMMENT ON COLUMN freshness.parked_cause IS 'Why the partition is parked; null where it is not.';

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT viewname FROM pg_views WHERE schemaname = current_schema() LOOP
        EXECUTE format('GRANT SELECT ON %I TO sporelog_reader, sporelog_worker', name);
    END LOOP;
END
$$;
