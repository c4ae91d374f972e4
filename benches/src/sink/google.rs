//! What the sink demands of a push to Google: the access token that it gave, and a message of Google's form for one of the
//! campaign's devices. Answers as Google does, in JSON.
//!
//! Messages differ in token and id only, so a message whose other bytes were read once and found right is recognized by
//! them, and the sink stays faster than what it measures.

use crate::tokens;
use anyhow::{Context, Result};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header;
use http::request::Parts;
use serde_json::{Value, json};

/// Path of every push.
pub const PATH: &str = "/v1/projects/bench/messages:send";
/// What registration tokens begin with.
pub const PREFIX: &str = "carillon-bench-0000000:APA91b";
/// What a message begins with, up to its registration token.
const BEGINNING: &[u8] = b"{\"message\":{\"token\":\"";
/// What stands before a message's id.
const BEFORE_ID: &[u8] = b"\"data\":{\"id\":\"";
/// Digits of an id.
const ID: usize = 36;
/// Messages that were found right and are recognized without being read again: two languages, and the life of a message
/// changes with each second.
const KNOWN: usize = 8;

/// The service account and what is known of messages.
pub struct Google {
    /// The access token that it gives to everybody who asks for one with a good assertion.
    pub token: String,
    public: Vec<u8>,
    known: Vec<(Vec<u8>, Vec<u8>)>,
    oldest: usize,
}

impl Google {
    /// A new account, and the file that a server needs to act as it; `control` is the port where tokens are given.
    ///
    /// # Errors
    /// When the system gives no key.
    pub fn new(control: u16) -> Result<(Google, String)> {
        let wrong = "the system gives no RSA key";
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok().context(wrong)?;
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).ok().context(wrong)?;
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let account = json!({
            "type": "service_account",
            "project_id": "bench",
            "private_key_id": "bench",
            "private_key": format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")),
            "client_email": "bench@bench.iam.gserviceaccount.com",
            "token_uri": format!("http://127.0.0.1:{control}/token"),
        });
        let token = format!("ya29.c.{}", "b".repeat(200));
        let google = Google { token, public: pair.public_key().as_ref().to_vec(), known: Vec::new(), oldest: 0 };
        Ok((google, account.to_string()))
    }

    /// Forgets the messages.
    pub fn forget(&mut self) {
        self.known.clear();
        self.oldest = 0;
    }

    /// The answer to a request for an access token; nothing when its assertion is not signed by the account's key.
    pub fn give(&self, form: &[u8]) -> Option<Value> {
        let assertion = std::str::from_utf8(form).ok()?.split('&').find_map(|pair| pair.strip_prefix("assertion="))?;
        let (signed, signature) = assertion.rsplit_once('.')?;
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public);
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        Some(json!({"access_token": self.token, "expires_in": 3600, "token_type": "Bearer"}))
    }

    /// The device of a push that Google would take.
    ///
    /// # Errors
    /// Status and reason of the refusal.
    pub fn examine(&mut self, head: &Parts, body: &[u8], texts: &[(String, String)]) -> Result<u32, (u16, &'static str)> {
        let given = head.headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        if given.strip_prefix(b"Bearer ") != Some(self.token.as_bytes()) {
            return Err((401, "UNAUTHENTICATED"));
        }
        let (device, middle, rest) = parts(body).ok_or((400, "INVALID_ARGUMENT"))?;
        if !self.known.iter().any(|(m, r)| m == middle && r == rest) {
            read(body, texts)?;
            if self.known.len() < KNOWN {
                self.known.push((middle.to_vec(), rest.to_vec()));
            } else {
                self.known[self.oldest] = (middle.to_vec(), rest.to_vec());
                self.oldest = (self.oldest + 1) % KNOWN;
            }
        }
        Ok(device)
    }
}

