//! Reach: whom a draft would get to, how, and whom not and why, before anything is sent. The same candidates and the same
//! rules as in dispatch; nothing is stored and no limit is taken.

use crate::Engine;
use crate::candidates::{Setting, subjects};
use crate::inbox::{number_cursor, page_limit};
use crate::notifications::NotificationDraft;
use model::decision::Verdict;
use model::policy::Terms;
use model::roles::Actor;
use model::{ChannelKind, DeviceKey, PersonKey, Reason, Refusal};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use store::{FactsDepth, FactsPage};
use uuid::Uuid;

/// People looked at in one read.
const PAGE: u32 = 8_192;
/// Above this density of the audience, whole spans of people are read and filtered.
const DENSE: u64 = 4;

/// Which part to list, and where to go on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReachQuery {
    /// `reason:CODE`, `channel:KIND`, `inboxOnly` or `unreachable`; nothing is listed without it.
    pub list: Option<String>,
    /// How many, 1–500.
    pub limit: Option<u32>,
    /// Where to go on.
    pub cursor: Option<String>,
}

/// People and deliveries of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChannelReach {
    /// People whom it reaches.
    pub people: u64,
    /// Deliveries that it makes.
    pub deliveries: u64,
}

/// People and rows of one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReasonReach {
    /// People whom it concerns.
    pub people: u64,
    /// Rows that it ends or holds.
    pub rows: u64,
}

/// One line of a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct ReachItem {
    pub user_id: Uuid,
    pub upn: String,
    pub display_name: String,
    pub device_id: Option<Uuid>,
    pub device_name: Option<String>,
    pub channel: ChannelKind,
    pub reason_code: Option<Reason>,
}

/// The report.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReachView {
    /// People in the audience.
    pub people: u64,
    /// Devices that get a push.
    pub devices: u64,
    /// What goes, by channel; held rows count, since they go later.
    pub by_channel: BTreeMap<ChannelKind, ChannelReach>,
    /// What does not go, or waits, by reason.
    pub by_reason: BTreeMap<Reason, ReasonReach>,
    /// People who have it in the inbox and nowhere else.
    pub inbox_only: u64,
    /// People whom nothing reaches, not even the inbox.
    pub unreachable: u64,
    /// The lines asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<ReachItem>>,
    /// Where to go on with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What a list is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    Reason(Reason),
    Channel(ChannelKind),
    InboxOnly,
    Unreachable,
}

impl Wanted {
    fn parse(text: &str) -> crate::Result<Wanted> {
        let wrong = || Refusal::field("list", format!("{text:?} is not reason:CODE, channel:KIND, inboxOnly or unreachable"));
        match text.split_once(':') {
            Some(("reason", code)) => Reason::from_word(code).map(Wanted::Reason).ok_or_else(wrong),
            Some(("channel", kind)) => ChannelKind::from_word(kind).map(Wanted::Channel).ok_or_else(wrong),
            None if text == "inboxOnly" => Ok(Wanted::InboxOnly),
            None if text == "unreachable" => Ok(Wanted::Unreachable),
            _ => Err(wrong()),
        }
    }
}

struct Line {
    person: PersonKey,
    device: Option<DeviceKey>,
    channel: ChannelKind,
    reason: Reason,
}

/// Sums over a part of the audience.
#[derive(Default)]
struct Sums {
    devices: u64,
    by_channel: BTreeMap<ChannelKind, ChannelReach>,
    by_reason: BTreeMap<Reason, ReasonReach>,
    inbox_only: u64,
    unreachable: u64,
    lines: Vec<Line>,
}

struct Asked<'a> {
    wanted: Option<Wanted>,
    after: PersonKey,
    most: usize,
    by_device_only: &'a RoaringBitmap,
    devices: &'a [DeviceKey],
}

