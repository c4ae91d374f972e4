//! A look at Apple: connection, TLS with HTTP/2, and whether the signing key is taken. A push to a device token that cannot
//! exist tells: Apple looks at the provider token first, so `BadDeviceToken` means that the key is right, and
//! `InvalidProviderToken` that it is not. Whether the topic is right shows only with a real device.

use super::{Common, Inner};
use crate::http2::{Pool, Target};
use crate::probing::{self, Steps};
use bytes::Bytes;
use http::{Method, Request};
use model::channel::{Address, Lane, Letter, Probe, Rendered};
use model::event::Urgency;
use model::ids::WireId;
use model::outcome::{Cause, Outcome};
use model::time::Clock;

const CA: &str = "channels.apns.ca_file";
const PRODUCTION: Steps = Steps { connection: "connection", tls: "TLS", ca: CA };
const SANDBOX: Steps = Steps { connection: "sandbox connection", tls: "sandbox TLS", ca: CA };
/// No device has it: far too short.
const NOBODY: &str = "00";

pub(super) async fn probe(inner: &Inner, clock: &dyn Clock) -> Probe {
    let mut probe = Probe::default();
    ask(inner, (&inner.target, &inner.pool), (PRODUCTION, "signing key"), clock, &mut probe).await;
    if let Some((target, pool)) = &inner.sandbox
        && (target.host(), target.port()) != (inner.target.host(), inner.target.port())
    {
        ask(inner, (target, pool), (SANDBOX, "sandbox signing key"), clock, &mut probe).await;
    }
    probe
}

async fn ask(inner: &Inner, (target, pool): (&Target, &Pool), (steps, step): (Steps, &'static str), clock: &dyn Clock, probe: &mut Probe) {
    if !target.reach(steps, &mut probe.findings).await {
        return;
    }
    let before = clock.now();
    let token = inner.token.at(before);
    let content = Rendered { body: Bytes::from_static(br#"{"aps":{}}"#), ..Rendered::default() };
    let address = Address::Registration { token: NOBODY, app: "", sandbox: false };
    let (wire, expires_at) = (WireId::from(uuid::Uuid::nil()), before);
    let letter = Letter { wire, address, content: &content, files: &[], urgency: Urgency::Low, expires_at, now: before, collapse_key: "" };
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.uri(Bytes::from(["/3/device/", NOBODY].concat())).expect("digits are a path");
    *request.headers_mut() = Common::new(&letter, &token, &inner.topic).headers;
    let room = tokio::time::timeout(inner.deadline, pool.room(Lane::Urgent)).await.unwrap_or_else(|_| Err(Cause::of("timed_out", 0)));
    let answer = match room {
        Ok(room) => room.send(request, content.body.clone()).await,
        Err(cause) => Err(cause),
    };
    if let Ok(answer) = &answer {
        probe.clock_ahead_ms = probing::further(probe.clock_ahead_ms, probing::ahead(&answer.headers, before, clock.now()));
    }
    let outcome = inner.outcome(answer, &token, true, before);
    // A token that was made a moment ago and is called old: one of the two clocks is wrong.
    let outcome = match outcome {
        Outcome::TryLater { cause, .. } if cause.code == "ExpiredProviderToken" => Outcome::OurFault(cause),
        other => other,
    };
    probe.findings.push(probing::credentials(step, "Apple", &outcome, refused));
}

fn refused(cause: &Cause) -> (String, &'static str) {
    let code = &cause.code;
    match code.as_ref() {
        "BadTopic" | "MissingTopic" | "TopicDisallowed" => (
            format!("Apple refuses the topic ({code})"),
            "write the app's bundle id in channels.apns.topic; the key has to be allowed for it",
        ),
        "ExpiredProviderToken" => (
            format!("Apple calls a token that was signed just now too old ({code})"),
            "set this machine's clock; let it follow a time server",
        ),
        _ => (
            format!("Apple refuses the signing key ({code})"),
            "compare channels.apns.key_file, key_id and team_id with Apple's developer site, where the key may have been revoked, and look at this machine's clock",
        ),
    }
}
