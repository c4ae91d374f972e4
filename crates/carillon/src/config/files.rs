//! Looks into the files that a configuration names, so that a wrong key is found before the first notification.

use super::read::{Scalar, Values, place};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::path::Path;

type Look = fn(&Path) -> Result<(), String>;

/// Every key that names a file or folder, and what must be true of it. Certificates and keys must be there; the at-rest
/// key and the data folder are made at the first start.
const NAMED: &[(&str, &str, Look)] = &[
    ("server", "data", folder),
    ("server.tls", "cert_file", certificates),
    ("server.tls", "key_file", private_key),
    ("keys", "at_rest_file", readable_if_there),
    ("keys", "vapid_file", readable_if_there),
    ("keys", "audit_file", readable_if_there),
    ("channels.apns", "key_file", signing_key),
    ("channels.apns", "ca_file", certificates),
    ("channels.webpush", "ca_file", certificates),
    ("channels.fcm", "service_account_file", service_account),
    ("channels.fcm", "ca_file", certificates),
    ("channels.wns", "secret_file", password),
    ("channels.wns", "ca_file", certificates),
    ("channels.email", "password_file", password),
    ("channels.email", "ca_file", certificates),
    ("channels.email", "dkim_key_file", dkim_key),
];

/// The same of sections of which there may be several.
const NAMED_IN_LISTS: &[(&str, &str, Look)] = &[
    ("integrations.asterisk", "secret_file", password),
    ("integrations.asterisk", "ca_file", certificates),
    ("integrations.asterisk", "spool_dir", folder_that_is_there),
    ("integrations.asterisk", "cdr_file", call_records),
];

/// What is wrong with the files that are named. No content is shown.
pub(super) fn faults(values: &Values) -> Vec<String> {
    let look = |(section, key, look): &(&'static str, &'static str, Look)| {
        let given = values.given.get(&(section, key))?;
        let Scalar::Text(path) = &given.value else { return None };
        let rule = look(Path::new(path)).err()?;
        Some(format!("{}: {}: {path} {rule}", given.origin, place(section, key)))
    };
    let in_lists = values.entries.iter().flat_map(|entry| {
        NAMED_IN_LISTS.iter().filter(|(section, ..)| *section == entry.section.name).filter_map(|(_, key, look)| {
            let Some(Scalar::Text(path)) = entry.given.get(key) else { return None };
            let rule = look(Path::new(path)).err()?;
            Some(format!("{}: {path} {rule}", entry.place(key)))
        })
    });
    NAMED.iter().filter_map(look).chain(in_lists).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read ({e})"),
    })
}

fn folder(path: &Path) -> Result<(), String> {
    if path.exists() && !path.is_dir() { Err("is a file; name a folder".into()) } else { Ok(()) }
}

fn folder_that_is_there(path: &Path) -> Result<(), String> {
    let entries = std::fs::read_dir(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "does not exist; name a folder, or leave the key out".to_owned(),
        std::io::ErrorKind::NotADirectory => "is a file; name a folder".to_owned(),
        _ => format!("cannot be read ({e})"),
    });
    entries.map(|_| ())
}

/// It may grow large, and is not there before the first call.
fn call_records(path: &Path) -> Result<(), String> {
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(about) if about.is_dir() => Err("is a folder; name the file Master.csv in it".into()),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => match path.parent() {
            Some(folder) if folder.is_dir() => Ok(()),
            _ => Err("does not exist, nor does its folder; name the Master.csv of cdr_csv, or leave the key out".into()),
        },
        Err(e) => Err(format!("cannot be read ({e})")),
    }
}

fn readable_if_there(path: &Path) -> Result<(), String> {
    if path.exists() { read(path).map(|_| ()) } else { Ok(()) }
}

fn signing_key(path: &Path) -> Result<(), String> {
    let wrong = || "holds no P-256 key in PKCS #8; use the .p8 file that Apple's developer account gave".to_owned();
    let der = PrivatePkcs8KeyDer::from_pem_slice(&read(path)?).map_err(|_| wrong())?;
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der()).map(|_| ()).map_err(|_| wrong())
}

fn private_key(path: &Path) -> Result<(), String> {
    let found = rustls::pki_types::PrivateKeyDer::from_pem_slice(&read(path)?);
    found.map(|_| ()).map_err(|_| "holds no private key; it takes a PEM block of type PRIVATE KEY".to_owned())
}

fn dkim_key(path: &Path) -> Result<(), String> {
    let text = String::from_utf8(read(path)?).map_err(|_| "is not text".to_owned())?;
    channels::DkimKey::parse(&text).map(|_| ()).map_err(|rule| format!("{rule}; {}", channels::DkimKey::MEND))
}

fn service_account(path: &Path) -> Result<(), String> {
    let wrong = |what: &str| format!("{what}; use the JSON file of a service account as Google's console gave it");
    let value: serde_json::Value = serde_json::from_slice(&read(path)?).map_err(|_| wrong("is not JSON"))?;
    let lacking = ["project_id", "private_key", "client_email", "token_uri"].into_iter().find(|name| !value[*name].is_string());
    match lacking {
        _ if value["type"] != "service_account" => Err(wrong("is not of the type service_account")),
        Some(name) => Err(wrong(&format!("holds no {name}"))),
        None => Ok(()),
    }
}

fn certificates(path: &Path) -> Result<(), String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(list) if !list.is_empty() => Ok(()),
        Ok(_) => Err("holds no certificate; it takes PEM blocks of type CERTIFICATE".into()),
        Err(_) => Err("is damaged; it takes PEM blocks of type CERTIFICATE".into()),
    }
}

fn password(path: &Path) -> Result<(), String> {
    let text = String::from_utf8(read(path)?).map_err(|_| "is not text".to_owned())?;
    if text.lines().next().unwrap_or("").is_empty() { Err("has an empty first line; write the secret there".into()) } else { Ok(()) }
}
