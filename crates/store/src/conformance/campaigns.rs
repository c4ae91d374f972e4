//! Stories of plans, claims and settlements.

use super::scene::{Stage, people, release};
use super::stories;
use crate::watch::{Backlog, Nodes, Open};
use crate::{DeliveryFilter, FactsDepth, Retirement, Settle, Settlement};
use model::directory::RegistrationState;
use model::event::EventState;
use model::{ChannelKind, DeliveryId, EventKey, Facts, Lane, PersonKey, Reason, State, Timestamp};
use std::time::Duration;

const ACCEPTED: (State, Reason) = (State::Accepted, Reason::None);

stories![
    a_campaign_is_planned_claimed_settled_and_done,
    what_the_plan_forecast_stays_beside_what_became_of_it,
    what_waits_is_watched_by_channel_lane_and_reason,
    a_page_that_is_planned_again_does_nothing,
    a_plan_goes_on_behind_its_cursor,
    each_channel_of_a_page_has_its_own_segment,
    two_claimers_never_hold_the_same_segment,
    a_stale_generation_loses,
    a_lease_that_ran_out_is_free_and_a_renewed_one_is_not,
    claims_of_a_predecessor_are_void_at_opening,
    the_earliest_segment_is_claimed_first_and_the_next_is_announced,
    a_retry_waits_until_it_is_due,
    a_release_can_be_paced,
    an_attempt_is_kept_unless_it_was_an_accepted_first_one,
    a_gone_address_is_retired_only_at_the_version_that_was_sent_to,
    a_registration_made_after_it_was_gone_stays,
    accepted_pushes_are_logged_where_a_cap_is_in_force,
    a_claim_loads_facts_and_addresses_of_its_people,
    a_turned_switch_wakes_what_waits_with_the_time_of_each_row,
    a_wake_is_not_lost_to_a_claim_under_way,
    rows_that_wait_for_a_mend_of_ours_are_due_when_told,
    deliveries_are_listed_by_state_channel_and_reason,
    mail_that_is_not_needed_is_found_beside_its_push_with_the_facts_and_the_policy_that_decided_it,
    the_failed_are_those_for_whom_only_the_inbox_worked,
];

async fn a_campaign_is_planned_claimed_settled_and_done(stage: Stage) {
    let all = people(30);
    let event = stage.accept(stage.event(&all)).await.key;
    for page in all.chunks(10) {
        assert_eq!(stage.state(event).await, EventState::Accepted);
        let rows = page.iter().map(|person| stage.push(*person)).collect();
        stage.store.plan(stage.page(event, rows, page.last() == all.last())).await.expect("planned");
        let counts = stage.store.counts(event).await.expect("counted");
        assert_eq!(counts.planned_people, u64::from(page[9].0));
    }
    assert_eq!(stage.state(event).await, EventState::Sending);
    assert_eq!(stage.count(event, State::Scheduled, Reason::None).await, 30);
    assert_eq!(stage.store.unplanned(10).await.expect("asked").0, []);
    stage.clock.pass(Duration::from_millis(5));
    assert_eq!(stage.send_all().await.done, [event]);
    assert_eq!(stage.count(event, State::Accepted, Reason::None).await, 30);
    let kept = stage.store.event(stage.tenant, event).await.expect("read").expect("kept");
    assert_eq!((kept.state, kept.done_at, kept.policy_version), (EventState::Done, Some(stage.now()), 1));
}

