//! Suspicion: what many answers say together. One *gone* is the provider's word about one address; when most answers say
//! so, it is likelier that we are at fault (the wrong environment, app or project), and to believe them would retire
//! everybody's registrations. Such a retirement is parked: the delivery ends, the registration stays, an alarm is raised.
//!
//! In the same way a fault of ours about one letter stays with that letter, and a long run of them is the channel's.

use model::{ChannelKind, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// Answers that are looked back at.
const LAST: usize = 200;
/// So many *gone* among them are believed whatever their share: a small organization has no more answers than that.
const BELIEVED: usize = 20;
/// Faults of ours in a row, with nothing accepted in between, that make one of the whole channel.
const FAULTS: u32 = 50;
/// An alarm is written at most this often; a campaign may have a million reasons for it.
const ALARM_EVERY: Duration = Duration::from_secs(1);

/// The last answers of each channel.
#[derive(Default)]
pub struct Suspicion {
    channels: Mutex<HashMap<ChannelKind, Window>>,
}

struct Window {
    /// Whether each of the last answers said *gone*.
    gone: [bool; LAST],
    next: usize,
    filled: usize,
    count: usize,
    faults: u32,
    /// An answer was not believed, and the answers since do not say that this is over.
    suspicious: bool,
    alarmed_at: Option<Timestamp>,
}

impl Default for Window {
    fn default() -> Window {
        Window { gone: [false; LAST], next: 0, filled: 0, count: 0, faults: 0, suspicious: false, alarmed_at: None }
    }
}

impl Window {
    fn note(&mut self, gone: bool) {
        self.count -= usize::from(self.gone[self.next]);
        self.count += usize::from(gone);
        self.gone[self.next] = gone;
        self.next = (self.next + 1) % LAST;
        self.filled = (self.filled + 1).min(LAST);
    }
}

impl Suspicion {
    /// A letter was accepted. Answers whether that ends a suspicion.
    pub fn accepted(&self, channel: ChannelKind) -> bool {
        let mut channels = self.channels.lock();
        let window = channels.entry(channel).or_default();
        window.faults = 0;
        window.note(false);
        window.suspicious && window.count <= BELIEVED && std::mem::take(&mut window.suspicious)
    }

    /// An address was said to be gone; answers whether to believe it. `most` is the share of such answers, in percent, above
    /// which they are not believed.
    pub fn gone(&self, channel: ChannelKind, most: u32) -> bool {
        let mut channels = self.channels.lock();
        let window = channels.entry(channel).or_default();
        window.note(true);
        let believed = window.count <= BELIEVED || window.count * 100 <= most as usize * window.filled;
        window.suspicious |= !believed;
        believed
    }

    /// A fault of ours about one letter; answers whether it is time to take it for the whole channel's.
    pub fn fault(&self, channel: ChannelKind) -> bool {
        let mut channels = self.channels.lock();
        let window = channels.entry(channel).or_default();
        window.faults = window.faults.saturating_add(1);
        window.faults >= FAULTS
    }

    /// Whether an alarm about the channel may be written now.
    pub fn may_alarm(&self, channel: ChannelKind, now: Timestamp) -> bool {
        let mut channels = self.channels.lock();
        let window = channels.entry(channel).or_default();
        let due = window.alarmed_at.is_none_or(|at| now.since(at) >= ALARM_EVERY);
        if due {
            window.alarmed_at = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APNS: ChannelKind = ChannelKind::Apns;

    #[test]
    fn a_few_gone_addresses_are_believed_even_with_no_other_answer() {
        let suspicion = Suspicion::default();
        assert!((0..BELIEVED).all(|_| suspicion.gone(APNS, 50)));
        assert!(!suspicion.gone(APNS, 50), "one more and nothing else was heard");
        assert!(suspicion.gone(ChannelKind::Fcm, 50), "another channel has answers of its own");
    }

    #[test]
    fn many_are_believed_among_more_that_were_accepted_and_not_when_they_are_most() {
        let suspicion = Suspicion::default();
        for _ in 0..300 {
            suspicion.accepted(APNS);
            suspicion.accepted(APNS);
            assert!(suspicion.gone(APNS, 50), "a third of the answers");
        }
        let believed = (0..LAST).filter(|_| suspicion.gone(APNS, 50)).count();
        assert!(believed < LAST / 2, "{believed} of {LAST} in a row were believed");
        assert!(!suspicion.gone(APNS, 50));
        let ended = (0..LAST).filter(|_| suspicion.accepted(APNS)).count();
        assert_eq!(ended, 1, "the suspicion ends once");
        assert!(suspicion.gone(APNS, 50), "the trouble is over");
    }

    #[test]
    fn faults_are_the_channels_when_nothing_is_accepted_between_them() {
        let suspicion = Suspicion::default();
        assert!((1..FAULTS).all(|_| !suspicion.fault(APNS)));
        suspicion.accepted(APNS);
        assert!((1..FAULTS).all(|_| !suspicion.fault(APNS)));
        assert!(suspicion.fault(APNS));
    }

    #[test]
    fn an_alarm_is_written_once_a_second() {
        let suspicion = Suspicion::default();
        assert!(suspicion.may_alarm(APNS, Timestamp(0)));
        assert!(!suspicion.may_alarm(APNS, Timestamp(999)));
        assert!(suspicion.may_alarm(APNS, Timestamp(1_000)));
    }
}
