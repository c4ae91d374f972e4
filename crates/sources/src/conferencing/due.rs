//! Which mail an act is due, and whether it goes: the table of SPEC §6.
//!
//! In: what changed for a person, and whether the administrator asked for a mail. Out: at most one mail. When conferencing ended
//! that is told before anything else, then that it began, then a new PIN, then other changes. Automatic mails stop with their
//! switch; what an administrator asks for by hand goes all the same: the details, without a PIN, or a PIN that was reset in
//! the same act to an address that was named in it.

use super::{CHANGED, DISABLED, ENABLED, INFO, PIN_RESET, settings};
use model::decision::Reason;
use model::policy::PolicySnapshot;
use serde_json::Value;

/// In an event's data: the administrator asked for this mail.
pub(super) const ASKED: &str = "asked";
/// In an event's data: automatic mails were off when it happened.
pub(super) const OFF: &str = "off";

/// What an act did to a person's conferencing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// They could hold conferences before.
    pub before: bool,
    /// They can now.
    pub after: bool,
    /// The administrator reset the PIN.
    pub pin_reset: bool,
    /// The conference ID or the default number is another.
    pub details: bool,
}

/// What the administrator said about mail in the act itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// To send one.
    pub mail: bool,
    /// To which address, instead of the person's.
    pub address: bool,
}

/// The one mail of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Which.
    pub kind: &'static str,
    /// Whether the switch lets it go.
    pub goes: bool,
}

impl Due {
    /// Whether this kind of mail carries a PIN.
    pub(super) fn with_pin(self) -> bool {
        self.kind == ENABLED || self.kind == PIN_RESET
    }
}

/// The mail of an act, if there is any.
pub(super) fn mail(change: Change, asked: Asked, automatic: bool) -> Option<Due> {
    let automatically = match change {
        Change { before: true, after: false, .. } => Some(DISABLED),
        Change { before: false, after: true, .. } => Some(ENABLED),
        Change { after: false, .. } => None,
        Change { pin_reset: true, .. } => Some(PIN_RESET),
        Change { details: true, .. } => Some(CHANGED),
        Change { before: true, after: true, pin_reset: false, details: false } => None,
    };
    let by_hand = asked.mail && change.after;
    match automatically {
        Some(kind) if automatic => Some(Due { kind, goes: true }),
        Some(PIN_RESET) if by_hand && asked.address => Some(Due { kind: PIN_RESET, goes: true }),
        _ if by_hand => Some(Due { kind: INFO, goes: true }),
        stopped => stopped.map(|kind| Due { kind, goes: false }),
    }
}

/// Why an event is not mailed: automatic mails are off, or were when it happened.
pub(super) fn objection(kind: &'static str, data: &Value, settings: &PolicySnapshot) -> Option<Reason> {
    let said = |name: &str| data.get(name).and_then(Value::as_bool).unwrap_or(false);
    let off = was_off(data) || !settings.switch(settings::AUTOMATIC_MAILS);
    (kind != INFO && off && !said(ASKED)).then_some(Reason::PolicyOff)
}

/// Whether automatic mails were off already when it happened.
pub(super) fn was_off(data: &Value) -> bool {
    data.get(OFF).and_then(Value::as_bool).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Change = Change { before: true, after: true, pin_reset: false, details: false };
    const BEGAN: Change = Change { before: false, ..NOTHING };
    const ENDED: Change = Change { after: false, ..NOTHING };
    const PIN: Change = Change { pin_reset: true, ..NOTHING };
    const DETAILS: Change = Change { details: true, ..NOTHING };

    /// The rows of SPEC §6, each with the switch on and off.
    #[test]
    fn each_row_of_the_table_is_due_its_mail_and_the_switch_stops_all_but_the_details_by_hand() {
        for (change, kind) in [(BEGAN, ENABLED), (DETAILS, CHANGED), (PIN, PIN_RESET), (ENDED, DISABLED)] {
            assert_eq!(mail(change, Asked::default(), true), Some(Due { kind, goes: true }));
            assert_eq!(mail(change, Asked::default(), false), Some(Due { kind, goes: false }));
        }
        let asked = Asked { mail: true, address: false };
        for automatic in [true, false] {
            assert_eq!(mail(NOTHING, asked, automatic), Some(Due { kind: INFO, goes: true }));
            assert_eq!(mail(NOTHING, Asked::default(), automatic), None);
        }
    }

    #[test]
    fn an_end_is_told_before_a_beginning_that_before_a_pin_and_that_before_other_changes() {
        let both = |change: Change| Change { pin_reset: true, details: true, ..change };
        let kind = |change| mail(change, Asked { mail: true, address: true }, true).map(|due| due.kind);
        assert_eq!(kind(both(ENDED)), Some(DISABLED));
        assert_eq!(kind(both(BEGAN)), Some(ENABLED));
        assert_eq!(kind(both(NOTHING)), Some(PIN_RESET));
        assert_eq!(kind(DETAILS), Some(CHANGED));
    }

    #[test]
    fn with_automatic_mails_off_a_pin_goes_only_to_an_address_that_was_named_for_it() {
        let off = |change, mail_it, address| mail(change, Asked { mail: mail_it, address }, false);
        assert_eq!(off(PIN, true, true), Some(Due { kind: PIN_RESET, goes: true }));
        assert_eq!(off(PIN, true, false), Some(Due { kind: INFO, goes: true }));
        assert_eq!(off(BEGAN, true, true), Some(Due { kind: INFO, goes: true }));
        assert_eq!(off(ENDED, true, true), Some(Due { kind: DISABLED, goes: false }));
    }
}