/// Device, what stands between token and id, and what stands after the id.
fn parts(body: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let rest = body.strip_prefix(BEGINNING)?.strip_prefix(PREFIX.as_bytes())?;
    let (digits, rest) = rest.split_at_checked(tokens::DIGITS)?;
    let id = rest.windows(BEFORE_ID.len()).position(|window| window == BEFORE_ID)? + BEFORE_ID.len();
    Some((tokens::index(digits)?, &rest[..id], rest.get(id + ID..)?))
}

fn read(body: &[u8], texts: &[(String, String)]) -> Result<(), (u16, &'static str)> {
    let value: Value = serde_json::from_slice(body).map_err(|_| (400, "NotJson"))?;
    let message = &value["message"];
    let (notification, android) = (&message["notification"], &message["android"]);
    if !texts.iter().any(|(title, body)| notification["title"] == title.as_str() && notification["body"] == body.as_str()) {
        return Err((400, "WrongText"));
    }
    let seconds = android["ttl"].as_str().and_then(|ttl| ttl.strip_suffix('s')).and_then(|ttl| ttl.parse::<u64>().ok());
    let collapse = android["collapse_key"].as_str().is_some_and(|key| !key.is_empty());
    let fine = android["priority"] == "HIGH" && seconds.is_some_and(|s| s <= 2_419_200) && collapse;
    let data = message["data"].as_object().is_some_and(|data| data.values().all(Value::is_string));
    if fine && data { Ok(()) } else { Err((400, "INVALID_ARGUMENT")) }
}

/// A message to the limit program's device, filled up to `bytes`.
pub fn limit_message((title, body): &(String, String), bytes: usize) -> String {
    let token = tokens::token(tokens::LIMIT);
    let token = std::str::from_utf8(&token).expect("digits are text");
    let make = |filler: &str| {
        let rest = json!({"eventId": "", "kind": filler}).to_string();
        let notification = json!({"title": title, "body": body});
        format!(
            "{{\"message\":{{\"token\":\"{PREFIX}{token}\",\"android\":{{\"priority\":\"HIGH\",\"ttl\":\"3600s\",\"collapse_key\":\"k\"}},\
             \"data\":{{\"id\":\"00000000-0000-7000-8000-000000000000\",{},\"notification\":{notification}}}}}",
            &rest[1..]
        )
    };
    make(&"x".repeat(bytes.saturating_sub(make("").len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(token: &str) -> Parts {
        Request::post(PATH).header("authorization", format!("Bearer {token}")).body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_message_is_taken_when_token_text_and_device_are_right() {
        let (mut google, account) = Google::new(7).unwrap();
        assert!(account.contains("http://127.0.0.1:7/token"));
        let texts = vec![("T".to_owned(), "B".to_owned())];
        let message = limit_message(&texts[0], 1024);
        assert_eq!(message.len(), 1024);
        let good = head(&google.token);
        for _ in 0..2 {
            assert_eq!(google.examine(&good, message.as_bytes(), &texts), Ok(tokens::LIMIT));
        }
        assert_eq!(google.known.len(), 1, "the second was recognized");
        let other_id = message.replace("00000000-0000-7000", "11111111-0000-7000");
        assert_eq!(google.examine(&good, other_id.as_bytes(), &texts), Ok(tokens::LIMIT));
        assert_eq!(google.known.len(), 1, "an id is no difference");
        assert_eq!(google.examine(&head("x"), message.as_bytes(), &texts), Err((401, "UNAUTHENTICATED")));
        let wrong = message.replace("\"body\":\"B\"", "\"body\":\"C\"");
        assert_eq!(google.examine(&good, wrong.as_bytes(), &texts), Err((400, "WrongText")));
        let wrong = message.replace("HIGH", "LOUD");
        assert_eq!(google.examine(&good, wrong.as_bytes(), &texts), Err((400, "INVALID_ARGUMENT")));
        assert_eq!(google.examine(&good, b"{}", &texts), Err((400, "INVALID_ARGUMENT")));
        assert_eq!(google.give(b"grant_type=x&assertion=a.b.c"), None);
    }
}
