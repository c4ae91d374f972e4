//! Inbox streams over real sockets: those that a connection begins with are written by the server itself, and must look
//! like every other answer; what only resembles them goes the usual way.

use super::served::{Served, rest, send, serve, until};
use super::world::World;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const PATH: &str = "/api/v1/device/inbox/stream";

/// A served world with Ada and her app's token.
async fn with_app() -> (World, Served, String) {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let (_, app) = world.enrolled(&ada).await;
    let served = serve(&world).await;
    (world, served, app)
}

fn request(app: &str, more: &str) -> String {
    format!("GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {app}\r\n{more}\r\n")
}

async fn end(served: Served) {
    served.stop.cancel();
    served.task.await.expect("no panic").expect("in order");
}

async fn closed(world: &World) {
    for _ in 0..200 {
        if world.engine.open_streams() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{} streams stayed open", world.engine.open_streams());
}

/// The head, and the body without its chunks.
fn unchunked(text: &str) -> (&str, String) {
    let (head, mut rest) = text.split_once("\r\n\r\n").expect("a head");
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        body.push_str(&after[..size]);
        assert_eq!(&after[size..size + 2], "\r\n", "a chunk ends where it said");
        rest = &after[size + 2..];
    }
    (head, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_comes_in_chunks_with_the_headers_of_every_answer_and_ends_in_order_when_the_server_stops() {
    let (world, served, app) = with_app().await;
    let mut socket = send(&served, &request(&app, "X-Request-Id: app-17\r\n")).await;
    let mut text = until(&mut socket, "retry: 2000").await;
    let sent =
        world.post("/api/v1/notifications", json!({"title": "t\u{e9}", "body": "b", "users": ["ada@example.org"]})).await.expect(201);
    text += &until(&mut socket, "event: notification").await;
    served.stop.cancel();
    text += &rest(&mut socket).await;
    assert!(text.ends_with("\r\n0\r\n\r\n"), "{text}");
    let (head, body) = unchunked(&text);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for field in [
        "content-type: text/event-stream",
        "transfer-encoding: chunked",
        "connection: close",
        "x-accel-buffering: no",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "x-request-id: app-17",
        "date: ",
    ] {
        assert!(head.contains(&format!("\r\n{field}")), "{field} is missing: {head}");
    }
    assert!(!head.contains("content-length"), "{head}");
    assert!(body.starts_with("retry: 2000\n\nid: "), "{body}");
    let data: Value = serde_json::from_str(body.lines().find_map(|l| l.strip_prefix("data: ")).expect("data")).expect("JSON");
    assert_eq!((data["eventId"].as_str(), data["title"].as_str()), (Some(sent.id()), Some("t\u{e9}")));
    closed(&world).await;
    served.task.await.expect("no panic").expect("in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_may_come_in_pieces() {
    let (world, served, app) = with_app().await;
    let whole = request(&app, "");
    for cut in [1, 4, 31, 40, whole.len() - 3, whole.len() - 1] {
        let mut socket = send(&served, &whole[..cut]).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        socket.write_all(&whole.as_bytes()[cut..]).await.expect("it is taken");
        let text = until(&mut socket, "retry: 2000").await;
        assert!(text.contains("connection: close"), "cut at {cut}: {text}");
    }
    closed(&world).await;
    end(served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_of_more_than_sixteen_kibibytes_is_refused() {
    let (world, served, app) = with_app().await;
    let fits = format!("X-Long: {}\r\n", "x".repeat(15 * 1024));
    let mut socket = send(&served, &request(&app, &fits)).await;
    until(&mut socket, "retry: 2000").await;
    drop(socket);
    let mut socket = send(&served, &format!("GET {PATH} HTTP/1.1\r\nHost: x\r\nX-Long: {}", "x".repeat(17 * 1024))).await;
    let text = until(&mut socket, "\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
    closed(&world).await;
    end(served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_stream_is_a_problem_document_with_its_length_and_the_connection_ends() {
    let (world, served, _) = with_app().await;
    let mut socket = send(&served, &request("car_wrong", "")).await;
    let text = rest(&mut socket).await;
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{head}");
    let length = format!("content-length: {}", body.len());
    for field in
        ["content-type: application/problem+json", "www-authenticate: Bearer", "connection: close", "cache-control: no-store", &length]
    {
        assert!(head.contains(&format!("\r\n{field}")), "{field} is missing: {head}");
    }
    let problem: Value = serde_json::from_str(body).expect("JSON");
    let id = head.lines().find_map(|l| l.strip_prefix("x-request-id: ")).expect("an id");
    assert_eq!(
        (problem["code"].as_str(), problem["instance"].as_str()),
        (Some("unauthenticated"), Some(&*format!("urn:carillon:request:{id}")))
    );
    assert_eq!(world.engine.open_streams(), 0);
    end(served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_query_and_the_last_id_are_read_as_ever() {
    let (world, served, app) = with_app().await;
    for title in ["first", "second"] {
        world.post("/api/v1/notifications", json!({"title": title, "body": "b", "users": ["ada@example.org"]})).await.expect(201);
    }
    let inbox = world.ask("GET", "/api/v1/device/inbox").token(&app).send().await.expect(200);
    let first = inbox.json["items"][1]["seq"].as_i64().expect("a place");
    let by_header = request(&app, &format!("Last-Event-ID: {first}\r\n"));
    let by_query = request(&app, "").replace(PATH, &format!("{PATH}?lastEventId={first}"));
    for ask in [by_header, by_query] {
        let text = until(&mut send(&served, &ask).await, "second").await;
        assert!(!text.contains("first") && text.contains("connection: close"), "{text}");
    }
    let wrong = request(&app, "").replace(PATH, &format!("{PATH}?lastEventId=x"));
    let text = rest(&mut send(&served, &wrong).await).await;
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("invalid_last_event_id"), "{text}");
    closed(&world).await;
    end(served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_methods_and_neighbouring_paths_are_answered_as_ever() {
    let (world, served, app) = with_app().await;
    let whole = request(&app, "Connection: close\r\n");
    let mut socket = send(&served, &whole.replace("GET", "POST")).await;
    let text = rest(&mut socket).await;
    assert!(text.starts_with("HTTP/1.1 405 ") && text.contains("allow: GET,HEAD"), "{text}");
    let mut socket = send(&served, &whole.replace("GET", "HEAD")).await;
    let text = rest(&mut socket).await;
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("text/event-stream") && text.ends_with("\r\n\r\n"), "{text}");
    let mut socket = send(&served, &whole.replace(PATH, &format!("{PATH}s"))).await;
    let text = rest(&mut socket).await;
    assert!(text.starts_with("HTTP/1.1 404 ") && text.contains("unknown_path"), "{text}");
    closed(&world).await;
    end(served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_bytes_behind_it_or_on_a_connection_in_use_works_too() {
    let (world, served, app) = with_app().await;
    let health = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut pipelined = send(&served, &(request(&app, "") + health)).await;
    let mut later = send(&served, health).await;
    until(&mut later, "\r\n\r\nok").await;
    later.write_all(request(&app, "").as_bytes()).await.expect("it is taken");
    for socket in [&mut pipelined, &mut later] {
        let text = until(socket, "retry: 2000\n\n").await;
        assert!(text.contains("text/event-stream") && !text.contains("connection: close"), "{text}");
    }
    assert_eq!(world.engine.open_streams(), 2);
    world.post("/api/v1/notifications", json!({"title": "both", "body": "b", "users": ["ada@example.org"]})).await.expect(201);
    for socket in [&mut pipelined, &mut later] {
        until(socket, "\"title\":\"both\"").await;
    }
    end(served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_of_http_1_0_gets_a_stream_without_chunks() {
    let (world, served, app) = with_app().await;
    let mut socket = send(&served, &request(&app, "").replace("HTTP/1.1", "HTTP/1.0")).await;
    let mut text = until(&mut socket, "retry: 2000").await;
    world.post("/api/v1/notifications", json!({"title": "old", "body": "b", "users": ["ada@example.org"]})).await.expect(201);
    text += &until(&mut socket, "\"title\":\"old\"").await;
    served.stop.cancel();
    text += &rest(&mut socket).await;
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n") && !head.contains("chunked"), "{head}");
    assert!(body.starts_with("retry: 2000\n\nid: ") && body.ends_with("}\n\n"), "{body}");
    served.task.await.expect("no panic").expect("in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_closes_its_side_or_says_more_ends_the_stream() {
    let (world, served, app) = with_app().await;
    let mut closing = send(&served, &request(&app, "")).await;
    let mut saying = send(&served, &request(&app, "")).await;
    until(&mut closing, "retry: 2000").await;
    until(&mut saying, "retry: 2000").await;
    assert_eq!(world.engine.open_streams(), 2);
    closing.shutdown().await.expect("it is closed");
    saying.write_all(b"GET ").await.expect("it is taken");
    closed(&world).await;
    end(served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deactivated_persons_stream_ends_in_order() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let (_, app) = world.enrolled(&ada).await;
    let served = serve(&world).await;
    let mut socket = send(&served, &request(&app, "")).await;
    let mut text = until(&mut socket, "retry: 2000").await;
    world.ask("PATCH", &format!("/api/v1/users/{ada}")).json(json!({"active": false})).send().await.expect(200);
    text += &rest(&mut socket).await;
    assert!(text.ends_with("\r\n0\r\n\r\n"), "{text}");
    let text = rest(&mut send(&served, &request(&app, "")).await).await;
    assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
    end(served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_said_nothing_yet_does_not_keep_the_server_from_stopping() {
    let world = World::new().await;
    let served = serve(&world).await;
    let mut silent = TcpStream::connect(served.address).await.expect("a connection");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    end(served).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    assert_eq!(rest(&mut silent).await, "");
}
