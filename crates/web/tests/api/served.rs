//! The server's connections, over real sockets: headers, slow clients, draining, streams that end.

use super::world::World;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub struct Served {
    pub stop: CancellationToken,
    pub task: tokio::task::JoinHandle<std::io::Result<()>>,
    pub address: std::net::SocketAddr,
}

pub async fn serve(world: &World) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let task = tokio::spawn(web::serve(listener, world.router.clone(), web::Limits::default(), stop.clone(), Duration::from_secs(20)));
    Served { stop, task, address }
}

pub async fn send(served: &Served, request: &str) -> TcpStream {
    let mut socket = TcpStream::connect(served.address).await.expect("a connection");
    socket.write_all(request.as_bytes()).await.expect("it is taken");
    socket
}

pub async fn rest(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut bytes)).await.expect("an end").expect("in order");
    String::from_utf8_lossy(&bytes).into_owned()
}

pub async fn until(socket: &mut TcpStream, mark: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4_096]);
    while !text.contains(mark) {
        let n = tokio::time::timeout(Duration::from_secs(5), socket.read(&mut buffer)).await.expect("something").expect("in order");
        assert_ne!(n, 0, "the end came before {mark:?}: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_readiness_and_metrics_answer_with_the_headers_of_every_answer() {
    let world = World::new().await;
    let served = serve(&world).await;
    for (path, body) in [("/healthz", "\r\n\r\nok"), ("/readyz", "\r\n\r\nready"), ("/metrics", "# metrics")] {
        let mut socket = send(&served, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
        let text = rest(&mut socket).await;
        assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains(body), "{text}");
        for header in [
            "x-request-id: ",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(text.contains(header), "{path} lacks {header}");
        }
    }
    served.stop.cancel();
    served.task.await.expect("no panic").expect("in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_stream_does_not_keep_the_server_from_stopping() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let (_, app) = world.enrolled(&ada).await;
    let served = serve(&world).await;
    let request = format!("GET /api/v1/device/inbox/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {app}\r\n\r\n");
    let mut socket = send(&served, &request).await;
    let text = until(&mut socket, "retry: 2000").await;
    assert!(text.contains("text/event-stream"), "{text}");
    let begun = std::time::Instant::now();
    served.stop.cancel();
    served.task.await.expect("no panic").expect("in order");
    assert!(begun.elapsed() < Duration::from_secs(5), "the stream held the server for {:?}", begun.elapsed());
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_client_hangs_up_is_closed() {
    let world = World::new().await;
    let ada = world.user("ada@example.org").await;
    let (_, app) = world.enrolled(&ada).await;
    let served = serve(&world).await;
    let request = format!("GET /api/v1/device/inbox/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {app}\r\n\r\n");
    let mut socket = send(&served, &request).await;
    until(&mut socket, "retry: 2000").await;
    assert_eq!(world.engine.open_streams(), 1);
    drop(socket);
    for _ in 0..200 {
        if world.engine.open_streams() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(world.engine.open_streams(), 0);
    served.stop.cancel();
    served.task.await.expect("no panic").expect("in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_is_answered_while_the_server_stops() {
    let world = World::new().await;
    let served = serve(&world).await;
    let body = r#"{"name": "Late"}"#;
    let head = format!(
        "POST /api/v1/groups HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        world.owner,
        body.len()
    );
    let mut socket = send(&served, &head).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    served.stop.cancel();
    socket.write_all(body.as_bytes()).await.expect("it is taken");
    let text = rest(&mut socket).await;
    assert!(text.starts_with("HTTP/1.1 201 Created"), "{text}");
    served.task.await.expect("no panic").expect("in order");
}
