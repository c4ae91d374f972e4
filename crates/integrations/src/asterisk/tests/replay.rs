//! An Asterisk that plays what it is given: signs clients in, answers pings, and sends events at their times. And an intake that
//! remembers what it was told.

use super::super::client::keep;
use super::super::dial::{Dialer, Wire};
use super::super::settings::Settings;
use super::super::wire::{Block, Frame, Reader};
use crate::intake::{Filled, HeardLeg, Intake};
use async_trait::async_trait;
use md5::{Digest, Md5};
use model::Refusal;
use model::calls::Leg;
use model::time::{Clock, Timestamp};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

pub const SECRET: &str = "kept apart";
const CHALLENGE: &str = "840415273";

/// An event as it goes over the wire, and when after the login.
pub type Cue = (Duration, String);

/// What happens on one connection.
#[derive(Clone, Debug)]
pub enum Script {
    /// Events, then the connection stays.
    Play(Vec<Cue>),
    /// Events, then the connection is closed.
    Cut(Vec<Cue>),
    /// Events, and pings are not answered.
    Deaf(Vec<Cue>),
    /// Nothing is ever said.
    Mute,
    /// Nobody listens.
    Closed,
}

/// The events of a transcript with the times of its call records: whole seconds, divided by `speed`.
pub fn cues(transcript: &str, speed: u32) -> Vec<Cue> {
    let seconds = |text: &str| -> Option<u64> {
        let clock: Vec<u64> = text.split(' ').nth(1)?.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        Some(clock[0] * 3600 + clock[1] * 60 + clock[2])
    };
    let (mut first, mut now) = (None, 0);
    let events = transcript.split("\n\n").filter(|block| block.contains("Event: "));
    events
        .map(|block| {
            if let Some(at) = block.lines().find_map(|line| line.strip_prefix("EventTime: ")).and_then(seconds) {
                now = at - *first.get_or_insert(at);
            }
            let lines: String = block.trim().lines().map(|line| format!("{line}\r\n")).collect();
            (Duration::from_secs(now) / speed, lines + "\r\n")
        })
        .collect()
}

/// One Asterisk, which does on each connection what the next script says; after the last one it stays and says nothing more.
pub struct Pbx {
    scripts: Mutex<VecDeque<Script>>,
    began: Instant,
    /// When each connection was asked for.
    pub dialled: Mutex<Vec<Duration>>,
    /// How often somebody tried to sign in.
    pub logins: Arc<AtomicUsize>,
}

impl Pbx {
    pub fn of(scripts: impl IntoIterator<Item = Script>) -> Pbx {
        let scripts = Mutex::new(scripts.into_iter().collect());
        Pbx { scripts, began: Instant::now(), dialled: Mutex::default(), logins: Arc::default() }
    }

    pub fn dialled(&self) -> Vec<Duration> {
        self.dialled.lock().expect("whole").clone()
    }
}

#[async_trait]
impl Dialer for Pbx {
    async fn dial(&self) -> Result<Box<dyn Wire>, String> {
        self.dialled.lock().expect("whole").push(self.began.elapsed());
        let script = self.scripts.lock().expect("whole").pop_front().unwrap_or(Script::Play(Vec::new()));
        if matches!(script, Script::Closed) {
            return Err("nobody listens".to_owned());
        }
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let logins = self.logins.clone();
        tokio::spawn(async move { serve(theirs, script, logins).await });
        Ok(Box::new(ours))
    }
}

