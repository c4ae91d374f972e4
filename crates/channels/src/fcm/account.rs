//! The service account: who we are at Google, and the signed assertion by which we ask for an access token
//! (RFC 7523 §2.1 with RS256, RFC 7518 §3.3).

use crate::bearer::{Grant, escaped};
use crate::http1::Site;
use crate::setup::ChannelSetupError;
use crate::tls::Names;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::time::Timestamp;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;

/// What an access token has to allow.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// Life of an assertion; Google takes at most an hour.
const ASSERTION_SECONDS: i64 = 3600;
const SETTING: &str = "channels.fcm.service_account_file";

/// The file, as far as it matters.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    project_id: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default)]
    private_key: String,
    #[serde(default)]
    client_email: String,
    #[serde(default)]
    token_uri: String,
}

/// A service account that can sign.
pub(super) struct Account {
    /// The Firebase project.
    pub(super) project: String,
    /// Where tokens come from.
    pub(super) site: Site,
    /// The path there.
    pub(super) path: String,
    /// Signs the requests for them.
    pub(super) grant: Assertion,
}

/// The signing half.
pub(super) struct Assertion {
    pair: RsaKeyPair,
    header: String,
    email: String,
    audience: String,
}

impl Account {
    /// Reads the text of the file that Google's console gave.
    pub(super) fn read(text: &str, ca_pem: Option<&str>) -> Result<Account, ChannelSetupError> {
        let wrong =
            |rule: &str| ChannelSetupError::new(SETTING, rule, "name the JSON file of a service account as Google's console gave it");
        let file: File = serde_json::from_str(text).map_err(|_| wrong("the file is not JSON"))?;
        if file.kind != "service_account" {
            return Err(wrong("the file is not of the type service_account"));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        if file.project_id.is_empty() || !file.project_id.bytes().all(plain) {
            return Err(wrong("the file holds no project_id"));
        }
        if file.client_email.is_empty() {
            return Err(wrong("the file holds no client_email"));
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.as_bytes())
            .map_err(|_| wrong("its private_key is no PRIVATE KEY block"))?;
        let pair =
            RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| wrong("its private_key is no RSA key of 2048 bits or more"))?;
        let names = Names { host: SETTING, ca: "channels.fcm.ca_file" };
        let (site, path) = Site::parse(&file.token_uri, ca_pem, &names)
            .map_err(|e| if e.setting == SETTING { wrong(&format!("its token_uri {}", e.rule)) } else { e })?;
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": file.private_key_id});
        let grant =
            Assertion { pair, header: URL_SAFE_NO_PAD.encode(header.to_string()), email: file.client_email, audience: file.token_uri };
        Ok(Account { project: file.project_id, site, path, grant })
    }
}

impl Assertion {
    fn sign(&self, now: Timestamp) -> String {
        let at = now.unix_seconds();
        let claims = json!({"iss": self.email, "scope": SCOPE, "aud": self.audience, "iat": at, "exp": at + ASSERTION_SECONDS});
        let signed = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .expect("signing with a checked key into a buffer of its size does not fail");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Grant for Assertion {
    fn form(&self, now: Timestamp) -> String {
        format!("grant_type={}&assertion={}", escaped("urn:ietf:params:oauth:grant-type:jwt-bearer"), self.sign(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fakes::google::ServiceAccount;

    #[test]
    fn an_assertion_has_the_shape_that_google_documents_and_verifies_with_the_public_key() {
        let known = ServiceAccount::generate("demo-project");
        let account = Account::read(&known.json("https://oauth2.googleapis.com/token"), None).expect("a service account");
        assert_eq!((account.project.as_str(), account.path.as_str()), ("demo-project", "/token"));
        let form = account.grant.form(Timestamp(1_700_000_000_999));
        let assertion = form.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=").expect("a form");
        let claims = known.verified(assertion).expect("a good signature");
        assert_eq!(claims["iss"], known.email.as_str());
        assert_eq!(claims["scope"], SCOPE);
        assert_eq!(claims["aud"], "https://oauth2.googleapis.com/token");
        assert_eq!((claims["iat"].as_i64(), claims["exp"].as_i64()), (Some(1_700_000_000), Some(1_700_003_600)));
        assert!(ServiceAccount::generate("demo-project").verified(assertion).is_none(), "another key must not verify it");
    }

    #[test]
    fn a_wrong_file_is_named_with_what_it_lacks_and_shows_nothing_of_the_key() {
        let known = ServiceAccount::generate("p");
        let good = known.json("https://oauth2.googleapis.com/token");
        let other = |from: &str, to: &str| good.replace(from, to);
        for (text, said) in [
            ("{".to_owned(), "not JSON"),
            (other("service_account", "authorized_user"), "service_account"),
            (other("\"project_id\":\"p\"", "\"project_id\":\"\""), "project_id"),
            (other("client_email", "email"), "client_email"),
            (other("BEGIN PRIVATE KEY", "BEGIN KEY"), "private_key"),
            (other("https://oauth2", "http://oauth2"), "in clear"),
        ] {
            let error = Account::read(&text, None).err().expect(said);
            assert_eq!(error.setting, SETTING);
            assert!(error.to_string().contains(said) && !error.to_string().contains("MII"), "{error}");
        }
    }
}
