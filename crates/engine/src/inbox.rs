//! The inbox: what a person has, computed when it is read, and streamed to open apps as it comes. Only what the person did
//! with it (opened, dismissed) is stored.

use crate::notifications::Page;
use crate::parts::Inner;
use crate::presence::Here;
use crate::{Engine, cards};
use bytes::Bytes;
use model::roles::Actor;
use model::{DeviceKey, PersonKey, Refusal, Timestamp, Urgency};
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use store::{EventRow, InboxItem};
use uuid::Uuid;

/// Things that may wait in one stream. A reader this far behind is cut off; it resumes with the last id that it saw.
const STREAM_QUEUE: usize = 64;
/// Streams of one device at once: one, and some that died without a word and were not noticed yet. A further one ends the
/// oldest.
const DEVICE_STREAMS: usize = 4;
/// Things replayed at once when a stream resumes; the rest follows in further pages.
const REPLAY_PAGE: u32 = 200;

/// What a device asks of its inbox.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InboxQuery {
    /// How many, 1–500.
    pub limit: Option<u32>,
    /// Where to go on.
    pub cursor: Option<String>,
    /// Dismissed ones too.
    #[serde(default)]
    pub dismissed: bool,
}

/// One thing in an inbox.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct InboxView {
    /// Its place in the order, growing; the id in streams.
    pub seq: i64,
    pub event_id: Uuid,
    pub kind: String,
    /// `null` once erased.
    pub title: Option<String>,
    pub body: Option<String>,
    pub private: bool,
    pub urgency: Urgency,
    pub sent_at: Timestamp,
    pub expires_at: Timestamp,
    pub opened_at: Option<Timestamp>,
    pub dismissed_at: Option<Timestamp>,
}

/// What comes through an open stream.
#[derive(Clone, Debug)]
pub enum StreamItem {
    /// Something new.
    Notification(Arc<Shown>),
    /// The event was cancelled; the app takes it away.
    Withdrawn(Uuid),
}

/// A notification as every open stream of its audience gets it: one copy, written for the wire once.
#[derive(Debug)]
pub struct Shown {
    view: InboxView,
    written: OnceLock<Bytes>,
}

impl Shown {
    fn new(view: InboxView) -> Arc<Shown> {
        Arc::new(Shown { view, written: OnceLock::new() })
    }

    /// How it goes over the wire: what `write` made of it when it was first asked for. All streams write it alike.
    pub fn written(&self, write: impl FnOnce(&InboxView) -> Bytes) -> Bytes {
        self.written.get_or_init(|| write(&self.view)).clone()
    }
}

impl Deref for Shown {
    type Target = InboxView;

    fn deref(&self) -> &InboxView {
        &self.view
    }
}

/// What waits in one stream, and who waits for it. A process holds tens of thousands of these, nearly all of them empty,
/// so an empty one is a hundred bytes; a channel would keep a block of places ready, more than a kibibyte.
#[derive(Default)]
struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    items: VecDeque<StreamItem>,
    reader: Option<Waker>,
    closed: bool,
}

impl Queue {
    /// Whether there was room.
    fn push(&self, item: StreamItem) -> bool {
        let mut waiting = self.0.lock();
        if waiting.closed || waiting.items.len() >= STREAM_QUEUE {
            return false;
        }
        waiting.items.push_back(item);
        let reader = waiting.reader.take();
        drop(waiting);
        reader.into_iter().for_each(Waker::wake);
        true
    }

