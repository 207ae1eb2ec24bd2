-- The series: windows over event time.
-- {series} stands for what the names of the projection's tables begin with, such as series_v1_. Columns, keys and types follow
-- the declarations in crates/domain/src/tables/series.rs; a test holds this file against them. Their sentences become
-- comments when migrations are applied. A column <name>_stamp says which write of <name> won. Text compares by its bytes,
-- so that all stores order keys alike and any two columns can be joined; JSON is kept as it came.

-- How each region resonates, by minute.
CREATE TABLE {series}field_coherence_1m (
    tenant text COLLATE "C" NOT NULL,
    region_id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    heartbeats bigint,
    reports bigint,
    coherence_sum bigint,
    coherence_peak bigint,
    agents_state bytea,
    agents bigint,
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) {by_month:window_start};
SELECT store_by_month('{series}field_coherence_1m', 'window_start', 'tenant, region_id');

-- How each region resonates, by hour.
CREATE TABLE {series}field_coherence_1h (
    tenant text COLLATE "C" NOT NULL,
    region_id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    heartbeats bigint,
    reports bigint,
    coherence_sum bigint,
    coherence_peak bigint,
    agents_state bytea,
    agents bigint,
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) {by_month:window_start};
SELECT store_by_month('{series}field_coherence_1h', 'window_start', 'tenant, region_id');

-- How each region resonates, by day.
CREATE TABLE {series}field_coherence_1d (
    tenant text COLLATE "C" NOT NULL,
    region_id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    heartbeats bigint,
    reports bigint,
    coherence_sum bigint,
    coherence_peak bigint,
    agents_state bytea,
    agents bigint,
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) {by_month:window_start};
SELECT store_by_month('{series}field_coherence_1d', 'window_start', 'tenant, region_id');

-- Interactions that each agent began, by minute.
CREATE TABLE {series}interaction_rate_agent_1m (
    tenant text COLLATE "C" NOT NULL,
    region_id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    interactions bigint,
    field_impact_sum bigint,
    PRIMARY KEY (tenant, region_id, window_start, agent_id)
) {by_month:window_start};
SELECT store_by_month('{series}interaction_rate_agent_1m', 'window_start', 'tenant, region_id');

-- Interactions that each agent began, by hour.
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

-- Interactions that each agent began, by day.
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

-- Interactions in each region, by minute.
CREATE TABLE {series}interaction_rate_region_1m (
    tenant text COLLATE "C" NOT NULL,
    region_id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    interactions bigint,
    field_impact_sum bigint,
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) {by_month:window_start};
SELECT store_by_month('{series}interaction_rate_region_1m', 'window_start', 'tenant, region_id');

-- Interactions in each region, by hour.
CREATE TABLE {series}interaction_rate_region_1h (
    tenant text COLLATE "C" NOT NULL,
    region_id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    interactions bigint,
    field_impact_sum bigint,
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) {by_month:window_start};
SELECT store_by_month('{series}interaction_rate_region_1h', 'window_start', 'tenant, region_id');

-- Interactions in each region, by day.
CREATE TABLE {series}interaction_rate_region_1d (
    tenant text COLLATE "C" NOT NULL,
    region_id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    interactions bigint,
    field_impact_sum bigint,
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) {by_month:window_start};
SELECT store_by_month('{series}interaction_rate_region_1d', 'window_start', 'tenant, region_id');

-- How fast spores are made and passed on in each region, by minute.
CREATE TABLE {series}spore_velocity_1m (
    tenant text COLLATE "C" NOT NULL,
    region_id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    created bigint,
    propagated bigint,
    PRIMARY KEY (tenant, region_id, window_start, topic, partition)
) {by_month:window_start};
SELECT store_by_month('{series}spore_velocity_1m', 'window_start', 'tenant, region_id');

-- Every region in a span of time. It has few rows per event, so it is cheap here; the other series are asked by region.
CREATE INDEX {series}field_coherence_1m_by_time ON {series}field_coherence_1m (tenant, window_start);
