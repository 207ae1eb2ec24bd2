//! Statements over the tables that no projection declares: positions, settings, sequences of
//! producers, dead records.
//!
//! Every one of those tables begins its key with projection, version, topic, generation and
//! partition. `$1` is the projection and `$2` its version everywhere; `$3` and `$4` are topics and
//! partitions, an array each or one of each.

use pipeline::position::GENERATION;
use std::sync::LazyLock;

/// What a commit writes of a position, in the order of its parameters behind the first six.
pub(crate) const ADVANCED: [&str; 16] = [
    "first_offset",
    "next_offset",
    "watermark_us",
    "max_append_us",
    "last_offset",
    "last_append_us",
    "last_leader_epoch",
    "window_from",
    "applied",
    "duplicate",
    "behind",
    "ignored",
    "unknown",
    "dead",
    "holes",
    "lost",
];

/// The key of a position without the partition, which differs from row to row.
const OF_VERSION: &str = "projection = $1::text AND version = $2::bigint";

/// The partition of one statement.
fn of_partition() -> String {
    format!("{OF_VERSION} AND topic = $3::text AND generation = {GENERATION} AND partition = $4::bigint")
}

/// The columns that [`crate::position::read_held`] reads.
fn held_columns() -> String {
    format!(
        "topic, partition, epoch, cluster_id, topic_id, partition_count, \
         parked_cause, parked_offset, parked_text, parked_since_us, {}",
        ADVANCED.join(", ")
    )
}

/// Claims partitions: `$5` cluster ids, `$6` topic ids, `$7` partition counts. In the order of the
/// position's key, as everything that locks several positions. The log of a claim is stored where
/// there is no position that belongs to one.
pub(crate) static CLAIM: LazyLock<String> = LazyLock::new(|| {
    let kept =
        |column| format!("{column} = CASE WHEN p.next_offset IS NULL THEN excluded.{column} ELSE p.{column} END");
    format!(
        "INSERT INTO position AS p (projection, version, topic, generation, partition, epoch,
            cluster_id, topic_id, partition_count)
         SELECT $1::text, $2::bigint, k.topic, {GENERATION}, k.partition, 1, k.cluster_id, k.topic_id, k.partition_count
         FROM unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[])
            AS k (topic, partition, cluster_id, topic_id, partition_count)
         ORDER BY k.topic COLLATE \"C\", k.partition
         ON CONFLICT (projection, version, topic, generation, partition) DO UPDATE SET epoch = p.epoch + 1, {}, {}, {},
            parked_cause = NULL, parked_offset = NULL, parked_text = NULL, parked_since_us = NULL
         RETURNING {}",
        kept("cluster_id"),
        kept("topic_id"),
        kept("partition_count"),
        held_columns()
    )
});

/// Reads positions of some partitions.
pub(crate) static POSITIONS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM position JOIN unnest($3::text[], $4::bigint[]) AS k (topic, partition) USING (topic, partition)
         WHERE {OF_VERSION} AND generation = {GENERATION}",
        held_columns()
    )
});

/// Reads all positions of a projection's version, and what is parked before it has one.
pub(crate) static ALL_POSITIONS: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {} FROM position WHERE {OF_VERSION} AND generation = {GENERATION}", held_columns())
});

/// Notes that a partition is parked: `$5` cause, `$6` offset, `$7` text, `$8` since when.
pub(crate) static NOTE_PARKED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO position (projection, version, topic, generation, partition, epoch,
            parked_cause, parked_offset, parked_text, parked_since_us)
         VALUES ($1::text, $2::bigint, $3::text, {GENERATION}, $4::bigint, 0,
            $5::text, $6::bigint, $7::text, $8::bigint)
         ON CONFLICT (projection, version, topic, generation, partition) DO UPDATE SET
            parked_cause = excluded.parked_cause, parked_offset = excluded.parked_offset,
            parked_text = excluded.parked_text, parked_since_us = excluded.parked_since_us"
    )
});