    /// Nothing more will come; what waits is still read.
    fn close(&self) {
        let mut waiting = self.0.lock();
        waiting.closed = true;
        let reader = waiting.reader.take();
        drop(waiting);
        reader.into_iter().for_each(Waker::wake);
    }

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<StreamItem>> {
        let mut waiting = self.0.lock();
        if let Some(item) = waiting.items.pop_front() {
            if waiting.items.is_empty() {
                waiting.items = VecDeque::new();
            }
            return Poll::Ready(Some(item));
        }
        if waiting.closed {
            return Poll::Ready(None);
        }
        if !waiting.reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
            waiting.reader = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

/// One open stream as the engine sees it. Dropping it ends the stream once what waits was read.
struct Open {
    device: DeviceKey,
    person: PersonKey,
    queue: Arc<Queue>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Every open stream of this process, by its number.
#[derive(Default)]
pub struct Streams {
    open: Mutex<BTreeMap<u64, Open>>,
    next: AtomicU64,
}

/// One device's open stream. Dropping it closes it.
pub struct InboxStream {
    replay: VecDeque<InboxView>,
    queue: Arc<Queue>,
    /// The newest place that was given out; what comes again below it is left out.
    seen: i64,
    number: u64,
    device: DeviceKey,
    engine: Engine,
    _here: Here,
}

impl InboxStream {
    /// The next item; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<StreamItem> {
        if let Some(view) = self.replay.pop_front() {
            self.seen = self.seen.max(view.seq);
            if self.replay.is_empty() {
                self.replay = VecDeque::new();
            }
            return Some(StreamItem::Notification(Shown::new(view)));
        }
        loop {
            match poll_fn(|context| self.queue.poll_next(context)).await? {
                StreamItem::Notification(view) if view.seq <= self.seen => {}
                StreamItem::Notification(view) => {
                    self.seen = view.seq;
                    return Some(StreamItem::Notification(view));
                }
                withdrawn @ StreamItem::Withdrawn(_) => return Some(withdrawn),
            }
        }
    }
}

impl Drop for InboxStream {
    fn drop(&mut self) {
        metrics::gauge!("carillon_streams_open").decrement(1.0);
        self.engine.inner.streams.leave(self.number);
        if self.engine.inner.store.is_shared() {
            let (engine, device) = (self.engine.clone(), self.device);
            tokio::spawn(async move {
                // Looked at before and after: the device may have opened another stream meanwhile.
                if !engine.inner.presence.is_here(device) {
                    engine.tell_stream(device, false).await;
                    if engine.inner.presence.is_here(device) {
                        engine.tell_stream(device, true).await;
                    }
                }
            });
        }
    }
}

impl Streams {
    fn enter(&self, device: DeviceKey, person: PersonKey) -> (u64, Arc<Queue>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let queue = Arc::<Queue>::default();
        self.open.lock().insert(number, Open { device, person, queue: queue.clone() });
        (number, queue)
    }

    fn leave(&self, number: u64) {
        let left = self.open.lock().remove(&number);
        drop(left);
    }

    /// Ends the oldest streams of a device that has more than [`DEVICE_STREAMS`].
    fn close_surplus(&self, device: DeviceKey) {
        let mut open = self.open.lock();
        let mut numbers: Vec<u64> = open.iter().filter(|(_, stream)| stream.device == device).map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        let surplus = numbers.len().saturating_sub(DEVICE_STREAMS);
        let ended: Vec<_> = numbers.iter().take(surplus).filter_map(|number| open.remove(number)).collect();
        drop(open);
        drop(ended);
    }

    /// Ends every stream of a person: they were deactivated.
    pub fn close_person(&self, person: PersonKey) {
        self.open.lock().retain(|_, stream| stream.person != person);
    }

    /// Ends every stream: the engine stops.
    pub fn close(&self) {
        self.open.lock().clear();
    }

    /// How many streams are open.
    pub fn count(&self) -> usize {
        self.open.lock().len()
    }

    /// Sends to every open stream that `concerns` names. One that does not keep up is cut off and resumes later.
    fn send(&self, concerns: impl Fn(DeviceKey, PersonKey) -> bool, item: &StreamItem) -> usize {
        let mut sent = 0;
        self.open.lock().retain(|_, stream| {
            if !concerns(stream.device, stream.person) {
                return true;
            }
            sent += 1;
            stream.queue.push(item.clone())
        });
        sent
    }
}

/// Whom an event concerns: its audience, and those of it who were addressed by certain devices only.
pub(crate) struct Reached<'a> {
    pub audience: &'a RoaringBitmap,
    pub by_device_only: &'a RoaringBitmap,
}

impl Engine {
    /// Shows an event in every open app of its audience.
    pub(crate) fn publish(&self, event: &EventRow, reached: &Reached<'_>) {
        let inner = &self.inner;
        let Some(seq) = event.inbox_seq else { return };
        if !inner.event_type(&event.kind).is_some_and(|(_, t)| t.inbox) || inner.streams.count() == 0 {
            return;
        }
        let item = InboxItem { seq, event: event.clone(), opened_at: None, dismissed_at: None };
        let item = StreamItem::Notification(Shown::new(view(inner, &item)));
        let sent = inner.streams.send(
            |device, person| {
                reached.audience.contains(person.0)
                    && (!reached.by_device_only.contains(person.0) || event.addressed.devices.contains(&device))
            },
            &item,
        );
        metrics::counter!("carillon_stream_items_total").increment(sent as u64);
    }

