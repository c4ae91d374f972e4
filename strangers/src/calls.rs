//! What telephone systems, and whoever takes their place, say of calls.

/// CloudEvents over HTTP: headers up to an empty line, the body.
pub fn events(bytes: &[u8]) {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let headers = String::from_utf8_lossy(&bytes[..end]);
    integrations::cloudevents::route::read_by_strangers(&headers, bytes.get(end + 2..).unwrap_or_default());
}

/// A session with the listener for mails, and a mail.
pub fn smtp(bytes: &[u8]) {
    integrations::smtp_in::read_by_strangers(bytes);
}
