//! Signatures held against the example of RFC 8463 and against a verifier in a few lines; `tests/dkim_python.rs` holds them
//! against another implementation.

use super::*;
use crate::email::parcel::Piece;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use bytes::Bytes;
use std::sync::LazyLock;

/// The private key of RFC 8463 appendix A.
const RFC_SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

/// An RSA key of 1,024 bits (PKCS #8), which no library makes any more; made for this test.
const SMALL: &str = "\
    MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAO2L3xdhfbrbuo3r+ograK/eWt9NR3IYAr/Ia3fGEjEElUEczm2SSUezeZq6TMHpT67TNXlx\
    e8UyxMsXYdqAbzNKzAeJgRVD2F6MAQ3hjudwnDItr8JW6sspBqOR/NRM/wygsE/RS8SdCMtnbeENWw/gxKqEUwS6nBZQrgML9APlAgMBAAECgYAhLgJRP7rS\
    GNLr8+QglP+gYQyMWDz8gMIRi6sHJdFwq1U1rRJgV6iIrVb098S06SPKJZI4jlNdbgPy4ic23+2oFYlu86MxJlINPUHhU7dZo4EIuk2rSyGHfEzSZ4EUcjNY\
    PZ2y/0VClqEduoAwa/MkggHVlgGomKfvKbZBuVRuAQJBAPtjf/Z79n3YoCMq4FALwrVI6h3wzVfXOO2Dmp5GUZT/ZXptPAab1Sj3eI64mdQuY0uw515xXgyQ\
    uKBfQkXNd8ECQQDx516L21EugILchz3paw4OMo4M/oHBIwwOiLhmqtJ/ZsdlL+AjuTlXqZ2xq4UxIewlCUIsclRzhl15kQxLJvUlAkEAhWj8k/adjZPVCFTM\
    zi4vmr2jYVhV4XQahhH9kFmJGiWf2ST3Yhp5OVB77mIRYQVtNNIhN4G6g7iaAqILLbgpAQJARJd9eJy0lUH9WTjD9mbTsnTlUIvuEOy2I3zjBMGVNGjZSzjb\
    DmYb+15uB44CE19yDUJl0CKPDb7gzHKzkK+4PQJBAMTNBlsRMQLpOp8fyrQZ3BOampQ2EEYe8dkGhF0zjohZOJ0sgtaN+67HoHd5bORwlKO4fvhOHXm7WTmC\
    Z7BDiJ8=";

static RSA: LazyLock<String> = LazyLock::new(|| {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("chance");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("a key can be written");
    pem("PRIVATE KEY", der.as_ref())
});

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

fn ed25519() -> String {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(STANDARD.decode(RFC_SEED).expect("base64"));
    pem("PRIVATE KEY", &der)
}

fn settings(key_pem: &str) -> DkimSettings {
    DkimSettings { domain: "Example.org".into(), selector: "carillon1".into(), key_pem: key_pem.into() }
}

fn mail() -> Parcel {
    let head = "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nTo: =?UTF-8?B?Wm/Dqw==?=\r\n <zoe@example.net>\r\nMessage-ID: <a@example.org>\r\n\
                Subject: Two  spaces\r\nFrom: Carillon <carillon@example.org>\r\nX-Carillon-Kind: call.missed\r\nX-Other: free\r\n";
    let text = |text: &'static str| Piece::Text(Bytes::from_static(text.as_bytes()));
    let file = Piece::File(Bytes::from(vec![7; 200_000]));
    Parcel::new(head.into(), vec![text("Hello  world \r\n\r\n"), file, text("end\r\n\r\n\r\n")])
}

/// What a receiver does, with the key from the record.
fn verified(parcel: &Parcel, record: &DkimRecord) -> bool {
    let fields = relaxed::fields(parcel.head());
    let (_, own) = &fields[0];
    let value = own.strip_prefix("dkim-signature:").expect("the signature comes first").trim_end();
    let tag = |name: &str| value.split("; ").find_map(|tag| tag.strip_prefix(name)).expect("a tag").replace(' ', "");
    let mut left = fields[1..].to_vec();
    let mut input = String::new();
    for name in tag("h=").split(':') {
        if let Some(at) = left.iter().rposition(|(field, _)| field == name) {
            input.push_str(&left.remove(at).1);
        }
    }
    let signature = value.rsplit_once("b=").expect("a signature").1;
    input.push_str(own.trim_end().strip_suffix(signature).expect("it comes last"));
    let public = STANDARD.decode(record.value.rsplit_once("p=").expect("a key").1).expect("base64");
    let signature = STANDARD.decode(signature.replace(' ', "")).expect("base64");
    let right = match tag("a=").as_str() {
        "rsa-sha256" => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).verify(input.as_bytes(), &signature),
        _ed25519 => UnparsedPublicKey::new(&ED25519, public).verify(hash(input.as_bytes()).as_ref(), &signature),
    };
    right.is_ok() && tag("bh=") == body_hash(parcel)
}

