//! The audit as syslog (RFC 5424): one message for each entry, its most asked-for parts as structured data and the whole
//! entry as the message. Live, over TCP with octet counting (RFC 6587 §3.4.1) or over UDP (RFC 5426), beside everything else: a
//! collector that is slow or away delays nobody, and gets what it missed from the table when it is back.

use crate::config::Syslog;
use engine::Engine;
use engine::admin::audit::SYSLOG;
use serde_json::{Map, Value};
use std::time::Duration;
use store::Entry;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

/// Facility 13 (log audit), severity 5 (notice) for what was done.
const DONE: u8 = 13 * 8 + 5;
/// The same facility, severity 4 (warning) for what was refused.
const REFUSED: u8 = 13 * 8 + 4;
/// The structured data's name: the number is the one that RFC 5612 keeps for documents and private use.
const DATA_ID: &str = "carillon@32473";
/// Entries that are read and sent at once.
const BATCH: u32 = 200;
/// How often the table is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Longest that a write or a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest rest after a failure.
const REST_MOST: Duration = Duration::from_secs(60);
/// How long one process of several feeds the collector before another may.
const TURN: Duration = Duration::from_secs(15);

/// One entry as a syslog message, without framing.
pub fn message(entry: &Map<String, Value>) -> String {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("-");
    let outcome = text("outcome");
    let priority = if outcome == "done" { DONE } else { REFUSED };
    let actor = |name: &str| entry.get("actor").and_then(|actor| actor.get(name)).and_then(Value::as_str);
    let object = |name: &str| entry.get("object").and_then(|object| object.get(name)).and_then(Value::as_str);
    let sequence = entry.get("sequence").and_then(Value::as_i64).unwrap_or(0).to_string();
    let parameters = [
        ("sequence", Some(sequence.as_str())),
        ("tenant", Some(text("tenant"))),
        ("operation", Some(text("operation"))),
        ("outcome", Some(outcome)),
        ("actorKind", actor("kind")),
        ("actorId", actor("id")),
        ("actorName", actor("name")),
        ("actorPerson", actor("person")),
        ("objectKind", object("kind")),
        ("objectId", object("id")),
        ("hash", Some(text("hash"))),
    ];
    let data: String =
        parameters.into_iter().filter_map(|(name, value)| value.map(|value| format!(" {name}=\"{}\"", escaped(value)))).collect();
    let id: String = text("operation").chars().filter(char::is_ascii_graphic).take(32).collect();
    let id = if id.is_empty() { "-" } else { &id };
    let whole = model::audit::canonical(&Value::Object(entry.clone()));
    format!("<{priority}>1 {} - carillon - {id} [{DATA_ID}{data}] {whole}", text("at"))
}

/// RFC 5424 §6.3.3: quotes, backslashes and closing brackets are escaped; control characters have no place there.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A message with its length before it (RFC 6587 §3.4.1).
pub fn counted(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// A way to the collector.
enum Line {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Line {
    async fn open(to: &Syslog) -> std::io::Result<Line> {
        let opening = async {
            if to.tcp {
                return TcpStream::connect(&to.address).await.map(Line::Tcp);
            }
            let target = tokio::net::lookup_host(&to.address).await?.next();
            let target = target.ok_or_else(|| std::io::Error::other("the name has no address"))?;
            let socket = UdpSocket::bind(if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await?;
            socket.connect(target).await?;
            Ok(Line::Udp(socket))
        };
        tokio::time::timeout(PATIENCE, opening).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }

    async fn send(&mut self, entries: &[Entry]) -> std::io::Result<()> {
        let sending = async {
            match self {
                Line::Tcp(stream) => {
                    // A collector that closed its end takes a first write without a word.
                    let mut byte = [0; 64];
                    if matches!(stream.try_read(&mut byte), Ok(0)) {
                        return Err(std::io::ErrorKind::ConnectionReset.into());
                    }
                    let all: String = entries.iter().map(|entry| counted(&message(&entry.body))).collect();
                    stream.write_all(all.as_bytes()).await?;
                    stream.flush().await
                }
                Line::Udp(socket) => {
                    for entry in entries {
                        socket.send(message(&entry.body).as_bytes()).await?;
                    }
                    Ok(())
                }
            }
        };
        tokio::time::timeout(PATIENCE, sending).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }
}

/// Feeds the collector until stopped.
pub async fn run(engine: Engine, to: Syslog, stop: CancellationToken) {
    let mut line = None;
    let mut rest = EVERY;
    // What was sent last may have been lost with its connection: a new one begins with it again.
    let mut again_from = None;
    loop {
        match step(&engine, &to, &mut line, &mut again_from).await {
            Ok(full) => {
                rest = EVERY;
                if full {
                    continue;
                }
            }
            Err(error) => {
                if rest == EVERY {
                    tracing::warn!(error, to = to.address, "the audit does not reach its syslog collector; it gets what it misses later");
                }
                line = None;
                rest = (rest * 2).min(REST_MOST);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// Sends what is new, at most a batch; answers whether there may be more.
async fn step(engine: &Engine, to: &Syslog, line: &mut Option<Line>, again_from: &mut Option<i64>) -> Result<bool, String> {
    if !engine.feeds(SYSLOG, TURN).await.map_err(|refusal| refusal.detail)? {
        return Ok(false);
    }
    let mut entries = engine.unsunk(SYSLOG, BATCH).await.map_err(|refusal| refusal.detail)?;
    if entries.is_empty() {
        return Ok(false);
    }
    if line.is_none() {
        if let Some(from) = *again_from {
            entries = engine.store().entries(engine.tenant().key, from, BATCH).await.map_err(|error| error.to_string())?;
        }
        *line = Some(Line::open(to).await.map_err(|error| error.to_string())?);
    }
    let (Some(open), Some(first), Some(last)) = (line.as_mut(), entries.first(), entries.last()) else { return Ok(false) };
    open.send(&entries).await.map_err(|error| error.to_string())?;
    *again_from = Some(first.sequence);
    engine.sunk(SYSLOG, last.sequence).await.map_err(|refusal| refusal.detail)?;
    Ok(entries.len() == BATCH as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_entry_is_a_message_of_rfc_5424() {
        let Value::Object(entry) = json!({
            "sequence": 7, "at": "2026-11-21T15:00:00.123Z", "tenant": "t", "operation": "user.update", "outcome": "done",
            "actor": {"kind": "token", "id": "1", "name": "say \"hi\" [x]\\\n"}, "object": {"kind": "user", "id": "p-1"}, "hash": "00"
        }) else {
            unreachable!("an object was written")
        };
        let text = message(&entry);
        let head = "<109>1 2026-11-21T15:00:00.123Z - carillon - user.update [carillon@32473 sequence=\"7\" tenant=\"t\" ";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains(r#"actorName="say \"hi\" [x\]\\" objectKind="user" objectId="p-1" hash="00"] {"actor""#), "{text}");
        assert!(!text.contains('\n'));
        assert_eq!(counted("<1>1 é"), "7 <1>1 é", "octets, not characters");
    }

    #[test]
    fn what_was_refused_is_a_warning() {
        let Value::Object(entry) = json!({"outcome": "forbidden", "operation": ""}) else { unreachable!("an object was written") };
        assert!(message(&entry).starts_with("<108>1 - - carillon - - ["));
    }
}
