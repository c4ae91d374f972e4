//! The lines of the manager interface: a banner, then blocks of `Name: value` lines, each block ended by an empty line.

use crate::charset;
use std::fmt;

/// Longest line. Asterisk's own buffers for one value are smaller.
pub const LINE_BYTES: usize = 64 * 1024;
/// Most lines of one block.
pub const BLOCK_LINES: usize = 512;
/// What the first line of a connection begins with.
const BANNER: &str = "Asterisk Call Manager/";

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first line, with the protocol's version.
    Banner(String),
    /// A response or an event.
    Block(Block),
}

/// One response or event: its lines in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    lines: Vec<(String, String)>,
}

impl Block {
    /// From names and values; for tests and replays.
    pub fn of(lines: &[(&str, &str)]) -> Block {
        Block { lines: lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect() }
    }

    /// The value of a name, without regard to case; empty values count as missing.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.lines.iter().find(|(own, value)| own.eq_ignore_ascii_case(name) && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// The name of the event, when it is one.
    pub fn event(&self) -> Option<&str> {
        self.get("Event")
    }

    /// Whether it answers the action with this id.
    pub fn answers(&self, action_id: &str) -> bool {
        self.get("Response").is_some() && self.get("ActionID") == Some(action_id)
    }

    /// Whether it is a response that says *done*.
    pub fn succeeded(&self) -> bool {
        self.get("Response").is_some_and(|word| word.eq_ignore_ascii_case("Success"))
    }
}

/// What is not the manager interface. The connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireFault {
    /// The first line is not Asterisk's.
    NoBanner,
    /// A line is longer than [`LINE_BYTES`].
    LineTooLong,
    /// A block has more lines than [`BLOCK_LINES`].
    BlockTooLong,
}

impl fmt::Display for WireFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireFault::NoBanner => write!(f, "the other side is not Asterisk's manager interface: no line that begins with {BANNER:?}"),
            WireFault::LineTooLong => write!(f, "a line of the manager interface has more than {LINE_BYTES} bytes"),
            WireFault::BlockTooLong => write!(f, "a block of the manager interface has more than {BLOCK_LINES} lines"),
        }
    }
}

impl std::error::Error for WireFault {}

/// Reads a connection piece by piece; pieces may end anywhere.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    block: Vec<(String, String)>,
    greeted: bool,
}

impl Reader {
    /// Takes in more bytes, and gives what became whole.
    ///
    /// # Errors
    /// What is wrong with the other side; nothing more can be read then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, WireFault> {
        let mut frames = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.append(&rest[..end])?;
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            let line = charset::line(&line);
            frames.extend(self.line(line.trim_end_matches('\r'))?);
        }
        self.append(rest)?;
        Ok(frames)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), WireFault> {
        if self.line.len() + bytes.len() > LINE_BYTES {
            return Err(WireFault::LineTooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, line: &str) -> Result<Option<Frame>, WireFault> {
        if !self.greeted {
            self.greeted = line.starts_with(BANNER);
            return if self.greeted { Ok(Some(Frame::Banner(line.to_owned()))) } else { Err(WireFault::NoBanner) };
        }
        if line.is_empty() {
            let lines = std::mem::take(&mut self.block);
            return Ok((!lines.is_empty()).then_some(Frame::Block(Block { lines })));
        }
        if self.block.len() >= BLOCK_LINES {
            return Err(WireFault::BlockTooLong);
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        self.block.push((name.trim().to_owned(), value.trim().to_owned()));
        Ok(None)
    }
}

/// An action, as it goes over the wire. Line breaks in a value would begin a line of their own and are left out.
pub fn action(name: &str, id: &str, lines: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in [("Action", name), ("ActionID", id)].iter().chain(lines) {
        let value: String = value.chars().filter(|letter| !letter.is_control()).collect();
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TALK: &str =
        "Asterisk Call Manager/11.0.0\r\nResponse: Success\r\nActionID: 1\r\n\r\nEvent: Hangup\r\nCause-txt: a: b\r\nEmpty: \r\n\r\n";

    #[test]
    fn a_banner_and_blocks_are_read() {
        let frames = Reader::default().feed(TALK.as_bytes()).expect("Asterisk");
        let [Frame::Banner(banner), Frame::Block(answer), Frame::Block(event)] = frames.as_slice() else { panic!("{frames:?}") };
        assert!(banner.ends_with("/11.0.0") && answer.answers("1") && answer.succeeded() && !answer.answers("2"));
        assert_eq!((event.event(), event.get("cause-TXT"), event.get("Empty")), (Some("Hangup"), Some("a: b"), None));
    }

    #[test]
    fn what_is_not_asterisk_is_refused() {
        assert_eq!(Reader::default().feed(b"220 mail.example.org ESMTP\r\n"), Err(WireFault::NoBanner));
        let mut reader = Reader::default();
        reader.feed(TALK.as_bytes()).expect("Asterisk");
        assert_eq!(reader.feed(&vec![b'x'; LINE_BYTES + 1]), Err(WireFault::LineTooLong));
        let mut reader = Reader::default();
        reader.feed(TALK.as_bytes()).expect("Asterisk");
        assert_eq!(reader.feed("a: b\r\n".repeat(BLOCK_LINES + 1).as_bytes()), Err(WireFault::BlockTooLong));
    }

    #[test]
    fn a_value_cannot_begin_a_line_of_its_own() {
        assert_eq!(
            action("Login", "1", &[("Username", "a\r\nAction: Originate")]),
            "Action: Login\r\nActionID: 1\r\nUsername: aAction: Originate\r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn pieces_may_end_anywhere(cuts in proptest::collection::vec(0..TALK.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (mut reader, mut frames, mut from) = (Reader::default(), Vec::new(), 0);
            for cut in cuts.into_iter().chain([TALK.len()]) {
                frames.extend(reader.feed(&TALK.as_bytes()[from..cut]).expect("Asterisk"));
                from = cut;
            }
            prop_assert_eq!(frames, Reader::default().feed(TALK.as_bytes()).expect("Asterisk"));
        }

        #[test]
        fn nothing_that_a_stranger_sends_makes_it_fall_over(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::default();
            let _ = reader.feed(b"Asterisk Call Manager/1\n");
            let _ = reader.feed(&bytes);
        }
    }
}
