//! What the sink demands of each request, and what it remembers: one byte a device, counters, and the arrivals of the few
//! devices that it was told to watch. Its memory does not grow with the campaign.

use super::browser::{self, Browsers};
use super::google::{self, Google};
use super::key::Key;
use super::mail;
use crate::tokens;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The topic that every request must name.
pub const TOPIC: &str = "org.example.bench";
/// Most arrivals of watched devices that are kept.
const MOST_ARRIVALS: usize = 100_000;
/// Payloads that were found right and are recognized without being read again.
const KNOWN_PAYLOADS: usize = 4;
/// Different bodies that the mails of one campaign may have: one for each language.
const MOST_MAIL_BODIES: usize = 2;

/// What is expected until the next time.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Expected {
    /// Devices 0 to this, exclusive, may be pushed to.
    pub devices: u32,
    /// Title and body of each message that may arrive.
    pub texts: Vec<(String, String)>,
    /// The devices whose arrivals are kept.
    pub watched: Vec<u32>,
    /// How much later each request is answered.
    pub latency_ms: u64,
}

/// One request for a watched device.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    /// The device.
    pub device: u32,
    /// The event that the payload names.
    pub event: String,
    /// When the request was whole, in microseconds of Unix time.
    pub at_micros: u64,
}

/// What arrived since the last reset.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stats {
    /// Requests to devices that were answered 200.
    pub accepted: u64,
    /// Requests of the limit program that were answered 200.
    pub limit: u64,
    /// Different devices among the accepted.
    pub distinct: u64,
    /// Requests beyond the first for the same device, those to watched devices left out.
    pub repeats: u64,
    /// Refusals by their reason.
    pub refused: BTreeMap<String, u64>,
    /// When the first request to a device arrived; 0 before that.
    pub first_micros: u64,
    /// The same for the last.
    pub last_micros: u64,
    /// The same for the first after the last mark.
    pub first_after_mark_micros: u64,
}

/// The ledger of the sink.
pub struct Account {
    key: Key,
    google: Google,
    browsers: Browsers,
    mail_bodies: Vec<Vec<u8>>,
    expected: Expected,
    seen: Vec<u8>,
    known_authorization: Option<HeaderValue>,
    known_payloads: [(Vec<u8>, String); KNOWN_PAYLOADS],
    oldest_payload: usize,
    stats: Stats,
    arrivals: Vec<Arrival>,
}

impl Account {
    /// An account that expects nothing yet.
    pub fn new(key: Key, google: Google, browsers: Browsers) -> Account {
        let (seen, stats, arrivals) = (Vec::new(), Stats::default(), Vec::new());
        let known_payloads = Default::default();
        Account {
            key,
            google,
            browsers,
            mail_bodies: Vec::new(),
            expected: Expected::default(),
            seen,
            known_authorization: None,
            known_payloads,
            oldest_payload: 0,
            stats,
            arrivals,
        }
    }

    /// Forgets what arrived and expects something else.
    pub fn reset(&mut self, expected: Expected) {
        self.seen.clear();
        self.seen.resize(usize::try_from(expected.devices).unwrap_or(0), 0);
        self.known_payloads = Default::default();
        self.google.forget();
        self.mail_bodies.clear();
        self.stats = Stats::default();
        self.arrivals.clear();
        self.expected = expected;
    }

    /// The next request is the first after a mark.
    pub fn mark(&mut self) {
        self.stats.first_after_mark_micros = 0;
    }

