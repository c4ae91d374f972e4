//! What the bodies of Graph's actions say. Parameters are named without case, `null` means left out, control information
//! (`@odata.…`, also behind a name) is passed over, and anything else that an action does not have is refused, as OData does.
//! Whether a text is too long or a group is there is for the engine to say.

use super::error::Error;
use http::{HeaderMap, header};
use model::{Fault, Refusal, RefusalKind};
use serde_json::{Map, Value};

/// A text and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub title: String,
    pub body: String,
    pub names: Vec<String>,
}

pub(super) const TITLE: &str = "notificationTitle";
pub(super) const BODY: &str = "notificationBody";
pub(super) const GROUPS: &str = "groupsToNotify";
pub(super) const DEVICES: &str = "deviceIds";
const ACTION: &str = "actionName";
/// The one of Graph's remote actions that is a notification; OData also takes the number of an enumeration's member.
const ACTION_NAMES: [&str; 2] = ["customTextNotification", "6"];
/// Parameters of `executeAction` that concern its other actions; Graph takes them with any.
const OTHERS: [&str; 8] = [
    "keepEnrollmentData",
    "keepUserData",
    "persistEsimDataPlan",
    "carrierUrl",
    "deprovisionReason",
    "deviceName",
    "organizationalUnitPath",
    "platform",
];

/// Most wrong parameters that one answer names: more help nobody, and a body may hold a hundred thousand.
const FAULTS_MOST: usize = 50;

/// Refuses a body of another media type.
pub(super) fn check_media_type(headers: &HeaderMap) -> Result<(), Error> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let media = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim();
    if media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Error::media_type(media))
}

/// The body of a send to groups.
pub(super) fn groups(bytes: &[u8]) -> Result<Said, Error> {
    let mut parameters = Parameters::read(bytes, "sendCustomNotificationToCompanyPortal")?;
    let said = Said { title: parameters.text(TITLE), body: parameters.text(BODY), names: parameters.texts(GROUPS) };
    parameters.done(said)
}

/// The body of a send to the device that the path names.
pub(super) fn device(bytes: &[u8]) -> Result<Said, Error> {
    let mut parameters = Parameters::read(bytes, "sendCustomNotificationToCompanyPortal")?;
    let said = Said { title: parameters.text(TITLE), body: parameters.text(BODY), names: Vec::new() };
    parameters.done(said)
}

/// The body of an action on several devices.
pub(super) fn devices(bytes: &[u8]) -> Result<Said, Error> {
    let mut parameters = Parameters::read(bytes, "executeAction")?;
    parameters.action();
    let said = Said { title: parameters.text(TITLE), body: parameters.text(BODY), names: parameters.texts(DEVICES) };
    for name in OTHERS {
        parameters.take(name);
    }
    parameters.done(said)
}

/// The parameters of an action while they are taken off one by one, and what was wrong with them.
struct Parameters {
    action: &'static str,
    given: Map<String, Value>,
    faults: Vec<Fault>,
}

impl Parameters {
    fn read(bytes: &[u8], action: &'static str) -> Result<Parameters, Error> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::malformed("malformed_json", "Empty Payload. JSON content expected."));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(given)) => Ok(Parameters { action, given, faults: Vec::new() }),
            Ok(_) => Err(Error::malformed("wrong_type", "the payload is JSON, but not an object; send an object")),
            Err(cause) => Err(Error::malformed("malformed_json", format!("Unable to read JSON request payload: {cause}"))),
        }
    }

    /// The value of a parameter; none where it is left out or `null`.
    fn take(&mut self, name: &str) -> Option<Value> {
        let key = self.given.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()?;
        self.given.remove(&key).filter(|value| !value.is_null())
    }

    fn fault(&mut self, name: impl Into<String>, message: impl Into<String>) {
        if self.faults.len() < FAULTS_MOST {
            self.faults.push(Fault { field: name.into(), message: message.into() });
        }
    }

    fn text(&mut self, name: &str) -> String {
        match self.take(name) {
            None => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => {
                self.fault(name, format!("takes text, not {}", kind(&other)));
                String::new()
            }
        }
    }

    fn texts(&mut self, name: &str) -> Vec<String> {
        let items = match self.take(name) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.fault(name, format!("takes a list of texts, not {}", kind(&other)));
                return Vec::new();
            }
        };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text),
                other => self.fault(format!("{name}[{index}]"), format!("takes text, not {}", kind(&other))),
            }
        }
        texts
    }

    fn action(&mut self) {
        let said = self.text(ACTION);
        if said.is_empty() && self.faults.is_empty() {
            self.fault(ACTION, "is missing; Carillon knows customTextNotification");
        } else if !said.is_empty() && !ACTION_NAMES.iter().any(|name| said.eq_ignore_ascii_case(name)) {
            self.fault(ACTION, format!("{said:?} is not an action that Carillon knows; it knows customTextNotification"));
        }
    }

    /// What was said, when nothing was wrong and nothing is left over.
    fn done(mut self, said: Said) -> Result<Said, Error> {
        let left: Vec<String> = self.given.keys().filter(|key| !is_control(key)).cloned().collect();
        for name in left {
            let message = format!("is not a valid parameter for the operation {}", self.action);
            self.fault(name, message);
        }
        if self.faults.is_empty() {
            return Ok(said);
        }
        Err(Refusal { kind: RefusalKind::Malformed, ..Refusal::fields(self.faults) }.into())
    }
}

