//! Enrolment: an administrator makes a single-use code for a person; whoever types it into the app within a day gets a
//! device of that person and its token, all or nothing.

use super::acts::Deed;
use super::devices::blank;
use super::fields::{Faults, Field};
use super::repeat::{self, Answer, Begun};
use super::scope::Sight;
use super::users::conflict;
use crate::keys::{CODE_ALPHABET, CODE_CHARS, code, secret, sha256};
use crate::{Engine, Repeat};
use model::directory::{EnrolmentSource, Platform, check_name};
use model::roles::{Actor, Permission};
use model::{DeviceKey, Refusal, TenantKey, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{By, Device, Enrolment, NewToken, Once, StoreError, TokenUse, Whom};
use uuid::Uuid;

/// How long a code lives (SPEC §3).
pub const CODE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A code, shown once.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct CodeView {
    /// Left out of a repeated answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub expires_at: Timestamp,
    pub user_id: Uuid,
}

/// What an app says when it enrols.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct EnrolDraft {
    pub code: Field<String>,
    pub name: Field<String>,
    pub platform: Field<String>,
    pub ownership: Field<String>,
    pub notification_permission: Field<String>,
    pub play_services: Field<bool>,
}

/// An enrolled device and its token, shown once.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct EnrolledView {
    pub device_id: Uuid,
    /// Left out of a repeated answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub user_id: Uuid,
    pub display_name: String,
}

/// A code as it was made, however it was typed: small letters, blanks and dashes do not matter.
fn normal(code: &str) -> Option<String> {
    let typed: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()).collect();
    let fine = typed.len() == CODE_CHARS && typed.bytes().all(|b| CODE_ALPHABET.contains(&b));
    fine.then_some(typed)
}

fn wrong(error: StoreError) -> Refusal {
    match error {
        StoreError::NotFound | StoreError::Spent => {
            conflict("spent", "the code is not known, was used, or is older than a day; ask an administrator for a new one")
        }
        other => crate::refusal("device", other),
    }
}

/// In whose name answers to the holder of a code are kept: nobody can tell the code from it.
fn holder_of(plain: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&sha256(format!("enrolment/{plain}").as_bytes())[..16]);
    Uuid::from_bytes(bytes)
}

impl Engine {
    /// Makes a single-use code for a person's next device.
    ///
    /// # Errors
    /// `forbidden`, `out_of_scope`, `not_found`; `person_inactive`.
    pub async fn create_code(&self, actor: &Actor, user: Uuid, repeat: Option<Repeat>) -> crate::Result<CodeView> {
        let sight = self.allow(actor, Permission::DirectoryWrite)?;
        let key = self.person_by_id(&sight, user).await?;
        if !self.person_row(key, user).await?.fields.active {
            return Err(conflict("person_inactive", "the user is not active; activate them before they enrol a device"));
        }
        let code = code();
        let plain = normal(&code).expect("a code that was just made is one");
        let expires_at = self.now().plus(CODE_LIFE);
        let view = CodeView { code: None, expires_at, user_id: user };
        let once = repeat.as_ref().map(|repeat| repeat::kept(actor, repeat, 201, &view, String::new()));
        let deed = Deed::to_user("enrolment-code.create", Whom::Person(key)).with("expiresAt", expires_at);
        let made = self.told(actor, deed).await?.create_code(self.tenant_key(), sha256(plain.as_bytes()), key, expires_at, once).await;
        made.map_err(|e| crate::refusal("enrolment code", e))?;
        Ok(CodeView { code: Some(code), ..view })
    }

