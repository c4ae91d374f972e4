//! What only mail has to do: sessions that die, logins, TLS, pace, addresses.

mod stands;

use bytes::Bytes;
use channels::DkimSettings;
use fakes::{Mode, relay::Tls};
use mail_parser::{MessageParser, MimeHeaders};
use model::Timestamp;
use model::channel::{Address, Grade, LetterFile};
use model::outcome::Outcome;
use model::time::Clock;
use stands::{PASSWORD, authority, code, relay_stand, words};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_mail_has_its_envelope_and_its_own_fields() {
    let stand = relay_stand("email", Tls::Starttls, |_, _| {}).await;
    let rendered = stand.channel.render(&words(".\n..\nlast"));
    assert_eq!(stand.tell_with(3, &rendered, |_| {}).await, Outcome::Accepted);
    let mail = stand.relay().mails(1).pop().expect("it arrived");
    assert!(mail.tls);
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("carillon@example.org", ["person3@example.net".to_owned()].as_slice()));
    for field in [
        "Message-ID: <AAAAAAAAAAAAAAAAAAAADg.3.0@example.org>\r\n".to_owned(),
        "To: =?UTF-8?B?Wm/Dqw==?=\r\n <person3@example.net>\r\n".into(),
    ] {
        assert!(mail.content.contains(&field), "{field}\n{}", mail.content);
    }
    assert!(mail.content.contains("\r\n=2E\r\n=2E.\r\nlast\r\n"), "{}", mail.content);
}

#[tokio::test]
async fn a_kept_session_that_has_died_is_replaced_once_and_the_mail_passes() {
    for pipelining in [true, false] {
        let stand = relay_stand("email", Tls::None, |options, _| options.pipelining = pipelining).await;
        stand.set_mode(Mode::Goaway { after: 1, abrupt: false });
        for n in 0..5 {
            assert_eq!(stand.tell(n).await, Outcome::Accepted, "pipelining {pipelining}, mail {n}");
            assert_eq!(stand.reached(n), 1);
        }
        assert_eq!(stand.connections(), 5);
    }
}

#[tokio::test]
async fn a_fresh_session_that_is_closed_at_once_is_not_tried_again_here() {
    let stand = relay_stand("email", Tls::None, |_, _| {}).await;
    stand.set_mode(Mode::Goaway { after: 0, abrupt: false });
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::TryLater { cause, .. } if cause.whole_channel && cause.status == 421), "{outcome:?}");
    assert_eq!(stand.connections(), 1);
}

#[tokio::test]
async fn refused_recipients_leave_the_session_usable() {
    for pipelining in [true, false] {
        let stand = relay_stand("email", Tls::None, |options, _| options.pipelining = pipelining).await;
        for n in 0..6 {
            if n % 2 == 0 {
                stand.relay().answer(&stand.address(n), Some("550 5.1.1 no such user"));
            }
            let outcome = stand.tell(n).await;
            assert_eq!(outcome.word(), if n % 2 == 0 { "address_gone" } else { "accepted" }, "{outcome:?}");
        }
        assert_eq!(stand.connections(), 1, "pipelining {pipelining}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_our_fault_for_everybody() {
    let stand = relay_stand("email", Tls::Implicit, |options, settings| {
        options.login = Some(("carillon".into(), PASSWORD.into()));
        (settings.username, settings.password) = (Some("carillon".into()), Some("wrong".into()));
    })
    .await;
    for _ in 0..3 {
        let outcome = stand.tell(1).await;
        assert!(matches!(&outcome, Outcome::OurFault(c) if c.whole_channel && c.code == "5.7.8" && c.status == 535), "{outcome:?}");
    }
    assert_eq!(stand.connections(), 1, "an account is not locked by trying again and again");
}

#[tokio::test]
async fn a_missing_login_is_our_fault() {
    let stand = relay_stand("email", Tls::None, |options, _| options.login = Some(("u".into(), "p".into()))).await;
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::OurFault(c) if c.whole_channel && c.code == "5.7.0"), "{outcome:?}");
}

