//! How fast a channel sends, and at what cost: letters to a fake in another process, with nothing stored.
//!
//!     fake-apple --write-key KEY --write-ca CA --record 0
//!     rate apns https://127.0.0.1:PORT KEY CA LETTERS
//!     fake-relay --record 0
//!     rate email 127.0.0.1:PORT LETTERS
//!
//! `RATE_THREADS` says on how many threads (2); 1 shows the cost without the threads getting in each other's way.

use channels::{ApnsChannel, ApnsSettings, EmailChannel, EmailSettings, EmailTls};
use futures_util::stream::{FuturesUnordered, StreamExt};
use model::channel::{Address, Channel, Lane, Letter, Rendered};
use model::event::Urgency;
use model::outcome::Outcome;
use model::source::{Mail, Words};
use model::text::Locale;
use model::{EventKey, PersonKey, Timestamp, WireId};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Tasks that send; each claims letters as a sender of the engine would.
const SENDERS: u32 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let threads = std::env::var("RATE_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(threads).enable_all().build()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let word = |i: usize| args.get(i).map(String::as_str).ok_or("see the head of this file for the arguments");
    let (channel, letters): (Arc<dyn Channel>, u32) = match word(0)? {
        "apns" => {
            let settings = ApnsSettings {
                endpoint: word(1)?.to_owned(),
                key: std::fs::read_to_string(word(2)?)?,
                ca_pem: std::fs::read_to_string(word(3)?).ok(),
                key_id: "FAKEKEY001".into(),
                team_id: "FAKETEAM01".into(),
                topic: "com.example.carillon".into(),
                ..ApnsSettings::default()
            };
            (Arc::new(ApnsChannel::new(settings)?), word(4)?.parse()?)
        }
        _ => {
            let (host, port) = word(1)?.rsplit_once(':').ok_or("HOST:PORT")?;
            let settings = EmailSettings {
                host: host.to_owned(),
                port: port.parse()?,
                tls: EmailTls::None,
                from: "Carillon <carillon@example.org>".into(),
                ..EmailSettings::default()
            };
            (Arc::new(EmailChannel::new(settings)?), word(2)?.parse()?)
        }
    };
    let words = Words {
        event: Uuid::from_u128(1),
        kind: "custom.notification",
        locale: Locale::En,
        private: false,
        title: "A title of the usual length".into(),
        body: "x".repeat(850),
        mail: Mail { subject: "A subject".into(), text: "x ".repeat(400), html: String::new(), ..Mail::default() },
    };
    let rendered = channel.render(&words);
    send(&channel, &rendered, 0..100).await;
    let (began, cpu) = (Instant::now(), cpu());
    let each = letters / SENDERS;
    let tasks = (0..SENDERS).map(|i| {
        let (channel, rendered) = (channel.clone(), rendered.clone());
        tokio::spawn(async move { send(&channel, &rendered, i * each..(i + 1) * each).await })
    });
    let mut accepted = 0;
    for task in tasks.collect::<Vec<_>>() {
        accepted += task.await?;
    }
    let (took, used) = (began.elapsed(), self::cpu() - cpu);
    let sent = f64::from(each * SENDERS);
    println!(
        "{accepted} of {sent} accepted in {:.2} s: {:.0}/s, CPU {:.2} ms per 1,000",
        took.as_secs_f64(),
        sent / took.as_secs_f64(),
        used.as_secs_f64() * 1e6 / sent
    );
    Ok(())
}

async fn send(channel: &Arc<dyn Channel>, content: &Rendered, people: std::ops::Range<u32>) -> u64 {
    let email = channel.kind() == model::ChannelKind::Email;
    let mut under_way = FuturesUnordered::new();
    let mut accepted = 0;
    for n in people {
        let slot = loop {
            tokio::select! {
                biased;
                slot = channel.reserve(Lane::Bulk) => break slot,
                Some(outcome) = under_way.next() => accepted += u64::from(outcome == Outcome::Accepted),
            }
        };
        let Ok(slot) = slot else { continue };
        let text = if email { format!("person{n}@example.net") } else { format!("{n:064x}") };
        let address = if email {
            Address::Mailbox { email: &text, name: "Somebody" }
        } else {
            Address::Registration { token: &text, app: "", sandbox: false }
        };
        let now = Timestamp(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis())).unwrap_or(0));
        let wire = WireId::new(EventKey(1), PersonKey(n), 0);
        let expires_at = now.plus(Duration::from_secs(3600));
        let collapse_key = "AAAAAAAAAAAAAAAAAAAADg";
        let letter = Letter { wire, address, content, files: &[], urgency: Urgency::Normal, expires_at, now, collapse_key };
        under_way.push(slot.send(&letter));
    }
    while let Some(outcome) = under_way.next().await {
        accepted += u64::from(outcome == Outcome::Accepted);
    }
    accepted
}

/// User and system time of this process, in steps of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<u64> =
        stat.rsplit(')').next().unwrap_or("").split_whitespace().skip(11).take(2).map(|f| f.parse().unwrap_or(0)).collect();
    Duration::from_millis(fields.iter().sum::<u64>() * 10)
}
