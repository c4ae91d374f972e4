//! Calls: what telephone systems say of them becomes exactly the right mails, on both stores, and every silence has its reason.

use serde_json::json;
use std::io::Write;
use std::process::Stdio;
use stories::telephony::{self, POLICY, called_in, data_url, events, leg, mailbox, say, seconds, voice_mail, wav, why_no_mail};
use stories::{Letter, Org, SOON, Stage, eventually, python, shared_database, when};

/// A mobile number in the directory.
const MOBILE: &str = "+33612345679";
/// Who is called: short name and extension.
const CALLED: [(&str, &str); 15] = [
    ("ada", "101"),
    ("bruno", "102"),
    ("cleo", "103"),
    ("dora", "104"),
    ("emil", "105"),
    ("fay", "106"),
    ("gil", "107"),
    ("hana", "108"),
    ("jo", "110"),
    ("kim", "111"),
    ("mia", "112"),
    ("nora", "113"),
    ("olaf", "114"),
    ("lea", "115"),
    ("pia", "116"),
];

/// The people of the stories, in Lyon, with their extensions; ivan is under a policy that mails no missed calls.
async fn lyon(stage: &Stage) {
    let mut org = Org::new();
    for name in ["ada", "cleo", "dora", "emil", "fay", "gil", "hana", "ivan", "kim", "mia", "nora", "olaf"] {
        org.person_with(name, |row| row.timezone = "Europe/Paris".into());
    }
    org.person_with("bruno", |row| (row.locale, row.timezone) = ("fr".into(), "Europe/Paris".into()));
    org.person_with("jo", |row| row.email.clear());
    org.person_with("lea", |row| (row.display_name, row.phones) = ("Léa Fontaine".into(), MOBILE.into()));
    org.person_with("pia", |row| (row.locale, row.timezone) = ("fr".into(), "America/Montreal".into()));
    org.import(&stage.api).await;
    telephony::dial_plan(&stage.api).await;
    stage.api.post("mailbox-policies", &json!({"name": "Quiet", "umDialPlan": telephony::PLAN})).await.with(201);
    stage.api.patch("mailbox-policies/Quiet", &json!({"allowMissedCallNotifications": false})).await;
    for (person, extension) in CALLED {
        mailbox(&stage.api, person, POLICY, extension).await;
    }
    mailbox(&stage.api, "ivan", "Quiet", "109").await;
    stage.api.patch("mailboxes/olaf@example.org", &json!({"missedCallNotificationEnabled": false})).await;
}

async fn open(database: Option<String>, edit: impl FnOnce(&mut stories::Scene)) -> Stage {
    let stage = Stage::with(|scene| {
        scene.database = database;
        edit(scene);
    })
    .await;
    lyon(&stage).await;
    stage
}

/// The mails so far, with the person whom each is for.
fn mails(stage: &Stage) -> Vec<(String, Letter)> {
    let received = stage.relay.mails(100);
    let to: Vec<String> =
        received.iter().map(|mail| mail.to.join(",").trim_end_matches("@mail.example.org").trim_matches(['<', '>']).to_owned()).collect();
    to.into_iter().zip(Letter::read(received.into_iter().map(|mail| mail.content.into_bytes()).collect())).collect()
}

/// The one mail for a person.
#[track_caller]
fn mail_of<'a>(mails: &'a [(String, Letter)], person: &str) -> &'a Letter {
    let own: Vec<&Letter> = mails.iter().filter(|(to, _)| to == person).map(|(_, letter)| letter).collect();
    assert_eq!(own.len(), 1, "mails of {person}: {mails:?}");
    own[0]
}

/// Waits until a person has an event of a type.
async fn judged(stage: &Stage, person: &str, kind: &str) -> String {
    eventually(&format!("{kind} of {person}"), SOON, async || {
        events(&stage.api, person, kind).await.into_iter().next().map(|(event, _)| event)
    })
    .await
}

