-- The series: windowed aggregates over event time.
-- {series} stands for what the names of the projection's tables begin with, such as series_v1_. Columns, keys and types
-- follow the declarations in crates/domain/src/tables/series.rs; a test holds this file against them. A column
-- <name>_stamp says which write of <name> won. Tables with up to ten narrow columns lie in their key's own tree
-- (WITHOUT ROWID): one tree to write instead of two.

-- How each region resonates, by minute.
CREATE TABLE {series}field_coherence_1m (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    topic TEXT NOT NULL,                 -- The topic that this part was folded from.
    partition INTEGER NOT NULL,          -- The partition that this part was folded from.
    heartbeats INTEGER,                  -- How many heartbeats were heard.
    reports INTEGER,                     -- How many of them reported a coherence level.
    coherence_sum INTEGER,               -- The sum of the levels reported. Unit: millionths of 0..100.
    coherence_peak INTEGER,              -- The largest level reported. Unit: millionths of 0..100.
    agents_state BLOB,                   -- The set of agents heard.
    agents INTEGER,                      -- How many agents were heard; exact to 4,096 per part.
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) STRICT;

-- How each region resonates, by hour.
CREATE TABLE {series}field_coherence_1h (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    topic TEXT NOT NULL,                 -- The topic that this part was folded from.
    partition INTEGER NOT NULL,          -- The partition that this part was folded from.
    heartbeats INTEGER,                  -- How many heartbeats were heard.
    reports INTEGER,                     -- How many of them reported a coherence level.
    coherence_sum INTEGER,               -- The sum of the levels reported. Unit: millionths of 0..100.
    coherence_peak INTEGER,              -- The largest level reported. Unit: millionths of 0..100.
    agents_state BLOB,                   -- The set of agents heard.
    agents INTEGER,                      -- How many agents were heard; exact to 4,096 per part.
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) STRICT;

-- How each region resonates, by day.
CREATE TABLE {series}field_coherence_1d (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    topic TEXT NOT NULL,                 -- The topic that this part was folded from.
    partition INTEGER NOT NULL,          -- The partition that this part was folded from.
    heartbeats INTEGER,                  -- How many heartbeats were heard.
    reports INTEGER,                     -- How many of them reported a coherence level.
    coherence_sum INTEGER,               -- The sum of the levels reported. Unit: millionths of 0..100.
    coherence_peak INTEGER,              -- The largest level reported. Unit: millionths of 0..100.
    agents_state BLOB,                   -- The set of agents heard.
    agents INTEGER,                      -- How many agents were heard; exact to 4,096 per part.
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) STRICT;

-- Interactions that each agent began, by minute.
CREATE TABLE {series}interaction_rate_agent_1m (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    agent_id TEXT NOT NULL,              -- The agent.
    interactions INTEGER,                -- How many interactions there were.
    field_impact_sum INTEGER,            -- The sum of field impact. Unit: millionths.
    PRIMARY KEY (tenant, region_id, window_start, agent_id)
) STRICT, WITHOUT ROWID;

-- Interactions that each agent began, by hour.
CREATE TABLE {series}interaction_rate_agent_1h (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    agent_id TEXT NOT NULL,              -- The agent.
    interactions INTEGER,                -- How many interactions there were.
    field_impact_sum INTEGER,            -- The sum of field impact. Unit: millionths.
    PRIMARY KEY (tenant, region_id, window_start, agent_id)
) STRICT, WITHOUT ROWID;

-- Interactions that each agent began, by day.
CREATE TABLE {series}interaction_rate_agent_1d (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    agent_id TEXT NOT NULL,              -- The agent.
    interactions INTEGER,                -- How many interactions there were.
    field_impact_sum INTEGER,            -- The sum of field impact. Unit: millionths.
    PRIMARY KEY (tenant, region_id, window_start, agent_id)
) STRICT, WITHOUT ROWID;

-- Interactions in each region, by minute.
CREATE TABLE {series}interaction_rate_region_1m (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    topic TEXT NOT NULL,                 -- The topic that this part was folded from.
    partition INTEGER NOT NULL,          -- The partition that this part was folded from.
    interactions INTEGER,                -- How many interactions there were.
    field_impact_sum INTEGER,            -- The sum of field impact. Unit: millionths.
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) STRICT, WITHOUT ROWID;

-- Interactions in each region, by hour.
CREATE TABLE {series}interaction_rate_region_1h (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    topic TEXT NOT NULL,                 -- The topic that this part was folded from.
    partition INTEGER NOT NULL,          -- The partition that this part was folded from.
    interactions INTEGER,                -- How many interactions there were.
    field_impact_sum INTEGER,            -- The sum of field impact. Unit: millionths.
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) STRICT, WITHOUT ROWID;

-- Interactions in each region, by day.
CREATE TABLE {series}interaction_rate_region_1d (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    topic TEXT NOT NULL,                 -- The topic that this part was folded from.
    partition INTEGER NOT NULL,          -- The partition that this part was folded from.
    interactions INTEGER,                -- How many interactions there were.
    field_impact_sum INTEGER,            -- The sum of field impact. Unit: millionths.
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) STRICT, WITHOUT ROWID;

-- How fast spores are made and passed on in each region, by minute.
CREATE TABLE {series}spore_velocity_1m (
    tenant TEXT NOT NULL,                -- The tenant.
    region_id TEXT NOT NULL,             -- The region, or '' where the event names none.
    window_start INTEGER NOT NULL,       -- The start of the window in event time.
    topic TEXT NOT NULL,                 -- The topic that this part was folded from.
    partition INTEGER NOT NULL,          -- The partition that this part was folded from.
    created INTEGER,                     -- How many spores were created.
    propagated INTEGER,                  -- How many times a spore was passed on.
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) STRICT, WITHOUT ROWID;

-- Every region in a span of time. It has few rows per event, so it is cheap here; the other series are asked by region.
CREATE INDEX {series}field_coherence_1m_by_time ON {series}field_coherence_1m (tenant, window_start);
