-- Hours and days of agents are summed from their minutes at read (docs/adr/0004-hours-of-agents-at-read.md).
-- The windows are those of the regions, which the same events write in the same transaction: so the rows of one window are
-- a range of the minutes' primary key, whichever windows are asked for. CROSS JOIN keeps the order of the two; of
-- a region's parts the first one counts. (A subquery with DISTINCT would be read whole: conditions do not reach it.)

DROP VIEW interaction_rate_agent_1h;
DROP TABLE {series}interaction_rate_agent_1h;
-- Interactions that each agent began, by hour; summed from its minutes.
CREATE VIEW interaction_rate_agent_1h AS
SELECT
    w.tenant, w.region_id, w.window_start, m.agent_id, sum(m.interactions) AS interactions,
    sum(m.field_impact_sum) / 1e6 AS field_impact_sum
FROM {series}interaction_rate_region_1h AS w
CROSS JOIN {series}interaction_rate_agent_1m AS m
    ON m.tenant = w.tenant AND m.region_id = w.region_id
    AND m.window_start >= w.window_start AND m.window_start < w.window_start + 3600000000
WHERE NOT EXISTS (
    SELECT 1 FROM {series}interaction_rate_region_1h AS other
    WHERE other.tenant = w.tenant AND other.region_id = w.region_id AND other.window_start = w.window_start
        AND (other.topic, other.partition) < (w.topic, w.partition)
)
GROUP BY w.tenant, w.region_id, w.window_start, m.agent_id;

DROP VIEW interaction_rate_agent_1d;
DROP TABLE {series}interaction_rate_agent_1d;
-- Interactions that each agent began, by day; summed from its minutes.
CREATE VIEW interaction_rate_agent_1d AS
SELECT
    w.tenant, w.region_id, w.window_start, m.agent_id, sum(m.interactions) AS interactions,
    sum(m.field_impact_sum) / 1e6 AS field_impact_sum
FROM {series}interaction_rate_region_1d AS w
CROSS JOIN {series}interaction_rate_agent_1m AS m
    ON m.tenant = w.tenant AND m.region_id = w.region_id
    AND m.window_start >= w.window_start AND m.window_start < w.window_start + 86400000000
WHERE NOT EXISTS (
    SELECT 1 FROM {series}interaction_rate_region_1d AS other
    WHERE other.tenant = w.tenant AND other.region_id = w.region_id AND other.window_start = w.window_start
        AND (other.topic, other.partition) < (w.topic, w.partition)
)
GROUP BY w.tenant, w.region_id, w.window_start, m.agent_id;