async fn what_waits_is_watched_by_channel_lane_and_reason(stage: Stage) {
    let watch = async || stage.store.watch(stage.tenant).await.expect("watched");
    let open = |state, reason, rows| Open { channel: ChannelKind::Apns, state, reason, rows };
    let before = watch().await;
    assert_eq!((before.backlog, before.open, before.events), (vec![], vec![], vec![]));
    assert!(before.bytes > 0);
    let due = stage.now();
    stage.campaign(&people(3)).await;
    let mut scheduled = stage.event(&people(2));
    scheduled.due_at = Some(due.plus(Duration::from_secs(60)));
    stage.accept(scheduled).await;
    let backlog = |waiting, claimed, earliest_due| Backlog { channel: ChannelKind::Apns, lane: Lane::Bulk, waiting, claimed, earliest_due };
    let planned = watch().await;
    assert_eq!(planned.backlog, [backlog(1, 0, Some(due))]);
    assert_eq!(planned.open, [open(State::Scheduled, Reason::None, 3)]);
    let mut events = planned.events.clone();
    events.sort_by_key(|(state, _)| state.number());
    assert_eq!(events, [(EventState::Scheduled, 1), (EventState::Sending, 1)]);
    let claim = stage.claim(1).await.remove(0);
    assert_eq!(watch().await.backlog, [backlog(0, 1, None)]);
    let later = stage.now().plus(Duration::from_secs(10));
    stage.settle_all(&claim, (State::Held, Reason::ProviderUnavailable), later).await;
    let held = watch().await;
    assert_eq!((held.backlog, held.open), (vec![backlog(1, 0, Some(later))], vec![open(State::Held, Reason::ProviderUnavailable, 3)]));
    stage.clock.pass(Duration::from_secs(11));
    stage.send_all().await;
    let done = watch().await;
    assert_eq!((done.backlog, done.open, done.events), (vec![], vec![], vec![(EventState::Scheduled, 1)]));
    if stage.store.is_shared() {
        let (node, other) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
        stage.store.beat(node, stage.now().plus(Duration::from_secs(60))).await.expect("beats");
        stage.store.beat(other, stage.now().plus(Duration::from_secs(1))).await.expect("beats");
        stage.clock.pass(Duration::from_secs(2));
        assert_eq!(watch().await.nodes, Nodes { living: 1, lost: 1 });
    }
}

async fn what_the_plan_forecast_stays_beside_what_became_of_it(stage: Stage) {
    let all = people(4);
    let event = stage.accept(stage.event(&all)).await.key;
    let second = crate::PlannedRow { seq: 1, ..stage.push(all[0]) };
    let not = |person| crate::PlannedRow { state: State::Suppressed, reason: Reason::NoDevice, ..stage.push(person) };
    stage.store.plan(stage.page(event, vec![stage.push(all[0]), second, not(all[1])], false)).await.expect("planned");
    stage.store.plan(stage.page(event, vec![stage.push(all[2]), not(all[3])], true)).await.expect("planned");
    let seen = |counts: crate::Counts| {
        let of = counts.deliveries.into_iter().map(|c| ((c.state, c.reason), (c.rows, c.planned, c.people)));
        (of.collect::<Vec<_>>(), counts.planned_people, counts.reached_people)
    };
    let (forecast, not) = ((State::Scheduled, Reason::None), (State::Suppressed, Reason::NoDevice));
    let counts = seen(stage.store.counts(event).await.expect("counted"));
    assert_eq!(counts, (vec![(forecast, (3, 3, 2)), (not, (2, 2, 2))], 4, 2));
    stage.send_all().await;
    let stage = stage.reopen().await;
    let counts = seen(stage.store.counts(event).await.expect("counted"));
    let accepted = (State::Accepted, Reason::None);
    assert_eq!(counts, (vec![(forecast, (0, 3, 2)), (accepted, (3, 0, 0)), (not, (2, 2, 2))], 4, 2));
}

async fn a_page_that_is_planned_again_does_nothing(stage: Stage) {
    let all = people(10);
    let event = stage.accept(stage.event(&all)).await.key;
    let mut page = stage.page(event, all[..5].iter().map(|person| stage.push(*person)).collect(), false);
    page.claim = Some((stage.lease(1), ChannelKind::ALL.to_vec()));
    assert_eq!(stage.store.plan(page.clone()).await.expect("planned").len(), 1);
    let stage = stage.reopen().await;
    assert!(stage.store.plan(page.clone()).await.expect("nothing to do").is_empty());
    assert_eq!(stage.count(event, State::Scheduled, Reason::None).await, 5);
    assert_eq!(stage.store.counts(event).await.expect("counted").planned_people, 5);
    // A page that is covered in part adds what is behind the cursor.
    let overlapping = stage.page(event, all[3..].iter().map(|person| stage.push(*person)).collect(), true);
    stage.store.plan(overlapping.clone()).await.expect("planned");
    assert_eq!(stage.count(event, State::Scheduled, Reason::None).await, 10);
    stage.store.plan(overlapping).await.expect("nothing to do");
    assert_eq!(stage.claim(2).await.len(), 2);
    assert_eq!(stage.state(event).await, EventState::Sending);
}

