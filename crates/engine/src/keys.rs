//! Keys at rest, and chance. What is sealed here (private texts, Web Push secrets) can be read only with a key that lies
//! outside the database, and only in the place for which it was sealed: the context is part of what is authenticated, so
//! a sealed value that is copied into another row or field does not open.
//!
//! Random secrets, codes and jitter come from here too: one source of chance, the operating system's.

use argon2::Argon2;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Timestamp;
use model::source::Compared;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroize;

/// Layout of a sealed value: version, key id, nonce, ciphertext with tag.
const VERSION: u8 = 1;
/// Enough to tell the few keys of a rotation apart.
const KEY_ID_BYTES: usize = 4;
/// Salt and result of a kept secret.
const SALT_BYTES: usize = 16;
const KEPT_BYTES: usize = 32;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_LEN;

/// The at-rest keys: the first seals, every one opens. So a key is rotated by putting a new one in front.
pub struct Keys {
    keys: Vec<Key>,
    /// Signs heads of the audit.
    signer: Option<Ed25519KeyPair>,
}

struct Key {
    id: [u8; KEY_ID_BYTES],
    cipher: LessSafeKey,
    /// For secrets that are compared and never read.
    pepper: hmac::Key,
}

impl Keys {
    /// From raw keys of 256 bits; the given bytes are wiped.
    ///
    /// # Panics
    /// When the list is empty: the caller makes a key at the first start.
    pub fn new(mut raw: Vec<[u8; 32]>) -> Keys {
        assert!(!raw.is_empty(), "there is at least one at-rest key");
        let keys = raw.iter().map(Key::new).collect();
        raw.iter_mut().for_each(Zeroize::zeroize);
        Keys { keys, signer: None }
    }

    /// With the organization's key (Ed25519, PKCS #8) that signs heads of the audit.
    ///
    /// # Errors
    /// A sentence when it is not such a key.
    pub fn signing(self, pkcs8: &[u8]) -> Result<Keys, String> {
        let signer =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| "is not an Ed25519 private key in PKCS #8".to_owned())?;
        Ok(Keys { signer: Some(signer), ..self })
    }

    /// The public key that heads of the audit are checked with: 32 bytes (RFC 8032).
    pub fn public_key(&self) -> Option<&[u8]> {
        self.signer.as_ref().map(|signer| signer.public_key().as_ref())
    }

    /// A secret in the form in which it may be kept: it can be compared with [`Keys::is`] and not be read. Slow on purpose.
    pub fn keep(&self, secret: &str) -> String {
        let key = &self.keys[0];
        let mut salt = [0; SALT_BYTES];
        fill(&mut salt);
        let parts = [&key.id[..], &salt, &key.kept(secret, &salt)].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("1${}", parts.join("$"))
    }

    /// Whether a secret is the one that was kept. As slow as [`Keys::keep`].
    pub fn is(&self, secret: &str, kept: &str) -> bool {
        let parts: Vec<Vec<u8>> = kept.split('$').skip(1).filter_map(|part| URL_SAFE_NO_PAD.decode(part).ok()).collect();
        let ("1", [id, salt, hash]) = (kept.split('$').next().unwrap_or(""), parts.as_slice()) else { return false };
        let Some(key) = self.keys.iter().find(|key| key.id == id[..]) else { return false };
        salt.len() == SALT_BYTES && verify_slices_are_equal(&key.kept(secret, salt), hash).is_ok()
    }

    /// Signs (Ed25519, RFC 8032); `None` without a key.
    pub fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        self.signer.as_ref().map(|signer| signer.sign(text).as_ref().to_vec())
    }

    /// Seals with the first key. `context` names the place (table, row, field) and must be the same at opening.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let key = &self.keys[0];
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce);
        let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        let mut text = plain.to_vec();
        key.cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(key.aad(context)), &mut text)
            .expect("a text of some kilobytes is far below what AES-GCM can seal");
        sealed.append(&mut text);
        sealed
    }

    /// Opens what one of the keys sealed for the same context; `None` for anything else.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, text) = sealed.split_at_checked(HEAD_BYTES)?;
        let (id, nonce) = head[1..].split_at(KEY_ID_BYTES);
        let key = self.keys.iter().find(|key| head[0] == VERSION && key.id == id)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let plain = key.cipher.open_in_place(nonce, Aad::from(key.aad(context)), &mut text).ok()?.len();
        text.truncate(plain);
        Some(text)
    }
}

