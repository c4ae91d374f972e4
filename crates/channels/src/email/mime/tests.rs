//! Whole mails as they go on the wire, held against the files of `samples/` and against what two foreign parsers read of
//! them. After a wanted change run `UPDATE_SAMPLES=1 cargo test -p channels` and read the difference.

use super::*;
use mail_parser::{MessageParser, MimeHeaders};
use model::channel::Address;
use model::event::Urgency;
use model::source::Mail;
use model::text::Locale;
use model::{EventKey, PersonKey};
use std::path::Path;
use uuid::Uuid;

const TEXT: &str = "Bonjour Zoë,\n.\nFrom here = là\n";

fn words() -> Words {
    Words {
        event: Uuid::from_u128(0x1234),
        kind: "custom.notification",
        locale: Locale::Fr,
        private: false,
        title: "Ascenseur".into(),
        body: "En panne".into(),
        mail: Mail {
            subject: "L’ascenseur est en panne".into(),
            text: TEXT.into(),
            html: "<p>Bonjour Zoë,</p>\n<p>.</p>".into(),
            ..Mail::default()
        },
    }
}

fn sender() -> Sender {
    Sender { address: "carillon@example.org".into(), name: "Carillon, Été".into() }
}

/// A file that is no text and has several lines of base64.
fn wav(name: &str) -> LetterFile {
    let bytes: Vec<u8> = b"RIFF".iter().copied().chain((0u8..=200).map(|i| i.wrapping_mul(37))).collect();
    LetterFile { name: name.into(), media_type: "audio/wav".into(), bytes: bytes.into() }
}

/// What one person gets: all that follows DATA, less the final dot, with its dots doubled.
fn told(words: &Words, files: &[LetterFile], person: u32, email: &str) -> Vec<u8> {
    let rendered = render(words, &sender());
    let letter = Letter {
        wire: WireId::new(EventKey(1), PersonKey(person), 3),
        address: Address::Mailbox { email, name: "Zoë \"Z\"" },
        content: &rendered,
        files,
        urgency: Urgency::Normal,
        expires_at: Timestamp(1_700_000_001_000),
        now: Timestamp(1_700_000_000_000),
        collapse_key: "AAAAAAAAAAAAAAAAAAASNA",
    };
    let parcel = parcel(&letter, "Zoë \"Z\"", email, &sender());
    let (mut stretches, mut stretch, mut whole) = (parcel.wire(), Vec::new(), Vec::new());
    while stretches.next(&mut stretch) {
        whole.extend_from_slice(&stretch);
    }
    assert_eq!(parcel.size(), whole.len() as u64, "no line of a mail begins with a dot, so none is doubled");
    whole
}

fn whole(words: &Words, files: &[LetterFile]) -> String {
    String::from_utf8(told(words, files, 2, "zoe@example.net")).expect("7 bit")
}

fn threaded(thread: &str) -> Words {
    Words { mail: Mail { thread: Some(thread.into()), ..words().mail }, ..words() }
}

/// Field by field, in one line each.
fn field(mail: &str, name: &str) -> Option<String> {
    let (head, _) = mail.split_once("\r\n\r\n").expect("an empty line");
    let unfolded = head.replace("\r\n ", " ");
    unfolded.split("\r\n").find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
}

#[test]
fn a_mail_has_its_fields_in_7_bit_and_short_lines() {
    for files in [vec![], vec![wav("été.wav")]] {
        let mail = whole(&threaded("t"), &files);
        assert!(mail.is_ascii());
        for field in [
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
            "Message-ID: <AAAAAAAAAAAAAAAAAAASNA.2.3@example.org>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "X-Carillon-Event: 00000000-0000-0000-0000-000000001234\r\n",
            "X-Carillon-Kind: custom.notification\r\n",
            "List-Id: <custom.notification.example.org>\r\n",
            "Content-Language: fr\r\n",
            "MIME-Version: 1.0\r\n",
        ] {
            assert_eq!(mail.matches(field).count(), 1, "{field}");
        }
        assert!(mail.ends_with("--\r\n") && !mail.contains("\r\n."), "only its end ends it");
        assert!(mail.lines().all(|line| line.len() <= 78), "no line needs folding by a relay");
    }
}

#[test]
fn text_comes_before_html_and_a_mail_without_html_is_plain() {
    let mail = whole(&words(), &[]);
    assert!(mail.find("text/plain").expect("a text part") < mail.find("text/html").expect("an HTML part"));
    let plain = whole(&Words { mail: Mail::default(), ..words() }, &[]);
    assert!(plain.contains("Subject: Ascenseur\r\n") && plain.contains("\r\n\r\nEn panne\r\n"), "{plain}");
    assert!(!plain.contains("multipart"));
}

