//! How a table is declared: once, here in the domain, with how each column merges.
//!
//! Everything else follows from the declaration: the in-memory merge, the upsert and load statements of each
//! store, the canonical row of the digest, the erasure list and the data dictionary.

use crate::fixed::Quantity;
use crate::topic::Topic;

/// The type of a key column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// Text without NUL.
    Text,
    /// An integer.
    Int,
    /// Microseconds since 1970-01-01 UTC.
    TimeUs,
    /// A UUID.
    Uuid,
}

/// A column of a table's key.
#[derive(Clone, Copy, Debug)]
pub struct KeyColumn {
    /// The column's name.
    pub name: &'static str,
    /// The column's type.
    pub ty: KeyType,
    /// One sentence for the data dictionary.
    pub doc: &'static str,
}

/// The type of a value column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    Text,
    /// A JSON document as text.
    Json,
    /// A 64-bit integer.
    Int,
    /// Microseconds since 1970-01-01 UTC.
    TimeUs,
    /// A fixed-point number, in the units of the column's [`Column::quantity`].
    Fixed,
    /// A double that is copied, never summed.
    Double,
    /// Bytes.
    Bytes,
    /// A bit map, most significant bit first.
    Bits,
    /// A UUID.
    Uuid,
}

/// How a column of two rows of the same key becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Written by the creating event: the earlier value stays.
    Once,
    /// The values are added; null counts as 0.
    Sum,
    /// The smaller value.
    Min,
    /// The larger value.
    Max,
    /// The bits of both maps.
    Or,
    /// The value with the larger stamp; the stamp lies in the column `<name>_stamp`.
    Latest,
    /// A mergeable state that the store cannot merge itself: loaded, merged here, replaced.
    State(StateKind),
    /// The number of members of the state column of that name; derived, never merged.
    CountOf(&'static str),
}

/// The kinds of mergeable state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKind {
    /// A set of 64-bit hashes, see [`crate::distinct`].
    Distinct,
}

/// A value column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The column's name.
    pub name: &'static str,
    /// The column's type.
    pub ty: Type,
    /// How it merges.
    pub merge: Merge,
    /// The unit of the value, or "" where it has none.
    pub unit: &'static str,
    /// Scale and bound of what one event adds or gives. Every declared sum and every fixed-point column states it: see
    /// [`Column::is_safe`].
    pub quantity: Option<Quantity>,
    /// Whether the value is personal data: erased with its subject.
    pub personal: bool,
    /// One sentence for the data dictionary.
    pub doc: &'static str,
}

impl Column {
    /// A column that is not personal and has no unit.
    #[must_use]
    pub const fn new(name: &'static str, ty: Type, merge: Merge, doc: &'static str) -> Self {
        Self { name, ty, merge, unit: "", quantity: None, personal: false, doc }
    }

    /// States the unit.
    #[must_use]
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// States scale and bound of what one event adds.
    #[must_use]
    pub const fn quantity(mut self, quantity: Quantity) -> Self {
        self.quantity = Some(quantity);
        self
    }

    /// Whether no sum of this column can overflow, and its fixed point has a scale: held at compile time for every
    /// declared table (see [`crate::tables`]).
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        match self.quantity {
            Some(quantity) => quantity.fits(),
            None => !matches!(self.merge, Merge::Sum) && !matches!(self.ty, Type::Fixed),
        }
    }

    /// Marks the value as personal data.
    #[must_use]
    pub const fn personal(mut self) -> Self {
        self.personal = true;
        self
    }
}

/// A declared table.
#[derive(Debug)]
pub struct Table {
    /// The table's name.
    pub name: &'static str,
    /// Its place in its projection's list of tables.
    pub ix: usize,
    /// The topics whose events write it.
    pub topics: &'static [Topic],
    /// Whether the key does not contain the topic's record key: then each (topic, partition) writes rows of
    /// its own, with those two columns at the end of the key, and readers merge them (I3).
    pub partial: bool,
    /// The key, in order.
    pub key: &'static [KeyColumn],
    /// The value columns, in order.
    pub columns: &'static [Column],
    /// The coarser table that this one adds up to: the events of a row here are those of a row there as well, and a
    /// fold writes the finest table alone.
    pub rollup: Option<Rollup>,
    /// One sentence for the data dictionary.
    pub doc: &'static str,
}

/// How rows of one window add up to rows of a larger one: same columns, and the same key but for the first time in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollup {
    /// The place of the coarser table in the projection's list: behind this one.
    pub into: usize,
    /// The size of its windows.
    pub size_us: i64,
}

/// The two columns that end the key of a partial table.
pub const PARTIAL_KEY: [KeyColumn; 2] = [
    KeyColumn { name: "topic", ty: KeyType::Text, doc: "The topic that this part was folded from." },
    KeyColumn { name: "partition", ty: KeyType::Int, doc: "The partition that this part was folded from." },
];

impl Table {
    /// The columns of the stored key: the declared ones, and for a partial table topic and partition.
    pub fn stored_key(&self) -> impl Iterator<Item = &'static KeyColumn> {
        let parts: &'static [KeyColumn] = if self.partial { &PARTIAL_KEY } else { &[] };
        self.key.iter().chain(parts)
    }

    /// Whether rows must be loaded before they can be merged.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.columns.iter().any(|column| matches!(column.merge, Merge::State(_)))
    }

    /// The stored value columns: each declared column, and behind a `latest` one its stamp.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.columns.iter().flat_map(|column| {
            let stamp = matches!(column.merge, Merge::Latest).then_some(Slot { column, stamp: true });
            std::iter::once(Slot { column, stamp: false }).chain(stamp)
        })
    }
}

/// One stored value column.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The declared column.
    pub column: &'static Column,
    /// Whether this is the stamp of the column rather than its value.
    pub stamp: bool,
}

impl Slot {
    /// The name of the stored column.
    #[must_use]
    pub fn name(&self) -> String {
        if self.stamp { format!("{}_stamp", self.column.name) } else { self.column.name.to_owned() }
    }

    /// The type of the stored column.
    #[must_use]
    pub const fn ty(&self) -> Type {
        if self.stamp { Type::Bytes } else { self.column.ty }
    }

    /// The stored column in one sentence, with its unit.
    #[must_use]
    pub fn doc(&self) -> String {
        match (self.stamp, self.column.unit) {
            (true, _) => format!("The stamp of {}.", self.column.name),
            (false, "") => self.column.doc.to_owned(),
            (false, unit) => format!("{} Unit: {unit}.", self.column.doc),
        }
    }
}
