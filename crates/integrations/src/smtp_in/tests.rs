//! The listener's promises, line by line, over an intake that writes down what it was given.

use super::connection::{Connection, Room};
use super::wire::{COMMAND_BYTES, Commands, Excess, Line, Mail, TEXT_BYTES};
use super::*;
use crate::intake::{Filled, HeardLeg};
use async_trait::async_trait;
use model::{Refusal, RefusalKind, Timestamp};
use proptest::prelude::*;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, DuplexStream};

const SOURCE: &str = include_str!("../../tests/voicemail_mail/captured-mailcmd.eml");

/// Knows `alice@example.test`, whose extension is 102, and 102 and 103 in the dial plan Lyon.
#[derive(Default)]
struct Written {
    heard: Mutex<Vec<Vec<HeardLeg>>>,
    /// What it says of everything that it is given, if it refuses.
    refuses: Mutex<Option<Refusal>>,
    /// Whether it knows nothing now.
    blind: Mutex<bool>,
}

#[async_trait]
impl Intake for Written {
    async fn take(&self, heard: Vec<HeardLeg>) -> Result<(), Refusal> {
        if let Some(refusal) = self.refuses.lock().expect("a lock").clone() {
            return Err(refusal);
        }
        self.heard.lock().expect("a lock").push(heard);
        Ok(())
    }

    async fn concerns(&self, dial_plan: &str, extension: &str) -> Result<bool, Refusal> {
        self.seeing()?;
        let names = model::calls::extensions_of(extension, None);
        Ok(dial_plan == "Lyon" && names.iter().any(|name| matches!(name.as_str(), "102" | "103")))
    }

    async fn mailbox_of(&self, address: &str) -> Result<Option<(String, String)>, Refusal> {
        self.seeing()?;
        Ok((address == "alice@example.test").then(|| ("Lyon".to_owned(), "102".to_owned())))
    }

    async fn missed_a_while(&self, _: &str, _: Timestamp, _: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }

    async fn filled(&self, _integration: &str, _from: Timestamp, _filled: Filled) -> Result<(), Refusal> {
        Ok(())
    }

    async fn heard_until(&self, _integration: &str) -> Result<Option<Timestamp>, Refusal> {
        Ok(None)
    }

    async fn note_heard(&self, _integration: &str, _until: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }
}

impl Written {
    fn seeing(&self) -> Result<(), Refusal> {
        if *self.blind.lock().expect("a lock") { Err(Refusal::unavailable("the store is away")) } else { Ok(()) }
    }

    /// Extensions of every leg, one list for each time that it was asked to take something.
    fn extensions(&self) -> Vec<Vec<String>> {
        let heard = self.heard.lock().expect("a lock");
        heard.iter().map(|legs| legs.iter().map(|heard| heard.leg.called_extension.clone()).collect()).collect()
    }
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp(1_795_000_000_000)
    }
}

fn settings(protocol: Protocol) -> Settings {
    let admits: Admits = Arc::new(|address| address.is_loopback());
    let dial_plan = Some("Lyon".to_owned());
    Settings { protocol, dial_plan, max_bytes: 1 << 20, name: "pbx-in".to_owned(), admits, clock: Arc::new(Noon) }
}

/// A client, and the intake of the server that it speaks with.
struct Client {
    stream: DuplexStream,
    intake: Arc<Written>,
    stop: CancellationToken,
    room: Room,
}

impl Client {
    fn of(settings: Settings) -> Client {
        let (stream, far) = tokio::io::duplex(1 << 16);
        let (intake, stop, room) = (Arc::new(Written::default()), CancellationToken::new(), Room::new(1 << 20));
        let connection = Connection::new(far, Arc::new(settings), intake.clone(), room.clone(), stop.clone());
        tokio::spawn(connection.serve());
        Client { stream, intake, stop, room }
    }

    /// Greeted, and with its hello said.
    async fn greeted(protocol: Protocol) -> Client {
        let mut client = Client::of(settings(protocol));
        assert!(client.read().await.starts_with("220 pbx-in "));
        let hello = match protocol {
            Protocol::Smtp => "EHLO pbx.example.test",
            Protocol::Lmtp => "LHLO pbx.example.test",
        };
        client.ask(hello).await;
        client
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("a server that reads");
    }

