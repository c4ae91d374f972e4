//! What probes of channels have in common: a connection that is opened only to see how far it gets, and the other side's
//! clock. A probe tells nobody anything; what it finds is said in words for an operator, without a secret.

use crate::tls::Tls;
use http::{HeaderMap, header};
use model::channel::Finding;
use model::outcome::{Cause, Outcome};
use model::time::Timestamp;
use rustls::CertificateError;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long name, TCP and TLS may take together.
const WITHIN: Duration = Duration::from_secs(10);

/// What the steps of one connection are called in findings.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    /// Name and TCP.
    pub(crate) connection: &'static str,
    /// TLS.
    pub(crate) tls: &'static str,
    /// The setting of the certificates to trust.
    pub(crate) ca: &'static str,
}

/// Whereto, and what is wanted there.
pub(crate) struct Place<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) tls: Option<&'a Tls>,
    /// HTTP/2 has to be agreed on.
    pub(crate) http2: bool,
}

/// Opens a connection and closes it; says each step, and whether it got through all of them.
pub(crate) async fn reach(
    place: Place<'_>,
    dialing: impl Future<Output = Result<TcpStream, Cause>>,
    steps: Steps,
    findings: &mut Vec<Finding>,
) -> bool {
    let Place { host, port, .. } = place;
    let tcp = match tokio::time::timeout(WITHIN, dialing).await.unwrap_or_else(|_| Err(Cause::of_channel("timed_out", 0))) {
        Ok(tcp) => tcp,
        Err(cause) => {
            findings.push(unreached(steps.connection, host, port, &cause));
            return false;
        }
    };
    findings.push(Finding::fine(steps.connection, format!("{host}:{port} can be reached")));
    let Some(tls) = place.tls else { return true };
    match tokio::time::timeout(WITHIN, tls.connector.connect(tls.name.clone(), tcp)).await {
        Ok(Ok(stream)) if place.http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") => {
            let found = format!("{host} does not speak HTTP/2");
            findings.push(Finding::wrong(steps.tls, found, "check the endpoint; a proxy that breaks TLS open may be in between"));
            false
        }
        Ok(Ok(_)) => {
            findings.push(Finding::fine(steps.tls, format!("the certificate of {host} is valid and trusted")));
            true
        }
        Ok(Err(error)) => {
            findings.push(untrusted(steps, host, &error));
            false
        }
        Err(_) => {
            findings.push(Finding::wrong(steps.tls, format!("{host} does not answer the TLS handshake"), "check host and port"));
            false
        }
    }
}

/// Why there is no connection.
pub(crate) fn unreached(step: &'static str, host: &str, port: u16, cause: &Cause) -> Finding {
    let (found, mend) = match cause.code.as_ref() {
        "dns_failed" => (format!("the name {host} cannot be resolved"), "check the name, and this machine's name server"),
        "connection_refused" => (format!("{host}:{port} refuses connections"), "check host and port, and whether the other side runs"),
        "timed_out" => (format!("{host}:{port} does not answer"), "check the firewall: outgoing connections there have to be allowed"),
        code => (format!("{host}:{port} cannot be reached ({code})"), "check the network and the firewall"),
    };
    Finding::wrong(step, found, mend)
}

/// Why the other side's certificate is not trusted.
pub(crate) fn untrusted(steps: Steps, host: &str, error: &io::Error) -> Finding {
    let certificate = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let wrong = |found: String, mend: String| Finding::wrong(steps.tls, found, mend);
    let ca = steps.ca;
    match certificate {
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => wrong(
                format!("the certificate of {host} has expired"),
                format!("whoever runs {host} has to renew it; if it is valid elsewhere, set this machine's clock"),
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                wrong(format!("the certificate of {host} is not valid yet"), "set this machine's clock".into())
            }
            // An authority of the same name with another key is not trusted either.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => wrong(
                format!("the certificate of {host} was signed by an authority that is not trusted here"),
                format!("name that authority's certificate in {ca}, or install the package ca-certificates"),
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => wrong(
                format!("the certificate of the other side is not for the name {host}"),
                "write the name that the certificate has".into(),
            ),
            other => wrong(format!("the certificate of {host} is not acceptable ({other:?})"), format!("check {ca} and the other side")),
        },
        _ => wrong(
            format!("TLS with {host} fails: {error}"),
            "check host, port and the kind of TLS; the other side may speak none on this port".into(),
        ),
    }
}

