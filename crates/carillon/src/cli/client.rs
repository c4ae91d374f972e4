//! The HTTP client of every command: base `/api/v1`, bearer token, problem documents. A request that is safe to repeat
//! is repeated once when the connection is lost; a POST that creates is safe because it carries an `Idempotency-Key`.

use super::trouble::{Result, Trouble};
use crate::exit::Exit;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Method, RequestBuilder, Response, Url};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// A machine that does not answer the first packet is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence within an answer. Streams have heartbeats every 15 s.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause before the one repetition.
const PAUSE: Duration = Duration::from_millis(300);
/// How often a POST asks again while its first copy is still being worked on.
const IN_PROGRESS_TRIES: u32 = 20;
/// Names a file with certificates (PEM) to trust beside the system's.
pub const CA_VARIABLE: &str = "CARILLON_CA_FILE";
/// Most items asked for at once.
const PAGE: usize = 500;

/// Names and values of a query.
pub type Query<'a> = &'a [(&'a str, &'a str)];

/// Speaks to one server.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

/// A list, as far as it was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What is in it.
    pub items: Vec<Value>,
    /// Where it goes on.
    pub next: Option<String>,
}

impl Page {
    /// From one answer of the API.
    pub fn of_answer(mut answer: Value) -> Page {
        let next = answer["nextCursor"].as_str().map(str::to_owned);
        match answer["items"].take() {
            Value::Array(items) => Page { items, next },
            _ => Page { items: Vec::new(), next },
        }
    }

    /// As the API writes it.
    pub fn to_json(&self) -> Value {
        serde_json::json!({ "items": self.items, "nextCursor": self.next })
    }
}

fn certificates(file: &Path) -> Result<Vec<Certificate>> {
    let wrong = |why: String| Trouble::usage(format!("{CA_VARIABLE}: {} {why}", file.display()));
    let pem = std::fs::read(file).map_err(|e| wrong(format!("cannot be read ({e})")))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|_| wrong("is not PEM".into()))?;
    if found.is_empty() { Err(wrong("holds no certificate".into())) } else { Ok(found) }
}

impl Client {
    /// A client of the server at `url`.
    ///
    /// # Errors
    /// When the URL is not one, or the token cannot stand in a header.
    pub fn new(url: &str, token: Option<String>) -> Result<Client> {
        Client::at(url, None, token)
    }

