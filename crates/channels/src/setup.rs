//! What is wrong with a channel's settings, said so that it can be mended.

/// A setting that a channel cannot be built from. It never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {rule}; {mend}")]
pub struct ChannelSetupError {
    /// Full name of the setting, such as `channels.apns.key_file`.
    pub setting: &'static str,
    /// What it has to be and is not.
    pub rule: String,
    /// What to do about it.
    pub mend: String,
}

impl ChannelSetupError {
    pub(crate) fn new(setting: &'static str, rule: impl Into<String>, mend: impl Into<String>) -> ChannelSetupError {
        ChannelSetupError { setting, rule: rule.into(), mend: mend.into() }
    }
}

/// Whether a host means this machine: only there may credentials travel in clear.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