impl Engine {
    /// Whom a draft would reach.
    ///
    /// # Errors
    /// As [`Engine::send`], limits apart; title and body may be missing.
    pub async fn reach(&self, actor: &Actor, draft: NotificationDraft, query: ReachQuery) -> crate::Result<ReachView> {
        let wanted = query.list.as_deref().map(Wanted::parse).transpose()?;
        let most = page_limit(query.limit)? as usize;
        let after = PersonKey(query.cursor.as_deref().map(number_cursor).transpose()?.unwrap_or(0));
        let mut draft = draft;
        for text in [&mut draft.title, &mut draft.body] {
            if text.is_empty() {
                "-".clone_into(text);
            }
        }
        let kind = self.inner.event_type("custom.notification").map(|(_, k)| k);
        let kind = kind.ok_or_else(|| Refusal::not_found("event type", "custom.notification"))?;
        let order = self.order(actor, &draft, kind.expiry).await?;
        let policy = self.inner.standing.policy();
        let terms = self.inner.terms(&policy, kind, &serde_json::Value::Null);
        let asked = Asked { wanted, after, most: most + 1, by_device_only: &order.by_device_only, devices: &order.addressed.devices };
        let halves = halves(&order.audience);
        let urgency = order.urgency;
        let sums = futures_util::future::try_join_all(halves.iter().map(|part| self.sum(part, &terms, urgency, &asked))).await?;
        let mut view = ReachView { people: order.audience.len(), ..ReachView::default() };
        let mut lines: Vec<Line> = Vec::new();
        for part in sums {
            view.take(&part);
            lines.extend(part.lines);
        }
        if wanted.is_some() {
            self.list(&mut view, lines, most).await?;
        }
        Ok(view)
    }

    async fn sum(&self, audience: &RoaringBitmap, terms: &Terms, urgency: model::Urgency, asked: &Asked<'_>) -> crate::Result<Sums> {
        let inner = &self.inner;
        let policy = inner.standing.policy();
        let depth = FactsDepth { timezones: policy.quiet_hours().is_some(), ..FactsDepth::default() };
        let mut sums = Sums::default();
        let (Some(first), Some(last)) = (audience.min(), audience.max()) else { return Ok(sums) };
        let dense = audience.len() * DENSE >= u64::from(last - first);
        let mut people = audience.iter();
        let mut from = first;
        loop {
            let (page, capped) = if dense {
                if from > last {
                    return Ok(sums);
                }
                let to = from.saturating_add(PAGE - 1).min(last);
                let page = inner.store.facts_range(inner.tenant_key(), PersonKey(from), PersonKey(to), depth).await;
                let Some(next) = to.checked_add(1) else { return Ok(sums) };
                from = next;
                (page, HashSet::new())
            } else {
                let keys: Arc<[PersonKey]> = people.by_ref().take(PAGE as usize).map(PersonKey).collect();
                if keys.is_empty() {
                    return Ok(sums);
                }
                let capped = crate::dispatch::capped(self, &policy, &keys).await?;
                (inner.store.facts(inner.tenant_key(), keys, depth).await, capped)
            };
            let page = page.map_err(|e| crate::refusal("person", e))?;
            let setting = Setting {
                terms,
                urgency,
                push: true,
                configured: &inner.configured,
                quiet: policy.quiet_hours(),
                capped: &capped,
                mail_to: false,
                now: self.now(),
                expires_at: model::Timestamp::NEVER,
            };
            sums.add(&page, audience, &setting, asked);
            tokio::task::yield_now().await;
        }
    }

    async fn list(&self, view: &mut ReachView, lines: Vec<Line>, most: usize) -> crate::Result<()> {
        let wrong = |e| crate::refusal("person", e);
        let (store, tenant) = (&self.inner.store, self.inner.tenant_key());
        let mut items = Vec::new();
        let mut last = None;
        for line in lines {
            if items.len() >= most && last != Some(line.person) {
                view.next_cursor = last.map(|p: PersonKey| p.to_string());
                break;
            }
            let Some(person) = store.person(tenant, line.person).await.map_err(wrong)? else { continue };
            let device = match line.device {
                Some(key) => store.device(tenant, key).await.map_err(wrong)?,
                None => None,
            };
            items.push(ReachItem {
                user_id: person.id,
                upn: person.fields.upn,
                display_name: person.fields.display_name,
                device_id: device.as_ref().map(|d| d.id),
                device_name: device.map(|d| d.fields.name),
                channel: line.channel,
                reason_code: Some(line.reason).filter(|r| *r != Reason::None),
            });
            last = Some(line.person);
        }
        view.items = Some(items);
        Ok(())
    }
}

