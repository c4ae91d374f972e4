//! What is read of a request: who asks and in which language, ids in paths, queries, bodies, versions and idempotency
//! keys. Each says in a problem document what is wrong with it.

use crate::App;
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use engine::keys::sha256;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::Locale;
use model::roles::Actor;
use serde::de::DeserializeOwned;
use std::time::Duration;
use uuid::Uuid;

/// Largest JSON body: a list of ten thousand names fits.
pub const BODY_BYTES: usize = 1 << 20;

/// Who asks, and in which language reasons are told.
pub struct Asker {
    /// In whose name.
    pub actor: Actor,
    /// The caller's first language that Carillon speaks.
    pub locale: Locale,
}

impl FromRequestParts<App> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Asker, Problem> {
        let bearer = bearer(&parts.headers)?;
        let actor = app.engine.actor(bearer).await?;
        Ok(Asker { actor, locale: locale(&parts.headers) })
    }
}

/// The token that a request brings (RFC 6750 §2.1).
///
/// # Errors
/// `unauthenticated`: there is none, or something else.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let wrong = |detail: &str| Problem::from(model::Refusal::new(model::RefusalKind::Unauthenticated, "unauthenticated", detail));
    let value = headers.get(header::AUTHORIZATION).ok_or_else(|| wrong("there is no token; send it as Authorization: Bearer car_…"))?;
    let text = value.to_str().unwrap_or("");
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(wrong("only bearer tokens are accepted; send Authorization: Bearer car_…"))
    }
}

/// The first language of `Accept-Language` (RFC 9110 §12.5.4) that Carillon speaks, by weight; English otherwise.
pub fn locale(headers: &HeaderMap) -> Locale {
    let text = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let mut best = (0.0, Locale::En);
    for part in text.split(',').take(20) {
        let mut pieces = part.split(';');
        let tag = pieces.next().unwrap_or("").trim();
        let weight = pieces.find_map(|p| p.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        let spoken = tag == "*" || Locale::ALL.iter().any(|l| l.tag().eq_ignore_ascii_case(tag.split('-').next().unwrap_or("")));
        if spoken && weight > best.0 {
            best = (weight, Locale::from_tag(tag));
        }
    }
    best.1
}

/// The ids in a path, in order.
pub struct Ids<const N: usize>(pub [Uuid; N]);

impl<const N: usize> FromRequestParts<App> for Ids<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Ids<N>, Problem> {
        let Path(given): Path<Vec<(String, String)>> =
            Path::from_request_parts(parts, app).await.map_err(|e| Problem::malformed("malformed_path", e.body_text()))?;
        let mut ids = [Uuid::nil(); N];
        for (id, (_, text)) in ids.iter_mut().zip(&given) {
            *id = Uuid::try_parse(text).map_err(|_| {
                let hint = "paths name objects by their id; GET /api/v1/resolve?kind=user|group|device&name=… finds it";
                Problem::new(StatusCode::NOT_FOUND, "not_found", format!("{text:?} is not an id: {hint}"))
            })?;
        }
        Ok(Ids(ids))
    }
}

/// A word in a path, such as a setting's key.
pub struct Word(pub String);

impl FromRequestParts<App> for Word {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Word, Problem> {
        let Path(word) = Path::from_request_parts(parts, app).await.map_err(|e| Problem::malformed("malformed_path", e.body_text()))?;
        Ok(Word(word))
    }
}

/// A query whose every parameter is known.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Query<T>, Problem> {
        let text = parts.uri.query().unwrap_or("");
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
        serde_path_to_error::deserialize(pairs).map(Query).map_err(|error| {
            let field = error.path().to_string();
            let (code, field, message) = named("unknown_parameter", "malformed_query", &field, &error.inner().to_string());
            Problem::malformed_field(code, &field, &message)
        })
    }
}

