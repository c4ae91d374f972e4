//! Message encryption: RFC 8291 over the `aes128gcm` content coding (RFC 8188), in one record.
//!
//! In: a plaintext and a subscription's two keys. Out: a body that only that browser opens. Every message has an
//! ephemeral key and a salt of its own.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use bytes::Bytes;

/// Most bytes of a body that every push service has to take (RFC 8030 §7.2).
pub(super) const MOST_BODY_BYTES: usize = 4096;
/// What encryption adds: the header (salt, record size, key id; RFC 8188 §2.1), the delimiter and the tag.
const OVERHEAD_BYTES: usize = HEADER_BYTES + DELIMITER_BYTES + TAG_BYTES;
/// Most bytes of a plaintext.
pub(super) const MOST_PLAIN_BYTES: usize = MOST_BODY_BYTES - OVERHEAD_BYTES;
/// Plaintexts are padded to multiples of this as far as there is room, so that the length of a text says little.
const PAD_TO_BYTES: usize = 128;

const SALT_BYTES: usize = 16;
const POINT_BYTES: usize = 65;
const SECRET_BYTES: usize = 16;
const HEADER_BYTES: usize = SALT_BYTES + 4 + 1 + POINT_BYTES;
const DELIMITER_BYTES: usize = 1;
const TAG_BYTES: usize = 16;
/// The record size that is announced: larger than any record here, so that there is one (RFC 8291 §4).
const RECORD_SIZE: u32 = 4096;
/// Ends the last record (RFC 8188 §2).
const LAST_RECORD: u8 = 2;

/// Base64url as browsers write it, and as some libraries do, with padding (RFC 4648 §5).
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// What a browser handed out with its endpoint.
#[derive(Clone)]
pub(super) struct Keys {
    point: [u8; POINT_BYTES],
    secret: [u8; SECRET_BYTES],
}

/// Which of the two keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// The public key is none: the browser was never subscribed with it.
    Point,
    /// The secret is not there or cannot be read; that may be our own doing.
    Secret,
}

impl Keys {
    /// From base64url.
    pub(super) fn parse(p256dh: &str, auth: &str) -> Result<Keys, Unusable> {
        let point = LENIENT.decode(p256dh).ok().and_then(|bytes| <[u8; POINT_BYTES]>::try_from(bytes).ok());
        let secret = LENIENT.decode(auth).ok().and_then(|bytes| <[u8; SECRET_BYTES]>::try_from(bytes).ok());
        let point = point.filter(|point| point[0] == 4).ok_or(Unusable::Point)?;
        Ok(Keys { point, secret: secret.ok_or(Unusable::Secret)? })
    }
}

/// Encrypts with a fresh key and a fresh salt. The plaintext has at most [`MOST_PLAIN_BYTES`].
pub(super) fn seal(plain: &[u8], keys: &Keys) -> Result<Bytes, Unusable> {
    let ephemeral = PrivateKey::generate(&ECDH_P256).expect("the system gives random bytes");
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).expect("the system gives random bytes");
    seal_with(plain, padding(plain.len()), keys, &ephemeral, salt)
}

/// Zeros behind a plaintext of so many bytes.
fn padding(plain: usize) -> usize {
    let whole = plain.next_multiple_of(PAD_TO_BYTES).min(MOST_PLAIN_BYTES);
    whole.saturating_sub(plain)
}

fn seal_with(plain: &[u8], padding: usize, keys: &Keys, ephemeral: &PrivateKey, salt: [u8; SALT_BYTES]) -> Result<Bytes, Unusable> {
    assert!(plain.len() + padding <= MOST_PLAIN_BYTES, "a payload is rendered within its bound");
    let public = ephemeral.compute_public_key().expect("a private key has a public one");
    let (cek, nonce) = agree(ephemeral, UnparsedPublicKey::new(&ECDH_P256, &keys.point), Unusable::Point, |shared| {
        derive(shared, keys, public.as_ref(), &salt).map_err(|Unspecified| Unusable::Point)
    })?;
    let mut body = Vec::with_capacity(plain.len() + padding + OVERHEAD_BYTES);
    body.extend_from_slice(&salt);
    body.extend_from_slice(&RECORD_SIZE.to_be_bytes());
    body.push(POINT_BYTES as u8);
    body.extend_from_slice(public.as_ref());
    body.extend_from_slice(plain);
    body.push(LAST_RECORD);
    body.resize(body.len() + padding, 0);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &cek).expect("an AES-128 key has 16 bytes"));
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body[HEADER_BYTES..])
        .expect("four kilobytes are far below what AES-GCM can seal");
    body.extend_from_slice(tag.as_ref());
    Ok(body.into())
}

/// Content encryption key and nonce (RFC 8291 §3.3 and §3.4, RFC 8188 §2.2 and §2.3).
fn derive(shared: &[u8], keys: &Keys, public: &[u8], salt: &[u8]) -> Result<([u8; 16], [u8; NONCE_LEN]), Unspecified> {
    let mut ikm = [0; 32];
    let info: [&[u8]; 3] = [b"WebPush: info\0", &keys.point, public];
    Salt::new(HKDF_SHA256, &keys.secret).extract(shared).expand(&info, Bytes32)?.fill(&mut ikm)?;
    let prk = Salt::new(HKDF_SHA256, salt).extract(&ikm);
    let (mut cek, mut nonce) = ([0; 16], [0; NONCE_LEN]);
    prk.expand(&[b"Content-Encoding: aes128gcm\0"], &AES_128_GCM)?.fill(&mut cek)?;
    prk.expand(&[b"Content-Encoding: nonce\0"], BytesOfNonce)?.fill(&mut nonce)?;
    Ok((cek, nonce))
}