impl Key {
    fn new(raw: &[u8; 32]) -> Key {
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&sha256(raw)[..KEY_ID_BYTES]);
        let cipher = UnboundKey::new(&AES_256_GCM, raw).expect("an AES-256 key has 32 bytes");
        // Its own use, its own key (NIST SP 800-108).
        let own = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, raw), b"carillon/kept-secrets/1");
        Key { id, cipher: LessSafeKey::new(cipher), pepper: hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()) }
    }

    /// Argon2id (RFC 9106) with the parameters of its crate (19 MiB, 2 passes) over the secret's HMAC.
    fn kept(&self, secret: &str, salt: &[u8]) -> [u8; KEPT_BYTES] {
        let peppered = hmac::sign(&self.pepper, secret.as_bytes());
        let mut out = [0; KEPT_BYTES];
        Argon2::default().hash_password_into(peppered.as_ref(), salt, &mut out).expect("salt and result have lengths that Argon2 takes");
        out
    }

    fn aad(&self, context: &str) -> Vec<u8> {
        [&self.id, context.as_bytes()].concat()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.keys.len())
    }
}

pub(crate) fn fill(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the operating system gives random bytes");
}

/// Chance for the keys of pseudonyms that one act may make.
pub(crate) fn seed() -> [u8; 32] {
    let mut bytes = [0; 32];
    fill(&mut bytes);
    bytes
}

