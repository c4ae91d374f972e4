//! The forms in which documents name people and the API does not: a SIP address, a mail address, a display name, a domain with a logon
//! name, and a distinguished name.

use serde_json::Value;
use uuid::Uuid;

/// Whom an identity means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// Who has this user principal name or, where nobody has, this mail address.
    Address(String),
    /// Whose user principal name has this before the `@`.
    Logon(String),
    /// Who is called this.
    Name(String),
}

impl Means {
    /// What an identity means; nothing for an id, which the API knows or nobody has.
    pub fn of(identity: &str) -> Option<Means> {
        let identity = identity.trim();
        let sip = identity.get(..4).filter(|head| head.eq_ignore_ascii_case("sip:")).map(|_| &identity[4..]);
        let logon = identity.split_once('\\').filter(|(domain, logon)| !domain.is_empty() && !logon.is_empty());
        let means = match (sip, common_name(identity), logon) {
            // Parameters of a SIP address say nothing of whose it is.
            (Some(address), _, _) => Means::Address(address.split([';', '?']).next().unwrap_or_default().trim().to_owned()),
            (None, Some(name), _) => Means::Name(name),
            (None, None, Some((_, logon))) => Means::Logon(logon.to_owned()),
            (None, None, None) if Uuid::parse_str(identity).is_ok() => return None,
            (None, None, None) if identity.contains('@') => Means::Address(identity.to_owned()),
            (None, None, None) => Means::Name(identity.to_owned()),
        };
        Some(means).filter(|means| !means.text().is_empty())
    }

    fn text(&self) -> &str {
        match self {
            Means::Address(text) | Means::Logon(text) | Means::Name(text) => text,
        }
    }

    /// A part of what such people have, to look for.
    pub fn search(&self) -> String {
        match self {
            Means::Address(text) | Means::Name(text) => text.clone(),
            Means::Logon(text) => format!("{text}@"),
        }
    }

    /// How well a person fits, 0 best, if at all.
    pub fn fits(&self, person: &Value) -> Option<u8> {
        let has = |field: &str, wanted: &str| person[field].as_str().is_some_and(|text| text.to_lowercase() == wanted.to_lowercase());
        match self {
            Means::Address(address) if has("upn", address) => Some(0),
            Means::Address(address) => has("email", address).then_some(1),
            Means::Logon(logon) => {
                let local = person["upn"].as_str().and_then(|upn| upn.split_once('@')).map(|(local, _)| local.to_lowercase());
                (local.as_deref() == Some(logon.to_lowercase().as_str())).then_some(0)
            }
            Means::Name(name) => has("displayName", name).then_some(0),
        }
    }
}

/// The common name with which a distinguished name begins (RFC 4514 §3); `\` takes the next character as it is, and two hexadecimal
/// digits behind it are a byte.
fn common_name(identity: &str) -> Option<String> {
    let rest = identity.get(..3).filter(|head| head.eq_ignore_ascii_case("cn=")).map(|_| &identity.as_bytes()[3..])?;
    let (mut name, mut at) = (Vec::with_capacity(rest.len()), 0);
    while at < rest.len() && !matches!(rest[at], b',' | b'+' | b';') {
        let pair = rest.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok()).filter(|pair| !pair.starts_with('+'));
        match (rest[at], pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()), rest.get(at + 1)) {
            (b'\\', Some(byte), _) => {
                name.push(byte);
                at += 3;
            }
            (b'\\', None, Some(next)) => {
                name.push(*next);
                at += 2;
            }
            (byte, _, _) => {
                name.push(byte);
                at += 1;
            }
        }
    }
    Some(String::from_utf8_lossy(&name).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_documented_form_means_somebody_and_an_id_only_itself() {
        let (address, logon, name) =
            (|text: &str| Means::Address(text.into()), |text: &str| Means::Logon(text.into()), |text: &str| Means::Name(text.into()));
        let table = [
            ("sip:ida@example.org", address("ida@example.org")),
            ("SIP:ida@example.org;user=phone", address("ida@example.org")),
            ("ida.test@mail.example.org", address("ida.test@mail.example.org")),
            ("CONTOSO\\ida", logon("ida")),
            ("Ida Test", name("Ida Test")),
            ("CN=Ida Test,OU=People,DC=example,DC=org", name("Ida Test")),
            ("cn=Test\\, Ida+uid=7", name("Test, Ida")),
            ("CN=\\C3\\89mile", name("Émile")),
            ("CN=O\\'Neil", name("O'Neil")),
        ];
        for (identity, means) in table {
            assert_eq!(Means::of(identity), Some(means), "{identity}");
        }
        for nobody in ["", "sip:", "CN=,OU=People", "01975a3e-0000-7000-8000-000000000001"] {
            assert_eq!(Means::of(nobody), None, "{nobody}");
        }
    }

    #[test]
    fn people_fit_without_regard_to_case_and_a_principal_name_better_than_a_mail_address() {
        let ida = json!({"upn": "Ida@example.org", "displayName": "Ida Émile", "email": "ida@mail.example.org"});
        let table = [
            ("sip:IDA@example.org", Some(0)),
            ("ida@MAIL.example.org", Some(1)),
            ("x\\ida", Some(0)),
            ("x\\id", None),
            ("ida éMILE", Some(0)),
            ("Ida", None),
            ("da@example.org", None),
        ];
        for (identity, fits) in table {
            assert_eq!(Means::of(identity).expect("a meaning").fits(&ida), fits, "{identity}");
        }
    }
}
