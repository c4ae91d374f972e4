//! What the machine tells a server while it runs, and what the server tells the machine: SIGHUP, and systemd's notifications
//! (sd_notify(3)). Where there is no systemd, nothing is told to nobody.

use sd_notify::NotifyState;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Each SIGHUP from now on. The signal is taken in any case: it would end a process that does not.
pub fn reloads() -> mpsc::Receiver<()> {
    let (tell, told) = mpsc::channel(1);
    #[cfg(unix)]
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
        while hangups.recv().await.is_some() {
            // One that waits already stands for both.
            let _ = tell.try_send(());
        }
    });
    told
}

/// Says that a SIGHUP changes nothing here.
pub async fn nothing_to_reload(mut told: mpsc::Receiver<()>) {
    while told.recv().await.is_some() {
        tracing::info!("SIGHUP: there is no certificate to read again; a changed configuration takes a restart");
    }
}

/// Tells systemd that requests are answered, when the server stops, and in between, as often as it asks, that this process
/// runs its tasks. A store that is away is no reason to be restarted: that would not bring it back.
pub fn serving(stop: CancellationToken) -> JoinHandle<()> {
    tell(&[NotifyState::Ready]);
    tokio::spawn(async move {
        let beat = sd_notify::watchdog_enabled().map(|patience| patience / 3);
        loop {
            tokio::select! {
                () = stop.cancelled() => return tell(&[NotifyState::Stopping]),
                () = tokio::time::sleep(beat.unwrap_or(Duration::MAX)) => {}
            }
            tell(&[NotifyState::Watchdog]);
        }
    })
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
