//! What the fake checks in a message, and refusals in Google's form (`google.rpc.Status`).

use super::Answer;
use serde_json::{Map, Value, json};

/// Most bytes that notification and data may take, keys and values together.
pub(super) const MOST_PAYLOAD_BYTES: usize = 4096;
/// Longest life of a message: four weeks.
const MOST_TTL_SECONDS: u64 = 2_419_200;

/// A refusal of the request's body, or nothing when Google would take it.
pub(super) fn examine(body: &[u8]) -> Option<Answer> {
    let wrong = |field: &str| Some(Answer::refused(400, "INVALID_ARGUMENT").about(field));
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return wrong("") };
    let Some(message) = value["message"].as_object() else { return wrong("message") };
    let known = ["name", "data", "notification", "android", "webpush", "apns", "fcm_options", "token", "topic", "condition"];
    if let Some(unknown) = message.keys().find(|key| !known.contains(&key.as_str())) {
        return wrong(&format!("message.{unknown}"));
    }
    let token = message.get("token").and_then(Value::as_str).unwrap_or("");
    let fine = token.len() >= 16 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:".contains(&b));
    if !fine {
        return wrong("message.token");
    }
    android(&message.get("android").cloned().unwrap_or_default())
        .or_else(|| data(message.get("data").unwrap_or(&Value::Null)))
        .map(|field| Answer::refused(400, "INVALID_ARGUMENT").about(&field))
        .or_else(|| (bytes(message) > MOST_PAYLOAD_BYTES).then(|| Answer::refused(400, "INVALID_ARGUMENT")))
}

fn android(android: &Value) -> Option<String> {
    let known = ["collapse_key", "priority", "ttl", "restricted_package_name", "data", "notification", "fcm_options", "direct_boot_ok"];
    if let Some(unknown) = android.as_object().and_then(|fields| fields.keys().find(|key| !known.contains(&key.as_str()))) {
        return Some(format!("message.android.{unknown}"));
    }
    if !matches!(android["priority"].as_str(), None | Some("HIGH" | "NORMAL" | "high" | "normal")) {
        return Some("message.android.priority".into());
    }
    let ttl = &android["ttl"];
    let seconds = ttl.as_str().and_then(|ttl| ttl.strip_suffix('s')).and_then(|seconds| seconds.parse::<u64>().ok());
    if !ttl.is_null() && seconds.is_none_or(|seconds| seconds > MOST_TTL_SECONDS) {
        return Some("message.android.ttl".into());
    }
    None
}

/// Values are strings, and some keys are Google's own.
fn data(data: &Value) -> Option<String> {
    for (key, value) in data.as_object()? {
        let reserved = key == "from" || key == "message_type" || key.starts_with("google.") || key.starts_with("gcm.");
        if reserved || !value.is_string() {
            return Some(format!("message.data[{key}]"));
        }
    }
    None
}

fn bytes(message: &Map<String, Value>) -> usize {
    let fields = ["notification", "data"].into_iter().filter_map(|part| message.get(part)?.as_object());
    fields.flatten().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum()
}

/// A refusal as Google writes it: codes of FCM's own stand in the details, beside the canonical status.
pub(super) fn refusal(answer: &Answer) -> Value {
    let status = match answer.status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    let own = [
        "UNSPECIFIED_ERROR",
        "INVALID_ARGUMENT",
        "UNREGISTERED",
        "SENDER_ID_MISMATCH",
        "QUOTA_EXCEEDED",
        "UNAVAILABLE",
        "INTERNAL",
        "THIRD_PARTY_AUTH_ERROR",
    ];
    let mut details = Vec::new();
    if own.contains(&answer.reason.as_str()) {
        details.push(json!({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": answer.reason}));
    }
    if !answer.about.is_empty() {
        let violation = json!([{"field": answer.about, "description": "Invalid value"}]);
        details.push(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violation}));
    }
    let message = format!("{} (said by a fake)", if answer.reason.is_empty() { status } else { &answer.reason });
    json!({"error": {"code": answer.status, "message": message, "status": status, "details": details}})
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "dGVzdA:APA91bH_0123456789";

    fn ruling(edit: impl FnOnce(&mut Value)) -> Option<(u16, String)> {
        let mut message = json!({"message": {"token": TOKEN, "notification": {"title": "t", "body": "b"},
            "android": {"priority": "HIGH", "ttl": "60s", "collapse_key": "c"}, "data": {"id": "1"}}});
        edit(&mut message);
        examine(message.to_string().as_bytes()).map(|answer| (answer.status, answer.about))
    }

    #[test]
    fn every_mistake_names_its_field() {
        assert_eq!(ruling(|_| {}), None);
        let table: [(&str, fn(&mut Value)); 8] = [
            ("message", |m| m["message"] = json!([])),
            ("message.tokens", |m| m["message"]["tokens"] = json!([])),
            ("message.token", |m| m["message"]["token"] = json!("short")),
            ("message.android.prio", |m| m["message"]["android"]["prio"] = json!(1)),
            ("message.android.priority", |m| m["message"]["android"]["priority"] = json!("URGENT")),
            ("message.android.ttl", |m| m["message"]["android"]["ttl"] = json!("2419201s")),
            ("message.data[n]", |m| m["message"]["data"]["n"] = json!(1)),
            ("message.data[from]", |m| m["message"]["data"]["from"] = json!("x")),
        ];
        for (field, edit) in table {
            assert_eq!(ruling(edit), Some((400, field.to_owned())), "{field}");
        }
        assert_eq!(ruling(|m| m["message"]["data"]["x"] = json!("x".repeat(4096))), Some((400, String::new())), "too big");
    }

    #[test]
    fn a_refusal_has_googles_form() {
        let value = refusal(&Answer::refused(404, "UNREGISTERED"));
        assert_eq!((&value["error"]["status"], &value["error"]["details"][0]["errorCode"]), (&json!("NOT_FOUND"), &json!("UNREGISTERED")));
        let value = refusal(&Answer::refused(400, "INVALID_ARGUMENT").about("message.token"));
        assert_eq!(value["error"]["details"][1]["fieldViolations"][0]["field"], "message.token");
        assert_eq!(refusal(&Answer::refused(404, "NOT_FOUND"))["error"]["details"], json!([]), "a wrong project has no code");
    }
}
