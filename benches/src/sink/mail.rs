//! The sink as a mail relay: SMTP in clear with PIPELINING, as far as its two clients need it. It takes every mail whole,
//! checks recipient, subject and body, and counts each person.

use super::{Shared, locked};
use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Whom the limit program writes to.
pub const LIMIT: &str = "limit@bench.example.org";
/// Most bytes of a mail; more is no mail of a campaign.
const MOST_BYTES: usize = 64 << 10;
/// Bytes read at once.
const READ: usize = 64 << 10;

/// What a connection waits for.
enum Awaits {
    Command,
    Data,
}

/// Serves one connection until it ends.
pub async fn serve(account: Shared, mut stream: TcpStream) {
    // A caller that goes away in the middle is its own affair.
    let _ = talk(&account, &mut stream).await;
}

async fn talk(account: &Shared, stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"220 sink ESMTP\r\n").await?;
    let (mut awaits, mut recipient, mut waiting, mut said) = (Awaits::Command, String::new(), Vec::with_capacity(READ), Vec::new());
    loop {
        let mut used = 0;
        loop {
            let rest = &waiting[used..];
            match awaits {
                Awaits::Command => {
                    let Some(end) = rest.iter().position(|b| *b == b'\n') else { break };
                    let line = String::from_utf8_lossy(&rest[..end]).trim_end().to_owned();
                    used += end + 1;
                    if line.eq_ignore_ascii_case("DATA") {
                        said.extend_from_slice(b"354 go on\r\n");
                        awaits = Awaits::Data;
                    } else if command(&line, &mut recipient, &mut said) {
                        stream.write_all(&said).await?;
                        return Ok(());
                    }
                }
                Awaits::Data => {
                    let Some(end) = end_of_mail(rest) else { break };
                    let taken = locked(account).take_mail(&recipient, &rest[..end], crate::clock::unix_micros());
                    said.extend_from_slice(if taken { b"250 taken\r\n" } else { b"554 not what was expected\r\n" });
                    used += end + b"\r\n.\r\n".len();
                    awaits = Awaits::Command;
                }
            }
        }
        waiting.drain(..used);
        if !said.is_empty() {
            stream.write_all(&said).await?;
            said.clear();
        }
        if waiting.len() > MOST_BYTES || stream.read_buf(&mut waiting).await? == 0 {
            return Ok(());
        }
    }
}

/// Answers a command; whether the connection ends with it.
fn command(line: &str, recipient: &mut String, said: &mut Vec<u8>) -> bool {
    let verb = line.get(..4).unwrap_or(line).to_ascii_uppercase();
    let reply: &[u8] = match verb.as_str() {
        "EHLO" => b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
        "HELO" | "MAIL" | "RSET" | "NOOP" => b"250 yes\r\n",
        "RCPT" => {
            let address = line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(address, _)| address);
            address.unwrap_or_default().clone_into(recipient);
            b"250 yes\r\n"
        }
        "QUIT" => b"221 bye\r\n",
        _ => b"500 what\r\n",
    };
    said.extend_from_slice(reply);
    verb == "QUIT"
}

/// Where the line with a single dot begins, less the line break before it.
fn end_of_mail(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|b| *b == b'.') {
        let at = from + at;
        if at >= 2 && &bytes[at - 2..at] == b"\r\n" && bytes.get(at + 1..at + 3) == Some(b"\r\n") {
            return Some(at - 2);
        }
        from = at + 1;
    }
    None
}

/// The number of the person behind a mailbox of the campaign.
pub fn person(recipient: &str) -> Option<u32> {
    recipient.strip_prefix('p')?.strip_suffix("@bench.example.org")?.parse().ok()
}

/// Subject and body of a mail: what the campaign's mails have in common.
pub fn subject_and_body(mail: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = mail.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = &mail[..end];
    let subject = head.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Subject: "))?;
    Some((subject.trim_ascii_end(), &mail[end + 4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_ends_at_a_dot_alone_on_its_line() {
        assert_eq!(end_of_mail(b"a\r\n.\r\nQUIT\r\n"), Some(1));
        assert_eq!(end_of_mail(b"a.b\r\n..\r\nc\r\n.\r\n"), Some(10));
        assert_eq!(end_of_mail(b"a\r\n.\r"), None);
        assert_eq!(end_of_mail(b"a\n.\n"), None);
    }

    #[test]
    fn commands_that_came_together_are_answered_in_order() {
        let (mut recipient, mut said) = (String::new(), Vec::new());
        for line in ["EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<p7@bench.example.org>"] {
            assert!(!command(line, &mut recipient, &mut said));
        }
        assert_eq!(person(&recipient), Some(7));
        assert!(command("QUIT", &mut recipient, &mut said) && said.ends_with(b"250 yes\r\n250 yes\r\n221 bye\r\n"));
    }

    #[test]
    fn subject_and_body_are_found() {
        let mail = b"From: a\r\nSubject: Meeting moved\r\nTo: b\r\n\r\nbody\r\nmore";
        assert_eq!(subject_and_body(mail), Some((&b"Meeting moved"[..], &b"body\r\nmore"[..])));
        assert_eq!(subject_and_body(b"no head"), None);
    }
}