    /// One reply, all its lines.
    async fn read(&mut self) -> String {
        let mut text = String::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                match self.stream.read_u8().await {
                    Ok(byte) => line.push(byte),
                    Err(_) => return format!("{text}(closed)"),
                }
            }
            text.push_str(&String::from_utf8(line.clone()).expect("ASCII"));
            if line.get(3) == Some(&b' ') {
                return text.trim_end().to_owned();
            }
        }
    }

    async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.read().await
    }

    /// Begins a mail to these, and sends it.
    async fn mail(&mut self, to: &[&str], mail: &str) -> String {
        assert!(self.ask("MAIL FROM:<voicemail@example.test>").await.starts_with("250 2.1.0"));
        for address in to {
            self.ask(&format!("RCPT TO:<{address}>")).await;
        }
        assert!(self.ask("DATA").await.starts_with("354 "));
        self.send(on_the_wire(mail).as_bytes()).await;
        self.read().await
    }

    async fn closed(&mut self) -> bool {
        self.read().await == "(closed)"
    }
}

/// The captured mail, with a short piece of audio in the place of what was left out of the capture.
fn voice_mail() -> String {
    SOURCE.replace("[base64 WAV data left out]", "UklGRiQAAABXQVZF").trim_end_matches(".\n").to_owned()
}

/// As it goes over the wire: CRLF, dots doubled, and the end.
fn on_the_wire(mail: &str) -> String {
    let stuffed = |line: &str| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") };
    mail.lines().map(stuffed).chain([".\r\n".to_owned()]).collect()
}

#[tokio::test]
async fn a_voice_mail_mail_is_acknowledged_when_the_intake_has_it() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    assert!(client.mail(&["alice@example.test"], &voice_mail()).await.starts_with("250 2.0.0"));
    let heard = client.intake.heard.lock().expect("a lock").clone();
    let [legs] = heard.as_slice() else { panic!("{heard:?}") };
    let [HeardLeg { leg, recording: Some(recording) }] = legs.as_slice() else { panic!("{legs:?}") };
    assert_eq!((leg.dial_plan.as_str(), leg.called_extension.as_str(), leg.caller.number.as_deref()), ("Lyon", "102", Some("101")));
    assert_eq!((leg.recording.as_deref(), recording.name.as_str()), (Some("msg0000.wav"), "msg0000.wav"));
    assert!(recording.bytes.starts_with(b"RIFF"));
    assert!(client.ask("QUIT").await.starts_with("221 2.0.0"));
    assert!(client.closed().await);
}

#[tokio::test]
async fn the_same_mail_again_says_the_same() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    let without_id = voice_mail().replace("Message-ID: <Asterisk-1-1327530612-102-30695@pbx>\n", "");
    for _ in 0..2 {
        assert!(client.mail(&["alice@example.test"], &without_id).await.starts_with("250"));
    }
    let heard = client.intake.heard.lock().expect("a lock").clone();
    assert_eq!(heard[0], heard[1]);
    assert_eq!(heard[0][0].leg.call_id.len(), "mail:".len() + 64, "a hash of the mail takes the place of its id");
}

#[tokio::test]
async fn the_hello_tells_of_the_extensions() {
    let mut client = Client::of(settings(Protocol::Smtp));
    assert!(client.read().await.contains(" ESMTP "));
    let told = client.ask("EHLO pbx").await;
    assert_eq!(told, "250-pbx-in\r\n250-PIPELINING\r\n250-SIZE 1048576\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES");
    assert_eq!(client.ask("HELO pbx").await, "250 pbx-in");
    assert!(client.ask("LHLO pbx").await.starts_with("500 5.5.1"), "LMTP's hello is none of SMTP's");
    let mut client = Client::greeted(Protocol::Lmtp).await;
    assert!(client.ask("EHLO pbx").await.starts_with("500 5.5.1"), "RFC 2033 section 4.1");
    assert!(client.ask("HELO pbx").await.starts_with("500 5.5.1"));
}

