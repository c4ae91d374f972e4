//! Registrations: how a push service reaches a device. Tokens are shown by their first characters only; a Web Push auth
//! secret is sealed before it is kept and never shown.

use super::acts::Deed;
use super::devices::owners;
use super::fields::{Faults, Field};
use super::repeat;
use crate::notifications::Page;
use crate::{Engine, Repeat};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use model::directory::{Environment, RegistrationState, Service, TOKEN_BYTES, check_token};
use model::roles::{Actor, Permission};
use model::{DeviceKey, Refusal, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Registration, RegistrationFields, Shared, StoreError};
use uuid::Uuid;

/// What a sealed Web Push auth secret is bound to.
pub const AUTH_CONTEXT: &str = "registration/auth";

/// What an app or an administrator says about a registration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RegistrationDraft {
    pub service: Field<String>,
    pub app: Field<String>,
    pub environment: Field<String>,
    pub token: Field<String>,
    pub endpoint: Field<String>,
    pub p256dh: Field<String>,
    pub auth: Field<String>,
}

/// A registration; the token by its first eight characters, the auth secret not at all.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct RegistrationView {
    pub id: Uuid,
    pub service: Service,
    pub app: String,
    pub environment: Environment,
    pub token: Option<String>,
    pub endpoint: Option<String>,
    pub p256dh: Option<String>,
    pub state: RegistrationState,
    pub retired_code: Option<String>,
    pub registered_at: Timestamp,
}

impl RegistrationView {
    fn new(
        id: Uuid,
        fields: &RegistrationFields,
        state: RegistrationState,
        retired_code: Option<String>,
        registered_at: Timestamp,
    ) -> RegistrationView {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        RegistrationView {
            id,
            service: fields.service,
            app: fields.app.clone(),
            environment: fields.environment,
            token: some(&fields.token).map(|token| masked(&token)),
            endpoint: some(&fields.endpoint).map(|url| masked_url(&url)),
            p256dh: some(&fields.p256dh),
            state,
            retired_code,
            registered_at,
        }
    }
}

impl From<Registration> for RegistrationView {
    fn from(r: Registration) -> RegistrationView {
        RegistrationView::new(r.id, &r.fields, r.state, r.retired_code, r.registered_at)
    }
}

/// The first eight characters: enough to compare with a phone's log, not enough to send with.
fn masked(token: &str) -> String {
    format!("{}…", token.chars().take(8).collect::<String>())
}

/// A subscription's URL is a capability: host and the beginning of the path are shown.
fn masked_url(url: &str) -> String {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let path = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    let (origin, path) = url.split_at(path);
    if path.chars().count() <= 9 { url.to_owned() } else { format!("{origin}{}…", path.chars().take(9).collect::<String>()) }
}

/// Checks a draft; every wrong field is told.
fn fields(draft: RegistrationDraft, faults: &mut Faults) -> Option<RegistrationFields> {
    let mut service = Service::Apns;
    if draft.service.is_there() {
        let before = draft.service.clone().given().and_then(|word| Service::from_word(&word));
        faults.word("service", draft.service, &mut service);
        before?;
    } else {
        faults.add("service", "is missing; give one of apns, fcm, wns, webpush");
        return None;
    }
    let mut made = RegistrationFields {
        service,
        app: String::new(),
        environment: Environment::Production,
        token: String::new(),
        endpoint: String::new(),
        p256dh: String::new(),
        auth: Vec::new(),
    };
    faults.defaulted("app", draft.app, &mut made.app, "", check_app);
    faults.word("environment", draft.environment, &mut made.environment);
    let mut auth = String::new();
    match service {
        Service::Apns | Service::Fcm => {
            for (name, field) in [("endpoint", draft.endpoint), ("p256dh", draft.p256dh), ("auth", draft.auth)] {
                not_of(service, name, &field, faults);
            }
            faults.text("token", draft.token, &mut made.token, |_| Ok(()));
        }
        Service::Wns => {
            for (name, field) in [("p256dh", draft.p256dh), ("auth", draft.auth)] {
                not_of(service, name, &field, faults);
            }
            // Windows calls its channel URL either; it is kept as the endpoint.
            let url = if draft.endpoint.is_there() { draft.endpoint } else { draft.token };
            faults.text("endpoint", url, &mut made.endpoint, check_endpoint);
        }
        Service::WebPush => {
            not_of(service, "token", &draft.token, faults);
            faults.text("endpoint", draft.endpoint, &mut made.endpoint, check_endpoint);
            faults.text("p256dh", draft.p256dh, &mut made.p256dh, check_p256dh);
            faults.text("auth", draft.auth, &mut auth, check_auth);
        }
    }
    if !made.token.is_empty()
        && let Err(message) = check_token(service, &made.token)
    {
        faults.add("token", message);
    }
    made.auth = auth.into_bytes();
    Some(made)
}

