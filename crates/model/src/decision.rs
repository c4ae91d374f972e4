//! The ruling for one recipient and one address: deliver, hold until, or suppress, and the rule that decided.
//!
//! Rules stand in one table, in the order of SPEC §2: organization switch, policy, prerequisites, the person's own
//! preference, presence, quiet hours, frequency cap. The first that objects decides. A later rule is never asked to
//! widen what an earlier one narrowed, so a ceiling holds by construction.

use crate::channel::ChannelKind;
use crate::event::Urgency;
use crate::facts::Facts;
use crate::policy::{EmailMode, Terms};
use crate::text::Locale;
use crate::time::Timestamp;
use crate::words;
use std::time::Duration;

words! {
    /// The ruling.
    Verdict {
        /// Send it.
        Deliver = 1 "deliver",
        /// Wait.
        Hold = 2 "hold",
        /// Do not send it on this channel to this address.
        Suppress = 3 "suppress",
    }
}

words! {
    /// Why something is not pushed or mailed (or waits): stable words of SPEC §2.
    Reason {
        /// Nothing objects.
        None = 0 "none",
        /// The organization turned the push service off.
        OrgSwitchOff = 1 "org_switch_off",
        /// A policy turns it off.
        PolicyOff = 2 "policy_off",
        /// The person is not active.
        PersonInactive = 3 "person_inactive",
        /// The person lacks the licence.
        NoLicense = 4 "no_license",
        /// The device is not enrolled.
        NotEnrolled = 5 "not_enrolled",
        /// The device was enrolled by somebody else.
        EnrolledByOther = 6 "enrolled_by_other",
        /// The app is not installed.
        AppMissing = 7 "app_missing",
        /// The device does not let the app notify.
        PermissionDenied = 8 "permission_denied",
        /// Android without Play services.
        NoPlayServices = 9 "no_play_services",
        /// The service does not reach this platform.
        PlatformUnsupported = 10 "platform_unsupported",
        /// Another registration of the device is used.
        OtherRegistration = 11 "other_registration",
        /// A push goes, so mail is not needed.
        EmailNotNeeded = 12 "email_not_needed",
        /// The person has no device for this channel.
        NoDevice = 13 "no_device",
        /// The device has no registration with this service.
        NoRegistration = 14 "no_registration",
        /// The registration was retired.
        RegistrationRetired = 15 "registration_retired",
        /// The person has no mail address.
        NoEmail = 16 "no_email",
        /// The person turned it off.
        PreferenceOff = 17 "preference_off",
        /// It was shown in the open app.
        ShownInApp = 18 "shown_in_app",
        /// It is a quiet hour.
        QuietHours = 19 "quiet_hours",
        /// The person had enough pushes.
        FrequencyCap = 20 "frequency_cap",
        /// The person was never in the audience.
        NotInAudience = 21 "not_in_audience",
        /// The person left the audience.
        LeftAudience = 22 "left_audience",
        /// An administrator stopped it.
        Cancelled = 23 "cancelled",
        /// It was too late.
        Expired = 24 "expired",
        /// The provider refused the message.
        ProviderRejected = 25 "provider_rejected",
        /// The provider said that the address is gone.
        ProviderGone = 26 "provider_gone",
        /// The provider cannot be reached, is busy, or is not configured here.
        ProviderUnavailable = 27 "provider_unavailable",
        /// Our key, topic or configuration is wrong.
        OurFault = 28 "our_fault",
        /// A voice message was left.
        VoiceMessageLeft = 29 "voice_message_left",
        /// The call was answered.
        Answered = 30 "answered",
        /// The call was answered elsewhere.
        AnsweredElsewhere = 31 "answered_elsewhere",
    }
}