async fn exactly_the_right_mails(database: Option<String>) {
    let stage = open(database, |_| {}).await;
    let audio = wav("hana");
    let none = json!({});
    let legs = vec![
        leg("c-ada", "101", "ringing", &json!({"caller": {"number": MOBILE, "name": "Wrong Name"}})),
        leg("c-ada", "101", "no_answer", &json!({"caller": {"number": MOBILE, "name": "Wrong Name"}})),
        leg("c-bruno", "102", "no_answer", &json!({"caller": {"number": "+33472999999", "name": "Zoé"}})),
        leg("c-cleo", "103", "ringing", &none),
        leg("c-cleo", "103", "cancelled", &none),
        leg("c-dora", "104", "busy", &none),
        leg("c-emil", "105", "ringing", &none),
        leg("c-emil", "105", "answered", &none),
        leg("c-emil", "105", "ended", &none),
        leg("c-ring", "106", "ringing", &none),
        leg("c-ring", "107", "ringing", &none),
        leg("c-ring", "107", "answered", &none),
        leg("c-ring", "106", "cancelled", &json!({"answeredElsewhere": true})),
        leg("c-hana", "108", "no_answer", &none),
        leg("c-hana", "108", "voice_message", &json!({"legId": "108-voice", "recording": data_url(&audio, "msg0000.wav")})),
        leg("c-ivan", "109", "no_answer", &none),
        leg("c-jo", "110", "no_answer", &none),
        leg("c-kim", "111", "no_answer", &json!({"caller": {"number": "anonymous", "name": "Anonymous"}})),
        leg("c-mia", "112", "no_answer", &json!({"caller": {"number": "115"}})),
        leg("c-nora", "113", "no_answer", &none),
        leg("c-olaf", "114", "no_answer", &none),
        leg("c-pia", "116", "unreachable", &json!({"caller": {}})),
    ];
    assert_eq!(say(&stage.api, &legs).await.with(202)["accepted"], legs.len());
    // The same again, in the other order, one by one.
    for leg in legs.iter().rev() {
        say(&stage.api, std::slice::from_ref(leg)).await.with(202);
    }
    for (person, _) in CALLED.iter().filter(|(person, _)| *person != "lea") {
        judged(&stage, person, "call.missed").await;
    }
    judged(&stage, "ivan", "call.missed").await;
    judged(&stage, "hana", "voicemail.received").await;
    eventually("the mails", SOON, async || when(stage.relay.stats().accepted >= 9)).await;
    // And once more, now that they were judged.
    say(&stage.api, &legs).await.with(202);
    the_mails_say(&mails(&stage), &audio);
    the_silences_have_reasons(&stage).await;
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let again = mails(&stage);
    assert_eq!(again.len(), 9, "{again:?}");
    for (person, _) in CALLED {
        assert!(events(&stage.api, person, "call.missed").await.len() <= 1, "{person} has a second event");
    }
}

fn the_mails_say(mails: &[(String, Letter)], audio: &[u8]) {
    let mut to: Vec<&str> = mails.iter().map(|(to, _)| to.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, ["ada", "bruno", "cleo", "dora", "hana", "kim", "mia", "nora", "pia"]);
    for (person, letter) in mails {
        let kind = if person == "hana" { "voicemail.received" } else { "call.missed" };
        assert_eq!(telephony::kind_of(letter), kind, "{person}");
        assert!(letter.header("X-Carillon-Event").parse::<uuid::Uuid>().is_ok(), "{person}: {:?}", letter.headers);
        assert_eq!(letter.header("Auto-Submitted"), "auto-generated");
    }
    let says = |person: &str, parts: &[&str]| {
        let letter = mail_of(mails, person);
        let text = format!("{}\n{}", letter.header("Subject"), letter.plain()).replace('\u{a0}', " ");
        for part in parts {
            assert!(text.contains(part), "{person}: {part:?} is not in {text}");
        }
        text
    };
    let [paris, paris_fr] = called_in("Europe/Paris");
    let [_, montreal_fr] = called_in("America/Montreal");
    // The directory's name wins over what the telephone system shows.
    let ada = says("ada", &["Missed call from Léa Fontaine", &paris, "tel:+33612345679", "You did not answer"]);
    assert!(!ada.contains("Wrong Name"), "{ada}");
    says("bruno", &["Zoé (+33 4 72 99 99 99)", &paris_fr, "tel:+33472999999"]);
    says("cleo", &["The caller hung up before anybody answered", "+33 6 12 34 56 78"]);
    says("dora", &["Your line was busy"]);
    let kim = says("kim", &["Missed call from an anonymous caller"]);
    assert!(!kim.contains("tel:") && !kim.contains("Number:") && !kim.contains("Anonymous "), "{kim}");
    says("mia", &["Missed call from Léa Fontaine", "tel:+33472100115"]);
    let pia = says("pia", &[&montreal_fr]);
    assert!(!pia.contains("tel:"), "{pia}");
    assert!(mail_of(mails, "ada").html().contains("href=\"tel:+33612345679\""));
    says("hana", &["Voice message from +33 6 12 34 56 78", "msg0000.wav"]);
    let hana = mail_of(mails, "hana").attached();
    assert_eq!(hana.len(), 1);
    assert_eq!((hana[0].name.as_str(), hana[0].media_type.as_str()), ("msg0000.wav", "audio/wav"));
    assert!(hana[0].content == audio, "byte for byte");
    assert!((seconds(&hana[0].content) - 0.5).abs() < 0.01, "it plays");
}

