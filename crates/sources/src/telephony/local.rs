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

/// A time in words: `Friday 20 November 2026 at 16:38`, `vendredi 20 novembre 2026 à 16 h 38`, and `Friday, November 20, 2026 at
/// 4:38 PM` for readers whose language tag says the United States. Without a known zone it is in UTC, and says so.
pub(super) fn time(at: Timestamp, zone: Option<&str>, locale: Locale, tag: Option<&str>) -> String {
    let known = zone.and_then(|zone| TimeZone::get(zone).ok());
    let mark = if known.is_some() { "" } else { " (UTC)" };
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    let local = instant.to_zoned(known.unwrap_or(TimeZone::UTC));
    let weekday = WEEKDAYS[weekday(local.weekday())];
    let month = MONTHS[usize::try_from(local.month() - 1).unwrap_or(0)];
    let (day, year, hour, minute) = (local.day(), local.year(), local.hour(), local.minute());
    match locale {
        Locale::En if tag.is_some_and(is_american) => {
            let (half, hour) = (if hour < 12 { "AM" } else { "PM" }, (hour + 11) % 12 + 1);
            format!("{}, {} {day}, {year} at {hour}:{minute:02} {half}{mark}", weekday.0, month.0)
        }
        Locale::En => format!("{} {day} {} {year} at {hour:02}:{minute:02}{mark}", weekday.0, month.0),
        Locale::Fr => {
            let first = if day == 1 { "1er".to_owned() } else { day.to_string() };
            format!("{} {first} {} {year} à {hour}\u{a0}h\u{a0}{minute:02}{mark}", weekday.1, month.1)
        }
    }
}

/// Whether a language tag (BCP 47) says English of the United States.
fn is_american(tag: &str) -> bool {
    let mut parts = tag.split(['-', '_']);
    parts.next().is_some_and(|language| language.eq_ignore_ascii_case("en")) && parts.any(|part| part.eq_ignore_ascii_case("US"))
}

fn weekday(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}

/// Country codes whose groups are known here: the code, then the digits of each group.
const GROUPS: [(&str, &[usize]); 4] = [("+33", &[1, 2, 2, 2, 2]), ("+32", &[3, 2, 2, 2]), ("+41", &[2, 3, 2, 2]), ("+1", &[3, 3, 4])];
/// The same for numbers of ten digits that begin with 0, as they are written in France.
const NATIONAL: (usize, &[usize]) = (10, &[2, 2, 2, 2, 2]);

/// Country codes of one and two digits (ITU-T E.164, list of assigned codes); all others have three.
const SHORT_CODES: [&str; 46] = [
    "1", "7", "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51", "52", "53",
    "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95",
    "98",
];
/// Digits of a whole number: the shortest ones in use, and the most (E.164 §6).
const WHOLE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// A number with + and country code, where it is signalled so; 00 in front stands for the +.
pub(super) fn whole(number: &str) -> Option<String> {
    let bare = phone(number)?;
    let digits = bare.strip_prefix('+').or_else(|| bare.strip_prefix("00"))?;
    (!digits.starts_with('0') && WHOLE_DIGITS.contains(&digits.len())).then(|| format!("+{digits}"))
}

