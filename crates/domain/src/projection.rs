//! A projection: a named set of tables, the topics it reads, and the pure fold from one to the other.

use crate::delta::Deltas;
use crate::event::Event;
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

/// Who derives an event, and from what: repeats carry the same sequence number, so the mark drops them.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// `projection/topic/partition` of the causing event.
    pub producer_id: &'a str,
    /// The sequence number of the first event derived; the next ones count on from it.
    pub first_seq: i64,
}

/// The number of events that one event may give rise to: sequence numbers are the causing offset times this.
pub const DERIVED_PER_EVENT: i64 = 16;

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
