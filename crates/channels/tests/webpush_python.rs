//! What another implementation reads of our messages: Python's `http_ece`, from PyPI, in an environment of its own below the
//! target folder. Where Python or PyPI is out of reach this says so and is skipped.

mod stands;

use fakes::push_service::Browser;
use model::outcome::Outcome;
use serde_json::json;
use stands::python::{ask, python, skipped};
use stands::{push_stand, words};

/// The version that was there when this was written; the file format is a standard and does not move.
const HTTP_ECE: &str = "http_ece==1.2.1";

/// Reads one JSON object with a browser's keys and bodies, and prints what it decrypts as a JSON list of texts.
const SCRIPT: &str = r#"
import base64, json, sys
import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
def raw(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
asked = json.load(sys.stdin)
key = ec.derive_private_key(int.from_bytes(raw(asked["private"]), "big"), ec.SECP256R1())
open_one = lambda body: http_ece.decrypt(raw(body), private_key=key, auth_secret=raw(asked["auth"]), version="aes128gcm")
print(json.dumps([open_one(body).decode("utf-8") for body in asked["bodies"]]))
"#;

#[tokio::test]
async fn http_ece_reads_what_was_sent() {
    let python = match python("http-ece", &[HTTP_ECE], "import http_ece") {
        Ok(python) => python,
        Err(why) => return skipped("decryption by Python's http_ece", &why),
    };
    // The private key and the secret of RFC 8291 §5.
    let (private, auth) = ("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94", "BTBZMqHH6r4Tts7J_aSIgg");
    let raw = |text: &str| base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).expect("base64url");
    let browser = Browser::from_private(&raw(private), &raw(auth)).expect("a browser");
    let stand = push_stand("webpush", |options, _| options.browser = Some(browser)).await;
    let texts = ["Fire drill at ten.".to_owned(), "« À l’étage » 🔔 \"quoted\"\n漢字".to_owned(), "é".repeat(10_000)];
    let mut expected = Vec::new();
    for text in &texts {
        let rendered = stand.channel.render(&words(text));
        assert_eq!(stand.tell_with(1, &rendered, |_| {}).await, Outcome::Accepted);
        expected.push(String::from_utf8(rendered.body.to_vec()).expect("UTF-8"));
    }
    let encode = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
    let bodies: Vec<String> = stand.push().arrivals(texts.len()).iter().map(|arrival| encode(&arrival.body)).collect();
    let read = ask(&python, SCRIPT, &json!({"private": private, "auth": auth, "bodies": bodies}));
    assert_eq!(read, serde_json::Value::from(expected));
}
