//! From what a caller wrote to what will be done: checks every field of a draft, resolves names, looks at rights and
//! scope, and resolves the audience. Every fault is named, all at once.

use crate::Engine;
use crate::admin::fields::Faults;
use crate::admin::names::{Resolved as Resolution, Unresolved};
use crate::admin::scope::{Sight, out_of_scope};
use crate::notifications::NotificationDraft;
use model::directory::MemberKind;
use model::event::{AudienceMode, MAX_AHEAD, MAX_EXPIRY};
use model::limits::{Counted, HOUR, LimitTake};
use model::policy::PolicySnapshot;
use model::roles::{Actor, Permission};
use model::{Body, DeviceKey, PersonKey, Refusal, Timestamp, Title, Urgency};
use roaring::RoaringBitmap;
use std::collections::HashSet;
use std::time::Duration;
use store::Addressed;

/// Longest list of names that is looked at at all; the configured limits are far below.
const NAMES_MOST: usize = 10_000;

/// A draft that is acceptable.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub title: String,
    pub body: String,
    pub urgency: Urgency,
    pub mode: AudienceMode,
    pub private: bool,
    pub due_at: Option<Timestamp>,
    pub expires_at: Timestamp,
    pub addressed: Addressed,
    pub audience: RoaringBitmap,
    pub by_device_only: RoaringBitmap,
    pub directory_version: i64,
    pub takes: Vec<LimitTake>,
    /// What an event says beside its text.
    pub data: serde_json::Value,
    /// Whether the text is sealed while it is kept, also where it is shown in a push or a mail.
    pub sealed: bool,
}

/// Reads `90s`, `90m`, `2h`, `3d`.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

fn keep<T>(faults: &mut Faults, field: &str, result: Result<T, String>) -> Option<T> {
    result.map_err(|message| faults.add(field, message)).ok()
}

impl Engine {
    /// Checks a draft and resolves whom it reaches.
    ///
    /// # Errors
    /// Every fault of every field; `forbidden` for rights and scope.
    pub(crate) async fn order(&self, actor: &Actor, draft: &NotificationDraft, expiry: Duration) -> crate::Result<Order> {
        let reach = self.may_send(actor, draft)?;
        let policy = self.inner.standing.policy();
        let now = self.now();
        let mut faults = Faults::default();
        let title = keep(&mut faults, "title", Title::new(&draft.title));
        let body = keep(&mut faults, "body", Body::new(&draft.body));
        let urgency = urgency(draft, &mut faults);
        let mode = mode(draft, &mut faults);
        let due_at = due_at(draft, now, &mut faults);
        let expires_at = expires_at(draft, due_at.unwrap_or(now), expiry, &mut faults);
        let addressed = self.addressed(&reach, draft, &policy, &mut faults).await?;
        faults.done()?;
        let (title, body) = title.zip(body).expect("a missing title or body is a fault");
        let order = self.resolve_audience(&reach, addressed).await?;
        let takes = takes(&order.addressed, &policy);
        Ok(Order {
            title: title.as_str().to_owned(),
            body: body.as_str().to_owned(),
            urgency,
            mode,
            private: draft.private,
            due_at,
            expires_at,
            takes,
            addressed: order.addressed,
            audience: order.audience,
            by_device_only: order.by_device_only,
            directory_version: order.directory_version,
            data: serde_json::Value::Null,
            sealed: draft.private,
        })
    }

    /// Whom the actor may reach, when it may send to what the draft names.
    fn may_send(&self, actor: &Actor, draft: &NotificationDraft) -> crate::Result<Reach> {
        let to_many = !draft.groups.is_empty() || !draft.users.is_empty();
        self.may_reach(actor, to_many || draft.devices.is_empty(), !draft.devices.is_empty())
    }

    /// Whom the actor may reach, when it may send to groups and persons, to devices, or to both.
    ///
    /// # Errors
    /// `forbidden`.
    pub(crate) fn may_reach(&self, actor: &Actor, to_many: bool, to_devices: bool) -> crate::Result<Reach> {
        let none = || Sight::Part { people: RoaringBitmap::new(), groups: HashSet::new() };
        let devices = if to_devices { self.allow(actor, Permission::SendToDevice)? } else { none() };
        let many = if to_many { self.allow_any(actor, &[Permission::SendToGroups, Permission::OrganizationUpdate])? } else { none() };
        Ok(Reach { many, devices })
    }

