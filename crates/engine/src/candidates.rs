//! From facts to candidate rows: which addresses one person has for one event, and what is true of each. Used when a
//! page is planned, when a row gets its last look, when reach is reported and when somebody asks why.
//!
//! Per push channel: one row per registration; else one per device of a platform that the channel usually serves; else,
//! for a channel of this build, one row with neither. One row for mail. The inbox has no rows: it is computed when read.

use model::decision::{Case, Decision, Verdict, decide};
use model::directory::{NotificationPermission, Platform, RegistrationState, Service};
use model::policy::Terms;
use model::time::DailySpan;
use model::{ChannelKind, DeviceKey, Facts, PersonKey, Reason, RegistrationKey, State, Timestamp, Urgency};
use std::collections::HashSet;
use store::{DeviceFacts, FactsPage, PersonFacts, PlannedRow, RegistrationFacts};

/// What is the same for every person of a page.
pub struct Setting<'a> {
    /// The policy's terms for this kind of event.
    pub terms: &'a Terms,
    /// How soon it matters.
    pub urgency: Urgency,
    /// Whether the kind is pushed.
    pub push: bool,
    /// Channels with a sender in this installation.
    pub configured: &'a HashSet<ChannelKind>,
    /// The organization's quiet hours.
    pub quiet: Option<DailySpan>,
    /// People who have had as many pushes as the policy allows.
    pub capped: &'a HashSet<PersonKey>,
    /// Whether the event names a mail address of its own.
    pub mail_to: bool,
    /// Now.
    pub now: Timestamp,
    /// Not worth telling after this.
    pub expires_at: Timestamp,
}

/// One address (or the lack of one) of one person on one channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// How.
    pub channel: ChannelKind,
    /// On which device.
    pub device: Option<DeviceKey>,
    /// By which registration.
    pub registration: Option<RegistrationKey>,
    /// What is true of it.
    pub facts: Facts,
    /// The ruling.
    pub decision: Decision,
}

/// One person's part of a page.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The page that they are part of.
    pub page: &'a FactsPage,
    /// Who.
    pub person: &'a PersonFacts,
    /// Their devices, sorted by key.
    pub devices: &'a [DeviceFacts],
    /// Their registrations, sorted by device and key.
    pub registrations: &'a [RegistrationFacts],
}

/// Walks a page person by person.
pub fn subjects(page: &FactsPage) -> impl Iterator<Item = Subject<'_>> {
    let (mut devices, mut registrations) = (page.devices.as_slice(), page.registrations.as_slice());
    page.people.iter().map(move |person| {
        while devices.first().is_some_and(|d| d.owner < person.key) {
            devices = &devices[1..];
        }
        while registrations.first().is_some_and(|r| r.owner < person.key) {
            registrations = &registrations[1..];
        }
        let own = devices.iter().take_while(|d| d.owner == person.key).count();
        let regs = registrations.iter().take_while(|r| r.owner == person.key).count();
        Subject { page, person, devices: &devices[..own], registrations: &registrations[..regs] }
    })
}

