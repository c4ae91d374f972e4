//! The description: complete, true, and kept as a snapshot.

use super::world::World;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

fn operations(document: &Value) -> Vec<(String, Method, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            all.push((path.clone(), method, operation.clone()));
        }
    }
    all
}

/// A path with something in the place of each parameter.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "0197e1a2-5b1c-7d3e-9f40-6a7b8c9d0e1f" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_description_is_the_one_in_the_tree() {
    let world = World::new().await;
    let text = world.get("/openapi.json").await.expect(200).text;
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi.json");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&kept, format!("{text}\n")).expect("the snapshot is written");
    }
    let before = std::fs::read_to_string(&kept).unwrap_or_default();
    assert!(
        before.trim_end() == text,
        "the API's description changed; look at the change, then run the test with UPDATE_SNAPSHOTS=1 and keep {}",
        kept.display()
    );
}

#[tokio::test]
async fn the_description_is_openapi_3_1_with_a_licence_and_unique_operation_ids() {
    let world = World::new().await;
    let document = &world.described().document;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["license"]["identifier"], "Apache-2.0");
    let all = operations(document);
    let ids: BTreeSet<&str> = all.iter().map(|(_, _, o)| o["operationId"].as_str().expect("an id")).collect();
    assert_eq!(ids.len(), all.len());
    for (path, method, operation) in &all {
        assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{method} {path}");
        let named: BTreeSet<&str> = path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let described: BTreeSet<&str> = parameters.iter().filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
        assert_eq!(named, described, "{method} {path}");
    }
}

#[tokio::test]
async fn every_reference_leads_to_a_component_and_every_component_is_used() {
    let world = World::new().await;
    let document = &world.described().document;
    let text = document.to_string();
    let known: BTreeSet<&str> = document["components"]["schemas"].as_object().expect("schemas").keys().map(String::as_str).collect();
    let used: BTreeSet<&str> = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(known, used);
}

#[tokio::test]
async fn every_described_operation_is_there_and_every_other_method_is_not() {
    let world = World::new().await;
    let document = world.described().document.clone();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let described: BTreeSet<String> = item.as_object().expect("methods").keys().map(|m| m.to_uppercase()).collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let reply = world.ask(method, &filled(path)).nobody().send().await;
            if described.contains(method) {
                assert!(!matches!(reply.code().1, "unknown_path" | "method_not_allowed"), "{method} {path}: {}", reply.text);
            } else {
                assert_eq!(reply.code(), (405, "method_not_allowed"), "{method} {path}");
                let allowed: BTreeSet<String> =
                    reply.header("allow").split(',').map(|m| m.trim().to_owned()).filter(|m| m != "HEAD").collect();
                assert_eq!(allowed, described, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn every_operation_but_the_public_ones_wants_a_token() {
    let world = World::new().await;
    let document = world.described().document.clone();
    for (path, method, operation) in operations(&document) {
        let reply = world.ask(method.as_str(), &filled(&path)).nobody().send().await;
        if operation.get("security").is_some() {
            assert_eq!(reply.code(), (401, "unauthenticated"), "{method} {path}");
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        } else {
            assert_ne!(reply.status.as_u16(), 401, "{method} {path}");
        }
    }
}

/// The names that a refusal of an unknown one lists.
fn listed(message: &str) -> BTreeSet<String> {
    let known = message.split("there are ").nth(1).unwrap_or("");
    known.split(", ").filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

#[tokio::test]
async fn described_fields_are_exactly_those_that_are_taken() {
    let world = World::new().await;
    let user = world.user("ada@example.org").await;
    let (_, device) = world.enrolled(&user).await;
    let document = world.described().document.clone();
    for (path, method, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            continue;
        }
        let token = if path.contains("/device/") { &device } else { &world.owner };
        let reply = world.ask(method.as_str(), &filled(&path)).token(token).json(json!({"zzz": 1})).send().await;
        assert_eq!(reply.code(), (400, "unknown_field"), "{method} {path}: {}", reply.text);
        let taken = match listed(reply.faults()[0].1) {
            // A single field is named without "one of".
            names if names.is_empty() => BTreeSet::new(),
            names => names,
        };
        let described: BTreeSet<String> = world.described().fields(schema).into_iter().collect();
        assert_eq!(taken, described, "{method} {path}");
    }
}

#[tokio::test]
async fn described_parameters_are_exactly_those_that_are_taken() {
    let world = World::new().await;
    let user = world.user("ada@example.org").await;
    let (_, device) = world.enrolled(&user).await;
    let document = world.described().document.clone();
    for (path, method, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let described: BTreeSet<String> =
            parameters.iter().filter(|p| p["in"] == "query").filter_map(|p| p["name"].as_str()).map(str::to_owned).collect();
        if described.is_empty() {
            continue;
        }
        let token = if path.contains("/device/") { &device } else { &world.owner };
        let reply = world.ask(method.as_str(), &format!("{}?zzz=1", filled(&path))).token(token).json(json!({})).send().await;
        assert_eq!(reply.code(), (400, "unknown_parameter"), "{method} {path}: {}", reply.text);
        assert_eq!(listed(reply.faults()[0].1), described, "{method} {path}");
    }
}

#[tokio::test]
async fn the_viewer_is_one_page_with_a_strict_policy() {
    let world = World::new().await;
    let page = world.get("/docs").await.expect(200);
    assert!(page.text.starts_with("<!doctype html>") && page.text.contains("Send a notification"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
    let style = world.get("/docs/style.css").await.expect(200);
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
}
