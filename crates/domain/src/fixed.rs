//! Fixed-point numbers, and the scale and bound of every quantity that is summed.
//!
//! What is summed is an integer, so that sums do not depend on the order of the events (I10). A sum must not overflow
//! either: an overflow would be an error in one store, a double in another, and would come or not with the batches. So
//! each quantity states how large one event's part may be. Validity refuses what is larger, and the declarations are
//! held to leave room for [`EVENTS_MAX`] events (see [`crate::table::Column::quantity`]).

/// Events of the largest size that any sum must hold: no key of any table comes near it.
pub const EVENTS_MAX: i64 = 1_000_000_000;

/// A quantity that is stored in fixed point: the one place that states its scale and its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// Stored units per one.
    pub scale: i64,
    /// The largest absolute value in one event, in whole ones.
    pub bound: i64,
}

impl Quantity {
    const fn new(scale: i64, bound: i64) -> Self {
        Self { scale, bound }
    }

    /// The bound as validity compares it. Exact: every bound is far below 2^53.
    #[must_use]
    pub const fn max(self) -> f64 {
        self.bound as f64
    }

    /// A double in stored units, rounded half away from zero: of one event alone, so that no grouping of events changes
    /// what is rounded away. Inputs within the bound cannot overflow.
    #[must_use]
    pub fn units(self, value: f64) -> i64 {
        (value * self.scale as f64).round() as i64
    }

    /// Whether [`EVENTS_MAX`] events of the largest size fit a signed 64-bit sum.
    #[must_use]
    pub const fn fits(self) -> bool {
        let largest = self.bound as i128 * self.scale as i128 * EVENTS_MAX as i128;
        self.scale > 0 && self.bound > 0 && largest <= i64::MAX as i128
    }
}

const MILLIONTHS: i64 = 1_000_000;
const HUNDREDTHS: i64 = 100;

/// Events, counted one by one.
pub const COUNT: Quantity = Quantity::new(1, 1);
/// A part of one: resonance, weight, confidence, probabilities.
pub const SHARE: Quantity = Quantity::new(MILLIONTHS, 1);
/// Something measured from 0 to 100: coherence, magnitude, entropy.
pub const PERCENT: Quantity = Quantity::new(MILLIONTHS, 100);
/// A change of affection or trust.
pub const BOND_DELTA: Quantity = Quantity::new(MILLIONTHS, 100);
/// The impact of an interaction on its field; the efficiency of a coalition.
pub const IMPACT: Quantity = Quantity::new(MILLIONTHS, 1_000);
/// Variational free energy, the largest that millionths leave room for.
pub const FREE_ENERGY: Quantity = Quantity::new(MILLIONTHS, 9_000);
/// Credits, revenue and capital: money has two digits, and needs the room more than further ones.
pub const MONEY: Quantity = Quantity::new(HUNDREDTHS, 90_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    /// I10: what is rounded away depends on the event alone.
    #[test]
    fn units_round_half_away_from_zero() {
        for (value, units) in [(0.125, 13), (-0.125, -13), (0.124, 12), (1e-9, 0), (-90_000_000.0, -9_000_000_000)] {
            assert_eq!(MONEY.units(value), units, "{value}");
        }
        assert_eq!(FREE_ENERGY.units(9_000.0), 9_000_000_000);
    }

    #[test]
    fn fits_refuses_what_overflows_within_the_events_promised() {
        for quantity in [COUNT, SHARE, PERCENT, BOND_DELTA, IMPACT, FREE_ENERGY, MONEY] {
            assert!(quantity.fits(), "{quantity:?}");
        }
        // Credits as they were: millionths, up to 1e9.
        for quantity in [
            Quantity::new(MILLIONTHS, 1_000_000_000),
            Quantity::new(MILLIONTHS, 9_300),
            Quantity::new(HUNDREDTHS, 93_000_000),
            Quantity::new(0, 1),
            Quantity::new(1, 0),
        ] {
            assert!(!quantity.fits(), "{quantity:?}");
        }
    }
}