    async fn addressed(
        &self,
        reach: &Reach,
        draft: &NotificationDraft,
        policy: &PolicySnapshot,
        faults: &mut Faults,
    ) -> crate::Result<Addressed> {
        if draft.groups.is_empty() && draft.users.is_empty() && draft.devices.is_empty() {
            faults.add("groups", "nobody is addressed; name at least one group, person or device");
        }
        let lists = [
            ("groups", draft.groups.len(), "limits.groups_per_notification"),
            ("users", draft.users.len(), "limits.users_per_notification"),
            ("devices", draft.devices.len(), "limits.devices_per_notification"),
        ];
        for (field, count, limit) in lists {
            let most = usize::try_from(policy.number(limit)).unwrap_or(NAMES_MOST);
            if count > most {
                faults.add(field, format!("{count} are addressed; {limit} allows at most {most} a notification"));
            }
        }
        let mut addressed = Addressed::default();
        if lists.iter().any(|(_, count, _)| *count > NAMES_MOST) {
            return Ok(addressed);
        }
        for (index, name) in draft.groups.iter().enumerate() {
            let found = self.group_named(&reach.many, name).await?;
            take(found, &mut addressed.groups, faults, format!("groups[{index}]"), MemberKind::Group, name)?;
        }
        for (index, name) in draft.users.iter().enumerate() {
            let found = self.person_named(&reach.many, name).await?;
            take(found, &mut addressed.users, faults, format!("users[{index}]"), MemberKind::User, name)?;
        }
        for (index, name) in draft.devices.iter().enumerate() {
            let found = self.device_named(&reach.devices, name).await?;
            take(found, &mut addressed.devices, faults, format!("devices[{index}]"), MemberKind::Device, name)?;
        }
        Ok(addressed)
    }

    /// Looks at the scope, and resolves the audience against the resident directory.
    pub(crate) async fn resolve_audience(&self, reach: &Reach, addressed: Addressed) -> crate::Result<Resolved> {
        let inner = &self.inner;
        let owners = match addressed.devices.as_slice() {
            [] => Vec::new(),
            devices => {
                let owners = inner.store.owners_of(inner.tenant_key(), devices.to_vec()).await;
                owners.map_err(|e| crate::refusal("device", e))?
            }
        };
        if let Some((index, _)) = owners.iter().enumerate().find(|(_, (_, owner))| owner.is_none()) {
            return Err(Refusal::field(
                format!("devices[{index}]"),
                "the device has no owner, so nobody would get it; give it an owner first",
            ));
        }
        self.check_scope(reach, &addressed, &owners).await?;
        if !addressed.groups.is_empty() {
            self.caught_up().await?;
        }
        let started = std::time::Instant::now();
        let (mut directory_version, mut audience) = inner.roster.resolve(&addressed.groups);
        if addressed.groups.is_empty() {
            directory_version = self.directory_as_it_is().await?;
        } else {
            metrics::histogram!("carillon_resolve_seconds").record(started.elapsed().as_secs_f64());
        }
        audience.extend(addressed.users.iter().map(|p| p.0));
        let by_device: RoaringBitmap = owners.iter().filter_map(|(_, owner)| owner.map(|p| p.0)).collect();
        let by_device_only = &by_device - &audience;
        audience |= by_device;
        Ok(Resolved { addressed, audience, by_device_only, directory_version })
    }

    /// The version of the directory, also in a process that has just begun and has not read the memberships.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn directory_as_it_is(&self) -> crate::Result<i64> {
        let inner = &self.inner;
        if inner.roster.is_loaded() {
            return Ok(inner.roster.version());
        }
        let (version, _) = inner.store.directory_version(self.tenant_key()).await.map_err(|e| crate::refusal("directory", e))?;
        Ok(version)
    }

    async fn check_scope(&self, reach: &Reach, addressed: &Addressed, owners: &[(DeviceKey, Option<PersonKey>)]) -> crate::Result<()> {
        let outside = |what: &str| Err(out_of_scope(format!("a {what} that this names lies outside the scope of the token")));
        if addressed.groups.iter().any(|g| !reach.many.group(*g)) {
            return outside("group");
        }
        if addressed.users.iter().any(|p| !reach.many.person(*p)) {
            return outside("person");
        }
        for (device, owner) in owners {
            if !self.sees_device(&reach.devices, *device, *owner).await? {
                return outside("device");
            }
        }
        Ok(())
    }
}

/// Whom an actor may send to: groups and persons by one right, devices by another.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub many: Sight,
    pub devices: Sight,
}

