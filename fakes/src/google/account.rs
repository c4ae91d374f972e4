//! A throw-away service account: its JSON file, and the check of what it signed.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A service account of a project.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    /// The project that it may push for.
    pub project: String,
    /// Its name, `iss` of assertions.
    pub email: String,
    key_id: String,
    pem: String,
    public: Vec<u8>,
}

impl ServiceAccount {
    /// Makes a new key pair and an account for it.
    ///
    /// # Panics
    /// When the machine gives no randomness.
    pub fn generate(project: &str) -> ServiceAccount {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("randomness");
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).expect("a key just made can be written");
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        let email = format!("carillon@{project}.iam.gserviceaccount.com");
        let key_id = uuid::Uuid::new_v4().simple().to_string();
        ServiceAccount { project: project.to_owned(), email, key_id, pem, public: pair.public_key().as_ref().to_vec() }
    }

    /// The file as Google's console would give it, with tokens from `token_uri`.
    pub fn json(&self, token_uri: &str) -> String {
        json!({
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": self.key_id,
            "private_key": self.pem,
            "client_email": self.email,
            "token_uri": token_uri,
        })
        .to_string()
    }

    /// The claims of an assertion (RFC 7523) that this account's key signed; `None` when the signature is not its.
    pub fn verified(&self, assertion: &str) -> Option<Value> {
        let (signed, signature) = assertion.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let part = |text: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok() };
        let header = part(header)?;
        let right = header["alg"] == "RS256" && header["kid"] == self.key_id.as_str();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public);
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        (right && public.verify(signed.as_bytes(), &signature).is_ok()).then(|| part(claims)).flatten()
    }
}