words! {
    /// What decided.
    Rule {
        /// The organization's switch of a push service.
        OrganizationSwitch = 1 "organization_switch",
        /// A policy that applies to the person or the kind of event.
        Policy = 2 "policy",
        /// The person must be active.
        Active = 3 "active",
        /// The person must hold the licence.
        License = 4 "license",
        /// The device must be enrolled, by its owner.
        Enrolment = 5 "enrolment",
        /// The app must be installed.
        AppInstalled = 6 "app_installed",
        /// The device must let the app notify.
        PermissionGranted = 7 "permission_granted",
        /// Android needs Play services.
        PlayServices = 8 "play_services",
        /// The service must reach the platform, and the one registration of a device is chosen.
        Address = 9 "address",
        /// This installation must have a sender.
        ChannelConfigured = 10 "channel_configured",
        /// The person's own choice.
        Preference = 11 "preference",
        /// An open app shows it itself.
        Presence = 12 "presence",
        /// Quiet hours.
        QuietHours = 13 "quiet_hours",
        /// The frequency cap.
        FrequencyCap = 14 "frequency_cap",
        /// The audience of the event.
        Audience = 15 "audience",
        /// Nothing objected.
        Default = 16 "default",
    }
}

/// How long an open stream delays a push, waiting for its `received` receipt (SPEC §2): a stream may be dead.
pub const PRESENCE_HOLD: Duration = Duration::from_secs(10);

/// All that [`decide`] reads.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// By which channel.
    pub channel: ChannelKind,
    /// How soon it matters.
    pub urgency: Urgency,
    /// What the policy says for this kind of event.
    pub terms: &'a Terms,
    /// About the person, the device and the registration.
    pub facts: Facts,
    /// When the person's quiet hours end; read only where [`Facts::QUIET_HOUR`] holds.
    pub quiet_until: Timestamp,
    /// Now, for the presence hold.
    pub now: Timestamp,
}

/// The ruling and what decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The ruling.
    pub verdict: Verdict,
    /// What decided.
    pub rule: Rule,
    /// Why.
    pub reason: Reason,
    /// For a hold: until when.
    pub until: Option<Timestamp>,
}

impl Decision {
    /// Nothing objects.
    pub const DELIVER: Decision = Decision { verdict: Verdict::Deliver, rule: Rule::Default, reason: Reason::None, until: None };

    fn suppress(rule: Rule, reason: Reason) -> Option<Decision> {
        Some(Decision { verdict: Verdict::Suppress, rule, reason, until: None })
    }

    fn hold(rule: Rule, reason: Reason, until: Timestamp) -> Option<Decision> {
        Some(Decision { verdict: Verdict::Hold, rule, reason, until: Some(until) })
    }
}