/// A new bearer secret: 256 random bits in base64url behind a prefix by which leak scanners know it.
pub fn secret() -> String {
    let mut bytes = [0; 32];
    fill(&mut bytes);
    format!("car_{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// What codes are written in: no 0 and O, no 1, I and L, no U and V.
pub const CODE_ALPHABET: &[u8] = b"23456789ABCDEFGHJKMNPQRSTWXYZ";
/// Characters of a code: 29^12 are 58 bits, for a code that lives a day and opens one device.
pub const CODE_CHARS: usize = 12;

/// A new enrolment code for people to type: three groups of four, such as `7KQM-2WXA-9RTC`.
pub fn code() -> String {
    let alphabet = u32::try_from(CODE_ALPHABET.len()).expect("an alphabet is short");
    let mut text = String::with_capacity(CODE_CHARS + 2);
    for place in 0..CODE_CHARS {
        if place > 0 && place % 4 == 0 {
            text.push('-');
        }
        text.push(char::from(CODE_ALPHABET[chance(alphabet) as usize]));
    }
    text
}

/// A new Ed25519 key pair in PKCS #8.
///
/// # Panics
/// When the operating system gives no random bytes.
pub fn new_signing_key() -> Vec<u8> {
    let pair = Ed25519KeyPair::generate().expect("the operating system gives random bytes");
    pair.to_pkcs8().expect("a new key can be written").as_ref().to_vec()
}

/// Whether a signature (Ed25519) of a text is the holder's of a public key.
pub fn is_signed(public_key: &[u8], text: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(text, signature).is_ok()
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// A number in `0..below`, each as likely as the other; 0 when `below` is 0.
pub fn chance(below: u32) -> u32 {
    if below < 2 {
        return 0;
    }
    // Numbers above the last whole multiple are drawn again: otherwise small ones would be likelier.
    let whole = u32::MAX - u32::MAX % below;
    loop {
        let mut bytes = [0; 4];
        fill(&mut bytes);
        let n = u32::from_le_bytes(bytes);
        if n < whole {
            return n % below;
        }
    }
}

/// What a kept file is bound to.
fn file_context(id: uuid::Uuid) -> String {
    format!("file/{id}")
}

/// A file as it is kept.
pub(crate) fn sealed_file(keys: &Keys, id: uuid::Uuid, content: &[u8]) -> Vec<u8> {
    keys.seal(&file_context(id), content)
}

/// What a kept file holds.
pub(crate) fn opened_file(keys: &Keys, id: uuid::Uuid, sealed: &[u8]) -> Option<Vec<u8>> {
    keys.open(&file_context(id), sealed)
}

/// Wrong secrets that were tried of late, by what they should have opened: after a few nothing is compared for a while.
#[derive(Default)]
pub(crate) struct WrongSecrets(parking_lot::Mutex<HashMap<String, (Timestamp, u32)>>);

impl WrongSecrets {
    /// Wrong ones in [`WrongSecrets::WINDOW`] after which nothing is compared.
    const MOST: u32 = 5;
    /// How long they count, from the first.
    const WINDOW: Duration = Duration::from_secs(15 * 60);
    /// Subjects remembered at once.
    const SUBJECTS: usize = 100_000;

    /// Compares, unless too many were wrong.
    pub fn compare(&self, subject: &str, now: Timestamp, same: impl FnOnce() -> bool) -> Compared {
        {
            let mut tried = self.0.lock();
            if tried.len() >= WrongSecrets::SUBJECTS {
                tried.retain(|_, (since, _)| now.since(*since) < WrongSecrets::WINDOW);
            }
            if let Some((since, wrong)) = tried.get(subject) {
                let ago = now.since(*since);
                if ago >= WrongSecrets::WINDOW {
                    tried.remove(subject);
                } else if *wrong >= WrongSecrets::MOST {
                    return Compared::Locked(WrongSecrets::WINDOW - ago);
                }
            }
            // Counted before it is compared, so that many at once are no more than a few.
            tried.entry(subject.to_owned()).or_insert((now, 0)).1 += 1;
        }
        if same() {
            self.0.lock().remove(subject);
            return Compared::Same;
        }
        Compared::Different
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn after_five_wrong_secrets_nothing_is_compared_for_a_quarter_of_an_hour() {
        let (tried, now) = (WrongSecrets::default(), Timestamp(1_000_000));
        for _ in 0..4 {
            assert_eq!(tried.compare("a", now, || false), Compared::Different);
        }
        assert_eq!(tried.compare("a", now, || true), Compared::Same, "the right one begins anew");
        for _ in 0..5 {
            assert_eq!(tried.compare("a", now, || false), Compared::Different);
        }
        assert_eq!(tried.compare("a", now.plus(Duration::from_secs(60)), || true), Compared::Locked(Duration::from_secs(14 * 60)));
        assert_eq!(tried.compare("b", now, || true), Compared::Same, "others are not concerned");
        assert_eq!(tried.compare("a", now.plus(WrongSecrets::WINDOW), || true), Compared::Same);
    }

    #[test]
    fn a_kept_secret_is_known_again_and_cannot_be_read() {
        let (old, new) = ([1; 32], [2; 32]);
        let kept = Keys::new(vec![old]).keep("48213");
        assert!(!kept.contains("48213") && kept != Keys::new(vec![old]).keep("48213"), "salted");
        let rotated = Keys::new(vec![new, old]);
        assert!(rotated.is("48213", &kept) && !rotated.is("48214", &kept));
        assert!(!Keys::new(vec![new]).is("48213", &kept), "without its key nobody can compare");
        for broken in ["", "1$$$", "2$AAAA$AAAA$AAAA", "48213"] {
            assert!(!rotated.is("48213", broken), "{broken}");
        }
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_and_nowhere_else() {
        let keys = Keys::new(vec![[7; 32]]);
        let sealed = keys.seal("event/1/title", b"hello");
        assert_eq!(keys.open("event/1/title", &sealed).as_deref(), Some(&b"hello"[..]));
        assert_eq!(keys.open("event/2/title", &sealed), None, "another row");
        assert_eq!(keys.open("event/1/body", &sealed), None, "another field");
        assert!(!sealed.windows(5).any(|w| w == b"hello"));
    }

    #[test]
    fn two_seals_of_the_same_text_differ() {
        let keys = Keys::new(vec![[7; 32]]);
        assert_ne!(keys.seal("c", b"x"), keys.seal("c", b"x"));
    }

    #[test]
    fn an_old_key_opens_after_a_rotation_and_the_new_one_seals() {
        let old = Keys::new(vec![[1; 32]]).seal("c", b"x");
        let both = Keys::new(vec![[2; 32], [1; 32]]);
        assert_eq!(both.open("c", &old).as_deref(), Some(&b"x"[..]));
        let fresh = both.seal("c", b"y");
        assert_eq!(Keys::new(vec![[1; 32]]).open("c", &fresh), None);
        assert_eq!(Keys::new(vec![[2; 32]]).open("c", &fresh).as_deref(), Some(&b"y"[..]));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let keys = Keys::new(vec![[7; 32]]);
        let sealed = keys.seal("c", b"hello");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open("c", &changed), None, "byte {at}");
        }
        assert_eq!(keys.open("c", &sealed[..10]), None);
        assert_eq!(keys.open("c", b""), None);
    }

    #[test]
    fn secrets_and_codes_have_their_form_and_do_not_repeat() {
        let secrets: HashSet<String> = (0..100).map(|_| secret()).collect();
        assert!(secrets.len() == 100 && secrets.iter().all(|s| s.starts_with("car_") && s.len() == 47));
        let one = code();
        assert_eq!(one.len(), 14);
        assert!(one.bytes().enumerate().all(|(i, b)| if i % 5 == 4 { b == b'-' } else { CODE_ALPHABET.contains(&b) }), "{one}");
    }

    #[test]
    fn chance_reaches_every_number_and_none_beyond() {
        let seen: HashSet<u32> = (0..1_000).map(|_| chance(5)).collect();
        assert_eq!(seen, HashSet::from([0, 1, 2, 3, 4]));
        assert_eq!((chance(0), chance(1)), (0, 0));
    }

    #[test]
    fn a_signature_is_the_key_holders_and_of_this_text() {
        let keys = Keys::new(vec![[7; 32]]);
        assert!(keys.sign(b"x").is_none() && keys.public_key().is_none());
        let keys = keys.signing(&new_signing_key()).expect("a key");
        let (public, signature) = (keys.public_key().expect("a key"), keys.sign(b"head").expect("signed"));
        assert!(is_signed(public, b"head", &signature) && !is_signed(public, b"heap", &signature));
        let other = Keys::new(vec![[7; 32]]).signing(&new_signing_key()).expect("a key");
        assert!(!is_signed(other.public_key().expect("a key"), b"head", &signature));
        assert!(Keys::new(vec![[7; 32]]).signing(b"nonsense").is_err());
    }

    #[test]
    fn sha256_is_the_standards() {
        let hex: String = sha256(b"abc").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