/// 32 bytes.
struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

/// 12 bytes.
struct BytesOfNonce;

impl KeyType for BytesOfNonce {
    fn len(&self) -> usize {
        NONCE_LEN
    }
}

/// Base64url without padding, as everything in Web Push is written.
pub(super) fn base64url(bytes: &[u8]) -> String {
    general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fakes::push_service::Browser;
    use proptest::prelude::*;

    /// RFC 8291 §5 and Appendix A.
    const PLAIN: &[u8] = b"When I grow up, I want to be a watermelon";
    const SENDER_PRIVATE: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
    const SENDER_PUBLIC: &str = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
    const RECEIVER_PUBLIC: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const RECEIVER_PRIVATE: &str = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94";
    const SALT: &str = "DGv6ra1nlYgDCS1FRnbzlw";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
    const CEK: &str = "oIhVW04MRdy2XN9CiKLxTg";
    const NONCE: &str = "4h_95klXJ5E_qnoN";
    const BODY: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

    fn bytes(text: &str) -> Vec<u8> {
        LENIENT.decode(text).expect("base64url")
    }

    fn ephemeral() -> PrivateKey {
        PrivateKey::from_private_key(&ECDH_P256, &bytes(SENDER_PRIVATE)).expect("a P-256 key")
    }

    #[test]
    fn the_example_of_rfc_8291_comes_out_byte_for_byte() {
        let keys = Keys::parse(RECEIVER_PUBLIC, AUTH).expect("keys");
        let salt = bytes(SALT).try_into().expect("16 bytes");
        let body = seal_with(PLAIN, 0, &keys, &ephemeral(), salt).expect("sealed");
        assert_eq!(base64url(&body), BODY);
    }

    #[test]
    fn the_intermediate_values_of_rfc_8291_appendix_a_come_out_byte_for_byte() {
        let keys = Keys::parse(RECEIVER_PUBLIC, AUTH).expect("keys");
        let public = ephemeral().compute_public_key().expect("a public key");
        assert_eq!(base64url(public.as_ref()), SENDER_PUBLIC);
        let derived = agree(&ephemeral(), UnparsedPublicKey::new(&ECDH_P256, bytes(RECEIVER_PUBLIC)), Unspecified, |shared| {
            assert_eq!(base64url(shared), "kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs", "ecdh_secret");
            derive(shared, &keys, public.as_ref(), &bytes(SALT))
        });
        let (cek, nonce) = derived.expect("derived");
        assert_eq!((base64url(&cek).as_str(), base64url(&nonce).as_str()), (CEK, NONCE));
    }

    #[test]
    fn the_fakes_browser_opens_the_example_of_rfc_8291() {
        let browser = Browser::from_private(&bytes(RECEIVER_PRIVATE), &bytes(AUTH)).expect("a browser");
        assert_eq!(browser.open(&bytes(BODY)).as_deref(), Some(PLAIN));
    }

    #[test]
    fn no_two_bodies_are_alike_and_each_opens() {
        let browser = Browser::generate();
        let keys = Keys::parse(&browser.p256dh(), &browser.auth()).expect("keys");
        let bodies = [seal(PLAIN, &keys).expect("sealed"), seal(PLAIN, &keys).expect("sealed")];
        assert_ne!(bodies[0][..SALT_BYTES], bodies[1][..SALT_BYTES], "salts");
        assert_ne!(bodies[0][21..HEADER_BYTES], bodies[1][21..HEADER_BYTES], "ephemeral keys");
        for body in bodies {
            assert_eq!(body.len(), PAD_TO_BYTES + OVERHEAD_BYTES, "padded");
            assert_eq!(browser.open(&body).as_deref(), Some(PLAIN));
        }
    }

    #[test]
    fn unusable_keys_are_told_apart() {
        let (browser, short) = (Browser::generate(), base64url(&[4; 64]));
        let off_the_curve = base64url(&[&[4_u8][..], &[7; 64]].concat());
        let parse = |p256dh: &str, auth: &str| Keys::parse(p256dh, auth).map(drop);
        assert_eq!(parse(&short, &browser.auth()), Err(Unusable::Point));
        assert_eq!(parse("%%", &browser.auth()), Err(Unusable::Point));
        assert_eq!(parse(&browser.p256dh(), ""), Err(Unusable::Secret));
        assert_eq!(parse(&browser.p256dh(), "AAAA"), Err(Unusable::Secret));
        assert_eq!(parse(&format!("{}=", browser.p256dh()), &format!("{}==", browser.auth())), Ok(()), "padding is no fault");
        let keys = Keys::parse(&off_the_curve, &browser.auth()).expect("it looks like a point");
        assert_eq!(seal(PLAIN, &keys).err(), Some(Unusable::Point), "a point that is not on the curve");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_plaintext_fits_and_comes_back(plain in prop::collection::vec(any::<u8>(), 0..=MOST_PLAIN_BYTES)) {
            let browser = Browser::generate();
            let keys = Keys::parse(&browser.p256dh(), &browser.auth()).expect("keys");
            let body = seal(&plain, &keys).expect("sealed");
            prop_assert!(body.len() <= MOST_BODY_BYTES, "{}", body.len());
            prop_assert_eq!(browser.open(&body), Some(plain));
        }
    }
}
