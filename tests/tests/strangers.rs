//! What strangers may take of a server: slow clients, floods of connections, large bodies, guesses. Whatever they do, an honest
//! client gets its answer.

use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use stories::{Api, App, Heard, Reply, Server, eventually, time_in, when};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Slow clients of one story.
const SLOW: usize = 1_000;
/// How long an honest client waits at most, on a machine with two busy cores.
const HONEST: Duration = Duration::from_secs(5);

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.port())).await.expect("the system takes connections")
}

/// What comes until the connection ends, in order or not.
async fn rest(socket: &mut TcpStream, within: Duration) -> String {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(within, socket.read_to_end(&mut bytes)).await;
    assert!(end.is_ok(), "the connection is still open after {within:?}: {}", String::from_utf8_lossy(&bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asks once, on a connection of its own, and says how long it took.
async fn honest(server: &Server) -> Duration {
    let began = Instant::now();
    let api = Api::new(&server.url(), &server.token());
    api.get("me").await;
    began.elapsed()
}

async fn me(api: &Api) -> Reply {
    api.ask(Method::GET, "me", None, &[]).await
}

fn server_section(keys: &str) -> String {
    format!("[server]\ntrusted_proxies = \"none\"\n{keys}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_slow_clients_keep_nobody_from_an_answer_and_are_cut_off_in_time() {
    let server = Server::start(&server_section("connections_per_address = 0\nhead_seconds = 3")).await;
    let began = Instant::now();
    let mut slow = Vec::new();
    for n in 0..SLOW {
        let mut socket = connect(&server).await;
        // Some in the head, some in a head for a stream, some without a word.
        let begun: &[u8] = match n % 3 {
            0 => b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nX-Slow: ",
            1 => b"GET /api/v1/device/inbox/stream HTTP/1.1\r\nHos",
            _ => b"",
        };
        socket.write_all(begun).await.expect("it is taken");
        slow.push((n, socket));
    }
    let dripping: Vec<_> = slow
        .into_iter()
        .map(|(n, socket)| {
            tokio::spawn(async move {
                let (mut read, mut write) = socket.into_split();
                let drip = async {
                    while n % 3 != 2 && write.write_all(b"x").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                    std::future::pending::<()>().await;
                };
                let mut said = Vec::new();
                tokio::select! {
                    () = drip => {}
                    _ = read.read_to_end(&mut said) => {}
                }
                (n, String::from_utf8_lossy(&said).into_owned())
            })
        })
        .collect();
    for _ in 0..5 {
        let took = honest(&server).await;
        assert!(took < HONEST, "an honest client waited {took:?}");
    }
    for client in dripping {
        let end = tokio::time::timeout(Duration::from_secs(30), client).await;
        let (n, said) = end.expect("every slow client is cut off").expect("no panic");
        match n % 3 {
            2 => assert_eq!(said, "", "who says nothing is told nothing"),
            _ => assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("\"code\":\"head_too_slow\""), "{said}"),
        }
    }
    assert!(began.elapsed() >= Duration::from_secs(3), "nobody was cut off before the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_places_are_taken_whoever_waits_longest_goes() {
    let server = Server::start(&server_section("connections = 50\nconnections_per_address = 0")).await;
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut socket = connect(&server).await;
        socket.write_all(b"GET /he").await.expect("it is taken");
        slow.push(socket);
    }
    for _ in 0..20 {
        let took = honest(&server).await;
        assert!(took < HONEST, "an honest client waited {took:?}");
    }
    let said = rest(&mut slow[0], Duration::from_secs(10)).await;
    assert!(!said.contains("200 OK"), "{said}");
    let metrics = Api::new(&server.url(), "").page("/metrics").await.with(200);
    let sent_away =
        metrics.as_str().and_then(|text| text.lines().find(|line| line.starts_with("carillon_connections_refused_total{why=\"idle\"}")));
    assert!(sent_away.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_never_takes_the_last_descriptor_and_the_server_says_that_it_is_full() {
    let mut server = Server::prepare(&server_section("connections_per_address = 0"));
    server.descriptors(200);
    server.restart().await;
    let api = Api::new(&server.url(), &server.token());
    let person = api.post("users", &json!({"upn": "ada@example.org", "displayName": "Ada"})).await.with(201);
    // A hundred places for strangers of two hundred descriptors: all of them hold requests that are under way.
    let mut busy = Vec::new();
    let head = format!(
        "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{",
        server.token()
    );
    let mut turned_away = 0;
    for _ in 0..400 {
        let mut socket = connect(&server).await;
        if socket.write_all(head.as_bytes()).await.is_err() {
            turned_away += 1;
            continue;
        }
        busy.push(socket);
    }
    let full = eventually("a refusal", Duration::from_secs(10), async || {
        let mut socket = connect(&server).await;
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.ok()?;
        let said = rest(&mut socket, Duration::from_secs(10)).await;
        said.starts_with("HTTP/1.1 503 ").then_some(said)
    })
    .await;
    assert!(full.contains("\"code\":\"too_many_connections\"") && full.contains("retry-after: 5"), "{full}");
    assert!(full.contains("content-type: application/problem+json"), "{full}");
    drop(busy);
    // The store and the rest of the server had descriptors all the time, and there is room again.
    eventually("room", Duration::from_secs(20), async || {
        let id = person["id"].as_str()?;
        let answer = reqwest_once(&server, &format!("users/{id}")).await?;
        when(answer == 200)
    })
    .await;
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert!(turned_away < 400);
}

/// The status of one request on a connection of its own; none when it was cut.
async fn reqwest_once(server: &Server, path: &str) -> Option<u16> {
    let mut socket = connect(server).await;
    let request =
        format!("GET /api/v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n", server.token());
    socket.write_all(request.as_bytes()).await.ok()?;
    let said = rest(&mut socket, Duration::from_secs(10)).await;
    said.split(' ').nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_gets_its_share_and_is_told_so() {
    let server = Server::start(&server_section("connections_per_address = 20")).await;
    let mut held = Vec::new();
    for _ in 0..19 {
        held.push(connect(&server).await);
    }
    let said = eventually("a refusal", Duration::from_secs(10), async || {
        held.push(connect(&server).await);
        let mut socket = connect(&server).await;
        let said = rest(&mut socket, Duration::from_secs(10)).await;
        said.starts_with("HTTP/1.1 429 ").then_some(said)
    })
    .await;
    assert!(said.contains("\"code\":\"too_many_connections\"") && said.contains("20 connections"), "{said}");
    drop(held);
    eventually("room", Duration::from_secs(10), async || when(reqwest_once(&server, "me").await? == 200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_still_writes_when_it_is_refused_gets_its_answer() {
    let server = Server::start("").await;
    let chunk = vec![b'x'; 64 * 1024];
    let cases = [
        ("directory/import", "text/csv", "car_wrong".to_owned(), 32 << 20, "401"),
        ("users", "application/json", server.token(), 32 << 20, "413"),
        ("device/enrol", "text/plain", server.token(), 8 << 20, "415"),
        ("nothing/here", "application/json", server.token(), 8 << 20, "404"),
    ];
    for (path, media, token, bytes, status) in cases {
        let mut socket = connect(&server).await;
        let head = format!(
            "POST /api/v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {media}\r\nContent-Length: {bytes}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.expect("it is taken");
        // As many clients do: everything is written before anything is read.
        for written in 0..bytes / chunk.len() {
            let taken = socket.write_all(&chunk).await;
            assert!(taken.is_ok(), "{path}, {status}: {taken:?} after {written} chunks of 64 KiB");
        }
        let said = rest(&mut socket, Duration::from_secs(20)).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {said}");
        assert!(said.contains("application/problem+json"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_and_a_head_that_is_too_large_are_refused_with_a_problem() {
    let server = Server::start(&server_section("body_seconds = 1")).await;
    let mut slow = connect(&server).await;
    let head = format!(
        "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{",
        server.token()
    );
    slow.write_all(head.as_bytes()).await.expect("it is taken");
    let said = rest(&mut slow, Duration::from_secs(20)).await;
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("\"code\":\"body_too_slow\""), "{said}");
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    let many = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(150));
    for head in [long, many] {
        let mut socket = connect(&server).await;
        socket.write_all(head.as_bytes()).await.expect("it is taken");
        let said = rest(&mut socket, Duration::from_secs(20)).await;
        assert!(said.starts_with("HTTP/1.1 431 ") && said.contains("\"code\":\"head_too_large\""), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_read_to_a_depth_of_a_hundred_and_twenty_seven_and_to_a_mebibyte() {
    let server = Server::start("").await;
    let api = Api::new(&server.url(), &server.token());
    let ask = async |method: Method, path: &str, body: String| {
        let request = api.request(method, path).header("content-type", "application/json").body(body);
        Reply::of(path.to_owned(), request).await.expect("the server answers")
    };
    // A value of any type, so that nothing but the depth is wrong with it.
    let nested = |depth: usize| format!("{{\"value\":{}1{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let set = async |depth| ask(Method::PUT, "settings/custom.email", nested(depth)).await;
    assert_eq!(set(127).await.problem(422), "invalid_field");
    for depth in [128, 500, 500_000] {
        assert_eq!(set(depth).await.problem(400), "malformed_json");
    }
    let large = ask(Method::POST, "users", format!("{{\"upn\":\"{}\"}}", "x".repeat(1 << 20))).await;
    assert_eq!(large.problem(413), "too_large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_are_stopped_and_those_who_were_right_go_on() {
    let server = Server::start(&server_section("failures_per_minute = 10")).await;
    let api = Api::new(&server.url(), &server.token());
    api.get("me").await;
    let guess = api.with_token("car_wrong");
    for _ in 0..5 {
        assert_eq!(me(&guess).await.problem(401), "unauthenticated");
    }
    // Other doors count the same.
    let graph = format!("{}/beta/deviceManagement/sendCustomNotificationToCompanyPortal", server.url());
    let by_graph = async || reqwest::Client::new().post(&graph).bearer_auth("car_wrong").json(&json!({})).send().await.expect("an answer");
    for _ in 0..5 {
        assert_eq!(by_graph().await.status(), 401);
    }
    assert_eq!(by_graph().await.status(), 429);
    let refused = me(&guess).await;
    assert_eq!(refused.problem(429), "over_limit");
    assert_eq!(refused.body["limit"]["name"], "server.failures_per_minute");
    let retry: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=6).contains(&retry), "{retry}");
    api.get("me").await;
    let code = json!({"code": "2222-2222-2222", "name": "x", "platform": "ios"});
    assert_eq!(Api::new(&server.url(), "").post("device/enrol", &code).await.problem(429), "over_limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_asks_too_often_is_told_when_to_come_again() {
    let server = Server::start(&server_section("requests_per_second = 2")).await;
    let api = Api::new(&server.url(), &server.token());
    let mut refused = None;
    for _ in 0..40 {
        let reply = me(&api).await;
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
        reply.with(200);
    }
    let refused = refused.expect("forty requests at once are more than twenty");
    assert_eq!((refused.problem(429), refused.body["limit"]["allowed"].as_u64()), ("over_limit", Some(2)));
    assert_eq!(refused.header("ratelimit-limit"), "2");
    tokio::time::sleep(Duration::from_secs(1)).await;
    api.get("me").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_holds_four_streams_and_a_fifth_ends_the_first() {
    let server = Server::start("").await;
    let api = Api::new(&server.url(), &server.token());
    api.post("users", &json!({"upn": "ada@example.org", "displayName": "Ada"})).await.with(201);
    let app = App::enrol(&api, "ada@example.org", "phone", "ios").await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(app.stream(None).await);
    }
    loop {
        match streams[0].next(Duration::from_secs(20)).await {
            Heard::End => break,
            Heard::Frame(_) => {}
            Heard::Nothing => panic!("the first stream is still open"),
        }
    }
    let sent = json!({"title": "t", "body": "b", "users": ["ada@example.org"], "expiresAt": time_in(Duration::from_secs(600))});
    api.send(&sent).await;
    let last = streams.last_mut().expect("five were opened");
    last.event("notification", Duration::from_secs(20)).await;
}