impl Setting<'_> {
    /// Every candidate of one person, in a fixed order: by channel, device, registration. With `only`, devices that are not
    /// among these are left out (the person was addressed through them).
    pub fn candidates(&self, subject: Subject<'_>, only: Option<&[DeviceKey]>, out: &mut Vec<Candidate>) {
        out.clear();
        let quiet_until = self.quiet_until(subject.person);
        let mut push_goes = false;
        if self.push {
            for channel in ChannelKind::PUSH {
                self.push_candidates(channel, subject, only, quiet_until, out);
            }
            push_goes = out.iter().any(|c| c.decision.verdict != Verdict::Suppress);
        }
        let facts = self
            .person_facts(subject.person, ChannelKind::Email)
            .with(Facts::HAS_EMAIL, self.mail_to || subject.person.has_email)
            .with(Facts::PUSH_GOES, push_goes);
        out.push(self.rule(ChannelKind::Email, None, None, facts, quiet_until));
    }

    /// The inbox's ruling for one person; it has no row.
    pub fn inbox(&self, person: &PersonFacts) -> Candidate {
        self.rule(ChannelKind::Inbox, None, None, self.person_facts(person, ChannelKind::Inbox), None)
    }

    fn push_candidates(
        &self,
        channel: ChannelKind,
        subject: Subject<'_>,
        only: Option<&[DeviceKey]>,
        quiet_until: Option<Timestamp>,
        out: &mut Vec<Candidate>,
    ) {
        let service = channel.service().expect("a push channel has a service");
        let first = out.len();
        for device in subject.devices.iter().filter(|d| only.is_none_or(|o| o.contains(&d.key))) {
            let own = subject.registrations.iter().filter(|r| r.device == device.key);
            let chosen = chosen(device.platform, own.clone());
            let mut any = false;
            for registration in own.filter(|r| r.service == service) {
                any = true;
                let facts = self.push_facts(subject.person, device, Some(registration), service, quiet_until.is_some());
                let other = registration.state == RegistrationState::Active && chosen.is_some_and(|c| c != registration.key);
                let facts = facts.with(Facts::OTHER_REGISTRATION, other);
                out.push(self.rule(channel, Some(device.key), Some(registration.key), facts, quiet_until));
            }
            if !any && device.platform.usual_service() == service {
                let facts = self.push_facts(subject.person, device, None, service, quiet_until.is_some());
                let facts = facts.with(Facts::OTHER_REGISTRATION, chosen.is_some());
                out.push(self.rule(channel, Some(device.key), None, facts, quiet_until));
            }
        }
        if out.len() == first && self.is_of_this_build(channel) {
            out.push(self.rule(channel, None, None, self.person_facts(subject.person, channel), quiet_until));
        }
    }

    /// Apple's channel is part of every build; the others say `no_device` only where they are set up.
    fn is_of_this_build(&self, channel: ChannelKind) -> bool {
        channel == ChannelKind::Apns || self.configured.contains(&channel)
    }

    fn person_facts(&self, person: &PersonFacts, channel: ChannelKind) -> Facts {
        (Facts::LICENSED | Facts::IN_AUDIENCE)
            .with(Facts::ACTIVE, person.active)
            .with(Facts::CAP_REACHED, self.capped.contains(&person.key))
            .with(Facts::CHANNEL_CONFIGURED, self.configured.contains(&channel))
    }

    /// The facts of a push row, but for which registration of a device is used and what presence says.
    pub fn push_facts(
        &self,
        person: &PersonFacts,
        device: &DeviceFacts,
        registration: Option<&RegistrationFacts>,
        service: Service,
        quiet: bool,
    ) -> Facts {
        let needs_play = service == Service::Fcm && device.platform == Platform::Android;
        (self.person_facts(person, ChannelKind::of_service(service)) | Facts::HAS_DEVICE)
            .with(Facts::ENROLLED, device.enrolled)
            .with(Facts::ENROLLED_BY_OTHER, device.enrolled_by_other)
            .with(Facts::APP_INSTALLED, device.app_installed)
            .with(Facts::PERMISSION_GRANTED, device.permission == NotificationPermission::Granted)
            .with(Facts::LACKS_PLAY_SERVICES, needs_play && !device.play_services)
            .with(Facts::PLATFORM_SERVED, device.platform.is_served_by(service))
            .with(Facts::HAS_REGISTRATION, registration.is_some())
            .with(Facts::REGISTRATION_RETIRED, registration.is_some_and(|r| r.state == RegistrationState::Retired))
            .with(Facts::PREFERENCE_OFF, !device.push_enabled)
            .with(Facts::QUIET_HOUR, quiet)
    }

    /// The mail row's facts as they are now; whether a push goes stays as it was planned.
    pub fn mail_facts(&self, person: &PersonFacts, planned: Facts) -> Facts {
        self.person_facts(person, ChannelKind::Email)
            .with(Facts::HAS_EMAIL, self.mail_to || person.has_email)
            .with(Facts::PUSH_GOES, planned.has(Facts::PUSH_GOES))
    }

    /// When the person's quiet hours end, if it is one.
    pub fn quiet_until(&self, person: &PersonFacts) -> Option<Timestamp> {
        let own = person.quiet_hours.as_deref().and_then(|q| DailySpan::parse(q).ok());
        let span = own.or(self.quiet)?;
        span.ends_at(self.now, person.timezone.as_deref().unwrap_or("UTC"))
    }

    /// The ruling on one set of facts.
    pub fn rule(
        &self,
        channel: ChannelKind,
        device: Option<DeviceKey>,
        registration: Option<RegistrationKey>,
        facts: Facts,
        quiet_until: Option<Timestamp>,
    ) -> Candidate {
        let facts = facts.with(Facts::QUIET_HOUR, quiet_until.is_some());
        let quiet_until = quiet_until.unwrap_or(self.now);
        let case = Case { channel, urgency: self.urgency, terms: self.terms, facts, quiet_until, now: self.now };
        Candidate { channel, device, registration, facts, decision: decide(&case) }
    }

    /// A person's candidates as rows of the plan.
    pub fn rows(&self, person: PersonKey, candidates: &[Candidate], out: &mut Vec<PlannedRow>) {
        for (seq, candidate) in candidates.iter().enumerate() {
            let (state, due) = match (candidate.decision.verdict, candidate.decision.until) {
                (Verdict::Deliver, _) => (State::Scheduled, self.now),
                (Verdict::Hold, until) => (State::Held, until.unwrap_or(self.now).min(self.expires_at)),
                (Verdict::Suppress, _) => (State::Suppressed, self.now),
            };
            out.push(PlannedRow {
                person,
                seq: u16::try_from(seq).unwrap_or(u16::MAX),
                channel: candidate.channel,
                device: candidate.device,
                registration: candidate.registration,
                state,
                reason: candidate.decision.reason,
                facts: candidate.facts,
                due,
            });
        }
    }
}

