-- Hours and days of agents are summed from their minutes at read (docs/adr/0004-hours-of-agents-at-read.md).
-- The windows are those of the regions, which the same events write in the same transaction: so the rows of one window are
-- a range of the minutes' primary key, whichever windows are asked for.

DROP VIEW interaction_rate_agent_1h;
DROP TABLE {series}interaction_rate_agent_1h;
-- Interactions that each agent began, by hour.
CREATE VIEW interaction_rate_agent_1h {monthly_reader} AS
SELECT w.tenant, w.region_id, w.window_start, a.agent_id, a.interactions, a.field_impact_sum
FROM (
    SELECT DISTINCT tenant, region_id, window_start FROM {series}interaction_rate_region_1h WHERE {monthly_seen}
) AS w
CROSS JOIN LATERAL (
    SELECT
        m.agent_id, sum(m.interactions)::bigint AS interactions,
        (sum(m.field_impact_sum) / 1e6)::float8 AS field_impact_sum
    FROM {series}interaction_rate_agent_1m AS m
    WHERE m.tenant = w.tenant AND m.region_id = w.region_id
        AND m.window_start >= w.window_start AND m.window_start < w.window_start + 3600000000
    GROUP BY m.agent_id
) AS a;
COMMENT ON VIEW interaction_rate_agent_1h IS 'Interactions that each agent began, by hour; summed from its minutes.';
COMMENT ON COLUMN interaction_rate_agent_1h.tenant IS 'The tenant.';
COMMENT ON COLUMN interaction_rate_agent_1h.region_id IS 'The region, or '''' where the event names none.';
COMMENT ON COLUMN interaction_rate_agent_1h.window_start IS 'The start of the window in event time.';
COMMENT ON COLUMN interaction_rate_agent_1h.agent_id IS 'The agent.';
COMMENT ON COLUMN interaction_rate_agent_1h.interactions IS 'How many interactions there were.';
COMMENT ON COLUMN interaction_rate_agent_1h.field_impact_sum IS 'The sum of field impact.';
GRANT SELECT ON interaction_rate_agent_1h TO sporelog_reader, sporelog_worker;

DROP VIEW interaction_rate_agent_1d;
DROP TABLE {series}interaction_rate_agent_1d;
-- Interactions that each agent began, by day.
CREATE VIEW interaction_rate_agent_1d {monthly_reader} AS
SELECT w.tenant, w.region_id, w.window_start, a.agent_id, a.interactions, a.field_impact_sum
FROM (
    SELECT DISTINCT tenant, region_id, window_start FROM {series}interaction_rate_region_1d WHERE {monthly_seen}
) AS w
CROSS JOIN LATERAL (
    SELECT
        m.agent_id, sum(m.interactions)::bigint AS interactions,
        (sum(m.field_impact_sum) / 1e6)::float8 AS field_impact_sum
    FROM {series}interaction_rate_agent_1m AS m
    WHERE m.tenant = w.tenant AND m.region_id = w.region_id
        AND m.window_start >= w.window_start AND m.window_start < w.window_start + 86400000000
    GROUP BY m.agent_id
) AS a;
COMMENT ON VIEW interaction_rate_agent_1d IS 'Interactions that each agent began, by day; summed from its minutes.';
COMMENT ON COLUMN interaction_rate_agent_1d.tenant IS 'The tenant.';
COMMENT ON COLUMN interaction_rate_agent_1d.region_id IS 'The region, or '''' where the event names none.';
COMMENT ON COLUMN interaction_rate_agent_1d.window_start IS 'The start of the window in event time.';
COMMENT ON COLUMN interaction_rate_agent_1d.agent_id IS 'The agent.';
COMMENT ON COLUMN interaction_rate_agent_1d.interactions IS 'How many interactions there were.';
COMMENT ON COLUMN interaction_rate_agent_1d.field_impact_sum IS 'The sum of field impact.';
GRANT SELECT ON interaction_rate_agent_1d TO sporelog_reader, sporelog_worker;