async fn a_plan_goes_on_behind_its_cursor(stage: Stage) {
    let all = people(4);
    let event = stage.accept(stage.event(&all)).await.key;
    stage.store.plan(stage.page(event, vec![stage.push(all[0]), stage.push(all[1])], false)).await.expect("planned");
    let stage = stage.reopen().await;
    let unplanned = stage.store.unplanned(10).await.expect("asked").0.remove(0);
    assert_eq!((unplanned.key, unplanned.cursor), (event, all[1]));
    let (rest, _) = stage.store.audience_page(event, Some(unplanned.cursor), 10).await.expect("a page");
    assert_eq!(rest, all[2..]);
    stage.store.plan(stage.page(event, vec![stage.push(all[2])], false)).await.expect("planned");
    // The last page may find nobody any more.
    stage.store.plan(stage.page(event, vec![], true)).await.expect("planned");
    assert_eq!(stage.state(event).await, EventState::Sending);
    assert_eq!(stage.store.counts(event).await.expect("counted").planned_people, 4);
}

async fn each_channel_of_a_page_has_its_own_segment(stage: Stage) {
    let event = stage.accept(stage.event(&people(2))).await.key;
    let push = stage.push(PersonKey(1));
    let mut mail = crate::PlannedRow { seq: 1, channel: ChannelKind::Email, device: None, registration: None, ..push.clone() };
    let inbox = crate::PlannedRow { seq: 2, channel: ChannelKind::Inbox, ..mail.clone() };
    (mail.state, mail.reason) = (State::Suppressed, Reason::EmailNotNeeded);
    let second = crate::PlannedRow { person: PersonKey(2), seq: 0, ..inbox.clone() };
    stage.store.plan(stage.page(event, vec![push, mail, inbox, second], true)).await.expect("planned");
    let channels = vec![ChannelKind::Inbox, ChannelKind::Email, ChannelKind::Apns];
    let (claims, _) = stage.store.claim(channels, Lane::Bulk, stage.lease(1), 10).await.expect("claimed");
    let mut claimed: Vec<ChannelKind> = claims.iter().map(|claim| claim.channel).collect();
    claimed.sort();
    assert_eq!(claimed, [ChannelKind::Apns, ChannelKind::Inbox], "what is decided against needs no segment");
    for claim in &claims {
        let rows = stage.rows(claim).await;
        assert_eq!(rows.len(), if claim.channel == ChannelKind::Inbox { 2 } else { 1 });
        let done = stage.settle_all(claim, ACCEPTED, Timestamp(0)).await.done;
        assert_eq!(done.is_empty(), claim.segment != claims[1].segment, "the last one ends the event");
    }
}

async fn two_claimers_never_hold_the_same_segment(stage: Stage) {
    let event = stage.accept(stage.event(&people(40))).await.key;
    for person in people(40) {
        stage.store.plan(stage.page(event, vec![stage.push(person)], person.0 == 40)).await.expect("planned");
    }
    let mut tasks = Vec::new();
    for node in 1..=8 {
        let (store, lease) = (stage.store.clone(), stage.lease(node));
        tasks.push(tokio::spawn(async move { store.claim(vec![ChannelKind::Apns], Lane::Bulk, lease, 7).await.expect("claimed").0 }));
    }
    let mut held = Vec::new();
    for task in tasks {
        held.extend(task.await.expect("a task ends").into_iter().map(|claim| claim.segment));
    }
    assert_eq!(held.len(), 40);
    held.sort();
    held.dedup();
    assert_eq!(held.len(), 40, "each was given once");
}

async fn a_stale_generation_loses(stage: Stage) {
    let event = stage.campaign(&people(3)).await.key;
    let old = stage.claim(1).await.remove(0);
    let rows = stage.rows(&old).await;
    stage.clock.pass(Duration::from_secs(31));
    let new = stage.claim(2).await.remove(0);
    assert_eq!((new.segment, new.generation), (old.segment, old.generation + 1));
    assert!(stage.rows(&old).await.is_empty(), "a lost claim holds nothing");
    let settled = stage.settle_rows(&old, &rows, ACCEPTED, Timestamp(0)).await;
    assert_eq!((settled.lost, settled.done), (vec![old.segment], vec![]));
    assert_eq!(stage.count(event, State::Scheduled, Reason::None).await, 3, "nothing of it was written");
    let late = stage.store.renew(vec![(old.segment, old.generation)], stage.now().plus(Duration::from_secs(30))).await;
    assert_eq!(late.expect("asked"), [old.segment]);
    assert_eq!(stage.settle_all(&new, ACCEPTED, Timestamp(0)).await.done, [event]);
    let settled = stage.settle_rows(&new, &rows, (State::Rejected, Reason::ProviderRejected), Timestamp(0)).await;
    assert_eq!(settled.lost, [new.segment], "after its release a claim is over");
    assert_eq!(stage.count(event, State::Accepted, Reason::None).await, 3);
}

