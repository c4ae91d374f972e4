//! Asterisk: a manager interface that plays what a real one said (a voice message, a caller who gave up), against the real
//! program: who was called is told once, with the audio from the spool folder, also over a connection that broke.

use serde_json::json;
use std::sync::Arc;
use stories::telephony::{self, POLICY, events, mailbox, wav, why_no_mail};
use stories::{Folder, Letter, Org, SOON, Stage, eventually, python, shared_database, when};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

const VOICE_MESSAGE: &str = include_str!("../../crates/integrations/tests/asterisk/captured-no-answer-then-voicemail.txt");
const CANCELLED: &str = include_str!("../../crates/integrations/tests/asterisk/captured-caller-cancelled-while-ringing.txt");
const ANSWERED: &str = include_str!("../../crates/integrations/tests/asterisk/captured-answered.txt");
const SECRET: &str = "of the telephones";
const CHALLENGE: &str = "840415273";

/// A manager interface: signs in whoever knows the secret, and plays transcripts to the one who is signed in.
#[derive(Clone)]
struct Manager {
    port: u16,
    wire: Arc<Mutex<Option<OwnedWriteHalf>>>,
}

impl Manager {
    async fn start() -> Manager {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let manager = Manager { port: listener.local_addr().expect("bound").port(), wire: Arc::default() };
        let own = manager.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(own.clone().serve(socket));
            }
        });
        manager
    }

    async fn serve(self, socket: TcpStream) {
        let (reader, mut writer) = socket.into_split();
        let mut lines = BufReader::new(reader).lines();
        let _ = writer.write_all(b"Asterisk Call Manager/11.0.0\r\n").await;
        let (mut writer, mut action) = (Some(writer), Vec::new());
        while let Ok(Some(line)) = lines.next_line().await {
            if !line.is_empty() {
                action.push(line);
                continue;
            }
            let said = answer(&std::mem::take(&mut action));
            let signed_in = said.contains("Authentication accepted");
            match &mut writer {
                Some(writer) => drop(writer.write_all(said.as_bytes()).await),
                None => self.write(&said).await,
            }
            if signed_in {
                *self.wire.lock().await = writer.take();
            }
        }
    }

    async fn write(&self, text: &str) {
        if let Some(wire) = self.wire.lock().await.as_mut() {
            let _ = wire.write_all(text.as_bytes()).await;
        }
    }

    async fn signed_in(&self) {
        eventually("a client that signs in", SOON, async || when(self.wire.lock().await.is_some())).await;
    }

    /// Plays the events of a transcript.
    async fn play(&self, transcript: &str) {
        let events = transcript.split("\n\n").filter(|block| block.contains("Event: "));
        let text: String =
            events.map(|block| block.trim().lines().map(|line| format!("{line}\r\n")).collect::<String>() + "\r\n").collect();
        self.write(&text).await;
    }

    /// Breaks the connection.
    async fn cut(&self) {
        drop(self.wire.lock().await.take());
    }
}

/// The answer to an action.
fn answer(action: &[String]) -> String {
    let field = |name: &str| action.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default();
    let id = field("ActionID");
    let said = match field("Action") {
        "Challenge" => format!("Response: Success\r\nActionID: {id}\r\nChallenge: {CHALLENGE}\r\n"),
        "Login" => {
            let script = "import hashlib,json,sys\nprint(json.dumps(hashlib.md5(json.load(sys.stdin).encode()).hexdigest()))";
            let right = field("Username") == "carillon" && python(script, &json!(format!("{CHALLENGE}{SECRET}"))) == field("Key");
            let (response, message) = if right { ("Success", "Authentication accepted") } else { ("Error", "Authentication failed") };
            format!("Response: {response}\r\nActionID: {id}\r\nMessage: {message}\r\n")
        }
        "Ping" => format!("Response: Success\r\nActionID: {id}\r\nPing: Pong\r\n"),
        _ => format!("Response: Error\r\nActionID: {id}\r\nMessage: Permission denied\r\n"),
    };
    said + "\r\n"
}