    /// Uses a code: makes the device, owned and enrolled by the code's person, and its token. Nobody is signed in: the code
    /// is the right.
    ///
    /// A repeat is known by the code, since nobody is signed in.
    ///
    /// # Errors
    /// Every wrong field; `spent` for a code that is unknown, used or too old; those of a repeated request.
    pub async fn enrol(&self, draft: EnrolDraft, repeat: Option<Repeat>) -> crate::Result<EnrolledView> {
        let mut faults = Faults::default();
        let mut fields = blank(Platform::Ios);
        if !draft.platform.is_there() {
            faults.add("platform", "is missing; give one of ios, ipados, android, windows, macos, linux, browser");
        }
        let mut typed = String::new();
        faults.text("code", draft.code, &mut typed, |text| {
            normal(text).map(|_| ()).ok_or_else(|| "is not an enrolment code such as 7KQM-2WXA-9RTC; type it as it was given to you".into())
        });
        faults.text("name", draft.name, &mut fields.name, check_name);
        faults.word("platform", draft.platform, &mut fields.platform);
        faults.word("ownership", draft.ownership, &mut fields.ownership);
        faults.word("notificationPermission", draft.notification_permission, &mut fields.permission);
        faults.flag("playServices", draft.play_services, &mut fields.play_services);
        faults.done()?;
        let now = self.now();
        (fields.enrolled, fields.app_installed) = (true, true);
        (fields.enrolled_source, fields.enrolled_at, fields.last_seen) = (Some(EnrolmentSource::Code), Some(now), Some(now));
        let plain = normal(&typed).expect("the code was checked");
        let holder = holder_of(&plain);
        // Open until this answers, so that a repeat meanwhile is told to wait.
        let _open = match &repeat {
            None => None,
            Some(repeat) => match self.begin_for(holder, repeat).await? {
                Begun::Replay(answer) => return self.enrolled_before(&answer.body).await,
                Begun::Fresh(guard) => Some(guard),
            },
        };
        let token = secret();
        let enrolment = Enrolment {
            code: sha256(plain.as_bytes()),
            device_id: Uuid::now_v7(),
            token: NewToken {
                id: Uuid::now_v7(),
                hash: sha256(token.as_bytes()),
                name: fields.name.clone(),
                opens: TokenUse::Device(DeviceKey::default()),
                expires_at: None,
            },
            device: fields,
        };
        let id = enrolment.device_id;
        let deed = Deed::to("device.enrol", "device", id).with("platform", enrolment.device.platform).about([Whom::OwnerOf(id)]);
        let once = repeat.map(|repeat| Once {
            token: holder,
            key: repeat.key,
            request: repeat.request,
            answer: Answer { request: repeat.request, status: 201, body: id.to_string().into_bytes(), location: String::new() },
        });
        let (tenant, device) = self.told_by(By::Code, deed).enrol(enrolment, once, now).await.map_err(wrong)?;
        self.inner.doorkeeper.transfers.edited();
        self.enrolled_view(tenant, device, Some(token)).await
    }

    /// The first answer again, without the token. What is kept of it is the device's id.
    async fn enrolled_before(&self, kept: &[u8]) -> crate::Result<EnrolledView> {
        let id = std::str::from_utf8(kept).ok().and_then(|text| Uuid::parse_str(text).ok()).ok_or_else(|| wrong(StoreError::NotFound))?;
        let key = self.device_by_id(&Sight::Everything, id).await?;
        let device = self.inner.store.device(self.tenant_key(), key).await.map_err(wrong)?.ok_or_else(|| wrong(StoreError::NotFound))?;
        self.enrolled_view(self.tenant_key(), device, None).await
    }

    async fn enrolled_view(&self, tenant: TenantKey, device: Device, token: Option<String>) -> crate::Result<EnrolledView> {
        let owner = device.fields.owner.ok_or_else(|| wrong(StoreError::NotFound))?;
        let person = self.inner.store.person(tenant, owner).await.map_err(wrong)?.ok_or_else(|| wrong(StoreError::NotFound))?;
        Ok(EnrolledView { device_id: device.id, token, user_id: person.id, display_name: person.fields.display_name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_may_be_typed_in_small_letters_and_without_dashes() {
        let made = code();
        let sloppy = format!(" {} ", made.to_lowercase().replace('-', " "));
        assert_eq!(normal(&sloppy), normal(&made));
        for wrong in ["", "7KQM-2WXA-9RT", "7KQM-2WXA-9RT0", "7KQM-2WXA-9RTCC"] {
            assert_eq!(normal(wrong), None, "{wrong}");
        }
    }
}
