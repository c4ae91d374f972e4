//! A mail: what is the same for every recipient (made once) and what is not (made per letter).

use super::attach;
use super::encode::{header, is_address, mailbox, quoted_printable};
use super::parcel::{Parcel, Piece};
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use model::channel::{Letter, LetterFile, Rendered};
use model::ids::WireId;
use model::source::Words;
use model::time::Timestamp;

/// Who sends.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    /// `local@domain`.
    pub(super) address: String,
    /// Display name, may be empty.
    pub(super) name: String,
}

impl Sender {
    /// The domain of the address, for message and list ids.
    pub(super) fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// The common header fields, and the text as a MIME entity: its own fields, an empty line, its body; 7-bit throughout. A mail
/// without HTML is plain text alone; words that are no mail lend their title and body.
pub(super) fn render(words: &Words, sender: &Sender) -> Rendered {
    let subject = if words.mail.subject.trim().is_empty() { &words.title } else { &words.mail.subject };
    let text = if words.mail.text.trim().is_empty() { &words.body } else { &words.mail.text };
    let mut head = header("Subject", subject);
    let (name, address) = author(words, sender);
    head.push_str(&format!("From: {}\r\n", mailbox(name, address, "From: ".len())));
    head.push_str("MIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n");
    head.push_str(&format!("X-Carillon-Event: {}\r\nX-Carillon-Kind: {}\r\n", words.event, words.kind));
    head.push_str(&format!("List-Id: <{}.{}>\r\nContent-Language: {}\r\n", words.kind, sender.domain(), words.locale));
    let part = |kind: &str, text: &str| {
        format!("Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}", quoted_printable(text))
    };
    let thread = words.mail.thread.clone().unwrap_or_default();
    if words.mail.html.trim().is_empty() {
        return Rendered { head: head.into(), body: part("plain", text).into(), thread };
    }
    // "=_" cannot occur in quoted-printable text (RFC 2045 §6.7).
    let boundary = format!("=_{}", words.event.simple());
    let (plain, html) = (part("plain", text), part("html", &words.mail.html));
    let fields = format!("Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n");
    let body = format!("{fields}\r\n--{boundary}\r\n{plain}\r\n--{boundary}\r\n{html}\r\n--{boundary}--\r\n");
    Rendered { head: head.into(), body: body.into(), thread }
}

/// Name and address of whom the mail is from: what the words say, as long as it can stand in a header and travel in ASCII.
fn author<'a>(words: &'a Words, sender: &'a Sender) -> (&'a str, &'a str) {
    match &words.mail.from {
        Some((name, address)) if is_address(address) && address.is_ascii() => (name, address),
        Some(_) | None => (&sender.name, &sender.address),
    }
}

/// The mail of one letter. Neither the text nor a file is copied.
pub(super) fn parcel(letter: &Letter<'_>, name: &str, email: &str, sender: &Sender) -> Parcel {
    let Letter { wire, now, content, files, collapse_key, .. } = *letter;
    let domain = sender.domain();
    // The key stands for the event, of which there is one in the world: another store under the same domain has other ids.
    let id = match wire.parts() {
        Some((_, person, seq)) => format!("{collapse_key}.{:x}.{seq:x}@{domain}", person.0),
        None => format!("{collapse_key}.{wire}@{domain}"),
    };
    let mut head = format!("Date: {}\r\nTo: {}\r\nMessage-ID: <{id}>\r\n", date(now), mailbox(name, email, "To: ".len()));
    if !content.thread.is_empty() {
        let root = format!("<thread.{}@{domain}>", root(&content.thread, wire, email));
        head.push_str(&format!("In-Reply-To: {root}\r\nReferences: {root}\r\n"));
    }
    let mut head = head.into_bytes();
    head.extend_from_slice(&content.head);
    if !files.is_empty() {
        let boundary = format!("=_files_{wire}");
        head.extend_from_slice(format!("Content-Type: multipart/mixed;\r\n boundary=\"{boundary}\"\r\n").as_bytes());
        return Parcel::new(head, mixed(&boundary, &content.body, files));
    }
    let end = content.body.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 2);
    head.extend_from_slice(&content.body[..end]);
    let body = content.body.slice((end + 2).min(content.body.len())..);
    Parcel::new(head, vec![Piece::Text(body)])
}

/// The text, and the files after it.
fn mixed(boundary: &str, text: &Bytes, files: &[LetterFile]) -> Vec<Piece> {
    let mut pieces = vec![Piece::Text(format!("--{boundary}\r\n").into()), Piece::Text(text.clone())];
    for file in files {
        pieces.push(Piece::Text(format!("\r\n--{boundary}\r\n{}", attach::header(file)).into()));
        pieces.push(Piece::File(file.bytes.clone()));
    }
    pieces.push(Piece::Text(format!("\r\n--{boundary}--\r\n").into()));
    pieces
}

/// The name of a mail that was never sent, to which all mails of one thread to one recipient answer: so mail programs show
/// them together, whichever came first. Nothing of the thread's word can be read from it.
fn root(thread: &str, wire: WireId, email: &str) -> String {
    let mut digest = Context::new(&SHA256);
    let person = wire.parts().map_or(0, |(_, person, _)| person.0);
    for part in [thread.as_bytes(), &person.to_be_bytes(), email.to_lowercase().as_bytes()] {
        digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    // Half of it is more than enough, and keeps the line short.
    digest.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A date of RFC 5322 §3.3, in UTC.
fn date(now: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests;
