//! What another implementation says of our signatures: Python's `dkimpy`, from PyPI, with the DNS records that we say have to
//! be published. Where Python or PyPI is out of reach this says so and is skipped.

mod stands;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use channels::{DkimKey, DkimSettings};
use fakes::relay::Tls;
use model::channel::LetterFile;
use model::outcome::Outcome;
use model::source::{Mail, Words};
use serde_json::{Value, json};
use stands::python::{ask, python, skipped};
use stands::{relay_stand, words};

/// The versions that were there when this was written.
const PACKAGES: [&str; 2] = ["dkimpy==1.1.8", "pynacl==1.6.1"];

/// Reads mails, TXT records and changes to try, and prints for each mail whether it verifies, and after which changes it does.
const SCRIPT: &str = r#"
import json, sys
import dkim
asked = json.load(sys.stdin)
def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return asked["dns"][name.rstrip(".")].encode()
def verifies(mail):
    return dkim.verify(mail.encode(), dnsfunc=txt)
def after(mail, old, new):
    assert old in mail, old
    return verifies(mail.replace(old, new, 1))
print(json.dumps([[verifies(mail), [after(mail, old, new) for old, new in asked["changes"]]] for mail in asked["mails"]]))
"#;

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

fn keys() -> [(&'static str, String); 2] {
    let rsa = KeyPair::generate(KeySize::Rsa2048).expect("chance");
    let rsa: Pkcs8V1Der<'_> = rsa.as_der().expect("a key can be written");
    let ed25519 = Ed25519KeyPair::generate_pkcs8v1(&aws_lc_rs::rand::SystemRandom::new()).expect("chance");
    [("rsa1", pem(rsa.as_ref())), ("ed1", pem(ed25519.as_ref()))]
}

#[tokio::test]
async fn dkimpy_takes_our_signatures_and_notices_changes() {
    let python = match python("dkimpy", &PACKAGES, "import dkim, nacl.signing") {
        Ok(python) => python,
        Err(why) => return skipped("verification of DKIM signatures by Python's dkimpy", &why),
    };
    let (mut mails, mut dns) = (Vec::new(), serde_json::Map::new());
    for (selector, key) in keys() {
        let record = DkimKey::parse(&key).expect("a key").record("example.org", selector);
        dns.insert(record.name, record.value.into());
        let dkim = DkimSettings { domain: "example.org".into(), selector: selector.into(), key_pem: key };
        let stand = relay_stand("email", Tls::None, |_, settings| settings.dkim = Some(dkim)).await;
        let mail = Mail { text: String::new(), html: String::new(), thread: Some("telephony\nLyon\n42".into()), ..words("").mail };
        let plain = Words { mail, ..words("Short  text with  spaces \n\n\n.\n\n") };
        let rich = Words { mail: Mail { thread: plain.mail.thread.clone(), ..words("Zoë\n").mail }, ..words("") };
        let name = "Message de Zoë.wav".to_owned();
        let file = [LetterFile { name, media_type: "audio/wav".into(), bytes: Bytes::from(vec![b'.'; 300_000]) }];
        for (n, words, files) in [(1, &plain, &[][..]), (2, &rich, &[][..]), (3, &rich, &file[..])] {
            let rendered = stand.channel.render(words);
            let rendered: &'static _ = Box::leak(Box::new(rendered));
            let files: &'static [LetterFile] = files.to_vec().leak();
            assert_eq!(stand.tell_with(n, rendered, |letter| letter.files = files).await, Outcome::Accepted);
        }
        mails.extend(stand.relay().mails(3).into_iter().map(|mail| mail.content));
    }
    assert_eq!(mails.len(), 6);
    let changes = [
        ("\r\nX-Carillon-Event: ", "\r\nX-Carillon-Event:   ", true),
        ("\r\nAuto-Submitted: ", "\r\nReceived: by relay\r\nAuto-Submitted: ", true),
        ("Title of the secret", "Title of the public", false),
        ("References: <thread.", "References: <thread.0", false),
        ("X-Carillon-Kind: custom.notification", "X-Carillon-Kind: call.missed", false),
        ("\r\n\r\n", "\r\n\r\nAdded\r\n", false),
        ("\r\nFrom: ", "\r\nFrom: Mallory <m@example.net>\r\nFrom: ", false),
        ("\r\nFrom: ", "\r\nReply-To: m@example.net\r\nFrom: ", false),
    ];
    let tried: Vec<Value> = changes.iter().map(|(old, new, _)| json!([old, new])).collect();
    let said = ask(&python, SCRIPT, &json!({ "mails": mails, "dns": dns, "changes": tried }));
    let expected: Vec<bool> = changes.iter().map(|(.., still)| *still).collect();
    assert_eq!(said, Value::from(vec![json!([true, expected]); mails.len()]));
}
