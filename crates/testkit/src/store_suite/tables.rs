//! Tables that exist for the suite: every merge kind, every type, every shape of key.

use domain::table::{Column, KeyColumn, KeyType, Merge, StateKind, Table, Type};
use domain::{Folded, Projection, Topic};

/// The projection of the suite's tables. Nothing folds into it.
pub static SUITE: Projection = PROJECTION;

const PROJECTION: Projection = Projection {
    name: "suite",
    version: 1,
    topics: TOPICS,
    tables: &[&NUMBERS, &KINDS, &PARTS, &SETS, &FACTS],
    fold: |_, _| Folded::Ignored,
    derive: None,
};

const TOPICS: &[Topic] = &[Topic::SacredMessages];
const TENANT: KeyColumn = KeyColumn { name: "tenant", ty: KeyType::Text, doc: "The tenant." };
const NAME: KeyColumn = KeyColumn { name: "name", ty: KeyType::Text, doc: "A text." };
const ID: KeyColumn = KeyColumn { name: "id", ty: KeyType::Uuid, doc: "A UUID." };
const NUMBER: KeyColumn = KeyColumn { name: "number", ty: KeyType::Int, doc: "A number." };
const AT: KeyColumn = KeyColumn { name: "window_start", ty: KeyType::TimeUs, doc: "A time." };

const fn column(name: &'static str, ty: Type, merge: Merge) -> Column {
    Column::new(name, ty, merge, "A column of the suite.")
}

/// One sum.
pub static NUMBERS: Table = Table {
    name: "numbers",
    ix: 0,
    topics: TOPICS,
    partial: false,
    key: &[TENANT, NAME],
    columns: &[column("total", Type::Int, Merge::Sum)],
    rollup: None,
    doc: "One sum.",
};

/// Every merge kind that needs no loading, with every type it may have; wide.
pub static KINDS: Table = Table {
    name: "kinds",
    ix: 1,
    topics: TOPICS,
    partial: false,
    key: &[TENANT, NAME, ID, NUMBER, AT],
    columns: &[
        column("once_text", Type::Text, Merge::Once),
        column("once_json", Type::Json, Merge::Once),
        column("once_double", Type::Double, Merge::Once),
        column("once_bytes", Type::Bytes, Merge::Once),
        column("once_uuid", Type::Uuid, Merge::Once),
        column("sum_int", Type::Int, Merge::Sum),
        column("sum_fixed", Type::Fixed, Merge::Sum),
        column("min_int", Type::Int, Merge::Min),
        column("min_time", Type::TimeUs, Merge::Min),
        column("max_time", Type::TimeUs, Merge::Max),
        column("max_fixed", Type::Fixed, Merge::Max),
        column("bits", Type::Bits, Merge::Or),
        column("latest_text", Type::Text, Merge::Latest),
        column("latest_json", Type::Json, Merge::Latest),
        column("latest_int", Type::Int, Merge::Latest),
        column("latest_double", Type::Double, Merge::Latest),
        column("latest_bytes", Type::Bytes, Merge::Latest),
        column("latest_uuid", Type::Uuid, Merge::Latest),
    ],
    rollup: None,
    doc: "Every merge kind that the store can do itself.",
};

/// A partial table without state; narrow.
pub static PARTS: Table = Table {
    name: "parts",
    ix: 2,
    topics: TOPICS,
    partial: true,
    key: &[TENANT, AT],
    columns: &[
        column("total", Type::Int, Merge::Sum),
        column("peak", Type::Fixed, Merge::Max),
        column("minutes", Type::Bits, Merge::Or),
    ],
    rollup: None,
    doc: "Parts that are merged blind.",
};

/// A partial table with a state: rows are loaded, merged and replaced.
pub static SETS: Table = Table {
    name: "sets",
    ix: 3,
    topics: TOPICS,
    partial: true,
    key: &[TENANT, AT],
    columns: &[
        column("total", Type::Int, Merge::Sum),
        column("first_at", Type::TimeUs, Merge::Min),
        column("members_state", Type::Bytes, Merge::State(StateKind::Distinct)),
        column("members", Type::Int, Merge::CountOf("members_state")),
        column("mood", Type::Text, Merge::Latest),
    ],
    rollup: None,
    doc: "Parts with a set.",
};

/// A table that is only ever written once per row.
pub static FACTS: Table = Table {
    name: "facts",
    ix: 4,
    topics: TOPICS,
    partial: false,
    key: &[TENANT, ID, NUMBER],
    columns: &[
        column("text", Type::Text, Merge::Once),
        column("double", Type::Double, Merge::Once),
        column("bytes", Type::Bytes, Merge::Once),
        column("at", Type::TimeUs, Merge::Once),
    ],
    rollup: None,
    doc: "Facts.",
};

/// The suite's projection by value, to vary it.
#[must_use]
pub const fn suite() -> Projection {
    PROJECTION
}
