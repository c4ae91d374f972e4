//! A relay's reply (RFC 5321 §4.2) and how it is read.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Most bytes of one reply, all its lines together.
const MOST_BYTES: usize = 64 << 10;

/// One whole reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// Three digits.
    pub(super) code: u16,
    /// Enhanced status code (RFC 2034), when the text begins with one.
    pub(super) enhanced: Option<String>,
    /// The text of all lines, without codes. It may hold an address and must not be logged.
    pub(super) text: String,
}

impl Reply {
    /// Whether it is of the kind 2xx.
    pub(super) fn positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// Reads one reply whose lines are already there.
    fn parse(lines: &[&str]) -> Option<Reply> {
        let mut reply = Reply::default();
        for (i, line) in lines.iter().enumerate() {
            let code: u16 = line.get(..3)?.parse().ok()?;
            if !(200..600).contains(&code) || (i > 0 && code != reply.code) {
                return None;
            }
            reply.code = code;
            let mut text = line.get(4..).unwrap_or("");
            if let Some((first, rest)) = text.split_once(' ').or(Some((text, "")))
                && is_enhanced(first, code)
            {
                reply.enhanced = Some(first.to_owned());
                text = rest;
            }
            if i > 0 {
                reply.text.push('\n');
            }
            reply.text.push_str(text);
        }
        Some(reply)
    }

    #[cfg(test)]
    pub(super) fn of_line(line: &str) -> Reply {
        Reply::parse(&[line]).expect("a reply line")
    }
}

/// `class.subject.detail`, of the same class as the basic code (RFC 2034 §4).
fn is_enhanced(word: &str, code: u16) -> bool {
    let mut parts = word.split('.');
    let number = |part: Option<&str>| part.is_some_and(|p| (1..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()));
    parts.next() == Some(&(code / 100).to_string()) && number(parts.next()) && number(parts.next()) && parts.next().is_none()
}

/// What came in and was not read yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Whether something came that nobody asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Reads the next reply.
    ///
    /// # Errors
    /// When the connection ends or the other side does not speak SMTP.
    pub(super) async fn reply<S: AsyncRead + Unpin + ?Sized>(&mut self, stream: &mut S) -> io::Result<Reply> {
        loop {
            if let Some(reply) = self.take()? {
                return Ok(reply);
            }
            if self.bytes.len() > MOST_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if stream.read_buf(&mut self.bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<Reply>> {
        let mut end = 0;
        while let Some(length) = self.bytes[end..].iter().position(|b| *b == b'\n') {
            let last = self.bytes.get(end + 3) != Some(&b'-');
            end += length + 1;
            if last {
                let text = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
                let lines: Vec<_> = text.lines().collect();
                let reply = Reply::parse(&lines).ok_or(io::ErrorKind::InvalidData)?;
                self.bytes.drain(..end);
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn replies_are_read_whole_and_in_order() {
        let mut stream: &[u8] = b"250-first\r\n250-SIZE 10\r\n250 last\r\n550 5.1.1 no <a@b>\r\n354\r\n450 4.1 short\r\n";
        let mut inbox = Inbox::default();
        let hello = inbox.reply(&mut stream).await.expect("three lines");
        assert_eq!((hello.code, hello.text.as_str(), hello.enhanced), (250, "first\nSIZE 10\nlast", None));
        let refused = inbox.reply(&mut stream).await.expect("one line");
        assert_eq!((refused.code, refused.enhanced.as_deref(), refused.text.as_str()), (550, Some("5.1.1"), "no <a@b>"));
        assert_eq!(inbox.reply(&mut stream).await.expect("no text").code, 354);
        assert_eq!(inbox.reply(&mut stream).await.expect("no enhanced code").enhanced, None);
        assert!(inbox.is_empty());
        assert_eq!(inbox.reply(&mut stream).await.expect_err("the end").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_is_not_smtp_is_an_error() {
        for mut wrong in ["HTTP/1.1 400 Bad\r\n", "250-a\r\n251 b\r\n", "99 x\r\n", "999 x\r\n"].map(str::as_bytes) {
            assert!(Inbox::default().reply(&mut wrong).await.is_err());
        }
    }
}
