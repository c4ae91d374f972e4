//! A real Firefox without a window, with a profile of its own, that shows one page of ours; and the page, which subscribes
//! to pushes, and whose service worker shows what comes and says so.

use crate::folder::Folder;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The page. Its first `subscribe()` may never end on a new profile; asking again helps (seen with Firefox 153).
const PAGE: &str = r#"<!doctype html><title>Carillon story</title><script>
const say = what => fetch("/said", { method: "POST", body: JSON.stringify(what) });
const bytes = text => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0));
let done = false;
(async () => {
  const registration = await navigator.serviceWorker.register("/worker.js");
  await navigator.serviceWorker.ready;
  const options = { userVisibleOnly: true, applicationServerKey: bytes("KEY") };
  const subscribe = () => registration.pushManager.subscribe(options).then(subscription => {
    if (!done) { done = true; say({ subscription }); }
  }, error => say({ error: String(error) }));
  subscribe();
  const timer = setInterval(() => done ? clearInterval(timer) : subscribe(), 3000);
})().catch(error => say({ error: String(error) }));
</script>"#;

/// The service worker: what an app's would do with a push of Carillon's.
const WORKER: &str = r#"
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
self.addEventListener("push", event => event.waitUntil((async () => {
  const push = event.data.json();
  await self.registration.showNotification(push.title, { body: push.body, lang: push.lang, tag: push.carillon.eventId });
  const shown = (await self.registration.getNotifications()).map(n => ({ title: n.title, body: n.body, lang: n.lang, tag: n.tag }));
  await fetch("/said", { method: "POST", body: JSON.stringify({ push, shown }) });
})()));
"#;

/// The page's server, and what the page said.
pub struct Page {
    /// Where it listens.
    pub addr: SocketAddr,
    said: Arc<Mutex<Vec<Value>>>,
}

impl Page {
    /// Serves the page, which subscribes with this VAPID key.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn serve(key: &str) -> io::Result<Page> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (addr, said) = (listener.local_addr()?, Arc::new(Mutex::new(Vec::new())));
        let (page, heard) = (PAGE.replace("KEY", key), said.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (page, heard) = (page.clone(), heard.clone());
                // A browser that hangs up asks again.
                tokio::spawn(async move { answer(stream, &page, &heard).await });
            }
        });
        Ok(Page { addr, said })
    }

    /// Everything that the page and its worker said, in order.
    pub fn said(&self) -> Vec<Value> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request and its answer over HTTP/1.1.
async fn answer(mut stream: TcpStream, page: &str, said: &Mutex<Vec<Value>>) -> io::Result<()> {
    let mut request = Vec::new();
    let head = loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await?;
        request.extend_from_slice(&chunk[..read]);
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if read == 0 || request.len() > 64 << 10 {
            return Ok(());
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let length = text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let whole = head + length.unwrap_or(0).min(64 << 10);
    while request.len() < whole {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&chunk[..read]);
    }
    let (status, kind, body) = match text.split(' ').nth(1) {
        Some("/") => ("200 OK", "text/html", page),
        Some("/worker.js") => ("200 OK", "text/javascript", WORKER),
        Some("/said") => {
            let what = serde_json::from_slice(&request[head..whole]).unwrap_or_default();
            said.lock().unwrap_or_else(PoisonError::into_inner).push(what);
            ("204 No Content", "text/plain", "")
        }
        _ => ("404 Not Found", "text/plain", ""),
    };
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await
}

/// Preferences of the profile: our push service without TLS, permissions granted, nothing that calls home.
fn preferences(push: SocketAddr) -> String {
    format!(
        r#"user_pref("dom.push.serverURL", "ws://{push}/");
user_pref("dom.push.testing.allowInsecureServerURL", true);
user_pref("dom.push.testing.ignorePermission", true);
user_pref("permissions.default.desktop-notification", 1);
user_pref("alerts.useSystemBackend", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.dns.disablePrefetch", true);
user_pref("services.settings.server", "http://127.0.0.1:9/");
user_pref("browser.aboutwelcome.enabled", false);
user_pref("trailhead.firstrun.didSeeAboutWelcome", true);
"#
    )
}

/// A running Firefox. It goes with the story.
pub struct Firefox {
    child: Child,
    _profile: Folder,
}

impl Firefox {
    /// Opens the page in a Firefox of Debian's package `firefox-esr`, or of `FIREFOX_BIN`; `None` when there is none.
    ///
    /// # Panics
    /// When it is there and cannot be started.
    pub fn open(page: SocketAddr, push: SocketAddr) -> Option<Firefox> {
        let program = std::env::var_os("FIREFOX_BIN").unwrap_or_else(|| "firefox-esr".into());
        let profile = Folder::fresh();
        profile.write("user.js", &preferences(push));
        let mut command = Command::new(program);
        command.args(["--headless", "--no-remote", "--profile"]).arg(profile.path()).arg(format!("http://{page}/"));
        command.env("HOME", profile.path()).env("MOZ_HEADLESS", "1").env("MOZ_CRASHREPORTER_DISABLE", "1");
        let log = std::fs::File::create(profile.path().join("firefox.log")).expect("a log can be written");
        let errors = log.try_clone().expect("a log can be written");
        match command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn() {
            Ok(child) => Some(Firefox { child, _profile: profile }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => panic!("Firefox cannot be started: {error}"),
        }
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        // Its own helpers end when it does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