    /// The same; `here` is where the URL's host is found on this machine, whatever the names service says.
    ///
    /// # Errors
    /// As [`Client::new`]; and when the file with certificates cannot be read.
    pub fn at(url: &str, here: Option<SocketAddr>, token: Option<String>) -> Result<Client> {
        let base = Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.host_str().is_some());
        let base = base.ok_or_else(|| Trouble::usage(format!("{url:?} is not the URL of a server, such as http://127.0.0.1:8480")))?;
        if let Some(token) = &token
            && HeaderValue::from_str(token).is_err()
        {
            return Err(Trouble::usage("the token holds a character that no token has; copy it again"));
        }
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("carillon/", env!("CARGO_PKG_VERSION")));
        if base.scheme() == "http" {
            http = http.tls_certs_only([]); // Nothing to verify; a machine without root certificates is fine.
        } else if let Some(file) = std::env::var_os(CA_VARIABLE).filter(|file| !file.is_empty()) {
            http = http.tls_certs_merge(certificates(Path::new(&file))?);
        }
        if let (Some(here), Some(host)) = (here, base.host_str()) {
            http = http.resolve(host, here).no_proxy();
        }
        let local = base
            .host_str()
            .is_some_and(|h| h == "localhost" || h.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()));
        if local {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|e| Trouble::local(format!("cannot prepare TLS: {}", cause(&e))))?;
        Ok(Client { http, base, token })
    }

    /// The server's URL, as it was given.
    pub fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    fn url(&self, path: &[&str], query: Query<'_>) -> Url {
        self.below(&["api", "v1"], path, query)
    }

    fn below(&self, root: &[&str], path: &[&str], query: Query<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(root).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// A request with the token, to be sent by the caller: for streams and uploads.
    pub fn request(&self, method: Method, path: &[&str], query: Query<'_>) -> RequestBuilder {
        self.signed(method, self.url(path, query))
    }

    fn signed(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Says why a request found no server.
    pub fn unreachable(&self, error: &reqwest::Error) -> Trouble {
        let detail = format!("no answer from {} ({}); is the server running?", self.base(), cause(error));
        Trouble::new(Exit::Unavailable, "unreachable", detail)
    }

    async fn answer(&self, make: impl Fn() -> RequestBuilder) -> Result<Response> {
        let response = match make().send().await {
            Ok(response) => response,
            Err(e) if e.is_builder() => return Err(Trouble::usage(format!("the request cannot be made: {}", cause(&e)))),
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                make().send().await.map_err(|e| self.unreachable(&e))?
            }
        };
        self.accepted(response).await
    }

    /// The response if it is a success, else what its problem document says.
    ///
    /// # Errors
    /// The problem.
    pub async fn accepted(&self, response: Response) -> Result<Response> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.unwrap_or_default();
        Err(Trouble::of_answer(status.as_u16(), &body))
    }

    async fn json(&self, make: impl Fn() -> RequestBuilder) -> Result<Value> {
        let response = self.answer(make).await?;
        let body = response.bytes().await.map_err(|e| self.unreachable(&e))?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| Trouble::local(format!("{} did not answer in JSON; is it a Carillon?", self.base())))
    }

    /// GET.
    ///
    /// # Errors
    /// What the server refused, or that it is not there; the same for the others below.
    pub async fn get(&self, path: &[&str], query: Query<'_>) -> Result<Value> {
        self.json(|| self.request(Method::GET, path, query).header(ACCEPT, "application/json")).await
    }

    /// POST with a new `Idempotency-Key`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Value> {
        self.post_keyed(path, body, &uuid::Uuid::new_v4().to_string()).await
    }

    /// POST with a given `Idempotency-Key`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post_keyed(&self, path: &[&str], body: &Value, key: &str) -> Result<Value> {
        let mut tries = 0;
        loop {
            let answer = self.json(|| self.request(Method::POST, path, &[]).header("idempotency-key", key).json(body)).await;
            match answer {
                Err(trouble) if trouble.code == "idempotency_in_progress" && tries < IN_PROGRESS_TRIES => tries += 1,
                other => return other,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// POST of a file below `/integrations`, where the same again changes nothing.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn bring(&self, name: &str, query: Query<'_>, media_type: &'static str, file: bytes::Bytes) -> Result<Value> {
        let url = self.below(&["integrations"], &[name], query);
        self.json(|| self.signed(Method::POST, url.clone()).header(CONTENT_TYPE, media_type).body(file.clone())).await
    }

    /// POST that creates nothing, such as reckoning a reach.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn reckon(&self, path: &[&str], query: Query<'_>, body: &Value) -> Result<Value> {
        self.json(|| self.request(Method::POST, path, query).json(body)).await
    }

    /// A request with a body that may be repeated: PUT or PATCH.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn write(&self, method: Method, path: &[&str], body: &Value) -> Result<Value> {
        self.json(|| self.request(method.clone(), path, &[]).header(CONTENT_TYPE, "application/json").json(body)).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete(&self, path: &[&str], query: Query<'_>) -> Result<Value> {
        self.json(|| self.request(Method::DELETE, path, query)).await
    }

    /// One request that was made by the caller, sent once more only where it surely was not heard: when nobody took the connection
    /// or, for one that only reads, whenever the connection was lost.
    ///
    /// # Errors
    /// As [`Client::get`]; `lost` when it is not known whether it was done.
    pub async fn once(&self, request: RequestBuilder, reads: bool) -> Result<Value> {
        let again = request.try_clone();
        let response = match request.send().await {
            Ok(response) => response,
            Err(e) if e.is_builder() => return Err(Trouble::usage(format!("the request cannot be made: {}", cause(&e)))),
            Err(e) if !reads && !e.is_connect() => return Err(self.lost(&e)),
            Err(e) => {
                tokio::time::sleep(PAUSE).await;
                let again = again.ok_or_else(|| self.unreachable(&e))?;
                again.send().await.map_err(|e| if reads || e.is_connect() { self.unreachable(&e) } else { self.lost(&e) })?
            }
        };
        let response = self.accepted(response).await?;
        let body = response.bytes().await.map_err(|e| if reads { self.unreachable(&e) } else { self.lost(&e) })?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| Trouble::local(format!("{} did not answer in JSON; is it a Carillon?", self.base())))
    }

    fn lost(&self, error: &reqwest::Error) -> Trouble {
        let detail = format!(
            "the connection to {} was lost ({}); whether it was done is not known, look before you repeat it",
            self.base(),
            cause(error)
        );
        Trouble::new(Exit::Unavailable, "lost", detail)
    }

    /// A list: up to `limit` items from `cursor` on, in as many requests as that takes.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn list(&self, path: &[&str], query: Query<'_>, limit: usize, cursor: Option<&str>) -> Result<Page> {
        let mut page = Page { items: Vec::new(), next: cursor.map(str::to_owned) };
        loop {
            let want = (limit - page.items.len()).min(PAGE).to_string();
            let mut query = query.to_vec();
            query.push(("limit", &want));
            if let Some(next) = &page.next {
                query.push(("cursor", next));
            }
            let more = Page::of_answer(self.get(path, &query).await?);
            page.items.extend(more.items);
            page.next = more.next;
            if page.next.is_none() || page.items.len() >= limit {
                return Ok(page);
            }
        }
    }

    /// The one thing of this kind (`user`, `group`, `device`) that a name, UPN, external id or id means.
    ///
    /// # Errors
    /// When there is none, or several: then with their ids.
    pub async fn resolve(&self, kind: &str, name: &str) -> Result<String> {
        let answer = self.get(&["resolve"], &[("kind", kind), ("name", name)]).await?;
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        one_of(kind, name, items)
    }
}

