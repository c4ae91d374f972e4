//! A real post office: what Carillon sends goes through Postfix into Dovecot's mailboxes and is read there as a mail program
//! reads it: whole, signed, in its reader's language, in its conversation.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use stories::telephony::{self, POLICY, called_in, data_url, leg, mailbox, say, seconds, voice_mail, wav};
use stories::{Api, Letter, Org, PostOffice, SOON, Server, at, eventually, free_port, python, python_with_dkim, shared_database, when};

const PARIS: &str = "+33155501234";
const DKIM: &str = "dkim_domain = \"example.org\"\ndkim_selector = \"story1\"\ndkim_key_file = \"dkim.pem\"\n";

/// A server that sends through the post office and signs what it sends.
async fn server(office: &PostOffice, database: Option<String>) -> (Server, Api) {
    let mut server = Server::prepare(&format!("{}{}", at(database), office.sections(DKIM)));
    let key = KeyPair::generate(KeySize::Rsa2048).expect("chance");
    let der: Pkcs8V1Der<'_> = key.as_der().expect("a key can be written");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let file = server.folder().write("dkim.pem", &pem);
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("our own file");
    server.restart().await;
    let api = Api::new(&server.url(), &server.token());
    (server, api)
}

/// The record that the doctor tells the domain to publish: name and text.
fn record(server: &Server) -> (String, String) {
    let said = server.cli(&["doctor", "--config", "carillon.toml", "--data", "data", "--json"]);
    let checks = said.json()["checks"].as_array().cloned().unwrap_or_default();
    let dkim = checks.iter().find(|check| check["step"] == "DKIM").expect("the doctor looks at the signatures");
    let line = dkim["found"].as_str().unwrap_or_default();
    let (before, after) = line.split_once(" TXT ").expect("a record");
    let name = before.rsplit(' ').next().unwrap_or_default();
    // The strings of the record, joined as receivers join them.
    let text: String = after.split("\" \"").map(|part| part.trim_start_matches('"')).collect::<Vec<_>>().concat();
    let text = text.split('"').next().unwrap_or_default();
    assert!(name == "story1._domainkey.example.org" && text.starts_with("v=DKIM1"), "{line}");
    (name.to_owned(), text.to_owned())
}

async fn act(api: &Api, person: &str, act: &str, given: Value) {
    let path = format!("conferencing-users/{person}@example.org");
    match act {
        "change" => drop(api.patch(&path, &given).await),
        _ => drop(api.ask(Method::POST, &format!("{path}/{act}"), Some(&given), &[]).await.with(200)),
    }
}

/// A mail that carries a PIN: the PIN's line first, then that of the conference ID, each undivided; and nothing above them says what
/// follows.
fn carries_a_pin(letter: &Letter, names: [&str; 2]) -> (String, String) {
    let [(first, pin), (second, id)] = names.map(|name| letter.line(name));
    assert!(first < second && pin.len() == 5 && id.len() == 9, "{}", letter.plain());
    assert!(format!("{pin}{id}").bytes().all(|byte| byte.is_ascii_digit()), "{}", letter.plain());
    let text = letter.plain();
    let above = text.lines().take(first).chain([letter.header("Subject")]).collect::<String>().to_lowercase();
    assert!(!above.contains("pin") && !above.contains("code"), "{text}");
    (pin, id)
}

/// What holds for every mail.
fn is_well_made(letter: &Letter, kind: &str, language: &str) {
    assert_eq!(letter.header("X-Carillon-Kind"), kind);
    assert!(letter.header("X-Carillon-Event").parse::<uuid::Uuid>().is_ok());
    assert_eq!((letter.header("From"), letter.header("Content-Language")), ("Example Org <notifications@example.org>", language));
    assert_eq!(letter.header("Auto-Submitted"), "auto-generated");
    assert!(letter.header("Return-Path").contains("notifications@example.org"), "{:?}", letter.headers);
    assert!(letter.header("References").starts_with("<thread.") && letter.header("References") == letter.header("In-Reply-To"));
    assert_eq!(letter.parts.get(1).map(|part| part.media_type.as_str()), Some("text/html"));
    assert!(letter.html().contains(&format!("lang=\"{language}\"")) && letter.html().contains("Example Org"), "{}", letter.html());
}

