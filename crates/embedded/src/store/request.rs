//! Statements, from the declarations.

use super::schema::physical_name;
use domain::Projection;
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::projection::prefix;
use domain::table::{KeyColumn, Merge, Slot, Table};

/// The statements of one table.
#[derive(Debug)]
pub(super) struct TableSql {
    /// The stored key.
    pub key: Vec<&'static KeyColumn>,
    /// Whether rows arrive whole and are replaced.
    replace: bool,
    /// The physical name.
    name: String,
    slots: Vec<Slot>,
    /// Reads the slots of the row under a key.
    pub load: String,
    /// Reads all rows, key then slots, in key order.
    pub scan: String,
}

/// The statements of a projection, by the place of the table.
#[derive(Debug)]
pub(super) struct ProjectionSql(Vec<TableSql>);

impl ProjectionSql {
    pub(super) fn new(projection: &Projection) -> Self {
        Self(projection.tables.iter().map(|table| TableSql::new(&physical_name(projection, table), table)).collect())
    }

    /// For deltas that do not name their projection.
    pub(super) fn of_deltas(name: &str, version: u32, deltas: &Deltas) -> Self {
        let prefix = prefix(name, version);
        let table = |table: &'static Table| TableSql::new(&format!("{prefix}{}", table.name), table);
        Self(deltas.tables().iter().map(|delta| table(delta.table())).collect())
    }

    pub(super) fn table(&self, table: &Table) -> &TableSql {
        &self.0[table.ix]
    }
}

impl TableSql {
    pub(super) fn new(name: &str, table: &'static Table) -> Self {
        let key: Vec<&'static KeyColumn> = table.stored_key().collect();
        let keys: Vec<&str> = key.iter().map(|column| column.name).collect();
        let slots: Vec<Slot> = table.slots().collect();
        let names: Vec<String> = slots.iter().map(Slot::name).collect();
        let (keys_list, slots_list) = (keys.join(", "), names.join(", "));
        let equals: Vec<String> = keys.iter().map(|key| format!("{key} = ?")).collect();
        Self {
            load: format!("SELECT {slots_list} FROM {name} WHERE {}", equals.join(" AND ")),
            scan: format!("SELECT {keys_list}, {slots_list} FROM {name} ORDER BY {keys_list}"),
            replace: table.has_state(),
            name: name.to_owned(),
            key,
            slots,
        }
    }

    /// The physical name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Writes one row: its key, then the slots that are touched.
    pub(super) fn upsert(&self, touched: Touched) -> String {
        let keys: Vec<&str> = self.key.iter().map(|column| column.name).collect();
        let slots: Vec<(Slot, String)> = touched.of(&self.slots).map(|slot| (*slot, slot.name())).collect();
        let names: Vec<&str> = keys.iter().copied().chain(slots.iter().map(|(_, name)| name.as_str())).collect();
        let set: Vec<String> =
            slots.iter().map(|(slot, name)| format!("{name} = {}", merged(*slot, name, self.replace))).collect();
        format!(
            "INSERT INTO {} AS t ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
            self.name,
            names.join(", "),
            vec!["?"; names.len()].join(", "),
            keys.join(", "),
            set.join(", ")
        )
    }

    /// The slots that a row touches. Null means "not touched", but in rows that are replaced, and in a register
    /// with a stamp. Narrow rows are not looked at: they are written whole.
    pub(super) fn touched(&self, cells: &[Cell]) -> Touched {
        if self.replace || cells.len() <= NARROW || cells.len() > Touched::MOST {
            return Touched::ALL;
        }
        let mut touched = 0;
        for (ix, slot) in self.slots.iter().enumerate() {
            let decides = if slot.column.merge == Merge::Latest && !slot.stamp { &cells[ix + 1] } else { &cells[ix] };
            touched |= u128::from(!decides.is_null()) << ix;
        }
        if touched == 0 { Touched::ALL } else { Touched(touched) }
    }
}

/// Rows of up to so many slots are written whole.
const NARROW: usize = 8;

/// A set of slots: a wide row mostly touches few, and only those are written and merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Touched(u128);

impl Touched {
    const MOST: usize = 128;
    /// Every slot.
    pub(super) const ALL: Self = Self(u128::MAX);

    /// Those of the items, one per slot, whose slot is touched.
    pub(super) fn of<T>(self, items: &[T]) -> impl Iterator<Item = &T> {
        items
            .iter()
            .enumerate()
            .filter(move |(ix, _)| self.0 == u128::MAX || self.0 >> ix & 1 == 1)
            .map(|(_, item)| item)
    }
}

/// The value of a stored column after a conflict: `t` is the row that is there, `excluded` the delta. Null means
/// "not touched" in every merge kind but a register, where a stamp says that null was written.
fn merged(slot: Slot, name: &str, replace: bool) -> String {
    if replace {
        return format!("excluded.{name}");
    }
    match slot.column.merge {
        Merge::Once => format!("coalesce(t.{name}, excluded.{name})"),
        Merge::Sum => format!("coalesce(t.{name} + excluded.{name}, t.{name}, excluded.{name})"),
        Merge::Min => format!("coalesce(min(t.{name}, excluded.{name}), t.{name}, excluded.{name})"),
        Merge::Max => format!("coalesce(max(t.{name}, excluded.{name}), t.{name}, excluded.{name})"),
        Merge::Or => format!("or_bits(t.{name}, excluded.{name})"),
        Merge::Latest => {
            let stamp = Slot { stamp: true, ..slot }.name();
            format!("CASE WHEN excluded.{stamp} > coalesce(t.{stamp}, x'') THEN excluded.{name} ELSE t.{name} END")
        }
        Merge::State(_) | Merge::CountOf(_) => format!("excluded.{name}"),
    }
}