/// Moves positions that are where the worker left them and still the worker's (I3), and returns
/// them. The rows are locked in key order first, so that two workers never wait for each other.
/// `$5` the epochs, `$6` the old offsets (null: claimed but never read), from `$7` on the new
/// values of [`ADVANCED`].
pub(crate) static ADVANCE: LazyLock<String> = LazyLock::new(|| {
    let arrays: Vec<String> = (0..ADVANCED.len()).map(|ix| format!("${}::bigint[]", ix + 7)).collect();
    let set: Vec<String> = ADVANCED.iter().map(|column| format!("{column} = f.{column}")).collect();
    format!(
        "WITH flush AS MATERIALIZED (
            SELECT * FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], {})
            AS f (topic, partition, epoch, old, {})
        ), locked AS MATERIALIZED (
            SELECT p.topic, p.partition FROM position AS p JOIN flush AS f USING (topic, partition)
            WHERE p.projection = $1::text AND p.version = $2::bigint AND p.generation = {GENERATION}
            ORDER BY p.topic, p.partition FOR NO KEY UPDATE OF p
        )
        UPDATE position AS p SET {}
        FROM flush AS f JOIN locked USING (topic, partition)
        WHERE p.projection = $1::text AND p.version = $2::bigint AND p.topic = f.topic
            AND p.generation = {GENERATION} AND p.partition = f.partition
            AND p.epoch = f.epoch AND p.next_offset IS NOT DISTINCT FROM f.old
        RETURNING p.topic, p.partition",
        arrays.join(", "),
        ADVANCED.join(", "),
        set.join(", ")
    )
});

/// The rules stored with a projection's version.
pub(crate) const SETTINGS: &str =
    "SELECT dedup_window_ms, dedup_max_records FROM projection WHERE name = $1::text AND version = $2::bigint";

/// Stores rules where there are none: `$3` window, `$4` records. Who comes second changes nothing.
pub(crate) const STORE_SETTINGS: &str = "INSERT INTO projection (name, version, dedup_window_ms, dedup_max_records)
    VALUES ($1::text, $2::bigint, $3::bigint, $4::bigint) ON CONFLICT (name, version) DO NOTHING";

/// Reads the sequences of producers on a partition: `$5` tenants, `$6` producers; with each its
/// place, counted from 1.
pub(crate) static SEQUENCES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT k.place, p.floor, p.largest, p.minted_us, p.last_append_us, b.blocks, b.numbers
         FROM unnest($5::text[], $6::text[]) WITH ORDINALITY AS k (tenant, producer_id, place)
         JOIN producer AS p USING (tenant, producer_id)
         CROSS JOIN LATERAL (
            SELECT array_agg(b.block ORDER BY b.block) AS blocks, array_agg(b.numbers ORDER BY b.block) AS numbers
            FROM producer_block AS b
            WHERE b.projection = p.projection AND b.version = p.version AND b.topic = p.topic
                AND b.generation = p.generation AND b.partition = p.partition
                AND b.tenant = p.tenant AND b.producer_id = p.producer_id
         ) AS b
         WHERE p.projection = $1::text AND p.version = $2::bigint AND p.topic = $3::text
            AND p.generation = {GENERATION} AND p.partition = $4::bigint"
    )
});

/// Replaces the heads of sequences: `$3` topics, `$4` partitions, `$5` tenants, `$6` producers,
/// `$7` floors, `$8` largest numbers, `$9` times minted, `$10` append times. In the order of the
/// key, as they come.
pub(crate) static PUT_HEADS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO producer (projection, version, topic, generation, partition, tenant, producer_id,
            floor, largest, minted_us, last_append_us)
         SELECT $1::text, $2::bigint, h.topic, {GENERATION}, h.partition, h.tenant, h.producer_id,
            h.floor, h.largest, h.minted_us, h.last_append_us
         FROM unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::bigint[]) AS h (topic, partition, tenant, producer_id, floor, largest, minted_us, last_append_us)
         ON CONFLICT (projection, version, topic, generation, partition, tenant, producer_id) DO UPDATE SET
            floor = excluded.floor, largest = excluded.largest, minted_us = excluded.minted_us,
            last_append_us = excluded.last_append_us"
    )
});

