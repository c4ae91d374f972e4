//! A client of the HTTP API, as a program of the organization's own would be: JSON in, JSON out, with a token.

use crate::{SOON, eventually};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;

/// Longest answer that is waited for; imports take longest.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A client for plain HTTP on this machine.
pub(crate) fn http() -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::builder().no_proxy().tls_certs_only([]).timeout(TIMEOUT).build();
    client.expect("a client without TLS needs nothing of the machine")
}

/// A client for streams that may be silent for as long as they like.
pub(crate) fn patient_http() -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::builder().no_proxy().tls_certs_only([]).build();
    client.expect("a client without TLS needs nothing of the machine")
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Of which request, for messages.
    pub asked: String,
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null when there was none, a text when it was not JSON.
    pub body: Value,
}

impl Reply {
    /// What is answered to a request; `asked` names it in messages.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn of(asked: String, request: RequestBuilder) -> Result<Reply, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Ok(Reply { asked, status, headers, body })
    }

    /// The body, when the status is this.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn with(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} answered {}: {}", self.asked, self.status, self.body);
        self.body
    }

    /// The body, when it is a success.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn fine(self) -> Value {
        assert!((200..300).contains(&self.status), "{} answered {}: {}", self.asked, self.status, self.body);
        self.body
    }

    /// The stable code of the problem, when the status is this.
    ///
    /// # Panics
    /// When it is another, or not a problem document.
    #[track_caller]
    pub fn problem(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{} answered {}: {}", self.asked, self.status, self.body);
        assert_eq!(self.header("content-type").split(';').next(), Some("application/problem+json"), "{}", self.asked);
        self.body["code"].as_str().unwrap_or_else(|| panic!("{} answered a problem without a code: {}", self.asked, self.body))
    }

    /// A header; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// The API, seen by one token.
#[derive(Clone, Debug)]
pub struct Api {
    http: Client,
    base: String,
    token: String,
}

impl Api {
    /// Of the server at `url`.
    pub fn new(url: &str, token: &str) -> Api {
        Api { http: http(), base: url.to_owned(), token: token.to_owned() }
    }

    /// The same API with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Api {
        Api { token: token.to_owned(), ..self.clone() }
    }

    /// The server's URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request below `/api/v1/`, not sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/api/v1/{path}", self.base)).bearer_auth(&self.token)
    }

    /// A request outside `/api/v1` with the token, not sent yet.
    pub fn outside(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// The token.
    pub fn secret(&self) -> &str {
        &self.token
    }

    /// A request outside `/api/v1`, without a token.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn page(&self, path: &str) -> Reply {
        let request = self.http.get(format!("{}{path}", self.base));
        Reply::of(format!("GET {path}"), request).await.expect("the server answers")
    }

    /// One request, which may fail to reach the server.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Reply, reqwest::Error> {
        let asked = format!("{method} {path}");
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Reply::of(asked, request).await
    }

    /// One request, whatever its answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Reply {
        let reply = self.attempt(method, path, body, headers).await;
        reply.unwrap_or_else(|e| panic!("{path}: the server does not answer: {e:?}"))
    }

    /// GET, successfully.
    pub async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, None, &[]).await.fine()
    }

    /// POST, whatever the answer.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.ask(Method::POST, path, Some(body), &[]).await
    }

    /// PATCH, successfully.
    pub async fn patch(&self, path: &str, body: &Value) -> Value {
        self.ask(Method::PATCH, path, Some(body), &[]).await.fine()
    }

    /// DELETE, successfully.
    pub async fn delete(&self, path: &str) -> Value {
        self.ask(Method::DELETE, path, None, &[]).await.fine()
    }

    /// Sends a notification; answers it.
    pub async fn send(&self, body: &Value) -> Value {
        self.post("notifications", body).await.with(201)
    }

    /// Sends a plain notification to a group; answers its id.
    pub async fn tell(&self, group: &str, title: &str) -> String {
        let body = json!({"title": title, "body": format!("{title}, in full."), "groups": [group]});
        id_of(&self.send(&body).await)
    }

    /// A setting's new value, in force when this returns.
    pub async fn set(&self, key: &str, value: Value) -> Value {
        self.ask(Method::PUT, &format!("settings/{key}"), Some(&json!({"value": value})), &[]).await.fine()
    }

    /// The one object of this kind that a name means.
    ///
    /// # Panics
    /// When there is none, or more than one.
    pub async fn id(&self, kind: &str, name: &str) -> String {
        let found = self.get(&format!("resolve?kind={kind}&name={name}")).await;
        let items = found["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(items.len(), 1, "{kind} {name}: {found}");
        id_of(&items[0])
    }

    /// Every item of a list, page by page.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        let joint = if path.contains('?') { '&' } else { '?' };
        loop {
            let more = cursor.map(|c| format!("&cursor={c}")).unwrap_or_default();
            let mut page = self.get(&format!("{path}{joint}limit=500{more}")).await;
            if let Value::Array(found) = page["items"].take() {
                items.extend(found);
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }

    /// A notification.
    pub async fn notification(&self, id: &str) -> Value {
        self.get(&format!("notifications/{id}")).await
    }

    /// Its deliveries.
    pub async fn deliveries(&self, id: &str) -> Vec<Value> {
        self.all(&format!("notifications/{id}/deliveries")).await
    }

    /// The notification once every delivery is final.
    pub async fn done(&self, id: &str) -> Value {
        self.done_within(id, SOON).await
    }

    /// The same with another patience.
    pub async fn done_within(&self, id: &str, within: Duration) -> Value {
        let mut last = Value::Null;
        eventually(&format!("notification {id} to be done"), within, async || {
            last = self.notification(id).await;
            matches!(last["state"].as_str(), Some("done" | "cancelled")).then(|| last.clone())
        })
        .await
    }

    /// Why a person got, or did not get, an event.
    pub async fn why(&self, event: &str, person: &str) -> Value {
        self.get(&format!("events/{event}/why?person={person}")).await
    }

    /// The alarms that are not over.
    pub async fn alarms(&self) -> Vec<Value> {
        self.all("alarms").await.into_iter().filter(|alarm| alarm["clearedAt"].is_null()).collect()
    }

    /// A new token; answers its secret.
    pub async fn token(&self, role: &str) -> String {
        let made = self.post("tokens", &json!({"name": role, "role": role})).await.with(201);
        made["token"].as_str().expect("a new token shows its secret once").to_owned()
    }
}

/// The id of an object.
pub(crate) fn id_of(object: &Value) -> String {
    object["id"].as_str().unwrap_or_else(|| panic!("an object without an id: {object}")).to_owned()
}
