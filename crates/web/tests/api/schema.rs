//! The API's own description as a judge: each answer of the tests is held against it.

use super::world::Reply;
use axum::Router;
use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::Arc;
use tower::ServiceExt;

pub struct Described {
    pub document: Value,
}

pub async fn of(router: &Router) -> Arc<Described> {
    let request = Request::builder().uri("/openapi.json").body(Body::empty()).expect("a request");
    let response = router.clone().oneshot(request).await.expect("an answer");
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    Arc::new(Described { document: serde_json::from_slice(&bytes).expect("JSON") })
}

impl Described {
    /// The template of a path, when there is one: words beat parameters.
    pub fn template(&self, path: &str) -> Option<&str> {
        let path = path.split('?').next().unwrap_or("");
        let asked: Vec<&str> = path.split('/').collect();
        let fits = |template: &&String| {
            let parts: Vec<&str> = template.split('/').collect();
            parts.len() == asked.len() && parts.iter().zip(&asked).all(|(t, a)| t.starts_with('{') || t == a)
        };
        let all = self.document["paths"].as_object().expect("paths").keys();
        all.filter(fits).min_by_key(|t| t.matches('{').count()).map(String::as_str)
    }

    pub fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let template = self.template(path)?;
        self.document["paths"][template].get(method.as_str().to_lowercase())
    }

    /// Fails when an answer is not as described.
    pub fn check(&self, method: &Method, path: &str, reply: &Reply) {
        let Some(operation) = self.operation(method, path) else {
            assert!(matches!(reply.status.as_u16(), 404 | 405), "{method} {path} is not described and answers {}", reply.status);
            return;
        };
        let status = reply.status.as_u16();
        let response = &operation["responses"][status.to_string()];
        assert!(response.is_object(), "{method} {path} answers {status}, which is not described: {}", reply.text);
        if status >= 400 {
            assert_eq!(reply.header("content-type"), "application/problem+json");
            let about = response["description"].as_str().unwrap_or("");
            let codes: Vec<&str> = about.split("Codes: ").nth(1).unwrap_or("").trim_end_matches('.').split(", ").collect();
            let code = reply.json["code"].as_str().unwrap_or("");
            assert!(codes.contains(&code), "{method} {path} refuses with {code}, described are {codes:?}: {}", reply.text);
        }
        let media = reply.header("content-type").split(';').next().unwrap_or("").to_owned();
        let Some(content) = response["content"].as_object() else {
            assert!(reply.text.is_empty(), "{method} {path}: a body where none is described");
            return;
        };
        let described = content.get(&media);
        assert!(described.is_some(), "{method} {path} answers {media}, described are {:?}", content.keys());
        if media.ends_with("json") {
            let mut wrong = Vec::new();
            self.judge(&described.expect("just checked")["schema"], &reply.json, "", &mut wrong);
            assert!(wrong.is_empty(), "{method} {path} {status}: {wrong:?}\n{}", reply.text);
        }
    }

    fn follow<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(to) => &self.document["components"]["schemas"][to.rsplit('/').next().unwrap_or("")],
            None => schema,
        }
    }

    /// Names of the fields of an object.
    pub fn fields(&self, schema: &Value) -> Vec<String> {
        let properties = self.follow(schema)["properties"].as_object();
        properties.map(|p| p.keys().cloned().collect()).unwrap_or_default()
    }

    fn judge(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        let schema = self.follow(schema);
        if let Some(either) = schema["oneOf"].as_array() {
            let fits = either.iter().any(|one| {
                let mut faults = Vec::new();
                self.judge(one, value, at, &mut faults);
                faults.is_empty()
            });
            if !fits {
                wrong.push(format!("{at}: {value} fits none"));
            }
            return;
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !types.is_empty() && !types.contains(&kind) {
            wrong.push(format!("{at}: {value} is not {types:?}"));
            return;
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            wrong.push(format!("{at}: {value} is not one of {words:?}"));
        }
        match (schema["format"].as_str(), value.as_str()) {
            (Some("uuid"), Some(text)) if uuid::Uuid::try_parse(text).is_err() => wrong.push(format!("{at}: {text} is not an id")),
            (Some("date-time"), Some(text)) if model::Timestamp::parse(text).is_err() => wrong.push(format!("{at}: {text} is not a time")),
            _ => {}
        }
        self.judge_inside(schema, value, at, wrong);
    }

    fn judge_inside(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        if let Some(items) = value.as_array() {
            for (place, item) in items.iter().enumerate() {
                self.judge(&schema["items"], item, &format!("{at}[{place}]"), wrong);
            }
        }
        let Some(object) = value.as_object() else { return };
        for needed in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(needed) {
                wrong.push(format!("{at}.{needed} is missing"));
            }
        }
        for (name, field) in object {
            match (schema["properties"].get(name), &schema["additionalProperties"]) {
                (Some(shape), _) => self.judge(shape, field, &format!("{at}.{name}"), wrong),
                (None, inner @ Value::Object(_)) => self.judge(inner, field, &format!("{at}.{name}"), wrong),
                (None, _) if schema["properties"].is_object() => wrong.push(format!("{at}.{name} is not described")),
                _ => {}
            }
        }
    }
}
