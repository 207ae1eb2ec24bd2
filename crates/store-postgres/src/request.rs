//! Statements, from the declarations.

use crate::schema::{key_type, month_key, physical_name};
use domain::Projection;
use domain::table::{KeyColumn, Merge, Slot, Table};

/// The statements of one table.
#[derive(Debug)]
pub(crate) struct TableSql {
    /// The physical name.
    pub name: String,
    /// The stored key.
    pub key: Vec<&'static KeyColumn>,
    /// The stored value columns.
    pub slots: Vec<Slot>,
    /// The place in the key of the time by whose month rows are partitioned.
    pub month: Option<usize>,
    /// Writes rows: one parameter, an array of the row type.
    pub upsert: String,
    /// Reads the slots of the rows under keys, a parameter per key column, in front of each the place of its key.
    pub load: String,
    /// Reads all rows, key then slots, in key order.
    pub scan: String,
}

/// The statements of a projection, by the place of the table.
#[derive(Debug)]
pub(crate) struct ProjectionSql {
    pub name: &'static str,
    pub version: u32,
    tables: Vec<TableSql>,
}

impl ProjectionSql {
    pub(crate) fn new(projection: &Projection) -> Self {
        let tables = projection.tables.iter().map(|table| TableSql::new(&physical_name(projection, table), table));
        Self { name: projection.name, version: projection.version, tables: tables.collect() }
    }

    pub(crate) fn table(&self, table: &Table) -> &TableSql {
        &self.tables[table.ix]
    }
}

impl TableSql {
    pub(crate) fn new(name: &str, table: &'static Table) -> Self {
        let key: Vec<&'static KeyColumn> = table.stored_key().collect();
        let slots: Vec<Slot> = table.slots().collect();
        let keys: Vec<&str> = key.iter().map(|column| column.name).collect();
        let names: Vec<String> = slots.iter().map(Slot::name).collect();
        let key_types = key.iter().map(|column| key_type(column.ty));
        let (keys_list, slots_list) = (keys.join(", "), names.join(", "));
        let replace = table.has_state();
        let set: Vec<String> =
            slots.iter().zip(&names).map(|(slot, name)| format!("{name} = {}", merged(*slot, name, replace))).collect();
        let equals: Vec<String> = keys.iter().map(|key| format!("t.{key} = k.{key}")).collect();
        let given: Vec<String> =
            keys.iter().copied().chain(names.iter().map(String::as_str)).map(|name| format!("r.{name}")).collect();
        let fields: Vec<String> = names.iter().map(|name| format!("t.{name}")).collect();
        Self {
            upsert: format!(
                "INSERT INTO {name} AS t ({keys_list}, {slots_list}) SELECT {} FROM unnest($1::{name}[]) AS r \
                 ON CONFLICT ({keys_list}) DO UPDATE SET {}",
                given.join(", "),
                set.join(", ")
            ),
            load: format!(
                "SELECT k.place, {} FROM unnest({}) WITH ORDINALITY AS k ({keys_list}, place) JOIN {name} AS t ON {}",
                fields.join(", "),
                arrays(key_types),
                equals.join(" AND ")
            ),
            scan: format!("SELECT {keys_list}, {slots_list} FROM {name} ORDER BY {keys_list}"),
            name: name.to_owned(),
            month: month_key(table),
            key,
            slots,
        }
    }
}

/// Parameters from `$1` on, each an array of that type.
fn arrays<'a>(types: impl Iterator<Item = &'a str>) -> String {
    let parameters: Vec<String> = types.enumerate().map(|(ix, ty)| format!("${}::{ty}[]", ix + 1)).collect();
    parameters.join(", ")
}

/// The value of a stored column after a conflict: `t` is the row that is there, `excluded` the delta. Null means
/// "not touched" in every merge kind but a register, where a stamp says that null was written. `least` and
/// `greatest` pass over nulls.
fn merged(slot: Slot, name: &str, replace: bool) -> String {
    if replace {
        return format!("excluded.{name}");
    }
    match slot.column.merge {
        Merge::Once => format!("coalesce(t.{name}, excluded.{name})"),
        Merge::Sum => format!("coalesce(t.{name} + excluded.{name}, t.{name}, excluded.{name})"),
        Merge::Min => format!("least(t.{name}, excluded.{name})"),
        Merge::Max => format!("greatest(t.{name}, excluded.{name})"),
        Merge::Or => format!("or_bits(t.{name}, excluded.{name})"),
        Merge::Latest if slot.stamp => format!("greatest(t.{name}, excluded.{name})"),
        Merge::Latest => {
            let stamp = Slot { stamp: true, ..slot }.name();
            format!("CASE WHEN excluded.{stamp} > coalesce(t.{stamp}, '') THEN excluded.{name} ELSE t.{name} END")
        }
        Merge::State(_) | Merge::CountOf(_) => format!("excluded.{name}"),
    }
}

