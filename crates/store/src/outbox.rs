//! The outbox's contract: accepted events and their audiences, planned deliveries in segments, claims, settlements,
//! receipts, the inbox.
//!
//! A **segment** is a page of deliveries of one event and channel: the rows of one span of people. It is what a worker
//! claims, under a generation that every later write checks (fencing). A segment waits until the earliest `due` of its
//! rows, is claimed, settled row by row, and released: then it waits again, or, with every row final, is gone. When the
//! last segment of a planned event is gone, the event is done. So nothing needs an index over millions of due times.

use crate::{FactsDepth, FactsPage, Once, Result};
use async_trait::async_trait;
use model::event::{AudienceMode, EventState};
use model::limits::LimitTake;
use model::{
    ChannelKind, DeliveryId, DeviceKey, EventKey, Facts, GroupKey, Lane, PersonKey, Reason, ReceiptKind, RegistrationKey, SegmentKey,
    State, TenantKey, Timestamp, Urgency,
};
use roaring::RoaringBitmap;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use uuid::Uuid;

/// Whom an event names, as the caller wrote it (after names became keys).
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Addressed {
    /// Groups, directly.
    pub groups: Vec<GroupKey>,
    /// People, directly.
    pub users: Vec<PersonKey>,
    /// Devices, directly.
    pub devices: Vec<DeviceKey>,
}

/// A text as kept: sealed by the engine when the event is private.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    /// Title; UTF-8, or sealed.
    pub title: Vec<u8>,
    /// Body; UTF-8, or sealed.
    pub body: Vec<u8>,
    /// Whether the two are sealed.
    pub sealed: bool,
}

/// An event to be accepted.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Whether it stands in the inbox.
    pub inbox: bool,
    /// Outside name.
    pub id: Uuid,
    /// Name of its type.
    pub kind: String,
    /// The token in whose name, and the name shown as sender.
    pub actor: (Uuid, String),
    /// When it may travel; `None`: now, by the store's clock.
    pub due_at: Option<Timestamp>,
    /// After this it is not worth telling.
    pub expires_at: Timestamp,
    /// How soon it matters.
    pub urgency: Urgency,
    /// Frozen or live.
    pub mode: AudienceMode,
    /// Push carries no content.
    pub private: bool,
    /// What it says.
    pub text: Text,
    /// What else it says.
    pub data: Value,
    /// Whom it names.
    pub addressed: Addressed,
    /// Everybody it reaches, at `directory_version`: owners of addressed devices too.
    pub audience: RoaringBitmap,
    /// Those of the audience who are in it only because of an addressed device.
    pub by_device_only: RoaringBitmap,
    /// The directory as it was when the audience was resolved.
    pub directory_version: i64,
    /// The notification that this one repeats.
    pub resend_of: Option<Uuid>,
}

/// One planned delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRow {
    /// To whom.
    pub person: PersonKey,
    /// Which of the person's rows, counted from 0 over all channels.
    pub seq: u16,
    /// How.
    pub channel: ChannelKind,
    /// On which device.
    pub device: Option<DeviceKey>,
    /// By which registration.
    pub registration: Option<RegistrationKey>,
    /// `Scheduled`, `Held` or `Suppressed`.
    pub state: State,
    /// Why it waits or was decided against.
    pub reason: Reason,
    /// What the decision was made from.
    pub facts: Facts,
    /// When it may be tried.
    pub due: Timestamp,
}

/// A page of an event's plan. Rows are sorted by (person, seq). The store makes one segment per channel that has a row
/// which is not final, from the first to the last person of the page.
#[derive(Clone, Debug)]
pub struct PagePlan {
    /// Of which event; ignored where the plan comes with the acceptance itself.
    pub event: EventKey,
    /// The rows.
    pub rows: Vec<PlannedRow>,
    /// The policy that decided.
    pub policy_version: i64,
    /// Which lane its segments take.
    pub lane: Lane,
    /// The last person that this page covers; the next page begins behind.
    pub cursor: PersonKey,
    /// Whether the plan is complete with this page.
    pub last: bool,
    /// Claim its new segments of these channels at once: saves a round.
    pub claim: Option<(Lease, Vec<ChannelKind>)>,
}

/// A claim's holder and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The claiming process.
    pub node: Uuid,
    /// When the claim ends unless renewed.
    pub until: Timestamp,
}

/// A request to accept an event: all or nothing, in one transaction.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// What happened.
    pub event: NewEvent,
    /// Which limits it takes from.
    pub takes: Vec<LimitTake>,
    /// The version of the policy that it was checked by: at another one it is not accepted (`Stale`), so that no process goes by
    /// limits that another one has changed. `None` for whatever stands.
    pub policy: Option<i64>,
    /// The answer to keep for repeats.
    pub once: Option<Once>,
    /// For a small event: its whole plan.
    pub plan: Option<PagePlan>,
}