async fn a_lease_that_ran_out_is_free_and_a_renewed_one_is_not(stage: Stage) {
    stage.campaign(&people(1)).await;
    let claim = stage.claim(1).await.remove(0);
    stage.clock.pass(Duration::from_secs(29));
    assert!(stage.claim(2).await.is_empty());
    let until = stage.now().plus(Duration::from_secs(30));
    assert!(stage.store.renew(vec![(claim.segment, claim.generation)], until).await.expect("renewed").is_empty());
    stage.clock.pass(Duration::from_secs(29));
    assert!(stage.claim(2).await.is_empty());
    stage.clock.pass(Duration::from_secs(1));
    assert_eq!(stage.claim(2).await.len(), 1);
}

async fn claims_of_a_predecessor_are_void_at_opening(stage: Stage) {
    let event = stage.campaign(&people(2)).await.key;
    let old = stage.claim(1).await.remove(0);
    let rows = stage.rows(&old).await;
    let stage = stage.reopen().await;
    let settled = stage.settle_rows(&old, &rows, ACCEPTED, Timestamp(0)).await;
    assert_eq!(settled.lost, [old.segment]);
    let new = stage.claim(2).await.remove(0);
    assert!(new.generation > old.generation, "work resumes at once");
    assert_eq!(stage.store.void_claims().await.expect("voided"), 1);
    assert_eq!(stage.settle_all(&new, ACCEPTED, Timestamp(0)).await.lost, [new.segment]);
    assert_eq!(stage.send_all().await.done, [event]);
}

async fn the_earliest_segment_is_claimed_first_and_the_next_is_announced(stage: Stage) {
    let event = stage.accept(stage.event(&people(4))).await.key;
    for (person, seconds) in [(1, 20), (2, 10), (3, 5), (4, 60)] {
        let mut row = stage.push(PersonKey(person));
        row.due = stage.now().plus(Duration::from_secs(seconds));
        stage.store.plan(stage.page(event, vec![row], person == 4)).await.expect("planned");
    }
    let begin = stage.now();
    assert_eq!(stage.claim_and_next(1).await, (vec![], Some(begin.plus(Duration::from_secs(5)))));
    stage.clock.pass(Duration::from_secs(20));
    let channels = vec![ChannelKind::Apns];
    let (two, next) = stage.store.claim(channels.clone(), Lane::Bulk, stage.lease(1), 2).await.expect("claimed");
    assert_eq!(two.iter().map(|claim| claim.from.0).collect::<Vec<_>>(), [3, 2]);
    assert!(next.is_some_and(|next| next <= stage.now()), "more is due already");
    let (one, next) = stage.store.claim(channels.clone(), Lane::Bulk, stage.lease(1), 2).await.expect("claimed");
    assert_eq!(one.iter().map(|claim| claim.from.0).collect::<Vec<_>>(), [1]);
    assert_eq!(next, Some(stage.now().plus(Duration::from_secs(30))), "the leases end before the last one is due");
    let (none, next) = stage.store.claim(channels, Lane::Urgent, stage.lease(1), 2).await.expect("claimed");
    assert_eq!((none, next), (vec![], None), "the other lane has nothing");
}

async fn a_retry_waits_until_it_is_due(stage: Stage) {
    let event = stage.campaign(&people(3)).await.key;
    let claim = stage.claim(1).await.remove(0);
    let rows = stage.rows(&claim).await;
    let at = |seconds| stage.now().plus(Duration::from_secs(seconds));
    let held = (State::Held, Reason::ProviderUnavailable);
    let batch = vec![
        Settle::Row(stage.outcome(&claim, &rows[0], ACCEPTED, Timestamp(0))),
        Settle::Row(stage.outcome(&claim, &rows[1], held, at(60))),
        Settle::Row(stage.outcome(&claim, &rows[2], held, at(10))),
        release(&claim),
    ];
    let settled = stage.store.settle(batch.into()).await.expect("settled");
    assert_eq!((settled.next_due, settled.done, settled.lost), (Some(at(10)), vec![], vec![]));
    assert_eq!(stage.claim_and_next(1).await, (vec![], Some(at(10))));
    let stage = stage.reopen().await;
    stage.clock.pass(Duration::from_secs(10));
    let again = stage.claim(1).await.remove(0);
    let rows = stage.rows(&again).await;
    assert_eq!(rows.iter().map(|row| (row.person.0, row.state, row.reason, row.attempts)).collect::<Vec<_>>(), [(3, held.0, held.1, 1)]);
    stage.settle_rows(&again, &rows, ACCEPTED, Timestamp(0)).await;
    stage.clock.pass(Duration::from_secs(50));
    assert_eq!(stage.send_all().await.done, [event]);
}