#[tokio::test]
async fn each_command_has_its_answer_and_its_place() {
    let mut client = Client::of(settings(Protocol::Smtp));
    client.read().await;
    for (line, starts) in [
        ("MAIL FROM:<a@b.example>", "503 5.5.1"),
        ("EHLO pbx", "250"),
        ("RCPT TO:<alice@example.test>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("NOOP", "250 2.0.0"),
        ("noop anything", "250 2.0.0"),
        ("HELP", "214 2.0.0"),
        ("VRFY alice", "252 2."),
        ("EXPN staff", "502 5.5.1"),
        ("STARTTLS", "502 5.5.1"),
        ("mail from:<>", "250 2.1.0"),
        ("MAIL FROM:<a@b.example>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("RSET", "250 2.0.0"),
        ("MAIL FROM:<a@b.example> SIZE=1000 BODY=8BITMIME", "250 2.1.0"),
        ("RCPT TO:<Alice@Example.test>", "250 2.1.5"),
        ("RSET", "250 2.0.0"),
        ("RCPT TO:<alice@example.test>", "503 5.5.1"),
    ] {
        assert!(client.ask(line).await.starts_with(starts), "{line}");
    }
}

#[tokio::test]
async fn what_was_not_offered_and_what_is_malformed_is_refused() {
    for (line, starts) in [
        ("FROB", "500 5.5.1"),
        ("MAIL FROM:a@b.example", "501 5.5.4"),
        ("MAIL FROM:<a b@c>", "501 5."),
        ("MAIL FROM:<a@b.example> SIZE=9999999", "552 5.3.4"),
        ("MAIL FROM:<a@b.example> SMTPUTF8", "555 5.6.7"),
        ("MAIL FROM:<a@b.example> BODY=BINARYMIME", "555 5.5.4"),
        ("MAIL FROM:<a@b.example> RET=FULL", "555 5.5.4"),
        ("MAIL FROM:<a@b.example> FROB=1", "555 5.5.4"),
        ("BDAT 5 LAST", "502 5.5.1"),
    ] {
        let mut client = Client::greeted(Protocol::Smtp).await;
        assert!(client.ask(line).await.starts_with(starts), "{line}: {}", client.ask(line).await);
    }
    let mut client = Client::greeted(Protocol::Smtp).await;
    client.ask("MAIL FROM:<a@b.example>").await;
    assert!(client.ask("RCPT TO:<alice@example.test> NOTIFY=NEVER").await.starts_with("555 5.5.4"));
}

#[tokio::test]
async fn nobody_without_a_mailbox_is_taken_so_nothing_is_relayed() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    client.ask("MAIL FROM:<voicemail@example.test>").await;
    let strangers = ["bob@example.test", "alice@elsewhere.test", "104@pbx", "alice%elsewhere.test@example.test"];
    let quoted = ["\"102@evil\"@pbx", "\"102;x\"@pbx", "\"10 2\"@pbx", "\"sip:102\"@pbx"];
    for stranger in strangers.into_iter().chain(quoted) {
        assert!(client.ask(&format!("RCPT TO:<{stranger}>")).await.starts_with("550 5.1.1"), "{stranger}");
    }
    assert!(client.ask("DATA").await.starts_with("503 5.5.1"), "there is nobody to take it for");
    assert!(client.ask("RCPT TO:<103@pbx>").await.starts_with("250 2.1.5"), "an extension of the dial plan");
    let mut client = Client::of(Settings { dial_plan: None, ..settings(Protocol::Smtp) });
    client.read().await;
    client.ask("EHLO pbx").await;
    client.ask("MAIL FROM:<voicemail@example.test>").await;
    assert!(client.ask("RCPT TO:<103@pbx>").await.starts_with("550 5.1.1"), "without a dial plan an extension is nobody's");
    assert!(client.intake.extensions().is_empty());
}

#[tokio::test]
async fn what_cannot_be_done_now_is_asked_for_again() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    *client.intake.blind.lock().expect("a lock") = true;
    client.ask("MAIL FROM:<voicemail@example.test>").await;
    assert!(client.ask("RCPT TO:<alice@example.test>").await.starts_with("451 4.3.0"));
    client.ask("RSET").await;
    *client.intake.blind.lock().expect("a lock") = false;
    let too_large = Refusal::new(RefusalKind::TooLarge, "too_large", "the audio is too large");
    for (refusal, starts) in [
        (Refusal::unavailable("the store is away"), "451 4.3.0 the store"),
        (too_large, "552 5.3.4 the audio"),
        (Refusal::field("calledExtension", "is nobody's"), "554 5.6.0 calledExtension"),
    ] {
        *client.intake.refuses.lock().expect("a lock") = Some(refusal);
        assert!(client.mail(&["alice@example.test"], &voice_mail()).await.starts_with(starts), "{starts}");
    }
    *client.intake.refuses.lock().expect("a lock") = None;
    assert!(client.mail(&["alice@example.test"], &voice_mail()).await.starts_with("250"), "the session goes on");
}

