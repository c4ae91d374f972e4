//! The words of the report page, English and French.

use model::event::EventState;
use model::{ChannelKind, Locale, State, Timestamp, Urgency};

/// One text in both languages.
pub(super) type Both = (&'static str, &'static str);

/// The one of the two.
pub(super) fn say(locale: Locale, (en, fr): Both) -> &'static str {
    match locale {
        Locale::En => en,
        Locale::Fr => fr,
    }
}

pub(super) const TITLE: Both = ("Notification report", "Rapport de notification");
pub(super) const ERASED: Both = ("Text not shown", "Texte non affiché");
pub(super) const ERASED_WHY: Both = (
    "The text was erased after its time, or you may not read it. The figures stay.",
    "Le texte a été effacé après son délai, ou vous ne pouvez pas le lire. Les chiffres restent.",
);
pub(super) const PRIVATE: Both = ("private: pushes carried no content", "privée : les notifications poussées ne portaient aucun contenu");
pub(super) const SENDER: Both = ("Sender", "Expéditeur");
pub(super) const ACCEPTED_AT: Both = ("Accepted", "Acceptée");
pub(super) const DUE_AT: Both = ("Sent from", "Envoyée à partir du");
pub(super) const DONE_AT: Both = ("Complete since", "Terminée le");
pub(super) const STATE: Both = ("State", "État");
pub(super) const URGENCY: Both = ("Urgency", "Urgence");
pub(super) const ID: Both = ("Number", "Numéro");
pub(super) const AT_A_GLANCE: Both = ("At a glance", "En bref");
pub(super) const RECIPIENTS: Both = ("recipients", "destinataires");
pub(super) const FORECAST_DELIVERIES: Both = ("deliveries forecast", "remises prévues");
pub(super) const ACCEPTED: Both = ("accepted", "acceptées");
pub(super) const WAITING: Both = ("waiting", "en attente");
pub(super) const LESS: Both = ("fewer than forecast", "de moins que prévu");
pub(super) const OPENED_BY: Both = ("people opened it", "personnes l’ont ouverte");
pub(super) const REACH: Both = ("Forecast and outcome", "Prévision et résultat");
pub(super) const REACH_CAPTION: Both = (
    "For each channel: what was to go when the notification was planned, and what became of it",
    "Par canal : ce qui devait partir quand la notification a été planifiée, et ce qu’il en est advenu",
);
pub(super) const CHANNEL: Both = ("Channel", "Canal");
pub(super) const PEOPLE: Both = ("People forecast", "Personnes prévues");
pub(super) const FORECAST: Both = ("Forecast", "Prévu");
pub(super) const OUTCOME_ACCEPTED: Both = ("Accepted", "Accepté");
pub(super) const OUTCOME_WAITING: Both = ("Waiting", "En attente");
pub(super) const OUTCOME_LOST: Both = ("Did not go", "Pas parti");
pub(super) const SHARE: Both = ("Accepted of forecast", "Accepté sur prévu");
pub(super) const TOTAL: Both = ("All", "Total");
pub(super) const NO_FORECAST: Both = (
    "This notification is from a version that kept no forecast.",
    "Cette notification date d’une version qui ne gardait pas de prévision.",
);
pub(super) const PEOPLE_LINE: Both = (
    "of the people planned were to get a push or a mail; the others have it in their inbox only:",
    "des personnes planifiées devaient recevoir une notification poussée ou un courriel ; les autres l’ont seulement dans leur boîte :",
);
pub(super) const DIFFERENCE: Both = ("Why fewer were accepted", "Pourquoi moins ont été acceptées");
pub(super) const DIFFERENCE_CAPTION: Both = (
    "Deliveries that were to go and did not, by channel and reason",
    "Remises qui devaient partir et ne sont pas parties, par canal et motif",
);
pub(super) const NO_DIFFERENCE: Both =
    ("Everything that was to go was accepted, or is still waiting.", "Tout ce qui devait partir a été accepté, ou attend encore.");
pub(super) const REASON: Both = ("Reason", "Motif");
pub(super) const DELIVERIES: Both = ("Deliveries", "Remises");
pub(super) const UNREACHABLE: Both = ("Not reached, and why", "Non atteints, et pourquoi");
pub(super) const UNREACHABLE_CAPTION: Both = (
    "Deliveries that ended without arriving; those whose person was reached in another way are not counted",
    "Remises terminées sans arriver ; celles dont la personne a été atteinte autrement ne sont pas comptées",
);
pub(super) const NOBODY_UNREACHABLE: Both = ("Nothing ended without arriving.", "Rien ne s’est terminé sans arriver.");
pub(super) const NOW: Both = ("Now", "Maintenant");
pub(super) const EVIDENCE: Both = ("What devices told", "Ce que les appareils ont dit");
pub(super) const EVIDENCE_CAPTION: Both =
    ("People from whose apps each receipt came", "Personnes dont l’application a envoyé chaque accusé");
pub(super) const RECEIPT: Both = ("Receipt", "Accusé");
pub(super) const PEOPLE_NOW: Both = ("People", "Personnes");
pub(super) const RECEIVED: Both = ("received by the app", "reçue par l’application");
pub(super) const SHOWN: Both = ("shown", "affichée");
pub(super) const OPENED: Both = ("opened", "ouverte");
pub(super) const DISMISSED: Both = ("put away", "mise de côté");
pub(super) const EVERYTHING: Both = ("Everything", "Le détail");
pub(super) const EVERYTHING_CAPTION: Both =
    ("Every delivery, by channel, state and reason", "Toutes les remises, par canal, état et motif");
