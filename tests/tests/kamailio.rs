//! Real Kamailio, with the configuration that the manual gives, and telephones by sipp: a call that rings out, one that the caller
//! cancels, one to a busy telephone, one that is answered, and one to no telephone. Exactly the right mails arrive in real mailboxes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use stories::telephony::{self, POLICY, events, mailbox, why_no_mail};
use stories::{Api, Folder, Org, PostOffice, SOON, Server, Switchboard, at, eventually, shared_database, when};

const MANUAL: &str = include_str!("../../docs/src/integrations/cloudevents.md");

/// What a telephone does with a call: a scenario of sipp between two tags.
const RINGS: &str = r#"<send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0

]]></send>"#;
const GIVES_UP: &str = r#"<recv request="CANCEL"/><send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send><send><![CDATA[
SIP/2.0 487 Request Terminated
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
CSeq: 1 INVITE
Content-Length: 0

]]></send><recv request="ACK"/>"#;
const BUSY: &str = r#"<send><![CDATA[
SIP/2.0 486 Busy Here
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send><recv request="ACK"/>"#;
const TAKES: &str = r#"<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0

]]></send><recv request="ACK"/><recv request="BYE"/><send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>"#;

/// What a caller does first.
const CALLS: &str = r#"<send><![CDATA[
INVITE sip:[service]@127.0.0.1:PHONE SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: "Bob" <sip:101@127.0.0.1>;tag=[call_number]
To: <sip:[service]@127.0.0.1>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:101@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Length: 0

]]></send><recv response="100" optional="true"/>"#;
const HEARS_RINGING: &str = r#"<recv response="180"/>"#;
const CANCELS: &str = r#"<pause milliseconds="300"/><send><![CDATA[
CANCEL sip:[service]@127.0.0.1:PHONE SIP/2.0
[last_Via:]
From: "Bob" <sip:101@127.0.0.1>;tag=[call_number]
To: <sip:[service]@127.0.0.1>
Call-ID: [call_id]
CSeq: 1 CANCEL
Max-Forwards: 70
Content-Length: 0

]]></send><recv response="200"/>"#;
const TALKS: &str = r#"<recv response="200" rrs="true"/><send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[routes]
From: "Bob" <sip:101@127.0.0.1>;tag=[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send><pause milliseconds="300"/><send><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[routes]
From: "Bob" <sip:101@127.0.0.1>;tag=[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send><recv response="200"/>"#;

/// Takes the refusal of a call, which every caller confirms.
fn refused(status: u16) -> String {
    format!(
        "<recv response=\"{status}\"/><send><![CDATA[\nACK sip:[service]@127.0.0.1:PHONE SIP/2.0\n[last_Via:]\n\
         From: \"Bob\" <sip:101@127.0.0.1>;tag=[call_number]\n[last_To:]\nCall-ID: [call_id]\nCSeq: 1 ACK\nMax-Forwards: 70\n\
         Content-Length: 0\n\n]]></send>"
    )
}

/// One side of a call, at work.
struct Telephone {
    sipp: Child,
    what: String,
    log: std::path::PathBuf,
}

impl Telephone {
    /// Starts sipp with a scenario; `to` is where a caller sends to, and which extension is called.
    fn start(folder: &Folder, what: &str, port: u16, scenario: &str, to: Option<(u16, &str)>) -> Telephone {
        let scenario = format!("<?xml version=\"1.0\"?><scenario name=\"{what}\">{scenario}</scenario>");
        let file = folder.write(&format!("{what}.xml"), &scenario);
        let log = folder.path().join(format!("{what}.log"));
        let out = std::fs::File::create(&log).expect("a log can be written");
        let mut sipp = Command::new("sipp");
        if let Some((proxy, extension)) = to {
            sipp.arg(format!("127.0.0.1:{proxy}")).args(["-s", extension]);
        }
        sipp.arg("-sf").arg(file).args(["-i", "127.0.0.1", "-m", "1", "-nostdin", "-timeout", "20s", "-timeout_error"]);
        // It takes several ports in a row for sound, which nobody hears here.
        let sound = [(); 6].map(|()| stories::free_port())[0];
        sipp.args(["-p", &port.to_string(), "-mp", &sound.to_string()]).current_dir(folder.path());
        let errors = out.try_clone().expect("the same file");
        let child = sipp.env("TERM", "dumb").stdin(Stdio::null()).stdout(out).stderr(errors).spawn();
        Telephone { sipp: child.expect("sipp can be started"), what: what.to_owned(), log }
    }

    async fn done(mut self) {
        let status = eventually(&format!("{} to be done", self.what), SOON, async || self.sipp.try_wait().ok().flatten()).await;
        let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
        assert!(status.success(), "{}: {status}\n{}", self.what, log());
    }
}

impl Drop for Telephone {
    fn drop(&mut self) {
        let _ = self.sipp.kill();
        let _ = self.sipp.wait();
    }
}

/// One call through the switchboard: from `caller`'s scenario to `phone`'s.
async fn call(folder: &Folder, board: &Switchboard, extension: &str, caller: &str, phone: Option<&str>) {
    let port = stories::free_port();
    let phone = phone.map(|scenario| {
        let scenario = format!("<recv request=\"INVITE\"/>{scenario}");
        Telephone::start(folder, &format!("phone-{extension}"), port, &scenario, None)
    });
    if phone.is_some() {
        eventually("the telephone", SOON, async || when(stories::listens_to_udp(port))).await;
    }
    let scenario = format!("{CALLS}{caller}").replace("PHONE", &port.to_string());
    let to = Some((board.port(), extension));
    Telephone::start(folder, &format!("caller-{extension}"), stories::free_port(), &scenario, to).done().await;
    if let Some(phone) = phone {
        phone.done().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_through_a_real_kamailio_are_told_in_real_mailboxes_exactly_when_they_were_missed() {
    through_a_real_kamailio(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_through_a_real_kamailio_are_told_in_real_mailboxes_exactly_when_they_were_missed_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    through_a_real_kamailio(Some(database)).await;
}

async fn through_a_real_kamailio(database: Option<String>) {
    if !Path::new("/usr/bin/sipp").exists() || !Switchboard::is_there() {
        println!("SKIPPED: calls through a real Kamailio (it takes the Debian packages kamailio, kamailio-utils-modules and sip-tester)");
        return;
    }
    let Some(office) = PostOffice::open("calls through a real Kamailio").await else { return };
    let server = Server::start(&format!("{}{}", at(database), office.sections(""))).await;
    let api = Api::new(&server.url(), &server.token());
    let people = [("rings", "102"), ("cancels", "103"), ("busy", "104"), ("answers", "105"), ("away", "106")];
    let mut org = Org::new();
    for (person, _) in people {
        org.person(person);
    }
    org.person("bob").import(&api).await;
    telephony::dial_plan(&api).await;
    mailbox(&api, "bob", POLICY, "101").await;
    for (person, extension) in people {
        mailbox(&api, person, POLICY, extension).await;
    }
    let board = Switchboard::start(MANUAL, &server.url(), &api.token("telephony-admin").await).await;
    let folder = Folder::fresh();
    let (ringing, taken) = (format!("{RINGS}{GIVES_UP}"), format!("{RINGS}{TAKES}"));
    let rings_out = format!("{HEARS_RINGING}{}", refused(408));
    let cancelled = format!("{HEARS_RINGING}{CANCELS}{}", refused(487));
    let (busy, nobody) = (refused(486), refused(408));
    let talks = format!("{HEARS_RINGING}{TALKS}");
    tokio::join!(
        call(&folder, &board, "102", &rings_out, Some(&ringing)),
        call(&folder, &board, "103", &cancelled, Some(&ringing)),
        call(&folder, &board, "104", &busy, Some(BUSY)),
        call(&folder, &board, "105", &talks, Some(&taken)),
        call(&folder, &board, "106", &nobody, None),
    );
    for (person, said) in [
        ("rings", "You did not answer"),
        ("cancels", "The caller hung up before anybody answered"),
        ("busy", "Your line was busy"),
        ("away", "Your telephone could not be reached"),
    ] {
        let mails = office.has(person, 1).await;
        assert_eq!((mails[0].header("Subject"), telephony::kind_of(&mails[0])), ("Missed call from Name of bob", "call.missed"));
        assert!(mails[0].plain().contains(said), "{person}: {}", mails[0].plain());
    }
    let event = eventually("the judgement of the call that was answered", SOON, async || {
        events(&api, "answers", "call.missed").await.into_iter().next()
    });
    let (event, _) = event.await;
    assert_eq!(why_no_mail(&api, &event, "answers").await.as_deref(), Some("answered"));
    // What would come late has come.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (person, _) in people {
        let count = office.mails(person).len();
        assert_eq!(count, usize::from(person != "answers"), "mails of {person}\n{}", board.log());
    }
    assert!(!board.log().contains("Carillon answered"), "{}", board.log());
}
