//! Whereto: one provider's endpoint, checked once.

use crate::dial::dial;
use crate::guard::Guard;
use crate::probing::{self, Place, Steps};
use crate::setup::{ChannelSetupError, is_loopback};
use crate::tls::{self, Names, Tls};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Uri, uri};
use model::channel::Finding;
use model::outcome::Cause;
use tokio::net::TcpStream;

/// A provider's endpoint and how to reach it.
#[derive(Clone)]
pub struct Target {
    scheme: Scheme,
    authority: Authority,
    port: u16,
    tls: Option<Tls>,
    /// Set where users name the host.
    guard: Option<Guard>,
}

impl Target {
    /// Reads an endpoint such as `https://api.push.apple.com`. `http://` means HTTP/2 in clear with prior knowledge
    /// (RFC 9113 §3.3) and is allowed on this machine only. `setting` and `ca_setting` name the settings in errors.
    ///
    /// # Errors
    /// What is wrong with the endpoint or the certificates.
    pub fn parse(
        endpoint: &str,
        ca_pem: Option<&str>,
        setting: &'static str,
        ca_setting: &'static str,
    ) -> Result<Target, ChannelSetupError> {
        let wrong = |rule: &str| ChannelSetupError::new(setting, format!("{endpoint:?} {rule}"), "write https://HOST or https://HOST:PORT");
        let uri: Uri = endpoint.trim().trim_end_matches('/').parse().map_err(|_| wrong("is not a URL"))?;
        let scheme = uri.scheme().cloned().ok_or_else(|| wrong("has no https://"))?;
        let authority = uri.authority().cloned().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("holds more than a host and a port"));
        }
        let (tls, usual) = if scheme == Scheme::HTTPS {
            (Some(tls::connector(authority.host(), ca_pem, &[b"h2"], &Names { host: setting, ca: ca_setting })?), 443)
        } else if scheme == Scheme::HTTP && is_loopback(authority.host()) {
            (None, 80)
        } else if scheme == Scheme::HTTP {
            let rule = format!("{endpoint:?} would send the signing token in clear over a network");
            return Err(ChannelSetupError::new(setting, rule, "write https://; http:// is for 127.0.0.1, [::1] and localhost"));
        } else {
            return Err(wrong("is neither https:// nor http://"));
        };
        let port = authority.port_u16().unwrap_or(usual);
        Ok(Target { scheme, authority, port, tls, guard: None })
    }

    /// A host that a user named, by HTTPS, reached through a guard.
    pub(crate) fn guarded(authority: Authority, tls: Tls, guard: Guard) -> Target {
        let port = authority.port_u16().unwrap_or(443);
        Target { scheme: Scheme::HTTPS, authority, port, tls: Some(tls), guard: Some(guard) }
    }

    /// Opens a TCP connection there.
    pub(super) async fn dial(&self) -> Result<TcpStream, Cause> {
        match &self.guard {
            Some(guard) => guard.dial(self.host(), self.port).await,
            None => dial(self.host(), self.port).await,
        }
    }

    /// Opens a connection only to see how far it gets.
    pub(crate) async fn reach(&self, steps: Steps, findings: &mut Vec<Finding>) -> bool {
        let place = Place { host: self.host(), port: self.port, tls: self.tls.as_ref(), http2: true };
        probing::reach(place, self.dial(), steps, findings).await
    }

    /// The URI of a path here. The path begins with a slash.
    ///
    /// # Errors
    /// When the path holds characters that a URI cannot.
    pub fn uri(&self, path: bytes::Bytes) -> Result<Uri, uri::InvalidUri> {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(path)?);
        Ok(Uri::from_parts(parts).expect("scheme, authority and path are all there"))
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, for a log line.
    pub(super) fn authority(&self) -> &str {
        self.authority.as_str()
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(endpoint: &str) -> Result<Target, ChannelSetupError> {
        Target::parse(endpoint, None, "channels.apns.endpoint", "channels.apns.ca_file")
    }

    #[test]
    fn endpoints_that_would_leak_or_mislead_are_refused_with_the_mend() {
        for (endpoint, said) in [
            ("api.push.apple.com", "https://"),
            ("http://api.push.apple.com", "in clear over a network"),
            ("ftp://127.0.0.1", "neither"),
            ("https://me@host", "more than a host"),
            ("https://host/path", "more than a host"),
            ("", "not a URL"),
        ] {
            let error = parse(endpoint).err().expect(endpoint).to_string();
            assert!(error.starts_with("channels.apns.endpoint: ") && error.contains(said), "{error}");
        }
    }

    #[test]
    fn clear_http_is_for_this_machine() {
        for endpoint in ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080"] {
            assert_eq!(parse(endpoint).expect(endpoint).port(), 8080);
        }
        let target = parse("http://[::1]:8080/").expect("a target");
        assert_eq!(target.host(), "::1");
        assert_eq!(target.uri("/3/device/aa".into()).expect("a path").to_string(), "http://[::1]:8080/3/device/aa");
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_named() {
        let error = Target::parse("https://localhost", Some("nothing"), "e", "channels.apns.ca_file").err().expect("no certificate");
        assert_eq!(error.setting, "channels.apns.ca_file");
        assert!(error.to_string().contains("holds no certificate"), "{error}");
    }
}
