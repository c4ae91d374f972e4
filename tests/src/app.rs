//! The app on one device: enrols with a code, reads the inbox, holds the stream open, sends receipts.

use crate::api::{Api, Reply, patient_http};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// An enrolled device with its own token.
#[derive(Clone, Debug)]
pub struct App {
    http: Client,
    base: String,
    token: String,
    /// The device's id.
    pub device: String,
}

impl App {
    /// Enrols a device of a person, which may notify, through a code that an administrator made.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn enrol(api: &Api, upn: &str, name: &str, platform: &str) -> App {
        let user = api.id("user", upn).await;
        let code = api.post(&format!("users/{user}/enrolment-codes"), &json!({})).await.with(201);
        let body = json!({"code": code["code"], "name": name, "platform": platform, "notificationPermission": "granted"});
        let http = patient_http();
        let request = http.post(format!("{}/api/v1/device/enrol", api.base())).json(&body);
        let enrolled = Reply::of("POST device/enrol".into(), request).await.expect("the server answers").with(201);
        let text = |key: &str| enrolled[key].as_str().unwrap_or_else(|| panic!("enrolment without {key}: {enrolled}")).to_owned();
        App { http, base: api.base().to_owned(), token: text("token"), device: text("deviceId") }
    }

    /// The device's own token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// One request below `/api/v1/device/`, whatever its answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let asked = format!("{method} device/{path}");
        let mut request = self.http.request(method, format!("{}/api/v1/device/{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        Reply::of(asked, request).await.expect("the server answers")
    }

    /// Registers the device with the fake Apple under this token.
    pub async fn register(&self, token: &str) {
        let body = json!({"service": "apns", "token": token});
        self.ask(Method::PUT, "registration", Some(&body)).await.fine();
    }

    /// What the inbox shows, newest first.
    pub async fn inbox(&self) -> Vec<Value> {
        let page = self.ask(Method::GET, "inbox?limit=500", None).await.fine();
        page["items"].as_array().cloned().unwrap_or_default()
    }

    /// The titles that the inbox shows, newest first.
    pub async fn titles(&self) -> Vec<String> {
        self.inbox().await.iter().map(|item| item["title"].as_str().unwrap_or("(erased)").to_owned()).collect()
    }

    /// Sends one receipt.
    pub async fn receipt(&self, event: &str, kind: &str) -> Value {
        let body = json!({"receipts": [{"eventId": event, "kind": kind}]});
        self.ask(Method::POST, "receipts", Some(&body)).await.fine()
    }

    /// Changes preferences.
    pub async fn prefer(&self, preferences: &Value) -> Value {
        self.ask(Method::PUT, "preferences", Some(preferences)).await.fine()
    }

    /// Opens the stream; with `last`, from there on.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn stream(&self, last: Option<i64>) -> Stream {
        let mut request = self.http.get(format!("{}/api/v1/device/inbox/stream", self.base)).bearer_auth(&self.token);
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response = request.header("accept", "text/event-stream").send().await.expect("the server answers");
        assert_eq!(response.status().as_u16(), 200, "the stream is refused");
        Stream { response, buffer: Vec::new(), ended: false }
    }
}

/// One block of a stream of server-sent events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// `id:`.
    pub id: Option<i64>,
    /// `event:`.
    pub event: String,
    /// `data:`, as JSON.
    pub data: Value,
    /// What stood behind a colon at the beginning of a line.
    pub comment: String,
    /// `retry:`, in milliseconds.
    pub retry: Option<u64>,
}

/// What came next from a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A block.
    Frame(Frame),
    /// Nothing, for as long as was waited.
    Nothing,
    /// The server ended it.
    End,
}

/// An open stream.
#[derive(Debug)]
pub struct Stream {
    response: Response,
    buffer: Vec<u8>,
    ended: bool,
}

impl Stream {
    /// The next block, comments included.
    pub async fn next(&mut self, within: Duration) -> Heard {
        let until = Instant::now() + within;
        loop {
            if let Some(frame) = self.take() {
                return Heard::Frame(frame);
            }
            if self.ended {
                return Heard::End;
            }
            match tokio::time::timeout_at(until.into(), self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.buffer.extend_from_slice(&chunk),
                Ok(Ok(None) | Err(_)) => self.ended = true,
                Err(_) => return Heard::Nothing,
            }
        }
    }

    /// The next event of this name.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn event(&mut self, name: &str, within: Duration) -> Frame {
        let until = Instant::now() + within;
        loop {
            match self.next(until.saturating_duration_since(Instant::now())).await {
                Heard::Frame(frame) if frame.event == name => return frame,
                Heard::Frame(_) => {}
                other => panic!("waited for the event {name:?} and heard {other:?}"),
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let mut frame = Frame::default();
        let mut data = String::new();
        for line in String::from_utf8_lossy(&block).lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => frame.comment.push_str(value),
                "id" => frame.id = value.parse().ok(),
                "event" => value.clone_into(&mut frame.event),
                "data" => data.push_str(value),
                "retry" => frame.retry = value.parse().ok(),
                _ => {}
            }
        }
        frame.data = serde_json::from_str(&data).unwrap_or(Value::Null);
        Some(frame)
    }
}
