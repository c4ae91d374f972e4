//! Mails as a mail program reads them, by Python's own library.

use crate::python::python;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Reads mails and prints for each its headers and the leaves of its tree, in their order.
const SCRIPT: &str = r"
import base64, email, email.policy, json, sys
def leaf(part):
    content = part.get_payload(decode=True) or b''
    return {'type': part.get_content_type(), 'disposition': part.get_content_disposition() or '', 'name': part.get_filename() or '',
            'content': base64.b64encode(content).decode()}
def letter(raw):
    mail = email.message_from_bytes(base64.b64decode(raw), policy=email.policy.default)
    return {'headers': [[name, str(value)] for name, value in mail.items()],
            'parts': [leaf(part) for part in mail.walk() if not part.is_multipart()]}
print(json.dumps([letter(raw) for raw in json.load(sys.stdin)]))
";

/// A leaf of a mail's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPart {
    /// Media type.
    pub media_type: String,
    /// `attachment`, `inline` or nothing.
    pub disposition: String,
    /// Name of the file.
    pub name: String,
    /// What it holds.
    pub content: Vec<u8>,
}

/// A mail.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The mail as it lay there.
    pub raw: Vec<u8>,
    /// Its headers, decoded, in their order.
    pub headers: Vec<(String, String)>,
    /// Its leaves, in their order.
    pub parts: Vec<LetterPart>,
}

impl Letter {
    /// Reads mails.
    ///
    /// # Panics
    /// When there is no Python, or a mail cannot be read.
    pub fn read(raws: Vec<Vec<u8>>) -> Vec<Letter> {
        let asked: Vec<String> = raws.iter().map(|raw| STANDARD.encode(raw)).collect();
        let said = python(SCRIPT, &json!(asked));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let part = |part: &Value| LetterPart {
            media_type: text(&part["type"]),
            disposition: text(&part["disposition"]),
            name: text(&part["name"]),
            content: STANDARD.decode(text(&part["content"])).expect("Base64 of Python's"),
        };
        let letter = |(raw, said): (Vec<u8>, Value)| Letter {
            raw,
            headers: list(&said["headers"]).iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
            parts: list(&said["parts"]).iter().map(part).collect(),
        };
        raws.into_iter().zip(list(&said)).map(letter).collect()
    }

    /// A header; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(one, _)| one.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// The plain text, with line feeds alone.
    ///
    /// # Panics
    /// When the first part is something else.
    #[track_caller]
    pub fn plain(&self) -> String {
        let first = self.parts.first().expect("a mail has a part");
        assert_eq!((first.media_type.as_str(), first.disposition.as_str()), ("text/plain", ""), "the plain part is the first");
        String::from_utf8(first.content.clone()).expect("UTF-8").replace("\r\n", "\n")
    }

    /// The HTML; empty when there is none.
    pub fn html(&self) -> String {
        let part = self.parts.iter().find(|part| part.media_type == "text/html");
        part.map(|part| String::from_utf8_lossy(&part.content).into_owned()).unwrap_or_default()
    }

    /// What is attached.
    pub fn attached(&self) -> Vec<&LetterPart> {
        self.parts.iter().filter(|part| part.disposition == "attachment").collect()
    }

    /// The value behind a name on a line of the plain text of its own, and the number of the line.
    ///
    /// # Panics
    /// When there is no such line.
    #[track_caller]
    pub fn line(&self, name: &str) -> (usize, String) {
        let text = self.plain();
        let value = |line: &str| {
            let rest = line.strip_prefix(name)?;
            rest.strip_prefix(": ").or_else(|| rest.strip_prefix("\u{a0}: ").or_else(|| rest.strip_prefix(" : "))).map(str::to_owned)
        };
        let found = text.lines().enumerate().find_map(|(number, line)| Some((number, value(line)?)));
        found.unwrap_or_else(|| panic!("no line {name:?} in {text}"))
    }
}