/// How far the other side's clock is ahead of ours, in milliseconds, by the `Date` (RFC 9110 §6.6.1) of an answer that was
/// asked for at `before` and was here at `after`. `Date` has whole seconds, so the difference has to exceed that.
pub(crate) fn ahead(headers: &HeaderMap, before: Timestamp, after: Timestamp) -> Option<i64> {
    let date = jiff::fmt::rfc2822::parse(headers.get(header::DATE)?.to_str().ok()?).ok()?.timestamp().as_millisecond();
    let (earliest, latest) = (date, date.saturating_add(999));
    Some(if latest < before.0 {
        latest.saturating_sub(before.0)
    } else if earliest > after.0 {
        earliest.saturating_sub(after.0)
    } else {
        0
    })
}

/// The greater of two differences.
pub(crate) fn further(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    [one, other].into_iter().flatten().max_by_key(|ahead| ahead.abs())
}

/// A finding about credentials from the outcome of a letter to an address that cannot exist: to be told that the address
/// is wrong means that everything before it was right. `refused` says what is wrong when it is ours.
pub(crate) fn credentials<M: Into<String>>(
    step: &'static str,
    who: &str,
    outcome: &Outcome,
    refused: impl Fn(&Cause) -> (String, M),
) -> Finding {
    match outcome {
        Outcome::Accepted | Outcome::Rejected(_) | Outcome::AddressGone(_) => Finding::fine(step, format!("{who} takes our credentials")),
        Outcome::TryLater { cause, .. } => {
            let found = format!("{who} cannot say now whether it takes our credentials ({})", cause.code);
            Finding::doubtful(step, found, "try again in a while")
        }
        Outcome::OurFault(cause) => {
            let (found, mend) = refused(cause);
            Finding::wrong(step, found, mend)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::channel::Grade;

    #[test]
    fn clocks_are_compared_within_what_whole_seconds_leave_open() {
        let mut headers = HeaderMap::new();
        assert_eq!(ahead(&headers, Timestamp(0), Timestamp(0)), None);
        headers.insert(header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().expect("a value"));
        let date = 784_111_777_000;
        assert_eq!(ahead(&headers, Timestamp(date + 400), Timestamp(date + 500)), Some(0));
        assert_eq!(ahead(&headers, Timestamp(date - 300), Timestamp(date)), Some(0), "it took a while");
        assert_eq!(ahead(&headers, Timestamp(date + 6_999), Timestamp(date + 7_200)), Some(-6_000));
        assert_eq!(ahead(&headers, Timestamp(date - 9_000), Timestamp(date - 8_000)), Some(8_000));
        assert_eq!(further(Some(-6_000), Some(40)), Some(-6_000));
        assert_eq!(further(None, Some(0)), Some(0));
    }

    #[test]
    fn a_wrong_address_proves_the_credentials_and_a_fault_of_ours_is_named() {
        let judged = |outcome| credentials("key", "Apple", &outcome, |c| (format!("refused: {}", c.code), "mend it"));
        assert_eq!(judged(Outcome::AddressGone(Cause::of("BadDeviceToken", 400))).grade, Grade::Fine);
        assert_eq!(judged(Outcome::TryLater { after: None, cause: Cause::of("Shutdown", 503) }).grade, Grade::Doubtful);
        let fault = judged(Outcome::OurFault(Cause::of_channel("InvalidProviderToken", 403)));
        assert_eq!((fault.grade, fault.found.as_str(), fault.mend.as_str()), (Grade::Wrong, "refused: InvalidProviderToken", "mend it"));
    }
}
