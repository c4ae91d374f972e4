//! From bytes to command lines and to mails, however the bytes are cut. No I/O here.
//!
//! A command line ends with CRLF, and a mail with CRLF, a dot and CRLF (RFC 5321 §4.1.1.4). Nothing else ends either: servers
//! that take a bare LF for an end can be made to see two mails where others see one.

/// Longest command line with its CRLF (RFC 5321 §4.5.3.1.4).
pub(super) const COMMAND_BYTES: usize = 512;
/// Longest line of a mail with its CRLF (RFC 5321 §4.5.3.1.6).
pub(super) const TEXT_BYTES: usize = 1000;

/// A line of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Whole, with its CRLF and no other CR or LF.
    Whole(Vec<u8>),
    /// Longer than [`COMMAND_BYTES`].
    Long,
    /// With a CR or an LF that does not stand in a CRLF.
    Bare,
}

/// Bytes of commands that came and were not read yet.
#[derive(Debug, Default)]
pub(super) struct Commands {
    held: Vec<u8>,
    /// A line that is too long is passed over until its end.
    skipping: bool,
}

impl Commands {
    /// Takes in what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next line, if it has come whole.
    pub fn line(&mut self) -> Option<Line> {
        let Some(end) = self.held.iter().position(|byte| *byte == b'\n') else {
            if self.held.len() >= COMMAND_BYTES {
                self.skipping = true;
                self.held.clear();
            }
            return None;
        };
        let line: Vec<u8> = self.held.drain(..=end).collect();
        if std::mem::take(&mut self.skipping) || line.len() > COMMAND_BYTES {
            return Some(Line::Long);
        }
        let alone = line.strip_suffix(b"\r\n").is_none_or(|text| text.contains(&b'\r'));
        Some(if alone { Line::Bare } else { Line::Whole(line) })
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && !self.skipping
    }
}

/// Where in a mail the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Behind a CRLF, or before the first byte.
    Start,
    Text,
    /// Behind a CR.
    Cr,
    /// Behind the first dot of a line, which is not part of the mail.
    Dot,
    /// Behind such a dot and a CR.
    DotCr,
}

/// What is wrong with a mail that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// Larger than was allowed.
    Size,
    /// A line longer than [`TEXT_BYTES`].
    Line,
}

/// A mail while it comes (RFC 5321 §4.5.2). Of one that is too large no byte is kept, and its end is found all the same.
#[derive(Debug)]
pub(super) struct Mail {
    bytes: Vec<u8>,
    most: usize,
    at: At,
    /// Bytes of this line so far.
    line: usize,
    excess: Option<Excess>,
}

impl Mail {
    /// Of at most so many bytes.
    pub fn new(most: usize) -> Mail {
        Mail { bytes: Vec::new(), most, at: At::Start, line: 0, excess: None }
    }

    /// Takes in what came; how much of it belongs to the mail, when that is the end of it.
    pub fn push(&mut self, chunk: &[u8]) -> Option<usize> {
        chunk.iter().position(|byte| self.byte(*byte)).map(|last| last + 1)
    }

    /// Bytes that are kept.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// There is no room for this mail: nothing of it is kept.
    pub fn give_up(&mut self) {
        self.exceed(Excess::Size);
    }

    /// The mail, when it has come to its end.
    ///
    /// # Errors
    /// It was too large.
    pub fn whole(self) -> Result<Vec<u8>, Excess> {
        self.excess.map_or(Ok(self.bytes), Err)
    }

    /// Takes in a byte; whether it is the last.
    fn byte(&mut self, byte: u8) -> bool {
        self.at = match (self.at, byte) {
            (At::Start, b'.') => At::Dot,
            (At::Dot, b'\r') => At::DotCr,
            (At::DotCr, b'\n') => return true,
            (At::Cr, b'\n') => {
                self.keep(byte);
                At::Start
            }
            (At::DotCr, _) => {
                self.keep(b'\r');
                self.text(byte)
            }
            (At::Start | At::Text | At::Cr | At::Dot, _) => self.text(byte),
        };
        false
    }

    fn text(&mut self, byte: u8) -> At {
        self.keep(byte);
        if byte == b'\r' { At::Cr } else { At::Text }
    }

    fn keep(&mut self, byte: u8) {
        self.line = if byte == b'\n' { 0 } else { self.line + 1 };
        // The line's end, which is not counted yet, has two bytes.
        if self.line > TEXT_BYTES - 1 {
            self.exceed(Excess::Line);
        } else if self.bytes.len() >= self.most {
            self.exceed(Excess::Size);
        } else if self.excess.is_none() {
            self.bytes.push(byte);
        }
    }

    fn exceed(&mut self, excess: Excess) {
        self.excess.get_or_insert(excess);
        self.bytes = Vec::new();
    }
}
