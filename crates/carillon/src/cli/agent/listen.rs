//! The stream of a command-line device: held open, opened again when it breaks, resumed behind the last notification.
//! Receipts that could not be sent are kept and sent with the next ones.

use super::sse::{Reader, StreamEvent};
use super::state::AgentState;
use crate::cli::client::Client;
use crate::cli::output::{Out, Tone, cell, field, text};
use crate::cli::trouble::{Result, Trouble};
use crate::exit::Exit;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// A stream that is silent for longer is dead: three heartbeats of 15 s were missed.
const SILENCE: Duration = Duration::from_secs(46);
/// First pause before opening the stream again, unless the server said another.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause.
const MOST_PAUSE: Duration = Duration::from_secs(30);
/// Most receipts in one request.
const RECEIPTS: usize = 500;
/// Receipts that are kept while the server is away; the oldest go first.
const KEPT_RECEIPTS: usize = 10_000;

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// Send `opened` receipts too.
    pub auto_open: bool,
    /// Send receipts at all.
    pub receipts: bool,
    /// End after so many notifications.
    pub count: Option<u64>,
}

/// Something that came by the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival {
    /// A notification: an item of the inbox.
    Notification(Value),
    /// An administrator cancelled one.
    Withdrawn(Value),
}

impl Arrival {
    /// Prints it: as one JSON object on a line, or for people.
    pub fn print(&self, out: &Out) {
        match self {
            Arrival::Notification(item) => out.say(item, || {
                let urgent = if text(item, "urgency") == "high" { out.paint(Tone::Bad, " !") } else { String::new() };
                let title = out.paint(Tone::Strong, field(item, "title"));
                let body = cell(&item["body"]).replace('\n', "\n  ");
                format!("{}  {title}{urgent}\n  {body}", out.paint(Tone::Faint, field(item, "sentAt")))
            }),
            Arrival::Withdrawn(what) => {
                let object = json!({ "withdrawn": what["eventId"] });
                out.say(&object, || out.paint(Tone::Faint, format!("withdrawn: {}", field(what, "eventId"))));
            }
        }
    }
}

/// Listens until `how.count` is reached, or for ever. `arrived` is told of each arrival before its receipts go out.
///
/// # Errors
/// When the device's token is refused, or `arrived` fails. A server that is away is waited for.
pub async fn listen(agent: &mut AgentState, how: &Listening, mut arrived: impl FnMut(&AgentState, &Arrival) -> Result<()>) -> Result<()> {
    let client = Client::new(&agent.url, Some(agent.token.clone()))?;
    let mut session = Session { client, how: *how, waiting: Vec::new(), count: 0, pause: PAUSE };
    loop {
        let (ended, was_open) = session.hold(agent, &mut arrived).await?;
        if ended {
            return Ok(());
        }
        session.pause = if was_open { session.pause.min(MOST_PAUSE) } else { (session.pause * 2).min(MOST_PAUSE) };
        tokio::time::sleep(session.pause).await;
    }
}

struct Session {
    client: Client,
    how: Listening,
    waiting: Vec<Value>,
    count: u64,
    pause: Duration,
}

impl Session {
    /// Holds one stream to its end. Returns whether the listening is over, and whether the stream was ever open.
    async fn hold(
        &mut self,
        agent: &mut AgentState,
        arrived: &mut impl FnMut(&AgentState, &Arrival) -> Result<()>,
    ) -> Result<(bool, bool)> {
        let mut request = self.client.request(Method::GET, &["device", "inbox", "stream"], &[]).header("accept", "text/event-stream");
        if let Some(id) = &agent.last_event_id {
            request = request.header("last-event-id", id);
        }
        let Ok(response) = request.send().await else { return Ok((false, false)) };
        let response = match self.client.accepted(response).await {
            Ok(response) => response,
            Err(refused) if matches!(refused.exit, Exit::Unavailable | Exit::OverLimit | Exit::Failed) => return Ok((false, false)),
            Err(refused) => return Err(refused),
        };
        let mut reader = Reader::default();
        let mut stream = response.bytes_stream();
        while let Ok(Some(Ok(bytes))) = tokio::time::timeout(SILENCE, stream.next()).await {
            let events = reader.take(&bytes);
            self.pause = reader.retry_ms.map_or(PAUSE, Duration::from_millis);
            for event in events {
                self.take(agent, event, arrived)?;
                if self.how.count.is_some_and(|most| self.count >= most) {
                    self.last_receipts().await?;
                    return Ok((true, true));
                }
            }
            // Receipts that cannot go now are kept; the stream goes on.
            let _ = self.send_receipts().await;
        }
        Ok((false, true))
    }