impl Reach {
    /// The same for all.
    pub fn alike(sight: Sight) -> Reach {
        Reach { many: sight.clone(), devices: sight }
    }
}

/// Whom an event reaches.
pub(crate) struct Resolved {
    pub addressed: Addressed,
    pub audience: RoaringBitmap,
    pub by_device_only: RoaringBitmap,
    pub directory_version: i64,
}

/// The limits that an event takes from: any request that names a group counts once, and each device by itself.
pub(crate) fn takes(addressed: &Addressed, policy: &PolicySnapshot) -> Vec<LimitTake> {
    let take = |counted: Counted| {
        let allowed = u32::try_from(policy.number(counted.setting())).unwrap_or(u32::MAX);
        LimitTake { counted, allowed, window: HOUR }
    };
    let groups = (!addressed.groups.is_empty()).then(|| take(Counted::GroupSends));
    groups.into_iter().chain(addressed.devices.iter().map(|d| take(Counted::DeviceSends(*d)))).collect()
}

/// Takes over a name that leads to one object; a second name of the same object counts once.
fn take<K: Copy + PartialEq>(
    found: Resolution<K>,
    into: &mut Vec<K>,
    faults: &mut Faults,
    field: String,
    kind: MemberKind,
    name: &str,
) -> crate::Result<()> {
    match found {
        Ok(named) if into.contains(&named.key) => {}
        Ok(named) => into.push(named.key),
        Err(Unresolved::OutOfScope) => return Err(Unresolved::OutOfScope.refusal(kind, name)),
        Err(unresolved) => unresolved.fault(faults, field, kind, name),
    }
    Ok(())
}

fn urgency(draft: &NotificationDraft, faults: &mut Faults) -> Urgency {
    let Some(word) = draft.urgency.as_deref() else { return Urgency::Normal };
    Urgency::from_word(word).unwrap_or_else(|| {
        faults.add("urgency", format!("{word:?} is not one of very-low, low, normal, high"));
        Urgency::Normal
    })
}

fn mode(draft: &NotificationDraft, faults: &mut Faults) -> AudienceMode {
    let Some(word) = draft.audience.as_deref() else { return AudienceMode::Frozen };
    AudienceMode::from_word(word).unwrap_or_else(|| {
        faults.add("audience", format!("{word:?} is not one of frozen, live"));
        AudienceMode::Frozen
    })
}

/// A time that has passed already means: at once.
fn due_at(draft: &NotificationDraft, now: Timestamp, faults: &mut Faults) -> Option<Timestamp> {
    let at = keep(faults, "at", Timestamp::parse(draft.at.as_deref()?))?;
    if at > now.plus(MAX_AHEAD) {
        faults.add("at", "it is more than 366 days ahead; choose a nearer time");
    }
    if at < now.minus(Duration::from_secs(300)) {
        faults.add("at", format!("{at} has passed; leave it out to send at once"));
    }
    (at > now).then_some(at)
}

fn expires_at(draft: &NotificationDraft, from: Timestamp, usual: Duration, faults: &mut Faults) -> Timestamp {
    let expires = match (draft.expires_in.as_deref(), draft.expires_at.as_deref()) {
        (Some(_), Some(_)) => {
            faults.add("expiresAt", "give expiresIn or expiresAt, not both");
            None
        }
        (Some(text), None) => match span(text) {
            Some(span) if span > Duration::ZERO => Some(from.plus(span)),
            _ => {
                faults.add("expiresIn", format!("{text:?} is not a span such as 90m, 2h or 3d"));
                None
            }
        },
        (None, Some(text)) => keep(faults, "expiresAt", Timestamp::parse(text)),
        (None, None) => Some(from.plus(usual)),
    };
    let expires = expires.unwrap_or_else(|| from.plus(usual));
    let field = if draft.expires_in.is_some() { "expiresIn" } else { "expiresAt" };
    if expires <= from {
        faults.add(field, "it would expire before it begins; choose a later time");
    }
    if expires.since(from) > MAX_EXPIRY {
        faults.add(field, "at most 28 days are allowed; push services keep nothing longer");
    }
    expires
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_numbers_with_a_unit() {
        assert_eq!(span("90m"), Some(Duration::from_secs(5_400)));
        assert_eq!(span("2h"), Some(Duration::from_secs(7_200)));
        assert_eq!(span("3d"), Some(Duration::from_secs(259_200)));
        for wrong in ["", "h", "2", "2w", "-1h", "1.5h", "é"] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }
}
