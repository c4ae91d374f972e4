//! Access tokens of a fake: given, taken while they live, refused on demand (RFC 6749 §5, RFC 6750).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Filler, so that a token has about the length of a real one.
const FILLER: &str = "c.b0Aaekm1K0f5DS3GRBAbGVzLWNhcmlsbG9ucy1zb25uZW50LWxlcy1jYXJpbGxvbnMtc29ubmVudC1sZXMtY2FyaWxsb25zLXNvbm5lbnQ";

pub(crate) struct Tokens {
    prefix: &'static str,
    state: Mutex<State>,
}

struct State {
    life: u64,
    given: HashMap<String, Instant>,
    refusal: Option<(u16, String)>,
}

type Refusal<'a> = (u16, &'a str, &'a str);

impl Tokens {
    /// Tokens begin with `prefix` and live for an hour.
    pub(crate) fn new(prefix: &'static str) -> Tokens {
        Tokens { prefix, state: Mutex::new(State { life: 3600, given: HashMap::new(), refusal: None }) }
    }

    pub(crate) fn set_life(&self, seconds: u64) {
        self.state.lock().life = seconds;
    }

    pub(crate) fn revoke(&self) {
        self.state.lock().given.clear();
    }

    pub(crate) fn refuse(&self, refusal: Option<(u16, &str)>) {
        self.state.lock().refusal = refusal.map(|(status, error)| (status, error.to_owned()));
    }

    /// Whether an `authorization` header holds a token that was given and lives.
    pub(crate) fn takes(&self, header: Option<&HeaderValue>) -> bool {
        let token = header.and_then(|value| value.to_str().ok()).and_then(|text| text.strip_prefix("Bearer "));
        token.is_some_and(|token| self.state.lock().given.get(token).is_some_and(|ends| *ends > Instant::now()))
    }

    /// A new token, or the refusal.
    pub(crate) fn answer(&self, judged: Result<(), Refusal<'_>>) -> Response<Full<Bytes>> {
        let mut state = self.state.lock();
        let told = state.refusal.clone();
        let refused = told.as_ref().map(|(status, error)| (*status, error.as_str(), "told to")).or(judged.err());
        let (status, body) = match refused {
            Some((status, error, why)) => (status, json!({"error": error, "error_description": why})),
            None => {
                let token = format!("{}{FILLER}{}", self.prefix, uuid::Uuid::new_v4().simple());
                let ends = Instant::now() + Duration::from_secs(state.life);
                state.given.insert(token.clone(), ends);
                (200, json!({"access_token": token, "expires_in": state.life, "token_type": "Bearer"}))
            }
        };
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// A form's fields (`application/x-www-form-urlencoded`).
pub(crate) fn form(body: &[u8]) -> HashMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (unescaped(name), unescaped(value))).collect()
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                out.push(std::str::from_utf8(&hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(b'?'));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read() {
        let form = form(b"scope=https%3A%2F%2Fx%2F.default&client_id=a+b&x=");
        assert_eq!((form["scope"].as_str(), form["client_id"].as_str(), form["x"].as_str()), ("https://x/.default", "a b", ""));
    }

    #[test]
    fn a_token_is_taken_while_it_lives_and_until_it_is_revoked() {
        let tokens = Tokens::new("t.");
        let given = |tokens: &Tokens| {
            assert_eq!(tokens.answer(Ok(())).status(), 200);
            let token = tokens.state.lock().given.keys().next().cloned().expect("a token");
            HeaderValue::try_from(format!("Bearer {token}")).expect("a value")
        };
        let header = given(&tokens);
        assert!(tokens.takes(Some(&header)) && !tokens.takes(None));
        tokens.revoke();
        assert!(!tokens.takes(Some(&header)));
        tokens.set_life(0);
        assert!(!tokens.takes(Some(&given(&tokens))));
        tokens.refuse(Some((400, "invalid_grant")));
        assert_eq!(tokens.answer(Ok(())).status(), 400);
    }
}
