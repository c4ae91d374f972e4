//! Errands to outside systems as signed webhooks (Standard Webhooks 1.0.0): a POST with `webhook-id`, `webhook-timestamp` and
//! `webhook-signature`, confirmed by a status of 2xx.
//!
//! In: an errand of the engine. Out: whether it was confirmed, and if not, why. Redirections are not followed: a PIN goes to the
//! address that an administrator wrote down and nowhere else. The answer's body is not read.

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::errands::{Answered, Messenger, Outgoing};
use std::time::Duration;

/// How long the other side may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a connection may take to come about.
const CONNECTING: Duration = Duration::from_secs(5);

/// Carries errands over HTTP.
#[derive(Clone, Debug)]
pub struct Webhooks {
    client: reqwest::Client,
}

impl Webhooks {
    /// Trusts the machine's roots.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> Result<Webhooks, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECTING)
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("Carillon/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Webhooks { client })
    }
}

/// The signature of a webhook: over its id, its time in seconds and its body.
pub fn signature(key: &[u8], id: &str, seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

#[async_trait]
impl Messenger for Webhooks {
    async fn carry(&self, outgoing: Outgoing) -> Answered {
        let Outgoing { id, at, url, key, body } = outgoing;
        let (id, seconds) = (format!("msg_{}", id.simple()), at.0.div_euclid(1000));
        let request = self
            .client
            .post(&url)
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", signature(&key, &id, seconds, &body))
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Answered::Confirmed,
            Ok(answer) => Answered::NotYet(format!("it answers {}", answer.status())),
            // Without the URL, whose query may be a secret of theirs.
            Err(error) => Answered::NotYet(error.without_url().to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own text, section *Signature scheme*.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let made = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