#[tokio::test]
async fn a_mail_about_something_else_is_refused_with_the_reason() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    let said = client.mail(&["alice@example.test"], "From: a@b.example\nSubject: Lunch\n\nAt noon?\n").await;
    assert!(said.starts_with("554 5.6.0 this mail is not about a voice message"), "{said}");
    assert!(client.intake.extensions().is_empty());
}

#[tokio::test]
async fn one_mail_for_several_is_taken_whole_or_not_at_all() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    let to = ["103@pbx", "alice@example.test", "bob@example.test", "102@pbx"];
    assert!(client.mail(&to, &voice_mail()).await.starts_with("250"));
    assert_eq!(client.intake.extensions(), [["102", "103"]], "once for each mailbox, in one act");
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    let mut client = Client::greeted(Protocol::Lmtp).await;
    let to = ["alice@example.test", "bob@example.test", "103@pbx"];
    assert!(client.mail(&to, &voice_mail()).await.starts_with("250"));
    assert!(client.read().await.starts_with("250"));
    assert_eq!(client.intake.extensions(), [["102"], ["103"]]);
    let said = client.mail(&to, "Subject: Lunch\n\nAt noon?\n").await;
    assert!(said.starts_with("554") && client.read().await.starts_with("554"));
    assert!(client.ask("NOOP").await.starts_with("250 2.0.0"), "no answer is left over");
}

#[tokio::test]
async fn commands_may_come_in_one_group_and_answers_keep_their_order() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    client.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<102@pbx>\r\nDA").await;
    assert_eq!([&client.read().await[..9], &client.read().await[..9], &client.read().await[..9]], ["250 2.1.0", "550 5.1.1", "250 2.1.5"]);
    client.send(b"TA\r\n").await;
    assert!(client.read().await.starts_with("354"));
    client.send(format!("{}NOOP\r\nQUIT\r\n", on_the_wire(&voice_mail())).as_bytes()).await;
    assert_eq!([&client.read().await[..9], &client.read().await[..9], &client.read().await[..9]], ["250 2.0.0", "250 2.0.0", "221 2.0.0"]);
}

#[tokio::test]
async fn a_mail_that_does_not_wait_for_its_turn_ends_the_connection() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    client.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<102@pbx>\r\nDATA\r\nSubject: x\r\n.\r\nQUIT\r\n").await;
    client.read().await;
    client.read().await;
    assert!(client.read().await.starts_with("503 5.5.0"));
    assert!(client.closed().await && client.intake.extensions().is_empty());
}

#[tokio::test]
async fn only_a_dot_between_two_crlf_ends_a_mail() {
    for smuggled in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\n.\r", "\r.\r\n"] {
        let mut client = Client::greeted(Protocol::Smtp).await;
        client.ask("MAIL FROM:<a@b.example>").await;
        client.ask("RCPT TO:<102@pbx>").await;
        client.ask("DATA").await;
        let mail = on_the_wire(&voice_mail());
        let inside = format!("{smuggled}MAIL FROM:<evil@b.example>\r\nRCPT TO:<103@pbx>\r\nDATA\r\nX-Voicemail-Mailbox: 103\r\n.\r\n");
        client.send(mail.trim_end_matches(".\r\n").as_bytes()).await;
        client.send(inside.as_bytes()).await;
        assert!(client.read().await.starts_with("250"), "{smuggled:?}");
        assert!(client.ask("NOOP").await.starts_with("250 2.0.0"));
        assert_eq!(client.intake.extensions(), [["102"]], "{smuggled:?}: there is one mail");
    }
}

#[tokio::test]
async fn a_command_ends_with_crlf_and_is_not_too_long() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    for wrong in [&b"NOOP\n"[..], b"NOOP\rNOOP\r\n", b"NO\rOP\n"] {
        client.send(wrong).await;
        assert!(client.read().await.starts_with("500 5.5.2"), "{wrong:?}");
    }
    client.send(format!("NOOP {}\r\n", "x".repeat(COMMAND_BYTES - 7)).as_bytes()).await;
    assert!(client.read().await.starts_with("250"));
    for length in [COMMAND_BYTES - 6, 40_000] {
        client.send(format!("NOOP {}\r\n", "x".repeat(length)).as_bytes()).await;
        assert!(client.read().await.starts_with("500 5.5.2"), "{length}");
    }
    assert!(client.ask("NOOP").await.starts_with("250"), "what stands behind a long line is read");
}