    /// Shows an event that was accepted here: at once, or through the store where other processes show it too.
    pub(crate) fn publish_or_tell(&self, event: &EventRow, reached: &Reached<'_>) {
        if self.inner.store.is_shared() {
            self.inner.published.notify_one();
        } else {
            self.publish(event, reached);
        }
    }

    /// Takes a cancelled event away from every open app.
    pub(crate) fn withdraw(&self, event: Uuid) {
        self.inner.streams.send(|_, _| true, &StreamItem::Withdrawn(event));
    }

    /// A device's inbox, newest first.
    ///
    /// # Errors
    /// `forbidden` unless the actor is a device; a wrong cursor or limit; what the store says.
    pub async fn device_inbox(&self, actor: &Actor, query: InboxQuery) -> crate::Result<Page<InboxView>> {
        let (device, owner) = self.own_device(actor)?;
        let limit = page_limit(query.limit)?;
        let before = query.cursor.as_deref().map(number_cursor).transpose()?;
        let inner = &self.inner;
        let items = inner
            .store
            .inbox(inner.tenant_key(), owner, Some(device), before, limit + 1, query.dismissed)
            .await
            .map_err(|e| crate::refusal("inbox", e))?;
        let more = items.len() > limit as usize;
        let items: Vec<InboxView> = items.iter().take(limit as usize).map(|item| view(inner, item)).collect();
        let next_cursor = items.last().filter(|_| more).map(|last| last.seq.to_string());
        Ok(Page { items, next_cursor })
    }