const FIELDS: &str =
    "epoch, first_offset, next_offset, watermark_us, last_append_us, applied, duplicate, ignored, dead, holes";

/// Claims partitions: `$1` projection, `$2` version, `$3` topics, `$4` partitions. In the order of the position's key,
/// as everything that locks several positions.
pub(crate) fn claim() -> String {
    format!(
        "INSERT INTO position AS p (projection, version, topic, partition, epoch)
         SELECT $1::text, $2::bigint, k.topic, k.partition, 1 FROM unnest($3::text[], $4::bigint[]) AS k (topic, partition)
         ORDER BY k.topic COLLATE \"C\", k.partition
         ON CONFLICT (projection, version, topic, partition) DO UPDATE SET epoch = p.epoch + 1
         RETURNING topic, partition, {FIELDS}"
    )
}

/// Reads positions, parameters as for a claim.
pub(crate) fn positions() -> String {
    format!(
        "SELECT topic, partition, {FIELDS} FROM position
         JOIN unnest($3::text[], $4::bigint[]) AS k (topic, partition) USING (topic, partition)
         WHERE projection = $1::text AND version = $2::bigint"
    )
}

/// Reads all positions of a projection.
pub(crate) fn all_positions() -> String {
    format!("SELECT topic, partition, {FIELDS} FROM position WHERE projection = $1::text AND version = $2::bigint")
}

/// Moves positions that are where the worker left them and still the worker's (I3), and returns them. The rows are
/// locked in key order first, so that two workers never wait for each other. `$5` the epochs, `$6` the old offsets
/// (null: claimed but never read), from `$7` on the new values.
pub(crate) const ADVANCE: &str = "WITH flush AS MATERIALIZED (
    SELECT * FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
        $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
    AS f (topic, partition, epoch, old, first_offset, next_offset, watermark_us, last_append_us,
        applied, duplicate, ignored, dead, holes)
), locked AS MATERIALIZED (
    SELECT p.topic, p.partition FROM position AS p JOIN flush AS f USING (topic, partition)
    WHERE p.projection = $1::text AND p.version = $2::bigint
    ORDER BY p.topic, p.partition FOR NO KEY UPDATE OF p
)
UPDATE position AS p SET first_offset = f.first_offset, next_offset = f.next_offset, watermark_us = f.watermark_us,
    last_append_us = f.last_append_us, applied = f.applied, duplicate = f.duplicate, ignored = f.ignored,
    dead = f.dead, holes = f.holes
FROM flush AS f JOIN locked USING (topic, partition)
WHERE p.projection = $1::text AND p.version = $2::bigint AND p.topic = f.topic AND p.partition = f.partition
    AND p.epoch = f.epoch AND p.next_offset IS NOT DISTINCT FROM f.old
RETURNING p.topic, p.partition";

/// Reads marks: `$3` topic, `$4` partition, `$5` the producers.
pub(crate) const MARKS: &str = "SELECT producer_id, seq FROM producer
    WHERE projection = $1::text AND version = $2::bigint AND topic = $3::text AND partition = $4::bigint
    AND producer_id = ANY($5::text[])";

/// Raises marks: `$3` topics, `$4` partitions, `$5` producers, `$6` sequence numbers.
pub(crate) const RAISE_MARKS: &str =
    "INSERT INTO producer AS p (projection, version, topic, partition, producer_id, seq)
    SELECT $1::text, $2::bigint, m.topic, m.partition, m.producer_id, m.seq
    FROM unnest($3::text[], $4::bigint[], $5::text[], $6::bigint[]) AS m (topic, partition, producer_id, seq)
    ON CONFLICT (projection, version, topic, partition, producer_id)
    DO UPDATE SET seq = greatest(p.seq, excluded.seq)";