#[tokio::test]
async fn a_mail_that_is_too_large_or_has_a_line_too_long_is_read_to_its_end_and_refused() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    let large = format!("{}{}", voice_mail(), "x\n".repeat(1 << 20));
    let sent = on_the_wire(&large);
    client.ask("MAIL FROM:<a@b.example>").await;
    client.ask("RCPT TO:<102@pbx>").await;
    client.ask("DATA").await;
    client.send(sent.as_bytes()).await;
    assert!(client.read().await.starts_with("552 5.3.4"));
    let long = format!("Subject: {}\n\n", "x".repeat(TEXT_BYTES));
    assert!(client.mail(&["102@pbx"], &long).await.starts_with("554 5.6.0 the mail has a line"));
    assert!(client.mail(&["102@pbx"], &voice_mail()).await.starts_with("250"));
}

#[tokio::test]
async fn a_mail_waits_while_others_take_the_memory() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    let (room, mut held) = (client.room.clone(), Vec::new());
    assert!(!room.reach(&mut held, usize::MAX));
    assert!(client.mail(&["102@pbx"], &voice_mail()).await.starts_with("452 4.3.1"));
    drop(held);
    assert!(client.mail(&["102@pbx"], &voice_mail()).await.starts_with("250"));
}

#[tokio::test]
async fn there_are_so_many_recipients_and_so_many_errors_and_no_more() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    client.ask("MAIL FROM:<a@b.example>").await;
    for _ in 0..talk::RECIPIENTS_MOST {
        assert!(client.ask("RCPT TO:<102@pbx>").await.starts_with("250"));
    }
    assert!(client.ask("RCPT TO:<102@pbx>").await.starts_with("452 4.5.3"));
    for _ in 1..talk::ERRORS_MOST {
        assert!(client.ask("FROB").await.starts_with("500"));
    }
    assert!(client.ask("FROB").await.starts_with("421 4.7.0"));
    assert!(client.closed().await);
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_for_five_minutes_is_let_go() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    let began = tokio::time::Instant::now();
    assert!(client.read().await.starts_with("421 4.4.2"));
    assert_eq!(began.elapsed().as_secs(), 300);
    assert!(client.closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_trickles_is_not_waited_for_for_ever() {
    let mut client = Client::greeted(Protocol::Smtp).await;
    client.ask("MAIL FROM:<a@b.example>").await;
    client.ask("RCPT TO:<102@pbx>").await;
    client.ask("DATA").await;
    let began = tokio::time::Instant::now();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(100)).await;
        if client.stream.write_all(b"x").await.is_err() {
            break;
        }
    }
    assert!(client.read().await.starts_with("421 4.4.2"));
    assert_eq!(began.elapsed().as_secs(), 600);
    assert!(client.closed().await && client.intake.extensions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_says_so_and_lets_a_mail_come_to_its_end() {
    let mut idle = Client::greeted(Protocol::Smtp).await;
    idle.stop.cancel();
    assert!(idle.read().await.starts_with("421 4.3.2"));
    let mut sending = Client::greeted(Protocol::Smtp).await;
    sending.ask("MAIL FROM:<a@b.example>").await;
    sending.ask("RCPT TO:<102@pbx>").await;
    sending.ask("DATA").await;
    sending.stop.cancel();
    tokio::time::sleep(Duration::from_secs(1)).await;
    sending.send(on_the_wire(&voice_mail()).as_bytes()).await;
    assert!(sending.read().await.starts_with("250"));
    assert!(sending.read().await.starts_with("421 4.3.2"));
    let mut hanging = Client::greeted(Protocol::Smtp).await;
    hanging.ask("MAIL FROM:<a@b.example>").await;
    hanging.ask("RCPT TO:<102@pbx>").await;
    hanging.ask("DATA").await;
    hanging.stop.cancel();
    assert!(hanging.read().await.starts_with("421 4.3.2"), "nobody is waited for longer than a moment");
}

/// A listener on a port of this machine.
async fn listening(admits: Admits) -> (SocketAddr, Arc<Written>, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, intake, stop) = (listener.local_addr().expect("an address"), Arc::new(Written::default()), CancellationToken::new());
    let settings = Settings { admits, ..settings(Protocol::Smtp) };
    let running = tokio::spawn(run(listener, settings, intake.clone(), stop.clone()));
    (address, intake, stop, running)
}

