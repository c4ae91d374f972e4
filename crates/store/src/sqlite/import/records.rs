//! Reads CSV (RFC 4180) record by record: commas, quotes doubled inside quotes, line breaks inside quotes, LF or CRLF.
//! Empty lines are passed over, a byte order mark too. Written here because a fault must name the right line of the file
//! and memory must stay bounded whatever the file holds.

use std::io::{BufRead, Read};

/// Most bytes of one record: far above any sensible row; a quote that is never closed ends here.
const RECORD_BYTES: usize = 256 * 1024;

/// A file, read record by record.
pub(super) struct Records<R> {
    input: R,
    /// Lines read so far.
    lines: u32,
    raw: Vec<u8>,
    record: Record,
}

/// One record. Its fields are bytes: whether they are UTF-8 is for the reader to say.
#[derive(Default)]
pub(super) struct Record {
    /// The line on which it begins, from 1.
    pub line: u32,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Record {
    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// One field.
    pub fn field(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }

    fn split(&mut self, raw: &[u8]) {
        self.bytes.clear();
        self.ends.clear();
        let mut rest = raw;
        loop {
            if let Some(quoted) = rest.strip_prefix(b"\"") {
                rest = self.quoted(quoted);
            }
            // What follows a closing quote before the comma is kept, as most readers do.
            let end = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
            self.bytes.extend_from_slice(&rest[..end]);
            self.ends.push(self.bytes.len());
            match rest.get(end + 1..) {
                Some(behind) => rest = behind,
                None => return,
            }
        }
    }

    /// Takes a field whose quote is open; answers what follows the closing quote.
    fn quoted<'a>(&mut self, mut rest: &'a [u8]) -> &'a [u8] {
        loop {
            let Some(end) = rest.iter().position(|byte| *byte == b'"') else {
                self.bytes.extend_from_slice(rest);
                return &[];
            };
            self.bytes.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix(b"\"") {
                Some(behind) => {
                    self.bytes.push(b'"');
                    rest = behind;
                }
                None => return rest,
            }
        }
    }
}

/// Why there is no next record.
#[derive(Debug)]
pub(super) enum Broken {
    /// The file cannot be read.
    Input(std::io::Error),
    /// A record that begins on this line has no end.
    Endless(u32),
}

impl<R: BufRead> Records<R> {
    /// From the file's first byte on.
    pub fn new(input: R) -> Records<R> {
        Records { input, lines: 0, raw: Vec::new(), record: Record::default() }
    }

    /// The next record, or `None` at the end.
    pub fn next(&mut self) -> Result<Option<&Record>, Broken> {
        self.raw.clear();
        self.record.line = self.lines + 1;
        let mut open = false;
        loop {
            let room = (RECORD_BYTES - self.raw.len()) as u64;
            let before = self.raw.len();
            let read = (&mut self.input).take(room).read_until(b'\n', &mut self.raw).map_err(Broken::Input)?;
            if read == 0 && self.raw.len() == RECORD_BYTES {
                return Err(Broken::Endless(self.record.line));
            }
            let ended = self.raw.last() == Some(&b'\n');
            if !ended && read as u64 == room {
                return Err(Broken::Endless(self.record.line));
            }
            self.lines += u32::from(read > 0);
            if self.lines == 1 && before == 0 && self.raw.starts_with(b"\xEF\xBB\xBF") {
                self.raw.drain(..3);
            }
            open ^= self.raw[self.raw.len() - read.min(self.raw.len())..].iter().filter(|byte| **byte == b'"').count() % 2 == 1;
            if open && read > 0 {
                continue;
            }
            if open {
                return Err(Broken::Endless(self.record.line));
            }
            let line = self.raw.strip_suffix(b"\n").unwrap_or(&self.raw);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                self.record.split(line);
                return Ok(Some(&self.record));
            }
            if read == 0 {
                return Ok(None);
            }
            self.raw.clear();
            self.record.line = self.lines + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<(u32, Vec<String>)> {
        let mut records = Records::new(text);
        let mut found = Vec::new();
        while let Some(record) = records.next().expect("well formed") {
            let fields = (0..record.len()).filter_map(|i| record.field(i)).map(|f| String::from_utf8_lossy(f).into_owned());
            found.push((record.line, fields.collect()));
        }
        found
    }

    fn row(line: u32, fields: &[&str]) -> (u32, Vec<String>) {
        (line, fields.iter().map(|f| (*f).to_owned()).collect())
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let expected = vec![row(1, &["a", "b"]), row(2, &["1", "x\r\ny"]), row(4, &["3", "4"]), row(6, &["5", "6"])];
        assert_eq!(all(b"a,b\r\n1,\"x\r\ny\"\r\n3,4\r\n\r\n5,6"), expected);
        assert_eq!(all(b"\xEF\xBB\xBFa\n\n\nb\n"), vec![row(1, &["a"]), row(4, &["b"])]);
    }

    #[test]
    fn quotes_hold_commas_and_quotes() {
        assert_eq!(all(b"\"a,\"\"b\"\"\",,\"\"\n"), vec![row(1, &["a,\"b\"", "", ""])]);
        assert_eq!(all(b"a,\n"), vec![row(1, &["a", ""])]);
        assert_eq!(all(b""), vec![]);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_told_with_its_line() {
        let mut records = Records::new(&b"a\n\"b\nc\n"[..]);
        assert!(records.next().is_ok());
        assert!(matches!(records.next(), Err(Broken::Endless(2))));
        let long = format!("a\n\"{}", "x\n".repeat(RECORD_BYTES));
        let mut records = Records::new(long.as_bytes());
        assert!(records.next().is_ok());
        assert!(matches!(records.next(), Err(Broken::Endless(2))));
    }
}
