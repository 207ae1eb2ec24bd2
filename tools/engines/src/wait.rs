//! Waiting for what a real process does: it is polled, always under a deadline.
//!
//! Engines live in the machine's time; this is the one place that reads it.

use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks again and again until there is something to return; `None` after the deadline.
#[allow(clippy::disallowed_methods, reason = "engines are processes of the machine: their time is the machine's")]
pub(crate) fn until<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}