async fn open(manager: &Manager, spool: &Folder, database: Option<String>, more: &str) -> Stage {
    let port = manager.port;
    let stage = Stage::with(|scene| {
        scene.database = database;
        scene.files.push(("asterisk-secret", format!("{SECRET}\n")));
        scene.more = format!(
            "[[integrations.asterisk]]\nname = \"lyon\"\ndial_plan = \"{}\"\nhost = \"127.0.0.1\"\nport = {port}\nusername = \"carillon\"\n\
             secret_file = \"asterisk-secret\"\ntls = false\nspool_dir = {:?}\n{more}",
            telephony::PLAN,
            spool.path(),
        );
    })
    .await;
    let mut org = Org::new();
    org.person("bob").person("alice").import(&stage.api).await;
    telephony::dial_plan(&stage.api).await;
    mailbox(&stage.api, "bob", POLICY, "101").await;
    mailbox(&stage.api, "alice", POLICY, "102").await;
    stage
}

/// Leaves a voice message for 102: first the audio, then the text beside it.
fn leave(spool: &Folder, audio: &[u8]) {
    let inbox = spool.path().join("default/102/INBOX");
    std::fs::create_dir_all(&inbox).expect("a spool folder");
    std::fs::write(inbox.join("msg0000.wav"), audio).expect("written");
    let now = jiff::Timestamp::now().as_second();
    let text = format!("[message]\norigmailbox=102\ncallerid=\"Bob\" <101>\norigtime={now}\nduration=3\nmsg_id={now}-00000001\n");
    std::fs::write(inbox.join("msg0000.txt"), text).expect("written");
}

fn letters(stage: &Stage) -> Vec<Letter> {
    let mut mails = stage.relay.mails(10);
    mails.sort_by_key(|mail| mail.at_micros);
    assert!(mails.iter().all(|mail| mail.to.iter().all(|to| to.contains("alice@"))), "{mails:?}");
    Letter::read(mails.into_iter().map(|mail| mail.content.into_bytes()).collect())
}

