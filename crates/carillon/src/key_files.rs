//! The files of the keys that Carillon makes itself, and how they are rotated: a new key goes in front, the ones before it
//! stay behind it, for what was sealed or subscribed with them.
//!
//! The at-rest file holds a key a line, 64 hexadecimal digits each; the VAPID file holds PEM blocks. Empty lines, and in the
//! at-rest file lines that begin with `#`, say nothing.

use anyhow::{Context, bail};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Digits of an at-rest key.
const DIGITS: usize = 64;
/// At-rest keys in one file: a new one each month for five years.
const MOST_AT_REST: usize = 60;
/// VAPID keys in one file, as many as the channel looks at.
const MOST_VAPID: usize = 4;
const PEM_BEGINS: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_ENDS: &str = "-----END PRIVATE KEY-----";

pub(crate) fn read(path: &Path, setting: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{setting}: cannot read {}", path.display()))
}

pub(crate) fn folder(path: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the folder {}; choose another with --data", path.display()))
}

/// The key that signs heads of the audit (Ed25519, PKCS #8), made on the first start.
pub(crate) fn audit_key(path: &Path) -> anyhow::Result<Vec<u8>> {
    if !path.exists() {
        folder(path.parent().unwrap_or(Path::new(".")))?;
        private_file(path, pem(&engine::keys::new_signing_key()).as_bytes())?;
    }
    let key = <PrivatePkcs8KeyDer as PemObject>::from_pem_file(path);
    let key = key.map_err(|e| {
        anyhow::anyhow!("keys.audit_file: {} holds no private key in PEM ({e:?}); restore it from its backup", path.display())
    })?;
    Ok(key.secret_pkcs8_der().to_vec())
}

/// Writes a file that only this user can read, whole or not at all.
pub(crate) fn private_file(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let draft = path.with_extension("new");
    let cannot = || format!("cannot write {}", path.display());
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).with_context(cannot)?;
    file.write_all(content).with_context(cannot)?;
    file.sync_all().with_context(cannot)?;
    std::fs::rename(&draft, path).with_context(cannot)
}

/// The at-rest keys, the one that seals first; one is made on the first start. Also whether it was made now.
pub(crate) fn at_rest_keys(path: &Path) -> anyhow::Result<(Vec<[u8; 32]>, bool)> {
    let made = !path.exists();
    if made {
        folder(path.parent().unwrap_or(Path::new(".")))?;
        private_file(path, format!("{}\n", new_at_rest()?).as_bytes())?;
    }
    let keys = parse_at_rest(&read(path, "keys.at_rest_file")?);
    let keys = keys.map_err(|fault| anyhow::anyhow!("keys.at_rest_file: {}: {fault}; restore it from its backup", path.display()))?;
    Ok((keys, made))
}

/// The keys of an at-rest file.
///
/// # Errors
/// What is wrong with it; nothing of a key is shown.
pub(crate) fn parse_at_rest(text: &str) -> Result<Vec<[u8; 32]>, String> {
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<[u8; 32]> = lines
        .map(|(at, line)| digits(line).ok_or_else(|| format!("line {} does not hold {DIGITS} hexadecimal digits", at + 1)))
        .collect::<Result<_, _>>()?;
    match keys.len() {
        0 => Err(format!("it does not hold {DIGITS} hexadecimal digits")),
        n if n > MOST_AT_REST => Err(format!("it holds {n} keys, and at most {MOST_AT_REST} are taken")),
        _ => Ok(keys),
    }
}

