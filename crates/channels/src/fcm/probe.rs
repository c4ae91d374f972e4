//! A look at Google: the token endpoint and whether the service account is taken there; then the service itself, with a
//! message that is only validated (`validate_only`) to a registration token that cannot exist. To be told that the token is
//! invalid means that account and project are right.

use super::{Inner, headers};
use crate::bearer::Probing;
use crate::probing::{self, Steps};
use bytes::Bytes;
use http::{Method, Request};
use model::channel::{Lane, Probe};
use model::outcome::Cause;
use model::time::Clock;

const CA: &str = "channels.fcm.ca_file";
const TOKENS: Probing<'_> = Probing {
    steps: Steps { connection: "token endpoint", tls: "token endpoint TLS", ca: CA },
    step: "service account",
    mend: "make a new key for the service account in Google's console and name its file in channels.fcm.service_account_file; look at this machine's clock",
};
const SERVICE: Steps = Steps { connection: "connection", tls: "TLS", ca: CA };
/// Nobody's registration token is so short.
const NOBODY: &[u8] = br#"{"validate_only":true,"message":{"token":"nobody","data":{"id":"0"}}}"#;

pub(super) async fn probe(inner: &Inner, clock: &dyn Clock) -> Probe {
    let mut probe = Probe::default();
    let (token, ahead) = inner.bearer.probe(&TOKENS, clock, &mut probe.findings).await;
    probe.clock_ahead_ms = ahead;
    if !inner.target.reach(SERVICE, &mut probe.findings).await {
        return probe;
    }
    let Some(token) = token else { return probe };
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = inner.uri.clone();
    *request.headers_mut() = headers(token.clone());
    let before = clock.now();
    let room = tokio::time::timeout(inner.deadline, inner.pool.room(Lane::Urgent)).await;
    let answer = match room.unwrap_or_else(|_| Err(Cause::of("timed_out", 0))) {
        Ok(room) => room.send(request, Bytes::from_static(NOBODY)).await,
        Err(cause) => Err(cause),
    };
    if let Ok(answer) = &answer {
        probe.clock_ahead_ms = probing::further(probe.clock_ahead_ms, probing::ahead(&answer.headers, before, clock.now()));
    }
    let outcome = inner.outcome(answer, &token, before);
    probe.findings.push(probing::credentials("project", "Google", &outcome, |cause| {
        let found = format!("Google does not let the service account send for its project: {} ({})", cause.code, cause.status);
        (found, "give the account the role Firebase Cloud Messaging API Admin, and turn the API on for the project")
    }));
    probe
}