/// An accepted event.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Inside name.
    pub key: EventKey,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// The claims on its segments, when the plan asked for them.
    pub claims: Vec<Claim>,
    /// Its place in the inbox order, when it may travel already.
    pub inbox_seq: Option<i64>,
}

/// A claim on a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Which.
    pub segment: SegmentKey,
    /// Its fencing number: grows with each claim.
    pub generation: i64,
    /// Whose.
    pub tenant: TenantKey,
    /// Of which event.
    pub event: EventKey,
    /// How.
    pub channel: ChannelKind,
    /// First person.
    pub from: PersonKey,
    /// Last person.
    pub to: PersonKey,
    /// The lane.
    pub lane: Lane,
}

/// One delivery row that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct DueRow {
    /// To whom.
    pub person: PersonKey,
    /// Which of the person's rows.
    pub seq: u16,
    /// On which device.
    pub device: Option<DeviceKey>,
    /// By which registration.
    pub registration: Option<RegistrationKey>,
    /// `Scheduled` or `Held`.
    pub state: State,
    /// Why it waited.
    pub reason: Reason,
    /// What the last decision was made from.
    pub facts: Facts,
    /// Attempts so far.
    pub attempts: u16,
    /// When it was to be tried; later than now where the segment was woken or its event cancelled.
    pub due: Timestamp,
}

/// A claimed segment, loaded: the rows that are due, and the facts and addresses of their people as they are now.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Sorted by (person, seq).
    pub rows: Vec<DueRow>,
    /// Facts now.
    pub facts: FactsPage,
}

/// What became of one row of a claimed segment.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The claim under which it was sent or judged.
    pub segment: SegmentKey,
    /// The claim's fencing number.
    pub generation: i64,
    /// Which row.
    pub id: DeliveryId,
    /// How it was to travel.
    pub channel: ChannelKind,
    /// Where it stood, for the counts.
    pub was: (State, Reason),
    /// Where it stands now.
    pub now: (State, Reason),
    /// When it may be tried again, for a row that is not final.
    pub due: Timestamp,
    /// The facts of the decision that counts.
    pub facts: Facts,
    /// The policy of the decision that counts.
    pub policy_version: i64,
    /// The attempt, when there was one.
    pub attempt: Option<Attempt>,
    /// Note an accepted push in the log of pushes, because a frequency cap is in force.
    pub log_push: bool,
    /// Retire this registration if it is still at this version and was not registered after `gone_since`.
    pub retire: Option<Retirement>,
}

/// An address that the provider says is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Retirement {
    /// Which.
    pub registration: RegistrationKey,
    /// At which version it was sent to.
    pub version: i64,
    /// The provider's word.
    pub code: String,
    /// Since when, by the provider's clock: a registration made later stays.
    pub gone_since: Option<Timestamp>,
}

/// One try.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Which, from 1.
    pub number: u16,
    /// When the answer came.
    pub at: Timestamp,
    /// The outcome's word.
    pub outcome: Cow<'static, str>,
    /// The provider's code, empty for accepted.
    pub code: Cow<'static, str>,
    /// Numeric status, 0 when there was none.
    pub status: u16,
}

/// What to write about claimed segments, in this order.
#[derive(Clone, Debug)]
pub enum Settle {
    /// A row.
    Row(Settlement),
    /// The claim ends: the segment waits for its earliest row, not before `not_before`, or is gone.
    Release {
        /// Which.
        segment: SegmentKey,
        /// The claim's fencing number.
        generation: i64,
        /// Pacing after an outage.
        not_before: Timestamp,
    },
}

/// What a settle did.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Segments whose claim was lost: their writes were not applied.
    pub lost: Vec<SegmentKey>,
    /// Events that are done with it.
    pub done: Vec<EventKey>,
    /// When released segments wait until, the earliest.
    pub next_due: Option<Timestamp>,
}

/// An event as kept, without its audience.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Inside name.
    pub key: EventKey,
    /// Whose.
    pub tenant: TenantKey,
    /// Outside name.
    pub id: Uuid,
    /// Name of its type.
    pub kind: String,
    /// The token in whose name, and the name shown as sender.
    pub actor: (Uuid, String),
    /// Accepted.
    pub accepted_at: Timestamp,
    /// May travel.
    pub due_at: Timestamp,
    /// Not worth telling after.
    pub expires_at: Timestamp,
    /// How soon it matters.
    pub urgency: Urgency,
    /// Frozen or live.
    pub mode: AudienceMode,
    /// Push carries no content.
    pub private: bool,
    /// Where it stands.
    pub state: EventState,
    /// Whom it names.
    pub addressed: Addressed,
    /// What else it says.
    pub data: Value,
    /// Text; `None` once erased.
    pub text: Option<Text>,
    /// How many people are in the audience.
    pub recipients: u64,
    /// The directory as it was when the audience was resolved.
    pub directory_version: i64,
    /// The policy that planned it last.
    pub policy_version: i64,
    /// The last person planned.
    pub cursor: PersonKey,
    /// The notification that this one repeats.
    pub resend_of: Option<Uuid>,
    /// Its place in the order of the inbox; `None` until it may travel.
    pub inbox_seq: Option<i64>,
    /// When the last delivery became final, or it was cancelled.
    pub done_at: Option<Timestamp>,
}