type Judge = fn(&Case<'_>) -> Option<Decision>;

/// Every rule, in the order in which they are asked. `None` means: no objection.
const RULES: &[(Rule, Judge)] = &[
    (Rule::OrganizationSwitch, organization_switch),
    (Rule::Policy, policy),
    (Rule::Active, active),
    (Rule::License, license),
    (Rule::Enrolment, enrolment),
    (Rule::AppInstalled, app_installed),
    (Rule::PermissionGranted, permission_granted),
    (Rule::PlayServices, play_services),
    (Rule::Address, address),
    (Rule::ChannelConfigured, channel_configured),
    (Rule::Preference, preference),
    (Rule::Presence, presence),
    (Rule::QuietHours, quiet_hours),
    (Rule::FrequencyCap, frequency_cap),
];

/// The ruling for one candidate row. Pure and total; the row's facts are kept, so it can be replayed.
pub fn decide(case: &Case<'_>) -> Decision {
    RULES.iter().find_map(|(_, judge)| judge(case)).unwrap_or(Decision::DELIVER)
}

/// What every rule says by itself, in order; the first objection is the decision.
pub fn explain(case: &Case<'_>) -> Vec<(Rule, Decision)> {
    RULES.iter().map(|(rule, judge)| (*rule, judge(case).unwrap_or(Decision { rule: *rule, ..Decision::DELIVER }))).collect()
}

fn is_push(case: &Case<'_>) -> bool {
    case.channel.service().is_some()
}

fn organization_switch(case: &Case<'_>) -> Option<Decision> {
    if case.terms.enabled(case.channel) { None } else { Decision::suppress(Rule::OrganizationSwitch, Reason::OrgSwitchOff) }
}

fn policy(case: &Case<'_>) -> Option<Decision> {
    if let Some(reason) = case.terms.objection(case.channel) {
        return Decision::suppress(Rule::Policy, reason);
    }
    let off = case.channel == ChannelKind::Email && case.terms.email == EmailMode::Off;
    if off { Decision::suppress(Rule::Policy, Reason::PolicyOff) } else { None }
}

fn active(case: &Case<'_>) -> Option<Decision> {
    if case.facts.has(Facts::ACTIVE) { None } else { Decision::suppress(Rule::Active, Reason::PersonInactive) }
}

fn license(case: &Case<'_>) -> Option<Decision> {
    if case.facts.has(Facts::LICENSED) { None } else { Decision::suppress(Rule::License, Reason::NoLicense) }
}

/// Whether the rules about a device apply: a push row that is about one.
fn about_device(case: &Case<'_>) -> bool {
    is_push(case) && case.facts.has(Facts::HAS_DEVICE)
}

fn enrolment(case: &Case<'_>) -> Option<Decision> {
    if !about_device(case) {
        None
    } else if !case.facts.has(Facts::ENROLLED) {
        Decision::suppress(Rule::Enrolment, Reason::NotEnrolled)
    } else if case.facts.has(Facts::ENROLLED_BY_OTHER) {
        Decision::suppress(Rule::Enrolment, Reason::EnrolledByOther)
    } else {
        None
    }
}

fn app_installed(case: &Case<'_>) -> Option<Decision> {
    let missing = about_device(case) && !case.facts.has(Facts::APP_INSTALLED);
    if missing { Decision::suppress(Rule::AppInstalled, Reason::AppMissing) } else { None }
}

fn permission_granted(case: &Case<'_>) -> Option<Decision> {
    let denied = about_device(case) && !case.facts.has(Facts::PERMISSION_GRANTED);
    if denied { Decision::suppress(Rule::PermissionGranted, Reason::PermissionDenied) } else { None }
}

fn play_services(case: &Case<'_>) -> Option<Decision> {
    let lacking = about_device(case) && case.facts.has(Facts::LACKS_PLAY_SERVICES);
    if lacking { Decision::suppress(Rule::PlayServices, Reason::NoPlayServices) } else { None }
}

fn address(case: &Case<'_>) -> Option<Decision> {
    match case.channel {
        ChannelKind::Apns | ChannelKind::Fcm | ChannelKind::Wns | ChannelKind::WebPush => push_address(case.facts),
        ChannelKind::Email => mail_address(case),
        ChannelKind::Inbox => None,
    }
}

fn push_address(facts: Facts) -> Option<Decision> {
    let reason = if !facts.has(Facts::HAS_DEVICE) {
        Reason::NoDevice
    } else if !facts.has(Facts::PLATFORM_SERVED) {
        Reason::PlatformUnsupported
    } else if facts.has(Facts::OTHER_REGISTRATION) {
        Reason::OtherRegistration
    } else if !facts.has(Facts::HAS_REGISTRATION) {
        Reason::NoRegistration
    } else if facts.has(Facts::REGISTRATION_RETIRED) {
        Reason::RegistrationRetired
    } else {
        return None;
    };
    Decision::suppress(Rule::Address, reason)
}

fn mail_address(case: &Case<'_>) -> Option<Decision> {
    let covered = case.terms.email == EmailMode::Fallback && case.facts.has(Facts::PUSH_GOES);
    if covered {
        Decision::suppress(Rule::Address, Reason::EmailNotNeeded)
    } else if case.facts.has(Facts::HAS_EMAIL) {
        None
    } else {
        Decision::suppress(Rule::Address, Reason::NoEmail)
    }
}

fn channel_configured(case: &Case<'_>) -> Option<Decision> {
    if case.facts.has(Facts::CHANNEL_CONFIGURED) { None } else { Decision::suppress(Rule::ChannelConfigured, Reason::ProviderUnavailable) }
}

fn preference(case: &Case<'_>) -> Option<Decision> {
    if case.facts.has(Facts::PREFERENCE_OFF) { Decision::suppress(Rule::Preference, Reason::PreferenceOff) } else { None }
}

fn presence(case: &Case<'_>) -> Option<Decision> {
    if !is_push(case) {
        None
    } else if case.facts.has(Facts::RECEIVED_IN_APP) {
        Decision::suppress(Rule::Presence, Reason::ShownInApp)
    } else if case.facts.has(Facts::STREAM_OPEN) {
        Decision::hold(Rule::Presence, Reason::ShownInApp, case.now.plus(PRESENCE_HOLD))
    } else {
        None
    }
}

fn quiet_hours(case: &Case<'_>) -> Option<Decision> {
    let quiet = is_push(case) && case.facts.has(Facts::QUIET_HOUR) && case.urgency != Urgency::High;
    if quiet { Decision::hold(Rule::QuietHours, Reason::QuietHours, case.quiet_until) } else { None }
}

fn frequency_cap(case: &Case<'_>) -> Option<Decision> {
    let capped = is_push(case) && case.facts.has(Facts::CAP_REACHED) && case.urgency != Urgency::High;
    if capped { Decision::suppress(Rule::FrequencyCap, Reason::FrequencyCap) } else { None }
}

impl Reason {
    /// The rule that gives this reason; what a provider, the clock or an administrator did has none of its own.
    pub fn rule(self) -> Rule {
        match self {
            Reason::OrgSwitchOff => Rule::OrganizationSwitch,
            Reason::PolicyOff | Reason::VoiceMessageLeft | Reason::Answered | Reason::AnsweredElsewhere => Rule::Policy,
            Reason::PersonInactive => Rule::Active,
            Reason::NoLicense => Rule::License,
            Reason::NotEnrolled | Reason::EnrolledByOther => Rule::Enrolment,
            Reason::AppMissing => Rule::AppInstalled,
            Reason::PermissionDenied => Rule::PermissionGranted,
            Reason::NoPlayServices => Rule::PlayServices,
            Reason::PlatformUnsupported
            | Reason::OtherRegistration
            | Reason::EmailNotNeeded
            | Reason::NoDevice
            | Reason::NoRegistration
            | Reason::RegistrationRetired
            | Reason::NoEmail => Rule::Address,
            Reason::PreferenceOff => Rule::Preference,
            Reason::ShownInApp => Rule::Presence,
            Reason::QuietHours => Rule::QuietHours,
            Reason::FrequencyCap => Rule::FrequencyCap,
            Reason::NotInAudience | Reason::LeftAudience => Rule::Audience,
            Reason::None
            | Reason::Cancelled
            | Reason::Expired
            | Reason::ProviderRejected
            | Reason::ProviderGone
            | Reason::ProviderUnavailable
            | Reason::OurFault => Rule::Default,
        }
    }

    /// A sentence for people.
    pub fn sentence(self, locale: Locale) -> &'static str {
        let (en, fr) = self.sentences();
        match locale {
            Locale::En => en,
            Locale::Fr => fr,
        }
    }

    /// The same, with what it was (a setting, a policy) behind it.
    pub fn sentence_with(self, what: Option<&str>, locale: Locale) -> String {
        let sentence = self.sentence(locale);
        match (what, locale) {
            (None, _) => sentence.to_owned(),
            (Some(what), Locale::En) => format!("{sentence}: {what}"),
            (Some(what), Locale::Fr) => format!("{sentence}\u{a0}: {what}"),
        }
    }

    fn sentences(self) -> (&'static str, &'static str) {
        match self {
            Reason::None => ("nothing objects", "rien ne s’y oppose"),
            Reason::OrgSwitchOff => {
                ("the organization turned this push service off", "l’organisation a désactivé ce service de notification")
            }
            Reason::PolicyOff => ("a policy turns this off", "une stratégie désactive cet envoi"),
            Reason::PersonInactive => ("the person is not active", "la personne n’est pas active"),
            Reason::NoLicense => ("the person lacks the licence", "la personne n’a pas la licence"),
            Reason::NotEnrolled => ("the device is not enrolled", "l’appareil n’est pas inscrit"),
            Reason::EnrolledByOther => ("the device was enrolled by somebody else", "l’appareil a été inscrit par une autre personne"),
            Reason::AppMissing => ("the app is not installed on the device", "l’application n’est pas installée sur l’appareil"),
            Reason::PermissionDenied => {
                ("the device does not let the app show notifications", "l’appareil n’autorise pas les notifications de l’application")
            }
            Reason::NoPlayServices => ("the Android device has no Play services", "l’appareil Android n’a pas les services Google Play"),
            Reason::PlatformUnsupported => {
                ("this push service does not reach the platform", "ce service de notification n’atteint pas la plateforme")
            }
            Reason::OtherRegistration => {
                ("another registration of the same device is used", "un autre enregistrement du même appareil est utilisé")
            }
            Reason::EmailNotNeeded => {
                ("a push goes to the person, so no mail is needed", "une notification poussée part, le courriel est inutile")
            }
            Reason::NoDevice => ("the person has no device for this channel", "la personne n’a pas d’appareil pour ce canal"),
            Reason::NoRegistration => {
                ("the device is not registered with its push service", "l’appareil n’est pas enregistré auprès de son service")
            }
            Reason::RegistrationRetired => ("the registration was retired", "l’enregistrement a été retiré"),
            Reason::NoEmail => ("the person has no mail address", "la personne n’a pas d’adresse de courriel"),
            Reason::PreferenceOff => ("the person turned this off", "la personne a désactivé cet envoi"),
            Reason::ShownInApp => ("the open app shows it", "l’application ouverte l’affiche"),
            Reason::QuietHours => ("it is a quiet hour for the person", "ce sont les heures calmes de la personne"),
            Reason::FrequencyCap => {
                ("the person has had as many pushes as the policy allows", "la personne a reçu le nombre de notifications permis")
            }
            Reason::NotInAudience => ("the person is not in the audience", "la personne n’est pas dans l’audience"),
            Reason::LeftAudience => ("the person left the audience", "la personne a quitté l’audience"),
            Reason::Cancelled => ("an administrator stopped it", "un administrateur l’a arrêté"),
            Reason::Expired => ("it was too late to be worth telling", "il était trop tard pour l’annoncer"),
            Reason::ProviderRejected => ("the provider refused the message", "le fournisseur a refusé le message"),
            Reason::ProviderGone => ("the provider says that the address is gone", "le fournisseur dit que l’adresse n’existe plus"),
            Reason::ProviderUnavailable => (
                "the provider is busy, out of reach, or not configured here",
                "le fournisseur est occupé, injoignable ou non configuré ici",
            ),
            Reason::OurFault => ("our key, topic or configuration is wrong", "notre clé, sujet ou configuration est erroné"),
            Reason::VoiceMessageLeft => ("a voice message was left", "un message vocal a été laissé"),
            Reason::Answered => ("the call was answered", "l’appel a été pris"),
            Reason::AnsweredElsewhere => ("the call was answered elsewhere", "l’appel a été pris ailleurs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{EmailRule, PolicySnapshot, SETTINGS};
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn terms(set: &[(&str, serde_json::Value)]) -> Terms {
        let set: BTreeMap<String, serde_json::Value> = set.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        PolicySnapshot::new(1, SETTINGS, set).terms(EmailRule::Setting("custom.email"))
    }

    fn fit() -> Facts {
        Facts::ACTIVE
            | Facts::LICENSED
            | Facts::HAS_DEVICE
            | Facts::ENROLLED
            | Facts::APP_INSTALLED
            | Facts::PERMISSION_GRANTED
            | Facts::PLATFORM_SERVED
            | Facts::HAS_REGISTRATION
            | Facts::CHANNEL_CONFIGURED
            | Facts::IN_AUDIENCE
    }

    fn ruling(channel: ChannelKind, facts: Facts, terms: &Terms) -> (Verdict, Reason) {
        let case = Case { channel, urgency: Urgency::Normal, terms, facts, quiet_until: Timestamp(99), now: Timestamp(0) };
        let d = decide(&case);
        (d.verdict, d.reason)
    }

    #[test]
    fn each_missing_prerequisite_has_its_own_reason() {
        let terms = terms(&[]);
        let table = [
            (fit(), Reason::None),
            (fit().with(Facts::ACTIVE, false), Reason::PersonInactive),
            (fit().with(Facts::LICENSED, false), Reason::NoLicense),
            (fit().with(Facts::ENROLLED, false), Reason::NotEnrolled),
            (fit().with(Facts::ENROLLED_BY_OTHER, true), Reason::EnrolledByOther),
            (fit().with(Facts::APP_INSTALLED, false), Reason::AppMissing),
            (fit().with(Facts::PERMISSION_GRANTED, false), Reason::PermissionDenied),
            (fit().with(Facts::LACKS_PLAY_SERVICES, true), Reason::NoPlayServices),
            (fit().with(Facts::PLATFORM_SERVED, false), Reason::PlatformUnsupported),
            (fit().with(Facts::OTHER_REGISTRATION, true), Reason::OtherRegistration),
            (fit().with(Facts::HAS_REGISTRATION, false), Reason::NoRegistration),
            (fit().with(Facts::REGISTRATION_RETIRED, true), Reason::RegistrationRetired),
            (fit().with(Facts::CHANNEL_CONFIGURED, false), Reason::ProviderUnavailable),
            (fit().with(Facts::PREFERENCE_OFF, true), Reason::PreferenceOff),
            (fit().with(Facts::RECEIVED_IN_APP, true), Reason::ShownInApp),
            (fit().with(Facts::CAP_REACHED, true), Reason::FrequencyCap),
            (Facts::ACTIVE | Facts::LICENSED | Facts::CHANNEL_CONFIGURED, Reason::NoDevice),
        ];
        for (facts, reason) in table {
            assert_eq!(ruling(ChannelKind::Apns, facts, &terms).1, reason, "{facts}");
        }
    }

    #[test]
    fn holds_name_their_end_and_urgency_high_passes_quiet_hours() {
        let terms = terms(&[]);
        assert_eq!(ruling(ChannelKind::Apns, fit() | Facts::STREAM_OPEN, &terms), (Verdict::Hold, Reason::ShownInApp));
        assert_eq!(ruling(ChannelKind::Apns, fit() | Facts::QUIET_HOUR, &terms), (Verdict::Hold, Reason::QuietHours));
        let facts = fit() | Facts::QUIET_HOUR;
        let case = Case {
            channel: ChannelKind::Apns,
            urgency: Urgency::High,
            terms: &terms,
            facts,
            quiet_until: Timestamp(99),
            now: Timestamp(0),
        };
        assert_eq!(decide(&case), Decision::DELIVER);
    }

    #[test]
    fn mail_goes_as_the_policy_says() {
        let base = Facts::ACTIVE | Facts::LICENSED | Facts::CHANNEL_CONFIGURED | Facts::HAS_EMAIL;
        let off = terms(&[("custom.email", json!("off"))]);
        let fallback = terms(&[("custom.email", json!("fallback"))]);
        let always = terms(&[("custom.email", json!("always"))]);
        let mail = |facts, terms: &Terms| ruling(ChannelKind::Email, facts, terms).1;
        assert_eq!(mail(base, &off), Reason::PolicyOff);
        assert_eq!(mail(base, &fallback), Reason::None);
        assert_eq!(mail(base | Facts::PUSH_GOES, &fallback), Reason::EmailNotNeeded);
        assert_eq!(mail(base | Facts::PUSH_GOES, &always), Reason::None);
        assert_eq!(mail(base.with(Facts::HAS_EMAIL, false), &always), Reason::NoEmail);
    }

    proptest! {
        #[test]
        fn a_ceiling_cannot_be_widened_by_any_fact(bits in 0u32..(1 << 21), channel in 1u8..5) {
            let channel = ChannelKind::from_number(channel).expect("a push channel");
            let key = format!("push.{}.enabled", channel.word());
            let off = terms(&[(key.as_str(), json!(false))]);
            prop_assert_eq!(ruling(channel, Facts(bits), &off), (Verdict::Suppress, Reason::OrgSwitchOff));
        }

        #[test]
        fn every_ruling_but_deliver_has_a_reason_and_is_the_first_objection(bits in 0u32..(1 << 21), channel in 1u8..7) {
            let channel = ChannelKind::from_number(channel).expect("a channel");
            let terms = terms(&[("custom.email", json!("fallback"))]);
            let case = Case { channel, urgency: Urgency::Normal, terms: &terms, facts: Facts(bits), quiet_until: Timestamp(5), now: Timestamp(0) };
            let decision = decide(&case);
            prop_assert_eq!(decision.verdict == Verdict::Deliver, decision.reason == Reason::None);
            prop_assert_eq!(decision.verdict == Verdict::Hold, decision.until.is_some());
            let first = explain(&case).into_iter().map(|(_, d)| d).find(|d| d.verdict != Verdict::Deliver);
            prop_assert_eq!(first.unwrap_or(Decision::DELIVER), decision);
        }
    }

    #[test]
    fn every_reason_has_words_in_both_languages() {
        for reason in Reason::ALL {
            for locale in Locale::ALL {
                assert!(!reason.sentence(locale).is_empty());
            }
        }
    }
}