async fn a_release_can_be_paced(stage: Stage) {
    stage.campaign(&people(1)).await;
    let claim = stage.claim(1).await.remove(0);
    let later = stage.now().plus(Duration::from_secs(90));
    let paced = Settle::Release { segment: claim.segment, generation: claim.generation, not_before: later };
    assert_eq!(stage.store.settle([paced].into()).await.expect("settled").next_due, Some(later));
    assert_eq!(stage.claim_and_next(1).await, (vec![], Some(later)));
    stage.clock.pass(Duration::from_secs(90));
    assert_eq!(stage.claim(1).await.len(), 1);
}

async fn an_attempt_is_kept_unless_it_was_an_accepted_first_one(stage: Stage) {
    let event = stage.campaign(&people(2)).await.key;
    let claim = stage.claim(1).await.remove(0);
    let rows = stage.rows(&claim).await;
    let mut retry = stage.outcome(&claim, &rows[1], (State::Held, Reason::ProviderUnavailable), stage.now());
    retry.facts = Facts::ACTIVE | Facts::LICENSED;
    if let Some(attempt) = &mut retry.attempt {
        (attempt.code, attempt.status) = ("TooManyRequests".into(), 429);
    }
    let first = stage.now();
    let batch = vec![Settle::Row(stage.outcome(&claim, &rows[0], ACCEPTED, Timestamp(0))), Settle::Row(retry), release(&claim)];
    stage.store.settle(batch.into()).await.expect("settled");
    stage.clock.pass(Duration::from_secs(1));
    stage.send_all().await;
    let tries = async |person| {
        let (records, receipts) = stage.store.deliveries_of(event, PersonKey(person)).await.expect("read");
        assert!(receipts.is_empty());
        let [record] = &records[..] else { panic!("one row: {records:?}") };
        assert_eq!((record.state, record.policy_version), (State::Accepted, 2));
        record.attempts.iter().map(|one| (one.number, one.at, one.outcome.clone(), one.code.clone(), one.status)).collect::<Vec<_>>()
    };
    assert_eq!(tries(1).await, [(1, first, "accepted".into(), "".into(), 0)]);
    let second = (2, stage.now(), "accepted".into(), "".into(), 0);
    assert_eq!(tries(2).await, [(1, first, "try_later".into(), "TooManyRequests".into(), 429), second]);
}

/// Sends to a person's phone and has the provider say that the address is gone.
async fn gone(stage: &Stage, person: PersonKey, retire: Retirement) -> EventKey {
    let event = stage.campaign(&[person]).await.key;
    let claim = stage.claim(1).await.remove(0);
    let row = stage.rows(&claim).await.remove(0);
    let settlement = Settlement { retire: Some(retire), ..stage.outcome(&claim, &row, (State::Gone, Reason::ProviderGone), Timestamp(0)) };
    stage.store.settle([Settle::Row(settlement), release(&claim)].into()).await.expect("settled");
    event
}

async fn a_gone_address_is_retired_only_at_the_version_that_was_sent_to(stage: Stage) {
    let person = stage.person("a@example.org").await;
    let (device, registration) = stage.phone(person).await;
    let before = stage.store.registrations(stage.tenant, device).await.expect("read").remove(0);
    stage.clock.pass(Duration::from_secs(1));
    stage.register(device, "a new token").await;
    let stale = Retirement { registration, version: before.version, code: "Unregistered".into(), gone_since: None };
    let event = gone(&stage, person, stale.clone()).await;
    assert_eq!(stage.count(event, State::Gone, Reason::ProviderGone).await, 1);
    let now = stage.store.registrations(stage.tenant, device).await.expect("read").remove(0);
    assert!(now.version > before.version && now.state == RegistrationState::Active, "it changed since it was sent to");
    gone(&stage, person, Retirement { version: now.version, ..stale }).await;
    let retired = stage.store.registrations(stage.tenant, device).await.expect("read").remove(0);
    assert_eq!((retired.state, retired.retired_code.as_deref()), (RegistrationState::Retired, Some("Unregistered")));
    assert!(retired.version > now.version);
}

