//! One text to several devices, of which some may be unknown, out of reach or over their limit: those that can have it get
//! it, as one ordinary event, and the caller is told of each device what became of it. `send` refuses such a list whole.

use crate::Engine;
use crate::admin::fields::Faults;
use crate::admin::names::Unresolved;
use crate::notifications::{NotificationDraft, NotificationView};
use model::directory::MemberKind;
use model::roles::{Actor, Permission};
use model::{Body, DeviceKey, Refusal, RefusalKind, Title};
use std::collections::HashSet;
use uuid::Uuid;

/// What became of one device of a bulk request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// The notification names it.
    Accepted,
    /// There is no such device.
    Unknown,
    /// It has no owner, so nobody would get it.
    Ownerless,
    /// It is left out, and why: out of scope, over its limit, a name of several devices.
    Refused(Refusal),
}

/// What became of a bulk request.
#[derive(Clone, Debug)]
pub struct BulkView {
    /// The notification; none when no device can have it.
    pub notification: Option<NotificationView>,
    /// Every name that was given, once, in the order given.
    pub devices: Vec<(String, Fate)>,
}

/// A name, the device that it means while that may have the notification, and what became of it.
struct Asked {
    name: String,
    device: Option<(Uuid, DeviceKey)>,
    fate: Fate,
}

impl Engine {
    /// Accepts a custom notification to those of the named devices that can have it. When this answers, no crash loses it.
    ///
    /// # Errors
    /// `forbidden` without the right to send to devices; faults of the text or of the length of the list; what the store
    /// says. Then nothing was accepted. What is wrong with one device is told with that device.
    pub async fn send_to_each(&self, actor: &Actor, title: &str, body: &str, devices: &[String]) -> crate::Result<BulkView> {
        let sight = self.allow(actor, Permission::SendToDevice)?;
        self.check_bulk(title, body, devices.len())?;
        let mut asked: Vec<Asked> = Vec::with_capacity(devices.len());
        for name in devices {
            if asked.iter().any(|before| before.name == *name) {
                continue;
            }
            let (device, fate) = match self.device_named(&sight, name).await? {
                Ok(found) => (Some((found.id, found.key)), Fate::Accepted),
                Err(Unresolved::Unknown) => (None, Fate::Unknown),
                Err(unresolved) => (None, Fate::Refused(unresolved.refusal(MemberKind::Device, name))),
            };
            asked.push(Asked { name: name.clone(), device, fate });
        }
        self.leave_out_ownerless(&mut asked).await?;
        let notification = self.send_to_the_rest(actor, title, body, &mut asked).await?;
        Ok(BulkView { notification, devices: asked.into_iter().map(|one| (one.name, one.fate)).collect() })
    }

    fn check_bulk(&self, title: &str, body: &str, devices: usize) -> crate::Result<()> {
        let mut faults = Faults::default();
        if let Err(message) = Title::new(title) {
            faults.add("title", message);
        }
        if let Err(message) = Body::new(body) {
            faults.add("body", message);
        }
        let limit = "limits.devices_per_notification";
        let most = usize::try_from(self.inner.standing.policy().number(limit)).unwrap_or(usize::MAX);
        if devices == 0 {
            faults.add("devices", "nobody is addressed; name at least one device");
        }
        if devices > most {
            faults.add("devices", format!("{devices} are addressed; {limit} allows at most {most} a notification"));
        }
        faults.done()
    }

    async fn leave_out_ownerless(&self, asked: &mut [Asked]) -> crate::Result<()> {
        let keys: Vec<DeviceKey> = asked.iter().filter_map(|one| one.device.map(|(_, key)| key)).collect();
        let owners = self.inner.store.owners_of(self.tenant_key(), keys).await.map_err(|e| crate::refusal("device", e))?;
        let owned: HashSet<DeviceKey> = owners.into_iter().filter(|(_, owner)| owner.is_some()).map(|(device, _)| device).collect();
        for one in asked.iter_mut().filter(|one| one.device.is_some_and(|(_, key)| !owned.contains(&key))) {
            (one.device, one.fate) = (None, Fate::Ownerless);
        }
        Ok(())
    }

    /// Sends to those that are left, without those that are over their limit: each turn leaves one out or is the last.
    async fn send_to_the_rest(
        &self,
        actor: &Actor,
        title: &str,
        body: &str,
        asked: &mut [Asked],
    ) -> crate::Result<Option<NotificationView>> {
        loop {
            let devices: Vec<String> = asked.iter().filter_map(|one| one.device).map(|(id, _)| id.to_string()).collect();
            if devices.is_empty() {
                return Ok(None);
            }
            let draft = NotificationDraft { title: title.to_owned(), body: body.to_owned(), devices, ..NotificationDraft::default() };
            let refusal = match self.send(actor, draft, None).await {
                Ok(sent) => return Ok(Some(sent)),
                Err(refusal) => refusal,
            };
            let limited = matches!(refusal.kind, RefusalKind::OverLimit { .. });
            let mut left_out = false;
            for one in asked.iter_mut().filter(|one| limited && one.device.is_some_and(|(id, _)| refusal.ids.contains(&id))) {
                (one.device, one.fate, left_out) = (None, Fate::Refused(refusal.clone()), true);
            }
            if !left_out {
                return Err(refusal);
            }
        }
    }
}