fn digits(line: &str) -> Option<[u8; 32]> {
    if line.len() != DIGITS || !line.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0u8; 32];
    for (i, slot) in key.iter_mut().enumerate() {
        *slot = u8::from_str_radix(line.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(key)
}

fn new_at_rest() -> anyhow::Result<String> {
    let mut key = [0u8; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(key.iter().map(|b| format!("{b:02x}")).collect())
}

/// Puts a new at-rest key in front; answers how many there are now.
pub(crate) fn rotate_at_rest(path: &Path) -> anyhow::Result<usize> {
    let text = read(path, "keys.at_rest_file").context("there is no key to rotate; the first start makes one")?;
    let before = parse_at_rest(&text).map_err(|fault| anyhow::anyhow!("{}: {fault}; nothing was changed", path.display()))?.len();
    if before >= MOST_AT_REST {
        bail!("{} holds {before} keys, which is what it may; remove the last ones, of which nothing is left", path.display());
    }
    private_file(path, format!("{}\n{text}", new_at_rest()?).as_bytes())?;
    Ok(before + 1)
}

/// The VAPID key pair (RFC 8292): subscriptions are bound to it, so it is made even before browsers are pushed to. Answers
/// whether it was made now.
pub(crate) fn vapid_key(path: &Path) -> anyhow::Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    folder(path.parent().unwrap_or(Path::new(".")))?;
    private_file(path, new_vapid()?.as_bytes())?;
    Ok(true)
}

fn new_vapid() -> anyhow::Result<String> {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .map_err(|_| anyhow::anyhow!("the VAPID key cannot be made"))?;
    Ok(pem(pkcs8.as_ref()))
}

/// A private key in PEM (RFC 7468 §10).
fn pem(pkcs8: &[u8]) -> String {
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pkcs8);
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("{PEM_BEGINS}\n{}\n{PEM_ENDS}\n", lines.join("\n"))
}

/// Puts a new VAPID key in front and keeps the three before it; answers how many there are now, and the new public key.
pub(crate) fn rotate_vapid(path: &Path) -> anyhow::Result<(usize, String)> {
    let text = read(path, "keys.vapid_file").context("there is no key to rotate; the first start makes one")?;
    channels::vapid_public_key(&text).map_err(|e| anyhow::anyhow!("{}: {e}; nothing was changed", path.display()))?;
    let blocks: Vec<&str> = text.split_inclusive(PEM_ENDS).filter_map(|block| block.find(PEM_BEGINS).map(|at| &block[at..])).collect();
    let fresh = new_vapid()?;
    let public = channels::vapid_public_key(&fresh).map_err(|e| anyhow::anyhow!("{e}"))?;
    let kept: Vec<&str> = blocks.into_iter().take(MOST_VAPID - 1).collect();
    private_file(path, format!("{fresh}{}\n", kept.join("\n")).as_bytes())?;
    Ok((kept.len() + 1, public))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("carillon-key-files-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder.join("key")
    }

    #[test]
    fn a_rotated_at_rest_file_seals_with_the_new_key_and_keeps_the_old() {
        let file = place("at-rest");
        let (before, made) = at_rest_keys(&file).expect("a first key");
        assert!(made && before.len() == 1);
        assert_eq!(rotate_at_rest(&file).expect("rotated"), 2);
        let (after, made) = at_rest_keys(&file).expect("two keys");
        assert!(!made && after.len() == 2 && after[1] == before[0] && after[0] != before[0]);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("there").permissions());
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_dir_all(file.parent().expect("a folder")).expect("removed");
    }

    #[test]
    fn what_is_no_key_is_named_and_never_shown() {
        let key = "0123456789abcdef".repeat(4);
        assert_eq!(parse_at_rest(&format!("# of May\n\n{key}\n  {key}  \n")).map(|keys| keys.len()), Ok(2));
        for (text, said) in [
            (String::new(), "it does not hold 64 hexadecimal digits"),
            (format!("{key}\n{}", &key[1..]), "line 2 does not hold 64 hexadecimal digits"),
            (format!("+1{}", &key[2..]), "line 1 does not hold 64 hexadecimal digits"),
            (format!("é{}", &key[2..]), "line 1 does not hold 64 hexadecimal digits"),
            (format!("{key}\n").repeat(61), "it holds 61 keys, and at most 60 are taken"),
        ] {
            assert_eq!(parse_at_rest(&text), Err(said.to_owned()));
        }
    }

    #[test]
    fn a_rotated_vapid_file_gives_browsers_the_new_key_and_keeps_three() {
        let file = place("vapid");
        assert!(vapid_key(&file).expect("a first key"));
        let first = channels::vapid_public_key(&read(&file, "").expect("text")).expect("a key");
        for n in 2..=6 {
            let (keys, public) = rotate_vapid(&file).expect("rotated");
            let text = read(&file, "").expect("text");
            assert_eq!((keys, text.matches(PEM_BEGINS).count()), (n.min(4), n.min(4)));
            assert_eq!(channels::vapid_public_key(&text).expect("a key"), public);
            assert_ne!(public, first);
        }
        std::fs::remove_dir_all(file.parent().expect("a folder")).expect("removed");
    }
}