#[test]
fn mails_are_as_in_the_samples() {
    let plain = Words { mail: Mail { html: String::new(), ..words().mail }, ..words() };
    let from = Some(("Amos Marble".to_owned(), "amos.marble@example.com".to_owned()));
    let with_thread = Words { mail: Mail { from, ..threaded("telephony\nLyon\n42").mail }, ..words() };
    let french = wav("Message vocal de Zoë Lefèvre – 14 novembre 2023 à 22 h 13.wav");
    for (name, mail) in [
        ("plain", whole(&plain, &[])),
        ("alternative", whole(&words(), &[])),
        ("with_a_file_with_a_french_name", whole(&words(), std::slice::from_ref(&french))),
        ("plain_with_a_file", whole(&plain, &[wav("message.wav")])),
        ("with_thread_and_sender", whole(&with_thread, &[])),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/email/samples").join(name).with_extension("eml");
        let text = mail.replace("\r\n", "\n");
        assert!(!text.contains('\r'), "all lines end alike");
        if std::env::var_os("UPDATE_SAMPLES").is_some() {
            std::fs::write(&path, &text).expect("writable");
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
    }
}

#[test]
fn another_parser_reads_texts_files_and_names_as_they_were_meant() {
    let names = [
        "message.wav",
        "Message vocal de Zoë – 14 h 13.wav",
        "quoted \"name\"; with=signs\\and % percent.wav",
        "漢字かな交じり文の長い名前はいくつもの行に分けられなければならない.mp3",
        &format!("{}.ogg", "long plain name ".repeat(9).trim()),
        "it's %41 ’*UTF-8''x.wav",
    ];
    let files: Vec<LetterFile> =
        names.iter().map(|name| wav(name)).chain([LetterFile { bytes: Bytes::new(), ..wav("empty.wav") }]).collect();
    let mail = whole(&words(), &files);
    let read = MessageParser::new().parse(mail.as_bytes()).expect("a mail");
    assert_eq!(read.subject(), Some("L’ascenseur est en panne"));
    let from = read.from().and_then(|from| from.first()).expect("an author");
    assert_eq!((from.name(), from.address()), (Some("Carillon, Été"), Some("carillon@example.org")));
    let to = read.to().and_then(|to| to.first()).expect("an addressee");
    assert_eq!((to.name(), to.address()), (Some("Zoë \"Z\""), Some("zoe@example.net")));
    assert_eq!(read.body_text(0).map(|text| text.replace("\r\n", "\n").trim_end().to_owned()).as_deref(), Some(TEXT.trim_end()));
    assert!(read.body_html(0).is_some_and(|html| html.contains("<p>Bonjour Zoë,</p>")));
    let attached: Vec<_> = read.attachments().collect();
    assert_eq!(attached.len(), files.len());
    for (part, file) in attached.iter().zip(&files) {
        assert_eq!(part.attachment_name(), Some(file.name.replace('\\', "_").as_str()));
        assert_eq!(part.contents(), &file.bytes[..], "{}", file.name);
        let kind = part.content_type().expect("a type");
        assert_eq!((kind.ctype(), kind.subtype()), ("audio", Some("wav")));
        assert!(part.content_disposition().is_some_and(|disposition| disposition.is_attachment()));
    }
    assert_eq!((read.text_body_count(), read.html_body_count()), (1, 1), "the files are beside the texts, not among them");
}

#[test]
fn a_thread_has_one_root_for_each_person_and_each_event_a_mail_of_its_own() {
    let root = |thread: &str, person: u32, email: &str| {
        let mail = String::from_utf8(told(&threaded(thread), &[], person, email)).expect("7 bit");
        let (reply, references) = (field(&mail, "In-Reply-To"), field(&mail, "References"));
        assert_eq!(reply, references);
        assert_ne!(reply, field(&mail, "Message-ID"));
        reply.expect("a thread")
    };
    let one = root("telephony\nLyon\n42", 2, "zoe@example.net");
    assert!(one.starts_with("<thread.") && one.ends_with("@example.org>") && !one.contains("Lyon"), "{one}");
    assert_eq!(one, root("telephony\nLyon\n42", 2, "Zoe@Example.net"), "however an address is written");
    for other in [root("telephony\nLyon\n43", 2, "zoe@example.net"), root("telephony\nLyon\n42", 3, "zoe@example.net")] {
        assert_ne!(one, other);
    }
    let mail = whole(&words(), &[]);
    assert_eq!((field(&mail, "In-Reply-To"), field(&mail, "References")), (None, None));
    let read = MessageParser::new().parse(mail.as_bytes()).expect("a mail");
    assert_eq!(read.message_id(), Some("AAAAAAAAAAAAAAAAAAASNA.2.3@example.org"));
}

#[test]
fn the_author_of_the_words_wins_unless_it_would_break_the_header() {
    let from = |name: &str, address: &str| {
        let words = Words { mail: Mail { from: Some((name.into(), address.into())), ..words().mail }, ..words() };
        let mail = whole(&words, &[]);
        let read = MessageParser::new().parse(mail.as_bytes()).expect("a mail");
        let author = read.from().and_then(|from| from.first()).expect("an author").clone();
        assert!(read.header("Bcc").is_none() && read.header("X-Bad").is_none(), "{mail}");
        assert_eq!(mail.matches("\r\nFrom: ").count(), 1);
        (author.name().unwrap_or_default().to_owned(), author.address().unwrap_or_default().to_owned())
    };
    let pair = |name: &str, address: &str| (name.to_owned(), address.to_owned());
    assert_eq!(from("Amos Marble", "amos@example.com"), pair("Amos Marble", "amos@example.com"));
    assert_eq!(from("", "amos@example.com"), pair("", "amos@example.com"));
    assert_eq!(from("Zoé \"<x@y>\"", "amos@example.com"), pair("Zoé \"<x@y>\"", "amos@example.com"));
    assert_eq!(from("Amos\r\nBcc: x@y.z", "amos@example.com"), pair("Amos  Bcc: x@y.z", "amos@example.com"));
    for wrong in ["amos@example.com>\r\nX-Bad: 1", "amos@example.com, x@y.z", "nobody", "", "zoé@example.com", "a b@example.com"] {
        assert_eq!(from("Amos", wrong), pair("Carillon, Été", "carillon@example.org"), "{wrong:?}");
    }
}

/// Python's own mail parser reads what we wrote. Skipped, aloud, where there is no Python.
#[test]
fn a_foreign_parser_reads_the_mail_as_it_was_meant() {
    const SCRIPT: &str = r#"
import sys, json, email, email.policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
text = m.get_body(("plain",))
parts = [(p.get_content_type(), p.get_content()) for p in (text, m.get_body(("html",)))]
files = [(p.get_filename(), p.get_content_type(), p.get_content_disposition(), p.get_content().hex()) for p in m.iter_attachments()]
print(json.dumps({"subject": m["Subject"], "from": [m["From"].addresses[0].display_name, m["From"].addresses[0].addr_spec],
  "to": [m["To"].addresses[0].display_name, m["To"].addresses[0].addr_spec], "type": m.get_content_type(), "parts": parts,
  "files": files, "defects": [str(d) for p in m.walk() for d in p.defects]}))
"#;
    use std::io::Write;
    use std::process::{Command, Stdio};
    for files in [vec![], vec![wav("Été de Zoë, avec un nom qui ne tient pas sur une seule ligne.wav"), wav("b.wav")]] {
        let python = Command::new("python3").args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut python) = python else {
            eprintln!("SKIPPED: there is no python3 to parse the mail with");
            return;
        };
        let mail = whole(&words(), &files);
        python.stdin.take().expect("a pipe").write_all(mail.as_bytes()).expect("Python reads");
        let output = python.wait_with_output().expect("Python ends");
        let read: serde_json::Value = serde_json::from_slice(&output.stdout).expect("Python prints JSON");
        assert_eq!(read["subject"], "L’ascenseur est en panne");
        assert_eq!(read["from"], serde_json::json!(["Carillon, Été", "carillon@example.org"]));
        assert_eq!(read["to"], serde_json::json!(["Zoë \"Z\"", "zoe@example.net"]));
        assert_eq!(read["type"], if files.is_empty() { "multipart/alternative" } else { "multipart/mixed" });
        assert_eq!(read["defects"], serde_json::json!([]));
        assert_eq!(read["parts"][0][0], "text/plain");
        let text = read["parts"][0][1].as_str().expect("text");
        assert_eq!(text.replace("\r\n", "\n").trim_end(), TEXT.trim_end());
        assert_eq!(read["parts"][1][0], "text/html");
        assert!(read["parts"][1][1].as_str().expect("HTML").contains("<p>Bonjour Zoë,</p>"));
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        // An alternative's HTML is an attachment to Python where there is nothing else.
        let expected: Vec<_> = files.iter().map(|f| serde_json::json!([f.name, "audio/wav", "attachment", hex(&f.bytes)])).collect();
        if !files.is_empty() {
            assert_eq!(read["files"], serde_json::Value::from(expected));
        }
    }
}
