//! Times: text with a format and, where the text names no zone, a time zone; to microseconds since 1970.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// How a time is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// RFC 3339 or ISO 8601; without an offset it is read in the zone.
    Rfc3339,
    /// RFC 2822, as in mail and Debian changelogs.
    Rfc2822,
    /// A number since 1970; the factor makes microseconds of it.
    Unix(i64),
    /// A `strptime` format.
    Format(String),
}

/// A format and the zone of times that name none.
#[derive(Clone, Debug)]
pub struct TimeFormat {
    written: Written,
    zone: TimeZone,
}

impl TimeFormat {
    /// Reads a format: `rfc3339`, `rfc2822`, `unix`, `unix_ms`, `unix_us`, or `strptime` directives; and a zone
    /// by its IANA name.
    ///
    /// # Errors
    /// Says what is wrong with the format or the zone.
    pub fn new(format: &str, zone: &str) -> Result<Self, String> {
        let written = match format {
            "rfc3339" => Written::Rfc3339,
            "rfc2822" => Written::Rfc2822,
            "unix" => Written::Unix(1_000_000),
            "unix_ms" => Written::Unix(1_000),
            "unix_us" => Written::Unix(1),
            other if other.contains('%') => {
                if let Err(error) = strtime::format(other, &Zoned::new(Timestamp::UNIX_EPOCH, TimeZone::UTC)) {
                    return Err(format!("time format `{other}`: {error}"));
                }
                Written::Format(other.to_owned())
            }
            other => {
                return Err(format!(
                    "`{other}` is no time format: use rfc3339, rfc2822, unix, unix_ms, unix_us or directives such as %Y-%m-%d %H:%M:%S"
                ));
            }
        };
        let zone = if zone == "UTC" {
            TimeZone::UTC
        } else {
            TimeZone::get(zone)
                .map_err(|_| format!("`{zone}` is no time zone: use an IANA name such as Europe/Berlin"))?
        };
        Ok(Self { written, zone })
    }

    /// The time in microseconds since 1970. A local time that a change of clocks skips is read as if the clock
    /// had not changed yet; one that occurs twice is the earlier.
    ///
    /// # Errors
    /// Says why the text is no such time.
    pub fn parse(&self, text: &str) -> Result<i64, String> {
        let text = text.trim();
        match &self.written {
            Written::Unix(factor) => unix(text, *factor),
            Written::Rfc3339 => match text.parse::<Timestamp>() {
                Ok(time) => Ok(time.as_microsecond()),
                Err(_) => text
                    .parse::<DateTime>()
                    .and_then(|civil| self.local(civil))
                    .map_err(|error| failed(text, "RFC 3339", &error)),
            },
            Written::Rfc2822 => jiff::fmt::rfc2822::parse(text)
                .map(|zoned| zoned.timestamp().as_microsecond())
                .map_err(|error| failed(text, "RFC 2822", &error)),
            Written::Format(format) => self.directives(format, text).map_err(|error| failed(text, format, &error)),
        }
    }

    fn directives(&self, format: &str, text: &str) -> Result<i64, jiff::Error> {
        let parsed = strtime::parse(format, text)?;
        if parsed.offset().is_some() || parsed.timestamp().is_some() {
            return parsed.to_timestamp().map(Timestamp::as_microsecond);
        }
        let civil = match parsed.to_datetime() {
            Ok(civil) => civil,
            // A format without a time of day means midnight.
            Err(_) => parsed.to_date()?.at(0, 0, 0, 0),
        };
        self.local(civil)
    }

    fn local(&self, civil: DateTime) -> Result<i64, jiff::Error> {
        if self.zone == TimeZone::UTC {
            return jiff::tz::Offset::UTC.to_timestamp(civil).map(Timestamp::as_microsecond);
        }
        self.zone.to_timestamp(civil).map(Timestamp::as_microsecond)
    }
}

fn unix(text: &str, factor: i64) -> Result<i64, String> {
    let refused = || format!("`{text}` is no number of seconds (or milli-, microseconds) since 1970 in range");
    if let Ok(whole) = text.parse::<i64>() {
        return whole.checked_mul(factor).ok_or_else(refused);
    }
    let scaled = text.parse::<f64>().map_err(|_| refused())? * factor as f64;
    if scaled.is_finite() && scaled.abs() < 9.0e18 { Ok(scaled.round() as i64) } else { Err(refused()) }
}

fn failed(text: &str, format: &str, error: &jiff::Error) -> String {
    format!("`{text}` is no time of the form {format}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, zone: &str, text: &str) -> Result<i64, String> {
        TimeFormat::new(format, zone).and_then(|time| time.parse(text))
    }

    #[test]
    fn formats_and_zones() {
        // 2004-04-15T14:56:00Z
        let expected = Ok(1_082_040_960_000_000);
        assert_eq!(read("%m/%d/%y %I:%M %p", "UTC", "4/15/04 2:56 PM"), expected);
        assert_eq!(read("%m/%d/%y %I:%M %p", "Europe/Berlin", "4/15/04 4:56 PM"), expected);
        assert_eq!(read("rfc3339", "UTC", "2004-04-15T16:56:00+02:00"), expected);
        assert_eq!(read("rfc3339", "Europe/Berlin", "2004-04-15 16:56:00"), expected);
        assert_eq!(read("rfc2822", "UTC", "Thu, 15 Apr 2004 16:56:00 +0200"), expected);
        assert_eq!(read("unix", "UTC", "1082040960"), expected);
        assert_eq!(read("unix_ms", "UTC", "1082040960000.0"), expected);
        assert_eq!(read("unix_us", "UTC", "1082040960000000"), expected);
        assert_eq!(read("%Y-%m-%d", "UTC", "1970-01-02"), Ok(86_400_000_000));
        assert_eq!(read("%Y-%m-%d %H:%M %z", "Asia/Tokyo", "2004-04-15 14:56 +0000"), expected);
    }

    #[test]
    fn hours_that_do_not_exist_or_exist_twice() {
        let berlin = |text| read("%Y-%m-%d %H:%M", "Europe/Berlin", text);
        // Clocks went from 02:00 to 03:00 on 2024-03-31: 02:30 is read with the offset from before.
        assert_eq!(berlin("2024-03-31 02:30"), berlin("2024-03-31 03:30"));
        // 02:30 on 2024-10-27 occurs twice: the earlier is 00:30 UTC.
        assert_eq!(berlin("2024-10-27 02:30"), read("rfc3339", "UTC", "2024-10-27T00:30:00Z"));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(read("%Q", "UTC", "x").unwrap_err().contains("%Q"));
        assert!(read("ISO", "UTC", "x").unwrap_err().contains("`ISO` is no time format"));
        assert!(read("unix", "Mars/Olympus", "1").unwrap_err().contains("Mars/Olympus"));
        assert!(read("%m/%d/%y", "UTC", "13/40/04").unwrap_err().contains("13/40/04"));
        assert!(read("unix", "UTC", "yesterday").unwrap_err().contains("yesterday"));
    }
}