fn not_of(service: Service, name: &str, field: &Field<String>, faults: &mut Faults) {
    if matches!(field, Field::Given(text) if !text.is_empty()) {
        faults.add(name, format!("does not belong to a registration with {service}; leave it out"));
    }
}

/// APNs topics and package names: dotted names, or nothing for the configured one.
fn check_app(text: &str) -> Result<(), String> {
    let fine = text.len() <= 256 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    if fine { Ok(()) } else { Err(format!("{text:?} is not the name of an app such as org.example.app")) }
}

/// An address that a push service issued: HTTPS, with a host.
fn check_endpoint(text: &str) -> Result<(), String> {
    let host = text.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or("");
    let fine = !host.is_empty() && !host.contains('@') && text.len() <= TOKEN_BYTES && text.bytes().all(|b| b.is_ascii_graphic());
    if fine { Ok(()) } else { Err("is not an address that a push service issues, such as https://push.example.net/send/abc".into()) }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

/// RFC 8291 §2: an uncompressed point on P-256.
fn check_p256dh(text: &str) -> Result<(), String> {
    let fine = decoded(text).is_some_and(|point| point.len() == 65 && point[0] == 4);
    if fine { Ok(()) } else { Err("is not the browser's public key: 65 bytes in base64url, beginning with 4 (RFC 8291)".into()) }
}

/// RFC 8291 §3.2: 16 bytes.
fn check_auth(text: &str) -> Result<(), String> {
    let fine = decoded(text).is_some_and(|secret| secret.len() == 16);
    if fine { Ok(()) } else { Err("is not the browser's auth secret: 16 bytes in base64url (RFC 8291)".into()) }
}

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("registration", error)
}

impl Engine {
    /// Seals a Web Push auth secret as it is kept; the import does the same.
    pub(super) fn seal_auth(&self, auth: &str) -> Vec<u8> {
        if auth.is_empty() { Vec::new() } else { self.inner.keys.seal(AUTH_CONTEXT, auth.as_bytes()) }
    }

    /// A device's registrations, all of them: a device has few.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`.
    pub async fn registrations(&self, actor: &Actor, device: Uuid) -> crate::Result<Page<RegistrationView>> {
        let sight = self.allow(actor, Permission::DirectoryRead)?;
        let key = self.device_by_id(&sight, device).await?;
        let rows = self.inner.store.registrations(self.tenant_key(), key).await.map_err(wrong)?;
        Ok(Page { items: rows.into_iter().map(RegistrationView::from).collect(), next_cursor: None })
    }