pub(super) const NOTHING_YET: Both = ("Nothing is planned yet.", "Rien n’est encore planifié.");
pub(super) const NOTE: Both = (
    "One delivery is one device or address. “Accepted” is the word of the push service or mail relay; it is not proof of delivery.",
    "Une remise concerne un appareil ou une adresse. « Accepté » est la parole du service de notification ou du relais ; ce n’est pas une preuve de réception.",
);
pub(super) const MADE: Both = ("Made on", "Établi le");
pub(super) const BY: Both = ("by Carillon", "par Carillon");

/// A channel's name.
pub(super) fn channel(kind: ChannelKind) -> Both {
    match kind {
        ChannelKind::Apns => ("Apple push", "Apple (push)"),
        ChannelKind::Fcm => ("Google push", "Google (push)"),
        ChannelKind::Wns => ("Windows push", "Windows (push)"),
        ChannelKind::WebPush => ("Web Push", "Web Push"),
        ChannelKind::Email => ("Email", "Courriel"),
        ChannelKind::Inbox => ("Inbox", "Boîte de réception"),
    }
}

/// A delivery's state.
pub(super) fn state(state: State) -> Both {
    match state {
        State::Scheduled => ("may go", "peut partir"),
        State::Held => ("held", "retenue"),
        State::Accepted => ("accepted", "acceptée"),
        State::Suppressed => ("suppressed", "non envoyée"),
        State::Rejected => ("rejected", "refusée"),
        State::Gone => ("address gone", "adresse disparue"),
        State::Expired => ("expired", "expirée"),
        State::Cancelled => ("cancelled", "annulée"),
    }
}

/// A notification's state.
pub(super) fn event_state(state: EventState) -> Both {
    match state {
        EventState::Scheduled => ("waits for its hour", "attend son heure"),
        EventState::Accepted => ("being planned", "en cours de planification"),
        EventState::Sending => ("being sent", "en cours d’envoi"),
        EventState::Done => ("complete", "terminée"),
        EventState::Cancelled => ("cancelled", "annulée"),
    }
}

/// An urgency.
pub(super) fn urgency(urgency: Urgency) -> Both {
    match urgency {
        Urgency::VeryLow => ("very low", "très basse"),
        Urgency::Low => ("low", "basse"),
        Urgency::Normal => ("normal", "normale"),
        Urgency::High => ("high", "haute"),
    }
}

/// A number with its thousands parted: by a comma, or in French by a narrow space that does not break.
pub(super) fn number(locale: Locale, n: u64) -> String {
    let digits = n.to_string();
    let mark = say(locale, (",", "\u{202f}"));
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push_str(mark);
        }
        out.push(digit);
    }
    out
}

/// A share in percent; never rounded up to all of it, nor down to nothing.
pub(super) fn percent(locale: Locale, part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    let (whole_percent, tenth) = (tenths / 10, tenths % 10);
    match locale {
        _ if tenths == 0 && part > 0 => say(locale, ("< 0.1%", "< 0,1\u{a0}%")).to_owned(),
        Locale::En if tenth == 0 => format!("{whole_percent}%"),
        Locale::En => format!("{whole_percent}.{tenth}%"),
        Locale::Fr if tenth == 0 => format!("{whole_percent}\u{a0}%"),
        Locale::Fr => format!("{whole_percent},{tenth}\u{a0}%"),
    }
}

const MONTHS: [Both; 12] = [
    ("January", "janvier"),
    ("February", "février"),
    ("March", "mars"),
    ("April", "avril"),
    ("May", "mai"),
    ("June", "juin"),
    ("July", "juillet"),
    ("August", "août"),
    ("September", "septembre"),
    ("October", "octobre"),
    ("November", "novembre"),
    ("December", "décembre"),
];

/// `20 November 2026, 21:17 UTC`. From the text of RFC 3339, whose parts stand at fixed places.
pub(super) fn time(locale: Locale, at: Timestamp) -> String {
    let text = at.to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or("");
    let month = part(5, 7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    let day = part(8, 10).trim_start_matches('0');
    let day = if locale == Locale::Fr && day == "1" { "1er" } else { day };
    match month {
        Some(month) => format!("{day}\u{a0}{} {}, {}\u{a0}UTC", say(locale, *month), part(0, 4), part(11, 16)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_shares_and_times_are_written_as_the_language_does() {
        assert_eq!((number(Locale::En, 1_234_567), number(Locale::Fr, 1_234)), ("1,234,567".into(), "1\u{202f}234".into()));
        assert_eq!(number(Locale::En, 0), "0");
        assert_eq!(percent(Locale::En, 999_999, 1_000_000), "99.9%");
        assert_eq!(percent(Locale::Fr, 1, 8), "12,5\u{a0}%");
        assert_eq!((percent(Locale::En, 1, 1_000_000), percent(Locale::En, 0, 0)), ("< 0.1%".into(), "–".into()));
        let at = Timestamp::parse("2026-11-01T21:17:25.000Z").expect("a time");
        assert_eq!(time(Locale::En, at), "1\u{a0}November 2026, 21:17\u{a0}UTC");
        assert_eq!(time(Locale::Fr, at), "1er\u{a0}novembre 2026, 21:17\u{a0}UTC");
    }
}
