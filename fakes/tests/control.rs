//! The fakes' control pages, as the demo and the benchmarks use them.

use fakes::{Mode, apple, relay};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn ask(addr: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(addr).await.expect("the control page listens");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).expect("JSON"))
}

async fn refused(addr: SocketAddr) -> bool {
    for _ in 0..100 {
        if TcpStream::connect(addr).await.is_err() {
            return true;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn apples_page_says_what_it_is_changes_the_mode_and_outlives_a_closed_door() {
    let control = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let fake = apple::start(apple::Options { control, ..apple::Options::default() }).await.expect("free ports");
    let page = fake.control.expect("a control page");
    let (status, help) = ask(page, "GET", "/", "").await;
    assert!(status == 404 && help["fake"].as_str().is_some_and(|t| t.contains("fake of Apple")), "{help}");
    for (mode, answer) in [
        (r#"{"mode": "slow", "latencyMs": 5}"#, 200),
        (r#"{"mode": "rate", "perSecond": 2000}"#, 200),
        (r#"{"mode": "limit", "perSecond": 5, "retryAfterSeconds": 2}"#, 200),
        (r#"{"mode": "refuse", "status": 403, "reason": "InvalidProviderToken"}"#, 200),
        (r#"{"mode": "goaway", "after": 10, "abrupt": true}"#, 200),
        (r#"{"answers": {"ab": {"status": 410, "reason": "Unregistered", "timestamp": 5}}}"#, 200),
        (r#"{"mode": "sideways"}"#, 400),
        (r#"{"mode": "slow"}"#, 400),
        ("nonsense", 400),
        (r#"{"mode": "closed"}"#, 200),
    ] {
        assert_eq!(ask(page, "POST", "/_fake/mode", mode).await.0, answer, "{mode}");
    }
    assert!(refused(fake.addr).await, "the door is shut");
    assert_eq!(ask(page, "GET", "/_fake/stats", "").await.1["mode"]["mode"], "closed");
    fake.set_mode(Mode::Ok);
    assert_eq!(ask(page, "GET", "/_fake/log?limit=5", "").await.1["items"], serde_json::json!([]));
    let addr = fake.addr;
    fake.stop();
    assert!(refused(addr).await && refused(page).await, "a stopped fake listens nowhere");
}

#[tokio::test]
async fn the_relays_page_shows_what_was_taken() {
    let control = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let fake = relay::start(relay::Options { control, ..relay::Options::default() }).await.expect("free ports");
    let page = fake.control.expect("a control page");
    let mut stream = TcpStream::connect(fake.addr).await.expect("it listens");
    let dialogue = "EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nNONSENSE\r\nQUIT\r\n";
    stream.write_all(dialogue.as_bytes()).await.expect("it reads");
    let mut said = String::new();
    stream.read_to_string(&mut said).await.expect("it answers and closes");
    let codes: Vec<_> = said.lines().filter(|l| l.as_bytes().get(3) == Some(&b' ')).map(|l| &l[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "250", "354", "250", "500", "221"], "{said}");
    let (_, log) = ask(page, "GET", "/_fake/log", "").await;
    assert_eq!(log["items"][0]["content"], "Subject: x\r\n\r\n.dot\r\n");
    assert_eq!(log["items"][0]["to"], serde_json::json!(["c@d"]));
    assert_eq!(ask(page, "POST", "/_fake/clear", "").await.0, 200);
    assert_eq!(ask(page, "GET", "/_fake/stats", "").await.1["accepted"], 0);
    assert_eq!(fake.stats().distinct, 0);
}

#[tokio::test]
async fn a_fake_listens_for_this_machine_only() {
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = apple::start(apple::Options { listen, ..apple::Options::default() }).await.err().expect("refused");
    assert!(error.to_string().contains("loopback"), "{error}");
}
