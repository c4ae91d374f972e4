//! Times and telephone numbers as a reader writes them: the local time of their zone in their language, numbers in the
//! groups of their country (ITU-T E.123).

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use model::objects::phone;
use model::{Locale, Timestamp};

const WEEKDAYS: [(&str, &str); 7] = [
    ("Monday", "lundi"),
    ("Tuesday", "mardi"),
    ("Wednesday", "mercredi"),
    ("Thursday", "jeudi"),
    ("Friday", "vendredi"),
    ("Saturday", "samedi"),
    ("Sunday", "dimanche"),
];
const MONTHS: [(&str, &str); 12] = [
    ("January", "janvier"),
    ("February", "février"),
    ("March", "mars"),
    ("April", "avril"),
    ("May", "mai"),
    ("June", "juin"),
    ("July", "juillet"),
    ("August", "août"),
    ("September", "septembre"),
    ("October", "octobre"),
    ("November", "novembre"),
    ("December", "décembre"),
];

/// A time in words: `Friday 20 November 2026 at 16:38`, `vendredi 20 novembre 2026 à 16 h 38`. Without a known zone it is in
/// UTC, and says so.
pub(super) fn time(at: Timestamp, zone: Option<&str>, locale: Locale) -> String {
    let known = zone.and_then(|zone| TimeZone::get(zone).ok());
    let mark = if known.is_some() { "" } else { " (UTC)" };
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    let local = instant.to_zoned(known.unwrap_or(TimeZone::UTC));
    let weekday = WEEKDAYS[weekday(local.weekday())];
    let month = MONTHS[usize::try_from(local.month() - 1).unwrap_or(0)];
    let (day, year, hour, minute) = (local.day(), local.year(), local.hour(), local.minute());
    match locale {
        Locale::En => format!("{} {day} {} {year} at {hour:02}:{minute:02}{mark}", weekday.0, month.0),
        Locale::Fr => {
            let first = if day == 1 { "1er".to_owned() } else { day.to_string() };
            format!("{} {first} {} {year} à {hour}\u{a0}h\u{a0}{minute:02}{mark}", weekday.1, month.1)
        }
    }
}

fn weekday(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}

/// Country codes whose groups are known here: the code, then the digits of each group.
const GROUPS: [(&str, &[usize]); 4] = [("+33", &[1, 2, 2, 2, 2]), ("+32", &[3, 2, 2, 2]), ("+41", &[2, 3, 2, 2]), ("+1", &[3, 3, 4])];
/// The same for numbers of ten digits that begin with 0, as they are written in France.
const NATIONAL: (usize, &[usize]) = (10, &[2, 2, 2, 2, 2]);

/// A number for people: in groups where its country's are known, otherwise as it was signalled. Spaces do not break.
pub(super) fn number(number: &str, locale: Locale) -> String {
    let Some(bare) = phone(number) else { return number.to_owned() };
    for (code, groups) in GROUPS {
        if let Some(rest) = bare.strip_prefix(code).filter(|rest| rest.len() == groups.iter().sum::<usize>()) {
            return format!("{code}\u{a0}{}", grouped(rest, groups));
        }
    }
    let national = locale == Locale::Fr && bare.len() == NATIONAL.0 && bare.starts_with('0');
    if national { grouped(&bare, NATIONAL.1) } else { bare }
}

fn grouped(digits: &str, groups: &[usize]) -> String {
    let mut rest = digits;
    let mut parts = Vec::with_capacity(groups.len());
    for group in groups {
        let (part, after) = rest.split_at((*group).min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts.join("\u{a0}")
}

/// The link that calls a number back (RFC 3966 §3); nothing for what is not a number, such as a SIP address.
pub(super) fn link(number: &str) -> Option<String> {
    phone(number).map(|number| format!("tel:{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    #[test]
    fn a_time_is_said_in_the_readers_zone_and_language() {
        let call = at("2026-11-20T15:38:44Z");
        assert_eq!(time(call, Some("Europe/Paris"), Locale::En), "Friday 20 November 2026 at 16:38");
        assert_eq!(time(call, Some("Europe/Paris"), Locale::Fr), "vendredi 20 novembre 2026 à 16\u{a0}h\u{a0}38");
        assert_eq!(time(call, Some("America/Montreal"), Locale::Fr), "vendredi 20 novembre 2026 à 10\u{a0}h\u{a0}38");
        assert_eq!(time(at("2026-07-31T23:05:00Z"), Some("Europe/Paris"), Locale::Fr), "samedi 1er août 2026 à 1\u{a0}h\u{a0}05");
    }

    #[test]
    fn without_a_known_zone_the_time_says_that_it_is_utc() {
        let call = at("2026-11-20T15:38:44Z");
        assert_eq!(time(call, None, Locale::En), "Friday 20 November 2026 at 15:38 (UTC)");
        assert_eq!(time(call, Some("Mars/Olympus"), Locale::Fr), "vendredi 20 novembre 2026 à 15\u{a0}h\u{a0}38 (UTC)");
    }

    #[test]
    fn numbers_are_grouped_as_their_country_writes_them_and_extensions_stay() {
        let plain = |number_: &str, locale| number(number_, locale).replace('\u{a0}', " ");
        assert_eq!(plain("+33472100101", Locale::En), "+33 4 72 10 01 01");
        assert_eq!(plain("+14155550123", Locale::Fr), "+1 415 555 0123");
        assert_eq!(plain("0472100101", Locale::Fr), "04 72 10 01 01");
        assert_eq!(plain("0472100101", Locale::En), "0472100101");
        assert_eq!(plain("101", Locale::Fr), "101");
        assert_eq!(plain("bob@example.org", Locale::En), "bob@example.org");
    }

    #[test]
    fn only_a_number_becomes_a_link() {
        assert_eq!(link("+33 4 72 10 01 01").as_deref(), Some("tel:+33472100101"));
        assert_eq!(link("101").as_deref(), Some("tel:101"));
        assert_eq!(link("bob@example.org"), None);
        assert_eq!(link("101\"><script>"), None);
    }
}
