//! A private text: providers carry that there is a message, never a word of it; at rest it is sealed; the app fetches it.

use reqwest::Method;
use serde_json::json;
use stories::{App, Org, SOON, Stage, token_of};

const TITLE: &str = "Zanzibar quartz meeting";
const BODY: &str = "The xylophone combination is walrus-seventeen.";
/// Words of which none may be seen.
const SECRETS: [&str; 4] = ["Zanzibar", "quartz", "xylophone", "walrus"];
/// Not private: shows that the search finds what is there.
const OPEN: &str = "Marzipan for everybody";

/// The text as bytes in the forms in which it might lie about.
fn forms(word: &str) -> Vec<Vec<u8>> {
    let utf16: Vec<u8> = word.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hex: Vec<u8> = word.bytes().flat_map(|b| format!("{b:02x}").into_bytes()).collect();
    let mut forms = vec![word.as_bytes().to_vec(), word.to_lowercase().into_bytes(), utf16, hex.to_ascii_uppercase(), hex];
    // Base64 at each of the three alignments, without the letters that depend on the neighbours.
    for offset in 0..3 {
        let mut padded = vec![b'~'; offset];
        padded.extend_from_slice(word.as_bytes());
        let text = base64(&padded);
        let skip = [0, 2, 3][offset];
        forms.push(text.as_bytes()[skip..text.len().saturating_sub(4)].to_vec());
    }
    forms
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |i| char::from(LETTERS[(bits >> (18 - 6 * i) & 63) as usize])).collect::<String>()
    };
    bytes.chunks(3).map(sextets).collect()
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn assert_nothing_of_it(what: &str, bytes: &[u8]) {
    for word in SECRETS {
        for form in forms(word) {
            assert!(!holds(bytes, &form), "{what} holds {word:?} as {:?}", String::from_utf8_lossy(&form));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_private_text_is_seen_by_providers_or_lies_on_disk_and_the_app_fetches_it() {
    let mut stage = Stage::with(|scene| scene.log = "debug").await;
    Org::new().person("ada").iphone("ada-phone", "ada").person("bob").group("two", &["user:ada", "user:bob"]).import(&stage.api).await;
    let app = App::enrol(&stage.api, "ada@example.org", "ada-pad", "ipados").await;
    let mut stream = app.stream(None).await;
    let body = json!({"title": TITLE, "body": BODY, "groups": ["two"], "private": true});
    let sent = stage.api.ask(Method::POST, "notifications", Some(&body), &[("idempotency-key", "private-1")]).await.with(201);
    assert_eq!((&sent["private"], &sent["title"]), (&json!(true), &json!(TITLE)), "the author sees what was sent");
    let id = sent["id"].as_str().expect("an id");
    let frame = stream.event("notification", SOON).await;
    assert_eq!((&frame.data["title"], &frame.data["body"], &frame.data["private"]), (&json!(TITLE), &json!(BODY), &json!(true)));
    app.receipt(id, "opened").await;
    let open = stage.api.tell("two", OPEN).await;
    stage.api.done(id).await;
    stage.api.done(&open).await;

    let item = app.inbox().await.into_iter().find(|item| item["eventId"] == id).expect("it is in the inbox");
    assert_eq!((&item["title"], &item["body"]), (&json!(TITLE), &json!(BODY)));
    assert_eq!(stage.apple.reached(&token_of("ada-phone")), 2);
    assert_eq!(stage.relay.reached("bob@mail.example.org"), 2);
    let pushes = stage.apple.arrivals(100);
    let private_pushes: Vec<_> = pushes.iter().filter(|push| push.payload.contains(id)).collect();
    assert!(!private_pushes.is_empty() && pushes.iter().any(|push| push.payload.contains(OPEN)));
    for push in &private_pushes {
        assert_nothing_of_it("a push", push.payload.as_bytes());
        assert_nothing_of_it("a push's headers", format!("{:?}", push.headers).as_bytes());
        let payload: serde_json::Value = serde_json::from_str(&push.payload).expect("JSON");
        assert_eq!(payload["carillon"]["private"], true, "the app knows that it has to fetch: {payload}");
        assert!(payload["aps"]["alert"]["title"].as_str().is_some_and(|t| !t.is_empty()), "the lock screen says that there is something");
    }
    for mail in stage.relay.mails(100) {
        assert_nothing_of_it("a mail", mail.content.replace("=\r\n", "").as_bytes());
    }

    // The same request again is answered from what was kept: sealed too.
    let replay = stage.api.ask(Method::POST, "notifications", Some(&body), &[("idempotency-key", "private-1")]).await;
    assert_eq!(replay.header("idempotent-replay"), "true");
    assert_eq!(replay.with(201)["id"], id);
    stage.server.cli(&["why", id, "p-ada", "--json"]).ended(0);
    search_disk(&stage);
    assert!(stage.server.terminate().success());
    search_disk(&stage);
    stage.server.restart().await;
    let item = app.inbox().await.into_iter().find(|item| item["eventId"] == id).expect("it is in the inbox");
    assert_eq!(item["body"], BODY, "the key at rest opens it after a restart");
    stage.api.post(&format!("notifications/{id}/resend"), &json!({"only": "unopened"})).await.with(201);
    search_disk(&stage);
}

/// Database, write-ahead log, keys, log files: everything in the server's folder.
fn search_disk(stage: &Stage) {
    let files = stage.server.bytes_at_rest();
    assert!(files.iter().any(|(_, bytes)| holds(bytes, OPEN.as_bytes())), "the search finds an open text");
    for (path, bytes) in &files {
        assert_nothing_of_it(&path.display().to_string(), bytes);
    }
    for name in ["server.log", "server.out"] {
        let said = files.iter().find(|(path, _)| path.ends_with(name)).map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
        for secret in [&stage.server.token(), "ada@mail.example.org", "bob@mail.example.org", &token_of("ada-phone"), OPEN] {
            assert!(!holds(said, secret.as_bytes()), "{name} holds an address, a token or a text: {secret}");
        }
    }
}