    fn take(
        &mut self,
        agent: &mut AgentState,
        event: StreamEvent,
        arrived: &mut impl FnMut(&AgentState, &Arrival) -> Result<()>,
    ) -> Result<()> {
        let Ok(value) = serde_json::from_str::<Value>(&event.data) else { return Ok(()) };
        if event.id.is_some() {
            agent.last_event_id = event.id;
        }
        match event.kind.as_str() {
            "notification" => {
                let id = value["eventId"].clone();
                arrived(agent, &Arrival::Notification(value))?;
                self.count += 1;
                let kinds = ["received", "shown", "opened"];
                let sent = if self.how.auto_open { 3 } else { 2 };
                if self.how.receipts {
                    self.waiting.extend(kinds.iter().take(sent).map(|kind| json!({ "eventId": id, "kind": kind })));
                }
                let surplus = self.waiting.len().saturating_sub(KEPT_RECEIPTS);
                self.waiting.drain(..surplus);
                Ok(())
            }
            "withdrawn" => arrived(agent, &Arrival::Withdrawn(value)),
            _ => Ok(()),
        }
    }

    async fn send_receipts(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            let some = self.waiting.len().min(RECEIPTS);
            self.client.reckon(&["device", "receipts"], &[], &json!({ "receipts": &self.waiting[..some] })).await?;
            self.waiting.drain(..some);
        }
        Ok(())
    }

    /// Before the program ends, the receipts get a few more chances.
    async fn last_receipts(&mut self) -> Result<()> {
        let mut tries = 3;
        loop {
            match self.send_receipts().await {
                Err(trouble) if trouble.exit == Exit::Unavailable && tries > 0 => tries -= 1,
                Err(trouble) => return Err(Trouble { detail: format!("the receipts were not taken: {}", trouble.detail), ..trouble }),
                Ok(()) => return Ok(()),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Reads one request with its body and returns it.
    async fn request(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        loop {
            let n = stream.read(&mut buffer).await.expect("a request");
            text.push_str(&String::from_utf8_lossy(&buffer[..n]));
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |l| l.parse().expect("a length"));
            if body.len() >= length {
                return text;
            }
        }
    }

    /// A server of two streams: the first breaks after one notification, the second must be resumed behind it.
    async fn serve(listener: TcpListener) -> Vec<String> {
        let mut seen = Vec::new();
        let mut streams = 0;
        while seen.len() < 4 {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let asked = request(&mut stream).await;
            let answer = if asked.starts_with("GET") {
                streams += 1;
                let data = json!({"eventId": format!("e{streams}"), "title": "T", "body": "B"});
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nretry: 10\n\nid: {streams}\nevent: notification\ndata: {data}\n\n"
                )
            } else {
                let body = json!({"accepted": 2, "repeated": 0}).to_string();
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            };
            stream.write_all(answer.as_bytes()).await.expect("an answer");
            seen.push(asked);
        }
        seen
    }

    #[tokio::test]
    async fn a_broken_stream_is_resumed_behind_the_last_notification_and_receipts_go_out() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(serve(listener));
        let mut agent = AgentState {
            url,
            token: "secret".into(),
            device_id: String::new(),
            user_id: String::new(),
            display_name: String::new(),
            name: String::new(),
            last_event_id: None,
        };
        let mut titles = Vec::new();
        let how = Listening { auto_open: false, receipts: true, count: Some(2) };
        listen(&mut agent, &how, |agent, arrival| {
            titles.push((agent.last_event_id.clone(), arrival.clone()));
            Ok(())
        })
        .await
        .expect("two notifications");
        assert_eq!(titles.len(), 2);
        assert_eq!(agent.last_event_id.as_deref(), Some("2"));
        let seen = server.await.expect("the server");
        assert!(seen[0].contains("authorization: Bearer secret") && !seen[0].contains("last-event-id"), "{}", seen[0]);
        assert!(seen[1].starts_with("POST /api/v1/device/receipts") && seen[1].contains("\"kind\":\"shown\""), "{}", seen[1]);
        assert!(seen[2].contains("last-event-id: 1"), "{}", seen[2]);
        assert!(seen[3].contains("\"eventId\":\"e2\""), "{}", seen[3]);
    }
}