/// Deliveries of an event by channel, state and reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How.
    pub channel: ChannelKind,
    /// Where they stand.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// How many stand here now.
    pub rows: u64,
    /// How many the plan put here when they were first decided: the forecast. It never changes after the plan.
    pub planned: u64,
    /// How many people those planned ones belong to.
    pub people: u64,
}

/// Numbers of an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// By channel, state and reason.
    pub deliveries: Vec<Count>,
    /// People from whom each kind of receipt came, in the order of `ReceiptKind::ALL`.
    pub receipts: [u64; 4],
    /// People already planned.
    pub planned_people: u64,
    /// People of those for whom the plan let something go, now or later.
    pub reached_people: u64,
}

/// A delivery with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryRecord {
    /// Which.
    pub id: DeliveryId,
    /// How.
    pub channel: ChannelKind,
    /// On which device.
    pub device: Option<DeviceKey>,
    /// By which registration.
    pub registration: Option<RegistrationKey>,
    /// Where it stands.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// The facts of the decision that counts.
    pub facts: Facts,
    /// When it may be tried, for a row that is not final.
    pub due: Timestamp,
    /// Which policy decided it.
    pub policy_version: i64,
    /// Every try, in order.
    pub attempts: Vec<Attempt>,
}

/// A receipt as kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReceiptRow {
    /// From which device.
    pub device: DeviceKey,
    /// What it says.
    pub kind: ReceiptKind,
    /// When.
    pub at: Timestamp,
}

/// Which deliveries to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryFilter {
    /// Only in this state.
    pub state: Option<State>,
    /// Only on this channel.
    pub channel: Option<ChannelKind>,
    /// Only for this reason.
    pub reason: Option<Reason>,
}

/// One thing in a person's inbox.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxItem {
    /// Its place in the order, growing; also the stream's event id.
    pub seq: i64,
    /// The event.
    pub event: EventRow,
    /// When it was opened.
    pub opened_at: Option<Timestamp>,
    /// When it was put away.
    pub dismissed_at: Option<Timestamp>,
}

/// An event that waits to be planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Unplanned {
    /// The event.
    pub event: EventRow,
}

/// Events, deliveries, claims, receipts, the inbox.
#[async_trait]
pub trait Outbox {
    /// Accepts an event with its audience, limit counts, kept answer and, for a small one, its plan: one transaction. The
    /// clock is the store's, under the writer's lock: limits are exact.
    async fn accept(&self, tenant: TenantKey, acceptance: Acceptance) -> Result<Accepted>;
    /// Events whose hour has come and whose plan is not complete, the most urgent first; a scheduled one becomes accepted
    /// and gets its place in the inbox. Also when the next scheduled one is due.
    async fn unplanned(&self, limit: u32) -> Result<(Vec<EventRow>, Option<Timestamp>)>;
    /// The next people of an event's audience behind `after`, at most `limit`, sorted; with those who are in it only
    /// because of an addressed device.
    async fn audience_page(&self, event: EventKey, after: Option<PersonKey>, limit: u32) -> Result<(Vec<PersonKey>, Vec<PersonKey>)>;
    /// Commits a page of plan: rows, segments, counts, cursor. Does nothing and answers no claim if the event was
    /// cancelled or the cursor already covers the page. Pages of one event come one after another, each after the answer
    /// to the one before: a page that overtook another would make it look covered.
    async fn plan(&self, page: PagePlan) -> Result<Vec<Claim>>;

    /// Claims segments that are due, the earliest first, at most `limit`; leases that ran out count as free. Also when the
    /// next waiting segment of these channels is due.
    async fn claim(&self, channels: Vec<ChannelKind>, lane: Lane, lease: Lease, limit: u32) -> Result<(Vec<Claim>, Option<Timestamp>)>;
    /// Prolongs claims; answers those that are lost.
    async fn renew(&self, claims: Vec<(SegmentKey, i64)>, until: Timestamp) -> Result<Vec<SegmentKey>>;
    /// The due rows of a claim with facts and addresses as they are now.
    async fn load(&self, claim: Claim, depth: FactsDepth) -> Result<Loaded>;
    /// Writes what became of rows, and releases claims. Writes of a lost claim are left out and reported. A row that
    /// something else ended meanwhile (a receipt, a leaver) stays as it is, unless the provider took the message.
    async fn settle(&self, batch: Arc<[Settle]>) -> Result<Settled>;
    /// Frees every claim of earlier processes; the embedded store does it at opening, since its lock voids them.
    async fn void_claims(&self) -> Result<u64>;
    /// Makes rows that wait because of a fault of ours due at once (a restart usually brings the mend).
    async fn retry_our_faults(&self) -> Result<u64>;