/// Python's dkimpy takes the signatures with the record that the doctor told, and none of a mail that was changed.
fn are_signed(letters: &[&Letter], (name, text): &(String, String)) {
    let script = "import base64,dkim,json,sys\nasked=json.load(sys.stdin)\n\
                  def txt(name,timeout=5):\n return asked['text'].encode() if name.decode().rstrip('.')==asked['name'] else b''\n\
                  def both(raw):\n mail=base64.b64decode(raw)\n \
                  return [dkim.verify(mail,dnsfunc=txt),dkim.verify(mail.replace(b'Subject: ',b'Subject: Not ',1),dnsfunc=txt)]\n\
                  print(json.dumps([both(raw) for raw in asked['mails']]))";
    let mails: Vec<String> = letters.iter().map(|letter| STANDARD.encode(&letter.raw)).collect();
    match python_with_dkim(script, &json!({"name": name, "text": text, "mails": mails})) {
        Some(said) => assert_eq!(said, Value::from(vec![json!([true, false]); letters.len()])),
        None => println!("SKIPPED: the signatures of mails that were delivered (it takes the Debian package python3-dkim)"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_land_whole_and_signed_in_real_mailboxes_in_both_languages() {
    mails_land_whole(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_land_whole_and_signed_in_real_mailboxes_in_both_languages_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    mails_land_whole(Some(database)).await;
}

async fn mails_land_whole(database: Option<String>) {
    let Some(office) = PostOffice::open("mails through a real Postfix and Dovecot").await else { return };
    let (server, api) = server(&office, database).await;
    let mut org = Org::new();
    org.person("ines").person_with("bruno", |row| (row.locale, row.timezone) = ("fr".into(), "Europe/Paris".into()));
    org.import(&api).await;
    let bridge = json!({"name": "Paris", "serviceNumbers": [{"number": PARIS, "primaryLanguage": "fr-FR"}], "defaultServiceNumber": PARIS});
    api.post("conferencing-bridges", &bridge).await.with(201);
    telephony::dial_plan(&api).await;
    mailbox(&api, "bruno", POLICY, "102").await;

    act(&api, "ines", "enable", json!({"bridgeName": "Paris"})).await;
    act(&api, "bruno", "enable", json!({"bridgeName": "Paris"})).await;
    let audio = wav("bruno");
    let words =
        json!({"legId": "voice", "recording": data_url(&audio, "msg0000.wav"), "caller": {"number": "+33472999999", "name": "Zoé"}});
    say(&api, &[leg("c-1", "102", "no_answer", &json!({})), leg("c-1", "102", "voice_message", &words)]).await.with(202);
    office.has("ines", 1).await;
    act(&api, "ines", "change", json!({"resetLeaderPin": true})).await;
    let ines = office.has("ines", 2).await;
    let bruno = office.has("bruno", 2).await;

    let names = ["PIN", "Conference ID"];
    is_well_made(&ines[0], "conferencing.enabled", "en");
    is_well_made(&ines[1], "conferencing.pin_reset", "en");
    let (first, second) = (carries_a_pin(&ines[0], names), carries_a_pin(&ines[1], names));
    assert!(first.0 != second.0 && first.1 == second.1, "a new PIN for the same conference");
    assert!(ines[0].plain().contains(PARIS), "{}", ines[0].plain());
    assert_eq!(ines[0].header("References"), ines[1].header("References"), "one conversation");
    is_well_made(&bruno[0], "conferencing.enabled", "fr");
    carries_a_pin(&bruno[0], ["Code PIN", "Identifiant de conférence"]);

    let voice = &bruno[1];
    is_well_made(voice, "voicemail.received", "fr");
    assert!(voice.header("Subject").contains("Zoé"), "{:?}", voice.headers);
    let [_, paris] = called_in("Europe/Paris");
    assert!(voice.plain().replace('\u{a0}', " ").contains(&paris), "{}", voice.plain());
    assert!(voice.plain().contains("tel:+33472999999") && voice.html().contains("href=\"tel:+33472999999\""), "{}", voice.plain());
    let attached = voice.attached();
    assert_eq!(attached.len(), 1);
    assert_eq!((attached[0].name.as_str(), attached[0].media_type.as_str()), ("msg0000.wav", "audio/wav"));
    assert!(attached[0].content == audio, "byte for byte");
    assert!((seconds(&attached[0].content) - 0.5).abs() < 0.01, "it plays");
    assert!(voice.header("References") != bruno[0].header("References"), "another conversation");
    are_signed(&[&ines[0], &ines[1], &bruno[0], voice], &record(&server));
    assert!(office.log().contains("status=sent"), "{}", office.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_in_front_keeps_voice_mails_while_carillon_is_away() {
    kept_while_away(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_in_front_keeps_voice_mails_while_carillon_is_away_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    kept_while_away(Some(database)).await;
}

async fn kept_while_away(database: Option<String>) {
    let Some(office) = PostOffice::open("voice mails through a real Postfix").await else { return };
    let port = free_port();
    let listen = format!("[integrations.smtp_in]\nlisten = \"127.0.0.1:{port}\"\nprotocol = \"lmtp\"\ndial_plan = \"Lyon\"\n");
    let mut server = Server::start(&format!("{}{}\n{listen}", at(database), office.sections(""))).await;
    let api = Api::new(&server.url(), &server.token());
    Org::new().person("ada").person("bruno").import(&api).await;
    telephony::dial_plan(&api).await;
    mailbox(&api, "ada", POLICY, "101").await;
    mailbox(&api, "bruno", POLICY, "102").await;
    office.hands_voice_mail_to(port);
    let sent = |extensions: &[&str], audio: &[u8]| {
        let script = "import json,smtplib,sys\nasked=json.load(sys.stdin)\nserver=smtplib.SMTP('127.0.0.1',asked['port'])\n\
                      print(json.dumps(server.sendmail('',asked['to'],asked['mail'])))";
        let to: Vec<String> = extensions.iter().map(|extension| format!("{extension}@voicemail.example.org")).collect();
        let asked = json!({"port": office.port(), "to": to, "mail": voice_mail(extensions[0], audio, "")});
        assert_eq!(python(script, &asked), json!({}), "Postfix takes them all");
    };
    let (ada, bruno) = (wav("ada"), wav("bruno"));
    // One who is unknown does not hold up the other.
    sent(&["101", "999"], &ada);
    let mails = office.has("ada", 1).await;
    assert!(mails[0].attached().len() == 1 && mails[0].attached()[0].content == ada, "{:?}", mails[0].headers);
    eventually("the refusal", SOON, async || when(office.log().contains("550 5.1.1"))).await;
    server.kill9();
    sent(&["102"], &bruno);
    eventually("a try", SOON, async || when(office.log().contains("status=deferred"))).await;
    server.restart().await;
    office.tries_again();
    let mails = office.has("bruno", 1).await;
    assert!(mails[0].attached().len() == 1 && mails[0].attached()[0].content == bruno, "{:?}", mails[0].headers);
    assert_eq!((office.mails("ada").len(), office.mails("bruno").len()), (1, 1));
}
