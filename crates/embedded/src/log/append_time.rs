//! The append time of the next round: it never goes back, so a clock that is wrong must not be
//! followed.
//!
//! | what is seen | what is told |
//! |---|---|
//! | in one process the clock differs by an hour or less from where the time that has passed puts it | taken |
//! | by more, but the machine slept meanwhile (where the system tells) | taken |
//! | by more | refused until the clock is back, or the process is started again |
//! | at the start the last append lies in the past, however far | taken: the machine was off |
//! | the last append lies more than an hour ahead of the clock | refused until the clock is there |
//!
//! So a start is how an operator says that the clock is right; nothing else tells a long pause from
//! a wrong clock.

use super::shared::Now;
use jiff::Timestamp;
use pipeline::LogError;

/// How far the clock may be from where it is expected. Corrections by a time service are seconds;
/// an hour also forgives a machine whose hardware clock was read in the wrong time of the year.
const TOLERANCE_US: i64 = 3_600_000_000;

/// How often the expectation is renewed: a clock that drifts within the tolerance is followed for
/// ever.
const RENEW_US: i64 = 60_000_000;

/// A moment in which the clocks were read.
#[derive(Clone, Copy, Debug)]
struct Reading {
    wall_us: i64,
    monotonic_us: i64,
    since_boot_us: Option<i64>,
}

/// Gives append times.
pub(super) struct AppendTime {
    /// The last append time given, or found in the log; `i64::MIN` before the first.
    last_us: i64,
    last_reading: Reading,
    /// The time since the machine was started, sleep included; none where the system does not tell.
    since_boot_us: fn() -> Option<i64>,
}

impl AppendTime {
    /// Starts behind the last append time of the log (`i64::MIN` for an empty one).
    pub(super) fn new(last_us: i64, clock: &dyn Now) -> Self {
        Self::with_boot_clock(last_us, clock, since_boot_us)
    }

    fn with_boot_clock(last_us: i64, clock: &dyn Now, since_boot_us: fn() -> Option<i64>) -> Self {
        Self { last_us, last_reading: read(clock, since_boot_us), since_boot_us }
    }

    /// The time of the next append.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] where the clock cannot be followed; says both times and what to
    /// do.
    pub(super) fn next(&mut self, clock: &dyn Now) -> Result<i64, LogError> {
        let wall_us = clock.wall_us();
        let elapsed_us = clock.monotonic_us().saturating_sub(self.last_reading.monotonic_us);
        if self.is_off(wall_us, elapsed_us) && self.is_off(wall_us, self.elapsed_with_sleep_us(elapsed_us)) {
            return Err(self.jumped(wall_us, elapsed_us));
        }
        if self.last_us.saturating_sub(wall_us) > TOLERANCE_US {
            return Err(self.ahead(wall_us));
        }
        if elapsed_us > RENEW_US || self.is_off(wall_us, elapsed_us) {
            self.last_reading = read(clock, self.since_boot_us);
        }
        Ok(self.last_us.max(wall_us))
    }

    /// Records of this time were committed.
    pub(super) fn given(&mut self, append_us: i64) {
        self.last_us = append_us;
    }

    fn is_off(&self, wall_us: i64, elapsed_us: i64) -> bool {
        self.expected_us(elapsed_us).abs_diff(wall_us) > TOLERANCE_US.unsigned_abs()
    }

    fn expected_us(&self, elapsed_us: i64) -> i64 {
        self.last_reading.wall_us.saturating_add(elapsed_us)
    }

    fn elapsed_with_sleep_us(&self, elapsed_us: i64) -> i64 {
        match ((self.since_boot_us)(), self.last_reading.since_boot_us) {
            (Some(now_us), Some(then_us)) => elapsed_us.max(now_us.saturating_sub(then_us)),
            _ => elapsed_us,
        }
    }

    fn jumped(&self, wall_us: i64, elapsed_us: i64) -> LogError {
        LogError::Unavailable(format!(
            "this machine's clock jumped: it says {}, and by the time that has passed it should be about {}. Append times \
             never go back, so a wrong clock would rule the log until then: nothing is appended. Set the clock; if it is \
             right now, start sporelog again",
            show(wall_us),
            show(self.expected_us(elapsed_us))
        ))
    }

    fn ahead(&self, wall_us: i64) -> LogError {
        LogError::Unavailable(format!(
            "the last record of log.db was appended at {}, and this machine's clock says {}: one of them is wrong. Append \
             times never go back: nothing is appended. Set the clock; if it is right, the log was written under a wrong \
             one: restore the data folder from a backup, or go on in a new data folder",
            show(self.last_us),
            show(wall_us)
        ))
    }
}