/// Which registration of a device is used: an active one that reaches its platform, native before Web Push, the one
/// registered last.
fn chosen<'a>(platform: Platform, registrations: impl Iterator<Item = &'a RegistrationFacts>) -> Option<RegistrationKey> {
    registrations
        .filter(|r| r.state == RegistrationState::Active && platform.is_served_by(r.service))
        .max_by_key(|r| (r.service != Service::WebPush, r.registered_at, r.key))
        .map(|r| r.key)
}

/// Why a planned row would not go now, if its device or registration no longer exists.
pub fn vanished(device: Option<&DeviceFacts>, has_registration: bool) -> Option<Reason> {
    match (device, has_registration) {
        (None, _) => Some(Reason::NoDevice),
        (Some(_), false) => Some(Reason::NoRegistration),
        (Some(_), true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Locale;
    use model::policy::{EmailRule, PolicySnapshot, SETTINGS};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn person(key: u32) -> PersonFacts {
        PersonFacts {
            key: PersonKey(key),
            active: true,
            has_email: true,
            locale: Locale::En,
            quiet_hours: None,
            timezone: None,
            mailbox: None,
        }
    }

    fn device(owner: u32, key: u32, platform: Platform) -> DeviceFacts {
        DeviceFacts {
            owner: PersonKey(owner),
            key: DeviceKey(key),
            platform,
            enrolled: true,
            enrolled_by_other: false,
            app_installed: true,
            permission: NotificationPermission::Granted,
            play_services: true,
            push_enabled: true,
        }
    }

    fn registration(owner: u32, device: u32, key: u32, service: Service, state: RegistrationState) -> RegistrationFacts {
        RegistrationFacts {
            owner: PersonKey(owner),
            device: DeviceKey(device),
            key: RegistrationKey(key),
            version: 1,
            service,
            state,
            registered_at: Timestamp(i64::from(key)),
            address: None,
        }
    }

    fn rows(
        devices: Vec<DeviceFacts>,
        registrations: Vec<RegistrationFacts>,
        only: Option<&[DeviceKey]>,
    ) -> Vec<(ChannelKind, Option<u32>, Reason)> {
        let set = BTreeMap::from([("custom.email".to_owned(), json!("fallback"))]);
        let terms = PolicySnapshot::new(1, SETTINGS, set).terms(EmailRule::Setting("custom.email"));
        let configured = HashSet::from([ChannelKind::Apns, ChannelKind::Email, ChannelKind::Inbox]);
        let setting = Setting {
            terms: &terms,
            urgency: Urgency::Normal,
            push: true,
            configured: &configured,
            quiet: None,
            capped: &HashSet::new(),
            mail_to: false,
            now: Timestamp(0),
            expires_at: Timestamp(100),
        };
        let page = FactsPage::of(vec![person(1)], devices, registrations);
        let mut out = Vec::new();
        setting.candidates(subjects(&page).next().expect("one person"), only, &mut out);
        out.iter().map(|c| (c.channel, c.device.map(|d| d.0), c.decision.reason)).collect()
    }

    use ChannelKind::{Apns, Email, Fcm};
    use RegistrationState::{Active, Retired};

    #[test]
    fn a_person_without_devices_gets_mail_and_one_row_that_says_so() {
        assert_eq!(rows(vec![], vec![], None), [(Apns, None, Reason::NoDevice), (Email, None, Reason::None)]);
    }

    #[test]
    fn a_push_makes_mail_unnecessary() {
        let regs = vec![registration(1, 5, 1, Service::Apns, Active)];
        assert_eq!(
            rows(vec![device(1, 5, Platform::Ios)], regs, None),
            [(Apns, Some(5), Reason::None), (Email, None, Reason::EmailNotNeeded)]
        );
    }

    #[test]
    fn the_native_registration_wins_over_web_push_and_the_last_over_earlier_ones() {
        let regs = vec![
            registration(1, 5, 1, Service::Apns, Active),
            registration(1, 5, 2, Service::Apns, Active),
            registration(1, 5, 3, Service::WebPush, Active),
            registration(1, 5, 4, Service::Apns, Retired),
        ];
        let got = rows(vec![device(1, 5, Platform::Ios)], regs, None);
        let reasons: Vec<Reason> = got.iter().map(|r| r.2).collect();
        assert_eq!(
            reasons,
            [Reason::OtherRegistration, Reason::None, Reason::RegistrationRetired, Reason::OtherRegistration, Reason::EmailNotNeeded]
        );
    }

    #[test]
    fn an_apple_registration_on_android_is_unsupported_and_google_has_none() {
        let regs = vec![registration(1, 5, 1, Service::Apns, Active)];
        let got = rows(vec![device(1, 5, Platform::Android)], regs, None);
        assert_eq!(
            got,
            [(Apns, Some(5), Reason::PlatformUnsupported), (Fcm, Some(5), Reason::NoRegistration), (Email, None, Reason::None)]
        );
    }

    #[test]
    fn an_addressed_device_is_the_only_one_looked_at() {
        let devices = vec![device(1, 5, Platform::Ios), device(1, 6, Platform::Ios)];
        let regs = vec![registration(1, 5, 1, Service::Apns, Active), registration(1, 6, 2, Service::Apns, Active)];
        let got = rows(devices, regs, Some(&[DeviceKey(6)]));
        assert_eq!(got, [(Apns, Some(6), Reason::None), (Email, None, Reason::EmailNotNeeded)]);
    }

    #[test]
    fn subjects_skip_people_without_anything_and_devices_of_people_not_asked_for() {
        let page = FactsPage::of(
            vec![person(2), person(4)],
            vec![device(1, 1, Platform::Ios), device(2, 2, Platform::Ios), device(3, 3, Platform::Ios)],
            vec![registration(1, 1, 1, Service::Apns, Active), registration(2, 2, 2, Service::Apns, Active)],
        );
        let seen: Vec<(u32, usize, usize)> = subjects(&page).map(|s| (s.person.key.0, s.devices.len(), s.registrations.len())).collect();
        assert_eq!(seen, [(2, 1, 1), (4, 0, 0)]);
    }
}
