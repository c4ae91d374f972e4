//! A mail: what is the same for every recipient (made once) and what is not (made per letter).

use super::encode::{header, mailbox, quoted_printable, stuff_dots};
use bytes::Bytes;
use model::channel::Rendered;
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

/// The common header fields and the body, 7-bit throughout. A mail without HTML is plain text alone; words that are no
/// mail lend their title and body.
pub(super) fn render(words: &Words, sender: &Sender) -> Rendered {
    let subject = if words.mail.subject.trim().is_empty() { &words.title } else { &words.mail.subject };
    let text = if words.mail.text.trim().is_empty() { &words.body } else { &words.mail.text };
    let mut head = header("Subject", subject);
    head.push_str(&format!("From: {}\r\n", mailbox(&sender.name, &sender.address, "From: ".len())));
    head.push_str("MIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n");
    head.push_str(&format!("X-Carillon-Event: {}\r\nX-Carillon-Kind: {}\r\n", words.event, words.kind));
    head.push_str(&format!("List-Id: <{}.{}>\r\nContent-Language: {}\r\n", words.kind, sender.domain(), words.locale));
    let part = |kind: &str, text: &str| {
        format!("Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}", quoted_printable(text))
    };
    if words.mail.html.trim().is_empty() {
        let plain = part("plain", text);
        let (fields, body) = plain.split_once("\r\n\r\n").expect("the part has an empty line");
        head.push_str(fields);
        head.push_str("\r\n");
        return Rendered { head: head.into(), body: Bytes::from(body.to_owned()) };
    }
    // "=_" cannot occur in quoted-printable text (RFC 2045 §6.7).
    let boundary = format!("=_{}", words.event.simple());
    head.push_str(&format!("Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n"));
    let (plain, html) = (part("plain", text), part("html", &words.mail.html));
    let body = format!("--{boundary}\r\n{plain}\r\n--{boundary}\r\n{html}\r\n--{boundary}--\r\n");
    Rendered { head: head.into(), body: body.into() }
}

/// Everything that follows DATA for one recipient: header, body, the dot that ends it.
pub(super) fn content(wire: WireId, name: &str, email: &str, now: Timestamp, sender: &Sender, rendered: &Rendered) -> Vec<u8> {
    let own = format!("Date: {}\r\nTo: {}\r\nMessage-ID: <{wire}@{}>\r\n", date(now), mailbox(name, email, "To: ".len()), sender.domain());
    let mut out = Vec::with_capacity(own.len() + rendered.head.len() + rendered.body.len() + 64);
    stuff_dots(own.as_bytes(), &mut out);
    stuff_dots(&rendered.head, &mut out);
    out.extend_from_slice(b"\r\n");
    stuff_dots(&rendered.body, &mut out);
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// A date of RFC 5322 §3.3, in UTC.
fn date(now: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::source::Mail;
    use model::text::Locale;
    use model::{EventKey, PersonKey};
    use uuid::Uuid;

    pub(super) fn words() -> Words {
        Words {
            event: Uuid::from_u128(0x1234),
            kind: "custom.notification",
            locale: Locale::Fr,
            private: false,
            title: "Ascenseur".into(),
            body: "En panne".into(),
            mail: Mail {
                subject: "L’ascenseur est en panne".into(),
                text: "Bonjour Zoë,\n.\nFrom here = là\n".into(),
                html: "<p>Bonjour Zoë,</p>\n<p>.</p>".into(),
            },
        }
    }

    pub(super) fn whole(words: &Words) -> String {
        let sender = Sender { address: "carillon@example.org".into(), name: "Carillon, Été".into() };
        let wire = WireId::new(EventKey(1), PersonKey(2), 3);
        let content = content(wire, "Zoë \"Z\"", "zoe@example.net", Timestamp(1_700_000_000_000), &sender, &render(words, &sender));
        String::from_utf8(content).expect("7 bit")
    }

    #[test]
    fn a_mail_has_its_fields_and_ends_with_a_dot() {
        let mail = whole(&words());
        assert!(mail.is_ascii());
        for field in [
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
            "Message-ID: <00000000-0001-8ca7-8000-000000020003@example.org>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "X-Carillon-Event: 00000000-0000-0000-0000-000000001234\r\n",
            "X-Carillon-Kind: custom.notification\r\n",
            "List-Id: <custom.notification.example.org>\r\n",
            "Content-Language: fr\r\n",
            "MIME-Version: 1.0\r\n",
        ] {
            assert!(mail.contains(field), "{field}");
        }
        assert!(mail.ends_with("--\r\n.\r\n"));
        assert_eq!(mail.matches("\r\n.\r\n").count(), 1, "only its end ends it");
        assert!(mail.lines().all(|line| line.len() <= 78), "no line needs folding by a relay");
    }

    #[test]
    fn text_comes_before_html_and_a_mail_without_html_is_plain() {
        let mail = whole(&words());
        assert!(mail.find("text/plain").expect("a text part") < mail.find("text/html").expect("an HTML part"));
        let plain = whole(&Words { mail: Mail::default(), ..words() });
        assert!(plain.contains("Subject: Ascenseur\r\n") && plain.contains("\r\n\r\nEn panne\r\n"), "{plain}");
        assert!(!plain.contains("multipart"));
    }

    /// Python's own mail parser reads what we wrote. Skipped, aloud, where there is no Python.
    #[test]
    fn a_foreign_parser_reads_the_mail_as_it_was_meant() {
        const SCRIPT: &str = r#"
import sys, json, email, email.policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = [(p.get_content_type(), p.get_content()) for p in m.iter_parts()]
print(json.dumps({"subject": m["Subject"], "from": [m["From"].addresses[0].display_name, m["From"].addresses[0].addr_spec],
  "to": [m["To"].addresses[0].display_name, m["To"].addresses[0].addr_spec], "type": m.get_content_type(), "parts": parts,
  "defects": [str(d) for d in m.defects]}))
"#;
        use std::io::Write;
        use std::process::{Command, Stdio};
        let python = Command::new("python3").args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut python) = python else {
            eprintln!("SKIPPED: there is no python3 to parse the mail with");
            return;
        };
        let mail = whole(&words());
        let sent = mail.strip_suffix(".\r\n").expect("the final dot").replace("\r\n..", "\r\n.");
        python.stdin.take().expect("a pipe").write_all(sent.as_bytes()).expect("Python reads");
        let output = python.wait_with_output().expect("Python ends");
        let read: serde_json::Value = serde_json::from_slice(&output.stdout).expect("Python prints JSON");
        assert_eq!(read["subject"], "L’ascenseur est en panne");
        assert_eq!(read["from"], serde_json::json!(["Carillon, Été", "carillon@example.org"]));
        assert_eq!(read["to"], serde_json::json!(["Zoë \"Z\"", "zoe@example.net"]));
        assert_eq!(read["type"], "multipart/alternative");
        assert_eq!(read["defects"], serde_json::json!([]));
        assert_eq!(read["parts"][0][0], "text/plain");
        let text = read["parts"][0][1].as_str().expect("text");
        assert_eq!(text.replace("\r\n", "\n").trim_end(), "Bonjour Zoë,\n.\nFrom here = là");
        assert_eq!(read["parts"][1][0], "text/html");
        assert!(read["parts"][1][1].as_str().expect("HTML").contains("<p>Bonjour Zoë,</p>"));
    }
}
