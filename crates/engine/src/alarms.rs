//! Alarms: what a person has to mend. They are kept, logged, counted in metrics and listed; they never travel only by the
//! channel that failed.

use crate::Engine;

/// The alarm of a store that cannot be reached or written.
pub(crate) const STORE: &str = "store_unavailable";

/// Raises an alarm, or counts it up.
pub(crate) async fn raise(engine: &Engine, code: &str, detail: &str) {
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
