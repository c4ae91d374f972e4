//! Parsers without a server behind them: heads of requests, providers' answers, a relay's replies, addresses, words.

use channels::strangers;
use engine::keys::Keys;
use model::Timestamp;
use model::delivery::{Step, settle};
use model::directory::{Service, check_email, check_locale, check_name, check_phone, check_time_zone, check_token, check_upn};
use model::outcome::Outcome;
use model::policy::SETTINGS;
use model::time::DailySpan;
use model::{Body, Title};
use shell::Catalogue;
use std::sync::LazyLock;
use store::transfer::Database;
use web::Network;

/// Longest code that a cause may bring into the store and into metrics: a word of ours, or 64 characters of theirs and a number.
const CODE_CHARS: usize = 80;
const NOW: Timestamp = Timestamp(1_795_000_000_000);

/// The first bytes of a connection.
pub fn head(bytes: &[u8]) {
    let whole = web::strangers::head(bytes);
    // What is known of a head does not change when the rest of it comes.
    if let Some(last) = bytes.len().checked_sub(1)
        && web::strangers::head(&bytes[..last]) == web::strangers::Head::Stream
    {
        assert_ne!(whole, web::strangers::Head::Stream, "bytes behind a head for a stream are another request's");
    }
}

/// A provider's answer: two bytes of status, headers up to an empty line, the body.
pub fn provider(bytes: &[u8]) {
    let Some((status, rest)) = bytes.split_at_checked(2) else { return };
    let status = 100 + u16::from_be_bytes([status[0], status[1]]) % 900;
    let end = rest.windows(2).position(|two| two == b"\n\n").unwrap_or(rest.len());
    let headers = String::from_utf8_lossy(&rest[..end]);
    let body = rest.get(end + 2..).unwrap_or_default();
    for outcome in strangers::provider(status, &headers, body, NOW) {
        must_be_in_order(&outcome);
        if let Outcome::AddressGone(_) = outcome {
            assert!((400..500).contains(&status), "{status} retires no address");
        }
    }
}

/// What a relay says.
pub fn relay(bytes: &[u8]) {
    strangers::relay(bytes).iter().for_each(must_be_in_order);
}

/// An outcome can be stored, counted and settled.
fn must_be_in_order(outcome: &Outcome) {
    if let Some(cause) = outcome.cause() {
        assert!(!cause.code.is_empty() && cause.code.chars().count() <= CODE_CHARS, "{:?}", cause.code);
        assert!(cause.code.bytes().all(|b| b.is_ascii_graphic()), "{:?}", cause.code);
    }
    let expires = NOW.plus(std::time::Duration::from_secs(86_400));
    for attempts in [1, 9, u16::MAX] {
        match settle(outcome, attempts, expires, NOW, 999) {
            Step::Retry(due, _) => assert!(due > NOW && due < expires, "{due:?}"),
            Step::End(state, _) => assert!(state.is_final()),
        }
    }
}

/// What devices and browsers say about where they are reached: three lines.
pub fn addresses(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or("");
    let (first, second, third) = (next(), next(), next());
    if strangers::subscription(first, second, third) {
        assert!(first.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")), "{first:?}");
    }
    if strangers::channel_url(first) {
        let host = first.trim_start_matches("https://").split(['/', '?', ':']).next().unwrap_or("").to_ascii_lowercase();
        assert!(host.ends_with(".notify.windows.com") || host.ends_with(".wns.windows.com"), "{first:?}");
    }
    for service in Service::ALL {
        // What was refused says why, in a sentence of bounded length.
        if let Err(why) = check_token(*service, first) {
            assert!(!why.is_empty() && why.len() < 1_000, "{why}");
        }
    }
}

/// Words that stand in fields, queries and settings.
pub fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let checks = [check_name, check_upn, check_email, check_phone, check_time_zone, check_locale];
    for check in checks {
        if let Err(why) = check(&text) {
            assert!(!why.is_empty(), "a refusal says why");
        }
    }
    if let Ok(title) = Title::new(&text) {
        assert!((1..=50).contains(&title.as_str().chars().count()));
        assert_eq!(Title::new(title.as_str()).as_ref().map(Title::as_str), Ok(title.as_str()), "what was taken stays as it is");
    }
    if let Ok(body) = Body::new(&text) {
        assert!((1..=500).contains(&body.as_str().chars().count()));
    }
    if let Ok(time) = Timestamp::parse(&text) {
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time), "{text:?} is written as it is read");
    }
    if let Ok(span) = DailySpan::parse(&text) {
        assert!(span.from_minute < 1_440 && span.to_minute < 1_440 && span.from_minute != span.to_minute, "{span:?}");
        assert!(text.chars().all(|c| c.is_ascii_digit() || c == ':' || c == '-' || c.is_whitespace()), "{text:?}");
    }
    let _ = Database::parse(&text);
    let _ = text.parse::<Network>();
    if let Ok(value) = serde_json::from_slice(bytes) {
        for setting in SETTINGS {
            let _ = setting.check(&value);
        }
    }
}

/// Something that claims to be sealed.
pub fn sealed(bytes: &[u8]) {
    let keys = Keys::new(vec![[7; 32], [8; 32]]);
    assert_eq!(keys.open("event/1/title", bytes), None, "nobody seals without the key");
    let whole = keys.seal("event/1/title", bytes);
    assert_eq!(keys.open("event/1/title", &whole).as_deref(), Some(bytes));
    assert_eq!(keys.open("event/1/title", &whole[..whole.len() - 1]), None);
}

/// What somebody writes into the admin shell, held against the cmdlets of this build: it is read or refused, and never runs.
pub fn shell(bytes: &[u8]) {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
        let declared: Vec<_> = sources::all().iter().map(|source| source.declaration()).collect();
        let settings = SETTINGS.iter().chain(declared.iter().flat_map(|one| one.settings));
        Catalogue::new(declared.iter().flat_map(|one| one.cmdlets), declared.iter().flat_map(|one| one.objects), settings)
    });
    ::shell::read_by_strangers(&String::from_utf8_lossy(bytes), &CATALOGUE);
}