fn one_of(kind: &str, name: &str, items: &[Value]) -> Result<String> {
    match items {
        [] => Err(Trouble::new(Exit::NotFound, "not_found", format!("there is no {kind} {name:?}"))),
        [one] => Ok(one["id"].as_str().unwrap_or_default().to_owned()),
        many => {
            let detail = format!("{name:?} means {} {kind}s; name the one you mean by its id:", many.len());
            let mut trouble = Trouble::new(Exit::Use, "ambiguous_name", detail);
            let part = |item: &Value, key: &str| item[key].as_str().map(str::to_owned).filter(|s| !s.is_empty());
            let line = |item: &Value| {
                [part(item, "id"), part(item, "name"), part(item, "externalId")].into_iter().flatten().collect::<Vec<_>>().join("  ")
            };
            trouble.ids = many.iter().map(line).collect();
            Err(trouble)
        }
    }
}

/// The innermost cause of an error: "Connection refused" rather than "error sending request for url".
fn cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::canned::{Answer, Canned};
    use serde_json::json;

    #[test]
    fn paths_and_queries_are_escaped() {
        let client = Client::new("http://127.0.0.1:8480/", None).expect("a client");
        let url = client.url(&["users", "a/b c"], &[("name", "Zoé & co")]);
        assert_eq!(url.as_str(), "http://127.0.0.1:8480/api/v1/users/a%2Fb%20c?name=Zo%C3%A9+%26+co");
        let below = Client::new("https://example.org/carillon", None).expect("a client behind a prefix");
        assert_eq!(below.url(&["users"], &[]).as_str(), "https://example.org/carillon/api/v1/users");
        for wrong in ["", "here", "ftp://x", "127.0.0.1:80"] {
            assert_eq!(Client::new(wrong, None).expect_err(wrong).exit, Exit::Use);
        }
        assert_eq!(Client::new("http://h", Some("a\nb".into())).expect_err("a line break").exit, Exit::Use);
    }

    #[test]
    fn an_ambiguous_name_lists_the_ids() {
        let items = [json!({"id": "1", "name": "Lyon", "externalId": "g-1"}), json!({"id": "2", "name": "Lyon", "externalId": null})];
        assert_eq!(one_of("group", "g-1", &items[..1]), Ok("1".into()));
        assert_eq!(one_of("group", "x", &[]).expect_err("none").exit, Exit::NotFound);
        let trouble = one_of("group", "Lyon", &items).expect_err("two");
        assert_eq!(trouble.to_string(), "\"Lyon\" means 2 groups; name the one you mean by its id:\n  1  Lyon  g-1\n  2  Lyon");
        assert_eq!(trouble.exit, Exit::Use);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_said_to_be_so() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
        let client = Client::new(&format!("http://{closed}"), None).expect("a client");
        let trouble = client.get(&["me"], &[]).await.expect_err("nobody listens");
        assert_eq!(trouble.exit, Exit::Unavailable);
        assert!(trouble.detail.contains("Connection refused") && trouble.detail.ends_with("is the server running?"), "{trouble}");
    }

    #[tokio::test]
    async fn a_lost_connection_is_tried_once_more_under_the_same_key() {
        let server = Canned::start(|n, _| if n == 0 { Answer::Cut } else { Answer::Json(201, json!({"id": "x"})) }).await;
        let made = server.client().post(&["notifications"], &json!({"title": "T"})).await.expect("the second try");
        assert_eq!(made["id"], "x");
        let asked = server.asked();
        let key = |request: &str| request.lines().find_map(|l| l.strip_prefix("idempotency-key: ").map(str::to_owned)).expect("a key");
        assert_eq!((asked.len(), key(&asked[0])), (2, key(&asked[1])));
        assert!(asked[1].contains("authorization: Bearer secret"), "{}", asked[1]);
    }

    #[tokio::test]
    async fn a_request_that_is_still_open_is_asked_for_again() {
        let open = || json!({"code": "idempotency_in_progress", "detail": "still open"});
        let server = Canned::start(move |n, _| if n < 2 { Answer::Json(409, open()) } else { Answer::Json(201, json!({"id": "x"})) }).await;
        assert_eq!(server.client().post_keyed(&["users"], &json!({}), "k").await.expect("in the end")["id"], "x");
        assert!(server.asked().iter().all(|request| request.contains("idempotency-key: k")));
    }

    #[tokio::test]
    async fn a_list_is_fetched_page_by_page_up_to_its_limit() {
        let server = Canned::start(|n, _| {
            let next = if n < 2 { json!(format!("c{n}")) } else { json!(null) };
            Answer::Json(200, json!({"items": [n * 2, n * 2 + 1], "nextCursor": next}))
        })
        .await;
        let all = server.client().list(&["users"], &[("search", "x")], usize::MAX, None).await.expect("all");
        assert_eq!((all.items.len(), all.next), (6, None));
        assert!(server.asked()[1].starts_with("GET /api/v1/users?search=x&limit=500&cursor=c0 "), "{}", server.asked()[1]);
        let server = Canned::start(|_, _| Answer::Json(200, json!({"items": [1, 2], "nextCursor": "more"}))).await;
        let some = server.client().list(&["users"], &[], 2, None).await.expect("some");
        assert_eq!((some.items.len(), some.next.as_deref(), server.asked().len()), (2, Some("more"), 1));
    }
}
