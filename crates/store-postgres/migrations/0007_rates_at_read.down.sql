-- Hours and days of agents are stored again, filled from their minutes.

DROP VIEW interaction_rate_agent_1h;
CREATE TABLE {series}interaction_rate_agent_1h (
    tenant text COLLATE "C" NOT NULL,
    region_id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    interactions bigint,
    field_impact_sum bigint,
    PRIMARY KEY (tenant, region_id, window_start, agent_id)
) {by_month:window_start};
SELECT store_by_month('{series}interaction_rate_agent_1h', 'window_start', 'tenant, region_id');
SELECT open_to_roles('{series}interaction_rate_agent_1h');
INSERT INTO {series}interaction_rate_agent_1h
SELECT
    tenant, region_id, 3600000000 * floor(window_start / 3600000000::numeric)::bigint, agent_id,
    sum(interactions), sum(field_impact_sum)
FROM {series}interaction_rate_agent_1m
GROUP BY 1, 2, 3, 4;
-- Interactions that each agent began, by hour.
CREATE VIEW interaction_rate_agent_1h {monthly_reader} AS
SELECT
    tenant, region_id, window_start, agent_id, interactions, field_impact_sum / 1e6::float8 AS field_impact_sum
FROM {series}interaction_rate_agent_1h WHERE {monthly_seen};
GRANT SELECT ON interaction_rate_agent_1h TO sporelog_reader, sporelog_worker;

DROP VIEW interaction_rate_agent_1d;
CREATE TABLE {series}interaction_rate_agent_1d (
    tenant text COLLATE "C" NOT NULL,
    region_id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    interactions bigint,
    field_impact_sum bigint,
    PRIMARY KEY (tenant, region_id, window_start, agent_id)
) {by_month:window_start};
SELECT store_by_month('{series}interaction_rate_agent_1d', 'window_start', 'tenant, region_id');
SELECT open_to_roles('{series}interaction_rate_agent_1d');
INSERT INTO {series}interaction_rate_agent_1d
SELECT
    tenant, region_id, 86400000000 * floor(window_start / 86400000000::numeric)::bigint, agent_id,
    sum(interactions), sum(field_impact_sum)
FROM {series}interaction_rate_agent_1m
GROUP BY 1, 2, 3, 4;
-- Interactions that each agent began, by day.
CREATE VIEW interaction_rate_agent_1d {monthly_reader} AS
SELECT
    tenant, region_id, window_start, agent_id, interactions, field_impact_sum / 1e6::float8 AS field_impact_sum
FROM {series}interaction_rate_agent_1d WHERE {monthly_seen};
GRANT SELECT ON interaction_rate_agent_1d TO sporelog_reader, sporelog_worker;
