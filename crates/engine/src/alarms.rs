//! Alarms: what a person has to mend. They are kept, logged, counted in metrics and listed; they never travel only by the
//! channel that failed.

use crate::Engine;
use model::ChannelKind;

/// What may be wrong with each channel that sends.
const OF_CHANNELS: [&str; 2] = ["our_fault", "unavailable"];
/// The same for channels with registrations.
const OF_PUSH: &str = "suspicious_gone";
const OTHERS: [&str; 2] = ["store_unavailable", "tls_certificate"];

/// Every code that an alarm may have.
pub fn codes() -> Vec<String> {
    let channels = ChannelKind::ALL.iter().filter(|channel| **channel != ChannelKind::Inbox);
    let of_channels = channels.flat_map(|channel| {
        let push = channel.service().map(|_| OF_PUSH);
        OF_CHANNELS.into_iter().chain(push).map(move |word| format!("{channel}_{word}"))
    });
    of_channels.chain(OTHERS.map(str::to_owned)).collect()
}

impl Engine {
    /// Raises an alarm about what surrounds the engine (its listener), or counts it up.
    pub async fn raise_alarm(&self, code: &str, detail: &str) {
        raise(self, code, detail).await;
    }

    /// Ends an alarm, if it is open.
    pub async fn clear_alarm(&self, code: &str) {
        clear(self, code).await;
    }
}

/// Raises an alarm, or counts it up.
pub(crate) async fn raise(engine: &Engine, code: &str, detail: &str) {
    debug_assert!(codes().iter().any(|known| known == code), "{code} is missing in codes(), the manual and the alert rules");
    let inner = &engine.inner;
    metrics::gauge!("carillon_alarm", "code" => code.to_owned()).set(1.0);
    match inner.store.raise_alarm(inner.tenant_key(), code, detail).await {
        Ok(true) => {
            crate::health::alarm_raised(code);
            tracing::error!(code, detail, "alarm");
        }
        Ok(false) => {}
        Err(error) => tracing::error!(code, detail, %error, "alarm, and it cannot be kept"),
    }
}

/// Ends an alarm, if it is open.
pub(crate) async fn clear(engine: &Engine, code: &str) {
    let inner = &engine.inner;
    metrics::gauge!("carillon_alarm", "code" => code.to_owned()).set(0.0);
    match inner.store.clear_alarm(inner.tenant_key(), code).await {
        Ok(true) => tracing::info!(code, "alarm ended"),
        Ok(false) => {}
        Err(error) => tracing::warn!(code, %error, "an alarm's end cannot be kept"),
    }
}