/// Two parts of an audience by key, so that both cores can read.
fn halves(audience: &RoaringBitmap) -> Vec<RoaringBitmap> {
    const WORTH_IT: u64 = 20_000;
    let Some(middle) = audience.select(u32::try_from(audience.len() / 2).unwrap_or(0)).filter(|_| audience.len() > WORTH_IT) else {
        return vec![audience.clone()];
    };
    let mut low = audience.clone();
    low.remove_range(middle..);
    let mut high = audience.clone();
    high.remove_range(..middle);
    vec![low, high]
}

impl ReachView {
    fn take(&mut self, sums: &Sums) {
        self.devices += sums.devices;
        self.inbox_only += sums.inbox_only;
        self.unreachable += sums.unreachable;
        for (channel, reach) in &sums.by_channel {
            let total = self.by_channel.entry(*channel).or_default();
            total.people += reach.people;
            total.deliveries += reach.deliveries;
        }
        for (reason, reach) in &sums.by_reason {
            let total = self.by_reason.entry(*reason).or_default();
            total.people += reach.people;
            total.rows += reach.rows;
        }
    }
}

impl Sums {
    fn add(&mut self, page: &FactsPage, audience: &RoaringBitmap, setting: &Setting<'_>, asked: &Asked<'_>) {
        let mut candidates = Vec::new();
        for subject in subjects(page).filter(|s| audience.contains(s.person.key.0)) {
            let person = subject.person.key;
            let only = asked.by_device_only.contains(person.0).then_some(asked.devices);
            setting.candidates(subject, only, &mut candidates);
            candidates.push(setting.inbox(subject.person));
            let mut channels: Vec<ChannelKind> = Vec::new();
            let mut reasons: Vec<Reason> = Vec::new();
            for candidate in &candidates {
                let goes = candidate.decision.verdict != Verdict::Suppress;
                if goes {
                    self.by_channel.entry(candidate.channel).or_default().deliveries += 1;
                    self.devices += u64::from(candidate.device.is_some());
                    if !channels.contains(&candidate.channel) {
                        channels.push(candidate.channel);
                    }
                }
                let reason = candidate.decision.reason;
                if reason != Reason::None {
                    self.by_reason.entry(reason).or_default().rows += 1;
                    if !reasons.contains(&reason) {
                        reasons.push(reason);
                    }
                }
                let wanted = match asked.wanted {
                    Some(Wanted::Reason(w)) => w == reason,
                    Some(Wanted::Channel(w)) => goes && w == candidate.channel,
                    Some(Wanted::InboxOnly | Wanted::Unreachable) | None => false,
                };
                self.line(wanted, person, candidate.device, candidate.channel, reason, asked);
            }
            channels.iter().for_each(|c| self.by_channel.entry(*c).or_default().people += 1);
            reasons.iter().for_each(|r| self.by_reason.entry(*r).or_default().people += 1);
            let inbox_only = channels == [ChannelKind::Inbox];
            self.inbox_only += u64::from(inbox_only);
            self.unreachable += u64::from(channels.is_empty());
            let wanted = (inbox_only && asked.wanted == Some(Wanted::InboxOnly))
                || (channels.is_empty() && asked.wanted == Some(Wanted::Unreachable));
            self.line(wanted, person, None, ChannelKind::Inbox, reasons.first().copied().unwrap_or(Reason::None), asked);
        }
    }

    fn line(
        &mut self,
        wanted: bool,
        person: PersonKey,
        device: Option<DeviceKey>,
        channel: ChannelKind,
        reason: Reason,
        asked: &Asked<'_>,
    ) {
        if wanted && person > asked.after && self.lines.len() < asked.most {
            self.lines.push(Line { person, device, channel, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_halved_without_loss() {
        let audience: RoaringBitmap = (0..50_000).map(|n| n * 3).collect();
        let parts = halves(&audience);
        assert_eq!(parts.len(), 2);
        assert_eq!(&parts[0] | &parts[1], audience);
        assert!(parts[0].is_disjoint(&parts[1]));
        assert_eq!(halves(&(0..10).collect()).len(), 1);
    }

    #[test]
    fn a_list_is_asked_for_in_known_words() {
        assert_eq!(Wanted::parse("reason:no_device").expect("known"), Wanted::Reason(Reason::NoDevice));
        assert_eq!(Wanted::parse("channel:apns").expect("known"), Wanted::Channel(ChannelKind::Apns));
        assert_eq!(Wanted::parse("inboxOnly").expect("known"), Wanted::InboxOnly);
        assert!(Wanted::parse("reason:because").is_err() && Wanted::parse("all").is_err());
    }
}
