//! A report in the form that is asked for: JSON for programs, CSV for spreadsheets, a page for people. Which, the query says
//! (`?format=`), else the `Accept` header (RFC 9110 §12.5.1), else it is JSON.

mod page;
mod words;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::report::ReportView;
use http::{HeaderMap, HeaderValue, header};
use model::{Locale, Timestamp};
use serde::Deserialize;
use std::fmt::Write;
use std::sync::OnceLock;

/// The forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One object.
    Json,
    /// One line for each channel, state and reason (RFC 4180).
    Csv,
    /// One page that needs nothing else.
    Html,
}

impl Format {
    /// Every one, the usual one first.
    pub const ALL: [Format; 3] = [Format::Json, Format::Csv, Format::Html];

    /// The word in a query.
    pub fn word(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Html => "html",
        }
    }

    /// The media type, without parameters.
    pub fn media(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Csv => "text/csv",
            Format::Html => "text/html",
        }
    }

    /// The form with the greatest weight in `Accept`; at the same weight the one that is named first. JSON when none fits:
    /// a caller that can read nothing else is better served by something than by a refusal.
    pub fn accepted(headers: &HeaderMap) -> Format {
        let text = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
        let mut best = (0.0, Format::Json);
        for part in text.split(',').take(20) {
            let mut pieces = part.split(';');
            let media = pieces.next().unwrap_or("").trim();
            let weight = pieces.find_map(|p| p.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            let found = Format::ALL.into_iter().find(|format| {
                let (family, _) = format.media().split_once('/').expect("a media type has two parts");
                media.eq_ignore_ascii_case(format.media()) || media == "*/*" || media.strip_suffix("/*") == Some(family)
            });
            if let Some(format) = found
                && weight > best.0
            {
                best = (weight, format);
            }
        }
        best.1
    }
}

/// The lines of a report as CSV: a header, then one line for each channel, state and reason.
pub fn csv(report: &ReportView) -> String {
    let mut out = String::from("channel,state,reason,forecast,deliveries\r\n");
    for line in &report.lines {
        // Words of ours without commas or quotes: nothing has to be escaped.
        let reason = line.reason_code.map_or("", |reason| reason.word());
        let _ = write!(out, "{},{},{reason},{},{}\r\n", line.channel, line.state, line.forecast, line.deliveries);
    }
    out
}

/// What the page may load: nothing but the style that stands in it, known by its hash.
pub fn policy() -> HeaderValue {
    static POLICY: OnceLock<HeaderValue> = OnceLock::new();
    let made = || {
        let hash = engine::keys::sha256(page::STYLE.as_bytes());
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            STANDARD.encode(hash)
        );
        HeaderValue::try_from(policy).expect("base64 is visible ASCII")
    };
    POLICY.get_or_init(made).clone()
}

/// A report as a page in one language. `now` is when it was made.
pub fn html(report: &ReportView, organization: &str, locale: Locale, now: Timestamp) -> String {
    page::page(report, organization, locale, now)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_form_with_the_greatest_weight_is_given() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(text));
            Format::accepted(&headers)
        };
        assert_eq!(of("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Format::Html);
        assert_eq!(of("application/json"), Format::Json);
        assert_eq!(of("text/csv; q=0.9, text/html; q=0.2"), Format::Csv);
        assert_eq!(of("*/*"), Format::Json);
        assert_eq!(of("text/*"), Format::Csv);
        assert_eq!(of("image/png"), Format::Json);
        assert_eq!(Format::accepted(&HeaderMap::new()), Format::Json);
        assert!(Format::ALL.iter().all(|f| serde_json::from_value::<Format>(json!(f.word())).ok() == Some(*f)));
    }

    #[test]
    fn csv_has_one_line_for_each_channel_state_and_reason() {
        let lines: Vec<String> = csv(&page::tests::sample()).split("\r\n").map(str::to_owned).collect();
        assert_eq!(lines[0], "channel,state,reason,forecast,deliveries");
        assert!(lines.contains(&"apns,accepted,,0,1843".to_owned()), "{lines:?}");
        assert!(lines.contains(&"apns,suppressed,org_switch_off,0,212".to_owned()), "{lines:?}");
        assert!(lines.iter().filter(|line| !line.is_empty()).all(|line| line.split(',').count() == 5));
    }
}