async fn first_line(address: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut bytes = vec![0; 512];
    let n = stream.read(&mut bytes).await.expect("a line");
    (stream, String::from_utf8_lossy(&bytes[..n]).into_owned())
}

#[tokio::test]
async fn who_is_not_admitted_is_turned_away() {
    let (address, _, stop, running) = listening(Arc::new(|_| false)).await;
    assert!(first_line(address).await.1.starts_with("554 5.7.1"));
    stop.cancel();
    running.await.expect("an end");
}

#[tokio::test]
async fn there_are_so_many_connections_and_no_more_and_a_stop_ends_them() {
    let (address, _, stop, running) = listening(Arc::new(|_| true)).await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let (stream, line) = first_line(address).await;
        assert!(line.starts_with("220"), "{line}");
        open.push(stream);
    }
    assert!(first_line(address).await.1.starts_with("421 4.3.2"));
    open.pop();
    let again = async {
        while !first_line(address).await.1.starts_with("220") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("a place that was given back is taken");
    stop.cancel();
    running.await.expect("an end");
}

/// Where a mail ends, by the words of the standard: behind the first CRLF, dot, CRLF, the beginning counting as a CRLF.
fn end_by_the_standard(bytes: &[u8]) -> Option<usize> {
    let whole = [b"\r\n", bytes].concat();
    whole.windows(5).position(|five| five == b"\r\n.\r\n").map(|at| at + 5 - 2)
}

fn alphabet() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b".\r\nab".to_vec()), 0..40)
}

proptest! {
    #[test]
    fn a_mail_ends_where_the_standard_says_however_it_is_cut(bytes in alphabet(), cuts in prop::collection::vec(1usize..7, 1..20)) {
        let mut mail = Mail::new(1000);
        let (mut at, mut end) = (0, None);
        for cut in cuts.into_iter().cycle() {
            let next = (at + cut).min(bytes.len());
            if let Some(n) = mail.push(&bytes[at..next]) {
                end = Some(at + n);
                break;
            }
            at = next;
            if at == bytes.len() {
                break;
            }
        }
        prop_assert_eq!(end, end_by_the_standard(&bytes));
    }

    #[test]
    fn what_was_stuffed_is_unstuffed(lines in prop::collection::vec("[.a-c]{0,6}", 0..8)) {
        let plain: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let sent: String = lines.iter().map(|line| format!("{}{line}\r\n", if line.starts_with('.') { "." } else { "" })).collect();
        let mut mail = Mail::new(1000);
        prop_assert_eq!(mail.push(format!("{sent}.\r\nrest").as_bytes()), Some(sent.len() + 3));
        prop_assert_eq!(mail.whole(), Ok(plain.into_bytes()));
    }

    #[test]
    fn no_more_is_kept_than_was_allowed(bytes in prop::collection::vec(any::<u8>(), 0..3000), most in 0usize..2500) {
        let mut mail = Mail::new(most);
        let _ = mail.push(&bytes);
        prop_assert!(mail.len() <= most);
        let longest = bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
        if mail.whole() == Err(Excess::Line) {
            prop_assert!(longest > TEXT_BYTES - 2);
        }
    }

    #[test]
    fn command_lines_do_not_depend_on_how_they_are_cut(bytes in alphabet(), cut in 0usize..40) {
        let lines = |pieces: &[&[u8]]| {
            let (mut commands, mut lines) = (Commands::default(), Vec::new());
            for piece in pieces {
                commands.push(piece);
                while let Some(line) = commands.line() {
                    lines.push(line);
                }
            }
            lines
        };
        let cut = cut.min(bytes.len());
        let whole = lines(&[&bytes]);
        prop_assert_eq!(&whole, &lines(&[&bytes[..cut], &bytes[cut..]]));
        for line in whole {
            if let Line::Whole(line) = line {
                prop_assert!(line.ends_with(b"\r\n") && line.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count() == 2);
            }
        }
    }

    #[test]
    fn nothing_that_a_stranger_sends_makes_it_fall_over(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        line in "(EHLO|MAIL FROM:|RCPT TO:|DATA|NOOP|VRFY|BDAT|AUTH) ?[<>@. \"\\\\a-zA-Z0-9=é]{0,40}(\r\n|\n|\r)"
    ) {
        read_by_strangers(&bytes);
        read_by_strangers(&[b"EHLO x\r\nMAIL FROM:<>\r\n", line.as_bytes(), &bytes].concat());
    }
}