async fn a_registration_made_after_it_was_gone_stays(stage: Stage) {
    let person = stage.person("a@example.org").await;
    let (device, registration) = stage.phone(person).await;
    let kept = stage.store.registrations(stage.tenant, device).await.expect("read").remove(0);
    let since = |at: i64| Retirement { registration, version: kept.version, code: "Unregistered".into(), gone_since: Some(Timestamp(at)) };
    gone(&stage, person, since(kept.registered_at.0 - 1)).await;
    let now = stage.store.registrations(stage.tenant, device).await.expect("read").remove(0);
    assert_eq!(now, kept);
    gone(&stage, person, since(kept.registered_at.0)).await;
    let now = stage.store.registrations(stage.tenant, device).await.expect("read").remove(0);
    assert_eq!(now.state, RegistrationState::Retired);
}

async fn accepted_pushes_are_logged_where_a_cap_is_in_force(stage: Stage) {
    let begin = stage.now();
    for (log_push, now) in [(true, ACCEPTED), (true, ACCEPTED), (false, ACCEPTED), (true, (State::Rejected, Reason::ProviderRejected))] {
        stage.campaign(&people(1)).await;
        let claim = stage.claim(1).await.remove(0);
        let row = stage.rows(&claim).await.remove(0);
        let settlement = Settlement { log_push, ..stage.outcome(&claim, &row, now, Timestamp(0)) };
        stage.store.settle([Settle::Row(settlement), release(&claim)].into()).await.expect("settled");
        stage.clock.pass(Duration::from_secs(1));
    }
    let recent = async |since| stage.store.recent_pushes(stage.tenant, people(2), since).await.expect("counted");
    assert_eq!(recent(begin).await, [(PersonKey(1), 2)]);
    assert_eq!(recent(begin.plus(Duration::from_secs(1))).await, [(PersonKey(1), 1)]);
    assert_eq!(recent(stage.now()).await, []);
}

async fn a_claim_loads_facts_and_addresses_of_its_people(stage: Stage) {
    let mut keys = Vec::new();
    for n in 0..30 {
        let person = stage.person(&format!("p{n}@example.org")).await;
        stage.phone(person).await;
        keys.push(person);
    }
    let all: Vec<PersonKey> = keys.iter().copied().chain([PersonKey(4_000_000)]).collect();
    // Close together, and far apart.
    for audience in [&keys[..], &all[..]] {
        stage.campaign(audience).await;
        let claim = stage.claim(1).await.remove(0);
        let depth = FactsDepth { addresses: crate::Addresses::Of(model::directory::Service::Apns), ..FactsDepth::default() };
        let loaded = stage.store.load(claim.clone(), depth).await.expect("loaded");
        assert_eq!(loaded.rows.iter().map(|row| row.person).collect::<Vec<_>>(), audience);
        assert_eq!(loaded.facts.people.iter().map(|person| person.key).collect::<Vec<_>>(), keys, "who is gone is missing");
        assert_eq!((loaded.facts.devices.len(), loaded.facts.registrations.len()), (30, 30));
        assert!(
            loaded
                .facts
                .registrations
                .iter()
                .all(|one| loaded.facts.address(one).is_some_and(|address| address.token.starts_with("token-")))
        );
        stage.settle_all(&claim, ACCEPTED, Timestamp(0)).await;
    }
}

/// A campaign of three: one waits for the morning, one for the provider, one for a mend of ours.
async fn three_that_wait(stage: &Stage) -> EventKey {
    let event = stage.campaign(&people(3)).await.key;
    let claim = stage.claim(1).await.remove(0);
    let rows = stage.rows(&claim).await;
    let later = stage.now().plus(Duration::from_secs(3600));
    let reasons = [Reason::QuietHours, Reason::ProviderUnavailable, Reason::OurFault];
    let mut batch: Vec<Settle> =
        reasons.iter().zip(&rows).map(|(reason, row)| Settle::Row(stage.outcome(&claim, row, (State::Held, *reason), later))).collect();
    batch.push(release(&claim));
    assert_eq!(stage.store.settle(batch.into()).await.expect("settled").next_due, Some(later));
    event
}

async fn a_turned_switch_wakes_what_waits_with_the_time_of_each_row(stage: Stage) {
    let event = three_that_wait(&stage).await;
    assert!(stage.claim(1).await.is_empty());
    assert_eq!(stage.store.wake_channel(stage.tenant, ChannelKind::Email).await.expect("woken"), 0);
    assert_eq!(stage.store.wake_channel(stage.tenant, ChannelKind::Apns).await.expect("woken"), 1);
    let claim = stage.claim(1).await.remove(0);
    let rows = stage.rows(&claim).await;
    assert_eq!(rows.iter().map(|row| (row.person.0, row.due > stage.now())).collect::<Vec<_>>(), [(1, true), (2, true), (3, true)]);
    let settled = stage.settle_rows(&claim, &rows, (State::Suppressed, Reason::OrgSwitchOff), Timestamp(0)).await;
    assert_eq!(settled.done, [event], "nothing waits any more");
    assert_eq!(stage.count(event, State::Suppressed, Reason::OrgSwitchOff).await, 3);
}