    /// Registers a device; the same service, app and environment are replaced.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`; every wrong field.
    pub async fn create_registration(
        &self,
        actor: &Actor,
        device: Uuid,
        draft: RegistrationDraft,
        repeat: Option<Repeat>,
    ) -> crate::Result<RegistrationView> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        let key = self.device_by_id(&sight, device).await?;
        self.register(actor, key, draft, repeat).await
    }

    pub(super) async fn register(
        &self,
        actor: &Actor,
        device: DeviceKey,
        draft: RegistrationDraft,
        repeat: Option<Repeat>,
    ) -> crate::Result<RegistrationView> {
        let mut faults = Faults::default();
        let made = fields(draft, &mut faults);
        faults.done()?;
        let mut made = made.expect("a draft without faults makes a registration");
        made.auth = self.seal_auth(std::str::from_utf8(&made.auth).unwrap_or_default());
        let same =
            |r: &&Registration| r.fields.service == made.service && r.fields.app == made.app && r.fields.environment == made.environment;
        let present = self.inner.store.registrations(self.tenant_key(), device).await.map_err(wrong)?;
        let before = present.iter().find(same);
        let id = before.map_or_else(Uuid::now_v7, |r| r.id);
        // An app registers at every start: what it only repeats changes nothing.
        let repeats = matches!(actor, Actor::Device { .. })
            && before.is_some_and(|r| {
                r.state == RegistrationState::Active
                    && (&r.fields.token, &r.fields.endpoint, &r.fields.p256dh) == (&made.token, &made.endpoint, &made.p256dh)
            });
        let view = RegistrationView::new(id, &made, RegistrationState::Active, None, self.now());
        let once = repeat::created(actor, repeat.as_ref(), &view, &id.to_string());
        let store =
            if repeats { self.inner.store.clone() } else { self.told_of_registration(actor, "registration.put", device, &view).await? };
        let kept = store.put_registration(self.tenant_key(), device, id, made, once).await.map_err(wrong)?;
        self.inner.doorkeeper.transfers.edited();
        Ok(RegistrationView { registered_at: view.registered_at, ..kept.into() })
    }

    /// A handle for a change of a registration; neither its token nor its address is told.
    pub(super) async fn told_of_registration(
        &self,
        actor: &Actor,
        operation: &'static str,
        device: DeviceKey,
        registration: &RegistrationView,
    ) -> crate::Result<Shared> {
        let row = self.device_row(device).await?;
        let deed = Deed::to(operation, "registration", registration.id)
            .with("device", row.id)
            .with("service", registration.service)
            .with("environment", registration.environment)
            .about(owners(row.fields.owner, None));
        self.told(actor, deed).await
    }

    /// Removes a registration.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`.
    pub async fn delete_registration(&self, actor: &Actor, device: Uuid, id: Uuid) -> crate::Result<()> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        let key = self.device_by_id(&sight, device).await?;
        let all = self.inner.store.registrations(self.tenant_key(), key).await.map_err(wrong)?;
        let registration = all.into_iter().find(|r| r.id == id).ok_or_else(|| wrong(StoreError::NotFound))?;
        let store = self.told_of_registration(actor, "registration.delete", key, &registration.into()).await?;
        store.delete_registration(self.tenant_key(), key, id).await.map_err(wrong)?;
        self.inner.doorkeeper.transfers.edited();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(json: &str) -> Vec<(String, String)> {
        let draft: RegistrationDraft = serde_json::from_str(json).expect("a draft");
        let mut faults = Faults::default();
        let _ = fields(draft, &mut faults);
        faults.done().map_or_else(|r| r.faults.into_iter().map(|f| (f.field, f.message)).collect(), |()| vec![])
    }

    #[test]
    fn each_service_has_its_own_fields() {
        assert!(faults_of(r#"{"service": "apns", "token": "0aff00112233"}"#).is_empty());
        let point = URL_SAFE_NO_PAD.encode([&[4_u8][..], &[1; 64]].concat());
        let web = format!(
            r#"{{"service": "webpush", "endpoint": "https://push.example.net/x", "p256dh": "{point}", "auth": "{}"}}"#,
            URL_SAFE_NO_PAD.encode([1; 16])
        );
        assert!(faults_of(&web).is_empty());
        let names = |json: &str| faults_of(json).into_iter().map(|(field, _)| field).collect::<Vec<_>>();
        assert_eq!(names(r#"{}"#), ["service"]);
        assert_eq!(names(r#"{"service": "gcm"}"#), ["service"]);
        assert_eq!(names(r#"{"service": "apns"}"#), ["token"]);
        assert_eq!(names(r#"{"service": "apns", "token": "xyz", "auth": "x"}"#), ["auth", "token"]);
        assert_eq!(names(r#"{"service": "webpush", "token": "x"}"#), ["token", "endpoint", "p256dh", "auth"]);
        assert_eq!(names(r#"{"service": "wns", "endpoint": "http://insecure.example"}"#), ["endpoint"]);
        assert_eq!(names(r#"{"service": "fcm", "token": "a b", "environment": "test", "app": "a b"}"#), ["app", "environment", "token"]);
    }

    #[test]
    fn tokens_and_subscriptions_are_shown_in_part() {
        assert_eq!(masked("0123456789abcdef"), "01234567…");
        assert_eq!(masked_url("https://push.example.net/send/abcdefghijk"), "https://push.example.net/send/abc…");
        assert_eq!(masked_url("https://push.example.net"), "https://push.example.net");
    }
}