    /// Stops an event: no more of it is planned, and its waiting segments become due at once so that their rows are
    /// ended. Answers its state before.
    async fn cancel(&self, tenant: TenantKey, event: EventKey) -> Result<EventState>;
    /// Makes the person's waiting rows due now, so that a new fact is looked at soon (rows that a provider or a fault of
    /// ours put off keep their time); where `reason` is given, ends the person's waiting rows with it at once, as
    /// suppressed. Answers how many rows ended.
    async fn end_waiting(&self, tenant: TenantKey, person: PersonKey, device: Option<DeviceKey>, reason: Option<Reason>) -> Result<u64>;
    /// Makes every waiting segment of a channel due now (a switch was turned): its rows are loaded although they are not
    /// due, less those that a provider or a fault of ours put off. Answers how many segments there are.
    async fn wake_channel(&self, tenant: TenantKey, channel: ChannelKind) -> Result<u64>;

    /// One event by inside name.
    async fn event(&self, tenant: TenantKey, key: EventKey) -> Result<Option<EventRow>>;
    /// One event by outside name.
    async fn event_by_id(&self, tenant: TenantKey, id: Uuid) -> Result<Option<EventRow>>;
    /// Events, newest first, behind `before`.
    async fn events(&self, tenant: TenantKey, kind: Option<String>, before: Option<EventKey>, limit: u32) -> Result<Vec<EventRow>>;
    /// Numbers of an event: kept as running totals, not counted.
    async fn counts(&self, event: EventKey) -> Result<Counts>;
    /// Whether a person is in the audience, and whether only because of an addressed device.
    async fn in_audience(&self, event: EventKey, person: PersonKey) -> Result<Option<bool>>;
    /// Everything about one person and event.
    async fn deliveries_of(&self, event: EventKey, person: PersonKey) -> Result<(Vec<DeliveryRecord>, Vec<ReceiptRow>)>;
    /// Deliveries of an event behind `after`.
    async fn deliveries(
        &self,
        event: EventKey,
        filter: DeliveryFilter,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRecord>>;
    /// People for whom something failed and nothing was accepted; the inbox, which takes everything, is not asked.
    async fn failed_people(&self, event: EventKey) -> Result<RoaringBitmap>;
    /// People for whom something was accepted (or who have it in the app) and who did not open it.
    async fn unopened_people(&self, event: EventKey) -> Result<RoaringBitmap>;

    /// Keeps a receipt of a device; a repeat is no error. `received` and later kinds end rows of this device that wait for
    /// it (`shown_in_app`). `opened` and `dismissed` mark the inbox. Answers whether it was new; `NotFound` when the
    /// person is not in the audience.
    async fn receipt(&self, tenant: TenantKey, person: PersonKey, device: DeviceKey, event: Uuid, kind: ReceiptKind) -> Result<bool>;
    /// Whether the device confirmed any of these events, for the last look.
    async fn received(&self, event: EventKey, devices: Vec<DeviceKey>) -> Result<Vec<DeviceKey>>;

    /// A person's inbox, newest first, behind `before`, dismissed ones left out unless asked for, erased and cancelled ones always. With
    /// `device`, events that address other devices only are left out.
    async fn inbox(
        &self,
        tenant: TenantKey,
        person: PersonKey,
        device: Option<DeviceKey>,
        before: Option<i64>,
        limit: u32,
        dismissed: bool,
    ) -> Result<Vec<InboxItem>>;
    /// What came into a person's inbox behind `after`, oldest first: for streams that resume.
    async fn inbox_since(
        &self,
        tenant: TenantKey,
        person: PersonKey,
        device: Option<DeviceKey>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<InboxItem>>;
    /// The place of the newest event.
    async fn inbox_head(&self, tenant: TenantKey) -> Result<i64>;

    /// Pushes of each person settled as accepted since `since`, for the frequency cap; people without any are left out.
    async fn recent_pushes(&self, tenant: TenantKey, people: Vec<PersonKey>, since: Timestamp) -> Result<Vec<(PersonKey, u32)>>;

    /// One short step of forgetting: erases texts and deliveries of events accepted before `before`; with `erase_done`
    /// also texts that are dismissed or expired everywhere. Kept answers, limit counts and codes that ran out go too.
    /// Answers whether there is more to do.
    async fn forget(&self, tenant: TenantKey, before: Timestamp, erase_done: bool) -> Result<bool>;
}