/// A number for people: in groups where its country's are known, otherwise undivided behind its country code, or as it was signalled.
/// Spaces do not break.
pub(super) fn number(number: &str, locale: Locale) -> String {
    let Some(bare) = whole(number).or_else(|| phone(number)) else { return number.to_owned() };
    for (code, groups) in GROUPS {
        if let Some(rest) = bare.strip_prefix(code).filter(|rest| rest.len() == groups.iter().sum::<usize>()) {
            return format!("{code}\u{a0}{}", grouped(rest, groups));
        }
    }
    if let Some(digits) = whole(&bare).as_deref().and_then(|whole| whole.strip_prefix('+')) {
        let code = SHORT_CODES.iter().find(|code| digits.starts_with(**code)).map_or(3, |code| code.len());
        let (code, rest) = digits.split_at(code);
        return format!("+{code}\u{a0}{rest}");
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

/// The link that calls a number back (RFC 3966 §3): a whole one from anywhere, another one from the telephones of the house.
pub(super) fn link(number: &str) -> String {
    format!("tel:{number}")
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
        assert_eq!(time(call, Some("Europe/Paris"), Locale::En, None), "Friday 20 November 2026 at 16:38");
        assert_eq!(time(call, Some("Europe/Paris"), Locale::Fr, None), "vendredi 20 novembre 2026 à 16\u{a0}h\u{a0}38");
        assert_eq!(time(call, Some("America/Montreal"), Locale::Fr, None), "vendredi 20 novembre 2026 à 10\u{a0}h\u{a0}38");
        assert_eq!(time(at("2026-07-31T23:05:00Z"), Some("Europe/Paris"), Locale::Fr, None), "samedi 1er août 2026 à 1\u{a0}h\u{a0}05");
    }

    #[test]
    fn readers_in_the_united_states_have_the_month_first_and_twelve_hours() {
        let told = |text, tag| time(at(text), Some("America/New_York"), Locale::En, Some(tag));
        assert_eq!(told("2026-11-22T01:15:00Z", "en-US"), "Saturday, November 21, 2026 at 8:15 PM");
        assert_eq!(told("2026-11-21T17:05:00Z", "en_us"), "Saturday, November 21, 2026 at 12:05 PM");
        assert_eq!(told("2026-11-21T05:05:00Z", "en-Latn-US"), "Saturday, November 21, 2026 at 12:05 AM");
        for tag in ["en", "en-GB", "en-CA", "es-US", ""] {
            assert_eq!(told("2026-11-22T01:15:00Z", tag), "Saturday 21 November 2026 at 20:15", "{tag}");
        }
        assert!(time(at("2026-11-22T01:15:00Z"), None, Locale::Fr, Some("en-US")).starts_with("dimanche 22 novembre"));
        assert!(time(at("2026-11-22T01:15:00Z"), None, Locale::En, Some("en-US")).ends_with("1:15 AM (UTC)"));
    }

    #[test]
    fn without_a_known_zone_the_time_says_that_it_is_utc() {
        let call = at("2026-11-20T15:38:44Z");
        assert_eq!(time(call, None, Locale::En, None), "Friday 20 November 2026 at 15:38 (UTC)");
        assert_eq!(time(call, Some("Mars/Olympus"), Locale::Fr, None), "vendredi 20 novembre 2026 à 15\u{a0}h\u{a0}38 (UTC)");
    }

    #[test]
    fn numbers_are_grouped_as_their_country_writes_them_and_extensions_stay() {
        let plain = |number_: &str, locale| number(number_, locale).replace('\u{a0}', " ");
        assert_eq!(plain("+33472100101", Locale::En), "+33 4 72 10 01 01");
        assert_eq!(plain("+14155550123", Locale::Fr), "+1 415 555 0123");
        assert_eq!(plain("0472100101", Locale::Fr), "04 72 10 01 01");
        assert_eq!(plain("0472100101", Locale::En), "0472100101");
        assert_eq!(plain("0033472100101", Locale::En), "+33 4 72 10 01 01", "00 stands for the +");
        assert_eq!(plain("+442079460000", Locale::En), "+44 2079460000", "groups that are not known are not made up");
        assert_eq!(plain("+352621123456", Locale::Fr), "+352 621123456");
        assert_eq!(plain("101", Locale::Fr), "101");
        assert_eq!(plain("bob@example.org", Locale::En), "bob@example.org");
    }

    #[test]
    fn a_number_is_whole_with_its_country_code_and_not_without() {
        for signalled in ["+33 4 72 10 01 01", "0033472100101", "tel:+33472100101"] {
            assert_eq!(whole(signalled).as_deref(), Some("+33472100101"), "{signalled}");
        }
        for other in
            ["101", "0472100101", "000472100101", "+101", "00", "+0472100101", "bob@example.org", "101\"><script>", "0012345678901234567"]
        {
            assert_eq!(whole(other), None, "{other}");
        }
        assert_eq!(link("+33472100101"), "tel:+33472100101");
    }
}