fn read(clock: &dyn Now, since_boot_us: fn() -> Option<i64>) -> Reading {
    Reading { wall_us: clock.wall_us(), monotonic_us: clock.monotonic_us(), since_boot_us: since_boot_us() }
}

/// The time since the machine was started: unlike the monotonic clock it goes on while the machine
/// sleeps.
fn since_boot_us() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some((seconds * 1e6) as i64)
}

fn show(us: i64) -> String {
    Timestamp::from_microsecond(us).map_or_else(|_| format!("{us} us"), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const START_US: i64 = 1_767_225_600_000_000; // 2026-01-01
    const HOUR_US: i64 = TOLERANCE_US;
    const MONTH_US: i64 = 30 * 24 * HOUR_US;
    const YEAR_2036_US: i64 = 2_082_758_400_000_000;

    thread_local! {
        static WALL_US: Cell<i64> = const { Cell::new(0) };
        static MONOTONIC_US: Cell<i64> = const { Cell::new(0) };
        static SLEPT_US: Cell<i64> = const { Cell::new(0) };
    }

    /// Clocks that the test sets, each by itself.
    struct Clocks;

    impl Now for Clocks {
        fn wall_us(&self) -> i64 {
            WALL_US.get()
        }

        fn monotonic_us(&self) -> i64 {
            MONOTONIC_US.get()
        }
    }

    fn set(wall_us: i64, monotonic_us: i64, slept_us: i64) {
        WALL_US.set(wall_us);
        MONOTONIC_US.set(monotonic_us);
        SLEPT_US.set(slept_us);
    }

    fn boot() -> Option<i64> {
        Some(MONOTONIC_US.get() + SLEPT_US.get())
    }

    /// A process that starts at this time, over a log whose last record is of that time.
    fn start(wall_us: i64, last_us: i64) -> AppendTime {
        set(wall_us, 0, 0);
        AppendTime::with_boot_clock(last_us, &Clocks, boot)
    }

    fn append(time: &mut AppendTime) -> Result<i64, String> {
        let at_us = time.next(&Clocks).map_err(|error| error.to_string())?;
        time.given(at_us);
        Ok(at_us)
    }

    #[test]
    fn clock_wrong_for_a_second_is_refused_and_leaves_no_trace() {
        let mut time = start(START_US, i64::MIN);
        assert_eq!(append(&mut time), Ok(START_US));
        set(YEAR_2036_US, 1_000_000, 0);
        let refused = append(&mut time).unwrap_err();
        for part in ["2036-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "Set the clock", "start sporelog again"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        set(START_US + 2_000_000, 2_000_000, 0);
        assert_eq!(append(&mut time), Ok(START_US + 2_000_000));
    }

    #[test]
    fn jump_of_an_hour_is_taken_and_of_more_refused_either_way() {
        for (jump_us, is_taken) in [(HOUR_US, true), (HOUR_US + 1, false), (-HOUR_US, true), (-HOUR_US - 1, false)] {
            let mut time = start(START_US, i64::MIN);
            set(START_US + jump_us, 0, 0);
            assert_eq!(append(&mut time).is_ok(), is_taken, "{jump_us}");
        }
    }

    #[test]
    fn drift_within_the_tolerance_is_followed_for_ever() {
        let mut time = start(START_US, i64::MIN);
        for minutes in 1..200 {
            let monotonic_us = minutes * (RENEW_US + 1);
            set(START_US + monotonic_us + minutes * RENEW_US, monotonic_us, 0);
            append(&mut time).unwrap();
        }
        assert!(time.last_us - START_US > 5 * HOUR_US);
    }

    #[test]
    fn machine_that_was_off_or_asleep_for_a_month_goes_on() {
        let mut time = start(START_US + MONTH_US, START_US);
        assert_eq!(append(&mut time), Ok(START_US + MONTH_US));
        set(START_US + 2 * MONTH_US, 5, MONTH_US);
        assert_eq!(append(&mut time), Ok(START_US + 2 * MONTH_US));
        // Awake again, the tolerance is what it was.
        set(START_US + 2 * MONTH_US + HOUR_US + 1_000_000, 10, MONTH_US);
        append(&mut time).unwrap_err();
    }

    #[test]
    fn log_that_is_ahead_of_the_clock_is_refused_and_both_times_are_named() {
        let mut time = start(START_US, YEAR_2036_US);
        let refused = append(&mut time).unwrap_err();
        for part in ["appended at 2036-01-01T00:00:00Z", "says 2026-01-01T00:00:00Z", "backup"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        let mut time = start(START_US, START_US + HOUR_US);
        assert_eq!(append(&mut time), Ok(START_US + HOUR_US), "time stands still within the tolerance");
    }
}
