//! Made-up details for looking at the mails and for sending them as a test.
//!
//! In: which mail, in which language, and the settings, which say who writes. Out: its content, with digits that belong to nobody: the PIN and the conference ID are
//! the same for everybody, and the numbers are of the ranges that the regulators keep for stories (Arcep, NANPA).

use super::{CHANGED, DISABLED, ENABLED, PIN_RESET, settings};
use model::Locale;
use model::policy::PolicySnapshot;
use model::source::Content;
use serde_json::json;

/// The PIN of every sample. No person is ever given it by a sample: nothing is kept.
const PIN: &str = "48205";
/// The conference ID of every sample.
const CONFERENCE_ID: &str = "583920174";

/// What a sample of this mail says.
pub(super) fn content(kind: &str, locale: Locale, settings: &PolicySnapshot) -> Option<Content> {
    let number = match locale {
        Locale::En => "+12125550123",
        Locale::Fr => "+33199001234",
    };
    let mut data = match kind {
        DISABLED => json!({}),
        _ => json!({"conferenceId": CONFERENCE_ID, "serviceNumber": number, "newConferenceId": kind == CHANGED}),
    };
    if let Some((name, address)) = settings::sender(settings) {
        data["from"] = json!({ "name": name, "address": address });
    }
    let body = if kind == ENABLED || kind == PIN_RESET { json!({ "pin": PIN }).to_string() } else { String::new() };
    Some(Content { title: String::new(), body, data })
}