#[test]
fn the_example_of_rfc_8463_comes_out_to_the_letter() {
    let head = b"From: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\nSubject: Is dinner ready?\r\n\
        Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\nMessage-ID: <20030712040037.46341.5F8J@football.example.com>\r\n";
    let body = "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
    let parcel = Parcel::new(head.to_vec(), vec![Piece::Text(Bytes::from_static(body.as_bytes()))]);
    assert_eq!(body_hash(&parcel), "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
    let own = b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n \
        q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date : message-id : from : subject : date;\r\n \
        bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b=\r\n";
    let mut input: String = relaxed::fields(parcel.head()).into_iter().map(|(_, canonical)| canonical).collect();
    input.push_str(relaxed::fields(own)[0].1.trim_end());
    let key = DkimKey::parse(&ed25519()).expect("a key");
    let signature = STANDARD.encode(key.sign(input.as_bytes()).expect("signed"));
    assert_eq!(signature, "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
    let record = key.record("football.example.com", "brisbane");
    let expected = "brisbane._domainkey.football.example.com TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"";
    assert_eq!(record.to_string(), expected);
}

#[test]
fn a_signed_mail_is_right_and_any_change_that_a_reader_would_see_is_noticed() {
    for key in [RSA.clone(), ed25519()] {
        let signer = Signer::new(&settings(&key)).expect("good settings");
        let record = signer.record();
        let mut parcel = mail();
        signer.sign(&mut parcel, Timestamp(1_700_000_000_000)).expect("signed");
        assert!(verified(&parcel, &record));
        let head = String::from_utf8(parcel.head().to_vec()).expect("ASCII");
        assert!(head.starts_with("DKIM-Signature: v=1; a=") && head.contains(" d=example.org;") && head.contains("t=1700000000;"));
        assert!(head.lines().all(|line| line.len() <= 78), "{head}");
        let with = |from: &str, to: &str| {
            assert!(head.contains(from));
            verified(&parcel.with_head(head.replace(from, to).into()), &record)
        };
        assert!(with("Subject: Two  spaces", "subject:  Two spaces "), "white space may change");
        assert!(with("X-Other: free", "X-Other: changed"), "what is not signed may change");
        assert!(!with("Two  spaces", "Two spices"));
        assert!(!with("call.missed", "voicemail.received"));
        assert!(!with("X-Other: free\r\n", "From: Mallory <m@example.com>\r\n"), "no second author");
        assert!(!with("X-Other: free\r\n", "Reply-To: m@example.com\r\n"), "nobody else gets the answers");
        let other = Parcel::new(head.clone().into(), vec![Piece::Text(Bytes::from_static(b"Hello\r\n"))]);
        assert!(!verified(&other, &record), "no other text");
    }
}

#[test]
fn a_key_that_cannot_sign_is_named_with_what_is_wrong_and_nothing_of_it() {
    let wrong = |pem: &str| DkimKey::parse(pem).err().expect("refused");
    assert!(wrong("secret").starts_with("holds no private key"));
    assert!(wrong(&pem("PRIVATE KEY", b"secret")).starts_with("holds a key that is neither"));
    assert!(wrong(&pem("CERTIFICATE", b"secret")).starts_with("holds no private key"));
    let small = wrong(&pem("PRIVATE KEY", &STANDARD.decode(SMALL).expect("base64")));
    assert!(small.contains("less than 2,048 bits"), "{small}");
    assert_eq!(DkimKey::parse(&RSA).expect("a key").to_string(), "an RSA key of 2048 bits");
    assert_eq!(DkimKey::parse(&ed25519()).expect("a key").to_string(), "an Ed25519 key");
    let rsa = Signer::new(&settings(&RSA)).expect("good settings").record().to_string();
    assert!(rsa.starts_with("carillon1._domainkey.example.org TXT \"v=DKIM1; k=rsa; p=MII"), "{rsa}");
    assert_eq!(rsa.matches('"').count(), 4, "two strings, each short enough for DNS");
}

#[test]
fn settings_that_no_receiver_could_look_up_are_refused() {
    let setting = |edit: fn(&mut DkimSettings)| {
        let mut settings = settings(&ed25519());
        edit(&mut settings);
        Signer::new(&settings).err().map(|error| error.setting)
    };
    assert_eq!(setting(|_| ()), None);
    for domain in ["", "localhost", "a..b", "exämple.org", "example.org;", "example.org."] {
        let refused = Signer::new(&DkimSettings { domain: domain.into(), ..settings(&ed25519()) }).err().map(|error| error.setting);
        assert_eq!(refused, Some("channels.email.dkim_domain"), "{domain:?}");
    }
    assert_eq!(setting(|s| s.selector = "a b".into()), Some("channels.email.dkim_selector"));
    assert_eq!(setting(|s| s.key_pem = "no".into()), Some("channels.email.dkim_key_file"));
    let signer = Signer::new(&settings(&ed25519())).expect("good settings");
    for (sender, stands) in [("example.org", true), ("Mail.Example.org", true), ("org", true), ("badexample.org", false), ("a.b", false)] {
        assert_eq!(signer.stands_for(sender), stands, "{sender}");
    }
}
