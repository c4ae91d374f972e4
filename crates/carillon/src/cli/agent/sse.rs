//! Reads a stream of server-sent events (WHATWG HTML §9.2.6): bytes in, whole events out.

/// Longest line that is kept; a longer one is given up, not stored.
const MOST_LINE_BYTES: usize = 1 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamEvent {
    /// Its type; `message` where the stream gave none.
    pub kind: String,
    /// Its data, lines joined.
    pub data: String,
    /// The last event id of the stream, when this event set one.
    pub id: Option<String>,
}

/// Collects bytes into events.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    too_long: bool,
    after_cr: bool,
    event: StreamEvent,
    has_data: bool,
    /// Milliseconds to wait before connecting again, when the stream said so.
    pub retry_ms: Option<u64>,
}

impl Reader {
    /// Takes the next bytes and returns the events that they complete.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<StreamEvent> {
        let mut events = Vec::new();
        for &byte in bytes {
            let second_half = byte == b'\n' && std::mem::take(&mut self.after_cr);
            match byte {
                _ if second_half => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    if !std::mem::take(&mut self.too_long) {
                        events.extend(self.take_line(&String::from_utf8_lossy(&line)));
                    }
                }
                _ => {
                    self.after_cr = false;
                    if self.line.len() < MOST_LINE_BYTES {
                        self.line.push(byte);
                    } else {
                        self.too_long = true;
                    }
                }
            }
        }
        events
    }

    fn take_line(&mut self, line: &str) -> Option<StreamEvent> {
        if line.is_empty() {
            let mut event = std::mem::take(&mut self.event);
            if !std::mem::take(&mut self.has_data) {
                return None;
            }
            if event.kind.is_empty() {
                event.kind = "message".into();
            }
            return Some(event);
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.event.kind = value.to_owned(),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" => self.retry_ms = value.parse().ok().or(self.retry_ms),
            _ => {} // A comment (the heartbeat), or a field of a later standard.
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str, id: Option<&str>) -> StreamEvent {
        StreamEvent { kind: kind.into(), data: data.into(), id: id.map(str::to_owned) }
    }

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        let stream = "retry: 2000\n\n: heartbeat\n\nid: 7\nevent: notification\ndata: {\"a\":\ndata: \"é\"}\n\nevent:withdrawn\r\ndata:x\r\n\r\ndata\n\n";
        let expected = [event("notification", "{\"a\":\n\"é\"}", Some("7")), event("withdrawn", "x", None), event("message", "", None)];
        for size in 1..stream.len() {
            let mut reader = Reader::default();
            let events: Vec<StreamEvent> = stream.as_bytes().chunks(size).flat_map(|chunk| reader.take(chunk)).collect();
            assert_eq!(events, expected, "in pieces of {size}");
            assert_eq!(reader.retry_ms, Some(2000));
        }
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let mut reader = Reader::default();
        assert!(reader.take(b"data: ").is_empty());
        for _ in 0..3 {
            reader.take(&vec![b'x'; MOST_LINE_BYTES]);
        }
        assert!(reader.line.len() <= MOST_LINE_BYTES);
        assert!(reader.take(b"\n\n").is_empty());
        assert_eq!(reader.take(b"data: y\n\n"), [event("message", "y", None)]);
    }
}