/// Replaces blocks of sequences: `$3` to `$6` as for [`PUT_HEADS`], `$7` blocks, `$8` numbers.
pub(crate) static PUT_BLOCKS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO producer_block (projection, version, topic, generation, partition, tenant, producer_id,
            block, numbers)
         SELECT $1::text, $2::bigint, b.topic, {GENERATION}, b.partition, b.tenant, b.producer_id, b.block, b.numbers
         FROM unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bytea[])
            AS b (topic, partition, tenant, producer_id, block, numbers)
         ON CONFLICT (projection, version, topic, generation, partition, tenant, producer_id, block) DO UPDATE SET
            numbers = excluded.numbers"
    )
});

/// Deletes the blocks of sequences below the first one that is left: `$3` to `$6` as for
/// [`PUT_HEADS`], `$7` blocks.
pub(crate) static DROP_BLOCKS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM producer_block AS b
         USING unnest($3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[])
            AS f (topic, partition, tenant, producer_id, first_block)
         WHERE b.projection = $1::text AND b.version = $2::bigint AND b.topic = f.topic AND b.generation = {GENERATION}
            AND b.partition = f.partition AND b.tenant = f.tenant AND b.producer_id = f.producer_id
            AND b.block < f.first_block"
    )
});

/// Forgets silent producers of a partition: `$5` the time before which a set shrinks to its floor,
/// `$6` the time before which the floor goes, too (null: never). A row that a commit has just
/// changed is looked at again, as it then is.
pub(crate) static FORGET: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH gone AS (
            DELETE FROM producer WHERE {0} AND last_append_us < $6::bigint RETURNING tenant, producer_id
         ), shrunk AS (
            UPDATE producer SET floor = largest
            WHERE {0} AND last_append_us < $5::bigint AND NOT coalesce(last_append_us < $6::bigint, false)
                AND floor IS DISTINCT FROM largest
            RETURNING tenant, producer_id
         )
         DELETE FROM producer_block AS b USING (SELECT * FROM gone UNION ALL SELECT * FROM shrunk) AS f
         WHERE {0} AND b.tenant = f.tenant AND b.producer_id = f.producer_id",
        of_partition()
    )
});

/// Remembers dead records: `$3` topics, `$4` partitions, `$5` offsets, `$6` append times, `$7`
/// reasons, `$8` hashes of values, `$9` hashes of ids. Where a position was taken back by hand, the
/// newer row stands.
pub(crate) static PUT_DEAD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO dead_record (projection, version, topic, generation, partition, \"offset\",
            append_us, reason, value_hash, id_hash)
         SELECT $1::text, $2::bigint, d.topic, {GENERATION}, d.partition, d.at, d.append_us, d.reason, d.value_hash,
            d.id_hash
         FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[])
            AS d (topic, partition, at, append_us, reason, value_hash, id_hash)
         ON CONFLICT (projection, version, topic, generation, partition, \"offset\") DO UPDATE SET
            append_us = excluded.append_us, reason = excluded.reason, value_hash = excluded.value_hash,
            id_hash = excluded.id_hash"
    )
});

/// The offsets of a partition's dead records, from `$5` to before `$6`.
pub(crate) static DEAD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT \"offset\" FROM dead_record WHERE {} AND \"offset\" >= $5::bigint AND \"offset\" < $6::bigint
         ORDER BY 1",
        of_partition()
    )
});

/// All dead records of a projection's version, by partition and offset.
pub(crate) static ALL_DEAD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT topic, partition, \"offset\", append_us, reason, value_hash, id_hash FROM dead_record
         WHERE {OF_VERSION} AND generation = {GENERATION} ORDER BY topic, partition, \"offset\""
    )
});