/// Control information (OData JSON Format 4.01 §4.5), of the object or of one of its properties.
fn is_control(key: &str) -> bool {
    key.contains("@odata.")
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn parameters_are_named_without_case_and_control_information_is_passed_over() {
        let said = groups(
            br##"{"@odata.type": "#x", "NotificationTitle": "T", "notificationbody": "B", "groupsToNotify@odata.type": "#Collection(String)",
                "groupsToNotify": ["a", "b"]}"##,
        );
        assert_eq!(said.ok(), Some(Said { title: "T".into(), body: "B".into(), names: names(&["a", "b"]) }));
        let said = devices(
            br#"{"actionName": "CustomTextNotification", "keepEnrollmentData": false, "deviceName": null, "carrierUrl": "x",
                "deviceIds": ["d"], "notificationTitle": "T", "notificationBody": "B"}"#,
        );
        assert_eq!(said.ok(), Some(Said { title: "T".into(), body: "B".into(), names: names(&["d"]) }));
        assert_eq!(device(br#"{"notificationTitle": null}"#).ok(), Some(Said::default()));
    }

    #[test]
    fn every_wrong_parameter_is_named_at_once() {
        let refused = |said: Result<Said, Error>| said.expect_err("refused").message().to_owned();
        let message = refused(groups(br#"{"notificationTitle": 5, "groupsToNotify": ["a", {}], "colour": "red"}"#));
        assert_eq!(
            message,
            "notificationTitle: takes text, not 5; groupsToNotify[1]: takes text, not an object; \
             colour: is not a valid parameter for the operation sendCustomNotificationToCompanyPortal"
        );
        // Groups are no parameter of a send to one device.
        assert!(refused(device(br#"{"groupsToNotify": []}"#)).starts_with("groupsToNotify: is not a valid parameter"));
        assert!(refused(devices(br#"{"actionName": "wipe"}"#)).contains("\"wipe\" is not an action"));
        assert!(refused(devices(b"{}")).starts_with("actionName: is missing"));
        assert!(refused(devices(br#"{"deviceIds": "d", "actionName": 6}"#)).starts_with("actionName: takes text, not 6"));
    }

    #[test]
    fn a_thousand_wrong_parameters_are_not_all_repeated() {
        let body = format!("{{\"groupsToNotify\": [{}]}}", vec!["0"; 1_000].join(","));
        let message = groups(body.as_bytes()).expect_err("refused").message().to_owned();
        assert_eq!(message.matches("takes text").count(), FAULTS_MOST);
    }

    #[test]
    fn what_is_not_a_json_object_is_refused() {
        for (bytes, word) in [
            (&b""[..], "Empty Payload"),
            (b" \n", "Empty Payload"),
            (b"[]", "not an object"),
            (b"\"x\"", "not an object"),
            (b"{\"a\": ", "Unable to read JSON"),
            (b"{} {}", "Unable to read JSON"),
            (b"\xff\xfe", "Unable to read JSON"),
        ] {
            let error = groups(bytes).expect_err("refused");
            assert_eq!(error.status(), http::StatusCode::BAD_REQUEST);
            assert!(error.message().contains(word), "{}", error.message());
        }
    }
}
