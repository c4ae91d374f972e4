//! `[integrations.smtp_in]`: the listener for voice-mail mails.

use super::build::Desk;
use integrations::smtp_in::{Protocol, Settings};
use model::Clock;
use std::net::SocketAddr;
use std::sync::Arc;
use web::Network;

const AT: &str = "integrations.smtp_in";
/// This machine alone.
const ALLOWED: &str = "127.0.0.0/8, ::1";
/// Largest mail of a listener that is told nothing: ten minutes of telephone audio, and room.
const MAX_BYTES: usize = integrations::voicemail_mail::MAIL_BYTES;

/// `[integrations.smtp_in]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SmtpIn {
    /// Address and port.
    pub listen: SocketAddr,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Dial plan whose extensions may be recipients.
    pub dial_plan: Option<String>,
    /// Who may connect.
    pub allowed_networks: Vec<Network>,
    /// Largest mail.
    pub max_bytes: usize,
}

impl SmtpIn {
    /// As the listener takes them; `name` is what the server calls itself there.
    pub fn settings(&self, name: &str, clock: Arc<dyn Clock>) -> Settings {
        let allowed = self.allowed_networks.clone();
        Settings {
            protocol: self.protocol,
            dial_plan: self.dial_plan.clone(),
            max_bytes: self.max_bytes,
            name: name.to_owned(),
            admits: Arc::new(move |address| allowed.iter().any(|network| network.holds(address))),
            clock,
        }
    }
}

impl Desk {
    pub(super) fn smtp_in(&mut self) -> Option<SmtpIn> {
        self.0.present.get(AT)?;
        let mut listen = None;
        if let Some((given, text)) = self.given(AT, "listen") {
            match text.parse() {
                Ok(address) => listen = Some(address),
                Err(_) => self.fault(&given, AT, "listen", format_args!("{text:?} is not an address and port such as 127.0.0.1:2525")),
            }
        }
        let allowed = self.allowed_networks();
        let protocol = match self.text(AT, "protocol").as_deref() {
            Some("lmtp") => Protocol::Lmtp,
            _ => Protocol::Smtp,
        };
        Some(SmtpIn {
            listen: listen?,
            protocol,
            dial_plan: self.text(AT, "dial_plan"),
            allowed_networks: allowed,
            max_bytes: self.number(AT, "max_bytes").and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_BYTES),
        })
    }

    fn allowed_networks(&mut self) -> Vec<Network> {
        let given = self.given(AT, "allowed_networks");
        let text = given.as_ref().map_or(ALLOWED, |(_, text)| text.as_str());
        let read: Result<Vec<Network>, String> = text.split(',').map(str::parse).collect();
        match (read, given) {
            (Ok(networks), _) => networks,
            (Err(rule), Some((given, _))) => {
                self.fault(&given, AT, "allowed_networks", format_args!("{rule}; separate several with commas"));
                Vec::new()
            }
            (Err(_), None) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Overrides};
    use integrations::smtp_in::Protocol;
    use model::{Clock, Timestamp};
    use std::sync::Arc;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
    }

    fn load(pairs: &[(&str, &str)]) -> Result<Config, crate::config::Faults> {
        let variable = |(key, value): &(&str, &str)| (format!("CARILLON__INTEGRATIONS__SMTP_IN__{key}"), (*value).to_owned());
        Config::load(None, pairs.iter().map(variable), &Overrides::default())
    }

    #[test]
    fn there_is_no_listener_until_an_address_is_named_and_then_it_is_for_this_machine() {
        assert_eq!(load(&[]).expect("a configuration").integrations.smtp_in, None);
        let smtp_in = load(&[("LISTEN", "127.0.0.1:2525")]).expect("a configuration").integrations.smtp_in.expect("a listener");
        assert_eq!((smtp_in.protocol, smtp_in.dial_plan.as_deref(), smtp_in.max_bytes), (Protocol::Smtp, None, 32 << 20));
        let settings = smtp_in.settings("pbx-in", Arc::new(Noon));
        let admits = |address: &str| (settings.admits)(address.parse().expect("an address"));
        assert!(admits("127.0.0.1") && admits("::1") && !admits("192.0.2.1"));
    }

    #[test]
    fn every_key_is_read_and_a_wrong_one_says_what_is_right() {
        let all = [
            ("LISTEN", "0.0.0.0:24"),
            ("PROTOCOL", "lmtp"),
            ("DIAL_PLAN", "Lyon"),
            ("ALLOWED_NETWORKS", "192.0.2.0/24"),
            ("MAX_BYTES", "65536"),
        ];
        let smtp_in = load(&all).expect("a configuration").integrations.smtp_in.expect("a listener");
        assert_eq!((smtp_in.protocol, smtp_in.dial_plan.as_deref(), smtp_in.max_bytes), (Protocol::Lmtp, Some("Lyon"), 65_536));
        assert_eq!(smtp_in.allowed_networks, ["192.0.2.0/24".parse().expect("a network")]);
        let wrong = |pairs: &[(&str, &str)]| load(pairs).expect_err("a fault").to_string();
        assert!(wrong(&[("LISTEN", "2525")]).contains("127.0.0.1:2525"));
        assert!(wrong(&[("PROTOCOL", "lmtp")]).contains("listen is missing"));
        assert!(wrong(&[("LISTEN", "127.0.0.1:2525"), ("ALLOWED_NETWORKS", "here")]).contains("10.0.0.0/8; separate several with commas"));
    }
}
