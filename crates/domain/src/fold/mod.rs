//! The folds: one event gives row deltas. Pure; they read neither partition, offset, log time nor a clock (I10).

mod cells;
pub mod records;
pub mod series;
pub mod views;

use crate::event::Meta;
use crate::stamp::Stamp;

/// The stamp of the registers that an event writes.
fn stamp(meta: &Meta<'_>) -> Stamp {
    Stamp::new(meta.base_version, meta.love_resonance.clamp(0, 100) as u8, meta.occurred_at, meta.event_id)
}