    /// What arrived.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The arrivals of watched devices, in order.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// How much later requests are answered.
    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.expected.latency_ms)
    }

    /// The answer of Google's token endpoint.
    pub fn give_token(&self, form: &[u8]) -> Option<Value> {
        self.google.give(form)
    }

    /// Checks a mail and counts it; answers whether it is one of the campaign, or the limit program's.
    pub fn take_mail(&mut self, recipient: &str, mail: &[u8], now_micros: u64) -> bool {
        if recipient == mail::LIMIT {
            self.stats.limit += 1;
            return true;
        }
        let taken = self.examine_mail(recipient, mail);
        match taken {
            Ok(person) => self.count(person, 0, now_micros),
            Err(reason) => *self.stats.refused.entry(reason.to_owned()).or_default() += 1,
        }
        taken.is_ok()
    }

    fn examine_mail(&mut self, recipient: &str, mail: &[u8]) -> Result<u32, &'static str> {
        let person = mail::person(recipient).filter(|person| *person < self.expected.devices).ok_or("wrong recipient")?;
        let (subject, body) = mail::subject_and_body(mail).ok_or("not a mail")?;
        if !self.expected.texts.iter().any(|(title, _)| title.as_bytes() == subject) {
            return Err("wrong subject");
        }
        if !self.mail_bodies.iter().any(|known| known == body) {
            if self.mail_bodies.len() == MOST_MAIL_BODIES {
                return Err("a further body");
            }
            self.mail_bodies.push(body.to_vec());
        }
        Ok(person)
    }

    /// Checks a whole request and counts it; answers status and reason of a refusal.
    pub fn take(&mut self, head: &Parts, payload: &[u8], now_micros: u64) -> Result<(), (u16, &'static str)> {
        let taken = self.examine(head, payload, now_micros);
        match taken {
            Ok((device, known)) => self.count(device, known, now_micros),
            Err((_, reason)) => *self.stats.refused.entry(reason.to_owned()).or_default() += 1,
        }
        taken.map(|_| ())
    }

    /// The device and the place of the payload among the known ones.
    fn examine(&mut self, head: &Parts, payload: &[u8], now_micros: u64) -> Result<(u32, usize), (u16, &'static str)> {
        if head.method != Method::POST {
            return Err((405, "MethodNotAllowed"));
        }
        if head.uri.path() == google::PATH {
            let device = self.google.examine(head, payload, &self.expected.texts)?;
            let known = device < self.expected.devices || device == tokens::LIMIT;
            return if known { Ok((device, 0)) } else { Err((404, "UNREGISTERED")) };
        }
        if head.uri.path().starts_with(browser::PATH) {
            let device = self.browsers.examine(head, payload, &self.expected.texts, now_micros / 1_000_000)?;
            return if device < self.expected.devices { Ok((device, 0)) } else { Err((410, "Gone")) };
        }
        let path = head.uri.path().as_bytes();
        let device = path.strip_prefix(b"/3/device/").and_then(tokens::index).ok_or((400, "BadDeviceToken"))?;
        if device >= self.expected.devices && device != tokens::LIMIT {
            return Err((400, "BadDeviceToken"));
        }
        self.authorized(&head.headers, now_micros / 1_000_000)?;
        fields(&head.headers)?;
        Ok((device, self.payload(payload)?))
    }

    fn authorized(&mut self, headers: &HeaderMap, now: u64) -> Result<(), (u16, &'static str)> {
        let value = headers.get(header::AUTHORIZATION).ok_or((403, "MissingProviderToken"))?;
        if self.known_authorization.as_ref() == Some(value) {
            return Ok(());
        }
        if !self.key.accepts(value.as_bytes(), now) {
            return Err((403, "InvalidProviderToken"));
        }
        self.known_authorization = Some(value.clone());
        Ok(())
    }

    fn payload(&mut self, payload: &[u8]) -> Result<usize, (u16, &'static str)> {
        if let Some(known) = self.known_payloads.iter().position(|(known, _)| known == payload) {
            return Ok(known);
        }
        let value: Value = serde_json::from_slice(payload).map_err(|_| (400, "PayloadNotJson"))?;
        let alert = &value["aps"]["alert"];
        if !self.expected.texts.iter().any(|(title, body)| alert["title"] == title.as_str() && alert["body"] == body.as_str()) {
            return Err((400, "WrongText"));
        }
        let event = value["carillon"]["eventId"].as_str().unwrap_or("").to_owned();
        let place = self.oldest_payload;
        self.oldest_payload = (place + 1) % KNOWN_PAYLOADS;
        self.known_payloads[place] = (payload.to_vec(), event);
        Ok(place)
    }

    fn count(&mut self, device: u32, known: usize, now_micros: u64) {
        if device == tokens::LIMIT {
            self.stats.limit += 1;
            return;
        }
        let stats = &mut self.stats;
        stats.accepted += 1;
        stats.last_micros = now_micros;
        for first in [&mut stats.first_micros, &mut stats.first_after_mark_micros] {
            if *first == 0 {
                *first = now_micros;
            }
        }
        let watched = self.expected.watched.contains(&device);
        let seen = &mut self.seen[device as usize];
        stats.distinct += u64::from(*seen == 0);
        stats.repeats += u64::from(*seen > 0 && !watched);
        *seen = seen.saturating_add(1);
        if watched && self.arrivals.len() < MOST_ARRIVALS {
            self.arrivals.push(Arrival { device, event: self.known_payloads[known].1.clone(), at_micros: now_micros });
        }
    }
}

