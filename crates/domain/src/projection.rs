//! A projection: a named set of tables, the topics it reads, and the pure fold from one to the other.

use crate::delta::Deltas;
use crate::event::{Event, EventKind};
use crate::table::Table;
use crate::topic::Topic;

/// What a fold did with a valid event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folded {
    /// It changed rows.
    Applied,
    /// No table of this projection is written by it.
    Ignored,
}

/// Receives the events that an event gives rise to.
pub type Emit<'e> = dyn FnMut(&Event<'_>) + 'e;

/// Who derives an event, and from what: repeats carry the same sequence number, so that they are dropped.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// `projection/topic.generation/partition` of the causing event, without the projection's version: a rebuilt version
    /// derives the same events. Only derived kinds may bear such an id (validity checks both ways).
    pub producer_id: &'a str,
    /// The causing offset times [`DERIVED_PER_EVENT`]: the number of slot 0.
    pub first_seq: i64,
}

impl Origin<'_> {
    /// The sequence number of the derived event in that slot (see [`DERIVED_SLOTS`]).
    #[must_use]
    pub const fn seq(&self, slot: i64) -> i64 {
        self.first_seq.saturating_add(slot)
    }
}

/// The slots of one causing event: the sequence number of a derived event is the causing offset times this, and its slot.
pub const DERIVED_PER_EVENT: i64 = 16;

/// The slot of each derived kind, for ever: what an older build derived must meet the numbers of a newer one, or its
/// repeats would count twice. A new kind takes the next free slot; none is given away again.
pub const DERIVED_SLOTS: &[(EventKind, i64)] = &[(EventKind::Contributed, 0), (EventKind::WisdomCrystallized, 1)];

/// A declared projection.
#[derive(Debug)]
pub struct Projection {
    /// The name: also its consumer group.
    pub name: &'static str,
    /// The version of its tables.
    pub version: u32,
    /// The topics it reads.
    pub topics: &'static [Topic],
    /// Its tables; a table's `ix` is its place here.
    pub tables: &'static [&'static Table],
    /// Folds one valid event into row deltas. Reads neither partition, offset, log time nor clock (I10).
    pub fold: fn(&Event<'_>, &mut Deltas) -> Folded,
    /// The events that one applied event gives rise to, if any; computed per causing event.
    pub derive: Option<fn(&Event<'_>, Origin<'_>, &mut Emit<'_>)>,
}

/// The projections and the records, by the names of their consumer groups.
pub static PROJECTIONS: &[&Projection] =
    &[&crate::fold::records::RECORDS, &crate::fold::views::VIEWS, &crate::fold::series::SERIES];

/// Fails to compile where the sum of a declared table could overflow, or where its column states no scale and bound.
const _: () = assert_columns_are_safe(PROJECTIONS);

const fn assert_columns_are_safe(projections: &[&Projection]) {
    let mut projection = 0;
    while projection < projections.len() {
        let tables = projections[projection].tables;
        let mut table = 0;
        while table < tables.len() {
            let columns = tables[table].columns;
            let mut column = 0;
            while column < columns.len() {
                assert!(columns[column].is_safe(), "a summed or fixed-point column lacks a `quantity` that fits");
                column += 1;
            }
            table += 1;
        }
        projection += 1;
    }
}

/// Whether a producer's id is one of those that projections derive events under: `projection/...`.
#[must_use]
pub fn is_deriving_producer(producer_id: &str) -> bool {
    let Some((name, _)) = producer_id.split_once('/') else { return false };
    PROJECTIONS.iter().any(|projection| projection.name == name)
}

/// What the physical names of a projection's tables begin with, in every store: `views_v1_`.
#[must_use]
pub fn prefix(name: &str, version: u32) -> String {
    format!("{name}_v{version}_")
}

/// The physical name of a table: `{projection}_v{version}_{table}`.
#[must_use]
pub fn physical_name(projection: &Projection, table: &Table) -> String {
    format!("{}{}", prefix(projection.name, projection.version), table.name)
}

impl Projection {
    /// The declared projection of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Projection> {
        PROJECTIONS.iter().copied().find(|projection| projection.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, Merge, Type};

    /// A slot that moved would let the repeats of what an older build derived count again: this list only grows.
    #[test]
    fn derived_slots_are_unique_and_never_move() {
        assert_eq!(DERIVED_SLOTS, [(EventKind::Contributed, 0), (EventKind::WisdomCrystallized, 1)]);
        for (ix, (kind, slot)) in DERIVED_SLOTS.iter().enumerate() {
            assert!(kind.derived() && (0..DERIVED_PER_EVENT).contains(slot), "{kind}");
            assert!(DERIVED_SLOTS[..ix].iter().all(|(other, taken)| other != kind && taken != slot), "{kind}");
        }
        let derived = EventKind::ALL.iter().filter(|kind| kind.derived());
        assert!(derived.clone().all(|kind| kind.derived_slot().is_some()));
        assert_eq!(derived.count(), DERIVED_SLOTS.len());
        assert_eq!(EventKind::SporeCreated.derived_slot(), None);
    }

    #[test]
    fn deriving_producers_are_known_by_the_projections_name() {
        for id in ["views/spore.created.1/3", "series/x", "records/"] {
            assert!(is_deriving_producer(id), "{id}");
        }
        for id in ["views", "viewsx/1", "gateway/views/1", "import/ab12", "", "/views/"] {
            assert!(!is_deriving_producer(id), "{id}");
        }
    }

    /// I10: the guard behind the assertion at compile time.
    #[test]
    fn a_sum_without_a_bound_is_not_safe() {
        let sum = Column::new("credits_sum", Type::Fixed, Merge::Sum, "A sum.");
        assert!(!sum.is_safe());
        assert!(!Column::new("n", Type::Int, Merge::Sum, "A count.").is_safe());
        assert!(!Column::new("peak", Type::Fixed, Merge::Max, "A peak.").is_safe());
        assert!(!sum.quantity(crate::fixed::Quantity { scale: 1_000_000, bound: 1_000_000_000 }).is_safe());
        assert!(sum.quantity(crate::fixed::MONEY).is_safe());
        assert!(Column::new("text", Type::Text, Merge::Once, "A text.").is_safe());
    }

    #[test]
    fn units_name_the_scale_of_their_column() {
        for table in PROJECTIONS.iter().flat_map(|projection| projection.tables) {
            for column in table.columns.iter().filter(|column| column.ty == Type::Fixed) {
                let named = match column.quantity.map(|quantity| quantity.scale) {
                    Some(1_000_000) => "millionths",
                    Some(100) => "hundredths",
                    other => panic!("{}.{}: {other:?} units per one have no name", table.name, column.name),
                };
                assert!(column.unit.starts_with(named), "{}.{}: {}", table.name, column.name, column.unit);
            }
        }
    }
}
