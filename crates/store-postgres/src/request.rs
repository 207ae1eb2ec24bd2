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