/// The headers that Apple wants, with values that Apple takes.
fn fields(headers: &HeaderMap) -> Result<(), (u16, &'static str)> {
    let value = |name: &str| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    if value("apns-topic") != TOPIC.as_bytes() {
        return Err((400, "TopicDisallowed"));
    }
    if value("apns-push-type") != b"alert" {
        return Err((400, "InvalidPushType"));
    }
    if !matches!(value("apns-priority"), b"10" | b"5" | b"1") {
        return Err((400, "BadPriority"));
    }
    let expiration = value("apns-expiration");
    if expiration.is_empty() || !expiration.iter().all(u8::is_ascii_digit) {
        return Err((400, "BadExpirationDate"));
    }
    if value("apns-id").len() != 36 {
        return Err((400, "BadMessageId"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const NOW: u64 = 1_700_000_000_000_000;

    fn account() -> (Account, String) {
        let key = Key::generate().unwrap();
        let authorization = format!("bearer {}", key.sign(NOW / 1_000_000).unwrap());
        let mut account = Account::new(key, Google::new(1).unwrap().0, Browsers::new(1));
        account.reset(Expected { devices: 3, texts: vec![("T".into(), "B".into())], watched: vec![2], latency_ms: 0 });
        (account, authorization)
    }

    fn request(device: u32, authorization: &str, topic: &str) -> Parts {
        let path = format!("/3/device/{}", std::str::from_utf8(&tokens::token(device)).unwrap());
        let request = Request::post(path)
            .header("authorization", authorization)
            .header("apns-topic", topic)
            .header("apns-push-type", "alert")
            .header("apns-priority", "10")
            .header("apns-expiration", "0")
            .header("apns-id", "00000000-0000-0000-0000-000000000000");
        request.body(()).unwrap().into_parts().0
    }

    fn payload(title: &str) -> Vec<u8> {
        format!(r#"{{"aps":{{"alert":{{"title":"{title}","body":"B"}}}},"carillon":{{"eventId":"e"}}}}"#).into_bytes()
    }

    #[test]
    fn devices_repeats_and_watched_arrivals_are_counted() {
        let (mut account, authorization) = account();
        for device in [0, 1, 1, 2, 2, tokens::LIMIT] {
            account.take(&request(device, &authorization, TOPIC), &payload("T"), NOW).unwrap();
        }
        let stats = account.stats();
        assert_eq!((stats.accepted, stats.distinct, stats.repeats, stats.limit), (5, 3, 1, 1));
        assert_eq!(account.arrivals().len(), 2);
        assert_eq!(account.arrivals()[0].event, "e");
    }

    #[test]
    fn a_wrong_token_key_topic_or_text_is_refused_and_counted() {
        let (mut account, authorization) = account();
        let stranger = format!("bearer {}", Key::generate().unwrap().sign(NOW / 1_000_000).unwrap());
        let tries = [
            (request(3, &authorization, TOPIC), payload("T"), "BadDeviceToken"),
            (request(0, &stranger, TOPIC), payload("T"), "InvalidProviderToken"),
            (request(0, &authorization, "org.example.other"), payload("T"), "TopicDisallowed"),
            (request(0, &authorization, TOPIC), payload("U"), "WrongText"),
        ];
        for (head, payload, reason) in &tries {
            assert_eq!(account.take(head, payload, NOW).unwrap_err().1, *reason);
        }
        assert_eq!(account.stats().refused.len(), tries.len());
        assert_eq!(account.stats().accepted, 0);
    }

    #[test]
    fn mails_of_the_campaign_are_counted_and_others_refused() {
        let (mut account, _) = account();
        let mail = |subject: &str, body: &str| format!("From: a\r\nSubject: {subject}\r\n\r\n{body}").into_bytes();
        assert!(account.take_mail("p0@bench.example.org", &mail("T", "x"), NOW));
        assert!(account.take_mail("p1@bench.example.org", &mail("T", "y"), NOW));
        for (to, mail) in [
            ("p3@bench.example.org", mail("T", "x")),
            ("q0@bench.example.org", mail("T", "x")),
            ("p0@bench.example.org", mail("U", "x")),
            ("p0@bench.example.org", mail("T", "a third body")),
        ] {
            assert!(!account.take_mail(to, &mail, NOW), "{to}");
        }
        assert!(account.take_mail(mail::LIMIT, b"anything", NOW));
        assert_eq!((account.stats().accepted, account.stats().distinct, account.stats().limit), (2, 2, 1));
    }

    #[test]
    fn after_a_mark_the_next_request_is_the_first() {
        let (mut account, authorization) = account();
        for (device, at) in [(0, 5), (1, 6)] {
            account.mark();
            account.take(&request(device, &authorization, TOPIC), &payload("T"), NOW + at).unwrap();
        }
        let stats = account.stats();
        assert_eq!((stats.first_micros, stats.first_after_mark_micros, stats.last_micros), (NOW + 5, NOW + 6, NOW + 6));
    }
}