    /// Opens a device's stream. With `last_event_id`, it begins with what came since; without, with what comes next.
    ///
    /// # Errors
    /// As [`Engine::device_inbox`].
    pub async fn open_stream(&self, actor: &Actor, last_event_id: Option<i64>) -> crate::Result<InboxStream> {
        let (device, owner) = self.own_device(actor)?;
        let inner = &self.inner;
        let wrong = |e| crate::refusal("inbox", e);
        // Enter first, read then: nothing falls between; what comes twice is left out by its place.
        let here = inner.presence.enter(device);
        self.tell_stream(device, true).await;
        let (number, queue) = inner.streams.enter(device, owner);
        if here.streams() > DEVICE_STREAMS {
            inner.streams.close_surplus(device);
        }
        metrics::gauge!("carillon_streams_open").increment(1.0);
        let mut stream = InboxStream {
            replay: VecDeque::new(),
            queue,
            seen: last_event_id.unwrap_or(i64::MIN),
            number,
            device,
            engine: self.clone(),
            _here: here,
        };
        if inner.stop.is_cancelled() {
            // It may have come after all were closed.
            inner.streams.close();
        }
        let Some(mut after) = last_event_id else { return Ok(stream) };
        loop {
            let page = inner.store.inbox_since(inner.tenant_key(), owner, Some(device), after, REPLAY_PAGE).await.map_err(wrong)?;
            let Some(last) = page.last() else { return Ok(stream) };
            after = last.seq;
            let full = page.len() == REPLAY_PAGE as usize;
            stream.replay.extend(page.iter().map(|item| view(inner, item)));
            if !full {
                return Ok(stream);
            }
        }
    }
}

/// A page's size, or what is wrong with it.
pub(crate) fn page_limit(limit: Option<u32>) -> crate::Result<u32> {
    match limit {
        None => Ok(Engine::PAGE_USUAL),
        Some(n) if (1..=Engine::PAGE_MOST).contains(&n) => Ok(n),
        Some(n) => Err(Refusal::field("limit", format!("{n} is not a number from 1 to {}", Engine::PAGE_MOST))),
    }
}

/// A cursor that is a number.
pub(crate) fn number_cursor<T: std::str::FromStr>(cursor: &str) -> crate::Result<T> {
    cursor.parse().map_err(|_| Refusal::field("cursor", "it is not one that this list gave out; leave it out to begin anew"))
}

fn view(inner: &Inner, item: &InboxItem) -> InboxView {
    let (title, body) = cards::told(inner, &item.event).unzip();
    InboxView {
        seq: item.seq,
        event_id: item.event.id,
        kind: item.event.kind.clone(),
        title,
        body,
        private: item.event.private,
        urgency: item.event.urgency,
        sent_at: item.event.due_at,
        expires_at: item.event.expires_at,
        opened_at: item.opened_at,
        dismissed_at: item.dismissed_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(queue: &Queue) -> Poll<Option<StreamItem>> {
        queue.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_stream_that_does_not_keep_up_is_cut_off() {
        let streams = Streams::default();
        let (_, queue) = streams.enter(DeviceKey(1), PersonKey(1));
        for _ in 0..=STREAM_QUEUE {
            streams.send(|_, _| true, &StreamItem::Withdrawn(Uuid::nil()));
        }
        assert_eq!(streams.count(), 0);
        for _ in 0..STREAM_QUEUE {
            assert!(matches!(next(&queue), Poll::Ready(Some(_))), "what was queued is still read");
        }
        assert!(matches!(next(&queue), Poll::Ready(None)));
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_an_item_and_by_the_end() {
        let streams = Streams::default();
        let (number, queue) = streams.enter(DeviceKey(1), PersonKey(1));
        assert!(next(&queue).is_pending());
        let reader = tokio::spawn({
            let queue = queue.clone();
            async move {
                let mut read = 0;
                while poll_fn(|context| queue.poll_next(context)).await.is_some() {
                    read += 1;
                }
                read
            }
        });
        for _ in 0..3 {
            tokio::task::yield_now().await;
            assert_eq!(streams.send(|_, person| person == PersonKey(1), &StreamItem::Withdrawn(Uuid::nil())), 1);
        }
        tokio::task::yield_now().await;
        streams.leave(number);
        assert_eq!(reader.await.expect("no panic"), 3);
    }

    #[test]
    fn a_device_keeps_its_newest_streams() {
        let streams = Streams::default();
        let (_, other) = streams.enter(DeviceKey(2), PersonKey(1));
        let own: Vec<_> = (0..DEVICE_STREAMS + 2).map(|_| streams.enter(DeviceKey(1), PersonKey(1)).1).collect();
        streams.close_surplus(DeviceKey(1));
        let ended: Vec<bool> = own.iter().map(|queue| next(queue).is_ready()).collect();
        assert_eq!(ended.iter().position(|ended| !ended), Some(2), "the first two of {ended:?}");
        assert_eq!(streams.count(), DEVICE_STREAMS + 1);
        assert!(next(&other).is_pending());
    }

    #[test]
    fn a_persons_streams_end_together_and_others_stay() {
        let streams = Streams::default();
        let (_, _a) = streams.enter(DeviceKey(1), PersonKey(1));
        let (_, _b) = streams.enter(DeviceKey(2), PersonKey(2));
        streams.close_person(PersonKey(1));
        assert_eq!(streams.count(), 1);
    }
}
