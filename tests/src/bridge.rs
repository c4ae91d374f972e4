//! A conferencing bridge of a story's own, which takes webhooks and can be told what to answer.

use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A webhook: its headers, in lower case, and what stood in it.
pub type Webhook<T> = (Vec<(String, String)>, T);

/// A bridge of the story's own: what it is sent, and what it answers.
#[derive(Clone, Debug)]
pub struct Bridge {
    addr: std::net::SocketAddr,
    heard: Arc<Mutex<Vec<Webhook<String>>>>,
    status: Arc<Mutex<u16>>,
}

impl Bridge {
    /// Starts one, which answers 503.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Bridge {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let bridge = Bridge { addr: listener.local_addr().expect("bound"), heard: Arc::default(), status: Arc::new(Mutex::new(503)) };
        let own = bridge.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(own.clone().take(socket));
            }
        });
        bridge
    }

    /// Takes one webhook.
    async fn take(self, mut socket: TcpStream) {
        let mut bytes = Vec::new();
        let (head, body) = loop {
            let mut part = [0; 4096];
            let Ok(read @ 1..) = socket.read(&mut part).await else { return };
            bytes.extend_from_slice(&part[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                break (head.to_owned(), body.to_owned());
            }
        };
        let headers = head.lines().filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
        self.heard.lock().expect("a list").push((headers, body));
        let status = *self.status.lock().expect("a status");
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = socket.write_all(answer.as_bytes()).await;
    }

    /// Where its webhooks go.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.addr)
    }

    /// What it answers from now on.
    pub fn answers(&self, status: u16) {
        *self.status.lock().expect("a status") = status;
    }

    /// What it was sent, as it stood there.
    pub fn raw(&self) -> Vec<String> {
        self.heard.lock().expect("a list").iter().map(|(_, body)| body.clone()).collect()
    }

    /// What it was sent.
    pub fn heard(&self) -> Vec<Webhook<Value>> {
        let heard = self.heard.lock().expect("a list").clone();
        heard.into_iter().map(|(headers, body)| (headers, serde_json::from_str(&body).expect("JSON"))).collect()
    }
}
