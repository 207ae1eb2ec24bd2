//! Waiting for something that another process does: there is no clock to advance there, so it is polled, always under
//! a deadline.

use pipeline::{Clock as _, SystemClock};
use std::time::Duration;

/// How long anything in these tests may take before it counts as hung.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// Looks again and again until there is something to return.
///
/// # Panics
/// With `what`, where there is nothing after [`DEADLINE`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let clock = SystemClock::new();
    let end_us = clock.monotonic_us() + i64::try_from(DEADLINE.as_micros()).unwrap_or(i64::MAX);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(clock.monotonic_us() < end_us, "gave up waiting: {what}");
        pause(LOOK);
    }
}

/// Lets time pass: between two looks, or where the passing of real time is what a test is about.
pub fn pause(time: Duration) {
    let clock = SystemClock::new();
    let end_us = clock.monotonic_us() + i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    loop {
        let left_us = end_us - clock.monotonic_us();
        let Ok(left_us @ 1..) = u64::try_from(left_us) else { return };
        // May wake early, hence the loop.
        std::thread::park_timeout(Duration::from_micros(left_us));
    }
}
