//! Sections of which there may be several: each is complete, has a name of its own, and is told apart by its number in the file.

use super::AsteriskConfig;
use super::read::{Entry, Scalar, Values};
use integrations::asterisk::{PORT, TLS_PORT, check_name};
use std::path::PathBuf;

/// Every `[[integrations.asterisk]]`, and everything that is wrong with them.
pub(super) fn asterisk(values: &mut Values) -> Vec<AsteriskConfig> {
    let mut found: Vec<(usize, AsteriskConfig)> = Vec::new();
    let mut faults = Vec::new();
    for entry in values.entries.iter().filter(|entry| entry.section.name == "integrations.asterisk") {
        faults.extend(missing(entry));
        let Some(one) = one_asterisk(entry, &mut faults) else { continue };
        if let Some((number, _)) = found.iter().find(|(_, other)| other.name.eq_ignore_ascii_case(&one.name)) {
            let rule = format!("{:?} is the name of number {number}, too; give each a name of its own", one.name);
            faults.push(format!("{}: {rule}", entry.place("name")));
        }
        found.push((entry.number, one));
    }
    values.faults.extend(faults);
    found.into_iter().map(|(_, one)| one).collect()
}

fn missing(entry: &Entry) -> Vec<String> {
    let lacks = |name: &str| !entry.given.contains_key(name) && !entry.wrong.contains(name);
    let keys = entry.section.keys.iter().filter(|key| key.required && lacks(key.name));
    keys.map(|key| format!("{} is missing; add {} = {:?}", entry.place(key.name), key.name, key.example)).collect()
}

fn one_asterisk(entry: &Entry, faults: &mut Vec<String>) -> Option<AsteriskConfig> {
    let mut wrong = |key: &str, rule: String| faults.push(format!("{}: {rule}", entry.place(key)));
    if let Some(rule) = text(entry, "name").and_then(|name| check_name(&name).err()) {
        wrong("name", rule);
    }
    if let Some(plan) = text(entry, "dial_plan").filter(|plan| plan.chars().count() > model::calls::PLAN_CHARS) {
        wrong("dial_plan", format!("{plan:?} is longer than the {} characters of a dial plan's name", model::calls::PLAN_CHARS));
    }
    if let Some(host) = text(entry, "host").filter(|host| !is_host(host)) {
        wrong("host", format!("{host:?} is not a host name or an address such as pbx.example.org or 192.0.2.7; port has a key of its own"));
    }
    let tls = entry.given.get("tls") == Some(&Scalar::Flag(true));
    let [ca_file, spool_dir, cdr_file] = ["ca_file", "spool_dir", "cdr_file"].map(|key| path(entry, key));
    if ca_file.is_some() && !tls {
        wrong("ca_file", "says whom TLS trusts, but there is no TLS; add tls = true, or leave it out".to_owned());
    }
    let port = match entry.given.get("port") {
        Some(Scalar::Number(port)) => u16::try_from(*port).ok(),
        Some(Scalar::Text(_) | Scalar::Flag(_)) | None => None,
    };
    Some(AsteriskConfig {
        name: text(entry, "name")?,
        dial_plan: text(entry, "dial_plan")?,
        host: text(entry, "host")?,
        port: port.unwrap_or(if tls { TLS_PORT } else { PORT }),
        username: text(entry, "username")?,
        secret_file: path(entry, "secret_file")?,
        tls,
        ca_file,
        spool_dir,
        cdr_file,
    })
}

fn text(entry: &Entry, key: &str) -> Option<String> {
    match entry.given.get(key)? {
        Scalar::Text(text) => Some(text.clone()),
        Scalar::Number(_) | Scalar::Flag(_) => None,
    }
}

fn path(entry: &Entry, key: &str) -> Option<PathBuf> {
    text(entry, key).map(PathBuf::from)
}

/// A name as DNS has them, or an address.
fn is_host(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<std::net::IpAddr>().is_ok() || bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}
