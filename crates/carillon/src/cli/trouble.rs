//! What went wrong, for people (one clear sentence with the mend, each field at fault on its own line), for programs
//! (a problem document in one line) and for the shell (an exit code).

use crate::exit::Exit;
use model::Fault;
use serde_json::{Value, json};
use std::fmt;

/// Why a command did not do what it was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// How the command ends.
    pub exit: Exit,
    /// A stable word.
    pub code: String,
    /// One sentence: the thing, the rule, the mend.
    pub detail: String,
    /// Fields at fault.
    pub faults: Vec<Fault>,
    /// What an ambiguous name may mean.
    pub ids: Vec<String>,
    /// The server's problem document, when there was one.
    pub document: Option<Box<Value>>,
}

/// What commands return.
pub type Result<T> = std::result::Result<T, Trouble>;

impl Trouble {
    /// A trouble of this program's own.
    pub fn new(exit: Exit, code: &str, detail: impl Into<String>) -> Trouble {
        Trouble { exit, code: code.to_owned(), detail: detail.into(), faults: Vec::new(), ids: Vec::new(), document: None }
    }

    /// Wrong use that the parser of options cannot see.
    pub fn usage(detail: impl Into<String>) -> Trouble {
        Trouble::new(Exit::Use, "usage", detail)
    }

    /// A fault of this machine, such as a file that cannot be written.
    pub fn local(detail: impl Into<String>) -> Trouble {
        Trouble::new(Exit::Failed, "failed", detail)
    }

    /// From a refused request: its status and, when it is one, its problem document (RFC 9457).
    pub fn of_answer(status: u16, body: &[u8]) -> Trouble {
        let exit = Exit::of_status(status);
        let Ok(document) = serde_json::from_slice::<Value>(body) else {
            return Trouble::new(exit, "no_problem_document", format!("the server answered {status} without saying why"));
        };
        let text = |key: &str| document[key].as_str().map(str::to_owned);
        let ids = document["ids"].as_array().map(|ids| ids.iter().map(id_line).collect()).unwrap_or_default();
        Trouble {
            exit,
            code: text("code").unwrap_or_else(|| "unknown".into()),
            detail: text("detail").or_else(|| text("title")).unwrap_or_else(|| format!("the server answered {status}")),
            faults: serde_json::from_value(document["errors"].clone()).unwrap_or_default(),
            ids,
            document: Some(Box::new(document)),
        }
    }

    /// The document for `--json`: the server's own, or one of the same form.
    pub fn document(&self) -> Value {
        self.document.as_deref().cloned().unwrap_or_else(|| {
            let kind = format!("urn:carillon:problem:{}", self.code);
            json!({ "type": kind, "title": self.detail, "detail": self.detail, "code": self.code, "errors": self.faults, "ids": self.ids })
        })
    }

    /// Seconds after which trying again makes sense, when the server said so.
    pub fn retry_after(&self) -> Option<u64> {
        self.document.as_ref().and_then(|d| d["limit"]["retryAfterSeconds"].as_u64())
    }
}

/// One line for an id in a problem document, which is a text or an object with a name beside it.
fn id_line(id: &Value) -> String {
    match id {
        Value::String(id) => id.clone(),
        object => {
            let part = |key: &str| object[key].as_str().filter(|s| !s.is_empty());
            let words = [part("id"), part("name"), part("externalId")];
            words.into_iter().flatten().collect::<Vec<_>>().join("  ")
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        let told = |fault: &Fault| self.faults.len() == 1 && self.detail.contains(&fault.message);
        for fault in self.faults.iter().filter(|fault| !told(fault)) {
            write!(f, "\n  {}: {}", fault.field, fault.message)?;
        }
        for id in &self.ids {
            write!(f, "\n  {id}")?;
        }
        match self.retry_after() {
            Some(seconds) => write!(f, "\n  Try again in {seconds} s."),
            None => Ok(()),
        }
    }
}

impl From<crate::config::Faults> for Trouble {
    fn from(faults: crate::config::Faults) -> Trouble {
        // A fault begins with the place where it was written: the field, for programs.
        let fault = |text: &String| {
            let (place, rule) = text.split_once(": ").unwrap_or(("configuration", text));
            Fault { field: place.to_owned(), message: rule.to_owned() }
        };
        let detail = match faults.0.as_slice() {
            [one] => one.clone(),
            many => format!("the configuration has {} faults:", many.len()),
        };
        Trouble { faults: faults.0.iter().map(fault).collect(), ..Trouble::new(Exit::Use, "invalid_configuration", detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_becomes_a_sentence_and_a_line_for_each_field() {
        let body = json!({"type": "urn:carillon:problem:invalid_field", "title": "Invalid", "status": 422, "code": "invalid_field",
            "detail": "2 fields are not acceptable; see errors",
            "errors": [{"field": "title", "message": "is empty"}, {"field": "groups[0]", "message": "is ambiguous"}], "ids": ["a", {"id": "b", "name": "Lyon"}]});
        let trouble = Trouble::of_answer(422, body.to_string().as_bytes());
        assert_eq!((trouble.exit, trouble.code.as_str()), (Exit::Use, "invalid_field"));
        let said = "2 fields are not acceptable; see errors\n  title: is empty\n  groups[0]: is ambiguous\n  a\n  b  Lyon";
        assert_eq!(trouble.to_string(), said);
        assert_eq!(trouble.document(), body);
    }

    #[test]
    fn a_limit_says_when_to_try_again() {
        let body = json!({"code": "over_limit", "detail": "25 sends to groups an hour are allowed",
            "limit": {"name": "limits.group_sends_per_hour", "allowed": 25, "windowSeconds": 3600, "retryAfterSeconds": 61}});
        let trouble = Trouble::of_answer(429, body.to_string().as_bytes());
        assert_eq!(trouble.exit, Exit::OverLimit);
        assert!(trouble.to_string().ends_with("Try again in 61 s."));
    }

    #[test]
    fn faults_of_a_configuration_stand_on_a_line_each() {
        let one = Trouble::from(crate::config::Faults(vec!["c.toml: [server] listen: is wrong".into()]));
        assert_eq!((one.exit, one.to_string()), (Exit::Use, "c.toml: [server] listen: is wrong".into()));
        let two = Trouble::from(crate::config::Faults(vec!["c.toml: a: b".into(), "CARILLON__X: c".into()]));
        assert_eq!(two.to_string(), "the configuration has 2 faults:\n  c.toml: a: b\n  CARILLON__X: c");
        assert_eq!(two.document()["errors"][1], json!({"field": "CARILLON__X", "message": "c"}));
    }

    #[test]
    fn an_answer_without_a_document_is_still_said() {
        let trouble = Trouble::of_answer(502, b"<html>");
        assert_eq!((trouble.exit, trouble.detail.as_str()), (Exit::Unavailable, "the server answered 502 without saying why"));
        assert_eq!(trouble.document()["code"], "no_problem_document");
    }
}
