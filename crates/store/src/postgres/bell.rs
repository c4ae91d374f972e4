//! Hints between processes by LISTEN and NOTIFY, on one connection of their own that is made again whenever it is lost.
//! What rings at the same time goes out as one notification. Whoever listens is told to look at everything after each
//! new connection, since hints may have been missed.

use super::address::{Address, Listening};
use crate::{Result, StoreError, Wake};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio_postgres::{AsyncMessage, Client};
use uuid::Uuid;

/// Hints that a listener may be behind by; then it is told that it missed some.
const HEARD: usize = 1024;
/// Hints that may wait to be sent; more are dropped, and everything is rung instead.
const TO_SEND: usize = 1024;
/// PostgreSQL takes payloads of less than 8,000 bytes.
const PAYLOAD: usize = 7_000;
/// How long the connection may be quiet before it is asked whether it lives, and how long the answer may take.
const QUIET: Duration = Duration::from_secs(5);
/// Pauses before new connections: the first and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

const LISTEN: &str = "SET synchronous_commit = off; LISTEN carillon";
const NOTIFY: &str = "SELECT pg_notify('carillon', $1)";

/// Rings and hears.
pub(super) struct Bell {
    heard: broadcast::Sender<Wake>,
    to_send: mpsc::Sender<Wake>,
    missed: Arc<std::sync::atomic::AtomicBool>,
    task: tokio::task::AbortHandle,
}

impl Bell {
    /// Starts it. It works from its first connection on; until then hints wait.
    pub fn start(address: Address) -> Bell {
        let (heard, _) = broadcast::channel(HEARD);
        let (to_send, sending) = mpsc::channel(TO_SEND);
        let missed = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let ringer = Ringer { address, me: Uuid::new_v4().simple().to_string(), heard: heard.clone(), missed: missed.clone() };
        let task = tokio::spawn(ringer.work(sending)).abort_handle();
        Bell { heard, to_send, missed, task }
    }

    /// Hints of other processes from now on.
    pub fn listen(&self) -> broadcast::Receiver<Wake> {
        self.heard.subscribe()
    }

    /// Queues a hint.
    pub fn ring(&self, wake: Wake) -> Result<()> {
        match self.to_send.try_send(wake) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.missed.store(true, std::sync::atomic::Ordering::SeqCst);
                Ok(())
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(StoreError::Unavailable("the store is closed".into())),
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Ringer {
    address: Address,
    me: String,
    heard: broadcast::Sender<Wake>,
    missed: Arc<std::sync::atomic::AtomicBool>,
}

impl Ringer {
    async fn work(self, mut sending: mpsc::Receiver<Wake>) {
        let (mut pause, mut again) = (FIRST_PAUSE, false);
        let mut waiting = VecDeque::new();
        loop {
            match self.address.listen().await {
                Ok((client, connection)) => {
                    let began = tokio::time::Instant::now();
                    self.connected(client, connection, &mut sending, &mut waiting, again).await;
                    again = true;
                    if began.elapsed() > LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                    }
                    if sending.is_closed() && sending.is_empty() {
                        return;
                    }
                }
                Err(error) => tracing::debug!(%error, "no connection for hints"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends and hears until the connection is lost.
    async fn connected(
        &self,
        client: Client,
        mut connection: Listening,
        sending: &mut mpsc::Receiver<Wake>,
        waiting: &mut VecDeque<Wake>,
        again: bool,
    ) {
        let (ended, mut over) = tokio::sync::oneshot::channel::<()>();
        let (heard, me) = (self.heard.clone(), self.me.clone());
        let reading = tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll(context)).await {
                if let AsyncMessage::Notification(said) = message {
                    hear(&heard, &me, said.payload());
                }
            }
            drop(ended);
        });
        let began = tokio::time::timeout(QUIET, client.batch_execute(LISTEN)).await;
        if matches!(began, Ok(Ok(()))) {
            if again {
                tell(&self.heard, Wake::Everything);
            }
            loop {
                if self.missed.swap(false, std::sync::atomic::Ordering::SeqCst) {
                    waiting.push_back(Wake::Everything);
                }
                if !waiting.is_empty() && !self.send(&client, waiting).await {
                    break;
                }
                tokio::select! {
                    _ = &mut over => break,
                    wake = sending.recv() => {
                        let Some(wake) = wake else { break };
                        waiting.push_back(wake);
                        while let Ok(more) = sending.try_recv() {
                            if !waiting.contains(&more) {
                                waiting.push_back(more);
                            }
                        }
                    }
                    () = tokio::time::sleep(QUIET) => {
                        let alive = tokio::time::timeout(QUIET, client.batch_execute("")).await;
                        if !matches!(alive, Ok(Ok(()))) {
                            break;
                        }
                    }
                }
            }
        }
        reading.abort();
    }

    /// Sends what waits; what could not be sent waits for the next connection.
    async fn send(&self, client: &Client, waiting: &mut VecDeque<Wake>) -> bool {
        while !waiting.is_empty() {
            let mut payload = self.me.clone();
            let mut taken = 0;
            for wake in waiting.iter() {
                let word = word_of(*wake);
                if payload.len() + word.len() + 1 > PAYLOAD {
                    break;
                }
                payload.push(' ');
                payload.push_str(word);
                taken += 1;
            }
            let said = tokio::time::timeout(QUIET, client.execute(NOTIFY, &[&payload])).await;
            if !matches!(said, Ok(Ok(_))) {
                return false;
            }
            waiting.drain(..taken);
        }
        true
    }
}

fn hear(heard: &broadcast::Sender<Wake>, me: &str, payload: &str) {
    let mut words = payload.split(' ');
    if words.next() == Some(me) {
        return;
    }
    for word in words {
        // A word of a newer version is a reason to look.
        tell(heard, wake_of(word).unwrap_or(Wake::Everything));
    }
}

fn tell(heard: &broadcast::Sender<Wake>, wake: Wake) {
    // Nobody listens yet, or any more: there is nobody to miss it.
    let _ = heard.send(wake);
}

fn word_of(wake: Wake) -> &'static str {
    match wake {
        Wake::Accepted => "accepted",
        Wake::Planned => "planned",
        Wake::Standing => "standing",
        Wake::Published => "published",
        Wake::Everything => "everything",
    }
}

fn wake_of(word: &str) -> Option<Wake> {
    match word {
        "accepted" => Some(Wake::Accepted),
        "planned" => Some(Wake::Planned),
        "standing" => Some(Wake::Standing),
        "published" => Some(Wake::Published),
        "everything" => Some(Wake::Everything),
        _ => None,
    }
}