/// Speaks to one client until it goes, or the script is at its end.
pub async fn serve(mut wire: impl Wire, script: Script, logins: Arc<AtomicUsize>) {
    let (cues, stays, answers) = match script {
        Script::Play(cues) => (cues, true, true),
        Script::Cut(cues) => (cues, false, true),
        Script::Deaf(cues) => (cues, true, false),
        Script::Mute => return sleep(Duration::from_secs(3600)).await,
        Script::Closed => return,
    };
    // Clients read as Asterisk does: actions are blocks, too.
    let mut reader = Reader::default();
    reader.feed(b"Asterisk Call Manager/0\r\n").expect("a banner of our own");
    if wire.write_all(b"Asterisk Call Manager/11.0.0\r\n").await.is_err() {
        return;
    }
    let mut cues: VecDeque<Cue> = cues.into();
    let mut since: Option<Instant> = None;
    let mut piece = [0; 4096];
    loop {
        let due = since.and_then(|since| cues.front().map(|(after, _)| since + *after));
        if since.is_some() && due.is_none() && !stays {
            return;
        }
        tokio::select! {
            read = wire.read(&mut piece) => {
                let Ok(count @ 1..) = read else { return };
                for frame in reader.feed(&piece[..count]).expect("actions") {
                    let Frame::Block(action) = frame else { continue };
                    let Some(answer) = answer(&action, answers) else { continue };
                    if action.get("Action") == Some("Login") {
                        logins.fetch_add(1, Ordering::Relaxed);
                        since = answer.contains("Success").then(Instant::now);
                    }
                    if wire.write_all(answer.as_bytes()).await.is_err() || answer.contains("Authentication failed") {
                        return;
                    }
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let (_, event) = cues.pop_front().expect("the one that is due");
                if wire.write_all(event.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn answer(action: &Block, pings: bool) -> Option<String> {
    let said = match action.get("Action")? {
        "Challenge" => format!("Response: Success\r\nChallenge: {CHALLENGE}"),
        "Login" => {
            let digest = Md5::new().chain_update(CHALLENGE).chain_update(SECRET).finalize();
            let key: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let right = action.get("Key") == Some(key.as_str()) && action.get("Username") == Some("carillon");
            let refusal = "Response: Error\r\nMessage: Authentication failed";
            if right { "Response: Success\r\nMessage: Authentication accepted".to_owned() } else { refusal.to_owned() }
        }
        "Ping" if !pings => return None,
        "Ping" => "Response: Success\r\nPing: Pong".to_owned(),
        _ => "Response: Error\r\nMessage: Permission denied".to_owned(),
    };
    Some(format!("{said}\r\nActionID: {}\r\n\r\n", action.get("ActionID").unwrap_or_default()))
}

/// An intake that remembers.
pub struct Desk {
    mailboxes: Vec<&'static str>,
    /// What was taken, act by act.
    pub taken: Mutex<Vec<Vec<HeardLeg>>>,
    /// The gaps that were told.
    pub missed: Mutex<Vec<(Timestamp, Timestamp)>>,
    /// What was said of them from call records.
    pub filled: Mutex<Vec<Filled>>,
    /// Until when everything was heard.
    pub heard_until: Mutex<Option<Timestamp>>,
    /// How often it still says that it is away.
    pub away: AtomicUsize,
    /// How often it still says that it will never take this.
    pub never: AtomicUsize,
}

impl Desk {
    pub fn with(mailboxes: &[&'static str]) -> Arc<Desk> {
        let (away, never) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Desk {
            mailboxes: mailboxes.to_vec(),
            taken: Mutex::default(),
            missed: Mutex::default(),
            filled: Mutex::default(),
            heard_until: Mutex::default(),
            away,
            never,
        })
    }

    fn there(&self) -> Result<(), Refusal> {
        if once_less(&self.away) { Err(Refusal::unavailable("the store is away")) } else { Ok(()) }
    }

    /// Each act of taking, with its legs.
    pub fn acts(&self) -> Vec<Vec<HeardLeg>> {
        self.taken.lock().expect("whole").clone()
    }

    /// Every leg that was taken, in order.
    pub fn legs(&self) -> Vec<Leg> {
        self.acts().into_iter().flatten().map(|heard| heard.leg).collect()
    }

    pub fn missed(&self) -> Vec<(Timestamp, Timestamp)> {
        self.missed.lock().expect("whole").clone()
    }
}

fn once_less(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl Intake for Desk {
    async fn take(&self, heard: Vec<HeardLeg>) -> Result<(), Refusal> {
        self.there()?;
        if once_less(&self.never) {
            return Err(Refusal::field("callId", "is not one of ours"));
        }
        for heard in &heard {
            heard.leg.clone().checked()?;
        }
        self.taken.lock().expect("whole").push(heard);
        Ok(())
    }

    async fn concerns(&self, dial_plan: &str, extension: &str) -> Result<bool, Refusal> {
        self.there()?;
        Ok(dial_plan == "Lyon" && self.mailboxes.contains(&extension))
    }

    async fn mailbox_of(&self, _address: &str) -> Result<Option<(String, String)>, Refusal> {
        Ok(None)
    }

    async fn missed_a_while(&self, integration: &str, from: Timestamp, until: Timestamp) -> Result<(), Refusal> {
        self.there()?;
        assert_eq!(integration, "lyon");
        self.missed.lock().expect("whole").push((from, until));
        Ok(())
    }

    async fn filled(&self, _integration: &str, from: Timestamp, filled: Filled) -> Result<(), Refusal> {
        self.there()?;
        assert!(self.missed().iter().any(|(missed, _)| *missed == from), "what is filled is a gap");
        self.filled.lock().expect("whole").push(filled);
        Ok(())
    }

    async fn heard_until(&self, integration: &str) -> Result<Option<Timestamp>, Refusal> {
        assert_eq!(integration, "lyon");
        Ok(*self.heard_until.lock().expect("whole"))
    }

    async fn note_heard(&self, _integration: &str, until: Timestamp) -> Result<(), Refusal> {
        self.there()?;
        let mut heard = self.heard_until.lock().expect("whole");
        *heard = (*heard).max(Some(until));
        Ok(())
    }
}

/// A clock that goes with the runtime's, which tests may pause.
pub struct RuntimeClock(Instant);

/// When the clock of the tests begins: after the captured calls began.
pub const BEGINNING: Timestamp = Timestamp(1_795_189_300_000);

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        BEGINNING.plus(self.0.elapsed())
    }
}

/// A folder that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("carillon-asterisk-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder above")).expect("a folder");
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// Settings with the right secret.
    pub fn settings(&self) -> Settings {
        Settings {
            name: "lyon".to_owned(),
            dial_plan: "Lyon".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 0,
            username: "carillon".to_owned(),
            secret_file: self.write("secret", format!("{SECRET}\n")),
            tls: false,
            ca_file: None,
            spool_dir: None,
            cdr_file: None,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Listens for so long.
pub async fn listen(settings: Settings, pbx: &Pbx, desk: &Arc<Desk>, long: Duration) {
    let stop = CancellationToken::new();
    let listening = keep(settings, desk.clone(), Arc::new(RuntimeClock(Instant::now())), pbx, stop.clone());
    tokio::join!(listening, async {
        sleep(long).await;
        stop.cancel();
    });
}
