//! Tumbling windows over event time, aligned to the epoch.

/// One minute in microseconds.
pub const MINUTE_US: i64 = 60_000_000;
/// One hour in microseconds.
pub const HOUR_US: i64 = 60 * MINUTE_US;
/// One day (UTC) in microseconds.
pub const DAY_US: i64 = 24 * HOUR_US;

/// The start of the window of length `size_us` that holds the time, both in microseconds.
#[must_use]
pub const fn start(time_us: i64, size_us: i64) -> i64 {
    time_us - time_us.rem_euclid(size_us)
}

/// The number of the UTC minute in its day, 0 to 1,439.
#[must_use]
pub const fn minute_of_day(time_us: i64) -> usize {
    (time_us.rem_euclid(DAY_US) / MINUTE_US) as usize
}

/// The first microsecond of the UTC month that holds the time (proleptic Gregorian; the day-number formulas are
/// Howard Hinnant's `civil_from_days`).
#[must_use]
pub const fn month_start(time_us: i64) -> i64 {
    let days = time_us.div_euclid(DAY_US);
    let shifted = days + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5;
    (days - day_of_month) * DAY_US
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_months_start_where_they_should() {
        assert_eq!(start(61_000_000, MINUTE_US), 60_000_000);
        assert_eq!(start(-1, MINUTE_US), -MINUTE_US);
        assert_eq!(minute_of_day(DAY_US + 61 * MINUTE_US), 61);
        // 2004-05-27T13:00:00Z lies in the month that began 2004-05-01T00:00:00Z.
        assert_eq!(month_start(1_085_662_800_000_000), 1_083_369_600_000_000);
        // 2000-02-29 lies in the month that began 2000-02-01.
        assert_eq!(month_start(951_782_400_000_000), 949_363_200_000_000);
        assert_eq!(month_start(0), 0);
    }
}