#[tokio::test]
async fn without_starttls_on_offer_nothing_is_sent_in_clear() {
    let stand = relay_stand("email", Tls::None, |_, settings| {
        settings.tls = channels::EmailTls::Starttls;
        settings.ca_pem = Some(authority().pem().to_owned());
    })
    .await;
    let outcome = stand.tell(1).await;
    assert!(matches!(&outcome, Outcome::OurFault(c) if c.whole_channel && c.code == "starttls_not_offered"), "{outcome:?}");
    assert_eq!(stand.relay().stats().accepted, 0);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_in_tls_failed() {
    for tls in [Tls::Starttls, Tls::Implicit] {
        let stand = relay_stand("email", tls, |_, settings| settings.ca_pem = Some(authority().pem().to_owned())).await;
        let outcome = stand.tell(1).await;
        assert!(
            matches!(&outcome, Outcome::TryLater { cause, .. } if cause.whole_channel) && code(&outcome) == "tls_failed",
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn the_pace_of_the_relay_is_kept() {
    let stand = relay_stand("email", Tls::None, |_, settings| settings.per_second = Some(20)).await;
    let began = Instant::now();
    let outcomes = futures_util::future::join_all((0..7).map(|n| stand.tell(n))).await;
    assert!(outcomes.iter().all(|o| *o == Outcome::Accepted), "{outcomes:?}");
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
}

#[tokio::test]
async fn addresses_that_no_relay_can_take_never_leave() {
    let stand = relay_stand("email", Tls::None, |_, _| {}).await;
    for (email, expected) in [("nobody", "5.1.3"), ("a@b>\r\nRCPT TO:<c@d", "5.1.3"), ("zoë@example.org", "5.6.7")] {
        let outcome = stand.tell_with(1, &stand.rendered, |l| l.address = Address::Mailbox { email, name: "" }).await;
        assert_eq!(code(&outcome), expected, "{email:?} {outcome:?}");
    }
    assert_eq!(stand.relay().stats().accepted, 0);
    assert_eq!(stand.tell(1).await, Outcome::Accepted);
}

#[tokio::test]
async fn a_mail_above_the_relays_size_is_rejected_without_being_sent() {
    let stand = relay_stand("email", Tls::None, |options, _| options.size = 1500).await;
    assert_eq!(stand.tell(1).await, Outcome::Accepted);
    let rendered = stand.channel.render(&words(&"x".repeat(3000)));
    let outcome = stand.tell_with(2, &rendered, |_| {}).await;
    assert!(matches!(&outcome, Outcome::Rejected(cause) if cause.code == "5.3.4"), "{outcome:?}");
}

/// A large recording that is no text.
fn recording(bytes: usize) -> LetterFile {
    let bytes: Vec<u8> = (0..bytes).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    LetterFile { name: "Message de Zoë.wav".into(), media_type: "audio/wav".into(), bytes: bytes.into() }
}

/// An Ed25519 key as `openssl genpkey` writes it.
fn dkim(domain: &str) -> DkimSettings {
    let key_pem =
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    DkimSettings { domain: domain.into(), selector: "carillon1".into(), key_pem: key_pem.into() }
}

#[tokio::test]
async fn a_file_of_8_mib_arrives_whole_in_a_signed_mail_and_is_shared_by_all_its_letters() {
    for tls in [Tls::None, Tls::Starttls] {
        let stand = relay_stand("email", tls, |options, settings| {
            options.size = 16 << 20;
            settings.deadlines.data = Duration::from_secs(60);
            settings.dkim = Some(dkim("example.org"));
        })
        .await;
        let files = [recording(8 << 20)];
        let sent = files[0].bytes.clone();
        let rendered = stand.channel.render(&words("Listen"));
        let (rendered, files): (&'static _, &'static [LetterFile]) = (Box::leak(Box::new(rendered)), files.to_vec().leak());
        assert_eq!(stand.tell_with(1, rendered, |letter| letter.files = files).await, Outcome::Accepted);
        let mail = stand.relay().mails(1).pop().expect("it arrived").content;
        assert!(mail.starts_with("DKIM-Signature: v=1; a=ed25519-sha256;"), "{}", &mail[..200]);
        let read = MessageParser::new().parse(mail.as_bytes()).expect("a mail");
        let file = read.attachment(0).expect("the file");
        assert!(file.contents() == &sent[..], "{} bytes of {} arrived", file.contents().len(), sent.len());
        assert_eq!(file.attachment_name(), Some("Message de Zoë.wav"));
        assert_eq!(stand.tell(2).await, Outcome::Accepted, "the session is as usable as before");
        assert_eq!(stand.connections(), 1);
    }
}

#[tokio::test]
async fn a_file_that_the_relay_would_not_take_is_rejected_before_it_is_sent() {
    let stand = relay_stand("email", Tls::None, |options, _| options.size = 100_000).await;
    let rendered: &'static _ = Box::leak(Box::new(stand.channel.render(&words("Listen"))));
    for (bytes, code_expected) in [(70_000, "accepted"), (75_000, "5.3.4")] {
        let files: &'static [LetterFile] = vec![recording(bytes)].leak();
        let outcome = stand.tell_with(1, rendered, |letter| letter.files = files).await;
        assert_eq!(code(&outcome), code_expected, "base64 is a third longer than {bytes}: {outcome:?}");
    }
    let empty: &'static [LetterFile] = vec![LetterFile { bytes: Bytes::new(), ..recording(0) }].leak();
    assert_eq!(stand.tell_with(2, rendered, |letter| letter.files = empty).await, Outcome::Accepted);
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
}

#[tokio::test]
async fn the_probe_says_what_dns_has_to_hold_and_whether_the_sender_is_of_that_domain() {
    let record = "carillon1._domainkey.example.org TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"";
    for (domain, grade) in [("example.org", Grade::Fine), ("example.com", Grade::Doubtful)] {
        let stand = relay_stand("email", Tls::None, |_, settings| settings.dkim = Some(dkim(domain))).await;
        let probe = stand.channel.probe(&Stopped).await;
        let first = &probe.findings[0];
        assert_eq!((first.step, first.grade), ("DKIM", grade), "{first:?}");
        assert!(first.found.ends_with(&record.replace("example.org", domain)), "{}", first.found);
        assert!(probe.findings[1..].iter().all(|finding| finding.grade == Grade::Fine), "the relay is looked at all the same");
    }
    let stand = relay_stand("email", Tls::None, |_, _| {}).await;
    assert!(stand.channel.probe(&Stopped).await.findings.iter().all(|finding| finding.step != "DKIM"));
}