/// A field and a sentence from what the decoder says. Unknown and missing names have codes of their own.
fn named(unknown: &'static str, other: &'static str, path: &str, message: &str) -> (&'static str, String, String) {
    let path = if path == "." || path == "?" { "" } else { path };
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return ("missing_field", below(name), "is missing; give it a value".to_owned());
    }
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return (other, path.to_owned(), plain(message));
    };
    let (name, known) = rest.split_once('`').unwrap_or((rest, ""));
    // The path ends with the unknown name where the decoder got so far, and before it where it did not.
    let parent = path.strip_suffix(name).map_or(path, |p| p.trim_end_matches('.'));
    let field = if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let message = if known.is_empty() {
        "is not known here; nothing is expected".to_owned()
    } else {
        format!("is not known here; there are {}", known.join(", "))
    };
    (unknown, field, message)
}

/// What the decoder says about a value, in the words of the API.
fn plain(message: &str) -> String {
    if let Some((got, expected)) = message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected ")) {
        let expected = match expected {
            "a string" | "a borrowed string" | "a formatted UUID string" => "text",
            "a boolean" => "true or false",
            "a sequence" => "a list",
            "u32" | "i64" => "a whole number",
            other if other.starts_with("struct ") => "an object",
            other => other,
        };
        let got = match got {
            "map" => "an object",
            "sequence" => "a list",
            "null" => "null",
            other => other.split_once(' ').map_or(other, |(_, value)| value.trim_matches('`')),
        };
        return format!("takes {expected}, not {got}");
    }
    if let Some((got, known)) = message.strip_prefix("unknown variant `").and_then(|rest| rest.split_once("`, expected ")) {
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        return format!("{got:?} is not one of {}", known.join(", "));
    }
    if message.contains("digit found in string") || message.contains("number too") || message.contains("integer from empty") {
        return "takes a whole number".into();
    }
    if message.starts_with("provided string was not `true` or `false`") {
        return "takes true or false".into();
    }
    if message.starts_with("UUID parsing failed") {
        return "takes an id".into();
    }
    message.to_owned()
}

/// The version that `If-Match` names (RFC 9110 §13.1.1); none for `*` or without the header.
pub struct IfMatch(pub Option<i64>);

impl FromRequestParts<App> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<IfMatch, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(IfMatch(None)) };
        let text = value.to_str().unwrap_or("").trim();
        if text == "*" {
            return Ok(IfMatch(None));
        }
        let version = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).and_then(|t| t.parse().ok());
        version
            .map(|v| IfMatch(Some(v)))
            .ok_or_else(|| Problem::malformed_field("invalid_if_match", "If-Match", "takes one ETag as it was given, such as \"3\", or *"))
    }
}

async fn read(body: Body, patience: Duration) -> Result<Bytes, Problem> {
    let reading = tokio::time::timeout(patience, Limited::new(body, BODY_BYTES).collect()).await;
    match reading.map_err(|_| too_slow(patience))? {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("the body is larger than {BODY_BYTES} bytes; send less at once"),
        )),
        Err(_) => Err(Problem::malformed("incomplete_body", "the body ended early; send it again")),
    }
}

fn too_slow(patience: Duration) -> Problem {
    let detail = format!("the body was not whole after {} s; send it at once", patience.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
}

/// A JSON body.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Json<T>, Problem> {
        check_media_type(request.headers())?;
        parse(&read(request.into_body(), app.extras.limits.body).await?).map(Json)
    }
}

/// A JSON body that may be left out: then `None`.
pub struct MayJson<T>(pub Option<T>);