async fn a_wake_is_not_lost_to_a_claim_under_way(stage: Stage) {
    stage.campaign(&people(1)).await;
    let claim = stage.claim(1).await.remove(0);
    let rows = stage.rows(&claim).await;
    stage.store.wake_channel(stage.tenant, ChannelKind::Apns).await.expect("woken");
    assert!(stage.claim(2).await.is_empty(), "a wake takes nobody's claim");
    let morning = stage.now().plus(Duration::from_secs(3600));
    let settled = stage.settle_rows(&claim, &rows, (State::Held, Reason::QuietHours), morning).await;
    assert_eq!(settled.next_due, Some(stage.now()));
    let again = stage.claim(2).await.remove(0);
    assert_eq!(stage.rows(&again).await.len(), 1, "it is looked at once more although it is not due");
    let settled = stage.settle_all(&again, (State::Held, Reason::QuietHours), morning).await;
    assert_eq!(settled.next_due, Some(morning), "and once only");
}

async fn rows_that_wait_for_a_mend_of_ours_are_due_when_told(stage: Stage) {
    three_that_wait(&stage).await;
    let stage = stage.reopen().await;
    assert!(stage.claim(1).await.is_empty());
    assert_eq!(stage.store.retry_our_faults().await.expect("hurried"), 1);
    let claim = stage.claim(1).await.remove(0);
    assert_eq!(stage.rows(&claim).await.iter().map(|row| row.person.0).collect::<Vec<_>>(), [3]);
}

async fn deliveries_are_listed_by_state_channel_and_reason(stage: Stage) {
    let event = three_that_wait(&stage).await;
    let list = async |filter: DeliveryFilter, after: Option<u32>, limit| {
        let after = after.map(|person| DeliveryId { event, person: PersonKey(person), seq: 0 });
        let records = stage.store.deliveries(event, filter, after, limit).await.expect("listed");
        records.into_iter().map(|record| record.id.person.0).collect::<Vec<_>>()
    };
    assert_eq!(list(DeliveryFilter::default(), None, 2).await, [1, 2]);
    assert_eq!(list(DeliveryFilter::default(), Some(2), 2).await, [3]);
    assert_eq!(list(DeliveryFilter { reason: Some(Reason::OurFault), ..DeliveryFilter::default() }, None, 9).await, [3]);
    assert_eq!(list(DeliveryFilter { state: Some(State::Held), ..DeliveryFilter::default() }, None, 9).await, [1, 2, 3]);
    assert!(list(DeliveryFilter { state: Some(State::Gone), ..DeliveryFilter::default() }, None, 9).await.is_empty());
    assert!(list(DeliveryFilter { channel: Some(ChannelKind::Email), ..DeliveryFilter::default() }, None, 9).await.is_empty());
}

