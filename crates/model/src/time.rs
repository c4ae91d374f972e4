//! Instants. Whole milliseconds since 1970-01-01T00:00:00Z; handed in, never read from a clock here.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// An instant in milliseconds of Unix time. Written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Later than anything that happens.
    pub const NEVER: Timestamp = Timestamp(i64::MAX);

    /// This instant and a span; stops at [`Timestamp::NEVER`].
    #[must_use]
    pub fn plus(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This instant less a span.
    #[must_use]
    pub fn minus(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Unix time in whole seconds, rounded down (the unit of `apns-expiration` and of JWT claims).
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Reads RFC 3339, with any offset.
    ///
    /// # Errors
    /// A sentence that names what is wrong with the text.
    pub fn parse(text: &str) -> Result<Timestamp, String> {
        text.trim()
            .parse::<jiff::Timestamp>()
            .map(|t| Timestamp(t.as_millisecond()))
            .map_err(|_| format!("{text:?} is not an RFC 3339 time such as 2026-11-20T08:30:00Z"))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => f.write_str("never"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(d)?;
        Timestamp::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Where the time comes from; handed in, so that a test can set it.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// A daily span of local time, such as 22:00 to 07:00; it may cross midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailySpan {
    /// Minutes after local midnight at which it begins.
    pub from_minute: u16,
    /// Minutes after local midnight at which it ends.
    pub to_minute: u16,
}

impl DailySpan {
    /// Reads `HH:MM-HH:MM`.
    ///
    /// # Errors
    /// A sentence with the rule and an example.
    pub fn parse(text: &str) -> Result<DailySpan, String> {
        let wrong = || format!("{text:?} is not a span of the day such as 22:00-07:00");
        let minute = |part: &str| -> Option<u16> {
            let (h, m) = part.trim().split_once(':').filter(|_| !part.contains('+'))?;
            let (h, m): (u16, u16) = (h.parse().ok()?, m.parse().ok()?);
            (h < 24 && m < 60 && part.trim().len() == 5).then(|| h * 60 + m)
        };
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let (from_minute, to_minute) = (minute(from).ok_or_else(wrong)?, minute(to).ok_or_else(wrong)?);
        if from_minute == to_minute {
            return Err(format!("{text:?} begins and ends at the same minute; leave it empty to have no quiet hours"));
        }
        Ok(DailySpan { from_minute, to_minute })
    }

    /// When the span that holds `now` ends in the zone `zone` (IANA name), or `None` outside it. A clock change inside
    /// the night moves the end with the wall clock. An unknown zone counts as UTC.
    pub fn ends_at(self, now: Timestamp, zone: &str) -> Option<Timestamp> {
        let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
        let local = jiff::Timestamp::from_millisecond(now.0).ok()?.to_zoned(zone);
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let inside_today = if self.from_minute < self.to_minute {
            (self.from_minute..self.to_minute).contains(&minute)
        } else {
            minute >= self.from_minute || minute < self.to_minute
        };
        if !inside_today {
            return None;
        }
        let day = if minute < self.to_minute { local.date() } else { local.date().tomorrow().ok()? };
        let end = day.at((self.to_minute / 60) as i8, (self.to_minute % 60) as i8, 0, 0);
        let end = end.to_zoned(local.time_zone().clone()).ok()?;
        Some(Timestamp(end.timestamp().as_millisecond()))
    }
}

impl fmt::Display for DailySpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b) = (self.from_minute, self.to_minute);
        write!(f, "{:02}:{:02}-{:02}:{:02}", a / 60, a % 60, b / 60, b % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    #[test]
    fn a_night_ends_next_morning_in_the_persons_zone() {
        let night = DailySpan::parse("22:00-07:00").expect("a span");
        assert_eq!(night.ends_at(at("2026-11-20T21:30:00Z"), "Europe/Paris"), Some(at("2026-11-21T06:00:00Z")));
        assert_eq!(night.ends_at(at("2026-11-21T05:59:00Z"), "Europe/Paris"), Some(at("2026-11-21T06:00:00Z")));
        assert_eq!(night.ends_at(at("2026-11-21T06:00:00Z"), "Europe/Paris"), None);
        assert_eq!(night.ends_at(at("2026-11-20T12:00:00Z"), "Europe/Paris"), None);
    }

    #[test]
    fn the_end_follows_the_wall_clock_over_a_clock_change() {
        let night = DailySpan::parse("22:00-07:00").expect("a span");
        assert_eq!(night.ends_at(at("2026-10-24T22:00:00Z"), "Europe/Paris"), Some(at("2026-10-25T06:00:00Z")));
    }

    #[test]
    fn wrong_spans_say_what_is_wrong() {
        for text in ["", "22-7", "25:00-07:00", "22:00", "7:00-8:00"] {
            assert!(DailySpan::parse(text).expect_err(text).contains("22:00-07:00"), "{text}");
        }
    }

    #[test]
    fn times_read_and_write_as_rfc_3339() {
        let t = at("2026-11-20T09:30:00.5+01:00");
        assert_eq!(t.to_string(), "2026-11-20T08:30:00.500Z");
        assert!(Timestamp::parse("tomorrow").is_err());
    }
}