impl<T: DeserializeOwned> FromRequest<App> for MayJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<MayJson<T>, Problem> {
        let media_type = check_media_type(request.headers());
        let body = read(request.into_body(), app.extras.limits.body).await;
        if let Ok(body) = &body
            && body.is_empty()
        {
            return Ok(MayJson(None));
        }
        media_type?;
        parse(&body?).map(|value| MayJson(Some(value)))
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let media = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if media == "application/json" || (media.starts_with("application/") && media.ends_with("+json")) {
        return Ok(());
    }
    let detail = format!("the body is {media:?}; send JSON with Content-Type: application/json");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// Reads JSON; says where it is not JSON, and which field is unknown or of the wrong type.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::malformed("malformed_json", "the body is empty; send a JSON object"));
    }
    // Decoders take a list for an object, field by field; here only an object is one.
    let is_object = bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    if !is_object && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() {
        return Err(Problem::malformed("wrong_type", "the body is JSON, but not an object; send an object"));
    }
    let mut decoder = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut decoder).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        if !inner.is_data() {
            return not_json(inner);
        }
        let message = inner.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(before, _)| before);
        let (code, field, message) = named("unknown_field", "wrong_type", &path, message);
        Problem::malformed_field(code, &field, &message)
    })?;
    decoder.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(before, _)| before);
    Problem::malformed("malformed_json", format!("the body is not JSON: {what} at line {}, column {}", error.line(), error.column()))
}

/// A creating request: its body, and the key under which it may be repeated.
pub struct Creation {
    /// The whole body.
    pub body: Bytes,
    /// The caller's `Idempotency-Key`.
    pub key: Option<String>,
    /// SHA-256 over method, path, query and body.
    pub request: [u8; 32],
    /// The path that was asked.
    pub path: String,
}

impl FromRequest<App> for Creation {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Creation, Problem> {
        let headers = request.headers();
        let key = headers.get("idempotency-key").map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        let (method, path) = (request.method().as_str().to_owned(), request.uri().path().to_owned());
        let query = request.uri().query().filter(|query| !query.is_empty()).map(str::to_owned);
        // What is refused for its type is refused for that, however long it is.
        let body = match (check_media_type(headers), read(request.into_body(), app.extras.limits.body).await) {
            (Err(_), Ok(body)) if body.is_empty() => body,
            (Err(wrong), _) => return Err(wrong),
            (Ok(()), body) => body?,
        };
        // What is only looked ahead at is another request.
        let asked = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let request = sha256(&[method.as_bytes(), b"\n", asked.as_bytes(), b"\n", &body].concat());
        Ok(Creation { body, key, request, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::admin::users::UserDraft;

    fn refused(json: &str) -> serde_json::Value {
        match parse::<UserDraft>(json.as_bytes()) {
            Ok(_) => panic!("{json} was accepted"),
            Err(problem) => problem.document(),
        }
    }

    #[test]
    fn bodies_that_are_not_json_say_where() {
        assert_eq!(refused("{\"upn\": \"a\",\n oops}")["detail"], "the body is not JSON: key must be a string at line 2, column 2");
        assert_eq!(refused("")["detail"], "the body is empty; send a JSON object");
        assert_eq!(refused("{} {}")["code"], "malformed_json");
    }

    #[test]
    fn unknown_and_mistyped_fields_are_named() {
        let unknown = refused(r#"{"upn": "a", "colour": 1}"#);
        assert_eq!((unknown["code"].as_str(), unknown["errors"][0]["field"].as_str()), (Some("unknown_field"), Some("colour")));
        assert!(unknown["detail"].as_str().is_some_and(|d| d.starts_with("colour: is not known here; there are externalId, upn")));
        let mistyped = refused(r#"{"upn": 5}"#);
        assert_eq!(mistyped["detail"], "upn: takes text, not 5");
        assert_eq!(mistyped["code"], "wrong_type");
        let deep = refused(r#"{"phones": ["+33155501234", 5]}"#);
        assert_eq!(deep["errors"][0]["field"], "phones[1]");
    }

    #[test]
    fn the_language_with_the_greatest_weight_that_is_spoken_wins() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, http::HeaderValue::from_static(text));
            locale(&headers)
        };
        assert_eq!(of("fr-CA,fr;q=0.9,en;q=0.8"), Locale::Fr);
        assert_eq!(of("de, en;q=0.4, fr;q=0.5"), Locale::Fr);
        assert_eq!(of("de"), Locale::En);
        assert_eq!(of(""), Locale::En);
    }
}