async fn mail_that_is_not_needed_is_found_beside_its_push_with_the_facts_and_the_policy_that_decided_it(stage: Stage) {
    let event = stage.accept(stage.event(&people(4))).await.key;
    let not_needed = Facts::ACTIVE | Facts::HAS_EMAIL | Facts::PUSH_GOES;
    let mut rows = Vec::new();
    for person in people(4) {
        let push = stage.push(person);
        let mail = crate::PlannedRow { seq: 1, channel: ChannelKind::Email, device: None, registration: None, ..push.clone() };
        let (state, reason) = (State::Suppressed, Reason::EmailNotNeeded);
        rows.extend([push, crate::PlannedRow { state, reason, facts: not_needed, ..mail }]);
    }
    stage.store.plan(stage.page(event, rows, true)).await.expect("planned");
    assert_eq!(stage.count(event, State::Suppressed, Reason::EmailNotNeeded).await, 4);
    let listed = async |filter: DeliveryFilter, limit: u32| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = stage.store.deliveries(event, filter, after, limit).await.expect("listed");
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { return found };
            after = Some(last.id);
            found.extend(page.iter().map(|record| (record.id.person.0, record.id.seq, record.channel)));
        }
    };
    let both: Vec<_> = (1..=4).flat_map(|n| [(n, 0, ChannelKind::Apns), (n, 1, ChannelKind::Email)]).collect();
    let mails: Vec<_> = (1..=4).map(|n| (n, 1, ChannelKind::Email)).collect();
    for limit in 1..=9 {
        assert_eq!(listed(DeliveryFilter::default(), limit).await, both, "{limit} a page");
        assert_eq!(listed(DeliveryFilter { channel: Some(ChannelKind::Email), ..DeliveryFilter::default() }, limit).await, mails);
        assert_eq!(listed(DeliveryFilter { reason: Some(Reason::EmailNotNeeded), ..DeliveryFilter::default() }, limit).await, mails);
        let pushes = listed(DeliveryFilter { state: Some(State::Scheduled), ..DeliveryFilter::default() }, limit).await;
        assert!(pushes.len() == 4 && pushes.iter().all(|(_, seq, _)| *seq == 0), "{pushes:?}");
    }
    let claim = stage.claim(1).await.remove(0);
    let rows = stage.rows(&claim).await;
    assert_eq!(rows.iter().map(|row| row.facts).collect::<Vec<_>>(), [stage.push(PersonKey(1)).facts; 4]);
    let later = stage.now().plus(Duration::from_secs(60));
    let to = |n: usize, policy_version: i64, now: (State, Reason)| {
        let facts = Facts::LICENSED | Facts::ENROLLED;
        Settle::Row(Settlement { policy_version, facts, ..stage.outcome(&claim, &rows[n], now, later) })
    };
    let held = (State::Held, Reason::ProviderUnavailable);
    let batch = vec![to(0, 1, ACCEPTED), to(1, 2, ACCEPTED), to(2, 1, held), to(3, 2, held), release(&claim)];
    stage.store.settle(batch.into()).await.expect("settled");
    for (person, policy, now) in [(1, 1, ACCEPTED), (2, 2, ACCEPTED), (3, 1, held), (4, 2, held)] {
        let (records, _) = stage.store.deliveries_of(event, PersonKey(person)).await.expect("read");
        let [push, mail] = &records[..] else { panic!("two rows of {person}: {records:?}") };
        assert_eq!(((push.state, push.reason), push.policy_version, push.facts), (now, policy, Facts::LICENSED | Facts::ENROLLED));
        assert_eq!(
            (mail.id.seq, mail.channel, mail.state, mail.reason),
            (1, ChannelKind::Email, State::Suppressed, Reason::EmailNotNeeded)
        );
        assert_eq!((mail.facts, mail.policy_version, mail.attempts.len()), (not_needed, 1, 0));
    }
    assert_eq!(listed(DeliveryFilter::default(), 3).await, both);
    assert_eq!(stage.count(event, State::Suppressed, Reason::EmailNotNeeded).await, 4);
}

async fn the_failed_are_those_for_whom_only_the_inbox_worked(stage: Stage) {
    let event = stage.accept(stage.event(&people(4))).await.key;
    let mut rows = Vec::new();
    for person in people(4) {
        rows.push(stage.push(person));
        rows.push(crate::PlannedRow { seq: 1, channel: ChannelKind::Inbox, device: None, registration: None, ..stage.push(person) });
        rows.push(crate::PlannedRow { seq: 2, ..stage.push(person) });
    }
    stage.store.plan(stage.page(event, rows, true)).await.expect("planned");
    let (claims, _) = stage.store.claim(vec![ChannelKind::Inbox], Lane::Bulk, stage.lease(1), 9).await.expect("claimed");
    stage.settle_all(&claims[0], ACCEPTED, Timestamp(0)).await;
    let claim = stage.claim(1).await.remove(0);
    let ends = |person: u32, seq: u16| match (person, seq) {
        (1, 2) | (2, _) => ACCEPTED,
        (1, _) => (State::Gone, Reason::ProviderGone),
        (3, 0) => (State::Expired, Reason::ProviderUnavailable),
        (3, _) => (State::Suppressed, Reason::AppMissing),
        _ => (State::Suppressed, Reason::PermissionDenied),
    };
    let rows = stage.rows(&claim).await;
    let batch = rows.iter().map(|row| Settle::Row(stage.outcome(&claim, row, ends(row.person.0, row.seq), Timestamp(0))));
    stage.store.settle(batch.chain([release(&claim)]).collect()).await.expect("settled");
    assert_eq!(stage.store.failed_people(event).await.expect("read").into_iter().collect::<Vec<_>>(), [3]);
}
