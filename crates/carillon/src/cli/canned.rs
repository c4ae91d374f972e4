//! A server for tests that answers as it is told: one request a connection, then it hangs up.

use super::client::Client;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a request is answered.
pub enum Answer {
    /// A status and a JSON body.
    Json(u16, Value),
    /// The connection is cut without an answer.
    Cut,
}

/// A running server; what it was asked stays readable.
pub struct Canned {
    /// Where it listens.
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    /// Starts it. `answer` gets the number of the request, from 0, and its text with headers and body.
    pub async fn start(answer: impl Fn(usize, &str) -> Answer + Send + 'static) -> Canned {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        tokio::spawn(async move {
            for n in 0.. {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let request = request(&mut stream).await;
                let reply = match answer(n, &request) {
                    Answer::Cut => String::new(),
                    Answer::Json(status, body) => {
                        let body = body.to_string();
                        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
                    }
                };
                seen.lock().expect("no test panics while it holds the lock").push(request);
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        Canned { url, asked }
    }

    /// A client of it, with a token.
    pub fn client(&self) -> Client {
        Client::new(&self.url, Some("secret".into())).expect("a client")
    }

    /// Every request so far, with headers and body.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics while it holds the lock").clone()
    }
}

/// Reads one request with its body, chunked or not.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = vec![0; 65536];
    loop {
        let n = stream.read(&mut buffer).await.expect("a request");
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |l| l.parse().expect("a length"));
        let chunked = head.contains("transfer-encoding: chunked");
        if n == 0 || (chunked && body.ends_with("0\r\n\r\n")) || (!chunked && body.len() >= length) {
            return text;
        }
    }
}