async fn mailed(stage: &Stage, count: u64) -> Vec<Letter> {
    eventually("the mails", SOON, async || when(stage.relay.stats().accepted >= count)).await;
    letters(stage)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_real_asterisk_said_becomes_one_mail_for_each_call() {
    what_a_real_asterisk_said(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_real_asterisk_said_becomes_one_mail_for_each_call_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    what_a_real_asterisk_said(Some(database)).await;
}

async fn what_a_real_asterisk_said(database: Option<String>) {
    let (manager, spool, audio) = (Manager::start().await, Folder::fresh(), wav("alice"));
    let stage = open(&manager, &spool, database, "").await;
    manager.signed_in().await;
    manager.play(ANSWERED).await;
    manager.play(VOICE_MESSAGE).await;
    // The audio is written meanwhile.
    leave(&spool, &audio);
    let voice = mailed(&stage, 1).await.remove(0);
    assert_eq!(telephony::kind_of(&voice), "voicemail.received");
    assert_eq!(voice.header("Subject"), "Voice message from Name of bob");
    let attached = voice.attached();
    assert!(attached.len() == 1 && attached[0].name == "msg0000.wav" && attached[0].content == audio, "{:?}", voice.headers);
    // A caller who gives up; the connection breaks before that, and once more is said what was said.
    manager.cut().await;
    manager.signed_in().await;
    manager.play(VOICE_MESSAGE).await;
    manager.play(CANCELLED).await;
    let missed = mailed(&stage, 2).await.remove(1);
    assert_eq!((telephony::kind_of(&missed), missed.header("Subject")), ("call.missed", "Missed call from Name of bob"));
    assert!(missed.plain().contains("The caller hung up before anybody answered"), "{}", missed.plain());
    let audit = stage.api.all("audit").await;
    let gap = audit.iter().find(|entry| entry["operation"] == "integration.gap").expect("from when until when nothing was heard is kept");
    assert_eq!(gap["changes"]["integration"], "lyon", "{gap}");
    let told = events(&stage.api, "alice", "call.missed").await;
    let why = stage.api.why(&told[0].0, "alice@example.org").await;
    assert_eq!(why["gaps"][0]["integration"], "lyon", "who asks is told of the gap: {why}");
    let mut reasons: Vec<String> = Vec::new();
    for (event, _) in &told {
        reasons.extend(why_no_mail(&stage.api, event, "alice").await);
    }
    reasons.sort();
    assert_eq!((told.len(), reasons), (3, vec!["answered".to_owned(), "voice_message_left".into()]), "and one that is told");
    assert_eq!(letters(&stage).len(), 2);
    assert!(!stage.server.log().contains(SECRET) && !stage.server.log().contains("Bob"), "the log names nobody");
}

/// A call record of a call from 101 to 102, as `cdr_csv` writes it with `loguniqueid`.
fn record(unique: &str, telephone: &str, application: &str, seconds: [u32; 2], disposition: &str) -> String {
    let [duration, talked] = seconds;
    let dialled = if telephone.is_empty() { "s-NOANSWER" } else { "102" };
    let arguments = if telephone.is_empty() { "102@default,u" } else { "PJSIP/102,6" };
    format!(
        "\"\",\"101\",\"{dialled}\",\"internal\",\"\"\"Bob\"\" <101>\",\"PJSIP/101-00000002\",\"{telephone}\",\"{application}\",\"{arguments}\",\
         \"2026-11-20 15:38:32\",,\"2026-11-20 15:38:38\",{duration},{talked},\"{disposition}\",\"DOCUMENTATION\",\"{unique}\"\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_while_carillon_was_down_are_told_from_call_records() {
    calls_while_carillon_was_down(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_while_carillon_was_down_are_told_on_postgresql_too() {
    let Some(database) = shared_database() else { return };
    calls_while_carillon_was_down(Some(database)).await;
}

async fn calls_while_carillon_was_down(database: Option<String>) {
    let (manager, spool, audio) = (Manager::start().await, Folder::fresh(), wav("alice"));
    let cdr_file = spool.path().join("Master.csv");
    let mut stage = open(&manager, &spool, database, &format!("cdr_file = {cdr_file:?}\n")).await;
    manager.signed_in().await;
    manager.play(ANSWERED).await;
    eventually("a call that was heard", SOON, async || when(events(&stage.api, "alice", "call.missed").await.len() == 1)).await;
    stage.server.kill9();
    manager.cut().await;
    let now = jiff::Timestamp::now().as_second();
    let (missed, voice, answered) = (format!("{now}.101"), format!("{now}.102"), format!("{now}.103"));
    let rows = [
        record(&missed, "PJSIP/102-0000000a", "Dial", [1, 0], "NO ANSWER"),
        record(&voice, "PJSIP/102-0000000b", "Dial", [1, 0], "NO ANSWER"),
        record(&voice, "", "VoiceMail", [2, 2], "ANSWERED"),
        record(&answered, "PJSIP/102-0000000c", "Dial", [1, 1], "ANSWERED"),
    ];
    std::fs::write(&cdr_file, rows.concat()).expect("written");
    leave(&spool, &audio);
    stage.server.restart().await;
    manager.signed_in().await;
    let letters = mailed(&stage, 2).await;
    let mut kinds: Vec<&str> = letters.iter().map(telephony::kind_of).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["call.missed", "voicemail.received"]);
    let voice = letters.iter().find(|letter| telephony::kind_of(letter) == "voicemail.received").expect("a voice message");
    assert!(voice.attached().iter().any(|file| file.content == audio), "{:?}", voice.headers);
    let told = events(&stage.api, "alice", "call.missed").await;
    let why = stage.api.why(&told[0].0, "alice@example.org").await;
    assert_eq!(why["gaps"][0]["filled"], json!({"calls": 3, "unknown": 0}), "{why}");
    let audit = stage.api.all("audit").await;
    assert!(audit.iter().any(|entry| entry["operation"] == "integration.gap_filled"), "{audit:?}");
}
