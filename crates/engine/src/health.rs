//! How each channel fares, as this process sees it, for metrics: whether it works, when something of it last went well, and
//! how often in a row it did not. A channel is *down* once an alarm was due, *paused* before that.

use crate::Engine;
use crate::deliver::Pauses;
use model::{ChannelKind, Outcome, Timestamp};

/// So many strikes in a row raise an alarm.
const DOWN_AT: u32 = 3;

/// How a channel fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fare {
    /// Its last answer was one that it gives when all is well with us and with it.
    Up,
    /// It did not work a moment ago, and rests before it is tried again.
    Paused,
    /// It did not work several times in a row, or refuses what is ours; an alarm is raised.
    Down,
    /// This process has not tried it yet.
    NeverTried,
}

impl Fare {
    /// Every one.
    pub const ALL: [Fare; 4] = [Fare::Up, Fare::Paused, Fare::Down, Fare::NeverTried];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Fare::Up => "up",
            Fare::Paused => "paused",
            Fare::Down => "down",
            Fare::NeverTried => "never_tried",
        }
    }
}

/// One channel's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelHealth {
    /// Which.
    pub channel: ChannelKind,
    /// How it fares.
    pub fare: Fare,
    /// When it last answered as it does when all is well.
    pub last_success: Option<Timestamp>,
    /// How often in a row it did not.
    pub strikes: u32,
}

impl ChannelHealth {
    fn of(pauses: &Pauses, channel: ChannelKind) -> ChannelHealth {
        let (fare, strikes) = match pauses.trouble(channel) {
            None => (Fare::NeverTried, 0),
            Some(None) => (Fare::Up, 0),
            Some(Some((strikes, Outcome::OurFault(_)))) => (Fare::Down, strikes),
            Some(Some((strikes, _))) => (if strikes >= DOWN_AT { Fare::Down } else { Fare::Paused }, strikes),
        };
        ChannelHealth { channel, fare, last_success: pauses.last_success(channel), strikes }
    }
}

impl Engine {
    /// How each channel of this installation fares.
    pub fn health(&self) -> Vec<ChannelHealth> {
        self.inner.channels.iter().map(|channel| ChannelHealth::of(&self.inner.pauses, channel.kind())).collect()
    }

    /// Brings the gauges of [`Engine::health`] up to date; called before metrics are read.
    pub fn gauge_health(&self) {
        for ChannelHealth { channel, fare, last_success, strikes } in self.health() {
            for possible in Fare::ALL {
                let holds = if possible == fare { 1.0 } else { 0.0 };
                metrics::gauge!("carillon_channel_state", "channel" => channel.word(), "state" => possible.word()).set(holds);
            }
            metrics::gauge!("carillon_channel_strikes", "channel" => channel.word()).set(f64::from(strikes));
            let seconds = last_success.map_or(0, Timestamp::unix_seconds);
            metrics::gauge!("carillon_channel_last_success_timestamp_seconds", "channel" => channel.word()).set(seconds as f64);
            // So that the counter is there, at 0, before the first alarm.
            metrics::counter!("carillon_channel_alarms_raised_total", "channel" => channel.word()).increment(0);
        }
    }
}

/// Counts an alarm that was newly raised, where its code names a channel: `apns_our_fault`.
pub(crate) fn alarm_raised(code: &str) {
    let channel = code.split_once('_').and_then(|(channel, _)| ChannelKind::from_word(channel));
    if let Some(channel) = channel {
        metrics::counter!("carillon_channel_alarms_raised_total", "channel" => channel.word()).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Cause;

    #[test]
    fn a_channel_is_up_paused_down_or_was_never_tried() {
        let pauses = Pauses::default();
        let of = |channel| {
            let health = ChannelHealth::of(&pauses, channel);
            (health.fare, health.last_success, health.strikes)
        };
        let (apns, email) = (ChannelKind::Apns, ChannelKind::Email);
        assert_eq!(of(apns), (Fare::NeverTried, None, 0));
        pauses.works(apns, Timestamp(5_000));
        assert_eq!(of(apns), (Fare::Up, Some(Timestamp(5_000)), 0));
        let away = Outcome::TryLater { after: None, cause: Cause::of_channel("connection_refused", 0) };
        let mut now = Timestamp(10_000);
        for strikes in 1..=3 {
            pauses.strike(apns, &away, now);
            let fare = if strikes < 3 { Fare::Paused } else { Fare::Down };
            assert_eq!(of(apns), (fare, Some(Timestamp(5_000)), strikes), "the last success is remembered");
            now = pauses.until(apns, now).expect("it rests");
        }
        pauses.works(apns, now);
        assert_eq!(of(apns), (Fare::Up, Some(now), 0));
        pauses.strike(email, &Outcome::OurFault(Cause::of_channel("535", 535)), now);
        assert_eq!(of(email).0, Fare::Down, "a wrong password is not mended by waiting");
    }
}
