-- Hours and days of agents are stored again, filled from their minutes.

DROP VIEW interaction_rate_agent_1h;
CREATE TABLE {series}interaction_rate_agent_1h (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    agent_id TEXT NOT NULL,              -- The agent.
    interactions INTEGER,                -- How many interactions there were.
    field_impact_sum INTEGER,            -- The sum of field impact. Unit: millionths.
    PRIMARY KEY (tenant, region_id, window_start, agent_id)
) STRICT, WITHOUT ROWID;
INSERT INTO {series}interaction_rate_agent_1h
SELECT
    tenant, region_id, window_start - ((window_start % 3600000000) + 3600000000) % 3600000000, agent_id,
    sum(interactions), sum(field_impact_sum)
FROM {series}interaction_rate_agent_1m
GROUP BY 1, 2, 3, 4;
-- Interactions that each agent began, by hour.
CREATE VIEW interaction_rate_agent_1h AS
SELECT
    tenant, region_id, window_start, agent_id, interactions, field_impact_sum / 1e6 AS field_impact_sum
FROM {series}interaction_rate_agent_1h;

DROP VIEW interaction_rate_agent_1d;
CREATE TABLE {series}interaction_rate_agent_1d (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    agent_id TEXT NOT NULL,              -- The agent.
    interactions INTEGER,                -- How many interactions there were.
    field_impact_sum INTEGER,            -- The sum of field impact. Unit: millionths.
    PRIMARY KEY (tenant, region_id, window_start, agent_id)
) STRICT, WITHOUT ROWID;
INSERT INTO {series}interaction_rate_agent_1d
SELECT
    tenant, region_id, window_start - ((window_start % 86400000000) + 86400000000) % 86400000000, agent_id,
    sum(interactions), sum(field_impact_sum)
FROM {series}interaction_rate_agent_1m
GROUP BY 1, 2, 3, 4;
-- Interactions that each agent began, by day.
CREATE VIEW interaction_rate_agent_1d AS
SELECT
    tenant, region_id, window_start, agent_id, interactions, field_impact_sum / 1e6 AS field_impact_sum
FROM {series}interaction_rate_agent_1d;
