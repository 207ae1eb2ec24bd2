//! Fixed-point numbers: quantities that are summed are integers in millionths, so that sums do not depend on
//! the order of the events (I10).

/// Units per one.
pub const SCALE: f64 = 1_000_000.0;

/// A double as millionths, rounded half away from zero. Bounded inputs (validity) cannot overflow.
#[must_use]
pub fn from_double(value: f64) -> i64 {
    (value * SCALE).round() as i64
}