async fn the_silences_have_reasons(stage: &Stage) {
    let silent = [
        ("emil", "answered"),
        ("gil", "answered"),
        ("fay", "answered_elsewhere"),
        ("hana", "voice_message_left"),
        ("ivan", "policy_off"),
        ("jo", "no_email"),
        ("olaf", "preference_off"),
    ];
    for (person, reason) in silent {
        let event = judged(stage, person, "call.missed").await;
        assert_eq!(why_no_mail(&stage.api, &event, person).await.as_deref(), Some(reason), "{person}");
        let said = stage.server.cli(&["why", &event, &format!("{person}@example.org"), "--json"]).ended(0);
        assert!(said.out.contains(&format!("\"{reason}\"")), "{person}: {}", said.out);
        let by = match reason {
            "policy_off" => "AllowMissedCallNotifications",
            "preference_off" => "MissedCallNotificationEnabled",
            _ => continue,
        };
        assert!(said.out.contains(by), "{person}: what turned it off is not named: {}", said.out);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_is_told_to_whom_it_concerns_once_and_every_silence_has_its_reason() {
    exactly_the_right_mails(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_on_postgresql() {
    let Some(database) = shared_database() else { return };
    exactly_the_right_mails(Some(database)).await;
}

async fn killed_between_the_legs_and_the_judgement(database: Option<String>) {
    let mut stage = open(database, |_| {}).await;
    let legs = [leg("c-1", "101", "ringing", &json!({})), leg("c-1", "101", "cancelled", &json!({}))];
    say(&stage.api, &legs).await.with(202);
    stage.server.kill9();
    stage.server.restart().await;
    // Whoever had no answer says it again.
    say(&stage.api, &legs).await.with(202);
    let event = judged(&stage, "ada", "call.missed").await;
    eventually("the mail", SOON, async || when(stage.relay.stats().accepted > 0)).await;
    stage.server.kill9();
    stage.server.restart().await;
    say(&stage.api, &legs).await.with(202);
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let told = mails(&stage);
    assert_eq!(mail_of(&told, "ada").header("X-Carillon-Event"), event);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_the_legs_and_the_judgement_leaves_exactly_one_mail() {
    killed_between_the_legs_and_the_judgement(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_leaves_exactly_one_mail_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    killed_between_the_legs_and_the_judgement(Some(database)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_call_is_said_with_its_field_and_nothing_of_the_batch_is_taken() {
    let stage = open(None, |_| {}).await;
    let fine = leg("c-1", "101", "no_answer", &json!({}));
    let field = |reply: &stories::Reply| reply.body["errors"][0]["field"].as_str().unwrap_or_default().to_owned();
    let reply = say(&stage.api, &[fine.clone(), leg("c-2", "102", "no_answer", &json!({"dialPlan": "Marseille"}))]).await;
    assert_eq!((reply.status, field(&reply).as_str()), (422, "1.data.dialPlan"), "{}", reply.body);
    let reply = say(&stage.api, &[leg("c-2", "102", "asleep", &json!({}))]).await;
    assert_eq!((reply.status, field(&reply).as_str()), (422, "0.data.state"), "{}", reply.body);
    assert!(reply.body.to_string().contains("asleep") && reply.body.to_string().contains("voice_message"), "{}", reply.body);
    let reader = stage.api.with_token(&stage.api.token("auditor").await);
    assert_eq!(say(&reader, std::slice::from_ref(&fine)).await.problem(403), "forbidden");
    assert_eq!(say(&stage.api.with_token("car_nobody"), &[fine]).await.status, 401);
    let pbx = stage.api.with_token(&stage.api.token("telephony-admin").await);
    // An extension without a mailbox is nobody's, and no fault.
    say(&pbx, &[leg("c-3", "999", "no_answer", &json!({})), leg("c-4", "103", "no_answer", &json!({}))]).await.with(202);
    judged(&stage, "cleo", "call.missed").await;
    assert!(events(&stage.api, "ada", "call.missed").await.is_empty(), "the whole batch was refused");
}

/// Pipes a mail into the program; answers what it prints.
fn mailcmd(stage: &Stage, token: &str, mail: &str) -> String {
    let mut command = stage.server.cli_command(token, &["mailcmd", "--dial-plan", telephony::PLAN]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program can be started");
    child.stdin.take().expect("a pipe").write_all(mail.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voice_messages_come_by_mailcmd_and_by_smtp_with_their_audio() {
    let port = stories::free_port();
    let stage = open(None, |scene| {
        scene.more = format!("[integrations.smtp_in]\nlisten = \"127.0.0.1:{port}\"\ndial_plan = \"{}\"\n", telephony::PLAN);
    })
    .await;
    let (ada, cleo) = (wav("ada"), wav("cleo"));
    let token = stage.api.token("telephony-admin").await;
    // As a pipe from Asterisk has it: bare line feeds. And once more, as a script that had no answer would.
    let mail = voice_mail("101", &ada, "").replace("\r\n", "\n");
    for _ in 0..2 {
        assert_eq!(mailcmd(&stage, &token, &mail), "Taken for 101 in Lyon.");
    }
    let script = "import json,smtplib,sys\nasked=json.load(sys.stdin)\nserver=smtplib.SMTP('127.0.0.1',asked['port'])\nrefused=None\n\
                  try: server.sendmail('voicemail@example.org',['999@pbx'],asked['mail'])\n\
                  except smtplib.SMTPRecipientsRefused as e: refused=list(e.recipients.values())[0][0]\n\
                  server.sendmail('voicemail@example.org',['103@pbx'],asked['mail'])\nserver.quit()\nprint(json.dumps(refused))";
    assert_eq!(python(script, &json!({"port": port, "mail": voice_mail("103", &cleo, "")})), 550, "it is no relay");
    eventually("both mails", SOON, async || when(stage.relay.stats().accepted >= 2)).await;
    let told = mails(&stage);
    for (person, audio) in [("ada", &ada), ("cleo", &cleo)] {
        let letter = mail_of(&told, person);
        assert_eq!(telephony::kind_of(letter), "voicemail.received");
        assert_eq!(letter.header("Subject"), "Voice message from Léa Fontaine");
        let attached = letter.attached();
        assert!(attached.len() == 1 && attached[0].content == **audio && attached[0].name == "msg0000.wav", "{:?}", letter.headers);
        let missed = judged(&stage, person, "call.missed").await;
        assert_eq!(why_no_mail(&stage.api, &missed, person).await.as_deref(), Some("voice_message_left"));
    }
    assert_eq!(told.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_reported_and_mailed_is_told_once_whichever_comes_first() {
    let stage = open(None, |_| {}).await;
    let token = stage.api.token("telephony-admin").await;
    let (ada, cleo) = (wav("ada"), wav("cleo"));
    let reported = |call: &str, extension: &str| {
        let caller = json!({"number": "115"});
        let message = json!({"caller": caller, "recording": "msg0000"});
        [leg(call, extension, "no_answer", &json!({ "caller": caller })), leg(call, extension, "voice_message", &message)]
    };
    // To ada the report comes first, to cleo the mail. One names the call, the other does not.
    say(&stage.api, &reported("c-ada", "101")).await.with(202);
    mailcmd(&stage, &token, &voice_mail("101", &ada, "X-Voicemail-Call-ID: c-ada\r\n"));
    mailcmd(&stage, &token, &voice_mail("103", &cleo, ""));
    say(&stage.api, &reported("c-cleo", "103")).await.with(202);
    eventually("both mails", SOON, async || when(stage.relay.stats().accepted >= 2)).await;
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let told = mails(&stage);
    assert_eq!(told.len(), 2, "{told:?}");
    for (person, audio) in [("ada", &ada), ("cleo", &cleo)] {
        let letter = mail_of(&told, person);
        assert_eq!((telephony::kind_of(letter), letter.header("Subject")), ("voicemail.received", "Voice message from Léa Fontaine"));
        assert!(letter.attached().len() == 1 && letter.attached()[0].content == **audio, "{:?}", letter.headers);
        assert_eq!(events(&stage.api, person, "voicemail.received").await.len(), 1, "{person}");
    }
}
