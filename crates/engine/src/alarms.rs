//! Alarms: what a person has to mend. They are kept, logged, counted in metrics and listed; they never travel only by the
//! channel that failed.

use crate::Engine;
use model::ChannelKind;

/// What may be wrong with each channel that sends.
const OF_CHANNELS: [&str; 2] = ["our_fault", "unavailable"];
/// The same for channels with registrations.
const OF_PUSH: &str = "suspicious_gone";
const OTHERS: [&str; 4] = ["store_unavailable", "tls_certificate", crate::errands::ALARM, crate::secrets::ALARM];

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

/// The alarm of a store that cannot be reached or written.
pub(crate) const STORE: &str = "store_unavailable";

/// Raises an alarm, or counts it up.
pub(crate) async fn raise(engine: &Engine, code: &str, detail: &str) {
    debug_assert!(codes().iter().any(|known| known == code), "{code} is missing in codes(), the manual and the alert rules");
    let inner = &engine.inner;
    let news = note(engine, code, detail);
    match inner.store.raise_alarm(inner.tenant_key(), code, detail).await {
        Ok(raised) => {
            inner.unkept.lock().remove(code);
            if raised {
                crate::health::alarm_raised(code);
                tracing::error!(code, detail, "alarm");
            }
        }
        Err(error) if news => tracing::error!(code, detail, %error, "alarm, and it cannot be kept yet"),
        Err(_) => {}
    }
}

/// Takes note of an alarm without asking the store to keep it; answers whether it is news.
fn note(engine: &Engine, code: &str, detail: &str) -> bool {
    metrics::gauge!("carillon_alarm", "code" => code.to_owned()).set(1.0);
    engine.inner.unkept.lock().insert(code.to_owned(), detail.to_owned()).is_none()
}

/// The store cannot be reached or written, and so cannot keep the alarm about it either: that is done when it is back.
pub(crate) fn store_failed(engine: &Engine, detail: &str) {
    if note(engine, STORE, detail) {
        tracing::error!(code = STORE, detail, "alarm");
    }
}

/// The store works: the alarm about it ends, if there was one.
pub(crate) async fn store_works(engine: &Engine) {
    let noted = engine.inner.unkept.lock().contains_key(STORE);
    if noted {
        clear(engine, STORE).await;
    }
}

/// Ends an alarm, if it is open. One that could not be kept while it lasted is kept now, so that the list tells of it.
pub(crate) async fn clear(engine: &Engine, code: &str) {
    let inner = &engine.inner;
    metrics::gauge!("carillon_alarm", "code" => code.to_owned()).set(0.0);
    let unkept = inner.unkept.lock().get(code).cloned();
    let ended = async {
        if let Some(detail) = &unkept {
            inner.store.raise_alarm(inner.tenant_key(), code, detail).await?;
        }
        inner.store.clear_alarm(inner.tenant_key(), code).await
    };
    match ended.await {
        Ok(open) => {
            inner.unkept.lock().remove(code);
            if open {
                tracing::info!(code, "alarm ended");
            }
        }
        Err(error) => tracing::warn!(code, %error, "an alarm's end cannot be kept"),
    }
}
