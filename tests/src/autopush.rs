//! A push service for a real browser: the half that Firefox speaks to. Firefox keeps a WebSocket (RFC 6455) to it, in the
//! sub-protocol `push-notification` of Mozilla's autopush; it subscribes there, and gets there what arrived for it. The
//! other half, to which servers post, is the fake push service.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// RFC 6455 §1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Longest message of a browser; subscriptions are short.
const MOST_MESSAGE_BYTES: u64 = 64 << 10;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A message for a browser: a subscription, and an encrypted body.
pub type Carried = (String, Vec<u8>);

#[derive(Default)]
struct State {
    /// VAPID key of each subscription, as the browser named it.
    keys: HashMap<String, String>,
    /// `code` of each acknowledgement: 100 for a message that was opened and given to the page.
    acknowledged: Vec<u64>,
}

/// The running half.
pub struct Autopush {
    /// Where it listens: `ws://127.0.0.1:PORT/`.
    pub addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Autopush {
    /// Starts it. `endpoint` makes the endpoint of a subscription; `messages` are carried to the browser that is there.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(
        endpoint: impl Fn(&str) -> String + Send + Sync + 'static,
        messages: mpsc::UnboundedReceiver<Carried>,
    ) -> io::Result<Autopush> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (addr, state) = (listener.local_addr()?, Arc::new(Mutex::new(State::default())));
        let (endpoint, messages) = (Arc::new(endpoint), Arc::new(tokio::sync::Mutex::new(messages)));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, endpoint, messages) = (shared.clone(), endpoint.clone(), messages.clone());
                // A browser that goes away ends its conversation; it comes back when it wants to.
                tokio::spawn(async move { converse(stream, &state, endpoint.as_ref(), &messages).await });
            }
        });
        Ok(Autopush { addr, state })
    }

    /// The VAPID key to which a browser bound a subscription, in base64url without padding.
    pub fn key_of(&self, subscription: &str) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.keys.get(subscription).map(|key| key.trim_end_matches('=').to_owned())
    }

    /// What the browser said of the messages that it got: 100 means opened.
    pub fn acknowledged(&self) -> Vec<u64> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).acknowledged.clone()
    }
}

async fn converse(
    stream: TcpStream,
    state: &Mutex<State>,
    endpoint: &(dyn Fn(&str) -> String + Send + Sync),
    messages: &tokio::sync::Mutex<mpsc::UnboundedReceiver<Carried>>,
) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    write.write_all(greeting(&mut read).await?.as_bytes()).await?;
    let (said, mut heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(frame) = frame(&mut read).await {
            if said.send(frame).is_err() {
                return;
            }
        }
    });
    // One conversation at a time carries messages; Firefox has one.
    let mut messages = messages.lock().await;
    let mut version = 0;
    loop {
        tokio::select! {
            heard = heard.recv() => match heard {
                Some((TEXT, text)) => {
                    if let Some(reply) = answer(&text, state, endpoint) {
                        say(&mut write, TEXT, reply.to_string().as_bytes()).await?;
                    }
                }
                Some((PING, data)) => say(&mut write, PONG, &data).await?,
                Some((CLOSE, _)) | None => return Ok(()),
                Some(_) => {}
            },
            Some((subscription, body)) = messages.recv() => {
                version += 1;
                let message = json!({
                    "messageType": "notification", "channelID": subscription, "version": format!("v{version}"),
                    "data": URL_SAFE_NO_PAD.encode(body), "headers": {"encoding": "aes128gcm"},
                });
                say(&mut write, TEXT, message.to_string().as_bytes()).await?;
            }
        }
    }
}

/// Reads the request that opens a WebSocket, and answers it.
async fn greeting(read: &mut (impl AsyncReadExt + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8192 {
        head.push(read.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
    });
    let key = key.ok_or_else(|| io::Error::other("no WebSocket"))?;
    let accept = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{MAGIC}").as_bytes());
    let accept = STANDARD.encode(accept.as_ref());
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
         Sec-WebSocket-Protocol: push-notification\r\n\r\n"
    ))
}

/// One whole frame of a browser: its kind and its content. Firefox does not split such short ones.
async fn frame(read: &mut (impl AsyncReadExt + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let (first, second) = (read.read_u8().await?, read.read_u8().await?);
    let length = match second & 0x7f {
        126 => u64::from(read.read_u16().await?),
        127 => read.read_u64().await?,
        short => u64::from(short),
    };
    if length > MOST_MESSAGE_BYTES {
        return Err(io::Error::other("too long"));
    }
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        read.read_exact(&mut mask).await?;
    }
    let mut content = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    read.read_exact(&mut content).await?;
    content.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((first & 0x0f, content))
}

async fn say(write: &mut OwnedWriteHalf, kind: u8, content: &[u8]) -> io::Result<()> {
    let mut frame = vec![0x80 | kind];
    match u16::try_from(content.len()) {
        Ok(length) if length < 126 => frame.push(length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => return Err(io::Error::other("too long")),
    }
    frame.extend_from_slice(content);
    write.write_all(&frame).await
}

/// What is said to a message of a browser.
fn answer(text: &[u8], state: &Mutex<State>, endpoint: &(dyn Fn(&str) -> String + Send + Sync)) -> Option<Value> {
    let message: Value = serde_json::from_slice(text).ok()?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    match message["messageType"].as_str() {
        Some("hello") => {
            let uaid = message["uaid"]
                .as_str()
                .filter(|id| !id.is_empty())
                .map_or_else(|| uuid::Uuid::new_v4().simple().to_string(), str::to_owned);
            Some(json!({"messageType": "hello", "uaid": uaid, "status": 200, "use_webpush": true, "broadcasts": {}}))
        }
        Some("register") => {
            let subscription = message["channelID"].as_str()?.to_owned();
            let reply =
                json!({"messageType": "register", "channelID": subscription, "status": 200, "pushEndpoint": endpoint(&subscription)});
            state.keys.insert(subscription, message["key"].as_str().unwrap_or_default().to_owned());
            Some(reply)
        }
        Some("unregister") => Some(json!({"messageType": "unregister", "channelID": message["channelID"], "status": 200})),
        Some("ack") => {
            let codes = message["updates"].as_array().into_iter().flatten().filter_map(|update| update["code"].as_u64());
            state.acknowledged.extend(codes);
            None
        }
        _ => None,
    }
}
